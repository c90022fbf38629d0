"""$SYS: what the broker says of itself, under the names that mosquitto gives these topics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.broker.messages import MessageBroker

VERSION = b"iiotlab"


class SysTopics:
    """Published every so often while anybody listens, and to whoever subscribes."""

    def __init__(self, broker: MessageBroker, interval: float) -> None:
        self._broker = broker
        self._interval = interval
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._began = asyncio.get_running_loop().time()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wanted(self) -> None:
        """Somebody has subscribed."""
        if self._timer is None and self._interval:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tell)

    def values(self) -> list[tuple[str, bytes]]:
        """All topics as they are now."""
        if not self._interval:
            return []
        broker = self._broker
        sessions = [session for session, _ in broker.sessions.values()]
        connected = sum(session.transitions.state == "connected" for session in sessions)
        numbers = {
            "clients/connected": connected,
            "clients/disconnected": len(sessions) - connected,
            "clients/total": len(sessions),
            "publish/messages/received": broker.received,
            "publish/messages/sent": broker.postage.sent,
            "publish/messages/dropped": broker.postage.dropped,
            "subscriptions/count": sum(map(len, broker.subscriptions.values())),
            "retained messages/count": len(broker.retained_messages),
        }
        uptime = asyncio.get_running_loop().time() - self._began
        return [
            ("$SYS/broker/version", VERSION),
            ("$SYS/broker/uptime", b"%d seconds" % uptime),
            *((f"$SYS/broker/{name}", b"%d" % number) for name, number in numbers.items()),
        ]

    def _tell(self) -> None:
        self._timer = None
        if any(topic_filter.startswith("$SYS") for topic_filter in self._broker.subscriptions):
            for topic, value in self.values():
                self._broker.publish(topic, value, 0)
            self.wanted()
