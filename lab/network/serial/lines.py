"""All serial ports of a plant, and which of them hear one another, as the wires between their terminals have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from lab.model.frame import Port, Tap
from lab.network.serial import electrical
from lab.network.serial.medium import Path, Receiver, Transmission, bit_errors
from lab.network.serial.port import Interface, Rs232, Rs485, SerialPort

if TYPE_CHECKING:
    from lab.network.fabric import Network
    from lab.network.serial.probe import Probe

WIRE_LENGTH: Final = 10.0
"""Metres of a wire whose length nobody told."""


@dataclass(frozen=True, slots=True)
class Terminator:
    """A resistor of 120 Ω with two legs."""

    a: Port
    b: Port


@dataclass(slots=True)
class Bus:
    """Ports that wires join, well or badly. It lives until wires or switches change."""

    name: Port
    ports: tuple[SerialPort, ...]
    length: float
    """Metres of all wires from A to A, or from TX to RX."""
    at_ends: int = 0
    """Terminators at the ends of the line."""
    elsewhere: int = 0
    """Terminators in the middle."""
    is_held: bool = True
    """Whether bias resistors hold it at rest, or nothing pulls it from there."""
    noise: float = 0.0
    hearers: dict[Port, tuple[tuple[Receiver, Path], ...]] = field(default_factory=dict)
    """By the port that sends."""

    @property
    def tap(self) -> Tap:
        return Tap(self.name, self.name)

    def bit_errors(self, baud: int) -> float:
        """Probability per bit at this speed."""
        if isinstance(self.ports[0].interface, Rs485):
            loads = sum(port.unit_load for port in self.ports)
            own = _rs485(self.length, baud, self.at_ends, self.elsewhere, loads)
        else:
            own = electrical.rs232_bit_errors(self.length, baud)
        return 1 - (1 - own) * (1 - self.noise)


@lru_cache(maxsize=1024)
def _rs485(length: float, baud: int, at_ends: int, elsewhere: int, loads: float) -> float:
    return electrical.rs485_bit_errors(length, baud, at_ends=at_ends, elsewhere=elsewhere, unit_loads=loads)


class SerialLines:
    """`network.serial`: makes ports and terminators, and carries what ports send."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._ports: dict[Port, SerialPort] = {}
        self._terminators: dict[Port, Terminator] = {}
        self._lengths: dict[frozenset[Port], float] = {}
        self._buses: dict[Port, Bus] | None = None
        self._probes: dict[Port, Probe] = {}
        self._under_way: set[Transmission] = set()
        self._random = network.random_for("serial lines")

    # -- building ------------------------------------------------------------------------------------------------------

    def add_port(
        self, name: Port, *interfaces: Interface, is_master: bool = False, bias: bool = False, unit_load: float = 1.0
    ) -> SerialPort:
        """A port with terminals for each of these, the first in use; raises ValueError where the name is taken."""
        if name in self._ports:
            raise ValueError(f"there is already a serial port {name}")
        for terminal in dict.fromkeys(terminal for interface in interfaces for terminal in interface):
            self.network.conductors.add_terminal(Port(name.host, terminal), self._rewired)
        port = self._ports[name] = SerialPort(self, name, interfaces[0], is_master=is_master)
        port.equip(bias=bias, unit_load=unit_load)
        return port

    def add_terminator(self, name: str, legs: tuple[str, str]) -> None:
        """A resistor of 120 Ω as a part of its own; raises ValueError where there is one of that name."""
        a, b = (Port(name, leg) for leg in legs)
        for leg in (a, b):
            self.network.conductors.add_terminal(leg, self._rewired)
        self._terminators[a] = self._terminators[b] = Terminator(a, b)

    def set_length(self, a: Port, b: Port, metres: float) -> None:
        """How long the wire between two terminals is; without it, `WIRE_LENGTH`."""
        self._lengths[frozenset((a, b))] = metres
        self.changed()

    @property
    def ports(self) -> tuple[SerialPort, ...]:
        return tuple(self._ports.values())

    def port(self, name: Port) -> SerialPort:
        """Raises KeyError for an unknown port."""
        return self._ports[name]

    def bus(self, name: Port) -> Bus:
        """The bus a port is on, be it alone; raises KeyError for an unknown port."""
        return self._all_buses()[name]

    def _rewired(self) -> None:
        for transmission in self._under_way:
            transmission.is_broken = True
        self.changed()

    def changed(self) -> None:
        """Something was set or wired: buses are looked at anew before the next transmission."""
        self._buses = None

    # -- sending -------------------------------------------------------------------------------------------------------

    def begin(self, transmission: Transmission) -> None:
        """A port has begun to send."""
        bus = self.bus(transmission.origin.name)
        settings = transmission.settings
        bits = len(transmission.data) * settings.bits_per_character
        transmission.flipped = bit_errors(self._random, bus.bit_errors(settings.baud), bits)
        if not bus.is_held and self._random.random() < electrical.FALSE_START:
            transmission.flipped = (0, *transmission.flipped)
        hearers = bus.hearers[transmission.origin.name]
        if self.network.serial_taps and len(bus.ports) > 1:
            hearers = ((self._probe(bus).receiver, self._seen_from(bus, transmission.origin)), *hearers)
        transmission.hearers = hearers
        self._under_way.add(transmission)
        for receiver, path in hearers:
            receiver.begin(transmission, path)

    def end(self, transmission: Transmission) -> None:
        """The last stop bit is through, or would have been."""
        self._under_way.discard(transmission)
        for receiver, _ in transmission.hearers:
            receiver.end()

    def _probe(self, bus: Bus) -> Probe:
        from lab.network.serial.probe import Probe

        probe = self._probes.get(bus.name)
        if probe is None:
            probe = self._probes[bus.name] = Probe(self.network, bus.name)
        return probe

    def _seen_from(self, bus: Bus, origin: SerialPort) -> Path:
        """A probe is clamped to the terminals of the port that names the bus."""
        first = bus.ports[0]
        if origin is first:
            return Path()
        return self._path(origin, first) or Path()

    # -- who hears whom ------------------------------------------------------------------------------------------------

    def _all_buses(self) -> dict[Port, Bus]:
        if self._buses is None:
            self._buses = {port.name: bus for bus in self._find_buses() for port in bus.ports}
        return self._buses

    def _find_buses(self) -> Iterator[Bus]:
        net = self.network.conductors.net
        left = dict(self._ports)
        while left:
            _, start = left.popitem()
            members, ahead = [start], [start]
            while ahead:
                here = ahead.pop()
                reach = frozenset[Port]().union(*(net(terminal) for terminal in _signals(here)))
                for port in [port for port in left.values() if not reach.isdisjoint(_signals(port))]:
                    del left[port.name]
                    members.append(port)
                    ahead.append(port)
            yield self._bus(members)

    def _bus(self, members: list[SerialPort]) -> Bus:
        order = {name: number for number, name in enumerate(self._ports)}
        ports = tuple(sorted(members, key=lambda port: (not port.is_master, order[port.name])))
        name = Port("bus", f"{ports[0].name.host}.{ports[0].name.name}")
        bus = Bus(name, ports, self._length(ports))
        self._count_terminators(bus)
        bus.is_held = not bus.at_ends + bus.elsewhere or any(port.is_biased for port in ports)
        bus.noise = min(sum(port.noise for port in ports), 1.0)
        for origin in ports:
            paths = ((port, self._path(origin, port)) for port in ports if port is not origin)
            bus.hearers[origin.name] = tuple(
                (port.receiver, path) for port, path in paths if path is not None and port.is_open
            )
        return bus

    def _path(self, origin: SerialPort, port: SerialPort) -> Path | None:
        """How one port hears another; None where it does not."""
        sender, receiver = _terminals(origin), _terminals(port)
        joined = self.network.conductors.are_joined
        grounded = joined(sender[2], receiver[2])
        if isinstance(origin.interface, Rs232) or isinstance(port.interface, Rs232):
            both = isinstance(origin.interface, Rs232) and isinstance(port.interface, Rs232)
            return Path() if both and grounded and joined(sender[0], receiver[1]) else None
        if joined(*sender[:2]) or joined(*receiver[:2]):
            return None  # A on B is no difference, and that is all these receivers look at
        straight = joined(sender[0], receiver[0]), joined(sender[1], receiver[1])
        crossed = joined(sender[0], receiver[1]), joined(sender[1], receiver[0])
        if all(straight):
            return Path()
        if all(crossed):
            return Path(is_inverted=True)
        if grounded and any(straight + crossed):
            return Path(any(crossed), electrical.SINGLE_WIRE_ERRORS)
        return None

    def _length(self, ports: tuple[SerialPort, ...]) -> float:
        lines = {_terminals(port)[0] for port in ports}
        if isinstance(ports[0].interface, Rs232):
            lines |= {_terminals(port)[1] for port in ports}
        met = [self._lengths.get(frozenset(wire), WIRE_LENGTH) for wire in self._wires() if lines.issuperset(wire)]
        if isinstance(ports[0].interface, Rs232):
            return max(met, default=WIRE_LENGTH)
        return sum(met) or WIRE_LENGTH

    def _wires(self) -> Iterable[tuple[Port, Port]]:
        """Those between ports, without the legs of resistors."""
        return (wire for wire in self.network.conductors.wires if self._terminators.keys().isdisjoint(wire))

    def _count_terminators(self, bus: Bus) -> None:
        net = self.network.conductors.net
        wires = [end for wire in self._wires() for end in wire]
        for port in bus.ports:
            if isinstance(port.interface, Rs485) and port.is_terminated:
                self._count(bus, wires.count(_terminals(port)[0]) <= 1)
        for resistor in dict.fromkeys(self._terminators.values()):
            for a, b, _ in (_terminals(port) for port in bus.ports if isinstance(port.interface, Rs485)):
                if {a, b} <= net(resistor.a) | net(resistor.b) and b not in net(a):
                    beside = [port for port in bus.ports if self._is_beside(resistor, _terminals(port)[0])]
                    self._count(bus, any(wires.count(_terminals(port)[0]) <= 1 for port in beside))
                    break

    def _is_beside(self, resistor: Terminator, terminal: Port) -> bool:
        legs = (resistor.a, resistor.b)
        return any(terminal in wire and not set(legs).isdisjoint(wire) for wire in self.network.conductors.wires)

    @staticmethod
    def _count(bus: Bus, is_at_end: bool) -> None:
        if is_at_end:
            bus.at_ends += 1
        else:
            bus.elsewhere += 1


def _terminals(port: SerialPort) -> tuple[Port, Port, Port]:
    first, second, ground = port.interface
    host = port.name.host
    return Port(host, first), Port(host, second), Port(host, ground)


def _signals(port: SerialPort) -> tuple[Port, Port]:
    return _terminals(port)[:2]
