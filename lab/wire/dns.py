"""DNS messages (RFC 1035 section 4), with the records a plant uses; others are kept as bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from lab.wire.malformed import Malformed

PORT = 53
UDP_LIMIT = 512
"""RFC 1035 section 4.2.1: what is longer is cut off and says so."""
_HEADER = struct.Struct("!HHHHHH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _WANTED, _AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_INTERNET = 1
_POINTER = 0xC0
_LONGEST_NAME, _LONGEST_LABEL = 255, 63


class RecordType(IntEnum):
    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    AAAA = 28


class Rcode(IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    """In lower case, without the final dot; the root is empty."""
    kind: int

    def __str__(self) -> str:
        kind = RecordType(self.kind).name if self.kind in RecordType._value2member_map_ else f"TYPE{self.kind}"
        return f"{self.name or '.'} {kind}"


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    kind: int
    ttl: int
    """Seconds"""
    value: str
    """An address, a name, or for other types the data in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Dns:
    """One message with at most one question; what it says of classes other than IN is left out."""

    identification: int
    question: Question | None
    is_response: bool = False
    rcode: int = 0
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    is_authoritative: bool = False
    is_truncated: bool = False
    recursion_desired: bool = True
    recursion_available: bool = False
    opcode: int = 0

    def encode(self) -> bytes:
        flags = (
            (_RESPONSE if self.is_response else 0)
            | self.opcode << 11
            | (_AUTHORITATIVE if self.is_authoritative else 0)
            | (_TRUNCATED if self.is_truncated else 0)
            | (_WANTED if self.recursion_desired else 0)
            | (_AVAILABLE if self.recursion_available else 0)
            | self.rcode
        )
        counts = (int(self.question is not None), len(self.answers), len(self.authority), 0)
        data = bytearray(_HEADER.pack(self.identification, flags, *counts))
        known: dict[str, int] = {}
        if self.question is not None:
            _write_name(data, self.question.name, known)
            data += struct.pack("!HH", self.question.kind, _INTERNET)
        for record in (*self.answers, *self.authority):
            _write_name(data, record.name, known)
            data += struct.pack("!HHIH", record.kind, _INTERNET, record.ttl, 0)
            start = len(data)
            _write_value(data, record, known)
            data[start - 2 : start] = (len(data) - start).to_bytes(2, "big")
        return bytes(data)

    def __str__(self) -> str:
        answers = ", ".join(record.value for record in self.answers)
        return f"DNS {self.question or ''}" + (f" = {answers or self.rcode}" if self.is_response else "?")


def reverse_name(address: IPv4Address) -> str:
    """Under which an address's PTR record stands (RFC 1035 section 3.5)."""
    return address.reverse_pointer


def is_name(text: str) -> bool:
    """Whether a name fits a message."""
    labels = text.split(".")
    return (
        text.isascii() and len(text) <= _LONGEST_NAME - 2 and all(1 <= len(label) <= _LONGEST_LABEL for label in labels)
    )


def _write_name(data: bytearray, name: str, known: dict[str, int]) -> None:
    """RFC 1035 section 4.1.4: what has been written before is pointed at."""
    rest = name
    while rest:
        at = known.get(rest)
        if at is not None:
            data += (0xC000 | at).to_bytes(2, "big")
            return
        if len(data) < 0x4000:
            known[rest] = len(data)
        label, _, rest = rest.partition(".")
        encoded = label.encode("latin-1")
        data.append(len(encoded))
        data += encoded
    data.append(0)


def _write_value(data: bytearray, record: Record, known: dict[str, int]) -> None:
    if record.kind == RecordType.A:
        data += IPv4Address(record.value).packed
    elif record.kind == RecordType.AAAA:
        data += IPv6Address(record.value).packed
    elif record.kind in (RecordType.CNAME, RecordType.PTR, RecordType.NS):
        _write_name(data, record.value, known)
    else:
        data += bytes.fromhex(record.value)


def decode(data: bytes) -> Dns:
    """A message from a UDP payload; raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed(f"a DNS header has 12 bytes, here are {len(data)}")
    identification, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if questions > 1:
        raise Malformed(f"{questions} questions in one DNS message")  # RFC 9619
    at = _HEADER.size
    question = None
    if questions:
        name, at = _read_name(data, at)
        kind, _ = _take(data, at, "!HH")
        question, at = Question(name, kind), at + 4
    sections: list[tuple[Record, ...]] = []
    for count in (answers, authorities):
        records: list[Record] = []
        for _ in range(count):
            record, at = _read_record(data, at)
            if record is not None:
                records.append(record)
        sections.append(tuple(records))
    return Dns(
        identification,
        question,
        bool(flags & _RESPONSE),
        flags & 0x0F,
        sections[0],
        sections[1],
        bool(flags & _AUTHORITATIVE),
        bool(flags & _TRUNCATED),
        bool(flags & _WANTED),
        bool(flags & _AVAILABLE),
        flags >> 11 & 0x0F,
    )


def _take(data: bytes, at: int, layout: str) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error:
        raise Malformed("a DNS message is cut off") from None


def _read_record(data: bytes, at: int) -> tuple[Record | None, int]:
    name, at = _read_name(data, at)
    kind, group, ttl, length = _take(data, at, "!HHIH")
    at += 10
    end = at + length
    if end > len(data):
        raise Malformed("a DNS record is cut off")
    if group != _INTERNET:
        return None, end
    if kind == RecordType.A and length == 4:
        value = str(IPv4Address(data[at:end]))
    elif kind == RecordType.AAAA and length == 16:
        value = str(IPv6Address(data[at:end]))
    elif kind in (RecordType.A, RecordType.AAAA):
        raise Malformed(f"an address of {length} bytes in a DNS record")
    elif kind in (RecordType.CNAME, RecordType.PTR, RecordType.NS):
        value, name_end = _read_name(data, at)
        if name_end != end:
            raise Malformed("a name does not fill its DNS record")
    else:
        value = data[at:end].hex()
    # RFC 2181 section 8: a TTL with its highest bit set counts as zero.
    return Record(name, kind, ttl if ttl < 1 << 31 else 0, value), end


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    total, end = 0, None
    while True:
        if at >= len(data):
            raise Malformed("a DNS name is cut off")
        length = data[at]
        if length & _POINTER == _POINTER:
            (pointer,) = _take(data, at, "!H")
            end = at + 2 if end is None else end
            if pointer & 0x3FFF >= at:
                raise Malformed("a DNS name points forwards")  # backwards only, so that it ends
            at = pointer & 0x3FFF
            continue
        if length & _POINTER:
            raise Malformed(f"a DNS label of type {length >> 6}")
        at += 1
        if length == 0:
            return ".".join(labels), at if end is None else end
        total += length + 1
        if at + length > len(data) or total > _LONGEST_NAME - 1:
            raise Malformed("a DNS name is too long")
        label = data[at : at + length]
        if b"." in label:
            raise Malformed("a DNS label with a dot in it")
        labels.append(label.decode("latin-1").lower())
        at += length
