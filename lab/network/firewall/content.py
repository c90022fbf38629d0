"""What a policy may demand of the content of flows it allows."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text
from lab.wire.modbus import FUNCTIONS

UNKNOWN_FUNCTION: Final = Text(zh="Modbus 没有公用功能码 {code}", en="Modbus has no public function code {code}")
SPAN: Final = Text(zh="应写成 40 或 40-41 的形式，而不是 {text!r}", en="{text!r} should look like 40 or 40-41")
ONE_CONTENT: Final = Text(
    zh="内容规则必须且只能有一种：modbus 或 opcua", en="a content profile is either modbus or opcua, one of them"
)

Table = Literal["coils", "discrete", "holding", "input"]


def parse_span(text: str | int) -> tuple[int, int]:
    """`40` or `40-41` as (first, last), both included; raises KnownValueError."""
    first, dash, last = str(text).replace(" ", "").partition("-")
    if not first.isascii() or not first.isdigit() or (dash and not (last.isascii() and last.isdigit())):
        raise KnownValueError(SPAN, text=str(text))
    span = (int(first), int(last) if dash else int(first))
    if not span[0] <= span[1] <= 0xFFFF:
        raise KnownValueError(SPAN, text=str(text))
    return span


def _spans(values: tuple[str | int, ...]) -> tuple[str | int, ...]:
    for value in values:
        parse_span(value)
    return values


Spans = Annotated[tuple[str | int, ...], AfterValidator(_spans)]
"""Numbers and ranges, such as `[0-41, 100]`, ends included."""


def _functions(values: tuple[int, ...]) -> tuple[int, ...]:
    for value in values:
        if value not in FUNCTIONS:
            raise KnownValueError(UNKNOWN_FUNCTION, code=value, known=map(str, FUNCTIONS))
    return values


class ModbusWrites(Strict):
    """Where clients may write, and what."""

    table: Literal["coils", "holding"] = "holding"
    addresses: Spans
    values: Spans | None = None
    """What may be written to each of these registers; anything where it is left out."""


class ModbusContent(Strict):
    """What Modbus requests may ask. Addresses count from zero, as on the wire."""

    units: Spans | None = None
    """Unit ids; every one where it is left out."""
    functions: Annotated[tuple[int, ...], AfterValidator(_functions)] | None = None
    """Function codes; every public one where it is left out."""
    read_only: bool = False
    """Refuse every function that changes anything in the device."""
    reads: dict[Table, Spans] | None = None
    """Addresses that may be read, by table; a table that is left out may not be read. Without `reads`, all may."""
    writes: tuple[ModbusWrites, ...] | None = None
    """What may be written; anything where it is left out."""
    format_check: bool = True
    """Refuse what breaks the rules of the MBAP header or of its function."""


PolicyName = Literal[
    "None", "Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"
]
ModeName = Literal["None", "Sign", "SignAndEncrypt"]


class OpcUaContent(Strict):
    """What OPC UA clients may do. Services can only be told apart on channels that do not encrypt."""

    policies: tuple[PolicyName, ...] | None = None
    """Security policies a channel may be opened with; every one where it is left out."""
    modes: tuple[ModeName, ...] | None = None
    services: tuple[str, ...] | None = None
    """The only services allowed, such as `Read` and `Browse`, besides those that open and close channels."""
    forbidden: tuple[str, ...] = ()
    """Services that are refused, such as `Write` and `Call`."""


class ContentProfile(Strict):
    """Deep inspection: exactly one protocol, and what becomes of a violation."""

    modbus: ModbusContent | None = None
    opcua: OpcUaContent | None = None
    on_violation: Literal["reset", "drop"] = "reset"
    """Reset the connection at both ends, or only drop what violates."""

    @model_validator(mode="after")
    def _one(self) -> ContentProfile:
        if (self.modbus is None) == (self.opcua is None):
            raise KnownValueError(ONE_CONTENT, known=("modbus", "opcua"))
        return self
