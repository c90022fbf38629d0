"""Connecting pymodbus's client, learning why it could not, and asking it without losing a cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

# What goes wrong is said by whoever asked; without a handler Python would print it over the screen.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

T = TypeVar("T")


async def connect(client: AsyncModbusTcpClient, timeout: float | None = None) -> None:
    """Connect within so many seconds, by default the client's own; raises OSError, of which TimeoutError is one."""
    failure: OSError = TimeoutError()
    # pymodbus tells only whether connecting worked; this is its hook to learn why not.
    create = client.ctx.call_create

    async def create_and_remember() -> Any:
        nonlocal failure
        try:
            return await create()
        except OSError as error:
            failure = error
            raise

    client.ctx.call_create = create_and_remember
    understand = client.ctx.callback_data

    def understand_or_drop(data: bytes, addr: Any = None) -> int:
        try:
            return understand(data, addr)
        except ModbusException:
            return len(data)  # pymodbus would let the loop know of an answer that makes no sense, and nobody else

    client.ctx.callback_data = understand_or_drop  # type: ignore[method-assign]
    async with asyncio.timeout(timeout):
        if not await client.connect():
            raise failure


async def answered(request: Awaitable[T]) -> T:
    """The answer to a request; raises what pymodbus raises.

    pymodbus takes a cancellation for a lost connection, and Python 3.11's `wait_for`, in which it waits, forgets one
    that comes together with the answer. Whoever reads in a loop would go on for ever.
    """
    try:
        return await request
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
