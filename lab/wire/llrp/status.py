"""What may be wrong with a message (LLRP 1.0.1 section 13.2.3, 14.2.2), and the exception that says so."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from lab.wire.malformed import Malformed


class StatusCode(IntEnum):
    """M_ of the message itself, P_ of a parameter in it, A_ of a value for an air protocol, R_ of the reader."""

    M_SUCCESS = 0
    M_PARAMETER_ERROR = 100
    M_FIELD_ERROR = 101
    M_UNEXPECTED_PARAMETER = 102
    M_MISSING_PARAMETER = 103
    M_DUPLICATE_PARAMETER = 104
    M_OVERFLOW_PARAMETER = 105
    M_OVERFLOW_FIELD = 106
    M_UNKNOWN_PARAMETER = 107
    M_UNKNOWN_FIELD = 108
    M_UNSUPPORTED_MESSAGE = 109
    M_UNSUPPORTED_VERSION = 110
    M_UNSUPPORTED_PARAMETER = 111
    P_PARAMETER_ERROR = 200
    P_FIELD_ERROR = 201
    P_UNEXPECTED_PARAMETER = 202
    P_MISSING_PARAMETER = 203
    P_DUPLICATE_PARAMETER = 204
    P_OVERFLOW_PARAMETER = 205
    P_OVERFLOW_FIELD = 206
    P_UNKNOWN_PARAMETER = 207
    P_UNKNOWN_FIELD = 208
    P_UNSUPPORTED_PARAMETER = 209
    A_INVALID = 300
    A_OUT_OF_RANGE = 301
    R_DEVICE_ERROR = 401


_OF_THE_MESSAGE: Final = {
    StatusCode.P_PARAMETER_ERROR: StatusCode.M_PARAMETER_ERROR,
    StatusCode.P_FIELD_ERROR: StatusCode.M_FIELD_ERROR,
    StatusCode.P_UNEXPECTED_PARAMETER: StatusCode.M_UNEXPECTED_PARAMETER,
    StatusCode.P_MISSING_PARAMETER: StatusCode.M_MISSING_PARAMETER,
    StatusCode.P_DUPLICATE_PARAMETER: StatusCode.M_DUPLICATE_PARAMETER,
    StatusCode.P_OVERFLOW_PARAMETER: StatusCode.M_OVERFLOW_PARAMETER,
    StatusCode.P_OVERFLOW_FIELD: StatusCode.M_OVERFLOW_FIELD,
    StatusCode.P_UNKNOWN_PARAMETER: StatusCode.M_UNKNOWN_PARAMETER,
    StatusCode.P_UNKNOWN_FIELD: StatusCode.M_UNKNOWN_FIELD,
    StatusCode.P_UNSUPPORTED_PARAMETER: StatusCode.M_UNSUPPORTED_PARAMETER,
}


class Refused(Malformed):
    """A message whose frame is whole and whose content is not; `path` leads to the parameter, outermost first."""

    def __init__(self, code: StatusCode, what: str, path: tuple[int, ...] = ()) -> None:
        super().__init__(what)
        self.code, self.path = code, path

    def inside(self, parameter: int) -> Refused:
        """The same, seen from around that parameter."""
        return Refused(self.code, str(self), (parameter, *self.path))

    @property
    def of_the_message(self) -> StatusCode:
        """The code of the whole: its own where the mistake is in the message itself."""
        return _OF_THE_MESSAGE.get(self.code, self.code) if not self.path else StatusCode.M_PARAMETER_ERROR
