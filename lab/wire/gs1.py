"""GS1 keys and the two ways in which carriers hold them: element strings and Digital Link.

GS1 General Specifications: section 3 (application identifiers), 7.8 (element strings in symbols), 7.9 (check digits);
GS1 Digital Link Standard: URI Syntax 1.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from lab.wire.malformed import Malformed

FNC1: Final = "\x1d"
"""How a scanner transmits the separator behind a value of variable length: GS, 0x1D (7.8.3)."""

_CSET_82: Final = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")
"""The characters a value may have (7.11, figure 7.11-1)."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One application identifier."""

    ai: str
    title: str
    """The data title of the General Specifications."""
    least: int
    most: int
    """Characters of the value."""
    is_numeric: bool = True
    has_check_digit: bool = False
    """Whether the last digit is one."""
    is_date: bool = False
    """Whether it is YYMMDD."""

    @property
    def is_predefined(self) -> bool:
        """Whether its length is known from its first two digits, so that no separator follows (7.8.5, figure 7.8.5-2)."""
        return self.ai[:2] in _PREDEFINED

    def check(self, value: str) -> None:
        """Raises Malformed for what this cannot hold."""
        if not self.least <= len(value) <= self.most:
            size = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
            raise Malformed(f"({self.ai}) {self.title} has {size} characters, {value!r} has {len(value)}")
        if self.is_numeric and not (value.isascii() and value.isdecimal()):
            raise Malformed(f"({self.ai}) {self.title} has digits only, not {value!r}")
        if not _CSET_82.fullmatch(value):
            raise Malformed(f"({self.ai}) {self.title} has a character that GS1 does not allow: {value!r}")
        if self.has_check_digit and check_digit(value[:-1]) != value[-1]:
            raise Malformed(f"({self.ai}) {value}: the check digit should be {check_digit(value[:-1])}")
        if self.is_date:
            date_of(value)


_PREDEFINED: Final = frozenset((*(f"{number:02d}" for number in (0, 1, 2, 3, 4, *range(11, 21), *range(31, 37))), "41"))


def _known() -> Mapping[str, Identifier]:
    known = [
        Identifier("00", "SSCC", 18, 18, has_check_digit=True),
        Identifier("01", "GTIN", 14, 14, has_check_digit=True),
        Identifier("02", "CONTENT", 14, 14, has_check_digit=True),
        Identifier("10", "BATCH/LOT", 1, 20, is_numeric=False),
        Identifier("11", "PROD DATE", 6, 6, is_date=True),
        Identifier("12", "DUE DATE", 6, 6, is_date=True),
        Identifier("13", "PACK DATE", 6, 6, is_date=True),
        Identifier("15", "BEST BEFORE", 6, 6, is_date=True),
        Identifier("16", "SELL BY", 6, 6, is_date=True),
        Identifier("17", "USE BY", 6, 6, is_date=True),
        Identifier("20", "VARIANT", 2, 2),
        Identifier("21", "SERIAL", 1, 20, is_numeric=False),
        Identifier("22", "CPV", 1, 20, is_numeric=False),
        Identifier("30", "VAR. COUNT", 1, 8),
        Identifier("37", "COUNT", 1, 8),
        Identifier("240", "ADDITIONAL ID", 1, 30, is_numeric=False),
        Identifier("241", "CUST. PART No.", 1, 30, is_numeric=False),
        Identifier("250", "SECONDARY SERIAL", 1, 30, is_numeric=False),
        Identifier("254", "GLN EXTENSION COMPONENT", 1, 20, is_numeric=False),
        Identifier("400", "ORDER NUMBER", 1, 30, is_numeric=False),
        Identifier("401", "GINC", 1, 30, is_numeric=False),
        Identifier("402", "GSIN", 17, 17, has_check_digit=True),
        Identifier("403", "ROUTE", 1, 30, is_numeric=False),
        *(
            Identifier(f"41{last}", title, 13, 13, has_check_digit=True)
            for last, title in enumerate(
                (
                    "SHIP TO LOC",
                    "BILL TO",
                    "PURCHASE FROM",
                    "SHIP FOR LOC",
                    "LOC No.",
                    "PAY TO",
                    "PROD/SERV LOC",
                    "PARTY",
                )
            )
        ),
        Identifier("420", "SHIP TO POST", 1, 20, is_numeric=False),
        Identifier("8003", "GRAI", 14, 30, is_numeric=False),
        Identifier("8004", "GIAI", 1, 30, is_numeric=False),
        Identifier("8006", "ITIP", 18, 18),
        Identifier("8008", "PROD TIME", 8, 12),
        Identifier("8200", "PRODUCT URL", 1, 70, is_numeric=False),
        *(Identifier(str(ai), "INTERNAL", 1, 90, is_numeric=False) for ai in range(91, 100)),
    ]
    measures = {"310": "NET WEIGHT (kg)", "311": "LENGTH (m)", "330": "GROSS WEIGHT (kg)", "392": "PRICE"}
    for stem, title in measures.items():
        for decimals in range(10 if stem == "392" else 6):
            most = 15 if stem == "392" else 6
            known.append(Identifier(f"{stem}{decimals}", title, 1 if stem == "392" else 6, most))
    return {each.ai: each for each in known}


