"""Connecting pymodbus's client, and learning why it could not."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

# What goes wrong is said by whoever asked; without a handler Python would print it over the screen.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())


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
