"""A Modbus TCP client of a serial server: its requests go out on the line, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from lab.network.serial.master import RtuMaster
from lab.wire import modbus
from lab.wire.malformed import Malformed
from lab.wire.modbus import Adu, ExceptionCode, Request

Route = RtuMaster


class GatewayConnection(asyncio.Protocol):
    """`routes` leads from unit ids to lines; unit 0 goes to all of `lines`, and nobody answers."""

    _transport: asyncio.Transport

    def __init__(
        self, routes: Mapping[int, Route], lines: Sequence[Route], connections: set[GatewayConnection], room: int
    ) -> None:
        self._routes, self._lines = routes, lines
        self._connections, self._room = connections, room
        self._decoder = modbus.RequestDecoder()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._connections) < self._room:
            self._connections.add(self)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        for line in self._lines:
            line.withdraw(self)

    def data_received(self, data: bytes) -> None:
        try:
            for adu in self._decoder.feed(data):
                self._take(adu)
        except Malformed:
            self._transport.close()

    def cut(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def _take(self, adu: Adu[Request]) -> None:
        if adu.unit == 0:
            for each in self._lines:
                each.request(self, 0, adu.pdu.encode(), lambda pdu: None)
            return
        line = self._routes.get(adu.unit)
        if line is None:
            self._refuse(adu, ExceptionCode.GATEWAY_PATH_UNAVAILABLE)
        elif not line.request(self, adu.unit, adu.pdu.encode(), partial(self._answer, adu)):
            self._refuse(adu, ExceptionCode.SERVER_DEVICE_BUSY)

    def _answer(self, adu: Adu[Request], pdu: bytes | None) -> None:
        if pdu is None:
            self._refuse(adu, ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND)
        elif not self._transport.is_closing():
            head = modbus.HEADER.pack(adu.transaction, 0, len(pdu) + 1, adu.unit)
            self._transport.write(head + pdu)

    def _refuse(self, adu: Adu[Request], code: ExceptionCode) -> None:
        if not self._transport.is_closing():
            refusal = modbus.ExceptionResponse(adu.pdu.function & 0x7F, code)
            self._transport.write(Adu(adu.transaction, adu.unit, refusal).encode())
