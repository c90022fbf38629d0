"""Deep inspection of one TCP connection: the client's bytes in their order, each judged once."""

from __future__ import annotations

from typing import Final, Protocol

from lab.network.firewall.content import ContentProfile
from lab.network.firewall.content_modbus import ModbusJudge, ModbusRules
from lab.network.firewall.content_opcua import OpcUaJudge

_WRAP: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000
_UNACKNOWLEDGED: Final = 1 << 17
"""Bytes that are kept to compare retransmissions with."""


class Judge(Protocol):
    def feed(self, data: bytes) -> str | None: ...


class Inspector:
    """A content profile made ready."""

    def __init__(self, profile: ContentProfile) -> None:
        self.profile = profile
        self._modbus = ModbusRules(profile.modbus) if profile.modbus is not None else None

    def judge(self) -> Judge:
        if self._modbus is not None:
            return ModbusJudge(self._modbus)
        assert self.profile.opcua is not None
        return OpcUaJudge(self.profile.opcua)


class Inspection:
    """What has been judged of one direction of a connection, from the sequence number `next` on nothing.

    Nothing is held back: bytes pass as they come until a message shows what is wrong with it, and the segment that
    would complete it does not pass. A segment behind a gap is dropped, for its sender to repeat. What is repeated
    must be what has been judged, or its receiver could be told something else.
    """

    def __init__(self, inspector: Inspector, sequence: int) -> None:
        self.next = sequence
        """One past the last byte that has been judged and passed."""
        self.fault: str | None = None
        """The violation that ended it."""
        self.inspector = inspector
        self._judge = inspector.judge()
        self._kept = bytearray()
        """The last bytes that have passed and are not yet acknowledged; they end at `next`."""

    @property
    def held(self) -> int:
        """Bytes that wait for their acknowledgment."""
        return len(self._kept)

    def acknowledge(self, number: int) -> None:
        """The receiver has everything before this sequence number."""
        left = self.next - number & _WRAP
        if left < len(self._kept):
            del self._kept[: len(self._kept) - left]

    def take(self, sequence: int, payload: bytes) -> str | None:
        """Why a segment must not pass, or None. `fault` tells a violation from a mere gap."""
        if self.fault is not None:
            return self.fault
        behind = self.next - sequence & _WRAP
        if behind >= _HALF:
            return "gap"
        known = min(behind, len(payload))
        if known and not self._repeats(behind, payload[:known]):
            self.fault = "retransmission differs"
            return self.fault
        fresh = payload[behind:]
        if fresh:
            self.fault = self._judge.feed(fresh)
            if self.fault is not None:
                return self.fault
            self.next = self.next + len(fresh) & _WRAP
            self._kept += fresh
            if len(self._kept) > _UNACKNOWLEDGED:
                del self._kept[:-_UNACKNOWLEDGED]
        return None

    def _repeats(self, behind: int, data: bytes) -> bool:
        """Whether data that began `behind` bytes ago is what passed then; what is acknowledged does no harm."""
        start = len(self._kept) - behind
        if start < 0:
            data = data[-start:]
            start = 0
        return self._kept[start : start + len(data)] == data
