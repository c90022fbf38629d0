"""What reads signals: analog channels for current, voltage and platinum resistors, digital inputs for 24 V."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from lab.model.frame import Port
from lab.network.signals import curve
from lab.network.signals.circuit import Branch, Part
from lab.network.signals.curve import CLOSED, OPEN

if TYPE_CHECKING:
    from lab.network.signals.power import Feed, Supply

AnalogMode = Literal["current", "voltage", "pt100"]
LeadMode = Literal["2w", "3w", "4w"]
SHUNT: Final = 250.0
"""Ohms"""
_SHUNT_LIMIT: Final = 0.03
"""Amperes that the protection of a current input lets through."""
_LOOP_VOLTS, _LOOP_LIMIT, _LOOP_OHMS = 24.0, 0.03, 10.0
_VOLTAGE_OHMS: Final = 100_000.0
_SENSE_OHMS: Final = 10_000_000.0
_EXCITATION, _EXCITATION_VOLTS = 0.001, 5.0
_INSULATION: Final = 10_000_000.0
"""Ohms between a channel and its module's M."""
_DIGITAL_OHMS: Final = 4_000.0
_ON, _OFF = 11.0, 5.0
"""IEC 61131-2, type 3."""


class AnalogInput(Part):
    """A channel with terminals + and -, and i+ and i- that excite a resistor.

    Current, `2w`: the channel feeds the loop out of + and measures what comes back into -. Current, `4w`: it measures
    what flows from + to -, and feeds nothing. Platinum resistors: `2w` between + and -; `3w` with the current out of +
    and back into i-, the drop along that lead being taken for that of the other; `4w` with the current from i+ to i-.
    """

    def __init__(self, plus: Port, minus: Port, i_plus: Port, i_minus: Port, common: Port, feed: Feed | Supply) -> None:
        super().__init__(plus, minus, i_plus, i_minus)
        inner = (plus, "inner")
        self._feed = feed
        self._is_alive = False
        self._mode: AnalogMode = "voltage"
        self._leads: LeadMode = "4w"
        self._upper = Branch(plus, inner, CLOSED)
        self._lower = Branch(inner, minus, OPEN)
        self._excitation = {
            "2w": Branch(plus, minus, OPEN),
            "3w": Branch(plus, i_minus, OPEN),
            "4w": Branch(i_plus, i_minus, OPEN),
        }
        self._to_common = Branch(minus, common, curve.resistor(_INSULATION))
        self.branches = (self._upper, self._lower, *self._excitation.values(), self._to_common)
        self._draw()

    def equip(self, mode: AnalogMode, leads: LeadMode) -> None:
        self._mode, self._leads = mode, leads
        self._draw()
        self.circuit.changed()

    def react(self) -> None:
        self._is_alive = self._feed.is_alive
        self._draw()

    def _draw(self) -> None:
        upper, lower = CLOSED, curve.resistor(_SENSE_OHMS)
        if self._mode == "voltage":
            lower = curve.resistor(_VOLTAGE_OHMS)
        elif self._mode == "current":
            lower = curve.shunt(SHUNT, _SHUNT_LIMIT)
            if self._leads == "2w":
                upper = curve.supply(_LOOP_VOLTS, _LOOP_LIMIT, _LOOP_OHMS) if self._is_alive else curve.DEAD_SUPPLY
        self.set(self._upper, upper)
        self.set(self._lower, lower)
        excitation = curve.source(_EXCITATION, _EXCITATION_VOLTS)
        for leads, branch in self._excitation.items():
            is_exciting = self._is_alive and self._mode == "pt100" and leads == self._leads
            self.set(branch, excitation if is_exciting else OPEN)

    @property
    def reading(self) -> float:
        """Amperes, volts or ohms, as the mode has it."""
        circuit, (plus, minus, _, i_minus) = self.circuit, self.terminals
        if self._mode == "voltage":
            return circuit.volts(plus, minus)
        if self._mode == "current":
            amperes = circuit.amperes(self._lower)
            return -amperes if self._leads == "2w" else amperes
        volts = circuit.volts(plus, minus)
        if self._leads == "3w":
            volts -= circuit.volts(minus, i_minus)
        return volts / _EXCITATION


class DigitalInput(Part):
    """One input of a module with common terminals L+ and M.

    `sinking` takes current out of what switches plus (PNP); `sourcing` gives current to what switches minus (NPN).
    """

    def __init__(self, terminal: Port, plus: Port, minus: Port) -> None:
        super().__init__(terminal)
        self._to_minus = Branch(terminal, minus, OPEN)
        self._from_plus = Branch(plus, terminal, OPEN)
        self._active = self._to_minus
        self.branches = (self._to_minus, self._from_plus)
        self.is_on = False
        self.edges = 0
        """How often it was switched on."""
        self.changed: Callable[[], None] = lambda: None
        """Called when it has switched."""
        self.equip(sourcing=False)

    def equip(self, *, sourcing: bool) -> None:
        self._active = self._from_plus if sourcing else self._to_minus
        for branch in self.branches:
            self.set(branch, curve.optocoupler(_DIGITAL_OHMS) if branch is self._active else OPEN)

    @property
    def volts(self) -> float:
        """Across the input."""
        return self.circuit.volts(self._active.a, self._active.b)

    def settled(self) -> None:
        is_on = self.volts >= (_OFF if self.is_on else _ON)
        if is_on != self.is_on:
            self.is_on = is_on
            self.edges += is_on
            self.changed()
