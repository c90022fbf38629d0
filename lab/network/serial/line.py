"""How characters stand on a serial line: speed, data bits, parity, stop bits, and the times that follow."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from lab.model.plant import Strict

Baud = Literal[1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200]
BAUDS: Final[tuple[int, ...]] = get_args(Baud)
Parity = Literal["none", "even", "odd"]

_FAST = 19200
"""Baud above which Modbus uses fixed times."""


def _parity(value: Any) -> Any:
    # A bare N is a word in YAML 1.2 and a boolean in some editors' idea of it; people write the letters of 8E1.
    return {"N": "none", "E": "even", "O": "odd"}.get(value, value) if isinstance(value, str) else value


class LineSettings(Strict):
    """`{baud: 9600, parity: even}`: what both ends of a serial line must agree upon."""

    baud: Baud = Field(default=9600, description="波特率。 Bits per second.")
    data_bits: Literal[7, 8] = Field(default=8, description="数据位。 Data bits.")
    parity: Annotated[Parity, BeforeValidator(_parity)] = Field(
        default="even", description="校验：none、even、odd，或 N、E、O。 Parity, also as N, E or O."
    )
    stop_bits: Annotated[int, Field(ge=1, le=2)] = Field(default=1, description="停止位。 Stop bits.")

    @cached_property
    def bits_per_character(self) -> int:
        """Start bit, data, parity and stop bits."""
        return 1 + self.data_bits + (self.parity != "none") + self.stop_bits

    @cached_property
    def character_time(self) -> float:
        """Seconds"""
        return self.bits_per_character / self.baud

    @cached_property
    def t15(self) -> float:
        """Seconds of silence that may be inside a Modbus RTU frame (Modbus over Serial Line V1.02, 2.5.1.1)."""
        return 0.000750 if self.baud > _FAST else 1.5 * self.character_time

    @cached_property
    def t35(self) -> float:
        """Seconds of silence between two Modbus RTU frames (ibid.)."""
        return 0.001750 if self.baud > _FAST else 3.5 * self.character_time

    def understands(self, sender: LineSettings) -> bool:
        """Whether a receiver with these settings gets every character right; it looks at one stop bit only."""
        return (self.baud, self.data_bits, self.parity) == (sender.baud, sender.data_bits, sender.parity)

    def __str__(self) -> str:
        """Such as `9600 8E1`."""
        return f"{self.baud} {self.data_bits}{self.parity[0].upper()}{self.stop_bits}"
