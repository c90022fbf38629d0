"""Modbus TCP framing: the MBAP header (Modbus Messaging on TCP/IP Implementation Guide V1.0b, section 3.1)."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, NoReturn, TypeVar

from lab.wire.malformed import Malformed
from lab.wire.modbus.codes import MAX_PDU
from lab.wire.modbus.requests import Request, decode_request
from lab.wire.modbus.responses import Response, decode_response

HEADER: Final = struct.Struct("!HHHB")
_BEFORE_LENGTH_COUNTS = 6
"""Bytes up to and with the length field, which counts the unit id and the PDU."""

P = TypeVar("P", Request, Response, bytes)


@dataclass(frozen=True, slots=True)
class Adu(Generic[P]):
    """A request or response with its envelope."""

    transaction: int
    unit: int
    pdu: P

    def encode(self) -> bytes:
        pdu = self.pdu if isinstance(self.pdu, bytes) else self.pdu.encode()
        return HEADER.pack(self.transaction, 0, 1 + len(pdu), self.unit) + pdu


class _Decoder(ABC, Generic[P]):
    """Cuts a byte stream at its MBAP headers. Remembers at most one unfinished message, 260 bytes, once drained."""

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._lost = ""

    def feed(self, data: bytes) -> Iterator[Adu[P]]:
        """The messages that are complete with `data`; raises Malformed where the stream is lost, and ever after."""
        if self._lost:
            raise Malformed(self._lost)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return self._messages()

    def _messages(self) -> Iterator[Adu[P]]:
        while len(self._buffer) - self._at >= HEADER.size:
            transaction, protocol, length, unit = HEADER.unpack_from(self._buffer, self._at)
            if protocol != 0:
                self._lose(f"the protocol identifier is {protocol}, Modbus uses 0")
            if not 1 < length <= 1 + MAX_PDU:
                self._lose(f"a length of {length}, Modbus allows 2 to {1 + MAX_PDU}")
            end = self._at + _BEFORE_LENGTH_COUNTS + length
            if end > len(self._buffer):
                return
            pdu = self._buffer[self._at + HEADER.size : end]
            self._at = end
            yield Adu(transaction, unit, self._decode(transaction, pdu))

    def _lose(self, reason: str) -> NoReturn:
        self._lost = reason
        self._buffer, self._at = b"", 0
        raise Malformed(reason)

    @abstractmethod
    def _decode(self, transaction: int, pdu: bytes) -> P: ...


class RequestDecoder(_Decoder[Request]):
    """What a client sends."""

    def _decode(self, transaction: int, pdu: bytes) -> Request:
        return decode_request(pdu)


class PduDecoder(_Decoder[bytes]):
    """What either says, for whoever looks at more than what a well-formed PDU says."""

    def _decode(self, transaction: int, pdu: bytes) -> bytes:
        return pdu


class ResponseDecoder(_Decoder[Response]):
    """What a server sends; `requests` are those not yet answered, by transaction, kept by whoever also sees them."""

    def __init__(self, requests: Mapping[int, Request] = MappingProxyType({})) -> None:
        super().__init__()
        self._requests = requests

    def _decode(self, transaction: int, pdu: bytes) -> Response:
        return decode_response(pdu, self._requests.get(transaction))
