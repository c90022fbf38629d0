"""The User-based Security Model at the authoritative end (RFC 3414), with HMAC-SHA-96, HMAC-SHA-256-192 and AES-128."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pyasn1.type import univ  # type: ignore[import-untyped]
from pysnmp.error import PySnmpError  # type: ignore[import-untyped]
from pysnmp.proto.secmod.rfc3414.auth.hmacsha import HmacSha  # type: ignore[import-untyped]
from pysnmp.proto.secmod.rfc3826.priv.aes import Aes  # type: ignore[import-untyped]
from pysnmp.proto.secmod.rfc7860.auth.hmacsha2 import HmacSha2  # type: ignore[import-untyped]

from devices.snmp import messages
from devices.snmp.config import Access, User
from devices.snmp.messages import AUTHENTICATED, ENCRYPTED, Secured

WINDOW: Final = 150
"""Seconds (RFC 3414 section 2.2.3)."""
BOOTS_EXHAUSTED: Final = 2**31 - 1
_AUTHENTICATION: Final[dict[str, Any]] = {"sha": HmacSha(), "sha256": HmacSha2(HmacSha2.SHA256_SERVICE_ID)}


class Insecure(Exception):
    """A message is not accepted; `statistic` names the counter that says why."""

    def __init__(self, statistic: str) -> None:
        super().__init__(statistic)
        self.statistic = statistic


@lru_cache(maxsize=64)
def _key(auth: str, password: str, engine: bytes) -> bytes:
    service = _AUTHENTICATION[auth]
    master = service.hash_passphrase(univ.OctetString(password.encode()))
    return bytes(service.localize_key(master, univ.OctetString(engine)))


@dataclass(frozen=True, slots=True)
class _Keys:
    service: Any
    authentication: bytes
    encryption: bytes
    access: Access


class Usm:
    """The users of one engine."""

    def __init__(self, engine: bytes, users: Iterable[User], first_salt: int) -> None:
        self.engine = engine
        self._keys = {
            each.user.encode(): _Keys(
                _AUTHENTICATION[each.auth],
                _key(each.auth, each.auth_password, engine),
                _key(each.auth, each.priv_password, engine)[: Aes.KEY_SIZE],
                each.access,
            )
            for each in users
        }
        self._aes = Aes()
        self._aes.local_int = first_salt

    def check(self, message: Secured, whole: bytes, boots: int, seconds: int) -> bytes:
        """The scoped PDU of a request, in clear; raises Insecure (RFC 3414 section 3.2)."""
        if message.engine != self.engine:
            raise Insecure("unknown_engines")
        keys = self._keys.get(message.user)
        if keys is None:
            raise Insecure("unknown_users")
        if not message.flags & AUTHENTICATED:
            return message.scoped
        self._authenticate(keys, message, whole)
        if boots >= BOOTS_EXHAUSTED or message.boots != boots or abs(message.time - seconds) > WINDOW:
            raise Insecure("outside_window")
        if not message.flags & ENCRYPTED:
            return message.scoped
        try:
            return bytes(
                self._aes.decrypt_data(
                    univ.OctetString(keys.encryption),
                    (message.boots, message.time, list(message.salt)),
                    univ.OctetString(message.scoped),
                )
            )
        except PySnmpError:
            raise Insecure("decryption_errors") from None

    @staticmethod
    def _authenticate(keys: _Keys, message: Secured, whole: bytes) -> None:
        try:
            keys.service.authenticate_incoming_message(
                univ.OctetString(keys.authentication), univ.OctetString(message.digest), whole
            )
        except PySnmpError:
            raise Insecure("wrong_digests") from None

    def access(self, user: bytes) -> Access:
        return self._keys[user].access

    def seal(self, message: Secured) -> bytes:
        """The message as bytes, encrypted and authenticated as its flags say."""
        if not message.flags & AUTHENTICATED:
            return messages.encode_secured(message)
        keys = self._keys[message.user]
        if message.flags & ENCRYPTED:
            data, salt = self._aes.encrypt_data(
                univ.OctetString(keys.encryption), (message.boots, message.time, None), message.scoped
            )
            message = message._replace(scoped=bytes(data), salt=bytes(salt))
        unsigned = messages.encode_secured(message._replace(digest=bytes(keys.service.digest_length)))
        return bytes(keys.service.authenticate_outgoing_message(univ.OctetString(keys.authentication), unsigned))
