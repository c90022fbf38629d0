"""A workbench for signals: parts by name, wires between their terminals, and a meter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab.model.frame import Port
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.network.signals.inputs import AnalogInput, AnalogMode, DigitalInput, LeadMode
from lab.network.signals.power import Feed, Supply, feed
from lab.network.signals.sources import Contact, FourWire, Proximity, Pt100, ThreeWire, TwoWire


class Bench:
    """`ps` is a supply, `io` a module that it feeds, with an analog channel `ai` and a digital input `di`."""

    def __init__(self, loop: PlantLoop) -> None:
        self.loop = loop
        self.network = network = Network(loop)
        self.circuit = circuit = network.circuit
        self.supply = circuit.add("ps", Supply(network, "ps"))
        self.module = self.device("io", 0.2)
        self.analog = circuit.add(
            "io/ai", AnalogInput(*self.ports("io", "ai+ ai- aii+ aii-"), Port("io", "M"), self.module)
        )
        self.digital = circuit.add("io/di", DigitalInput(*self.ports("io", "di L+ M")))
        self.wire("ps/L+ io/L+", "ps/M io/M")

    def ports(self, name: str, terminals: str) -> tuple[Port, ...]:
        return tuple(Port(name, terminal) for terminal in terminals.split())

    def device(self, name: str, amperes: float, *inputs: tuple[str, str]) -> Feed:
        """Something that needs 24 V."""
        self.network.add_host(name, ())
        return feed(self.network, name, inputs or (("L+", "M"),), amperes)

    def two_wire(self, name: str = "pt", lead: float = 0.0) -> TwoWire:
        return self.circuit.add(name, TwoWire(*self.ports(name, "+ -"), lead=lead))

    def three_wire(self, name: str = "pt") -> ThreeWire:
        return self.circuit.add(name, ThreeWire(*self.ports(name, "L+ out M")))

    def four_wire(self, name: str = "ft") -> FourWire:
        return self.circuit.add(name, FourWire(*self.ports(name, "L+ M I+ I-")))

    def pt100(self, name: str = "te", lead: float = 0.0) -> Pt100:
        return self.circuit.add(name, Pt100(*self.ports(name, "1 2 3 4"), lead=lead))

    def contact(self, name: str = "ls") -> Contact:
        return self.circuit.add(name, Contact(*self.ports(name, "1 2")))

    def pnp(self, name: str = "px") -> Proximity:
        return self.circuit.add(name, Proximity(*self.ports(name, "BN BK BU"), transistor="pnp"))

    def npn(self, name: str = "px") -> Proximity:
        return self.circuit.add(name, Proximity(*self.ports(name, "BN BK BU"), transistor="npn"))

    def wire(self, *wires: str) -> None:
        """Each such as `ps/L+ pt/+`."""
        for wire in wires:
            self.network.conductors.wire(*map(Port.parse, wire.split()))

    def unwire(self, *wires: str) -> None:
        for wire in wires:
            self.network.conductors.unwire(*map(Port.parse, wire.split()))

    def reads(self, mode: AnalogMode, leads: LeadMode = "4w") -> float:
        """What the analog channel measures in this mode: mA, V or ohms."""
        self.analog.equip(mode, leads)
        return self.analog.reading * (1000 if mode == "current" else 1)

    def volts(self, a: str, b: str) -> float:
        return self.circuit.volts(Port.parse(a), Port.parse(b))

    def has_power(self, name: str) -> bool:
        self.circuit.settle()
        return self.network.has_power(name)


@contextmanager
def bench() -> Iterator[Bench]:
    loop = PlantLoop(fast=True)
    try:
        yield Bench(loop)
    finally:
        loop.close()
