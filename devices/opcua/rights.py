"""Who may do what with which node of a server.

asyncua's own user manager lets "admin" in with any password and its rights are per node, not per user.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from lab.network.appliance import Value

ANONYMOUS: Final = "anonymous"
_READ, _READ_WRITE = 1, 3
"""Values of the AccessLevel attributes."""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A variable that clients may write."""

    kind: ua.VariantType
    accept: Callable[[Any], int | None]
    """Takes it on, and may say how that went as a status code."""
    least: float = -math.inf
    most: float = math.inf

    def judge(self, value: Any) -> int:
        """Whether the machine takes it, as a status code."""
        if isinstance(value, float) and not math.isfinite(value):
            return int(StatusCodes.BadOutOfRange)
        if isinstance(value, (int, float)) and not self.least <= value <= self.most:
            return int(StatusCodes.BadOutOfRange)
        return int(StatusCodes.Good)


@dataclass(slots=True)
class Rights:
    """Who may do what with which node."""

    passwords: Mapping[str, str]
    """By user; nobody else gets in."""
    anonymous: bool
    """Whether one gets in without a name."""
    writers: frozenset[str]
    """Users who may write set-points and call what is restricted."""
    private: set[ua.NodeId] = field(default_factory=set)
    """Nodes closed to those without a name."""
    setpoints: dict[ua.NodeId, Setpoint] = field(default_factory=dict)
    restricted: set[ua.NodeId] = field(default_factory=set)
    """Methods that only writers may call."""

    def user(self, name: str | None, password: str | None) -> User | None:
        """The user these credentials belong to, or None."""
        if not name:
            return User(UserRole.User, ANONYMOUS) if self.anonymous else None
        expected = self.passwords.get(name)
        if expected is None or not hmac.compare_digest(expected.encode(), (password or "").encode()):
            return None
        return User(UserRole.User, name)

    def may_read(self, user: User, item: ua.ReadValueId) -> bool:
        hidden = user.name == ANONYMOUS and item.AttributeId == AttributeIds.Value
        return not (hidden and item.NodeId in self.private)

    def may_call(self, user: User, method: ua.NodeId) -> bool:
        return method not in self.restricted or user.name in self.writers

    def access_level(self, user: User, node: ua.NodeId) -> int:
        """What the UserAccessLevel attribute of one of our variables says to this user."""
        if node in self.setpoints and user.name in self.writers:
            return _READ_WRITE
        return 0 if user.name == ANONYMOUS and node in self.private else _READ

    def write(self, user: User, item: ua.WriteValue) -> int:
        """Do what a client asks, and the status code of it."""
        if item.NodeId not in self.setpoints or item.AttributeId != AttributeIds.Value:
            return StatusCodes.BadNotWritable
        if user.name not in self.writers:
            return StatusCodes.BadUserAccessDenied
        if item.IndexRange:
            return StatusCodes.BadIndexRangeNoData
        data, setpoint = item.Value, self.setpoints[item.NodeId]
        if data.StatusCode is not None and data.StatusCode.value:
            # OPC 10000-4 section 5.11.4.2: a server that takes no status codes says so. Timestamps are its own anyway.
            return StatusCodes.BadWriteNotSupported
        variant = data.Value
        if variant is None or variant.VariantType != setpoint.kind or variant.is_array:
            return StatusCodes.BadTypeMismatch
        code = setpoint.judge(variant.Value)
        return setpoint.accept(variant.Value) or code if code == StatusCodes.Good else code


def named(written: Callable[[str, Value], int | None], name: str) -> Callable[[Value], int | None]:
    """A set-point's `accept` that tells its name."""
    return lambda value: written(name, value)
