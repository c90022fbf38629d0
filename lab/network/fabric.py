"""Cables and what hangs on them: frames wait in one queue, and arrive one after the other.

A frame put on a cable is not handed over at once, or a conversation would become a recursion; it joins the network's
queue, which one callback of the loop works off. A whole request and its answer thus cost one turn of the loop.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from lab.model.frame import Port, Tap
from lab.network.conductors import Conductors
from lab.network.loop import PlantLoop
from lab.network.serial.lines import SerialLines
from lab.network.signals.circuit import Circuit

if TYPE_CHECKING:
    from lab.network.bridge.bridge import Bridge
    from lab.network.host import Host
    from lab.network.namespace import RealHost
    from lab.network.switch import Switch

TapListener = Callable[[Tap, int, bytes], None]
"""Called with where, when (ns since the Unix epoch, plant time) and the frame, as it arrives."""

MAXIMUM_FRAME = 1522
"""Bytes of an Ethernet frame with four bytes of VLAN tag."""
_NS_PER_BYTE = 80
"""At 100 Mbit/s."""
_OVERHEAD = 24
"""Bytes of preamble, frame check sequence and gap that occupy the cable too."""
_TURN = 256
"""Frames that arrive in one turn of the loop before others get theirs."""
_QUEUE_LIMIT = 20_000
"""Frames under way in the whole network; beyond, they are lost as in a switch without buffers left."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a bad cable does to frames, each probability from 0 to 1, each time in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    """One bit of the frame flips; a real card would drop most of these for their check sequence."""
    delay: float = 0.0
    jitter: float = 0.0
    """Up to so much is added to the delay, differently for every frame, so frames may overtake one another."""
    overtaken: float = 0.0
    """Share of frames that wait `hold` seconds longer than the others, which overtake them."""
    hold: float = 0.01

    def __and__(self, other: Impairment) -> Impairment:
        """What a cable does that suffers from both."""
        return Impairment(
            loss=1 - (1 - self.loss) * (1 - other.loss),
            duplicate=1 - (1 - self.duplicate) * (1 - other.duplicate),
            corrupt=1 - (1 - self.corrupt) * (1 - other.corrupt),
            delay=self.delay + other.delay,
            jitter=self.jitter + other.jitter,
            overtaken=1 - (1 - self.overtaken) * (1 - other.overtaken),
            hold=max(self.hold, other.hold),
        )


def _nowhere(frame: bytes) -> None:
    """Where frames on a pulled cable end."""


class Jack:
    """A socket of a device; the device's side of it is `receive`, the cable's side is `way`."""

    __slots__ = ("incoming", "is_enabled", "is_powered", "link_changed", "port", "receive", "way")

    def __init__(self, port: Port, receive: Callable[[bytes], None], link_changed: Callable[[bool], None]) -> None:
        self.port = port
        self.receive = receive
        self.link_changed = link_changed
        self.way: Way | None = None
        """Towards the other end, while the link is up."""
        self.incoming: Way | None = None
        """From there to here."""
        self.is_enabled = True
        """Whether its device has switched it on (the administrative state)."""
        self.is_powered = True

    @property
    def is_connected(self) -> bool:
        """Whether the link is up."""
        return self.way is not None

    def take_over(self, receive: Callable[[bytes], None]) -> None:
        """What arrives from now on goes to `receive`."""
        self.receive = receive
        if self.incoming is not None:
            self.incoming.receive = receive

    def send(self, frame: bytes) -> None:
        """Put a frame on the cable; without one it goes nowhere, as in life."""
        way = self.way
        if way is not None:
            way.carry(frame)


class Way:
    """One direction of a cable."""

    __slots__ = ("_network", "_queue", "_random", "impairment", "lost", "receive", "tap")

    def __init__(self, network: Network, origin: Jack, target: Jack) -> None:
        self._network = network
        self._queue = network.queue
        self.tap: Tap | None = Tap(target.port, origin.port)
        self.receive = target.receive
        self.impairment: Impairment | None = None
        self.lost = 0
        """Frames that a bad cable swallowed."""
        self._random: random.Random | None = None

    def carry(self, frame: bytes) -> None:
        if self.impairment is None:
            # The network's `post`, spelled out: this happens to every frame.
            self._queue.append((self, frame))
            if not self._network.is_draining:
                self._network.wake()
        else:
            self._carry_badly(frame, self.impairment)

    def cut(self) -> None:
        """The cable is pulled: what is still on it arrives nowhere."""
        self.tap = None
        self.receive = _nowhere

    def impair(self, impairment: Impairment | None) -> None:
        """Make this direction bad, or good again."""
        self.impairment = impairment
        if self._random is None and self.tap is not None:
            self._random = self._network.random_for(f"{self.tap.sent_from}>{self.tap.seen_at}")

    def _carry_badly(self, frame: bytes, bad: Impairment) -> None:
        chance = self._random
        assert chance is not None
        if bad.loss and chance.random() < bad.loss:
            self.lost += 1
            return
        if bad.corrupt and chance.random() < bad.corrupt:
            bit = chance.randrange(len(frame) * 8)
            flipped = bytearray(frame)
            flipped[bit // 8] ^= 1 << bit % 8
            frame = bytes(flipped)
        for _ in range(2 if bad.duplicate and chance.random() < bad.duplicate else 1):
            delay = bad.delay + (chance.random() * bad.jitter if bad.jitter else 0.0)
            if bad.overtaken and chance.random() < bad.overtaken:
                delay += bad.hold
            if delay:
                self._network.post_later(self, frame, delay)
            else:
                self._network.post((self, frame))


class Loopback(Way):
    """A way inside a device, such as a host's to itself; no tap sees it."""

    __slots__ = ()

    def __init__(self, network: Network, receive: Callable[[bytes], None]) -> None:
        self._network = network
        self._queue = network.queue
        self.tap = None
        self.receive = receive
        self.impairment = None
        self.lost = 0
        self._random = None


