"""What two ends of a copper link agree on (IEEE 802.3 clause 28): speed, and who may talk while listening."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from lab.model.frame import Port

if TYPE_CHECKING:
    from lab.network.fabric import Network


class Duplex(Enum):
    HALF = "half"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class PortSettings:
    """How a port is set: it negotiates, or it keeps to one speed and duplex and tells nobody."""

    autoneg: bool = True
    speed: int = 100
    """Mbit/s, the most it can do where it negotiates."""
    duplex: Duplex = Duplex.FULL


@dataclass(frozen=True, slots=True)
class LinkMode:
    """What came of it, as one end sees it."""

    speed: int
    duplex: Duplex
    peer: Duplex
    """What the other end does, which this end has no way to know."""

    @property
    def is_mismatch(self) -> bool:
        return self.duplex is not self.peer


def resolve(own: PortSettings, peer: PortSettings) -> LinkMode | None:
    """The mode of a link; None where the speeds do not fit and it stays dark."""
    if own.autoneg and peer.autoneg:
        return LinkMode(min(own.speed, peer.speed), Duplex.FULL, Duplex.FULL)
    if own.autoneg:
        # 28.2.3.1, parallel detection: the pulses of a silent end tell its speed and not its duplex, so half it is.
        return LinkMode(peer.speed, Duplex.HALF, peer.duplex) if peer.speed <= own.speed else None
    if peer.autoneg:
        return LinkMode(own.speed, own.duplex, Duplex.HALF) if own.speed <= peer.speed else None
    return LinkMode(own.speed, own.duplex, peer.duplex) if own.speed == peer.speed else None


_settings: WeakKeyDictionary[Network, dict[Port, PortSettings]] = WeakKeyDictionary()
_AS_DELIVERED = PortSettings()


def settings_of(network: Network, port: Port) -> PortSettings:
    """Hosts and unmanaged switches negotiate, and so does a port that nobody has set."""
    return _settings.get(network, {}).get(port, _AS_DELIVERED)


def set_port(network: Network, port: Port, settings: PortSettings) -> bool:
    """Set a port; its link drops and comes back in its new mode where that is a change, and True is returned."""
    if settings_of(network, port) == settings:
        return False
    _settings.setdefault(network, {})[port] = settings
    if network.jack(port).is_enabled:
        network.enable(port, False)
        network.enable(port, True)
    return True


def mode_of(network: Network, port: Port) -> LinkMode | None:
    """The mode of the link at a port; None where it has no cable or no common mode."""
    cable = network.cable_at(port)
    if cable is None:
        return None
    return resolve(settings_of(network, port), settings_of(network, cable.other(port).port))
