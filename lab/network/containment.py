"""Keeps libraries that read the computer's clock inside the plant's time.

The libraries run unmodified; only the name `time` or `datetime` in those of their modules that would look past the
event loop is bound to a clock which, inside a plant, is the plant's. Outside a plant it is the ordinary one. What each
reads:

- gmqtt: keep-alive and time-out of the last packet in and out (`time.monotonic`);
- asyncua: publishing cycles, session and channel idle time (`time.monotonic`), server and source timestamps, start and
  current time of the server (`datetime.now`);
- amqtt: session age, timestamps of packets and $SYS topics;
- aiohttp: the Date of an answer. The rest it times by the loop, as pymodbus's asynchronous client does.

Threads: asyncua fills its standard address space in an executor, whose jobs stop the clock of a plant in fast time. It
reads certificate files through anyio, which has threads of its own; see `wait_for_threads_of_anyio`.
"""

from __future__ import annotations

import asyncio
import functools
import time as real_time
from datetime import UTC, datetime, tzinfo
from types import ModuleType
from typing import Any

import anyio.to_thread

from lab.clock import now_ns, plant_clock
from lab.network.loop import PlantLoop

_NS = 1_000_000_000


class PlantTime:
    """Stands for the module `time`; what it does not know it takes from there."""

    @staticmethod
    def time() -> float:
        return now_ns() / _NS

    @staticmethod
    def time_ns() -> int:
        return now_ns()

    @staticmethod
    def monotonic() -> float:
        if plant_clock.get() is None:
            return real_time.monotonic()
        return asyncio.get_running_loop().time()

    perf_counter = monotonic

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)


class _AnyDatetime(type(datetime)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class PlantDatetime(datetime, metaclass=_AnyDatetime):
    """Stands for the class `datetime`; only what "now" is differs."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        if plant_clock.get() is None:
            return datetime.now(tz)
        return datetime.fromtimestamp(now_ns() / _NS, tz)

    @classmethod
    def utcnow(cls) -> datetime:  # type: ignore[override]
        return cls.now(UTC).replace(tzinfo=None)


_TIME = PlantTime()


def contain(*modules: ModuleType) -> None:
    """Give these modules of a library the plant's clock; call it beside the import of the library."""
    for module in modules:
        if getattr(module, "time", None) is real_time:
            module.time = _TIME  # type: ignore[attr-defined]
        if getattr(module, "monotonic", None) is real_time.monotonic:
            module.monotonic = _TIME.monotonic  # type: ignore[attr-defined]
        if getattr(module, "datetime", None) is datetime:
            module.datetime = PlantDatetime  # type: ignore[attr-defined]


def wait_for_threads_of_anyio() -> None:
    """Make the plant's clock stand still while anyio runs something in a thread, as it does for executors."""
    original = anyio.to_thread.run_sync
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    async def run_sync(*arguments: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, PlantLoop):
            return await original(*arguments, **options)
        with loop.real_work():
            return await original(*arguments, **options)

    anyio.to_thread.run_sync = run_sync  # type: ignore[assignment]
