"""Who gets which message, and what is kept of whom: amqtt's tables of sessions, subscriptions and retained messages.

amqtt puts every message into a queue, walks through all filters for each and starts a task for each receiver. Here a
message goes to the outboxes of its receivers at once, so that order is kept without anybody waiting, and who they are
is remembered by topic until a subscription changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from amqtt.broker import AMQTT_MAGIC_VALUE_RET_SUBSCRIBED, Broker, RetainedApplicationMessage
from amqtt.contexts import Action
from amqtt.mqtt.protocol.broker_handler import Subscription, UnSubscription
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.session import IncomingApplicationMessage, Session

from gateway.broker.access import Access
from gateway.broker.config import BrokerConfig
from gateway.broker.outbox import Outbox, Outgoing, Postage, encode
from gateway.broker.store import Store
from gateway.broker.sys_topics import SysTopics
from gateway.topics import matches
from lab.clock import now_ns

if TYPE_CHECKING:
    from gateway.broker.handler import Handler

_OUTBOX = "iiotlab.outbox"
_TOPICS_REMEMBERED = 2048


class MessageBroker(Broker):
    """The broker but for its connections."""

    def __init__(self, config: BrokerConfig, amqtt_config: dict[str, Any]) -> None:
        super().__init__(amqtt_config)
        self.access = Access(config)
        self.limits = config.limits
        self.postage = Postage(config.limits, None)
        self.received = 0
        """PUBLISH packets taken from clients."""
        self.not_retained = 0
        """Messages for which there was no room among the retained."""
        self.sessions_dropped = 0
        """Sessions of absent clients for which there was no room."""
        self.sys = SysTopics(self, config.sys_interval_s)
        self._receivers: dict[str, list[tuple[Outbox, int]]] = {}
        """Who gets messages to a topic and with which QoS, until subscriptions or rules change."""
        self._counts: dict[str, int] = {}
        """Subscriptions by client."""
        self._retained_bytes = 0
        self._away: dict[str, asyncio.TimerHandle | None] = {}
        """Clients of lasting sessions that are not there, the longest absent first, and when they are forgotten."""
        self._discarding: set[asyncio.Task[None]] = set()

    # -- subscriptions -----------------------------------------------------------------------------------------------

    async def subscribe(self, handler: Handler, request: Subscription) -> None:
        session = handler.session
        assert session is not None
        codes = [await self.add_subscription(subscription, session) for subscription in request.topics]
        await handler.mqtt_acknowledge_subscription(request.packet_id, codes)
        for (topic_filter, _), code in zip(request.topics, codes, strict=True):
            if code != AMQTT_MAGIC_VALUE_RET_SUBSCRIBED:
                handler.outbox.retained(topic_filter, self._kept_for(session, topic_filter, code))

    async def unsubscribe(self, handler: Handler, request: UnSubscription) -> None:
        session = handler.session
        assert session is not None
        for topic_filter in request.topics:
            self._del_subscription(topic_filter, session)
            handler.outbox.forget(topic_filter)
        await handler.mqtt_acknowledge_unsubscription(request.packet_id)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, client_id = subscription[0], session.client_id or ""
        # MQTT-3.8.4-3: a second subscription to the same filter replaces the first.
        was_there = self._del_subscription(topic_filter, session)
        if not was_there and self._counts.get(client_id, 0) >= self.limits.max_subscriptions:
            return AMQTT_MAGIC_VALUE_RET_SUBSCRIBED
        code = await super().add_subscription(subscription, session)
        if code != AMQTT_MAGIC_VALUE_RET_SUBSCRIBED:
            self._counts[client_id] = self._counts.get(client_id, 0) + 1
            self._receivers.clear()
            if store := self.store_of(session):
                store.put_subscription(client_id, topic_filter, code)
            if topic_filter.startswith("$SYS"):
                self.sys.wanted()
        return code

    def _del_subscription(self, a_filter: str, session: Session) -> int:
        deleted = super()._del_subscription(a_filter, session)
        if deleted:
            client_id = session.client_id or ""
            self._receivers.clear()
            self._counts[client_id] -= 1
            if not self._counts[client_id]:
                del self._counts[client_id]
            if not self._subscriptions[a_filter]:
                del self._subscriptions[a_filter]
            if store := self.store_of(session):
                store.drop_subscription(client_id, a_filter)
        return deleted

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        return self.access.permits(session.username, session.client_id, action.value, topic)

    # -- messages ----------------------------------------------------------------------------------------------------

    def take(self, session: Session, topic: str, data: bytes, qos: int, *, retain: bool) -> None:
        """A message from a client; one that it may not publish goes nowhere (MQTT-3.3.5-2)."""
        if self._may_publish(session, topic):
            self.publish(topic, data, qos)
            if retain:
                self._retain(topic, data, qos)

    def _may_publish(self, session: Session, topic: str) -> bool:
        # MQTT-4.7.2-1: topics beginning with $ are the broker's own.
        return not topic.startswith("$") and self.access.permits(session.username, session.client_id, "publish", topic)

    def publish(self, topic: str, data: bytes, qos: int) -> None:
        """Give a message to everybody who wants it."""
        packet = b""
        for outbox, granted in self._receivers_of(topic):
            if lower := min(qos, granted):  # MQTT-3.8.4-6
                outbox.put(topic, data, lower)
            else:
                packet = packet or encode(topic, data)
                outbox.pass_on(packet)

    def _receivers_of(self, topic: str) -> list[tuple[Outbox, int]]:
        found = self._receivers.get(topic)
        if found is None:
            # MQTT-3.3.5-1: who subscribed several times to it gets one message, with the highest of those QoS.
            best: dict[str, tuple[Session, int]] = {}
            for topic_filter, subscriptions in self._subscriptions.items():
                if not matches(topic_filter, topic):
                    continue
                for session, qos in subscriptions:
                    client_id = session.client_id or ""
                    if client_id not in best or best[client_id][1] < qos:
                        best[client_id] = (session, qos)
            found = [
                (self._outbox(session), qos)
                for client_id, (session, qos) in best.items()
                if self.access.permits(session.username, client_id, "receive", topic)
            ]
            if len(self._receivers) >= _TOPICS_REMEMBERED:
                self._receivers.clear()
            self._receivers[topic] = found
        return found

    def _retain(self, topic: str, data: bytes, qos: int) -> None:
        kept, limits = self._retained_messages, self.limits
        older = kept.get(topic)
        size = self._retained_bytes - (len(older.topic) + len(older.data) if older else 0)
        if data:
            if size + len(topic) + len(data) > limits.max_retained_bytes or (
                older is None and len(kept) >= limits.max_retained
            ):
                self.not_retained += 1
                return
            size += len(topic) + len(data)
            kept[topic] = RetainedApplicationMessage(None, topic, data, qos)
            if self.postage.store is not None:
                self.postage.store.put_retained(topic, qos, data)
        elif older is not None:
            del kept[topic]  # MQTT-3.3.1-10
            if self.postage.store is not None:
                self.postage.store.drop_retained(topic)
        self._retained_bytes = size

    def _kept_for(self, session: Session, topic_filter: str, qos: int) -> Iterator[tuple[str, bytes, int]]:
        """What is retained for a filter, by and by."""
        if topic_filter.startswith("$"):
            yield from ((topic, data, 0) for topic, data in self.sys.values() if matches(topic_filter, topic))
        for topic in [topic for topic in self._retained_messages if matches(topic_filter, topic)]:
            message = self._retained_messages.get(topic)
            if message is not None and self.access.permits(session.username, session.client_id, "receive", topic):
                yield topic, bytes(message.data), min(qos, message.qos or 0)

    # What amqtt itself has to say are wills; a client may leave one only where it may publish.

    async def _broadcast_message(
        self, session: Session | None, topic: str | None, data: bytes | bytearray | None, force_qos: int | None = None
    ) -> None:
        if topic is not None and (session is None or self._may_publish(session, topic)):
            self.publish(topic, bytes(data or b""), force_qos or 0)

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        if topic_name is not None and (source_session is None or self._may_publish(source_session, topic_name)):
            self._retain(topic_name, bytes(data or b""), qos or 0)

    # -- sessions ----------------------------------------------------------------------------------------------------

    def store_of(self, session: Session) -> Store | None:
        """Where to keep what becomes of this session; None where nothing of it is kept."""
        return None if session.clean_session else self.postage.store

    def _outbox(self, session: Session) -> Outbox:
        outbox = session.attributes.get(_OUTBOX)
        if outbox is None:
            outbox = session.attributes[_OUTBOX] = Outbox(session, self.postage)
        return cast("Outbox", outbox)

    async def _delete_session(self, client_id: str) -> None:
        await self._cleanup_session(client_id)

    async def _cleanup_session(self, client_id: str) -> None:
        kept = self._sessions.get(client_id)
        if kept is None:
            return
        self._is_back(kept[0])
        await super()._cleanup_session(client_id)
        if store := self.store_of(kept[0]):
            store.drop_session(client_id)

    async def _del_all_subscriptions(self, session: Session) -> None:
        for topic_filter in [name for name, all_ in self._subscriptions.items() if any(s == session for s, _ in all_)]:
            self._del_subscription(topic_filter, session)

    def _leave(self, session: Session) -> None:
        """The client of a lasting session has gone; it is kept, within limits."""
        client_id, limits = session.client_id or "", self.limits
        if store := self.store_of(session):
            store.put_session(client_id, session.username, now_ns() / 1e9)
        self._keep_for(session, limits.session_expiry_s)
        while len(self._away) > limits.max_sessions:
            longest, _ = next(iter(self._away.items()))
            self.sessions_dropped += 1
            self._discard(longest)

    def _keep_for(self, session: Session, seconds: float) -> None:
        """Keep the session of a client that is away for so long; 0: for ever."""
        client_id = session.client_id or ""
        loop = asyncio.get_running_loop()
        self._away[client_id] = loop.call_later(seconds, self._discard, client_id) if seconds else None

    def _is_back(self, session: Session) -> None:
        if timer := self._away.pop(session.client_id or "", None):
            timer.cancel()

    def _discard(self, client_id: str) -> None:
        self._away.pop(client_id, None)
        task = asyncio.get_running_loop().create_task(self._forget_absent(client_id))
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)

    async def _forget_absent(self, client_id: str) -> None:
        session = self._sessions.get(client_id, (None, None))[0]
        if session is not None and session.transitions.state == "disconnected":  # it may be back by now
            await self._cleanup_session(client_id)

    async def _restore(self, store: Store) -> None:
        """Take up what lies on the disk."""
        for topic, qos, data in store.retained():
            self._retained_messages[topic] = RetainedApplicationMessage(None, topic, data, qos)
            self._retained_bytes += len(topic) + len(data)
        present, expiry = now_ns() / 1e9, self.limits.session_expiry_s
        for kept in store.sessions():
            absent = present - (kept.left_at or present)
            if expiry and absent >= expiry:
                store.drop_session(kept.client)
                continue
            handler, session = self.create_offline_session(kept.client)
            session.clean_session, session.username = False, kept.username
            self._sessions[kept.client] = (session, handler)
            for topic_filter, qos in kept.subscriptions:
                self._subscriptions.setdefault(topic_filter, []).append((session, qos))
                self._counts[kept.client] = self._counts.get(kept.client, 0) + 1
            self._keep_for(session, expiry and expiry - absent)
        last = 0
        for number, client, packet_id, is_received, topic, qos, retain, data in store.outgoing():
            last = number
            if client in self._sessions:
                message = Outgoing(topic, data, qos, bool(retain), number)
                message.packet_id = packet_id
                message.pubrec_packet = PubrecPacket.build(packet_id) if packet_id and is_received else None
                self._outbox(self._sessions[client][0]).restore(message)
        self.postage.numbers = count(last + 1)
        for client, packet_id, topic, retain, data in store.incoming():
            if client in self._sessions:
                message_in = IncomingApplicationMessage(packet_id, topic, 2, data, bool(retain))
                self._sessions[client][0].inflight_in[packet_id] = message_in
        store.commit()

    async def _session_monitor(self) -> None:
        """Nothing to look for every second: sessions end with their connection, or have a timer."""
