"""Whether a wireless client and an access point come to an agreement: kind of security, and the key of a passphrase."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from lab.text import Text

Security = Literal["open", "wpa2", "wpa3", "wpa2-wpa3"]
_SPEAKS: Final[dict[Security, set[Security]]] = {
    "open": {"open"},
    "wpa2": {"wpa2"},
    "wpa3": {"wpa3"},
    "wpa2-wpa3": {"wpa2", "wpa3"},
}

WRONG_KEY: Final = Text(zh="{ssid}：四次握手失败，密码不正确", en="{ssid}: the 4-way handshake fails, wrong passphrase")
OTHER_SECURITY: Final = Text(
    zh="{ssid}：对方要求 {theirs}，本机为 {mine}", en="{ssid} asks for {theirs}, this one is set to {mine}"
)


class Credentials(NamedTuple):
    security: Security
    passphrase: str


@lru_cache(maxsize=256)
def pairwise_master_key(passphrase: str, ssid: str) -> bytes:
    """IEEE 802.11 annex J.4: the key that passphrase and network name make."""
    return hashlib.pbkdf2_hmac("sha1", passphrase.encode(), ssid.encode(), 4096, 32)


def agree(ssid: str, mine: Credentials, theirs: Credentials) -> Text | None:
    """None where both end up with the same key, else what stands between them.

    The outcome of the 4-way handshake is that of its second message: its check is right where both have the same
    pairwise master key. WPA3 proves the same of the passphrase by another exchange.
    """
    if not _SPEAKS[mine.security] & _SPEAKS[theirs.security]:
        return OTHER_SECURITY
    if mine.security == "open":
        return None
    keys = {pairwise_master_key(each.passphrase, ssid) for each in (mine, theirs)}
    return None if len(keys) == 1 else WRONG_KEY
