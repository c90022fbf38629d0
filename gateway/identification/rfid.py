"""A UHF reader with Modbus registers: what it shows from 0x4000 on is read, and each transponder is said once."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.driver import Driver
from gateway.identification.config import RfidDevice, SeenGroup
from gateway.identification.sightings import Sightings
from gateway.modbus.channel import Channel, Misfit, Refused, Silent
from gateway.modbus.driver import NO_ANSWER
from gateway.samples import IdentifierEvent, Reason, Sample, Unreachable, bad, good
from lab.clock import now_ns

IDENTIFIER: Final = 0x4000
_WORDS: Final = 32
STATUS: Final = 0xC300
"""Of the latest reading, as OPC 30010 (AutoID) counts; behind it some readers count what they have shown."""
_ILLEGAL_ADDRESS: Final = 2


def epc_of(registers: Sequence[int]) -> str:
    """The EPC in upper-case hex: the upper five bits of StoredPC are its length in words (Gen2, 6.3.2.1.2.2)."""
    words = registers[0] >> 11
    return struct.pack(f">{words}H", *registers[1 : 1 + words]).hex().upper()


class RfidDriver(Driver):
    """One connection; a reading is an identifier and a status."""

    def __init__(self, config: RfidDevice, channel: Channel) -> None:
        super().__init__()
        self.config = config
        self._channel = channel
        channel.lost = self.lose
        self._sightings = Sightings(config.repeat_after_ms)
        self._counts = True
        """Whether the reader counts what it shows, as far as is known."""
        self._shown: int | None = None
        self._reads = self._missed = 0

    async def connect(self) -> None:
        await self._channel.open()
        self._shown = None

    async def close(self) -> None:
        await self._channel.close()

    def reader(self, group: SeenGroup) -> RfidReader:
        return RfidReader(self)

    def status(self) -> Mapping[str, object]:
        return {"reads": self._reads, "missed": self._missed}

    async def look(self) -> tuple[str, int]:
        """What is before the antenna, empty if nothing is, and the status; raises Unreachable and Refused."""
        identifier = await self._read(IDENTIFIER, _WORDS)
        status, *counter = await self._status()
        epc = epc_of(identifier)
        self._count(epc, counter[0] if counter else None)
        return epc, status

    def _count(self, epc: str, counter: int | None) -> None:
        is_reading = bool(epc)
        if counter is not None:
            # It rolls over at 65536; what it says more than one were readings that nobody fetched.
            fresh = 0 if self._shown is None else (counter - self._shown) & 0xFFFF
            is_reading = is_reading and (self._shown is None or fresh > 0)
            self._missed += max(0, fresh - 1)
            self._shown = counter
        at = now_ns()
        if is_reading:
            self._reads += 1
            count = self._sightings.see(epc, at)
            if count is not None:
                self.saw(IdentifierEvent(self.config.name, at, epc, "rfid", count=count))

    async def _status(self) -> Sequence[int]:
        if self._counts:
            try:
                return await self._read(STATUS, 2)
            except Refused as refusal:
                if refusal.code != _ILLEGAL_ADDRESS:
                    raise
                self._counts = False
        return await self._read(STATUS, 1)

    async def _read(self, offset: int, quantity: int) -> Sequence[int]:
        connection = self.config.connection
        self.requests += 1
        if not self.up.is_set():
            raise Unreachable(self.trouble)
        began = now_ns()
        try:
            answer = await self._channel.read(
                connection.unit, "holding", offset, quantity, connection.timeout_ms / 1000
            )
        except Silent:
            self.lose(Reason(NO_ANSWER, {"unit": connection.unit, "timeout_ms": connection.timeout_ms}))
            raise Unreachable(self.trouble) from None
        except Misfit as misfit:
            self.lose(misfit.reason)
            raise Unreachable(self.trouble) from None
        except Refused:
            self.errors += 1
            raise
        self.answers += 1
        self.roundtrips.took((now_ns() - began) / 1e9)
        return answer


class RfidReader:
    """One look at it."""

    def __init__(self, driver: RfidDriver) -> None:
        self._driver = driver

    async def read(self) -> Mapping[str, Sample]:
        try:
            epc, status = await self._driver.look()
        except Unreachable as error:
            return dict.fromkeys(("epc", "status"), bad(error.reason, now_ns()))
        except Refused as refusal:
            return dict.fromkeys(("epc", "status"), bad(refusal.reason("holding", IDENTIFIER, _WORDS), now_ns()))
        at = now_ns()
        return {"epc": good(epc, at), "status": good(status, at)}

    def raw(self) -> Mapping[str, str]:
        return {}
