"""ClientHello and ServerHello (RFC 5246 section 7.4.1, RFC 8446 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from lab.wire.malformed import Malformed
from lab.wire.tls.reader import Reader, numbers, vector

SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43
_HOST_NAME: Final = 0
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""RFC 8446 section 4.1.3: the random of a HelloRetryRequest."""


class Extension(NamedTuple):
    kind: int
    data: bytes


def server_name(name: str) -> Extension:
    """RFC 6066 section 3, as a client sends it."""
    return Extension(SERVER_NAME, vector(bytes([_HOST_NAME]) + vector(name.encode("ascii"), 2), 2))


def alpn(*protocols: str) -> Extension:
    """RFC 7301: the client's offers, or the one a server chose."""
    return Extension(ALPN, vector(b"".join(vector(protocol.encode("ascii"), 1) for protocol in protocols), 2))


def supported_versions(*versions: int) -> Extension:
    """RFC 8446 section 4.2.1, as a client sends it."""
    return Extension(SUPPORTED_VERSIONS, vector(b"".join(version.to_bytes(2, "big") for version in versions), 1))


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client offers. The properties of one made by hand raise Malformed where an extension is wrong."""

    version: int
    """The highest, but 0x0303 where `versions` says more."""
    random: bytes
    session_id: bytes
    cipher_suites: tuple[int, ...]
    compression_methods: bytes = b"\0"
    extensions: tuple[Extension, ...] = ()

    @property
    def server_name(self) -> str | None:
        """The host the client wants (SNI)."""
        data = _find(self.extensions, SERVER_NAME)
        if data is None:
            return None
        reader = Reader(data)
        names = Reader(reader.vector(2))
        reader.finish()
        while names.left:
            kind, name = names.number(1), names.vector(2)
            if kind == _HOST_NAME:
                return _text(name)
        return None

    @property
    def alpn(self) -> tuple[str, ...]:
        """The application protocols offered, best first."""
        return _protocols(self.extensions)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions offered, best first; only the highest is known of clients older than TLS 1.3."""
        data = _find(self.extensions, SUPPORTED_VERSIONS)
        if data is None:
            return (self.version,)
        reader = Reader(data)
        offered = numbers(reader.vector(1), 2)
        reader.finish()
        return tuple(version for version in offered if not _is_grease(version))

    def encode(self) -> bytes:
        """The handshake message with its header."""
        suites = b"".join(suite.to_bytes(2, "big") for suite in self.cipher_suites)
        body = self.version.to_bytes(2, "big") + self.random + vector(self.session_id, 1)
        body += vector(suites, 2) + vector(self.compression_methods, 1) + _pack(self.extensions)
        return b"\1" + vector(body, 3)

    @classmethod
    def decode(cls, body: bytes) -> ClientHello:
        """From a message without its header; raises Malformed."""
        reader = Reader(body)
        hello = cls(
            version=reader.number(2),
            random=reader.take(32),
            session_id=_session_id(reader),
            cipher_suites=numbers(reader.vector(2), 2),
            compression_methods=reader.vector(1),
            extensions=_unpack(reader),
        )
        _ = hello.server_name, hello.alpn, hello.versions  # what is wrong in them is said now
        return hello


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a server chose. The properties of one made by hand raise Malformed where an extension is wrong."""

    legacy_version: int
    """0x0303 in TLS 1.3 too."""
    random: bytes
    session_id: bytes
    cipher_suite: int
    compression_method: int = 0
    extensions: tuple[Extension, ...] = ()

    @property
    def version(self) -> int:
        """The version both will use."""
        data = _find(self.extensions, SUPPORTED_VERSIONS)
        if data is None:
            return self.legacy_version
        if len(data) != 2:
            raise Malformed(f"a server chose {len(data) / 2:g} versions")
        return int.from_bytes(data, "big")

    @property
    def alpn(self) -> str | None:
        """The application protocol, where it is visible: TLS 1.3 encrypts the answer."""
        chosen = _protocols(self.extensions)
        if len(chosen) > 1:
            raise Malformed(f"a server chose {len(chosen)} application protocols")
        return chosen[0] if chosen else None

    @property
    def is_retry_request(self) -> bool:
        """Whether it only asks the client for another hello."""
        return self.random == _RETRY

    def encode(self) -> bytes:
        """The handshake message with its header."""
        body = self.legacy_version.to_bytes(2, "big") + self.random + vector(self.session_id, 1)
        body += self.cipher_suite.to_bytes(2, "big") + bytes([self.compression_method]) + _pack(self.extensions)
        return b"\2" + vector(body, 3)

    @classmethod
    def decode(cls, body: bytes) -> ServerHello:
        """From a message without its header; raises Malformed."""
        reader = Reader(body)
        hello = cls(
            legacy_version=reader.number(2),
            random=reader.take(32),
            session_id=_session_id(reader),
            cipher_suite=reader.number(2),
            compression_method=reader.number(1),
            extensions=_unpack(reader),
        )
        _ = hello.version, hello.alpn
        return hello


def _session_id(reader: Reader) -> bytes:
    session_id = reader.vector(1)
    if len(session_id) > 32:
        raise Malformed(f"a session id of {len(session_id)} bytes, TLS allows 32")
    return session_id


def _unpack(reader: Reader) -> tuple[Extension, ...]:
    if not reader.left:
        return ()
    inner = Reader(reader.vector(2))
    reader.finish()
    extensions: list[Extension] = []
    while inner.left:
        extensions.append(Extension(inner.number(2), inner.vector(2)))
    return tuple(extensions)


def _pack(extensions: tuple[Extension, ...]) -> bytes:
    if not extensions:
        return b""
    return vector(b"".join(kind.to_bytes(2, "big") + vector(data, 2) for kind, data in extensions), 2)


def _find(extensions: tuple[Extension, ...], kind: int) -> bytes | None:
    return next((extension.data for extension in extensions if extension.kind == kind), None)


def _protocols(extensions: tuple[Extension, ...]) -> tuple[str, ...]:
    data = _find(extensions, ALPN)
    if data is None:
        return ()
    reader = Reader(data)
    protocols = Reader(reader.vector(2)).vectors(1)
    reader.finish()
    return tuple(map(_text, protocols))


def _text(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace")


def _is_grease(version: int) -> bool:
    """RFC 8701: numbers that mean nothing and keep servers tolerant."""
    return version & 0x0F0F == 0x0A0A and version >> 8 == version & 0xFF
