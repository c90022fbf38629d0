"""WireGuard's handshake and packets: Noise_IKpsk2 over Curve25519, ChaCha20-Poly1305 and BLAKE2s, without time and wire.

Follows the protocol's paper (J. A. Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", section 5.4). Cookies
(section 5.4.7) are not in it: they are for servers under attack, and a peer that wants one gets none.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from lab.wire.malformed import Malformed

INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
"""Message types; three zero bytes follow each."""
_INITIATION: Final = struct.Struct("<II32s48s28s16s16s")
_RESPONSE: Final = struct.Struct("<III32s16s16s16s")
_DATA: Final = struct.Struct("<IIQ")
_TAG: Final = 16

_CHAIN: Final = hashlib.blake2s(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s").digest()
_HASH: Final = hashlib.blake2s(_CHAIN + b"WireGuard v1 zx2c4 Jason@zx2c4.com").digest()
_NO_MAC2: Final = bytes(16)
NO_PSK: Final = bytes(32)

RandomBytes = Callable[[int], bytes]

WINDOW: Final = 2048
"""Packets that may overtake one another (RFC 6479)."""
_WINDOW_MASK: Final = (1 << WINDOW) - 1
REJECT_AFTER_MESSAGES: Final = 2**64 - 2**13 - 1


class Unauthentic(Malformed):
    """The bytes have the form of a message, but whoever wrote them does not have the key."""


def generate_keys(random: RandomBytes) -> tuple[str, str]:
    """A private and a public key as people write them, in base64, from 32 random bytes."""
    private = random(32)
    return b64encode(private).decode(), b64encode(public_key(private)).decode()


def read_key(text: str) -> bytes:
    """The 32 bytes of a key in base64; raises ValueError."""
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("a WireGuard key is 32 bytes in base64, 44 characters")
    return key


def public_key(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _agree(private: bytes, public: bytes) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Unauthentic("a public key of low order") from None


def _mix(data: bytes, more: bytes) -> bytes:
    return hashlib.blake2s(data + more).digest()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.blake2s).digest()


def _derive(chain: bytes, data: bytes, count: int) -> list[bytes]:
    """The paper's KDF: HKDF with HMAC-BLAKE2s (RFC 5869)."""
    secret, outputs, latest = _hmac(chain, data), list[bytes](), b""
    for number in range(1, count + 1):
        latest = _hmac(secret, latest + bytes((number,)))
        outputs.append(latest)
    return outputs


def _seal(key: bytes, counter: int, plain: bytes, also: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(4) + counter.to_bytes(8, "little"), plain, also)


def _open(key: bytes, counter: int, sealed: bytes, also: bytes) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(4) + counter.to_bytes(8, "little"), sealed, also)
    except InvalidTag:
        raise Unauthentic("the authentication tag is wrong") from None


def mac1(receiver: bytes, message: bytes) -> bytes:
    """Shows that the sender knows the receiver's public key."""
    key = _mix(b"mac1----", receiver)
    return hashlib.blake2s(message, digest_size=16, key=key).digest()


def _with_macs(receiver: bytes, message: bytes) -> bytes:
    body = message[: -2 * _TAG]
    return body + mac1(receiver, body) + _NO_MAC2


def message_type(data: bytes) -> int:
    """1 to 4; raises Malformed."""
    sizes = {INITIATION: _INITIATION.size, RESPONSE: _RESPONSE.size, COOKIE: 64}
    kind = int.from_bytes(data[:4], "little")
    if len(data) < 4 or not INITIATION <= kind <= DATA:
        raise Malformed("no WireGuard message")
    if kind == DATA and len(data) < _DATA.size + _TAG:
        raise Malformed(f"a WireGuard data message has at least 32 bytes, here are {len(data)}")
    if kind != DATA and len(data) != sizes[kind]:
        raise Malformed(f"a WireGuard message of type {kind} has {sizes[kind]} bytes, here are {len(data)}")
    return kind


def receiver_of(data: bytes) -> int:
    """Whose index a response or a data message carries."""
    return int.from_bytes(data[8:12] if data[0] == RESPONSE else data[4:8], "little")


class ReplayWindow:
    """Which counters have been seen: each counts once, and what is too old not at all."""

    __slots__ = ("_greatest", "_seen")

    def __init__(self) -> None:
        self._greatest = -1
        self._seen = 0

    def take(self, counter: int) -> bool:
        """Whether this counter is new; from now on it is not."""
        ahead = counter - self._greatest
        if ahead > 0:
            self._seen = ((self._seen << ahead if ahead < WINDOW else 0) | 1) & _WINDOW_MASK
            self._greatest = counter
            return True
        if -ahead >= WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True