class Cable:
    """A cable that is plugged in at both ends. Its link is up while both sockets are on and the medium carries."""

    __slots__ = ("_impairments", "a", "b", "back", "carries", "there")

    def __init__(self, a: Jack, b: Jack) -> None:
        self.a = a
        self.b = b
        self.carries = True
        """Whether the medium brings a signal across; see `Network.set_carrying`."""
        self.there: Way | None = None
        """From a to b, while the link is up."""
        self.back: Way | None = None
        self._impairments: dict[tuple[Port, str], Impairment] = {}
        """By the end that sends and the cause."""

    @property
    def is_up(self) -> bool:
        return self.there is not None

    def other(self, port: Port) -> Jack:
        """The socket at the other end."""
        return self.b if self.a.port == port else self.a

    def impair(self, impairment: Impairment | None, cause: str = "") -> None:
        """Make both directions bad, or good again as far as this cause is concerned."""
        self.impair_from(self.a.port, impairment, cause)
        self.impair_from(self.b.port, impairment, cause)

    def impair_from(self, port: Port, impairment: Impairment | None, cause: str = "") -> None:
        """The same for one direction: that of the frames which this end sends."""
        if impairment is None:
            self._impairments.pop((port, cause), None)
        else:
            self._impairments[port, cause] = impairment
        self.apply_impairments()

    def apply_impairments(self) -> None:
        """A cable stays as bad as it is when its link comes up anew."""
        for jack, way in ((self.a, self.there), (self.b, self.back)):
            if way is not None:
                causes = [bad for (port, _), bad in self._impairments.items() if port == jack.port]
                way.impair(reduce(and_, causes) if causes else None)


