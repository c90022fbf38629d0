"""What a session still owes its client: MQTT 3.1.1, sections 4.1, 4.3, 4.4 and 4.6, within bounds.

amqtt starts a task for each message, gives it up after five seconds and forgets it with the connection. Here a session's
messages are state and no task: those under way wait in amqtt's `Session.inflight_out` for as long as it takes, in the
order they were first sent, and are sent again when the client is back; others queue behind them. What is queued is
bounded in messages and bytes. Where there is no more room, messages of QoS 0 go first; then a client that is connected
has stopped reading and is disconnected, and for one that is away the newest message is not kept. Both are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Protocol

from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.session import OutgoingApplicationMessage, Session

from gateway.broker.config import Limits
from gateway.broker.store import Store

_OVERHEAD = 200
"""Bytes that a message costs us beside its topic and payload."""


class Link(Protocol):
    """The connection of a client, while it has one."""

    def send(self, data: bytes) -> None: ...
    def has_room(self) -> bool:
        """Whether more should be sent now; where not, the outbox is told to `flush` when there is."""

    def overrun(self) -> None:
        """The client does not take what it asked for."""


class Outgoing(OutgoingApplicationMessage):
    """A message with QoS 1 or 2 for one client."""

    __slots__ = ("number",)

    def __init__(self, topic: str, data: bytes, qos: int, retain: bool, number: int) -> None:
        super().__init__(None, topic, qos, data, retain)
        self.number = number
        """Of all messages of the broker, in the order they came."""

    @property
    def cost(self) -> int:
        return len(self.topic) + len(self.data) + _OVERHEAD


class Postage:
    """What the outboxes of a broker have in common."""

    def __init__(self, limits: Limits, store: Store | None) -> None:
        self.limits = limits
        self.store = store
        self.numbers: Iterator[int] = count(1)
        self.sent = 0
        """PUBLISH packets, those sent again included."""
        self.dropped = 0
        """Messages that somebody should have had and there was no room for."""


class Outbox:
    """The messages of one session on their way out."""

    def __init__(self, session: Session, postage: Postage) -> None:
        self._session = session
        self._postage = postage
        self.link: Link | None = None
        self._passing: deque[bytes] = deque()
        """Packets of QoS 0: they wait for room, never for the client."""
        self._waiting: deque[Outgoing] = deque()
        self._kept: dict[str, Iterator[tuple[str, bytes, int]]] = {}
        """Retained messages still to be sent, by the filter that asked for them: fetched as there is room."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._passing) + len(self._waiting) + len(self._session.inflight_out)

    @property
    def _store(self) -> Store | None:
        return None if self._session.clean_session else self._postage.store

    # -- messages ----------------------------------------------------------------------------------------------------

    def pass_on(self, packet: bytes) -> None:
        """A PUBLISH with QoS 0, the same bytes for everybody; nobody keeps one for a client that is away."""
        link = self.link
        if link is None:
            return
        if not self._passing and link.has_room():
            self._postage.sent += 1
            link.send(packet)
        elif self._is_full(len(packet)):
            self._postage.dropped += 1
        else:
            self._passing.append(packet)
            self._bytes += len(packet)

    def put(self, topic: str, data: bytes, qos: int, *, retain: bool = False) -> None:
        """A message with QoS 1 or 2."""
        postage, link = self._postage, self.link
        message = Outgoing(topic, data, qos, retain, next(postage.numbers))
        while self._is_full(message.cost) and self._passing:
            self._bytes -= len(self._passing.popleft())
            postage.dropped += 1
        if self._is_full(message.cost):
            postage.dropped += 1
            if link is not None:
                link.overrun()
            return
        self._bytes += message.cost
        if link is not None and not self._waiting and self._may_launch and link.has_room():
            self._launch(message, link)
        else:
            self._waiting.append(message)
        if store := self._store:
            store.put_outgoing(self._client, message)

    def retained(self, topic_filter: str, messages: Iterator[tuple[str, bytes, int]]) -> None:
        """Send what is kept for a new subscription, as fast as the client takes it."""
        self._kept[topic_filter] = messages
        self.flush()

    def forget(self, topic_filter: str) -> None:
        self._kept.pop(topic_filter, None)

    # -- the client's answers ----------------------------------------------------------------------------------------

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK; one for nothing under way is a late second one, and means nothing."""
        message = self._session.inflight_out.get(packet_id)
        if message is not None and message.qos == 1:
            self._finish(packet_id)

    def received(self, packet_id: int) -> None:
        """PUBREC: from now on the message is not sent again, only PUBREL is (MQTT-4.3.3-1)."""
        message = self._session.inflight_out.get(packet_id)
        if isinstance(message, Outgoing) and message.qos == 2 and message.pubrec_packet is None:
            message.pubrec_packet = PubrecPacket.build(packet_id)
            self._bytes -= len(message.data)
            message.data = b""
            if store := self._store:
                store.put_outgoing(self._client, message)
        elif message is not None and message.qos != 2:
            return
        # Also for one we know nothing of: or the client would ask for ever.
        if self.link is not None:
            self.link.send(PubrelPacket.build(packet_id).to_bytes())

    def completed(self, packet_id: int) -> None:
        """PUBCOMP."""
        message = self._session.inflight_out.get(packet_id)
        if message is not None and message.pubrec_packet is not None:
            self._finish(packet_id)

    def _finish(self, packet_id: int) -> None:
        message = self._session.inflight_out.pop(packet_id)
        assert isinstance(message, Outgoing)
        self._bytes -= message.cost
        if store := self._store:
            store.drop_outgoing(message.number)
        self.flush()

    # -- the connection ----------------------------------------------------------------------------------------------

    def open(self, link: Link) -> None:
        """The client is there: first what it has not acknowledged, with the same identifiers and in the same order."""
        self.link = link
        for packet_id, message in self._session.inflight_out.items():
            if message.pubrec_packet is not None:
                link.send(PubrelPacket.build(packet_id).to_bytes())
            else:
                self._postage.sent += 1
                link.send(message.build_publish_packet(dup=True).to_bytes())  # MQTT-4.4.0-1, MQTT-3.3.1-1
        self.flush()

    def close(self) -> None:
        """The client has gone; what had QoS 0, and retained messages it did not get any more, go with it."""
        self.link = None
        self._bytes -= sum(map(len, self._passing))
        self._passing.clear()
        self._kept.clear()

    def flush(self) -> None:
        """Send what there is room for."""
        link = self.link
        while link is not None and link.has_room():
            if self._passing:
                packet = self._passing.popleft()
                self._bytes -= len(packet)
                self._postage.sent += 1
                link.send(packet)
            elif self._waiting and self._may_launch:
                message = self._waiting.popleft()
                self._launch(message, link)
                if store := self._store:
                    store.put_outgoing(self._client, message)
            elif self._kept and not self._waiting:
                self._fetch_kept()
            else:
                return

    def _fetch_kept(self) -> None:
        topic_filter, messages = next(iter(self._kept.items()))
        following = next(messages, None)
        if following is None:
            del self._kept[topic_filter]
            return
        topic, data, qos = following
        if qos:
            self.put(topic, data, qos, retain=True)
        else:
            self.pass_on(encode(topic, data, retain=True))

    def restore(self, message: Outgoing) -> None:
        """Take up a message from the disk, in the order of their numbers."""
        self._bytes += message.cost
        if message.packet_id is None:
            self._waiting.append(message)
        else:
            self._session.inflight_out[message.packet_id] = message

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> str:
        return self._session.client_id or ""

    @property
    def _may_launch(self) -> bool:
        return len(self._session.inflight_out) < self._postage.limits.max_inflight

    def _is_full(self, size: int) -> bool:
        limits = self._postage.limits
        queued = len(self._passing) + len(self._waiting)
        return queued >= limits.max_queued_messages or (
            self._bytes > 0 and self._bytes + size > limits.max_queued_bytes
        )

    def _launch(self, message: Outgoing, link: Link) -> None:
        message.packet_id = packet_id = self._session.next_packet_id
        self._session.inflight_out[packet_id] = message
        self._postage.sent += 1
        link.send(message.build_publish_packet().to_bytes())


def encode(topic: str, data: bytes, *, retain: bool = False) -> bytes:
    """A PUBLISH with QoS 0."""
    return PublishPacket.build(topic, data, None, dup_flag=False, qos=0, retain=retain).to_bytes()
