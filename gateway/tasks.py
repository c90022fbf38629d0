"""Tasks that end when told to and never die in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

_TAKEN_AMISS = 0.1
"""Seconds after which a task that still runs is cancelled once more."""


def supervised(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run something that should end only by being cancelled; the loop's exception handler hears of anything else."""
    task = asyncio.create_task(work)
    task.add_done_callback(_complain)
    return task


async def cancel(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks and wait until all of them have ended."""
    running = [task for task in tasks if task is not None]
    pending = set(running)
    while pending:
        for task in running:
            task.cancel()
        # Libraries that wait in Python 3.11's wait_for forget a cancellation that comes together with their answer.
        _, pending = await asyncio.wait(pending, timeout=_TAKEN_AMISS)
    await asyncio.gather(*running, return_exceptions=True)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": "a task of the gateway failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