class Network:
    """Everything that is cabled together in one plant, and the queue its frames wait in."""

    def __init__(self, loop: PlantLoop, seed: int = 1) -> None:
        from lab.network.wireless import Radio

        self.loop = loop
        self.seed = seed
        self.hosts: dict[str, Host] = {}
        self.switches: dict[str, Switch] = {}
        self.bridges: dict[str, Bridge] = {}
        """The insides of managed switches."""
        self.real_hosts: dict[str, RealHost] = {}
        """Those that stand in for simulated ones, by their name."""
        self.taps: list[TapListener] = []
        self.serial_taps: list[TapListener] = []
        """Called with every frame of a serial bus, when its last character is through."""
        self.power_listeners: list[Callable[[str, bool], None]] = []
        """Called as listener(device, on) when a device loses or gets power."""
        self.conductors = Conductors()
        self.serial = SerialLines(self)
        self.circuit = Circuit(self)
        self.radio = Radio(self)
        self.dropped = 0
        """Frames lost because the whole network was full of them."""
        self._jacks: dict[Port, Jack] = {}
        self._cables: dict[Port, Cable] = {}
        self._without_power: set[str] = set()
        self.queue: deque[tuple[Way, bytes]] = deque()
        self.is_draining = False
        self._context = Context()

    def random_for(self, purpose: str) -> random.Random:
        """A generator of its own for every purpose, so that one more draw here changes nothing there."""
        return random.Random(f"{self.seed}/{purpose}")

    # -- building --------------------------------------------------------------------------------------------------

    def add_host(self, name: str, ports: tuple[str, ...] = ("eth0",), inside: tuple[str, ...] = ()) -> Host:
        """A new IP host without addresses; raises ValueError where the name is taken.

        `inside` names interfaces that take no cable, such as a switch's management interface; see `link_inside`.
        """
        from lab.network.host import Host

        self._refuse_second(name)
        host = self.hosts[name] = Host(self, name, ports, inside)
        return host

    def add_switch(self, name: str, ports: int = 8) -> Switch:
        """A new learning switch with ports p1, p2 …; raises ValueError where the name is taken."""
        from lab.network.switch import Switch

        self._refuse_second(name)
        switch = self.switches[name] = Switch(self, name, ports)
        return switch

    def _refuse_second(self, name: str) -> None:
        if name in self.hosts or name in self.switches:
            raise ValueError(f"there is already a device called {name!r}")

    def add_jack(
        self, port: Port, receive: Callable[[bytes], None], link_changed: Callable[[bool], None] = lambda up: None
    ) -> Jack:
        """A socket for a cable; what arrives is given to `receive`."""
        if port in self._jacks:
            raise ValueError(f"there is already a port {port}")
        jack = self._jacks[port] = Jack(port, receive, link_changed)
        return jack

    def replace_jack(
        self, port: Port, receive: Callable[[bytes], None], link_changed: Callable[[bool], None] = lambda up: None
    ) -> Jack:
        """Put another device behind a port: its cable, if any, now ends there. The old jack is dead.

        Raises KeyError for an unknown port.
        """
        old = self._jacks.pop(port)
        jack = self.add_jack(port, receive, link_changed)
        jack.is_enabled, jack.is_powered = old.is_enabled, old.is_powered
        cable = self._cables.get(port)
        if cable is not None:
            carries, cable.carries = cable.carries, False
            self._update(cable)
            if cable.a is old:
                cable.a = jack
            else:
                cable.b = jack
            cable.carries = carries
            self._update(cable)
        return jack

    def remove_jack(self, port: Port) -> None:
        """Take a socket away, and its cable with it; raises KeyError for an unknown port."""
        self.unplug(port)
        del self._jacks[port]

    @property
    def ports(self) -> tuple[Port, ...]:
        return tuple(self._jacks)

    def jack(self, port: Port) -> Jack:
        """Raises KeyError for an unknown port."""
        return self._jacks[port]

    def plug(self, a: Port, b: Port) -> Cable:
        """Put a cable between two free ports; raises KeyError for an unknown one, ValueError for a busy one."""
        for port in (a, b):
            if port not in self._jacks:
                raise KeyError(f"there is no port {port}")
            if port in self._cables:
                raise ValueError(f"{port} has a cable already")
        if a == b:
            raise ValueError(f"both ends of a cable in {a}")
        cable = Cable(self._jacks[a], self._jacks[b])
        self._cables[a] = self._cables[b] = cable
        self._update(cable)
        return cable

    def unplug(self, port: Port) -> None:
        """Pull the cable that ends here; frames on it are lost. Without one, nothing happens."""
        cable = self._cables.pop(port, None)
        if cable is None:
            return
        for jack in (cable.a, cable.b):
            self._cables.pop(jack.port, None)
        self._update(cable)

    def enable(self, port: Port, on: bool) -> None:
        """Switch a socket on or off, as its device does; raises KeyError for an unknown port."""
        jack = self._jacks[port]
        jack.is_enabled = on
        if (cable := self._cables.get(port)) is not None:
            self._update(cable)

    def set_carrying(self, cable: Cable, carries: bool) -> None:
        """Whether a cable's medium brings a signal across: not if it is broken, too long or of the wrong kind."""
        cable.carries = carries
        self._update(cable)

    def power(self, name: str, on: bool) -> None:
        """A device loses or gets its power; raises KeyError for an unknown device."""
        if name not in self.hosts and name not in self.switches:
            raise KeyError(f"there is no device {name}")
        if self.has_power(name) == on:
            return
        (self._without_power.discard if on else self._without_power.add)(name)
        for port, jack in self._jacks.items():
            if port.host == name:
                jack.is_powered = on
                if (cable := self._cables.get(port)) is not None:
                    self._update(cable)
        for listener in tuple(self.power_listeners):
            listener(name, on)

    def has_power(self, name: str) -> bool:
        return name not in self._without_power

    def link_inside(self, a: Jack, b: Jack) -> None:
        """Join two jacks inside one device, as traces on its board do; no tap sees what they say."""
        a.way = b.incoming = Loopback(self, b.receive)
        b.way = a.incoming = Loopback(self, a.receive)
        a.link_changed(True)
        b.link_changed(True)

    def _update(self, cable: Cable) -> None:
        """Bring a link up or down where that follows from what changed."""
        a, b = cable.a, cable.b
        is_up = (
            cable.carries
            and self._cables.get(a.port) is cable
            and all(jack.is_enabled and jack.is_powered for jack in (a, b))
        )
        if is_up == cable.is_up:
            return
        if is_up:
            cable.there = a.way = b.incoming = Way(self, a, b)
            cable.back = b.way = a.incoming = Way(self, b, a)
            cable.apply_impairments()
        else:
            for way in (cable.there, cable.back):
                if way is not None:
                    way.cut()
            cable.there = cable.back = a.way = a.incoming = b.way = b.incoming = None
        a.link_changed(is_up)
        b.link_changed(is_up)

    def cable_at(self, port: Port) -> Cable | None:
        return self._cables.get(port)

    @property
    def cables(self) -> tuple[Cable, ...]:
        return tuple({id(cable): cable for cable in self._cables.values()}.values())

    # -- moving frames ---------------------------------------------------------------------------------------------

    def post(self, sending: tuple[Way, bytes]) -> None:
        """A frame sets off; it arrives in the order of posting."""
        self.queue.append(sending)
        if not self.is_draining:
            self.wake()

    def wake(self) -> None:
        """See to it that the queue is worked off."""
        self.is_draining = True
        self.loop.call_soon(self._drain, context=self._context)

    def post_later(self, way: Way, frame: bytes, delay: float) -> None:
        self.loop.call_later(delay, self.post, (way, frame), context=self._context)

    def _drain(self) -> None:
        queue, stamp, taps = self.queue, self.loop.stamp, self.taps
        tap = None
        try:
            for _ in range(_TURN):
                if not queue:
                    self.is_draining = False
                    return
                way, frame = queue.popleft()
                tap = way.tap
                if tap is not None:
                    at = stamp((len(frame) + _OVERHEAD) * _NS_PER_BYTE)
                    for listener in taps:
                        listener(tap, at, frame)
                way.receive(frame)
        except Exception as error:
            # One device's bug must not stop the network.
            self.loop.call_exception_handler({"message": f"while a frame arrived at {tap}", "exception": error})
        while len(queue) > _QUEUE_LIMIT:
            queue.pop()
            self.dropped += 1
        self.loop.call_soon(self._drain, context=self._context)
