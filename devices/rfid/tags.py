"""UHF tags (ISO/IEC 18000-63, EPC Gen2): what is in their memory and what they answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_WORDS: Final = 31
"""The length field of the PC word has five bits."""
_ROOM: Final = 16
"""Bytes of EPC memory in an ordinary chip."""
_ISO: Final = 0x0100
"""Bit 17h of the memory: what follows is an application family of ISO/IEC 15961 and no EPC."""
_FILTERED: Final = frozenset((0x2C, 0x2D, *range(0x30, 0x35), 0x36, 0x37, 0x38, 0x39, 0x3E))
"""Headers of the EPC binary schemes that begin with a filter value and a partition (Tag Data Standard 1.13, table 14-1)."""
_LAST_PARTITION: Final = 6


@dataclass(frozen=True, slots=True)
class Tag:
    """A chip on an antenna of its own, stuck on something."""

    epc: bytes
    """What is in its EPC memory behind the PC word."""
    pc: int
    """StoredPC; its upper five bits say how many words of EPC the tag sends, right or wrong."""
    tid: bytes = b""
    sensitivity: float = -18.0
    """dBm at the tag that wake its chip."""
    loss: float = 3.0
    """dB that what it sticks on, and how it is turned, take away."""
    garbled: float = 0.0
    """Share of its answers that arrive with a wrong CRC."""

    @property
    def words(self) -> int:
        return self.pc >> 11

    @property
    def reply(self) -> bytes | None:
        """The EPC it sends; None where its PC word claims more than it has, so that the CRC behind is never right."""
        memory = self.epc.ljust(_ROOM, b"\0")
        return memory[: 2 * self.words] if 2 * self.words <= len(memory) else None


def stored_pc(epc: bytes) -> int:
    """The PC word of a tag that says the truth about its EPC."""
    words = len(epc) // 2
    if len(epc) % 2 or words > MAX_WORDS:
        raise ValueError(f"an EPC of {len(epc)} bytes does not fit into a tag: an even number up to {2 * MAX_WORDS}")
    return words << 11


def is_epc(pc: int) -> bool:
    """Whether the tag says that it carries an EPC at all."""
    return not pc & _ISO


def filter_value(epc: bytes) -> int | None:
    """The filter value (1 retail item, 2 case, 6 unit load …) of a GS1 EPC, or None where these bytes are none."""
    if len(epc) < 2 or epc[0] not in _FILTERED:
        return None
    if epc[1] >> 2 & 7 > _LAST_PARTITION:
        return None
    return epc[1] >> 5
