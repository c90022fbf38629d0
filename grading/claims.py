"""Who says that an IPv4 address is theirs, as heard in ARP."""

from __future__ import annotations

from collections import OrderedDict

AT_ONCE = 1.0
"""Seconds within which two claims contradict each other, because nothing moves so fast."""
MEMORY = 60.0
"""Seconds within which a claim after another's claim is a contradiction, if one has claimed it before as well."""
QUIET = 5.0
"""Seconds between two reports about one address."""
MAX_ADDRESSES = 4096
MAX_RIVALS = 8


class Claims:
    """An address that moves from one host to another is in order; one that two hold is a conflict."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[bytes, dict[bytes, tuple[float, float, int]]] = OrderedDict()
        """By address and MAC: first and last claim, and the frame of the last."""
        self._reported: dict[bytes, float] = {}

    def claim(self, address: bytes, mac: bytes, at: float, number: int) -> tuple[bytes, int] | None:
        """The MAC that holds this address as well and the frame in which it said so, if that is new."""
        claims = self._addresses.setdefault(address, {})
        self._addresses.move_to_end(address)
        if len(self._addresses) > MAX_ADDRESSES:
            forgotten, _ = self._addresses.popitem(last=False)
            self._reported.pop(forgotten, None)
        for rival, (_, last, _) in list(claims.items()):
            if at - last > MEMORY:
                del claims[rival]
        first = claims[mac][0] if mac in claims else at
        found = None
        for rival, (_, last, frame) in claims.items():
            if rival != mac and (at - last <= AT_ONCE or first < last):
                found = (rival, frame)
        if mac in claims or len(claims) < MAX_RIVALS:
            claims[mac] = (first, at, number)
        if found is None or at - self._reported.get(address, -QUIET) < QUIET:
            return None
        self._reported[address] = at
        return found
