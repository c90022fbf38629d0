"""`rtu-old`: a remote station of the waterworks that has been there for twenty years, and is fragile (L6)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Literal

from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_server import ModbusServer, Stranger
from devices.modbus_unit import Identity, ModbusUnit
from devices.process.waterworks import Waterworks
from devices.registers import Registers, Variable
from devices.water_plc import water_map
from lab.network.appliance import RecordTruth
from lab.network.host import Host
from lab.text import Text
from lab.wire.modbus import HEADER, Adu, ExceptionCode, Request

CONNECTIONS: Final = 5
"""That may come within a second."""
WORKS, HANGS = Text(zh="正常", en="works"), Text(zh="死机", en="hangs")
WATCHDOG: Final = 120.0
"""Seconds after which it restarts when its communication hangs."""


class FragileServer(ModbusServer):
    """Its network chip goes on taking connections and data when the program behind it hangs; nobody answers them.

    `hung` is told when that begins and when the watchdog has ended it, by a restart that cuts every connection.
    """

    def __init__(
        self,
        units: Mapping[int, ModbusUnit],
        *,
        strangers: Stranger,
        max_connections: int,
        hung: Callable[[bool], None],
    ) -> None:
        super().__init__(units, strangers=strangers, max_connections=max_connections)
        self._hung = hung
        self._arrivals: deque[float] = deque(maxlen=CONNECTIONS + 1)
        self._watchdog: asyncio.TimerHandle | None = None

    async def stop(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._restart()
        await super().stop()

    def admit(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._arrivals.append(now)
        if len(self._arrivals) > CONNECTIONS and now - self._arrivals[0] < 1.0:
            self._hang()
        return super().admit()

    def answer(self, adu: Adu[Request]) -> bytes:
        if self._watchdog is not None:
            return b""
        answer = super().answer(adu)
        if answer[HEADER.size :] == bytes((adu.pdu.function | 0x80, ExceptionCode.ILLEGAL_FUNCTION)):
            # Newer ones refuse what they do not know. This one jumps to where there is no program.
            self._hang()
            return b""
        return answer

    def _hang(self) -> None:
        if self._watchdog is None:
            self._watchdog = asyncio.get_running_loop().call_later(WATCHDOG, self._restart)
            self._hung(True)

    def _restart(self) -> None:
        self._watchdog = None
        self._arrivals.clear()
        for connection in tuple(self._connections):
            connection.cut()
        for unit in self._units.values():
            unit.traffic.restart(forget=True)
        self._hung(False)


class RtuOldConfig(ModbusControllerConfig):
    firmware: Literal["V1.0"] = "V1.0"


class RtuOld(ModbusController[RtuOldConfig]):
    """More than five new connections in a second, or a function it does not know, and it hangs for two minutes."""

    kind: ClassVar[str] = "rtu-old"
    title: ClassVar[Text] = Text(zh="老式远程终端", en="Old remote terminal unit")
    Config = RtuOldConfig
    Process = Waterworks
    identity: ClassVar[Identity] = Identity("Lab Water Systems", "RTU-1000", "V1.0")

    def __init__(self, host: Host, config: RtuOldConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._is_hung = False

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        return water_map(registers)

    def make_server(self, unit: ModbusUnit) -> ModbusServer:
        return FragileServer(
            self.by_id(unit),
            strangers=self.config.unknown_unit,
            max_connections=self.config.max_connections,
            hung=self._hung,
        )

    def _hung(self, is_hung: bool) -> None:
        self._is_hung = is_hung
        self.record("communication_hung", is_hung)

    def status(self) -> Mapping[str, object]:
        return {"communication": str(HANGS if self._is_hung else WORKS), **super().status()}
