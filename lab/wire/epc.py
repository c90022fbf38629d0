"""Electronic product codes as tags hold them: SGTIN-96, SSCC-96 and GRAI-96.

GS1 EPC Tag Data Standard 1.13: section 6 (pure identity URIs), 12 and 13 (tag URIs), 14.5 (binary encodings).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from lab.wire.gs1 import check_digit
from lab.wire.malformed import Malformed

BITS: Final = 96
_SERIAL_BITS: Final = 38
_MAX_SERIAL: Final = (1 << _SERIAL_BITS) - 1
_COMPANY_BITS: Final = {12: 40, 11: 37, 10: 34, 9: 30, 8: 27, 7: 24, 6: 20}
"""By digits of the company prefix; partition values count from 0 in this order (TDS table 14-2)."""
_PARTITIONS: Final = tuple(_COMPANY_BITS)


@dataclass(frozen=True, slots=True)
class Epc(ABC):
    """What the three schemes have in common."""

    scheme: ClassVar[str]
    header: ClassVar[int]
    shared_bits: ClassVar[int]
    """Bits of company prefix and reference together."""
    shared_digits: ClassVar[int]
    serial_bits: ClassVar[int] = _SERIAL_BITS

    company: str
    """GS1 company prefix, 6 to 12 digits."""
    reference: str
    """The digits that the company chose: `shared_digits` less those of the prefix."""
    serial: int = 0
    filter: int = 0
    """What is tagged, 0 to 7 (TDS table 10-1: 1 point of sale, 2 full case, 6 unit load …)."""

    def __post_init__(self) -> None:
        if not (self.company.isascii() and self.company.isdecimal() and len(self.company) in _COMPANY_BITS):
            raise Malformed(f"a company prefix has 6 to 12 digits, not {self.company!r}")
        digits = self.shared_digits - len(self.company)
        reference = self.reference
        if len(reference) != digits or (reference and not (reference.isascii() and reference.isdecimal())):
            raise Malformed(
                f"behind a company prefix of {len(self.company)} digits, {self.scheme} has {digits}, not {reference!r}"
            )
        if not 0 <= self.serial < 1 << self.serial_bits:
            raise Malformed(
                f"a serial number of {self.scheme} is 0 to {(1 << self.serial_bits) - 1}, not {self.serial}"
            )
        if not 0 <= self.filter <= 7:
            raise Malformed(f"a filter value is 0 to 7, not {self.filter}")

    def encode(self) -> bytes:
        """The twelve bytes of the tag."""
        company_bits = _COMPANY_BITS[len(self.company)]
        word = self.header << 6 | self.filter << 3 | _PARTITIONS.index(len(self.company))
        word = word << company_bits | int(self.company)
        word = word << self.shared_bits - company_bits | int(self.reference or 0)
        word = word << self.serial_bits | self.serial
        used = 14 + self.shared_bits + self.serial_bits
        return (word << BITS - used).to_bytes(BITS // 8, "big")

    @property
    def uri(self) -> str:
        """The pure identity, which knows nothing of the tag."""
        return f"urn:epc:id:{self.scheme}:{self._body()}"

    @property
    def tag_uri(self) -> str:
        """All that the tag holds."""
        return f"urn:epc:tag:{self.scheme}-{BITS}:{self.filter}.{self._body()}"

    @property
    @abstractmethod
    def key(self) -> str:
        """The GS1 key with its check digit."""

    def _body(self) -> str:
        return f"{self.company}.{self.reference}.{self.serial}"


@dataclass(frozen=True, slots=True)
class Sgtin(Epc):
    """A trade item with a serial number; `reference` is the indicator digit and the item reference."""

    scheme: ClassVar[str] = "sgtin"
    header: ClassVar[int] = 0x30
    shared_bits: ClassVar[int] = 44
    shared_digits: ClassVar[int] = 13

    @property
    def key(self) -> str:
        """GTIN-14"""
        digits = self.reference[0] + self.company + self.reference[1:]
        return digits + check_digit(digits)

    @classmethod
    def of_gtin(cls, gtin: str, company_digits: int, serial: int, filter_value: int = 1) -> Sgtin:
        """From a GTIN of 8, 12, 13 or 14 digits, of which the company prefix has so many; raises Malformed."""
        digits = gtin.zfill(14)
        if not (gtin.isascii() and gtin.isdecimal() and len(gtin) in (8, 12, 13, 14)):
            raise Malformed(f"a GTIN has 8, 12, 13 or 14 digits, not {gtin!r}")
        if check_digit(digits[:-1]) != digits[-1]:
            raise Malformed(f"{gtin}: the check digit should be {check_digit(digits[:-1])}")
        return cls(digits[1 : 1 + company_digits], digits[0] + digits[1 + company_digits : 13], serial, filter_value)


@dataclass(frozen=True, slots=True)
class Sscc(Epc):
    """A logistic unit; `reference` is the extension digit and the serial reference, and there is no serial number."""

    scheme: ClassVar[str] = "sscc"
    header: ClassVar[int] = 0x31
    shared_bits: ClassVar[int] = 58
    shared_digits: ClassVar[int] = 17
    serial_bits: ClassVar[int] = 0

    @property
    def key(self) -> str:
        """SSCC-18"""
        digits = self.reference[0] + self.company + self.reference[1:]
        return digits + check_digit(digits)

    def _body(self) -> str:
        return f"{self.company}.{self.reference}"


@dataclass(frozen=True, slots=True)
class Grai(Epc):
    """A returnable asset, such as a crate; `reference` is the asset type, empty behind a prefix of 12 digits."""

    scheme: ClassVar[str] = "grai"
    header: ClassVar[int] = 0x33
    shared_bits: ClassVar[int] = 44
    shared_digits: ClassVar[int] = 12

    @property
    def key(self) -> str:
        """GRAI, with the leading zero of AI 8003"""
        digits = self.company + self.reference
        return f"0{digits}{check_digit(digits)}{self.serial}"


SCHEMES: Final[tuple[type[Epc], ...]] = (Sgtin, Sscc, Grai)
_BY_HEADER: Final = {scheme.header: scheme for scheme in SCHEMES}
_BY_NAME: Final = {scheme.scheme: scheme for scheme in SCHEMES}
_ID_URI: Final = re.compile(r"urn:epc:id:([a-z]+):(\d+)\.(\d*)(?:\.(\d+))?")
_TAG_URI: Final = re.compile(r"urn:epc:tag:([a-z]+)-96:([0-7])\.(\d+)\.(\d*)(?:\.(\d+))?")


def decode(data: bytes) -> Epc:
    """What a tag holds; raises Malformed."""
    if len(data) * 8 != BITS:
        raise Malformed(f"an EPC of {len(data) * 8} bits, not {BITS}")
    scheme = _BY_HEADER.get(data[0])
    if scheme is None:
        raise Malformed(f"the header 0x{data[0]:02X} is none of {', '.join(f'0x{each:02X}' for each in _BY_HEADER)}")
    word = int.from_bytes(data, "big")
    filter_value, partition = word >> 85 & 7, word >> 82 & 7
    if partition == 7:
        raise Malformed("partition 7 does not exist")
    company_digits = _PARTITIONS[partition]
    company_bits = _COMPANY_BITS[company_digits]
    reference_bits = scheme.shared_bits - company_bits
    rest = 82 - scheme.shared_bits
    company = word >> 82 - company_bits & (1 << company_bits) - 1
    reference = word >> rest & (1 << reference_bits) - 1
    spare = rest - scheme.serial_bits
    if word & (1 << spare) - 1:
        raise Malformed(f"the last {spare} bits of {scheme.scheme.upper()}-96 are zero")
    reference_digits = scheme.shared_digits - company_digits
    if company >= 10**company_digits or reference >= 10**reference_digits:
        raise Malformed(f"a number in it has more digits than partition {partition} allows")
    serial = word >> spare & (1 << scheme.serial_bits) - 1
    digits = f"{reference:0{reference_digits}d}" if reference_digits else ""
    return scheme(f"{company:0{company_digits}d}", digits, serial, filter_value)


def parse_uri(text: str) -> Epc:
    """From a tag URI or a pure identity URI, whose filter value is 0; raises Malformed."""
    if match := _TAG_URI.fullmatch(text):
        name, filter_value, company, reference, serial = match.groups()
    elif match := _ID_URI.fullmatch(text):
        name, company, reference, serial = match.groups()
        filter_value = "0"
    else:
        raise Malformed(f"{text[:80]!r} is no EPC URI of a kind known here")
    scheme = _BY_NAME.get(name)
    if scheme is None:
        raise Malformed(f"there is no scheme {name!r} here, only {', '.join(_BY_NAME)}")
    if (serial is not None) != bool(scheme.serial_bits) or (serial or "0") != str(int(serial or "0")):
        raise Malformed(f"{text[:80]!r} has no serial number as {name} wants it")
    return scheme(company, reference, int(serial or 0), int(filter_value))
