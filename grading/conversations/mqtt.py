"""MQTT: who connected and how, what was published and delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grading.conversations.conversation import Conversation, Decoder
from grading.observations import (
    MessageDelivered,
    MessagePublished,
    MqttConnected,
    MqttDisconnected,
    MqttWill,
    Subscribed,
)
from lab.wire import mqtt
from lab.wire.malformed import Malformed
from lab.wire.mqtt import Packet

if TYPE_CHECKING:
    from grading.flows import Flow

PATIENCE = 20.0
"""Seconds without PUBACK or PUBREC after which a message is reported as not acknowledged."""
MAX_PACKET = 1 << 18
MAX_PENDING = 4096
"""Messages of one connection that wait for their acknowledgment; then the oldest is reported."""
MAX_SUBSCRIPTIONS = 256
_FAILURE = 0x80

Pending = tuple[mqtt.Publish, str, float, tuple[int, ...]]


class MqttConversation(Conversation):
    """The client is who connected, whether it publishes or subscribes."""

    protocol = "mqtt"

    __slots__ = ("_aliases", "_connect", "_level", "_pending", "_said_goodbye", "_subscribing")

    def __init__(self, flow: Flow) -> None:
        self._level = 4
        self._connect: tuple[mqtt.Connect, tuple[int, ...]] | None = None
        self._pending: dict[int, Pending] = {}
        self._subscribing: dict[int, tuple[mqtt.Subscribe, tuple[int, ...]]] = {}
        self._aliases = {True: mqtt.TopicAliases(0), False: mqtt.TopicAliases(0)}
        """Of each side, by whether it is the client's."""
        self._said_goodbye = False
        super().__init__(flow)

    def decoder(self, by_client: bool) -> Decoder:
        return mqtt.Decoder(MAX_PACKET, self._level)

    def client_message(self, message: Packet, at: float, frames: tuple[int, ...]) -> None:
        kind = type(message)
        if kind is mqtt.Publish:
            assert isinstance(message, mqtt.Publish)
            topic = message.topic if self._level < 5 else self._topic(message, True, at, frames)
            if not message.qos:
                self._published(message, topic, at, frames, True)
                return
            pending = self._pending
            if message.packet_id in pending:
                # The client tries again, or has lost count; what it said before got no answer.
                if message.duplicate and pending[message.packet_id][0].payload == message.payload:
                    return
                self._published(*pending.pop(message.packet_id), False)
            elif len(pending) >= MAX_PENDING:
                self._published(*pending.pop(next(iter(pending))), False)
            pending[message.packet_id] = (message, topic, at, frames)
        elif kind is mqtt.Connect:
            assert isinstance(message, mqtt.Connect)
            self._level = message.level
            self._server = self.decoder(False)
            self._aliases[False] = mqtt.TopicAliases(message.properties.topic_alias_maximum or 0)
            self._connect = (message, frames)
        elif kind is mqtt.Subscribe:
            assert isinstance(message, mqtt.Subscribe)
            if len(self._subscribing) < MAX_SUBSCRIPTIONS:
                self._subscribing[message.packet_id] = (message, frames)
        elif kind is mqtt.Disconnect:
            self._said_goodbye = True

    def server_message(self, message: Packet, at: float, frames: tuple[int, ...]) -> None:
        kind = type(message)
        flow = self.flow
        if kind is mqtt.Puback or kind is mqtt.Pubrec:
            assert isinstance(message, (mqtt.Puback, mqtt.Pubrec))
            pending = self._pending.pop(message.packet_id, None)
            if pending is not None:
                publish, topic, published_at, publish_frames = pending
                accepted = message.reason < _FAILURE
                self._published(publish, topic, published_at, publish_frames + frames, accepted)
        elif kind is mqtt.Publish:
            assert isinstance(message, mqtt.Publish)
            topic = message.topic if self._level < 5 else self._topic(message, False, at, frames)
            flow.emit(
                MessageDelivered(
                    at,
                    flow.client,
                    flow.server,
                    flow.server_address,
                    frames,
                    topic,
                    message.payload,
                    message.qos,
                    message.retain,
                )
            )
        elif kind is mqtt.Connack:
            assert isinstance(message, mqtt.Connack)
            self._connected(message, at, frames)
        elif kind is mqtt.Suback:
            assert isinstance(message, mqtt.Suback)
            asked = self._subscribing.pop(message.packet_id, None)
            if asked is not None:
                granted = zip(asked[0].subscriptions, message.reasons, strict=False)
                filters = tuple((subscription.filter, int(reason)) for subscription, reason in granted)
                where = (at, flow.client, flow.server, flow.server_address, asked[1] + frames)
                flow.emit(Subscribed(*where, filters))

    def _topic(self, publish: mqtt.Publish, by_client: bool, at: float, frames: tuple[int, ...]) -> str:
        try:
            return self._aliases[by_client].topic(publish)
        except Malformed as malformed:
            self.complain(by_client, str(malformed), at, frames)
            return ""

    def _published(
        self, publish: mqtt.Publish, topic: str, at: float, frames: tuple[int, ...], acknowledged: bool
    ) -> None:
        flow = self.flow
        flow.emit(
            MessagePublished(
                at,
                flow.client,
                flow.server,
                flow.server_address,
                frames,
                topic,
                publish.payload,
                publish.qos,
                publish.retain,
                publish.duplicate,
                acknowledged,
            )
        )

    def _connected(self, connack: mqtt.Connack, at: float, frames: tuple[int, ...]) -> None:
        if self._connect is None:
            return
        connect, connect_frames = self._connect
        self._aliases[True] = mqtt.TopicAliases(connack.properties.topic_alias_maximum or 0)
        will = connect.will
        flow = self.flow
        flow.emit(
            MqttConnected(
                at,
                flow.client,
                flow.server,
                flow.server_address,
                connect_frames + frames,
                flow.opened_at,
                connack.properties.assigned_client_identifier or connect.client_id,
                connect.level,
                connect.clean_start,
                connect.keep_alive,
                connect.user_name or "",
                connect.password is not None,
                MqttWill(will.topic, will.payload, will.qos, will.retain) if will else None,
                connack.session_present,
                int(connack.reason),
            )
        )

    def sweep(self, now: float) -> None:
        pending = self._pending
        while pending:
            packet_id = next(iter(pending))
            oldest = pending[packet_id]
            if now - oldest[2] < PATIENCE:
                return
            del pending[packet_id]
            self._published(*oldest, False)

    def ended(self, at: float) -> None:
        pending, self._pending = self._pending, {}
        for each in pending.values():
            self._published(*each, False)
        if self._connect is not None:
            flow = self.flow
            connect, self._connect = self._connect[0], None
            flow.emit(
                MqttDisconnected(
                    at,
                    flow.client,
                    flow.server,
                    flow.server_address,
                    (),
                    flow.opened_at,
                    connect.client_id,
                    self._said_goodbye,
                )
            )
