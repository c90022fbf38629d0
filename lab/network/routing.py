"""IPv4 forwarding between the interfaces of a host (RFC 1812)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lab.network.fabric import Jack
from lab.wire import ethernet, icmp, ipv4
from lab.wire.icmp import UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.nic import Nic

Inspect = Callable[["Nic", "Nic", bytes], bytes | None]
"""Called as inspect(came in by, goes out by, frame) before a datagram is forwarded; None drops it."""

_START: Final = 14
"""Where the datagram begins in an untagged frame."""
_ERRORS_PER_SECOND: Final = 100
"""RFC 1812 section 4.3.2.8: a router limits the errors it sends."""
_KNOWN_LIMIT: Final = 4096


class Forwarding:
    """The router in a host: set `host.forward` to its `forward`.

    Destinations it has forwarded to before cost one look-up and a new checksum (RFC 1624); everything else takes the
    slow path. Time to live, errors and fragments are as RFC 1812 sections 5.2 and 5.3 have them.
    """

    def __init__(self, host: Host, inspect: Inspect | None = None) -> None:
        self.host = host
        self.inspect = inspect
        self.forwarded = 0
        """Datagrams"""
        self.discarded = 0
        """Datagrams without a route, with too short a life, malformed, or refused by `inspect`."""
        self._generation = -1
        self._known: dict[bytes, tuple[Nic, bytes, int, Callable[[bytes], None]]] = {}
        """Where a destination is reached: interface, the frame's two MACs, longest datagram, way."""
        self._errors_left = _ERRORS_PER_SECOND
        self._errors_until = 0.0

    def forward(self, nic: Nic, frame: bytes) -> None:
        """Send a frame that came in by `nic` on its way, or tell its sender why not."""
        host = self.host
        if self._generation != host.generation:
            self._known.clear()
            self._generation = host.generation
        known = self._known.get(frame[30:34])
        end = _START + (frame[16] << 8 | frame[17]) if len(frame) >= 34 else 0
        if (
            known is None
            or frame[14] != 0x45
            or frame[22] <= 1
            or not 34 <= end <= len(frame)
            or end - _START > known[2]
            or int.from_bytes(frame[14:34], "big") % 0xFFFF
            or self._is_martian(frame[26:30])
        ):
            self._forward_slowly(nic, frame)
            return
        out, macs, _, carry = known
        if self.inspect is not None:
            inspected = self.inspect(nic, out, frame[:end])
            if inspected is None:
                self.discarded += 1
                return
            frame = inspected
        # RFC 1624, equation 3: the life is one less, so the sum is 0x0100 more.
        total = (frame[24] << 8 | frame[25]) + 0x0100
        total = (total & 0xFFFF) + (total >> 16)
        self.forwarded += 1
        carry(
            macs
            + frame[12:22]
            + (frame[22] - 1).to_bytes(1, "big")
            + frame[23:24]
            + total.to_bytes(2, "big")
            + frame[26:end]
        )

    def _is_martian(self, source: bytes) -> bool:
        """RFC 1812 section 5.3.7: sources that nobody can have."""
        return source[0] in (0, 127) or source[0] >= 224 or source in self.host.own_addresses

    def _forward_slowly(self, nic: Nic, frame: bytes) -> None:
        try:
            datagram = ipv4.decode(frame[_START:])
        except Malformed:
            self.discarded += 1
            return
        if self._is_martian(datagram.source):
            self.discarded += 1
            return
        if datagram.ttl <= 1:
            self.fail(nic, datagram, icmp.TimeExceeded(self.quotation(datagram)))
            return
        route = self.host.route(datagram.destination)
        if route is None:
            self.fail(nic, datagram, icmp.Unreachable(UnreachableCode.NETWORK, self.quotation(datagram)))
            return
        out, next_hop = route
        if self.inspect is not None:
            inspected = self.inspect(nic, out, frame[: _START + (frame[16] << 8 | frame[17])])
            if inspected is None:
                self.discarded += 1
                return
            self.send_on(nic, datagram, ipv4.decode(inspected[_START:]), out, next_hop)
        else:
            self.send_on(nic, datagram, datagram, out, next_hop)

    def send_on(self, nic: Nic, arrived: IPv4, datagram: IPv4, out: Nic, next_hop: bytes) -> None:
        """Send what has become of a datagram that came in by `nic`; errors are about it as it arrived."""
        size = ipv4.HEADER.size + len(datagram.options) + len(datagram.payload)
        if datagram.dont_fragment and size > out.mtu:
            code = UnreachableCode.FRAGMENTATION_NEEDED
            self.fail(nic, arrived, icmp.Unreachable(code, self.quotation(arrived), out.mtu))
            return
        self.forwarded += 1
        head = ethernet.HEADER.pack(bytes(6), out.mac, ethernet.IPV4)
        shorter = replace(datagram, ttl=datagram.ttl - 1)

        def unreachable() -> None:
            self.fail(nic, arrived, icmp.Unreachable(UnreachableCode.HOST, self.quotation(arrived)))

        for part in ipv4.fragments(shorter, out.mtu):
            out.neighbours.send(next_hop, head + part.encode(), unreachable)
        mac = out.neighbours.find(next_hop)
        if mac is not None and len(self._known) < _KNOWN_LIMIT and self._generation == self.host.generation:
            way = out.jack.way if isinstance(out.jack, Jack) else None
            carry = way.carry if way is not None else out.jack.send
            self._known[datagram.destination] = (out, mac + out.mac, out.mtu, carry)

    @staticmethod
    def quotation(datagram: IPv4) -> bytes:
        """As much of it as fits an error of 576 bytes (RFC 1812 section 4.3.2.3)."""
        return datagram.encode()[: 576 - 28]

    def fail(self, nic: Nic, datagram: IPv4, message: icmp.Unreachable | icmp.TimeExceeded) -> None:
        """RFC 1812 section 4.3.2.7: no errors about errors, nor about fragments but the first."""
        self.discarded += 1
        is_error = datagram.protocol == ipv4.ICMP and datagram.payload[:1] not in (b"\x00", b"\x08")
        if (
            not self.host.sends_icmp_errors
            or is_error
            or datagram.offset
            or nic.address is None
            or not self._may_complain()
        ):
            return
        try:
            self.host.send_ip(IPv4(nic.address, datagram.source, ipv4.ICMP, message.encode()))
        except OSError:
            return  # nor does its sender have a route back

    def refuse(
        self, nic: Nic, frame: bytes, code: UnreachableCode = UnreachableCode.ADMINISTRATIVELY_PROHIBITED
    ) -> None:
        """Tell the sender of a frame that came in by `nic` that it may not pass (RFC 1812 section 5.2.7.1)."""
        try:
            datagram = ipv4.decode(frame[_START:])
        except Malformed:
            return
        self.fail(nic, datagram, icmp.Unreachable(code, self.quotation(datagram)))

    def _may_complain(self) -> bool:
        now = self.host.network.loop.time()
        if now >= self._errors_until:
            self._errors_until, self._errors_left = now + 1.0, _ERRORS_PER_SECOND
        self._errors_left -= 1
        return self._errors_left >= 0
