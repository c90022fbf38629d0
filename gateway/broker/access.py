"""Who may log in, and what they may publish and receive."""

from __future__ import annotations

import hmac
from typing import Literal

from gateway.broker.config import BrokerConfig
from gateway.topics import covers, matches

Action = Literal["publish", "subscribe", "receive"]


class Access:
    """The rules of a broker, as its configuration gives them."""

    def __init__(self, config: BrokerConfig) -> None:
        self._config = config

    def admits(self, username: str | None, password: bytes | None) -> bool:
        if username is None:
            return self._config.allow_anonymous
        user = self._config.users.get(username)
        return user is not None and hmac.compare_digest(user.password.encode(), password or b"")

    def permits(self, username: str | None, action: Action, topic: str) -> bool:
        """Whether this user may publish to or receive from a topic, or subscribe to a filter."""
        if not self._config.acl:
            return True
        needed = "write" if action == "publish" else "read"
        fits = covers if action == "subscribe" else matches
        allowed = False
        for rule in self._config.acl:
            if rule.user not in (None, username) or not fits(rule.topic, topic):
                continue
            if rule.access == "deny":
                return False
            allowed = allowed or rule.access in (needed, "readwrite")
        return allowed