class Keys:
    """What two peers encrypt with after a handshake."""

    def __init__(self, own: int, remote: int, sending: bytes, receiving: bytes, *, is_initiator: bool, now: float):
        self.own, self.remote = own, remote
        """Indices by which each side tells the other's packets."""
        self.is_initiator = is_initiator
        self.born = now
        self.sent = 0
        self._sending, self._receiving = ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving)
        self._window = ReplayWindow()

    def seal(self, packet: bytes) -> bytes:
        """A data message; the packet is padded to 16 bytes so that its length tells less."""
        counter = self.sent
        self.sent += 1
        plain = packet + bytes(-len(packet) % 16)
        nonce = bytes(4) + counter.to_bytes(8, "little")
        return _DATA.pack(DATA, self.remote, counter) + self._sending.encrypt(nonce, plain, b"")

    def open(self, data: bytes) -> bytes:
        """The packet in a data message, padding included; raises Unauthentic, also for a replay."""
        _, _, counter = _DATA.unpack_from(data)
        if counter >= REJECT_AFTER_MESSAGES:
            raise Unauthentic("the counter has run out")
        try:
            plain = self._receiving.decrypt(bytes(4) + counter.to_bytes(8, "little"), data[_DATA.size :], b"")
        except InvalidTag:
            raise Unauthentic("the authentication tag is wrong") from None
        if not self._window.take(counter):  # only after the tag, or anybody could close the window
            raise Unauthentic("the packet has been here before")
        return plain


@dataclass(frozen=True, slots=True)
class Initiation:
    """An initiation as its sender remembers it."""

    message: bytes
    index: int
    ephemeral: bytes
    chain: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """An initiation as its receiver has opened it."""

    sender: int
    static: bytes
    """Who it is, by public key; that it is the one shows in the timestamp's tag."""
    timestamp: bytes
    """TAI64N: later ones compare greater."""
    ephemeral: bytes
    chain: bytes
    hash: bytes


def initiate(private: bytes, peer: bytes, index: int, timestamp: bytes, random: RandomBytes) -> Initiation:
    """Section 5.4.2; raises Unauthentic for a peer whose key is no key."""
    ephemeral = random(32)
    public = public_key(ephemeral)
    state = _mix(_mix(_HASH, peer), public)
    (chain,) = _derive(_CHAIN, public, 1)
    chain, key = _derive(chain, _agree(ephemeral, peer), 2)
    static = _seal(key, 0, public_key(private), state)
    state = _mix(state, static)
    chain, key = _derive(chain, _agree(private, peer), 2)
    sealed = _seal(key, 0, timestamp, state)
    message = _INITIATION.pack(INITIATION, index, public, static, sealed, b"", b"")
    return Initiation(_with_macs(peer, message), index, ephemeral, chain, _mix(state, sealed))


def hear(private: bytes, public: bytes, message: bytes) -> Heard:
    """Open an initiation; raises Unauthentic."""
    _, sender, ephemeral, static, sealed, mac, _ = _INITIATION.unpack(message)
    if not hmac.compare_digest(mac, mac1(public, message[: -2 * _TAG])):
        raise Unauthentic("mac1 is wrong: the sender does not know our public key")
    state = _mix(_mix(_HASH, public), ephemeral)
    (chain,) = _derive(_CHAIN, ephemeral, 1)
    chain, key = _derive(chain, _agree(private, ephemeral), 2)
    who = _open(key, 0, static, state)
    state = _mix(state, static)
    chain, key = _derive(chain, _agree(private, who), 2)
    timestamp = _open(key, 0, sealed, state)
    return Heard(sender, who, timestamp, ephemeral, chain, _mix(state, sealed))


def respond(heard: Heard, psk: bytes, index: int, random: RandomBytes, now: float) -> tuple[bytes, Keys]:
    """The answer to an initiation, and the keys that hold once its sender has used them (section 5.4.3)."""
    ephemeral = random(32)
    public = public_key(ephemeral)
    chain, state = _second_half(
        heard.chain, heard.hash, public, (_agree(ephemeral, heard.ephemeral), _agree(ephemeral, heard.static))
    )
    chain, mixed, key = _derive(chain, psk, 3)
    empty = _seal(key, 0, b"", _mix(state, mixed))
    message = _RESPONSE.pack(RESPONSE, index, heard.sender, public, empty, b"", b"")
    receiving, sending = _derive(chain, b"", 2)
    keys = Keys(index, heard.sender, sending, receiving, is_initiator=False, now=now)
    return _with_macs(heard.static, message), keys


def conclude(private: bytes, public: bytes, psk: bytes, initiation: Initiation, message: bytes, now: float) -> Keys:
    """The keys, from the answer to an own initiation; raises Unauthentic."""
    _, sender, _, ephemeral, empty, mac, _ = _RESPONSE.unpack(message)
    if not hmac.compare_digest(mac, mac1(public, message[: -2 * _TAG])):
        raise Unauthentic("mac1 is wrong: the sender does not know our public key")
    chain, state = _second_half(
        initiation.chain,
        initiation.hash,
        ephemeral,
        (_agree(initiation.ephemeral, ephemeral), _agree(private, ephemeral)),
    )
    chain, mixed, key = _derive(chain, psk, 3)
    _open(key, 0, empty, _mix(state, mixed))
    sending, receiving = _derive(chain, b"", 2)
    return Keys(initiation.index, sender, sending, receiving, is_initiator=True, now=now)


def _second_half(chain: bytes, state: bytes, ephemeral: bytes, agreed: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    for secret in (ephemeral, *agreed):
        (chain,) = _derive(chain, secret, 1)
    return chain, _mix(state, ephemeral)


def tai64n(unix_ns: int) -> bytes:
    """A timestamp as initiations carry it."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return (2**62 + 10 + seconds).to_bytes(8, "big") + rest.to_bytes(4, "big")
