"""A small serial plant for tests: ports that are wired by the story, and what each of them heard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar

from plant_time import on_plant_loop

from lab.model.frame import Port, Tap
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.network.serial.line import LineSettings
from lab.network.serial.medium import Reception
from lab.network.serial.port import Interface, Rs485, SerialPort

T = TypeVar("T")

EVEN_9600 = LineSettings(baud=9600, parity="even")

TWO_WIRES = Rs485()


class Station:
    """A port that keeps what it hears."""

    def __init__(self, port: SerialPort, settings: LineSettings) -> None:
        self.port = port
        self.heard: list[Reception] = []
        port.open(settings, self.heard.append)

    @property
    def data(self) -> bytes:
        return b"".join(each.data for each in self.heard)

    @property
    def flaws(self) -> int:
        return sum(each.flaws for each in self.heard)


class SerialPlant:
    def __init__(self, loop: PlantLoop) -> None:
        self.loop = loop
        self.network = Network(loop, seed=1)
        self.seen: list[tuple[Tap, int, bytes]] = []
        """What a bus analyser shows."""
        self.network.serial_taps.append(lambda tap, at, data: self.seen.append((tap, at, data)))

    def station(
        self, name: str, settings: LineSettings = EVEN_9600, interface: Interface = TWO_WIRES, *, bias: bool = False
    ) -> Station:
        return Station(self.network.serial.add_port(Port(name, "com"), interface, bias=bias), settings)

    def wire(self, *wires: str) -> None:
        """Each such as `m/A s1/A`."""
        for wire in wires:
            a, b = wire.split()
            self.network.conductors.wire(Port.parse(a), Port.parse(b))

    def daisy(self, *names: str, length: float | None = None) -> None:
        """A on A and B on B, from one to the next; `length` in metres is that of the whole line."""
        for a, b in pairwise(names):
            self.wire(f"{a}/A {b}/A", f"{a}/B {b}/B")
            if length is not None:
                self.network.serial.set_length(Port(a, "A"), Port(b, "A"), length / (len(names) - 1))


def tell(story: Callable[[SerialPlant], Awaitable[T]]) -> T:
    """Tell a story in virtual time; every complaint of the loop fails the test."""
    return on_plant_loop(lambda loop: story(SerialPlant(loop)), afterwards=0.1)
