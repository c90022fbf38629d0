"""The serial ports of the gateway: their settings, and the masters that several devices on one line share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from lab.model.frame import Port
from lab.model.plant import Strict
from lab.network.host import Host
from lab.network.serial.line import LineSettings
from lab.network.serial.master import RtuMaster
from lab.network.serial.port import Interface, Rs232, Rs485

SerialNumber = Literal["1", "2"]
SERIAL_PORTS: Final = ("1", "2")
TERMINALS: Final = tuple(f"{name}{number}" for number in SERIAL_PORTS for name in ("A", "B", "GND", "TX", "RX"))
_QUEUE: Final = 256
"""Requests that may wait for the line: one of each device."""


class SerialPortConfig(Strict):
    """One serial port of the gateway."""

    interface: Literal["rs485", "rs232"] = Field("rs485", description="接口类型。 RS-485 or RS-232.")
    line: LineSettings = Field(
        default_factory=LineSettings,
        description="波特率、校验等，如 {baud: 9600, parity: even}。 Speed, parity and so on.",
    )
    termination: bool = Field(False, description="是否接入 120 Ω 终端电阻。 Whether its 120 Ω resistor is on.")


class SerialPorts:
    """Opens a port when the first device wants it, and closes it behind the last."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._config: dict[str, SerialPortConfig] = {}
        self._masters: dict[str, tuple[RtuMaster, int]] = {}

    def configure(self, config: Mapping[SerialNumber, SerialPortConfig]) -> None:
        """Holds for ports that are opened from now on."""
        self._config = {str(number): settings for number, settings in config.items()}

    def settings(self, number: str) -> SerialPortConfig:
        return self._config.get(number) or SerialPortConfig()

    def open(self, number: str) -> RtuMaster:
        """The master on a port; give it back with `close`."""
        master, users = self._masters.get(number, (None, 0))
        if master is None:
            network, settings = self._host.network, self.settings(number)
            port = network.serial.port(Port(self._host.name, number))
            rs485, rs232 = interfaces(number)
            port.equip(interface=rs485 if settings.interface == "rs485" else rs232, termination=settings.termination)
            master = RtuMaster(port, network.loop, settings.line, limit=_QUEUE)
        self._masters[number] = (master, users + 1)
        return master

    def close(self, number: str) -> None:
        master, users = self._masters.pop(number)
        if users > 1:
            self._masters[number] = (master, users - 1)
        else:
            master.close()

    def status(self) -> dict[str, object]:
        return {
            number: {
                "line": str(self.settings(number).line),
                "devices": users,
                "waiting": master.waiting,
                "timeouts": master.timeouts,
                "garbled": master.garbled,
            }
            for number, (master, users) in self._masters.items()
        }


def interfaces(number: str) -> tuple[Interface, Interface]:
    """The terminals of a port for either kind of transceiver."""
    ground = f"GND{number}"
    return Rs485(f"A{number}", f"B{number}", ground), Rs232(f"TX{number}", f"RX{number}", ground)
