"""From what an AISpec says to what the radio does: antennas, power, session, and which tags are asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from devices.rfid.llrp_checks import EPC_BANK, POWERS
from devices.rfid.radio import Plan
from devices.rfid.settings import ANTENNAS
from devices.rfid.tags import Tag
from lab.wire.llrp.specs import AiSpec, AntennaConfiguration, InventorySpec, TagFilter

ALL: Final = 0
"""Stands for every antenna, and for every ROSpec in requests."""
_DEFAULT_SESSION: Final = 1
_UNSELECTS: Final = (3, 4, 5)
"""State-unaware actions that leave out the tags that match (LLRP 1.0.1 section 15.2.1.2.1.1.3)."""


def antennas_in(spec: AiSpec) -> tuple[int, ...]:
    return tuple(range(1, ANTENNAS + 1)) if ALL in spec.antennas else spec.antennas


def plan(spec: AiSpec, defaults: Mapping[int, float]) -> Plan:
    """With the power of `defaults`, by antenna, where the AISpec does not say."""
    powers, session, filters = dict(defaults), _DEFAULT_SESSION, dict[int, tuple[TagFilter, ...]]()
    for antenna in _general_first(spec.inventories[0]):
        numbers = tuple(powers) if antenna.antenna == ALL else (antenna.antenna,)
        for number in numbers:
            if antenna.transmitter is not None:
                powers[number] = POWERS[antenna.transmitter.power - 1]
            for command in antenna.inventory:
                filters[number] = command.filters
                if command.singulation is not None:
                    session = command.singulation.session
    antennas = antennas_in(spec)
    wanted = next((filters[number] for number in antennas if filters.get(number)), ())

    def selects(tag: Tag) -> bool:
        return _passes(tag, wanted)

    return Plan({number: powers[number] for number in antennas}, session, selects if wanted else None)


def _general_first(inventory: InventorySpec) -> list[AntennaConfiguration]:
    """What is said of all antennas, before what is said of one of them."""
    return sorted(inventory.antennas, key=lambda antenna: antenna.antenna != ALL)


def _passes(tag: Tag, filters: Iterable[TagFilter]) -> bool:
    """Whether a tag answers after these Select commands, which follow one another."""
    selected = True
    for place, each in enumerate(filters):
        matches = _matches(tag, each)
        unselects = each.unaware is not None and each.unaware.action in _UNSELECTS
        wanted = not matches if unselects else matches
        selected = wanted if place == 0 else selected and wanted
    return selected


def _matches(tag: Tag, each: TagFilter) -> bool:
    mask = each.mask
    memory = bytes(2) + tag.pc.to_bytes(2, "big") + tag.epc if mask.bank == EPC_BANK else tag.tid
    bits = 8 * len(memory)
    count = mask.mask.count
    if mask.pointer + count > bits:
        return False
    have = int.from_bytes(memory, "big") >> bits - mask.pointer - count & (1 << count) - 1
    want = int.from_bytes(mask.mask.data, "big") >> 8 * len(mask.mask.data) - count
    return have == want
