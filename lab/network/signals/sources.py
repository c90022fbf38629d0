"""What stands in the field and gives a signal: transmitters, resistors, contacts, proximity switches."""

from __future__ import annotations

from typing import Final, Literal

from lab.model.frame import Port
from lab.network.signals import curve, pt100
from lab.network.signals.circuit import Branch, Circuit, Part
from lab.network.signals.curve import CLOSED, OPEN, Curve
from lab.network.signals.fault import Measurement, SignalFault

LOWEST, ZERO, FULL, HIGHEST = 0.0038, 0.004, 0.020, 0.0205
"""Amperes: NAMUR NE 43 lets measured values go from 3.8 mA to 20.5 mA."""
FAILURE: Final = {"low": 0.0035, "high": 0.0215}
"""Amperes by which a transmitter says that it has failed: at most 3.6 mA, or at least 21 mA (NE 43)."""
LIFT_OFF: Final = 10.0
"""Volts that a two-wire transmitter needs."""
_LIFT_OFF_3_WIRE: Final = 3.0
_COMPLIANCE: Final = 20.0
"""Volts that an active output can drive."""
_OUTPUT_VOLTS, _OUTPUT_LIMIT, _OUTPUT_OHMS = 10.0, 0.01, 5.0
_WORKS_FROM, _WORKS_UNTIL = 10.0, 9.0
"""Volts of supply at which electronics begin and cease to work."""
_TRANSISTOR_LIMIT, _TRANSISTOR_VOLTS = 0.2, 2.0

Failure = Literal["low", "high"]


class Electronics:
    """What a part draws from its supply, and whether that is enough to work."""

    def __init__(self, plus: Port, minus: Port, amperes: float) -> None:
        self.supply = Branch(plus, minus, curve.load(amperes, _WORKS_FROM))
        self.work = False

    def look(self, circuit: Circuit) -> bool:
        """Whether they begin or cease to work with the voltage there is now."""
        volts = circuit.volts(self.supply.a, self.supply.b)
        before, self.work = self.work, volts >= (_WORKS_UNTIL if self.work else _WORKS_FROM)
        return self.work != before


class SignalSource(Part):
    """A part with a signal; set `fault` and it goes bad: `network.circuit.part("lt-1", SignalSource).fault = …`."""

    def __init__(self, *terminals: Port) -> None:
        super().__init__(*terminals)
        self._fault: SignalFault | None = None
        self._measurement: Measurement | None = None

    @property
    def fault(self) -> SignalFault | None:
        """What is wrong with it, to be set from outside: faults of wires at once, faults of values from `sense` on."""
        return self._fault

    @fault.setter
    def fault(self, fault: SignalFault | None) -> None:
        self._fault = fault
        self._senses.fault = fault
        self._draw()
        self.circuit.changed()

    def sense(self, value: float) -> float:
        """What its sensor makes of the true value, now."""
        return self._senses.of(value)

    @property
    def _senses(self) -> Measurement:
        if self._measurement is None:
            network, name = self.circuit.network, self.terminals[0].host
            self._measurement = Measurement(network.loop.time, network.random_for(f"sensor of {name}"))
        return self._measurement

    def _draw(self) -> None:
        """Set the curves as signal, supply and fault have it."""
        raise NotImplementedError

    def _in_the_wires(self, healthy: Curve) -> Curve:
        """The curve between the ends of the signal."""
        if self._fault is not None and self._fault.kind == "open":
            return OPEN
        if self._fault is not None and self._fault.kind == "short":
            return CLOSED
        return healthy


class Transmitter(SignalSource):
    """A source whose signal goes from nothing to full scale."""

    def __init__(self, *terminals: Port) -> None:
        super().__init__(*terminals)
        self._share = 0.0
        self.on_failure: Failure = "low"

    def show(self, share: float) -> None:
        """Give the signal for a share of the measuring range, 0 to 1 and a little beyond. Readers see it on reading."""
        if share != self._share:
            self._share = share
            self._draw()

    @property
    def is_alive(self) -> bool:
        """Whether there is voltage enough for it to work."""
        raise NotImplementedError

    @property
    def signal(self) -> float:
        """Amperes that it wants to flow."""
        if self._fault is not None and self._fault.kind == "sensor":
            return FAILURE[self.on_failure]
        # In this order what is not a number becomes the lowest value.
        return min(max(LOWEST, ZERO + self._share * (FULL - ZERO)), HIGHEST)


class TwoWire(Transmitter):
    """4–20 mA, fed by the loop it signals in; `lead` is the resistance of each conductor in ohms."""

    def __init__(self, plus: Port, minus: Port, *, lead: float = 0.0) -> None:
        super().__init__(plus, minus)
        inner = (plus.host, "inner")
        self._lead = Branch(plus, inner, CLOSED)
        self.loop = Branch(inner, minus, OPEN)
        self.branches = (self._lead, self.loop)
        self.equip(lead)
        self._draw()

    def equip(self, lead: float) -> None:
        self.set(self._lead, curve.resistor(max(2 * lead, 0.01)))

    def _draw(self) -> None:
        self.set(self.loop, self._in_the_wires(curve.sink(self.signal, LIFT_OFF)))

    @property
    def amperes(self) -> float:
        """In the loop."""
        return self.circuit.amperes(self.loop)

    @property
    def is_alive(self) -> bool:
        return self.circuit.volts(self.loop.a, self.loop.b) >= LIFT_OFF


