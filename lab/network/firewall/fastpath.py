"""Segments of established connections, forwarded by one look-up and without being taken apart."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lab.network.fabric import Jack
from lab.network.firewall.decide import Decision, Filter
from lab.network.firewall.state import ACK, Flow, Phase
from lab.wire import ipv4
from lab.wire.checksum import ones_complement_sum

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.nic import Nic

HEADERS: Final = struct.Struct("!HBxHxxHBBH12xIIBBH")
"""From the EtherType on: EtherType, version and length, total length, flags and offset, life, protocol, checksum,
sequence number, acknowledgment number, offset, flags, window."""
_ETHERTYPE: Final = 12
_PUSH: Final = 8
_LIMIT: Final = 8192


class _Direction:
    """One direction of a flow, and what is done to its frames."""

    __slots__ = (
        "addresses",
        "carry",
        "flow",
        "ip_change",
        "is_reply",
        "longest",
        "macs",
        "nic",
        "tcp_change",
    )

    def __init__(
        self, flow: Flow, is_reply: bool, nic: Nic, macs: bytes, longest: int, carry: Callable[[bytes], None]
    ) -> None:
        self.flow = flow
        self.is_reply = is_reply
        self.nic = nic
        """Where its frames come in."""
        self.macs = macs
        self.longest = longest
        """Bytes of a frame that need not be cut into fragments."""
        self.carry = carry
        self.addresses: bytes | None = None
        """What becomes of addresses and ports; None where they stay."""
        self.ip_change = 0
        self.tcp_change = 0


class FastPath:
    """What is known of flows under way, until the policy, the routes or the neighbours change."""

    def __init__(self, host: Host, filter_: Filter, *, is_transparent: bool = False) -> None:
        """`is_transparent`: frames pass as they are, whoever they are addressed to."""
        self._is_transparent = is_transparent
        self.forwarded = 0
        """Frames"""
        self._host = host
        self._filter = filter_
        self._time = host.network.loop.time
        self._known: dict[bytes, _Direction] = {}
        self._generation = -1
        self._epoch = -1

    def clear(self) -> None:
        self._known.clear()

    def forward(self, nic: Nic, frame: bytes) -> Decision | bool:
        """Whether a frame was sent on; a decision where its content must not pass."""
        direction = self._known.get(frame[26:38])
        if direction is None:
            return False
        flow, is_reply = direction.flow, direction.is_reply
        if self._generation != self._host.generation or self._epoch != self._filter.epoch:
            self._known.clear()
            return False
        if flow.phase is not Phase.ESTABLISHED:
            del self._known[frame[26:38]]
            return False
        is_transparent = self._is_transparent
        if direction.nic is not nic or len(frame) < 54 or (frame[:6] != nic.mac and not is_transparent):
            return False
        (
            ethertype,
            version,
            total,
            fragment,
            ttl,
            protocol,
            checksum,
            sequence,
            acknowledgment,
            offset,
            flags,
            window,
        ) = HEADERS.unpack_from(frame, _ETHERTYPE)
        end = 14 + total
        length = total - 20 - (offset >> 4 << 2)
        if (
            ethertype != 0x0800
            or version != 0x45
            or protocol != ipv4.TCP
            or fragment & 0xBFFF
            or (ttl <= 1 and not is_transparent)
            or flags & ~_PUSH != ACK
            or length < 0
            or offset < 0x50
            or not 54 <= end <= len(frame)
            or end > direction.longest
            or int.from_bytes(frame[14:34], "big") % 0xFFFF
        ):
            return False
        now = self._time()
        if now > flow.expires:
            return False
        if flow.inspection is not None:
            number = int.from_bytes(frame[26:end], "big")
            if ((number << 8 if end & 1 else number) + ipv4.TCP + end - 34) % 0xFFFF:
                return False
        if flow.advance(is_reply, sequence, acknowledgment, window, length, flags) is not None:
            return False
        if flow.inspection is not None:
            refusal = self._filter.inspect(flow, is_reply, sequence, acknowledgment, frame[end - length : end])
            if refusal is not None:
                return refusal
        flow.expires = now + flow.timeout
        hits = flow.rule.hits
        hits.packets += 1
        hits.bytes += total
        hits.last = now
        self.forwarded += 1
        if is_transparent:
            direction.carry(frame)
            return True
        # RFC 1624, equation 3: the life is one less, so the sum of the rest is 0x0100 more.
        if direction.addresses is None:
            checksum += 0x0100
            direction.carry(
                direction.macs
                + frame[12:22]
                + bytes((ttl - 1, ipv4.TCP))
                + ((checksum & 0xFFFF) + (checksum >> 16)).to_bytes(2, "big")
                + frame[26:end]
            )
        else:
            segment_checksum = int.from_bytes(frame[50:52], "big")
            direction.carry(
                direction.macs
                + frame[12:22]
                + bytes((ttl - 1, ipv4.TCP))
                + ((checksum + direction.ip_change) % 0xFFFF).to_bytes(2, "big")
                + direction.addresses
                + frame[38:50]
                + ((segment_checksum + direction.tcp_change) % 0xFFFF).to_bytes(2, "big")
                + frame[52:end]
            )
        return True

    def learn(self, flow: Flow, is_reply: bool, nic: Nic, out: Nic, next_hop: bytes) -> None:
        """A segment of an established connection has just been sent from `nic` to `out`."""
        mac = out.neighbours.find(next_hop)
        if mac is None or not self._is_worth_it(flow):
            return
        direction = self._direction(flow, is_reply, nic, out, mac + out.mac)
        before = (flow.reply_key if is_reply else flow.key)[:12]
        after = _swapped(flow.key if is_reply else flow.reply_key)
        if before != after:
            direction.addresses = after
            change = ones_complement_sum(before) - ones_complement_sum(after)
            direction.tcp_change = change
            direction.ip_change = 0x0100 + ones_complement_sum(before[:8]) - ones_complement_sum(after[:8])
        self._known[before] = direction

    def learn_to_pass(self, flow: Flow, is_reply: bool, nic: Nic, out: Nic) -> None:
        """The same, of a firewall that changes nothing."""
        if self._is_worth_it(flow):
            key = (flow.reply_key if is_reply else flow.key)[:12]
            self._known[key] = self._direction(flow, is_reply, nic, out, b"")

    def _is_worth_it(self, flow: Flow) -> bool:
        if flow.protocol != ipv4.TCP or flow.phase is not Phase.ESTABLISHED:
            return False
        if self._generation != self._host.generation or self._epoch != self._filter.epoch:
            self._known.clear()
            self._generation, self._epoch = self._host.generation, self._filter.epoch
        return len(self._known) < _LIMIT

    @staticmethod
    def _direction(flow: Flow, is_reply: bool, nic: Nic, out: Nic, macs: bytes) -> _Direction:
        way = out.jack.way if isinstance(out.jack, Jack) else None
        carry = way.carry if way is not None else out.jack.send
        return _Direction(flow, is_reply, nic, macs, 14 + out.mtu, carry)


def _swapped(key: bytes) -> bytes:
    """Addresses and ports of what goes the other way."""
    return key[4:8] + key[:4] + key[10:12] + key[8:10]
