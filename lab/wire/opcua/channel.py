"""OPC UA messages out of a stream of bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.wire.malformed import Malformed
from lab.wire.opcua.codec import BYTE_STRING, STRING, UINT32, Reader
from lab.wire.opcua.common import MessageSecurityMode
from lab.wire.opcua.service import decode_service
from lab.wire.opcua.structure import CODECS, SERVICES
from lab.wire.opcua.transport import (
    HEADER,
    NONE,
    TWO_NUMBERS,
    UNSECURED,
    Abort,
    Error,
    Kind,
    Message,
    Opaque,
    Open,
    Transported,
)

SIGNATURE_SIZES = {
    # Of a symmetric chunk, in bytes (OPC 10000-7 section 6.6): HMAC-SHA1 or HMAC-SHA256.
    "http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15": 20,
    "http://opcfoundation.org/UA/SecurityPolicy#Basic256": 20,
    "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256": 32,
    "http://opcfoundation.org/UA/SecurityPolicy#Aes128_Sha256_RsaOaep": 32,
    "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss": 32,
}
_SECURED = {kind.value for kind in Kind}
_READABLE = {MessageSecurityMode.NONE, MessageSecurityMode.SIGN}
_WRAPS_ABOVE = 0xFFFF_FFFF - 1024
_MAX_POLICY_URI = 255


@dataclass(slots=True)
class _Begun:
    """A message whose last chunk is still to come."""

    sequence_number: int
    parts: list[bytes] = field(default_factory=list)


class ChannelDecoder:
    """One direction of one connection.

    What is encrypted comes out as Opaque chunks. A channel that only signs is told from one that encrypts by whether
    the content of its first chunk begins like a known service; it is then read, its signatures unverified.
    """

    def __init__(self, max_message: int = 16 << 20, max_chunks: int = 4096) -> None:
        self.policy_uri: str | None = None
        """Of the last OPN in this direction."""
        self.mode: MessageSecurityMode | None = None
        """What the messages have been found to be; None as long as none has come, or none that could tell."""
        self._max_message = max_message
        self._max_chunks = max_chunks
        self._received = bytearray()
        self._wanted = 0
        self._broken: str | None = None
        self._signature_size = 0
        self._sequence_number: int | None = None
        self._begun: dict[int, _Begun] = {}
        self._begun_size = 0
        self._begun_chunks = 0

    def feed(self, data: bytes) -> Iterator[Transported]:
        """The messages these bytes complete; then raises Malformed if the next breaks a rule, and ever after.

        Holds at most `max_message` bytes of unfinished messages and as many of an unfinished chunk: more is Malformed.
        """
        if self._broken is not None:
            raise Malformed(self._broken)
        if self._received:
            self._received += data
            if len(self._received) < self._wanted:
                return iter(())
            data = bytes(self._received)
            self._received.clear()
        messages: list[Transported] = []
        try:
            self._received += data[self._decode(data, messages) :]
        except Malformed as malformed:
            self._broken = str(malformed)
            return _until_broken(messages, malformed)
        return iter(messages)

    def _decode(self, data: bytes, messages: list[Transported]) -> int:
        """Append what the whole chunks in data complete and return where the first unfinished one begins."""
        at = 0
        self._wanted = HEADER.size
        while len(data) - at >= HEADER.size:
            kind, chunk_type, size = HEADER.unpack_from(data, at)
            if kind not in _SECURED and kind not in UNSECURED:
                raise Malformed(f"message type {kind!r} [OPC 10000-6 section 7.1.2.2]")
            if not HEADER.size <= size <= self._max_message:
                raise Malformed(f"a chunk of {size} bytes, {self._max_message} are allowed here")
            if chunk_type != b"F" and (kind != b"MSG" or chunk_type not in b"CA"):
                raise Malformed(f"chunk type {chunk_type!r} of a {kind.decode()} [OPC 10000-6 section 6.7.2.2]")
            if len(data) - at < size:
                self._wanted = size
                break
            rest = data[at + HEADER.size : at + size]
            at += size
            try:
                message = self._chunk(kind, chunk_type, rest)
            except struct.error:
                raise Malformed(f"a {kind.decode()} chunk of {size} bytes ends early") from None
            if message is not None:
                messages.append(message)
        return at

    def _chunk(self, kind: bytes, chunk_type: bytes, rest: bytes) -> Transported | None:
        if kind in UNSECURED:
            return UNSECURED[kind](rest)
        if kind == b"OPN":
            return self._open(rest)
        channel_id, token_id = TWO_NUMBERS.unpack_from(rest)
        payload = rest[TWO_NUMBERS.size :]
        if self.mode is None:
            self._judge(payload)
        if self.mode not in _READABLE:
            return Opaque(Kind(kind), chunk_type.decode(), channel_id, token_id, self.policy_uri, payload)
        sequence_number, request_id = self._sequence(payload)
        content = payload[TWO_NUMBERS.size : len(payload) - self._signature_size]
        if chunk_type == b"A":
            self._forget(request_id)
            error = CODECS[Error].decode(content)
            return Abort(channel_id, token_id, sequence_number, request_id, error.error, error.reason)
        closes = kind == b"CLO"
        if chunk_type == b"C" or (request_id in self._begun and not closes):
            begun = self._continue(sequence_number, request_id, content)
            if chunk_type == b"C":
                return None
            self._forget(request_id)
            sequence_number, content = begun.sequence_number, b"".join(begun.parts)
        is_signed = self.mode is MessageSecurityMode.SIGN
        return Message(channel_id, token_id, sequence_number, request_id, decode_service(content), closes, is_signed)

    def _open(self, rest: bytes) -> Open | Opaque:
        reader = Reader(rest)
        channel_id = UINT32.read(reader)
        policy_uri = STRING.read(reader)
        certificate, thumbprint = BYTE_STRING.read(reader), BYTE_STRING.read(reader)
        payload = rest[reader.at :]
        if policy_uri is None or len(policy_uri) > _MAX_POLICY_URI:
            raise Malformed("a security policy URI is null or too long [OPC 10000-6 section 6.7.2.3]")
        if policy_uri != self.policy_uri:
            self.policy_uri = policy_uri
            self.mode = MessageSecurityMode.NONE if policy_uri == NONE else None
            self._signature_size = SIGNATURE_SIZES.get(policy_uri, 0)
        if policy_uri != NONE:
            self._sequence_number = None  # It is encrypted.
            return Opaque(Kind.OPEN, "F", channel_id, None, policy_uri, payload, certificate, thumbprint)
        sequence_number, request_id = self._sequence(payload)
        body = decode_service(payload[TWO_NUMBERS.size :])
        return Open(channel_id, sequence_number, request_id, body, policy_uri, certificate, thumbprint)

    def _judge(self, payload: bytes) -> None:
        """Tell from the first chunk after OPN whether this channel encrypts or only signs.

        A ciphertext begins like a service once in tens of millions. Where no OPN has been seen, or its policy is not
        known here, nothing is said of what cannot be read.
        """
        is_known = self.policy_uri in SIGNATURE_SIZES
        is_service = payload[8:10] == b"\x01\0" and int.from_bytes(payload[10:12], "little") in SERVICES
        if is_service and (is_known or self.policy_uri is None):
            self.mode = MessageSecurityMode.SIGN if is_known else MessageSecurityMode.NONE
        elif is_known:
            self.mode = MessageSecurityMode.SIGN_AND_ENCRYPT

    def _sequence(self, payload: bytes) -> tuple[int, int]:
        """Sequence number and request id of a readable chunk."""
        if len(payload) < TWO_NUMBERS.size + self._signature_size:
            raise Malformed(f"a chunk has {len(payload)} bytes for its sequence header and signature")
        sequence_number, request_id = TWO_NUMBERS.unpack_from(payload)
        last, self._sequence_number = self._sequence_number, sequence_number
        if last is not None and sequence_number != last + 1 and not (last >= _WRAPS_ABOVE and sequence_number < 1024):
            raise Malformed(f"sequence number {sequence_number} follows {last} [OPC 10000-6 section 6.7.2.4]")
        return sequence_number, request_id

    def _continue(self, sequence_number: int, request_id: int, content: bytes) -> _Begun:
        begun = self._begun.setdefault(request_id, _Begun(sequence_number))
        begun.parts.append(content)
        self._begun_size += len(content)
        self._begun_chunks += 1
        if self._begun_size > self._max_message or self._begun_chunks > self._max_chunks:
            raise Malformed(f"unfinished messages of more than {self._max_message} bytes or {self._max_chunks} chunks")
        return begun

    def _forget(self, request_id: int) -> None:
        begun = self._begun.pop(request_id, None)
        if begun is not None:
            self._begun_size -= sum(map(len, begun.parts))
            self._begun_chunks -= len(begun.parts)


def _until_broken(messages: list[Transported], malformed: Malformed) -> Iterator[Transported]:
    yield from messages
    raise malformed
