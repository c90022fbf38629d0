"""TCP conversations as an onlooker follows them: bytes in order, once, with bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from lab.wire.modbus import PduDecoder
from lab.wire.tcp import Flag, Segment

MAX_FLOWS: Final = 4096
_WINDOW: Final = 1 << 18
_MAX_PENDING: Final = 64
_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 0x8000_0000
Ends = tuple[bytes, int, bytes, int]
"""Client's address and port, server's address and port."""


@dataclass(slots=True)
class Side:
    """What one end says."""

    next: int | None = None
    pending: dict[int, bytes] = field(default_factory=dict)
    modbus: PduDecoder = field(default_factory=PduDecoder)
    """Cuts what is said into messages, where it is Modbus."""

    def take(self, sequence: int, data: bytes) -> bytes:
        """The bytes that have become known in order with these."""
        if self.next is None:
            self.next = sequence
        ahead = sequence - self.next & _MASK
        if ahead >= _HALF:
            known = _MASK + 1 - ahead
            if known >= len(data):
                return b""
            data, ahead = data[known:], 0
        elif ahead:
            if ahead + len(data) <= _WINDOW and len(self.pending) < _MAX_PENDING:
                self.pending.setdefault(sequence, data)
            return b""
        self.next = self.next + len(data) & _MASK
        while self.pending:
            for start in tuple(self.pending):
                late = self.next - start & _MASK
                if late < _HALF:
                    more = self.pending.pop(start)[late:]
                    data += more
                    self.next = self.next + len(more) & _MASK
                    break
            else:
                break
        return data


@dataclass(slots=True)
class Flow:
    ends: Ends
    number: int
    is_established: bool = False
    client: Side = field(default_factory=Side)
    server: Side = field(default_factory=Side)
    requests: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    """Modbus requests that have not been answered, by transaction."""


class Flows:
    """Who speaks with whom; the longest silent are forgotten first."""

    def __init__(self) -> None:
        self._flows: OrderedDict[Ends, Flow] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return len(self._flows)

    def follow(self, source: bytes, target: bytes, segment: Segment) -> tuple[Flow, bool, bytes]:
        """The flow a segment belongs to, whether it goes to the server, and the bytes that have become known."""
        there = (source, segment.source_port, target, segment.destination_port)
        back = (target, segment.destination_port, source, segment.source_port)
        is_syn = segment.flags & (Flag.SYN | Flag.ACK) == Flag.SYN
        flow = None if is_syn else self._flows.get(there) or self._flows.get(back)
        if flow is None:
            # Without a SYN the lower port is taken for the server's.
            ends = there if is_syn or segment.source_port >= segment.destination_port else back
            self._count += 1
            flow = self._flows[ends] = Flow(ends, self._count, is_established=not is_syn)
            if len(self._flows) > MAX_FLOWS:
                self._flows.popitem(last=False)
        else:
            self._flows.move_to_end(flow.ends)
        to_server = flow.ends == there
        side = flow.client if to_server else flow.server
        if segment.flags & Flag.SYN:
            side.next = segment.sequence + 1 & _MASK
            return flow, to_server, b""
        flow.is_established = flow.is_established or bool(segment.flags & Flag.ACK and flow.server.next is not None)
        data = side.take(segment.sequence, segment.payload) if segment.payload else b""
        if segment.flags & Flag.RST:
            self._flows.pop(flow.ends, None)
        return flow, to_server, data
