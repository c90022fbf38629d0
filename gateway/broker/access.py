"""Who may log in, and what they may publish and receive."""

from __future__ import annotations

from typing import Literal

from gateway.broker.config import BrokerConfig, Rule
from gateway.broker.passwords import is_right
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
        return user is not None and is_right(user.password, password)

    def permits(self, username: str | None, client_id: str | None, action: Action, topic: str) -> bool:
        """Whether this client may publish to or receive from a topic, or subscribe to a filter."""
        if not self._config.acl:
            return True
        needed = "write" if action == "publish" else "read"
        fits = covers if action == "subscribe" else matches
        allowed = False
        for rule in self._config.acl:
            if rule.user not in (None, username):
                continue
            pattern = _filled_in(rule, username, client_id)
            if pattern is None or not fits(pattern, topic):
                continue
            if rule.access == "deny":
                return False
            allowed = allowed or rule.access in (needed, "readwrite")
        return allowed


def _filled_in(rule: Rule, username: str | None, client_id: str | None) -> str | None:
    """The filter of a rule for one client; None where it does not apply to them."""
    pattern = rule.topic
    if "%" not in pattern:
        return pattern
    levels = pattern.split("/")
    for place, level in enumerate(levels):
        if level not in ("%u", "%c"):
            continue
        name = username if level == "%u" else client_id
        if not name or any(character in name for character in "+#/"):
            # A name that is itself a pattern would open every topic; it opens none, and closes all it might mean.
            return "#" if rule.access == "deny" and name else None
        levels[place] = name
    return "/".join(levels)
