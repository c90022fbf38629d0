"""Parameters and messages: dataclasses that say in their annotations what is in them, in the order of the wire.

Simple fields come first, then parameters: `X` for exactly one, `X | None` for at most one, `tuple[X, ...]` for any
number. Numbers below 128 are TV-encoded, without a length; the others are TLV-encoded (LLRP 1.0.1 section 15.2.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from lab.wire.llrp.fields import Codec, Reader, codec_of
from lab.wire.llrp.status import Refused, StatusCode

S = TypeVar("S")

CUSTOM: Final = 1023
_FIRST_TLV: Final = 128
_TLV: Final = struct.Struct("!HH")
_DEEPEST: Final = 12
"""Levels of parameters in parameters that are followed; the deepest of the protocol is 6."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where parameters go."""

    name: str
    accepts: tuple[int, ...]
    least: int
    is_many: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How a dataclass is written."""

    number: int
    make: Callable[..., Any]
    fields: tuple[tuple[str, Codec[Any]], ...]
    places: tuple[_Place, ...]

    def read(self, reader: Reader, depth: int = 0) -> Any:
        values = {name: codec.read(reader) for name, codec in self.fields}
        found: dict[str, list[Any]] = {place.name: [] for place in self.places}
        by_number = {number: place for place in self.places for number in place.accepts}
        while reader.left:
            number, parameter = _read_parameter(reader, by_number, depth)
            place = by_number[number]
            if found[place.name] and not place.is_many:
                raise Refused(StatusCode.P_DUPLICATE_PARAMETER, f"parameter {number} is there twice")
            found[place.name].append(parameter)
        for place in self.places:
            given = found[place.name]
            if len(given) < place.least:
                raise Refused(StatusCode.P_MISSING_PARAMETER, f"parameter {place.accepts[0]} is missing")
            values[place.name] = tuple(given) if place.is_many else (given[0] if given else None)
        return self.make(**values)

    def write(self, value: Any) -> bytes:
        out = bytearray()
        for name, codec in self.fields:
            try:
                out += codec.write(getattr(value, name))
            except struct.error as error:
                raise ValueError(f"{name}: {error}") from None
        for place in self.places:
            given = getattr(value, place.name)
            for each in given if place.is_many else (() if given is None else (given,)):
                out += write_parameter(each)
        return bytes(out)


PARAMETERS: Final[dict[int, Layout]] = {}
MESSAGES: Final[dict[int, Layout]] = {}
_OF_CLASS: Final[dict[type, Layout]] = {}
_NUMBERS: Final[dict[type, int]] = {}


def parameter(number: int) -> Callable[[type[S]], type[S]]:
    """Make a dataclass known as a parameter."""
    return _known_in(PARAMETERS, number)


def message(number: int) -> Callable[[type[S]], type[S]]:
    """Make a dataclass known as a message."""
    return _known_in(MESSAGES, number)


def layout_of(cls: type) -> Layout:
    """How this dataclass is written."""
    return _OF_CLASS[cls]


def write_parameter(value: Any) -> bytes:
    layout = _OF_CLASS[type(value)]
    body = layout.write(value)
    if layout.number < _FIRST_TLV:
        return bytes((0x80 | layout.number,)) + body
    try:
        return _TLV.pack(layout.number, _TLV.size + len(body)) + body
    except struct.error:
        raise ValueError(f"parameter {layout.number} of {len(body)} bytes is too long") from None


def _read_parameter(reader: Reader, accepted: dict[int, _Place], depth: int) -> tuple[int, Any]:
    first = reader.data[reader.at]
    if first & 0x80:
        number, inside = first & 0x7F, reader
        reader.at += 1
    else:
        announced, length = _TLV.unpack(reader.take(_TLV.size))
        number = announced & 0x3FF
        if length < _TLV.size:
            raise Refused(StatusCode.P_FIELD_ERROR, f"parameter {number} claims a length of {length}")
        inside = Reader(reader.take(length - _TLV.size))
    layout = PARAMETERS.get(number)
    if number == CUSTOM:
        raise Refused(StatusCode.P_UNSUPPORTED_PARAMETER, "extensions of vendors are not supported", (number,))
    if layout is None:
        raise Refused(StatusCode.P_UNKNOWN_PARAMETER, f"parameter {number} is unknown", (number,))
    if number not in accepted:
        raise Refused(StatusCode.P_UNEXPECTED_PARAMETER, f"parameter {number} has no place here", (number,))
    if depth >= _DEEPEST:
        raise Refused(StatusCode.P_OVERFLOW_PARAMETER, "parameters are nested too deeply", (number,))
    try:
        if inside is reader:
            return number, layout.make(**{name: codec.read(reader) for name, codec in layout.fields})
        return number, layout.read(inside, depth + 1)
    except Refused as refused:
        raise refused.inside(number) from None


def _known_in(known: dict[int, Layout], number: int) -> Callable[[type[S]], type[S]]:
    def decorate(cls: type[S]) -> type[S]:
        simple: list[tuple[str, Codec[Any]]] = []
        places: list[_Place] = []
        _NUMBERS[cls] = number
        hints = get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)  # which may have itself inside
        for each in fields(cls):  # type: ignore[arg-type]
            hint = hints[each.name]
            if get_origin(hint) is Annotated:
                simple.append((each.name, codec_of(*get_args(hint))))
            else:
                places.append(_place(each.name, hint))
        _OF_CLASS[cls] = known[number] = Layout(number, cls, tuple(simple), tuple(places))
        return cls

    return decorate


def _place(name: str, hint: Any) -> _Place:
    is_many = get_origin(hint) is tuple
    kinds = get_args(hint)[0] if is_many else hint
    members = get_args(kinds) if isinstance(kinds, UnionType) else (kinds,)
    accepts = tuple(_NUMBERS[member] for member in members if member is not NoneType)
    return _Place(name, accepts, 0 if is_many or NoneType in members else 1, is_many)
