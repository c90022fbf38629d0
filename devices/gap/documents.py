"""Data sets as JSON documents and as registers, checked against their description."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from devices.gap.config import SIZES, DataSet, FieldConfig

Value = float | int | bool | str
Record = Mapping[str, Value]

_FORMS: Final = {"u16": "!H", "i16": "!h", "u32": "!I", "i32": "!i", "f32": "!f", "bool": "!H"}
_LIMITS: Final = {
    "u16": (0, 0xFFFF),
    "i16": (-0x8000, 0x7FFF),
    "u32": (0, 0xFFFF_FFFF),
    "i32": (-(2**31), 2**31 - 1),
}


class Refused(Exception):
    """What is wrong with a document; it does not cross."""


def from_json(data: bytes, dataset: DataSet) -> Record:
    """The record in a document; raises Refused."""
    if len(data) > dataset.max_size:
        raise Refused(f"more than {dataset.max_size} bytes")
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise Refused("not a JSON document") from None
    if not isinstance(document, dict):
        raise Refused("not a JSON object")
    return checked(document, dataset)


def to_json(record: Record) -> bytes:
    """A new document: nothing of the old one crosses but its values."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def from_registers(words: Sequence[int], dataset: DataSet) -> Record:
    """The record in a run of registers; raises Refused."""
    record: dict[str, Value] = {}
    at = 0
    for each in dataset.fields:
        size = SIZES[each.type]
        data = b"".join(word.to_bytes(2, "big") for word in words[at : at + size])
        value = struct.unpack(_FORMS[each.type], data)[0]
        if each.type == "bool":
            if value > 1:
                raise Refused(f"{each.name}: {value} is neither 0 nor 1")
            value = bool(value)
        record[each.name] = value
        at += size
    return checked(record, dataset)


def to_registers(record: Record, dataset: DataSet) -> list[int]:
    words: list[int] = []
    for each in dataset.fields:
        data = struct.pack(_FORMS[each.type], record[each.name])
        words += struct.unpack(f"!{len(data) // 2}H", data)
    return words


def checked(document: Mapping[str, object], dataset: DataSet) -> Record:
    """Exactly the fields of the data set, in their order; raises Refused."""
    known = {each.name for each in dataset.fields}
    if foreign := sorted(set(document) - known):
        raise Refused(f"unknown field {foreign[0][:64]!r}")
    record: dict[str, Value] = {}
    for each in dataset.fields:
        if each.name not in document:
            raise Refused(f"{each.name} is missing")
        record[each.name] = _checked(document[each.name], each)
    return record


def _checked(value: object, field: FieldConfig) -> Value:
    name = field.name
    if field.type == "bool":
        if not isinstance(value, bool):
            raise Refused(f"{name} is no truth value")
        return value
    if field.type == "text":
        if not isinstance(value, str) or not value.isprintable():
            raise Refused(f"{name} is no printable text")
        if len(value) > field.max_length:
            raise Refused(f"{name} is longer than {field.max_length}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} is no number")
    if field.type == "f32":
        value = _single(value, name)
    else:
        low, high = _LIMITS[field.type]
        if not isinstance(value, int) or not low <= value <= high:
            raise Refused(f"{name} is no {field.type}")
    if (field.minimum is not None and value < field.minimum) or (field.maximum is not None and value > field.maximum):
        raise Refused(f"{name}: {value} is out of range")
    return value


def _single(value: float, name: str) -> float:
    """Within what 32 bits hold."""
    try:
        finite = math.isfinite(value)
        struct.pack("!f", value)
    except (OverflowError, struct.error):
        finite = False
    if not finite:
        raise Refused(f"{name} is no finite number")
    return float(value)
