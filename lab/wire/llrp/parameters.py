"""The parameters that several messages share: times, statuses, triggers (LLRP 1.0.1 sections 7.1, 10.2, 14.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.wire.llrp.fields import U16, U32, U64, Flag, Utf8, number
from lab.wire.llrp.status import Refused, StatusCode
from lab.wire.llrp.structure import parameter


@parameter(128)
@dataclass(frozen=True, slots=True)
class UtcTimestamp:
    microseconds: U64
    """Since 1970-01-01."""


@parameter(129)
@dataclass(frozen=True, slots=True)
class Uptime:
    microseconds: U64


@parameter(288)
@dataclass(frozen=True, slots=True)
class FieldError:
    field: U16
    """Its number, from 0."""
    code: Annotated[StatusCode, number("H")]


@parameter(289)
@dataclass(frozen=True, slots=True)
class ParameterError:
    parameter: U16
    code: Annotated[StatusCode, number("H")]
    field: FieldError | None = None
    within: ParameterError | None = None
    """What is wrong inside that parameter."""


@parameter(287)
@dataclass(frozen=True, slots=True)
class LlrpStatus:
    code: Annotated[StatusCode, number("H")]
    description: Utf8 = ""
    field: FieldError | None = None
    parameter: ParameterError | None = None


SUCCESS = LlrpStatus(StatusCode.M_SUCCESS)


def refusal(refused: Refused) -> LlrpStatus:
    """How a reader says what is wrong with a message."""
    error: ParameterError | None = None
    for place in reversed(range(len(refused.path))):
        is_innermost = place == len(refused.path) - 1
        code = refused.code if is_innermost else StatusCode.P_PARAMETER_ERROR
        error = ParameterError(refused.path[place], code, within=error)
    return LlrpStatus(refused.of_the_message, str(refused), parameter=error)


@parameter(181)
@dataclass(frozen=True, slots=True)
class GpiTrigger:
    """GPITriggerValue"""

    port: U16
    event: Flag
    """The level to which the input changes."""
    timeout: U32
    """Milliseconds; 0 waits for ever."""


@parameter(9)
@dataclass(frozen=True, slots=True)
class RoSpecId:
    id: U32


@parameter(14)
@dataclass(frozen=True, slots=True)
class SpecIndex:
    index: U16


@parameter(10)
@dataclass(frozen=True, slots=True)
class InventorySpecId:
    """InventoryParameterSpecID"""

    id: U16


@parameter(1)
@dataclass(frozen=True, slots=True)
class AntennaId:
    id: U16


@parameter(16)
@dataclass(frozen=True, slots=True)
class AccessSpecId:
    id: U32
