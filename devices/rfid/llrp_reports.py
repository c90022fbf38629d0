"""Tags on their way into reports: what was seen of each adds up until it is told (LLRP 1.0.1 section 14.2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devices.rfid.radio import Observation
from lab.wire.llrp.fields import Bits
from lab.wire.llrp.parameters import AntennaId, InventorySpecId, RoSpecId, SpecIndex
from lab.wire.llrp.reports import (
    ChannelIndex,
    EpcData,
    EpcOf96,
    FirstSeenUtc,
    LastSeenUtc,
    PcBits,
    PeakRssi,
    SeenCount,
    TagReport,
)
from lab.wire.llrp.specs import EpcMemory, ReportContent, Selected

MOST_KEPT: Final = 4_000
_BITS_OF_EPC_96: Final = 12


@dataclass(slots=True)
class Sighting:
    """One tag, as far as the report tells it from others."""

    epc: bytes
    pc: int
    ro_spec: int
    spec_index: int
    inventory: int
    antenna: int
    rssi: float
    first: int
    """Nanoseconds since the Unix epoch, as the next"""
    last: int
    count: int = 1

    def report(self, content: ReportContent) -> TagReport:
        """With what the client has asked for and nothing else."""
        wanted = content.selected
        memory = EpcMemory(0)
        for selector in content.memory:
            memory |= selector.wanted
        is_96 = len(self.epc) == _BITS_OF_EPC_96
        return TagReport(
            EpcOf96(self.epc) if is_96 else EpcData(Bits.of(self.epc)),
            RoSpecId(self.ro_spec) if Selected.RO_SPEC_ID in wanted else None,
            SpecIndex(self.spec_index) if Selected.SPEC_INDEX in wanted else None,
            InventorySpecId(self.inventory) if Selected.INVENTORY_SPEC_ID in wanted else None,
            AntennaId(self.antenna) if Selected.ANTENNA_ID in wanted else None,
            PeakRssi(min(max(round(self.rssi), -128), 127)) if Selected.PEAK_RSSI in wanted else None,
            ChannelIndex(1) if Selected.CHANNEL_INDEX in wanted else None,
            FirstSeenUtc(self.first // 1000) if Selected.FIRST_SEEN in wanted else None,
            LastSeenUtc(self.last // 1000) if Selected.LAST_SEEN in wanted else None,
            SeenCount(min(self.count, 0xFFFF)) if Selected.SEEN_COUNT in wanted else None,
            (PcBits(self.pc),) if EpcMemory.PC in memory else (),
        )


class Sightings:
    """What is to be reported of one ROSpec."""

    def __init__(self, content: ReportContent) -> None:
        self.content = content
        self._kept: dict[tuple[bytes, int, int], Sighting] = {}
        self.is_overflowing = False
        """Whether there was more than is kept."""
        self.is_due = False
        """Whether it is only the client that is not ready."""

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, seen: Observation, ro_spec: int, spec_index: int, inventory: int) -> None:
        """Two sightings are one unless they differ in something the client wants to know."""
        heard, wanted = seen.heard, self.content.selected
        assert heard.epc is not None
        key = (
            heard.epc,
            heard.antenna if Selected.ANTENNA_ID in wanted else 0,
            spec_index if Selected.SPEC_INDEX in wanted else 0,
        )
        kept = self._kept.get(key)
        if kept is not None:
            kept.last = seen.at
            kept.count += 1
            kept.rssi = max(kept.rssi, heard.rssi)
        elif len(self._kept) < MOST_KEPT:
            self._kept[key] = Sighting(
                heard.epc, heard.pc, ro_spec, spec_index, inventory, heard.antenna, heard.rssi, seen.at, seen.at
            )
        else:
            self.is_overflowing = True

    def take(self) -> tuple[TagReport, ...]:
        """Everything there is to report, which is then forgotten."""
        reports = tuple(each.report(self.content) for each in self._kept.values())
        self._kept.clear()
        self.is_overflowing = False
        return reports