IDENTIFIERS: Final[Mapping[str, Identifier]] = _known()
_LONGEST_AI: Final = max(map(len, IDENTIFIERS))

_PRIMARY: Final[Mapping[str, Sequence[str]]] = {
    "01": ("22", "10", "21"),
    "8006": ("22", "10", "21"),
    "00": (),
    "414": ("254",),
    "417": (),
    "8003": (),
    "8004": (),
    "401": (),
    "402": (),
}
"""Keys that begin a Digital Link, and the qualifiers that may follow each, in this order (URI Syntax, 4.3)."""

Elements = Mapping[str, str]
"""Values by application identifier, in the order in which the carrier has them."""


def check_digit(digits: str) -> str:
    """The digit that follows (7.9.1): weights 3 and 1 from the right."""
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def date_of(value: str, today: date = date(2026, 1, 1)) -> date:
    """A YYMMDD date, DD = 00 being the last day of its month (3.4.2), in the century nearest to `today` (7.12).

    Raises Malformed.
    """
    year, month, day = int(value[:2]), int(value[2:4]), int(value[4:])
    apart = year - today.year % 100
    century = today.year // 100 + (-1 if apart >= 51 else 1 if apart <= -50 else 0)
    full = century * 100 + year
    try:
        if day:
            return date(full, month, day)
        return date(full + month // 12, month % 12 + 1, 1) - date.resolution
    except ValueError:
        raise Malformed(f"{value!r} is no date YYMMDD") from None


def parse(text: str) -> Elements:
    """Read an element string, as scanners transmit it (with GS, without AIM id) or as people write it: `(01)…(21)…`.

    Raises Malformed.
    """
    return _from_brackets(text) if text.startswith("(") else _from_symbol(text)


def element_string(elements: Elements) -> str:
    """What a symbol holds: separators only behind values of variable length, and none at the end; raises Malformed."""
    parts = []
    for ai, value in _checked(elements):
        parts.append(ai.ai + value)
        parts.append("" if ai.is_predefined else FNC1)
    return "".join(parts).removesuffix(FNC1)


def brackets(elements: Elements) -> str:
    """As people read it (human readable interpretation, 4.14)."""
    return "".join(f"({ai})" + value for ai, value in elements.items())


def digital_link(elements: Elements, domain: str = "id.gs1.org") -> str:
    """The uncompressed Digital Link of a key, its qualifiers and data attributes; raises Malformed."""
    primary = next((ai for ai in elements if ai in _PRIMARY), None)
    if primary is None:
        raise Malformed(f"a Digital Link begins with one of {', '.join(_PRIMARY)}")
    values = {identifier.ai: value for identifier, value in _checked(elements)}
    in_path = [primary, *(ai for ai in _PRIMARY[primary] if ai in values)]
    path = "".join(f"/{ai}/{quote(values[ai], safe='')}" for ai in in_path)
    query = "&".join(f"{ai}={quote(value, safe='')}" for ai, value in values.items() if ai not in in_path)
    return f"https://{domain}{path}" + (f"?{query}" if query else "")


def parse_digital_link(uri: str) -> Elements:
    """The values of an uncompressed Digital Link; raises Malformed."""
    try:
        parts = urlsplit(uri)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_web = False
    if not is_web:
        raise Malformed(f"{uri[:100]!r} is no web address")
    steps = parts.path.strip("/").split("/")
    # What stands before the first key is the owner's own path.
    begin = next((at for at in range(len(steps)) if steps[at] in _PRIMARY), None)
    if begin is None or (len(steps) - begin) % 2:
        raise Malformed(f"no GS1 key in {uri[:100]!r}")
    elements = {steps[at]: unquote(steps[at + 1]) for at in range(begin, len(steps), 2)}
    primary = steps[begin]
    if primary == "01" and len(elements["01"]) in (8, 12, 13):
        elements["01"] = elements["01"].zfill(14)
    allowed = _PRIMARY[primary]
    order = [ai for ai in elements if ai != primary]
    if [ai for ai in allowed if ai in order] != order:
        raise Malformed(f"behind /{primary}/… may stand {', '.join(allowed) or 'nothing'}, in this order")
    for pair in parts.query.split("&"):
        name, _, value = pair.partition("=")
        if name in IDENTIFIERS:  # others belong to the web, not to GS1
            elements[name] = unquote(value)
    return {identifier.ai: value for identifier, value in _checked(elements)}


def _checked(elements: Elements) -> Iterable[tuple[Identifier, str]]:
    for ai, value in elements.items():
        identifier = IDENTIFIERS.get(ai)
        if identifier is None:
            raise Malformed(f"there is no application identifier ({ai})")
        identifier.check(value)
        yield identifier, value


def _add(elements: dict[str, str], identifier: Identifier, value: str) -> None:
    identifier.check(value)
    if elements.setdefault(identifier.ai, value) != value:
        raise Malformed(f"({identifier.ai}) comes twice, with different values")


def _from_brackets(text: str) -> Elements:
    elements: dict[str, str] = {}
    at = 0
    # A value may itself have brackets: one that begins an element has a known identifier in it.
    starts = [match for match in re.finditer(r"\((\d{2,4})\)", text) if match[1] in IDENTIFIERS]
    if not starts or starts[0].start() != 0:
        ai = text[1 : text.find(")")] if ")" in text else text[1:]
        raise Malformed(f"there is no application identifier ({ai[:10]})")
    for match, following in zip(starts, [*starts[1:], None], strict=True):
        at = following.start() if following else len(text)
        _add(elements, IDENTIFIERS[match[1]], text[match.end() : at])
    return elements


def _from_symbol(text: str) -> Elements:
    if not text:
        raise Malformed("an empty element string")
    elements: dict[str, str] = {}
    at = 0
    while at < len(text):
        identifier = next(
            (
                IDENTIFIERS[text[at : at + size]]
                for size in range(2, _LONGEST_AI + 1)
                if text[at : at + size] in IDENTIFIERS
            ),
            None,
        )
        if identifier is None:
            raise Malformed(f"there is no application identifier at {text[at : at + 4]!r}")
        start = at + len(identifier.ai)
        end = text.find(FNC1, start)
        end = len(text) if end < 0 else end
        if identifier.is_predefined:
            end = min(end, start + identifier.most)
        _add(elements, identifier, text[start:end])
        at = end + (text[end : end + 1] == FNC1)
    return elements
