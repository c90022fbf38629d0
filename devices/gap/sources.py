"""Where one side of a gap gets its data sets: it polls, or is sent documents."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Final

from devices.gap.config import DataSet, ModbusSource, Receiving
from devices.gap.documents import Record, Refused, from_json, from_registers
from lab.network.host import Host
from lab.wire import modbus
from lab.wire.malformed import Malformed
from lab.wire.modbus import Adu, RegistersRead, Request, ResponseDecoder

_PATIENCE: Final = 3.0
"""Seconds until an answer, and between two bytes of a document."""
_SENDERS: Final = 16
"""TCP connections at a time."""

Take = Callable[[DataSet, Record], None]
Refuse = Callable[[DataSet, str, int], None]
"""Called with what is wrong and the size in bytes."""


class Inlet(ABC):
    """Takes in one data set on a host, until `stop`."""

    def __init__(self, host: Host, dataset: DataSet, take: Take, refuse: Refuse) -> None:
        self.host = host
        self.dataset = dataset
        self.take = take
        self.refuse = refuse

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    def received(self, data: bytes) -> None:
        """A document has come in."""
        try:
            record = from_json(data, self.dataset)
        except Refused as refused:
            self.refuse(self.dataset, str(refused), len(data))
        else:
            self.take(self.dataset, record)


class ModbusPoller(Inlet):
    def __init__(self, host: Host, dataset: DataSet, source: ModbusSource, take: Take, refuse: Refuse) -> None:
        super().__init__(host, dataset, take, refuse)
        self._source = source
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = self.host.spawn(self._poll(), name=f"gap data set {self.dataset.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _poll(self) -> None:
        source = self._source
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    reader, writer = await asyncio.open_connection(str(source.server), source.port)
            except OSError as error:
                self.refuse(self.dataset, f"no connection to {source.server}: {error.strerror or 'timeout'}", 0)
                await asyncio.sleep(max(source.period, 1.0))
                continue
            transaction = 0
            decoder = ResponseDecoder()
            try:
                due = loop.time()
                while True:
                    transaction = transaction + 1 & 0xFFFF
                    await self._ask(reader, writer, decoder, transaction)
                    due = max(due + source.period, loop.time())
                    await asyncio.sleep(due - loop.time())
            except (OSError, Malformed, EOFError) as error:
                self.refuse(self.dataset, f"{source.server}: {error or 'no answer'}", 0)
            finally:
                writer.close()
            await asyncio.sleep(max(source.period, 1.0))

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: ResponseDecoder,
        transaction: int,
    ) -> None:
        source = self._source
        question = modbus.ReadHoldingRegisters if source.table == "holding" else modbus.ReadInputRegisters
        request: Request = question(source.address, self.dataset.registers)
        writer.write(Adu(transaction, source.unit, request).encode())
        async with asyncio.timeout(_PATIENCE):
            answer = None
            while answer is None:
                data = await reader.read(1024)
                if not data:
                    raise EOFError("connection closed")
                answer = next((adu.pdu for adu in decoder.feed(data) if adu.transaction == transaction), None)
        if not isinstance(answer, RegistersRead) or len(answer.values) != self.dataset.registers:
            self.refuse(self.dataset, f"{source.server} answered {type(answer).__name__}", 0)
            return
        try:
            record = from_registers(answer.values, self.dataset)
        except Refused as refused:
            self.refuse(self.dataset, str(refused), 2 * len(answer.values))
        else:
            self.take(self.dataset, record)


class UdpInlet(Inlet, asyncio.DatagramProtocol):
    def __init__(self, host: Host, dataset: DataSet, source: Receiving, take: Take, refuse: Refuse) -> None:
        super().__init__(host, dataset, take, refuse)
        self._source = source
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        with self.host.current():
            self._transport, _ = self.host.open_datagrams(lambda: self, ("0.0.0.0", self._source.port), None)

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._source.sources and IPv4Address(addr[0]) not in self._source.sources:
            self.refuse(self.dataset, f"{addr[0]} may not send this", len(data))
            return
        self.received(data)


class TcpInlet(Inlet):
    """One document per connection: it ends where its sender closes."""

    def __init__(self, host: Host, dataset: DataSet, source: Receiving, take: Take, refuse: Refuse) -> None:
        super().__init__(host, dataset, take, refuse)
        self._source = source
        self._server: asyncio.Server | None = None
        self._senders: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        with self.host.current():
            self._server = await asyncio.start_server(self._serve, port=self._source.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        senders = tuple(self._senders)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._senders.add(task)
        try:
            peer = writer.get_extra_info("peername")[0]
            if self._source.sources and IPv4Address(peer) not in self._source.sources:
                self.refuse(self.dataset, f"{peer} may not send this", 0)
            elif len(self._senders) > _SENDERS:
                self.refuse(self.dataset, "too many senders", 0)
            else:
                await self._receive(reader)
        except OSError as error:
            self.refuse(self.dataset, f"the sender broke off: {error.strerror or 'timeout'}", 0)
        finally:
            self._senders.discard(task)
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        document = bytearray()
        while len(document) <= self.dataset.max_size:
            async with asyncio.timeout(_PATIENCE):
                data = await reader.read(4096)
            if not data:
                break
            document += data
        self.received(bytes(document))


def inlet(host: Host, dataset: DataSet, take: Take, refuse: Refuse) -> Inlet:
    """What takes in a data set on its source's side."""
    source = dataset.source
    if source.modbus is not None:
        return ModbusPoller(host, dataset, source.modbus, take, refuse)
    if source.udp is not None:
        return UdpInlet(host, dataset, source.udp, take, refuse)
    assert source.tcp is not None
    return TcpInlet(host, dataset, source.tcp, take, refuse)
