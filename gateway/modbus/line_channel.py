"""Modbus RTU on a serial port of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.modbus.address import Table
from gateway.modbus.channel import READ_CODES, Answer, Channel, Misfit, Refused, Silent, checked
from gateway.samples import Reason, Unreachable
from gateway.serial_ports import SerialPorts
from lab.network.serial.master import RtuMaster
from lab.text import Text
from lab.wire.modbus import (
    BitsRead,
    ExceptionResponse,
    IllegalPdu,
    ReadCoils,
    ReadDiscreteInputs,
    ReadHoldingRegisters,
    ReadInputRegisters,
    RegistersRead,
    Request,
    Response,
    WriteMultipleCoils,
    WriteMultipleRegisters,
    WriteSingleCoil,
    WriteSingleRegister,
    decode_response,
)

PORT_CLOSED = Text(zh="串口 {serial} 未打开", en="serial port {serial} is not open")
_READS: Final[Mapping[int, Callable[[int, int], Request]]] = {
    1: ReadCoils,
    2: ReadDiscreteInputs,
    3: ReadHoldingRegisters,
    4: ReadInputRegisters,
}


class LineChannel(Channel):
    """Shares the line with the other devices there: requests wait for their turn."""

    can_be_lost = False

    def __init__(self, ports: SerialPorts, serial: str) -> None:
        self._ports, self._serial = ports, serial
        self._master: RtuMaster | None = None
        self._awaited: set[asyncio.Future[bytes | None]] = set()

    async def open(self) -> None:
        self._master = self._ports.open(self._serial)

    async def close(self) -> None:
        if self._master is not None:
            self._master.withdraw(self)
            self._master = None
            self._ports.close(self._serial)
        for answered in self._awaited:
            if not answered.done():
                answered.set_result(None)

    async def read(self, unit: int, table: Table, offset: int, quantity: int, timeout: float) -> Answer:
        response = await self._exchange(unit, _READS[READ_CODES[table]](offset, quantity), timeout)
        if not isinstance(response, (RegistersRead, BitsRead)):
            raise Misfit(response.function, 0)
        return checked(table, quantity, response.function, response.values)

    async def write(
        self, unit: int, function: int, offset: int, values: Sequence[int] | Sequence[bool], timeout: float
    ) -> None:
        request: Request
        match function:
            case 5:
                request = WriteSingleCoil(offset, bool(values[0]))
            case 6:
                request = WriteSingleRegister(offset, values[0])
            case 15:
                request = WriteMultipleCoils(offset, tuple(bool(value) for value in values))
            case _:
                request = WriteMultipleRegisters(offset, tuple(values))
        await self._exchange(unit, request, timeout)

    async def _exchange(self, unit: int, request: Request, timeout: float) -> Response:
        if self._master is None:
            raise Unreachable(Reason(PORT_CLOSED, {"serial": self._serial}))
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def take(pdu: bytes | None) -> None:
            if not answered.done():
                answered.set_result(pdu)

        if not self._master.request(self, unit, request.encode(), take, timeout=timeout):
            raise Silent
        self._awaited.add(answered)
        try:
            pdu = await answered
        finally:
            self._awaited.discard(answered)
        if pdu is None:
            raise Silent
        # Without the request the bits of an answer come in whole bytes, as they do from the other channel.
        response = decode_response(pdu)
        if isinstance(response, IllegalPdu):
            raise Misfit(pdu[0], len(pdu))
        if isinstance(response, ExceptionResponse):
            raise Refused(response.code)
        return response
