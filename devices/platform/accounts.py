"""What each role may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from devices.platform.config import Role
from devices.web.accounts import Session
from devices.web.reasons import refusal
from lab.text import Text

FORBIDDEN: Final = Text(zh="{user} 的角色是 {role}，此操作需要 {needed}", en="{user} is {role}; this needs {needed}")

RANK: Final[Mapping[str, int]] = {"viewer": 0, "operator": 1, "admin": 2}


def allow(session: Session[Role], needed: Role) -> None:
    """Raises Refused."""
    if RANK[session.role] < RANK[needed]:
        raise refusal("forbidden", FORBIDDEN, user=session.user, role=session.role, needed=needed)
