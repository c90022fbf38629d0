"""OPC UA Connection Protocol and Secure Conversation: what stands on TCP (OPC 10000-6 sections 6.7 and 7.1)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lab.wire.opcua.codec import BYTE_STRING, STRING, String, UInt32
from lab.wire.opcua.service import Service, encode_service
from lab.wire.opcua.status import StatusCode
from lab.wire.opcua.structure import CODECS, structure

HEADER = struct.Struct("<3scI")
"""Message type, chunk type (F final, C intermediate, A aborted), size with this header."""
TWO_NUMBERS = struct.Struct("<II")
"""Channel id and token id, or sequence number and request id."""
NONE = "http://opcfoundation.org/UA/SecurityPolicy#None"


class Kind(Enum):
    """What secured chunks are part of."""

    OPEN = b"OPN"
    MESSAGE = b"MSG"
    CLOSE = b"CLO"


@structure
@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first message."""

    protocol_version: UInt32
    receive_buffer_size: UInt32
    """Of one chunk, in bytes, as all sizes here."""
    send_buffer_size: UInt32
    max_message_size: UInt32
    """0: no limit."""
    max_chunk_count: UInt32
    """0: no limit."""
    endpoint_url: String

    def encode(self) -> bytes:
        return _framed(b"HEL", CODECS[Hello].encode(self))


@structure
@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The server's answer to Hello."""

    protocol_version: UInt32
    receive_buffer_size: UInt32
    send_buffer_size: UInt32
    max_message_size: UInt32
    max_chunk_count: UInt32

    def encode(self) -> bytes:
        return _framed(b"ACK", CODECS[Acknowledge].encode(self))


@structure
@dataclass(frozen=True, slots=True)
class Error:
    """The last message before its sender closes the connection."""

    error: StatusCode
    reason: String

    def encode(self) -> bytes:
        return _framed(b"ERR", CODECS[Error].encode(self))


@structure
@dataclass(frozen=True, slots=True)
class ReverseHello:
    """A server has connected to a client and asks for its Hello."""

    server_uri: String
    endpoint_url: String

    def encode(self) -> bytes:
        return _framed(b"RHE", CODECS[ReverseHello].encode(self))


@dataclass(frozen=True, slots=True)
class Open:
    """A readable OPN message: a channel is opened or its token renewed without security."""

    channel_id: int
    """0 in the first request."""
    sequence_number: int
    request_id: int
    body: Service
    policy_uri: str = NONE
    sender_certificate: bytes | None = None
    receiver_thumbprint: bytes | None = None

    def encode(self) -> bytes:
        security = _asymmetric(self.policy_uri, self.sender_certificate, self.receiver_thumbprint)
        sequence = TWO_NUMBERS.pack(self.sequence_number, self.request_id)
        channel = self.channel_id.to_bytes(4, "little")
        return _framed(b"OPN", channel + security + sequence + encode_service(self.body))


@dataclass(frozen=True, slots=True)
class Message:
    """A readable MSG or CLO message, put together from its chunks."""

    channel_id: int
    token_id: int
    sequence_number: int
    """Of its first chunk."""
    request_id: int
    """The response has that of its request."""
    body: Service
    closes: bool = False
    """Whether it is a CLO."""
    is_signed: bool = False
    """Its chunks carried signatures, which have not been verified."""

    def encode(self, max_chunk: int = 65_535) -> bytes:
        """As chunks of at most `max_chunk` bytes with consecutive sequence numbers; ValueError for a signed message."""
        if self.is_signed:
            raise ValueError("a signature takes the keys of the channel")
        kind = (Kind.CLOSE if self.closes else Kind.MESSAGE).value
        content = encode_service(self.body)
        room = max_chunk - HEADER.size - 2 * TWO_NUMBERS.size
        channel = TWO_NUMBERS.pack(self.channel_id, self.token_id)
        chunks = bytearray()
        for number, at in enumerate(range(0, len(content) or 1, room), self.sequence_number):
            sequence = TWO_NUMBERS.pack(number, self.request_id)
            is_final = at + room >= len(content)
            chunks += _framed(kind, channel + sequence + content[at : at + room], b"F" if is_final else b"C")
        return bytes(chunks)


@dataclass(frozen=True, slots=True)
class Abort:
    """The sender gave up a message in the middle."""

    channel_id: int
    token_id: int
    sequence_number: int
    request_id: int
    error: StatusCode
    reason: str | None

    def encode(self) -> bytes:
        numbers = TWO_NUMBERS.pack(self.channel_id, self.token_id)
        numbers += TWO_NUMBERS.pack(self.sequence_number, self.request_id)
        return _framed(b"MSG", numbers + CODECS[Error].encode(Error(self.error, self.reason)), b"A")


@dataclass(frozen=True, slots=True)
class Opaque:
    """A chunk that only those who have the keys can read: what stands outside its encryption."""

    kind: Kind
    chunk_type: str
    """F final, C intermediate, A aborted."""
    channel_id: int
    token_id: int | None
    """None in an OPN."""
    policy_uri: str | None
    """In an OPN its own, else that of the channel; None if the channel was opened before anyone listened."""
    payload: bytes
    """Sequence header, body, padding and signature, encrypted."""
    sender_certificate: bytes | None = None
    """DER, in an OPN."""
    receiver_thumbprint: bytes | None = None
    """SHA-1 of the receiver's certificate, in an OPN."""

    def encode(self) -> bytes:
        if self.token_id is None:
            security = _asymmetric(self.policy_uri or "", self.sender_certificate, self.receiver_thumbprint)
            channel = self.channel_id.to_bytes(4, "little") + security
        else:
            channel = TWO_NUMBERS.pack(self.channel_id, self.token_id)
        return _framed(self.kind.value, channel + self.payload, self.chunk_type.encode())


Transported = Hello | Acknowledge | Error | ReverseHello | Open | Message | Abort | Opaque

UNSECURED: dict[bytes, Callable[[bytes], Hello | Acknowledge | Error | ReverseHello]] = {
    b"HEL": CODECS[Hello].decode,
    b"ACK": CODECS[Acknowledge].decode,
    b"ERR": CODECS[Error].decode,
    b"RHE": CODECS[ReverseHello].decode,
}
"""What reads the rest of a message that needs no channel, by its type."""


def _framed(kind: bytes, rest: bytes, chunk_type: bytes = b"F") -> bytes:
    return HEADER.pack(kind, chunk_type, HEADER.size + len(rest)) + rest


def _asymmetric(policy_uri: str, certificate: bytes | None, thumbprint: bytes | None) -> bytes:
    return STRING.encode(policy_uri) + BYTE_STRING.encode(certificate) + BYTE_STRING.encode(thumbprint)
