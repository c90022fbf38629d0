"""The registers of the reader, in the manner of published industrial readers; all are holding registers of unit 255.

0x4000-0x401F StoredPC and EPC of an identifier, the rest zero; 0xB100 power (0.1 dBm), 0xB101 antennas (bit 0 is antenna
1), 0xB102 dwell (ms), 0xB103 filter, all four writable; 0xC000-0xC003 firmware; 0xC300 status of the last dwell, 0xC301 how
many identifiers have been shown (rolling over); 0xC500 number of mistakes and from 0xC501 the latest sixteen, latest first,
four words each: status, antenna, seconds since 1970-01-01 (u32); 0xD000 1 resets, 0xD001 1 reads for one dwell.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers, WordTable
from devices.rfid.findings import ERRORS_KEPT, Identifier
from devices.rfid.reader import Reader
from devices.rfid.settings import (
    ANTENNAS,
    LEAST_DWELL,
    LEAST_POWER,
    MOST_DWELL,
    MOST_FILTER,
    MOST_POWER,
    DeviceStatus,
    OperationStatus,
    antennas_of,
)
from devices.rfid.tags import MAX_WORDS

UNIT: Final = 255
FIRMWARE: Final = "V2.10.03"
IDENTITY: Final = Identity("Lab Identification", "RFR-4", FIRMWARE, product_name="UHF RFID reader, 4 antennas")

IDENTIFIER: Final = 0x4000
POWER, ANTENNA_MASK, DWELL, FILTER = 0xB100, 0xB101, 0xB102, 0xB103
VERSION, STATUS, SHOWN, ERRORS, RESET, READ = 0xC000, 0xC300, 0xC301, 0xC500, 0xD000, 0xD001
_WORDS: Final = 1 + MAX_WORDS
_ENTRY: Final = 4
_MOST_WAITING: Final = 1_000


class ModbusFace:
    """Identifiers are shown one after another, each for as long as the reader is set to hold it."""

    def __init__(self, reader: Reader, hold: float) -> None:
        self._reader = reader
        self._hold = hold
        """Seconds for which each identifier is there to be read."""
        self._waiting: deque[Identifier] = deque(maxlen=_MOST_WAITING)
        self._timer: asyncio.TimerHandle | None = None
        self._shown = 0
        self.registers = Registers()
        self._lay_out(self.registers.holding_registers)
        self.unit = ModbusUnit(self.registers, IDENTITY, written=self._written, server_id=UNIT)
        reader.identified.append(self._queue)
        reader.changed.append(self._show)
        self._show()

    def close(self) -> None:
        self._reader.identified.remove(self._queue)
        self._reader.changed.remove(self._show)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lay_out(self, words: WordTable) -> None:
        for address in range(IDENTIFIER, IDENTIFIER + _WORDS):
            words.number(address, "u16")
        limits = {
            POWER: range(round(LEAST_POWER * 10), round(MOST_POWER * 10) + 1),
            ANTENNA_MASK: range(1 << ANTENNAS),
            DWELL: range(LEAST_DWELL, MOST_DWELL + 1),
            FILTER: range(MOST_FILTER + 1),
            RESET: range(2),
            READ: range(2),
        }
        for address, limit in limits.items():
            words.number(address, "u16", writable=True)
            words.limits[address] = limit
        firmware = FIRMWARE.encode("ascii")
        for place in range(len(firmware) // 2):
            words.number(VERSION + place, "u16")
            words.values[VERSION + place] = int.from_bytes(firmware[2 * place : 2 * place + 2], "big")
        for address in (STATUS, SHOWN, *range(ERRORS, ERRORS + 1 + _ENTRY * ERRORS_KEPT)):
            words.number(address, "u16")

    def _queue(self, identifier: Identifier) -> None:
        self._waiting.append(identifier)
        if self._timer is None:
            self._show_next()

    def _show_next(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        identifier = self._waiting.popleft()
        data = identifier.pc.to_bytes(2, "big") + identifier.epc
        self._put(data)
        self._shown = (self._shown + 1) & 0xFFFF
        self.registers.holding_registers.values[SHOWN] = self._shown
        if self._hold:
            self._timer = asyncio.get_running_loop().call_later(self._hold, self._show_next)
        else:
            self._show_next()

    def _put(self, data: bytes) -> None:
        filled = data.ljust(2 * _WORDS, b"\0")
        values = self.registers.holding_registers.values
        for place in range(_WORDS):
            values[IDENTIFIER + place] = int.from_bytes(filled[2 * place : 2 * place + 2], "big")

    def _show(self) -> None:
        """Bring settings, status and mistakes up to date."""
        reader, values = self._reader, self.registers.holding_registers.values
        settings = reader.settings
        values[POWER] = round(settings.power * 10)
        values[ANTENNA_MASK] = settings.antenna_mask
        values[DWELL] = settings.dwell_ms
        values[FILTER] = settings.filter
        values[STATUS] = reader.outcome
        values[ERRORS] = reader.mistakes & 0xFFFF
        entries = [(each.status, each.antenna, *divmod(each.at // 1_000_000_000, 1 << 16)) for each in reader.errors]
        entries += [(OperationStatus.SUCCESS, 0, 0, 0)] * (ERRORS_KEPT - len(entries))
        values.update(enumerate((word & 0xFFFF for entry in entries for word in entry), ERRORS + 1))
        has_nothing = reader.outcome != OperationStatus.SUCCESS and reader.status != DeviceStatus.BUSY
        if has_nothing and self._timer is None and not self._waiting:
            self._put(b"")

    def _written(self) -> None:
        reader, values = self._reader, self.registers.holding_registers.values
        reset, read = values[RESET], values[READ]
        values[RESET] = values[READ] = 0
        settings = reader.settings
        wanted = (values[POWER], values[ANTENNA_MASK], values[DWELL], values[FILTER])
        has = (round(settings.power * 10), settings.antenna_mask, settings.dwell_ms, settings.filter)
        if wanted != has:
            power, mask, dwell, only = wanted
            changes = {"power": power / 10, "antennas": antennas_of(mask), "dwell_ms": dwell, "filter": only}
            reader.configure(settings.model_copy(update=changes))
        if reset:
            self._waiting.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._put(b"")
            self._shown = values[SHOWN] = 0
            reader.reset()
        if read:
            reader.read_once()
        self._show()
