"""A serial port as a TCP port: what clients send goes out on the line, what is heard goes to all of them."""

from __future__ import annotations

import asyncio
from typing import Final

from lab.network.serial.line import LineSettings
from lab.network.serial.medium import Reception
from lab.network.serial.port import SerialPort

_HIGH: Final = 4096
"""Bytes that wait for the line before clients are not read any more."""


class TransparentPort:
    """Characters are passed on in the pieces in which they come, with silence between them."""

    def __init__(self, port: SerialPort, line: LineSettings, max_clients: int) -> None:
        self._port = port
        self._max_clients = max_clients
        self._clients: set[_Client] = set()
        self.heard = self.said = 0
        """Bytes"""
        port.open(line, self._take, drained=self._drained)

    @property
    def clients(self) -> int:
        return len(self._clients)

    async def listen(self, tcp_port: int) -> asyncio.Server:
        """Begin to accept clients."""
        return await asyncio.get_running_loop().create_server(lambda: _Client(self), None, tcp_port)

    def close(self) -> None:
        """Reset every client and give the serial port back."""
        for client in tuple(self._clients):
            client.transport.abort()
        self._port.close()

    def joined(self, client: _Client) -> None:
        if len(self._clients) < self._max_clients:
            self._clients.add(client)
        else:
            client.transport.abort()

    def left(self, client: _Client) -> None:
        self._clients.discard(client)

    def say(self, data: bytes) -> None:
        """Send on the line."""
        self.said += len(data)
        self._port.write(data)
        if self._port.waiting > _HIGH:
            for client in self._clients:
                client.transport.pause_reading()

    def _drained(self) -> None:
        for client in self._clients:
            if not client.transport.is_reading():
                client.transport.resume_reading()

    def _take(self, reception: Reception) -> None:
        self.heard += len(reception.data)
        for client in self._clients:
            # Whoever does not read loses characters, as with a real one's small buffer.
            if reception.data and client.transport.get_write_buffer_size() < _HIGH:
                client.transport.write(reception.data)


class _Client(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, port: TransparentPort) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._port.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.left(self)

    def data_received(self, data: bytes) -> None:
        self._port.say(data)
