"""What a bridge port does with VLANs (IEEE 802.1Q clause 8): what it takes, and how it sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ALL_VLANS: Final = frozenset(range(1, 4095))


@dataclass(frozen=True, slots=True)
class PortVlans:
    """Membership of one port."""

    pvid: int | None = 1
    """The VLAN of what comes in untagged; None drops it."""
    tagged: frozenset[int] = frozenset()
    """VLANs that come in and go out with their tag."""
    untagged: frozenset[int] = frozenset({1})
    """VLANs that go out without."""

    def takes(self, vid: int) -> bool:
        """Whether a frame with this tag may come in (ingress filtering, 8.6.2)."""
        return vid in self.tagged or vid in self.untagged

    @property
    def members(self) -> frozenset[int]:
        return self.tagged | self.untagged


def access(vid: int) -> PortVlans:
    """For an end station, which knows nothing of VLANs."""
    return PortVlans(vid, frozenset(), frozenset({vid}))


def trunk(allowed: frozenset[int], native: int | None = None) -> PortVlans:
    """Between switches; what is native goes untagged, and without a native VLAN nothing untagged is taken."""
    untagged = frozenset() if native is None else frozenset({native})
    return PortVlans(native, allowed - untagged, untagged)


@dataclass(slots=True)
class Counters:
    """Of one port, as RFC 2863 counts."""

    in_octets: int = 0
    in_unicast: int = 0
    in_multicast: int = 0
    in_broadcast: int = 0
    in_discards: int = 0
    in_errors: int = 0
    out_octets: int = 0
    out_unicast: int = 0
    out_multicast: int = 0
    out_broadcast: int = 0
    out_discards: int = 0
    out_errors: int = 0


@dataclass(frozen=True, slots=True)
class Mirror:
    """A session that copies what some ports hear, say or both to another port."""

    to: str
    sources: frozenset[str]
    hears: bool = True
    says: bool = True
    vlans: frozenset[int] = field(default=ALL_VLANS)
