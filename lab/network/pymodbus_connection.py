"""Connecting pymodbus's client, learning why it could not, and asking it without losing a cancellation.

Registers are decoded at a stroke: pymodbus takes an answer of 125 apart by 125 calls, and spells every answer out for a
log that nobody reads.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable
from typing import Any, TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException, ModbusIOException
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

# What goes wrong is said by whoever asked; without a handler Python would print it over the screen.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

T = TypeVar("T")


class HoldingRegisters(ReadHoldingRegistersResponse):
    """The answer to function 3 (Modbus Application Protocol V1.1b3, section 6.3)."""

    def decode(self, data: bytes) -> None:
        """Raises ModbusIOException where there are fewer bytes than it says."""
        length = data[0]
        if length >= len(data):
            raise ModbusIOException(
                f"{length} bytes announced, {len(data) - 1} there", function_code=self.function_code
            )
        self.registers = list(struct.unpack_from(f">{length // 2}H", data, 1))

    def __str__(self) -> str:
        return f"{len(self.registers)} registers"


class InputRegisters(HoldingRegisters):
    """The answer to function 4 (section 6.4)."""

    function_code = 4


async def connect(client: AsyncModbusTcpClient, timeout: float | None = None) -> None:
    """Connect within so many seconds, by default the client's own; raises OSError, of which TimeoutError is one."""
    for answer in (HoldingRegisters, InputRegisters):
        client.register(answer)
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
