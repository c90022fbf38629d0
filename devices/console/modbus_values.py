"""How people write Modbus addresses and what registers mean: pure functions between texts, numbers and words."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, get_args

from devices.console.arguments import BadValue
from lab.text import Text

Table = Literal["coil", "discrete", "input", "holding"]
TABLES: Final[tuple[Table, ...]] = get_args(Table)
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
Value = int | float | str | bool

NOT_AN_ADDRESS = Text(
    zh="{value!r} 不是地址：写 40001 或 400001 这样的编号，或从 0 起的地址（如 100、0x64）",
    en="{value!r} is no address: write a number such as 40001 or 400001, or an address counted from 0 such as 100 or 0x64",
)
NOT_A_VALUE = Text(zh="{value!r} 不能作为 {form} 写入", en="{value!r} cannot be written as {form}")

_DIGIT: Final[dict[str, Table]] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_REFERENCE: Final = re.compile(r"([0134])(\d{4}|\d{5})")
_FORMS: Final = {
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "f32": "f",
    "u64": "Q",
    "i64": "q",
    "f64": "d",
}
FORMS: Final = (*_FORMS, "hex", "bits", "text")
_ON, _OFF = ("1", "on", "true"), ("0", "off", "false")


class Address(NamedTuple):
    table: Table | None
    """None where the notation does not say."""
    offset: int
    """Counted from zero, as on the wire."""
    written: int
    """The number as it was written."""


def reference(table: Table, offset: int) -> str:
    """The number under which manuals have it."""
    digit = next(digit for digit, each in _DIGIT.items() if each == table)
    return f"{digit}{offset + 1:0{4 if offset < 9999 else 5}}"


def address(value: str) -> Address:
    """A type for argparse: 40001, 400001, or counted from 0."""
    match = _REFERENCE.fullmatch(value)
    if match is not None:
        offset = int(match[2]) - 1
        if not 0 <= offset <= 0xFFFF:
            raise BadValue(NOT_AN_ADDRESS, value=value)
        return Address(_DIGIT[match[1]], offset, int(value))
    try:
        offset = int(value, 16 if value.lower().startswith("0x") else 10)
    except ValueError:
        raise BadValue(NOT_AN_ADDRESS, value=value) from None
    if not 0 <= offset <= 0xFFFF:
        raise BadValue(NOT_AN_ADDRESS, value=value)
    return Address(None, offset, offset)


def words_of(form: str) -> int:
    """Registers of one value."""
    code = _FORMS.get(form)
    return struct.calcsize(code) // 2 if code else 1


def _arranged(data: bytes, order: Order) -> bytes:
    """From the order on the wire to big-endian, or back; for 64 bits the same rule over four words."""
    if order in ("BADC", "DCBA"):
        data = b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))
    if order in ("CDAB", "DCBA"):
        data = b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))
    return data


def decode(words: Sequence[int], form: str, order: Order, scale: float) -> list[Value]:
    """The values in registers; a rest too short for one is left out."""
    if form == "text":
        data = b"".join(word.to_bytes(2, "big") for word in words)
        if order in ("BADC", "DCBA"):
            data = _arranged(data, "BADC")
        return [data.rstrip(b"\0 ").decode(errors="replace")]
    if form == "hex":
        return [f"0x{word:04X}" for word in words]
    if form == "bits":
        return [f"{word:016b}" for word in words]
    size = words_of(form)
    values: list[Value] = []
    for at in range(0, len(words) - size + 1, size):
        data = b"".join(word.to_bytes(2, "big") for word in words[at : at + size])
        (raw,) = struct.unpack(f"!{_FORMS[form]}", _arranged(data, order))
        # 7 × 0.1 is 0.7 and not 0.7000000000000001; an f32 has no more than nine figures.
        value: Value = raw if scale == 1 else round(raw * scale, 9)
        values.append(float(f"{value:.9g}") if form == "f32" else value)
    return values


def encode(text: str, form: str, order: Order, scale: float) -> list[int]:
    """The registers of one value; raises BadValue."""
    try:
        if form == "text":
            data = text.encode()
            data += b"\0" * (len(data) & 1)
            return list(
                struct.unpack(f"!{len(data) // 2}H", _arranged(data, "BADC") if order in ("BADC", "DCBA") else data)
            )
        if form == "bits":
            return list(struct.unpack("!H", struct.pack("!H", int(text, 2))))
        if form == "hex" or text.lower().startswith("0x"):
            number: float = int(text, 16)
        elif form in ("f32", "f64") or scale != 1:
            number = float(text)
        else:
            number = int(text)
        if scale != 1:
            number = number / scale
        if form not in ("f32", "f64"):
            number = round(number)
        data = struct.pack(f"!{_FORMS.get(form, 'H')}", number)
    except (ValueError, OverflowError, struct.error):
        raise BadValue(NOT_A_VALUE, value=text, form=form) from None
    return list(struct.unpack(f"!{len(data) // 2}H", _arranged(data, order)))


def encode_bit(text: str) -> bool:
    """A coil; raises BadValue."""
    if text.lower() in _ON:
        return True
    if text.lower() in _OFF:
        return False
    raise BadValue(NOT_A_VALUE, value=text, form="coil")
