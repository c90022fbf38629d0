"""Wireless LAN: access points, clients that join them, and the air in between, which all on a channel share.

An association is a link like a cable's, seen by taps at `ap-1/wlan0`. Everything is looked at anew when something has
changed: a setting, a place, a disturbance, power. Model and figures: `lab.network.propagation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lab.model.frame import Port
from lab.network.air_way import AirWay
from lab.network.fabric import Jack
from lab.network.propagation import Disturbance, Position, Quality, Wall, leak, path_loss, quality, shadowing
from lab.network.timer import Timer
from lab.network.wpa import Credentials, Security, agree
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network

JOINS_FROM: Final = -87.0
"""dBm at which a client hears the beacons of an access point well enough to join it."""
_LOST_BELOW: Final = -90.0
_FADES_FROM, _FADE_SECONDS, _FADE_STEP = -80.0, 60.0, 2.5
"""Below so many dBm fades interrupt an association, once in so many seconds, and e times as often per so many dB."""
_ANTENNA, _NO_ANTENNA = 2.0, -25.0
"""dBi of an antenna, and of a socket without one."""
_SCANS: Final = (0.3, 0.6)
"""Seconds that a client without association takes to find one, from and to."""
_ROAMS: Final = (0.02, 0.06)
"""Seconds without a link while a client changes its access point (scan on one channel, 802.11r not in use)."""
_OWN_DUTY: Final = 0.1
"""Share of the time that an access point and those around it send who are not simulated."""
_HEARS_OTHERS: Final = -82.0
"""dBm from which a station waits for another to finish (clear channel assessment)."""

SWITCHED_OFF: Final = Text(zh="未启用", en="off")
NOT_FOUND: Final = Text(zh="找不到 {ssid}", en="no {ssid} within reach")
JOINING: Final = Text(zh="正在加入 {ssid}", en="joining {ssid}")
JOINED: Final = Text(zh="已连接 {ssid}", en="connected to {ssid}")


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """What is set at a radio; a client looks for its network on all channels."""

    ssid: str
    security: Security = "open"
    passphrase: str = ""
    channel: int = 36
    power: float = 17.0
    """dBm"""
    antenna: bool = True
    position: Position = (0.0, 0.0)
    hysteresis: float = 8.0
    """dB by which another access point must be better before a client changes over."""

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.security, self.passphrase)


@dataclass(frozen=True, slots=True)
class Disturber:
    """Something that sends without being part of the network: a neighbour, a microwave oven."""

    position: Position
    channel: int
    power: float = 17.0
    """dBm"""
    duty: float = 0.5
    """Share of the time"""


class Station:
    """A radio in a device. Without settings, or without power, it is off."""

    def __init__(self, radio: Radio, port: Port) -> None:
        self.radio = radio
        self.port = port
        self.settings: RadioSettings | None = None
        self.link_changed: Callable[[Jack, bool], None] = lambda jack, up: None
        """Called with this end of an association when it begins and when it ends."""

    def configure(self, settings: RadioSettings | None) -> None:
        """Send and hear with these settings from now on, or be off."""
        if settings != self.settings:
            self._let_go()
            self.settings = settings
            self.radio.changed()

    def move(self, position: Position) -> None:
        """Be somewhere else."""
        if self.settings is not None:
            self.settings = replace(self.settings, position=position)
            self.radio.changed()

    @property
    def active(self) -> RadioSettings | None:
        """Its settings, while it is on."""
        return self.settings if self.radio.network.has_power(self.port.host) else None

    def _let_go(self) -> None:
        """The settings change: end what was agreed on with the old ones."""
        raise NotImplementedError


class AccessPoint(Station):
    """Takes clients that know its passphrase."""

    def __init__(self, radio: Radio, port: Port) -> None:
        super().__init__(radio, port)
        self.associations: dict[Port, Association] = {}
        """By client."""

    def _let_go(self) -> None:
        for association in tuple(self.associations.values()):
            association.end()


class Client(Station):
    """Joins the best access point of its network, and changes over where another one becomes much better."""

    def __init__(self, radio: Radio, port: Port) -> None:
        super().__init__(radio, port)
        self.association: Association | None = None
        self.reason = SWITCHED_OFF
        """Why it is connected, or is not; see `says`."""
        self._facts: dict[str, object] = {}
        self._random = radio.network.random_for(f"{port} joins")
        self._joining: AccessPoint | None = None
        self._refused: dict[Port, Credentials] = {}
        """Who has sent it away, with which credentials of its own: it does not ask the same again."""
        self._timer = Timer(radio.network.loop, Context(), self._join)
        self._fade = Timer(radio.network.loop, Context(), self._faded)

    def says(self) -> str:
        return self.reason.say(**self._facts)

    @property
    def rssi(self) -> float | None:
        """dBm with which it hears its access point, or the best one of its network."""
        if self.association is not None:
            return self.radio.rssi(self.association.ap, self)
        return max((self.radio.rssi(ap, self) for ap in self._candidates()), default=None)

    def _let_go(self) -> None:
        self._refused.clear()
        if self.association is not None:
            self.association.end()
        self._timer.stop()
        self._joining = None

    def _candidates(self) -> list[AccessPoint]:
        """Access points of its network that can be heard, the best first."""
        mine = self.active
        if mine is None:
            return []
        heard = [
            (self.radio.rssi(ap, self), ap)
            for ap in self.radio.access_points
            if (theirs := ap.active) is not None and theirs.ssid == mine.ssid
        ]
        return [ap for dbm, ap in sorted(heard, key=lambda entry: -entry[0]) if dbm >= JOINS_FROM]

    def reconsider(self) -> None:
        """Something has changed: stay, leave, change over or look for an access point."""
        current = self.association
        if current is not None and not self._holds(current):
            current.end()
            current = None
        mine = self.active
        if mine is None:
            self._say(SWITCHED_OFF)
            self._timer.stop()
            self._joining = None
            return
        candidates = self._candidates()
        open_to_me = [ap for ap in candidates if ap.settings and self._refused.get(ap.port) != ap.settings.credentials]
        if current is not None:
            best = open_to_me[0] if open_to_me else current.ap
            gain = self.radio.rssi(best, self) - self.radio.rssi(current.ap, self)
            if best is not current.ap and gain >= mine.hysteresis:
                current.end()
                self._approach(best, mine, _ROAMS)
            else:
                current.refresh()
                self._expect_fades()
        elif open_to_me:
            if self._joining not in open_to_me:
                self._approach(open_to_me[0], mine, _SCANS)
        elif not candidates:
            self._timer.stop()
            self._joining = None
            self._say(NOT_FOUND, ssid=mine.ssid)

    def _approach(self, ap: AccessPoint, mine: RadioSettings, between: tuple[float, float]) -> None:
        self._joining = ap
        self._say(JOINING, ssid=mine.ssid)
        self._timer.start(self._random.uniform(*between))

    def _join(self) -> None:
        """Authentication, association, 4-way handshake."""
        ap, self._joining = self._joining, None
        mine, theirs = self.active, ap.active if ap is not None else None
        if ap is None or mine is None or theirs is None or ap not in self._candidates():
            self.reconsider()
            return
        refusal = agree(mine.ssid, mine.credentials, theirs.credentials)
        if refusal is not None:
            self._refused[ap.port] = theirs.credentials
            self._say(refusal, ssid=mine.ssid, mine=mine.security, theirs=theirs.security)
            self.reconsider()
            return
        self.association = ap.associations[self.port] = Association(ap, self)
        self._say(JOINED, ssid=mine.ssid)
        self.association.begin()
        self._expect_fades()
        self.radio.changed()

    def _holds(self, association: Association) -> bool:
        is_on = self.active is not None and association.ap.active is not None
        return is_on and self.radio.rssi(association.ap, self) >= _LOST_BELOW

    def _expect_fades(self) -> None:
        rssi = self.rssi
        if self.association is None or rssi is None or rssi >= _FADES_FROM:
            self._fade.stop()
        elif not self._fade.is_running:
            often = math.exp((_FADES_FROM - rssi) / _FADE_STEP) / _FADE_SECONDS
            self._fade.start(self._random.expovariate(often))

    def _faded(self) -> None:
        if self.association is not None:
            self.association.end()
            self.radio.changed()

    def _say(self, reason: Text, **facts: object) -> None:
        self.reason, self._facts = reason, facts


class Association:
    """A client at an access point: two ends, two directions."""

    def __init__(self, ap: AccessPoint, client: Client) -> None:
        self.ap, self.client = ap, client
        network = ap.radio.network
        self.ends = (
            Jack(ap.port, lambda frame: None, lambda up: None),
            Jack(client.port, lambda frame: None, lambda up: None),
        )
        here, there = self.ends
        assert ap.settings is not None
        channel = ap.settings.channel
        here.way = there.incoming = AirWay(network, here, there, channel)
        there.way = here.incoming = AirWay(network, there, here, channel)
        self.ways = (here.way, there.way)
        self.refresh()

    def begin(self) -> None:
        self.ap.link_changed(self.ends[0], True)
        self.client.link_changed(self.ends[1], True)

    def refresh(self) -> None:
        """Look at both directions anew."""
        radio = self.ap.radio
        for way, (sender, receiver) in zip(self.ways, ((self.ap, self.client), (self.client, self.ap)), strict=True):
            way.quality, way.share = radio.quality(sender, receiver, way.channel)

    def end(self) -> None:
        """What is on the air arrives nowhere."""
        self.ap.associations.pop(self.client.port, None)
        self.client.association = None
        for way in self.ways:
            way.cut()
        for end in self.ends:
            end.way = end.incoming = None
        self.ap.link_changed(self.ends[0], False)
        self.client.link_changed(self.ends[1], False)


class Radio:
    """`network.radio`: everything that is on the air."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.access_points: list[AccessPoint] = []
        self.clients: list[Client] = []
        self.chance = network.random_for("air")
        self.busy_until: dict[int, float] = {}
        """By channel: the loop's time at which what is being sent, and waits, will be through."""
        self._walls: tuple[Wall, ...] = ()
        self._disturbers: list[Disturber] = []
        self._is_waiting = False
        self._context = Context()
        network.power_listeners.append(self._power_changed)

    def add_access_point(self, port: Port) -> AccessPoint:
        self.access_points.append(AccessPoint(self, port))
        return self.access_points[-1]

    def add_client(self, port: Port) -> Client:
        self.clients.append(Client(self, port))
        return self.clients[-1]

    @property
    def walls(self) -> tuple[Wall, ...]:
        return self._walls

    @walls.setter
    def walls(self, walls: tuple[Wall, ...]) -> None:
        self._walls = walls
        self.changed()

    def disturb(self, disturber: Disturber) -> None:
        """Something begins to send."""
        self._disturbers.append(disturber)
        self.changed()

    def undisturb(self, disturber: Disturber) -> None:
        """It ceases to; raises ValueError where it did not send."""
        self._disturbers.remove(disturber)
        self.changed()

    def rssi(self, sender: Station, receiver: Station) -> float:
        """dBm with which one station hears another; both have settings."""
        theirs, mine = sender.settings, receiver.settings
        assert theirs is not None
        assert mine is not None
        antennas = sum(_ANTENNA if each.antenna else _NO_ANTENNA for each in (theirs, mine))
        channel = theirs.channel if isinstance(sender, AccessPoint) else mine.channel
        return theirs.power + antennas - self._loss(theirs.position, mine.position, channel)

    def _loss(self, a: Position, b: Position, channel: int) -> float:
        return path_loss(a, b, channel, self._walls) - shadowing(self.network.seed, a, b)

    def quality(self, sender: Station, receiver: Station, channel: int) -> tuple[Quality, float]:
        """How well frames get from one to the other, and which share of the time the channel is theirs."""
        collides: list[Disturbance] = []
        share = 1.0
        for dbm, duty, on in self._others(sender, receiver):
            apart = leak(on, channel)
            if apart is None:
                continue
            if on == channel and dbm >= _HEARS_OTHERS:
                share *= 1 - min(duty, 0.95)  # they hear one another and take turns
            else:
                collides.append(Disturbance(dbm - apart, duty))
        return quality(self.rssi(sender, receiver), collides), share

    def _others(self, sender: Station, receiver: Station) -> list[tuple[float, float, int]]:
        """(dBm, duty, channel) of what else the receiver hears."""
        mine = receiver.settings
        assert mine is not None
        gain = _ANTENNA if mine.antenna else _NO_ANTENNA
        heard = [
            (each.power + gain - self._loss(each.position, mine.position, each.channel), each.duty, each.channel)
            for each in self._disturbers
        ]
        heard += [
            (self.rssi(ap, receiver), _OWN_DUTY, theirs.channel)
            for ap in self.access_points
            if ap not in (sender, receiver) and (theirs := ap.active) is not None
        ]
        return heard

    def changed(self) -> None:
        """Everybody on the air looks around in the next turn of the loop."""
        if not self._is_waiting:
            self._is_waiting = True
            self.network.loop.call_soon(self._reconsider, context=self._context)

    def _reconsider(self) -> None:
        self._is_waiting = False
        for client in self.clients:
            client.reconsider()

    def _power_changed(self, name: str, on: bool) -> None:
        if any(station.port.host == name for station in (*self.access_points, *self.clients)):
            self.changed()
