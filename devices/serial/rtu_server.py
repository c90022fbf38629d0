"""The server side of Modbus RTU: units behind one serial port, silent unless they are meant."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context
from random import Random
from typing import Final

from devices.modbus_server import BROADCASTS
from devices.modbus_unit import ModbusUnit
from lab.network.loop import PlantLoop
from lab.network.serial.line import LineSettings
from lab.network.serial.port import SerialPort
from lab.network.serial.rtu import RtuLink
from lab.network.timer import Timer
from lab.wire.malformed import Malformed
from lab.wire.modbus import decode_request
from lab.wire.modbus.rtu import BROADCAST, Framed, RtuAdu, decode_framed

_EXCEPTION: Final = 0x80
_SPREAD: Final = 0.2
"""Share by which a device takes sometimes more and sometimes less time for its answer."""


class RtuServer:
    """Answers for its units; everybody else's frames and all that is garbled it passes over (V1.02, section 2.4.1)."""

    def __init__(
        self,
        port: SerialPort,
        loop: PlantLoop,
        settings: LineSettings,
        units: Mapping[int, ModbusUnit],
        *,
        random: Random,
        response_delay: float,
    ) -> None:
        self._units = dict(units)
        self._random = random
        self._response_delay = response_delay
        self._response = b""
        self._thinking = Timer(loop, copy_context(), self._respond)
        self._link = RtuLink(port, loop, settings, self._took)
        self.garbled = 0
        """Frames with flawed characters, gaps or a wrong CRC."""

    def close(self) -> None:
        self._thinking.dispose()
        self._link.close()

    def _took(self, framed: Framed) -> None:
        try:
            adu = decode_framed(framed)
        except Malformed:
            self.garbled += 1
            return
        if adu.pdu[0] & _EXCEPTION:
            return  # somebody's exception response
        if adu.unit == BROADCAST:
            self._take_broadcast(adu.pdu)
            return
        unit = self._units.get(adu.unit)
        if unit is None:
            return
        response = unit.answer(decode_request(adu.pdu))
        if response is not None:
            self._response = RtuAdu(adu.unit, response.encode()).encode()
            self._thinking.start(self._response_delay * (1 + self._random.uniform(-_SPREAD, _SPREAD)))

    def _take_broadcast(self, pdu: bytes) -> None:
        request = decode_request(pdu)
        if isinstance(request, BROADCASTS):
            for unit in set(self._units.values()):
                unit.answer(request, broadcast=True)

    def _respond(self) -> None:
        self._link.send(self._response)
