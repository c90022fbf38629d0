"""Who somebody is, and what they may do to a record: HS_SECKEY, HS_ADMIN and HS_VLIST (RFC 3651, section 3.2)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote

from devices.identification.failure import failure
from devices.identification.store import Store, Stored
from lab.text import Text
from lab.wire.handles import (
    ALL_PERMISSIONS,
    Code,
    Handle,
    Permission,
    Reference,
    permissions_of,
    reference_of,
)
from lab.wire.malformed import Malformed

NOT_BASIC: Final = Text(
    zh="认证方式应为 Basic，用户名 index:handle 中的冒号写作 %3A",
    en="authentication is Basic, and the user name index:handle has its colon written as %3A",
)
NOT_KNOWN: Final = Text(zh="没有管理员 {who}", en="there is no administrator {who}")
WRONG_SECRET: Final = Text(zh="{who} 的密钥错误", en="wrong secret key for {who}")
PLEASE_AUTHENTICATE: Final = Text(zh="此操作需要认证", en="this needs authentication")
NO_ADMIN: Final = Text(zh="{who} 不是 {handle} 的管理员", en="{who} is no administrator of {handle}")
NOT_ALLOWED: Final = Text(zh="{who} 对 {handle} 没有权限 {needed}", en="{who} has no permission {needed} on {handle}")
NOT_OF_THE_NODE: Final = Text(zh="{who} 不是本节点的管理员", en="{who} is no administrator of this node")

_DEEPEST_GROUP: Final = 5


class Authority:
    """Judges by the records of this node."""

    def __init__(self, store: Store, admins: Iterable[Reference]) -> None:
        self._store = store
        self.admins = list(admins)
        """Of the node: they may do everything."""

    def authenticate(self, header: str) -> Reference | None:
        """Who sends this Authorization header (RFC 7617); None without one. Raises Failure."""
        if not header:
            return None
        scheme, _, credentials = header.partition(" ")
        try:
            if scheme.lower() != "basic":
                raise ValueError(scheme)
            user, colon, secret = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
            who = Reference.parse(unquote(user))
            if not colon:
                raise ValueError(user)
        except (ValueError, binascii.Error, Malformed):
            raise failure(Code.AUTHENTICATION_ERROR, NOT_BASIC) from None
        keys = [
            stored.value.text
            for stored in self._store.record(who.handle)
            if stored.value.type.upper() == "HS_SECKEY" and who.index in (0, stored.value.index)
        ]
        if not keys:
            raise failure(Code.INVALID_CREDENTIAL, NOT_KNOWN, who=who)
        if not any(hmac.compare_digest(secret.encode(), key.encode()) for key in keys):
            raise failure(Code.AUTHENTICATION_FAILED, WRONG_SECRET, who=who)
        return who

    def allow(self, who: Reference | None, handle: Handle, record: Sequence[Stored], needed: Permission) -> None:
        """Raises Failure where they may not do all of this to the record."""
        if who is None:
            raise failure(Code.AUTHENTICATION_NEEDED, PLEASE_AUTHENTICATE)
        has = self.permissions(who, record)
        if not has:
            raise failure(Code.INVALID_ADMIN, NO_ADMIN, who=who, handle=handle)
        if missing := needed & ~has:
            raise failure(
                Code.INSUFFICIENT_PERMISSIONS, NOT_ALLOWED, who=who, handle=handle, needed=missing.name or missing.value
            )

    def allow_node(self, who: Reference | None) -> Reference:
        """Raises Failure for anybody but an administrator of the node."""
        if who is None:
            raise failure(Code.AUTHENTICATION_NEEDED, PLEASE_AUTHENTICATE)
        if not self._is_among(who, self.admins):
            raise failure(Code.INVALID_ADMIN, NOT_OF_THE_NODE, who=who)
        return who

    def permissions(self, who: Reference, record: Iterable[Stored]) -> Permission:
        """What they may do, by the record's own administrators or as one of the node's."""
        if self._is_among(who, self.admins):
            return ALL_PERMISSIONS
        has = Permission(0)
        for stored in record:
            if stored.value.is_admin and self._is_among(who, [reference_of(stored.value.data)]):
                has |= permissions_of(stored.value)
        return has

    def _is_among(self, who: Reference, admins: Iterable[Reference], depth: int = 0) -> bool:
        """Whether they are named, or are in a group that is."""
        for admin in admins:
            if admin.covers(who):
                return True
            if depth == _DEEPEST_GROUP:
                continue
            for stored in self._store.record(admin.handle):
                value = stored.value
                if value.type.upper() != "HS_VLIST" or admin.index not in (0, value.index):
                    continue
                if self._is_among(who, map(reference_of, value.data), depth + 1):
                    return True
        return False
