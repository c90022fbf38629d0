"""One direction of a TLS connection, as messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lab.wire.malformed import Malformed
from lab.wire.tls.certificates import Certificate, CertificateRequest
from lab.wire.tls.hello import ClientHello, ServerHello
from lab.wire.tls.names import ALERTS, HANDSHAKES
from lab.wire.tls.records import ContentType, Record, RecordDecoder

MAX_HANDSHAKE: Final = 1 << 18
"""Bytes of one handshake message; TLS allows 16 MB, nobody needs them."""
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _CERTIFICATE_REQUEST = 1, 2, 11, 13
_TLS_1_2, _TLS_1_3 = 0x0303, 0x0304
_WARNING, _FATAL = 1, 2


@dataclass(frozen=True, slots=True)
class Alert:
    """Why one side is not content, or that it has nothing more to say."""

    level: int
    description: int

    @property
    def is_fatal(self) -> bool:
        return self.level == _FATAL

    @property
    def name(self) -> str:
        return ALERTS.get(self.description) or f"alert {self.description}"

    def encode(self) -> bytes:
        """The content of its record."""
        return bytes((self.level, self.description))


@dataclass(frozen=True, slots=True)
class Handshake:
    """A handshake message whose content is of no interest here."""

    kind: int
    size: int
    """Bytes after its header."""

    @property
    def name(self) -> str:
        return HANDSHAKES.get(self.kind) or f"handshake {self.kind}"


@dataclass(frozen=True, slots=True)
class ChangeCipherSpec:
    """Up to TLS 1.2 the sender encrypts from here on; in TLS 1.3 it means nothing."""


@dataclass(frozen=True, slots=True)
class ApplicationData:
    """A record with data of the application, and in TLS 1.3 with anything."""

    size: int
    """Bytes of ciphertext."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A record of which only the type is visible: a Finished message, an alert, a heartbeat."""

    content_type: ContentType
    size: int
    """Bytes of ciphertext."""


Message = (
    ClientHello
    | ServerHello
    | Certificate
    | CertificateRequest
    | Handshake
    | Alert
    | ChangeCipherSpec
    | ApplicationData
    | Encrypted
)


class Decoder:
    """One direction, from its first byte; handshake messages may be spread over records.

    Holds at most one unfinished record and one unfinished handshake message, 280 kB together.
    """

    def __init__(self) -> None:
        self._records = RecordDecoder()
        self._handshake = bytearray()
        self._version: int | None = None
        self._is_encrypted = False
        self._broken: str | None = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages these bytes complete; then raises Malformed where the next breaks a rule, and ever after."""
        if self._broken is not None:
            raise Malformed(self._broken)
        messages: list[Message] = []
        try:
            for record in self._records.feed(data):
                self._take(record, messages)
        except Malformed as malformed:
            self._broken = str(malformed)
            return _until_broken(messages, malformed)
        return iter(messages)

    def _take(self, record: Record, messages: list[Message]) -> None:
        kind, fragment = record.content_type, record.fragment
        if kind is ContentType.HANDSHAKE:
            if not self._is_encrypted or _is_whole_client_hello(fragment):
                self._take_handshake(fragment, messages)
            else:
                messages.append(Encrypted(kind, len(fragment)))
        elif kind is ContentType.APPLICATION_DATA:
            messages.append(ApplicationData(len(fragment)))
        elif kind is ContentType.ALERT:
            self._take_alert(fragment, messages)
        elif kind is ContentType.CHANGE_CIPHER_SPEC:
            if fragment != b"\1":
                raise Malformed(f"change cipher spec is {fragment[:8].hex() or 'empty'}, not 01")
            if self._handshake:
                raise Malformed("change cipher spec in the middle of a handshake message")
            # RFC 8446 appendix D.4: TLS 1.3 sends one for the sake of middleboxes.
            self._is_encrypted = self._version != _TLS_1_3
            messages.append(ChangeCipherSpec())
        else:
            messages.append(Encrypted(kind, len(fragment)))

    def _take_alert(self, fragment: bytes, messages: list[Message]) -> None:
        if len(fragment) == 2:  # no cipher makes it as short as this
            level, description = fragment
            if level not in (_WARNING, _FATAL):
                raise Malformed(f"alert level {level}, TLS has 1 and 2")
            messages.append(Alert(level, description))
        elif self._is_encrypted:
            messages.append(Encrypted(ContentType.ALERT, len(fragment)))
        else:
            raise Malformed(f"an alert of {len(fragment)} bytes, TLS has 2")

    def _take_handshake(self, fragment: bytes, messages: list[Message]) -> None:
        if not fragment:
            raise Malformed("an empty handshake record")  # RFC 8446 section 5.1
        begun = self._handshake
        begun += fragment
        while len(begun) >= 4:
            size = int.from_bytes(begun[1:4], "big")
            if size > MAX_HANDSHAKE:
                raise Malformed(f"a handshake message of {size} bytes, {MAX_HANDSHAKE} are allowed here")
            if len(begun) < 4 + size:
                return
            kind, body = begun[0], bytes(begun[4 : 4 + size])
            del begun[: 4 + size]
            messages.append(self._decode(kind, body))

    def _decode(self, kind: int, body: bytes) -> Message:
        if kind == _CLIENT_HELLO:
            return ClientHello.decode(body)
        if kind == _SERVER_HELLO:
            hello = ServerHello.decode(body)
            self._version = hello.version
            return hello
        if kind == _CERTIFICATE:
            return Certificate.decode(body)
        if kind == _CERTIFICATE_REQUEST:
            return CertificateRequest.decode(body, self._version or _TLS_1_2)
        return Handshake(kind, len(body))


def _is_whole_client_hello(fragment: bytes) -> bool:
    """Whether a record after change cipher spec is nevertheless plain.

    A TLS 1.3 client that was asked for a second hello sends that after its change cipher spec (RFC 8446 appendix D.4).
    """
    if fragment[:1] != b"\1" or int.from_bytes(fragment[1:4], "big") != len(fragment) - 4:
        return False
    try:
        ClientHello.decode(fragment[4:])
    except Malformed:
        return False
    return True


def _until_broken(messages: list[Message], malformed: Malformed) -> Iterator[Message]:
    yield from messages
    raise malformed