class Supplied(Transmitter):
    """A transmitter with a supply of its own."""

    def __init__(self, plus: Port, minus: Port, *outputs: Port, draws: float) -> None:
        super().__init__(plus, minus, *outputs)
        self.electronics = Electronics(plus, minus, draws)

    @property
    def is_alive(self) -> bool:
        return self.electronics.work

    def react(self) -> None:
        if self.electronics.look(self.circuit):
            self._draw()


class ThreeWire(Supplied):
    """4–20 mA or 0–10 V out of a terminal, the return being that of the supply."""

    def __init__(self, plus: Port, out: Port, minus: Port) -> None:
        super().__init__(plus, minus, out, draws=0.02)
        self._upper = Branch(plus, out, OPEN)
        self._lower = Branch(out, minus, OPEN)
        self.output: Literal["4-20mA", "0-10V"] = "4-20mA"
        self.branches = (self.electronics.supply, self._upper, self._lower)

    def equip(self, output: Literal["4-20mA", "0-10V"]) -> None:
        self.output = output
        self._draw()

    def _draw(self) -> None:
        upper = lower = OPEN
        if self.electronics.work and self.output == "4-20mA":
            upper = curve.sink(self.signal, _LIFT_OFF_3_WIRE)
        elif self.electronics.work:
            volts = (self.signal - ZERO) / (FULL - ZERO) * _OUTPUT_VOLTS
            lower = curve.supply(max(volts, 0.01), _OUTPUT_LIMIT, _OUTPUT_OHMS)
        if self._fault is not None and self._fault.kind == "short":
            lower = CLOSED
        elif self._fault is not None and self._fault.kind == "open":
            upper = lower = OPEN
        self.set(self._upper, upper)
        self.set(self._lower, lower)


class FourWire(Supplied):
    """4–20 mA that it drives itself, apart from its supply."""

    def __init__(self, plus: Port, minus: Port, out_plus: Port, out_minus: Port) -> None:
        super().__init__(plus, minus, out_plus, out_minus, draws=0.1)
        self.output = Branch(out_plus, out_minus, OPEN)
        self.branches = (self.electronics.supply, self.output)

    def _draw(self) -> None:
        self.set(
            self.output, self._in_the_wires(curve.source(self.signal, _COMPLIANCE) if self.electronics.work else OPEN)
        )

    @property
    def amperes(self) -> float:
        """Out of its output."""
        return -self.circuit.amperes(self.output)


class Pt100(SignalSource):
    """A platinum resistor with two leads at either end, each of `lead` ohms: 1 and 2 at one, 3 and 4 at the other."""

    def __init__(self, one: Port, two: Port, three: Port, four: Port, *, lead: float = 0.0) -> None:
        super().__init__(one, two, three, four)
        a, b = (one.host, "a"), (one.host, "b")
        self._leads = (
            Branch(one, a, CLOSED),
            Branch(two, a, CLOSED),
            Branch(three, b, CLOSED),
            Branch(four, b, CLOSED),
        )
        self.element = Branch(a, b, OPEN)
        self.branches = (*self._leads, self.element)
        self._temperature = 0.0
        self.equip(lead)
        self._draw()

    def equip(self, lead: float) -> None:
        for branch in self._leads:
            self.set(branch, curve.resistor(max(lead, 0.01)))

    def show(self, temperature: float) -> None:
        """It has this temperature, in °C."""
        self._temperature = min(max(pt100.LOWEST, temperature), pt100.HIGHEST)
        self._draw()

    def _draw(self) -> None:
        healthy = curve.resistor(pt100.ohms_at(self._temperature))
        is_broken = self._fault is not None and self._fault.kind == "sensor"
        self.set(self.element, OPEN if is_broken else self._in_the_wires(healthy))


class Contact(SignalSource):
    """A dry contact."""

    def __init__(self, a: Port, b: Port) -> None:
        super().__init__(a, b)
        self.is_closed = False
        self.contact = Branch(a, b, OPEN)
        self.branches = (self.contact,)

    def switch(self, closed: bool) -> None:
        if closed != self.is_closed:
            self.is_closed = closed
            self._draw()
            self.circuit.changed()

    def _draw(self) -> None:
        self.set(self.contact, self._in_the_wires(CLOSED if self.is_closed else OPEN))


class Proximity(SignalSource):
    """A three-wire proximity switch (IEC 60947-5-2): brown is plus, blue is minus, black the output.

    PNP switches the output to plus, NPN to minus; short-circuit protected.
    """

    def __init__(self, brown: Port, black: Port, blue: Port, *, transistor: Literal["pnp", "npn"]) -> None:
        super().__init__(brown, black, blue)
        self.electronics = Electronics(brown, blue, 0.01)
        self.is_on = False
        self.output = Branch(brown, black, OPEN) if transistor == "pnp" else Branch(black, blue, OPEN)
        self.branches = (self.electronics.supply, self.output)

    def switch(self, on: bool) -> None:
        """Whether the transistor is to conduct."""
        if on != self.is_on:
            self.is_on = on
            self._draw()
            self.circuit.changed()

    def react(self) -> None:
        if self.electronics.look(self.circuit):
            self._draw()

    def _draw(self) -> None:
        conducts = curve.load(_TRANSISTOR_LIMIT, _TRANSISTOR_VOLTS)
        self.set(self.output, self._in_the_wires(conducts if self.is_on and self.electronics.work else OPEN))
