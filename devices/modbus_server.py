"""A Modbus TCP server: streams of requests in, streams of responses out; what to answer is the units' business."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from devices.modbus_unit import ModbusUnit
from lab.wire import modbus
from lab.wire.malformed import Malformed
from lab.wire.modbus import Adu, ExceptionCode, Request

Stranger = Literal["silent", "gateway"]
"""What happens to a request for a unit that is not here: nothing, as on a serial line, or exception 0x0B."""

BROADCASTS: Final = (
    modbus.WriteSingleCoil,
    modbus.WriteSingleRegister,
    modbus.WriteMultipleCoils,
    modbus.WriteMultipleRegisters,
    modbus.MaskWriteRegister,
)
"""Requests that make sense to all units at once."""
_BATCH: Final = 16_384
"""Bytes of responses that go into one write, so that pipelined requests do not become as many segments."""


class ModbusServer:
    """The units behind one TCP port, by unit id; one unit may have several ids, such as 0 and 255 beside its own.

    With `broadcast`, unit id 0 means every unit: writes are carried out and nobody answers.
    """

    def __init__(
        self,
        units: Mapping[int, ModbusUnit],
        *,
        strangers: Stranger = "silent",
        broadcast: bool = False,
        max_connections: int = 8,
    ) -> None:
        self._units = dict(units)
        self._strangers = strangers
        self._broadcast = broadcast
        self._max_connections = max_connections
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self, host: str | None = None, port: int = modbus.PORT) -> int:
        """Listen, and return the port, which matters where 0 was asked for."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, self._connections), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and cut every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        open_now = tuple(self._connections)
        for connection in open_now:
            connection.cut()
        await asyncio.gather(*(connection.lost for connection in open_now))

    def admit(self) -> bool:
        """Whether a client that has just come may stay."""
        return len(self._connections) < self._max_connections

    def answer(self, adu: Adu[Request]) -> bytes:
        """The response on the wire, empty where there is none."""
        request = adu.pdu
        unit = self._units.get(adu.unit)
        if unit is not None:
            response = unit.answer(request)
            return b"" if response is None else Adu(adu.transaction, adu.unit, response).encode()
        if adu.unit == 0 and self._broadcast:
            if isinstance(request, BROADCASTS):
                for each in set(self._units.values()):
                    each.answer(request, broadcast=True)
            return b""
        if self._strangers == "silent":
            return b""
        refusal = modbus.ExceptionResponse(request.function & 0x7F, ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND)
        return Adu(adu.transaction, adu.unit, refusal).encode()


class _Connection(asyncio.Protocol):
    """One client. While it does not read its responses, its requests are not read either."""

    _transport: asyncio.Transport

    def __init__(self, server: ModbusServer, connections: set[_Connection]) -> None:
        self._server = server
        self._connections = connections
        self._decoder = modbus.RequestDecoder()
        self._requests: Iterator[Adu[Request]] = iter(())
        self._paused = False
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._server.admit():
            self._connections.add(self)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._requests = self._decoder.feed(data)
        if not self._paused:
            self._serve()

    def pause_writing(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._serve()
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def cut(self) -> None:
        """Reset the connection; `lost` is done when it is gone."""
        self._transport.abort()

    def _serve(self) -> None:
        """Answer what has been decoded, until it is used up or the client has enough to read."""
        answer = self._server.answer
        responses = bytearray()
        try:
            for request in self._requests:
                responses += answer(request)
                if len(responses) >= _BATCH:
                    self._transport.write(responses)
                    responses = bytearray()
                    if self._paused:
                        return
        except Malformed:
            self._transport.write(responses)
            self._transport.close()
            return
        if responses:
            self._transport.write(responses)
