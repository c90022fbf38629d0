"""amqtt's handler of one connection, without a task for each packet and each message.

amqtt handles every packet in a task of its own, which costs order and time, and waits for each acknowledgment in one
more. Here packets are handled one after the other in the task of the connection, as MQTT 3.1.1, section 4.6 would have
it, and what is under way is the business of the session's outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amqtt.adapters import BufferReader, StreamWriterAdapter
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler, Subscription, UnSubscription
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from amqtt.session import IncomingApplicationMessage

from gateway.broker import packets
from gateway.broker.packets import Packet, PacketReader

if TYPE_CHECKING:
    from gateway.broker.mended import MendedBroker
    from gateway.broker.outbox import Outbox

CLOSING = 2.0
"""Seconds the other end has to take what was written before the connection is cut."""
ROOM = 64 * 1024
"""Bytes written and not yet taken by the network, above which messages wait in the outbox."""
_LARGEST_DEBT = 1 << 20
"""Bytes of answers a client may leave untaken while it goes on asking."""
_AT_ONCE = 32
"""Packets of one client handled before others have their turn."""
_PINGRESP = PingRespPacket.build().to_bytes()


class Turn:
    """What is said in one turn of the loop is sent at its end, in one piece, once it has been stored."""

    def __init__(self) -> None:
        self._writers: list[Writer] = []
        self._has_begun = False
        self.before_sending: Callable[[], None] = _nothing

    def begin(self) -> None:
        """Something is to be done at the end of this turn."""
        if not self._has_begun:
            self._has_begun = True
            asyncio.get_running_loop().call_soon(self.end)

    def owes(self, writer: Writer) -> None:
        self.begin()
        self._writers.append(writer)

    def end(self) -> None:
        self._has_begun = False
        self.before_sending()
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()


def _nothing() -> None:
    pass


class Writer(StreamWriterAdapter):
    """Sends at the end of a turn, and closes without waiting for ever for a client that has gone."""

    def __init__(self, writer: asyncio.StreamWriter, turn: Turn) -> None:
        super().__init__(writer)
        writer.transport.set_write_buffer_limits(high=ROOM)
        self._turn = turn
        self._owed = bytearray()

    def write(self, data: bytes) -> None:
        if not self.is_closed:
            if not self._owed:
                self._turn.owes(self)
            self._owed += data

    def flush(self) -> None:
        if self._owed:
            owed, self._owed = bytes(self._owed), bytearray()
            self._writer.write(owed)

    async def drain(self) -> None:
        """Nobody waits for one client while others have something to say."""

    @property
    def untaken(self) -> int:
        return len(self._owed) + self._writer.transport.get_write_buffer_size()

    async def room(self) -> None:
        """Wait until the network has taken most of what was written; raises OSError where it never will."""
        self.flush()
        await self._writer.drain()

    async def close(self) -> None:
        if self.is_closed:
            return
        self._turn.end()
        self.is_closed = True
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSING):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()


class Handler(BrokerProtocolHandler):
    """One connection of a client, and the link of its session's outbox meanwhile."""

    broker: MendedBroker
    outbox: Outbox
    reader: PacketReader
    writer: Writer

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._farewell: DisconnectPacket | None = None
        self._waiting_for_room: asyncio.Task[None] | None = None
        self._released_bytes = 0
        """Of messages with QoS 2 that were not released yet."""

    async def start(self) -> None:
        """Send what the client missed; reading is done by `run`."""
        self.outbox.open(self)

    async def run(self) -> DisconnectPacket | None:
        """Take packets until the connection ends; the client's DISCONNECT, or None where it went without a word."""
        reader, handle = self.reader, self._handlers()
        rate, allowance = self.broker.limits.max_rate, 0.0
        last = self._loop.time()
        handled = 0
        while self._farewell is None and (packet := await reader.next_packet()) is not None:
            await handle[packet.kind](packet)
            handled += 1
            if handled % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if rate and packet.kind == packets.PUBLISH:
                now = self._loop.time()
                allowance, last = min(allowance + (now - last) * rate, rate) - 1, now
                if allowance < 0:
                    await asyncio.sleep(-allowance / rate)
        reader.release()
        return self._farewell

    async def stop(self) -> None:
        self.outbox.close()
        if self._waiting_for_room is not None:
            self._waiting_for_room.cancel()
        self.reader.release()
        await self.writer.close()

    # -- packets, one after the other --------------------------------------------------------------------------------

    def _handlers(self) -> dict[int, Any]:
        return {
            packets.PUBLISH: self._publish,
            packets.PUBACK: lambda packet: self.handle_puback(PubackPacket.build(packet.identifier)),
            packets.PUBREC: lambda packet: self.handle_pubrec(PubrecPacket.build(packet.identifier)),
            packets.PUBREL: lambda packet: self.handle_pubrel(PubrelPacket.build(packet.identifier)),
            packets.PUBCOMP: lambda packet: self.handle_pubcomp(PubcompPacket.build(packet.identifier)),
            packets.SUBSCRIBE: self._subscribe,
            packets.UNSUBSCRIBE: self._unsubscribe,
            packets.PINGREQ: lambda _: self.handle_pingreq(PingReqPacket()),
            packets.DISCONNECT: lambda _: self.handle_disconnect(DisconnectPacket()),
        }

    async def _publish(self, packet: Packet) -> None:
        session = self.session
        assert session is not None
        self.broker.received += 1
        qos, retain = packet.flags >> 1 & 3, bool(packet.flags & 1)
        identifier = packet.identifier
        if qos == 2:
            # MQTT-4.3.3-2: the same identifier again, before its release, is the same message again.
            if identifier not in session.inflight_in:
                message = IncomingApplicationMessage(identifier, packet.topic, qos, packet.payload, retain)
                self._released_bytes += len(packet.payload)
                if self._released_bytes > self.broker.limits.max_queued_bytes:
                    self.reader.close("too many messages of QoS 2 not released")
                    return
                session.inflight_in[identifier] = message
                if store := self.broker.store_of(session):
                    store.put_incoming(session.client_id or "", message)
            self.send(PubrecPacket.build(identifier).to_bytes())
            return
        if qos:
            self.send(PubackPacket.build(identifier).to_bytes())
        self.broker.take(session, packet.topic, packet.payload, qos, retain=retain)

    async def _subscribe(self, packet: Packet) -> None:
        header = MQTTFixedHeader(packets.SUBSCRIBE, 2, len(packet.body))
        await self.handle_subscribe(await SubscribePacket.from_stream(BufferReader(packet.body), fixed_header=header))

    async def _unsubscribe(self, packet: Packet) -> None:
        header = MQTTFixedHeader(packets.UNSUBSCRIBE, 2, len(packet.body))
        decoded = await UnsubscribePacket.from_stream(BufferReader(packet.body), fixed_header=header)
        await self.handle_unsubscribe(decoded)

    async def handle_subscribe(self, subscribe: SubscribePacket) -> None:
        header, payload = subscribe.variable_header, subscribe.payload
        assert header is not None
        assert payload is not None
        await self.broker.subscribe(self, Subscription(header.packet_id, payload.topics))

    async def handle_unsubscribe(self, unsubscribe: UnsubscribePacket) -> None:
        header, payload = unsubscribe.variable_header, unsubscribe.payload
        assert header is not None
        assert payload is not None
        await self.broker.unsubscribe(self, UnSubscription(header.packet_id, payload.topics))

    async def handle_puback(self, puback: PubackPacket) -> None:
        self.outbox.acknowledged(puback.packet_id)

    async def handle_pubrec(self, pubrec: PubrecPacket) -> None:
        self.outbox.received(pubrec.packet_id)

    async def handle_pubcomp(self, pubcomp: PubcompPacket) -> None:
        self.outbox.completed(pubcomp.packet_id)

    async def handle_pubrel(self, pubrel: PubrelPacket) -> None:
        session, identifier = self.session, pubrel.packet_id
        assert session is not None
        message = session.inflight_in.pop(identifier, None)
        if message is not None:
            self._released_bytes -= len(message.data)
            if store := self.broker.store_of(session):
                store.drop_incoming(session.client_id or "", identifier)
            self.broker.take(session, message.topic, bytes(message.data), 2, retain=message.retain)
        self.send(PubcompPacket.build(identifier).to_bytes())

    async def handle_pingreq(self, pingreq: PingReqPacket) -> None:
        self.send(_PINGRESP)

    async def handle_disconnect(self, disconnect: DisconnectPacket | None) -> None:
        self._farewell = disconnect

    # -- the link of the outbox --------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.writer.write(data)
        if len(data) < 100 and self.writer.untaken > _LARGEST_DEBT + ROOM:
            self.overrun()

    async def _send_packet(self, packet: Any) -> None:
        self.send(packet.to_bytes())

    def has_room(self) -> bool:
        if self.reader.is_closed:
            return False
        if self.writer.untaken < ROOM:
            return True
        if self._waiting_for_room is None:
            self._waiting_for_room = self._loop.create_task(self._wait_for_room())
        return False

    async def _wait_for_room(self) -> None:
        try:
            await self.writer.room()
        except OSError:
            return  # the reader sees it, too
        finally:
            self._waiting_for_room = None
        self.outbox.flush()

    def overrun(self) -> None:
        self.reader.close("does not take what it is sent")
