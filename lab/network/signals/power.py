"""24 V: supplies that give it, and the inputs by which devices live."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Final, Literal

from lab.model.frame import Port
from lab.network.signals import curve
from lab.network.signals.circuit import Branch, Part
from lab.network.signals.curve import CLOSED, DEAD_SUPPLY, OPEN
from lab.network.timer import Timer

if TYPE_CHECKING:
    from lab.network.fabric import Network

ENOUGH: Final = 18.0
"""Volts across a supply input from which its device works."""
_DRAWS_ALL_FROM: Final = 16.0
_OUTPUT_OHMS: Final = 0.01
_LAMP_OHMS: Final = 10_000.0
"""Of the lamp beside a pair of supply terminals."""
_GOOD_VOLTS: Final = 20.0
"""At which the DC OK contact closes."""
_TRIES, _RESTS = 0.1, 2.0
"""Seconds for which a supply in hiccup mode feeds an overload, and rests."""
_LIMITING: Final = 0.999
"""Share of its limit from which a supply is overloaded."""

Overload = Literal["limit", "hiccup"]
SupplyFault = Literal["no-output", "short"]


class Supply(Part):
    """A 24 V power supply with a current limit; its DC OK contact is between 13 and 14.

    With `decoupled` a diode in its output keeps others from feeding into it. At an overload it holds its limit while
    the voltage falls, or hiccups: tries, rests, tries again.
    """

    def __init__(self, network: Network, name: str) -> None:
        plus, minus, ok = Port(name, "L+"), Port(name, "M"), (Port(name, "13"), Port(name, "14"))
        super().__init__(plus, minus, *ok)
        self.volts = 24.0
        self.limit = 5.0
        """Amperes"""
        self.overload: Overload = "limit"
        self.is_overloaded = False
        self.is_resting = False
        self._is_on = True
        self._fault: SupplyFault | None = None
        self._hiccup = Timer(network.loop, Context(), self._turn)
        inner = (name, "output")
        self._regulator = Branch(inner, minus, DEAD_SUPPLY)
        self._output = Branch(inner, plus, CLOSED)
        self._dc_ok = Branch(*ok, OPEN)
        self.branches = (self._regulator, self._output, self._dc_ok)
        self._draw()
        network.power_listeners.append(lambda device, on: self.switch(on) if device == name else None)

    def equip(self, volts: float, limit: float, overload: Overload, *, decoupled: bool) -> None:
        self.volts, self.limit, self.overload = volts, limit, overload
        self.set(self._output, curve.diode() if decoupled else CLOSED)
        self._draw()
        self.circuit.changed()

    def switch(self, on: bool) -> None:
        """Whether it has mains."""
        self._is_on = on
        self._draw()
        self.circuit.changed()

    @property
    def fault(self) -> SupplyFault | None:
        """What is wrong with it: it gives nothing, or its output is short-circuited inside."""
        return self._fault

    @fault.setter
    def fault(self, fault: SupplyFault | None) -> None:
        self._fault = fault
        self._draw()
        self.circuit.changed()

    @property
    def output(self) -> tuple[float, float]:
        """Volts at its terminals, amperes that it gives."""
        plus, minus = self.terminals[:2]
        return self.circuit.volts(plus, minus), self.circuit.amperes(self._output)

    @property
    def is_alive(self) -> bool:
        """Whether it gives enough for a device to work from."""
        return self.output[0] >= ENOUGH

    @property
    def is_good(self) -> bool:
        """Whether its DC OK contact is closed."""
        return self._dc_ok.curve is CLOSED

    def react(self) -> None:
        regulator = self._regulator
        is_giving = regulator.curve is not DEAD_SUPPLY and self._fault is None
        self.is_overloaded = is_giving and self.circuit.amperes(regulator) <= -_LIMITING * self.limit
        is_good = is_giving and self.circuit.volts(regulator.a, regulator.b) >= _GOOD_VOLTS
        self.set(self._dc_ok, CLOSED if is_good else OPEN)

    def settled(self) -> None:
        if self.overload == "hiccup" and self.is_overloaded and not self._hiccup.is_running:
            self._hiccup.start(_TRIES)

    def _turn(self) -> None:
        self.is_resting = not self.is_resting and self.is_overloaded
        if self.is_resting:
            self._hiccup.start(_RESTS)
        self._draw()
        self.circuit.changed()

    def _draw(self) -> None:
        if self._fault == "short":
            shape = CLOSED
        elif self._fault == "no-output" or not self._is_on or self.is_resting:
            shape = DEAD_SUPPLY
        else:
            shape = curve.supply(self.volts, self.limit, _OUTPUT_OHMS)
        self.set(self._regulator, shape)


class Feed(Part):
    """The supply inputs of a device, which lives while there is enough voltage at one of them.

    Each input is a pair of terminals, plus and minus; diodes take what it needs from the higher one. Polarity
    protection: the wrong way round nothing flows.
    """

    def __init__(self, network: Network, name: str, inputs: Sequence[tuple[str, str]], amperes: float) -> None:
        self.inputs = tuple((Port(name, plus), Port(name, minus)) for plus, minus in inputs)
        super().__init__(*dict.fromkeys(terminal for pair in self.inputs for terminal in pair))
        self._network = network
        self._name = name
        rail, ground = (name, "rail"), (name, "ground")
        self.amperes = amperes
        """What the device draws."""
        self._was_alive = False
        self._load = Branch(rail, ground, curve.load(amperes, _DRAWS_ALL_FROM))
        plus = dict.fromkeys(pair[0] for pair in self.inputs)
        minus = dict.fromkeys(pair[1] for pair in self.inputs)
        self.branches = (
            self._load,
            *(Branch(terminal, rail, curve.diode()) for terminal in plus),
            *(Branch(ground, terminal, CLOSED) for terminal in minus),
            *(Branch(*pair, curve.resistor(_LAMP_OHMS)) for pair in self.inputs),
        )
        network.power_listeners.append(self._power_changed)

    @property
    def live(self) -> tuple[bool, ...]:
        """By input: whether there is enough voltage; what the lamps beside the terminals show."""
        return tuple(self.circuit.volts(*pair) >= ENOUGH for pair in self.inputs)

    @property
    def is_alive(self) -> bool:
        return any(self.live)

    def settled(self) -> None:
        if self.is_alive != self._was_alive:
            self._was_alive = self.is_alive
            self._network.power(self._name, self._was_alive)

    def _power_changed(self, device: str, on: bool) -> None:
        # Somebody else has switched the device on: without voltage that comes to nothing.
        if device == self._name and on and not self._was_alive:
            self._network.loop.call_soon(self._correct, context=Context())

    def _correct(self) -> None:
        if not self._was_alive:
            self._network.power(self._name, False)


def feed(network: Network, name: str, inputs: Sequence[tuple[str, str]] = (("L+", "M"),), amperes: float = 0.1) -> Feed:
    """Give a device supply terminals: from now on it has power only by them; to be called by its `hardware`."""
    part = network.circuit.add(f"{name}/feed", Feed(network, name, inputs, amperes))
    network.power(name, False)
    return part
