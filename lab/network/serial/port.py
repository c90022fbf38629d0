"""A serial port of a device: a UART and a transceiver on terminals."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple

from lab.model.frame import Port
from lab.network.serial.line import LineSettings
from lab.network.serial.medium import Receiver, Reception, Transmission

if TYPE_CHECKING:
    from lab.network.serial.lines import SerialLines


class Rs485(NamedTuple):
    """Names of the terminals of a half-duplex RS-485 transceiver; A is the one that is negative at rest."""

    a: str = "A"
    b: str = "B"
    ground: str = "GND"


class Rs232(NamedTuple):
    """Names of the terminals of an RS-232 transceiver without handshake lines."""

    tx: str = "TX"
    rx: str = "RX"
    ground: str = "GND"


Interface = Rs485 | Rs232

WRITE_LIMIT: Final = 1 << 16
"""Bytes that wait in a port; what is written beyond is lost and counted."""


def _nobody(reception: Reception) -> None:
    """Where characters go while no program has the port open."""


def _nothing() -> None:
    """The same for the beginning of a transmission."""


class SerialPort:
    """`network.serial.add_port` makes one. Open it with line settings; what is heard comes in whole, gap by gap."""

    def __init__(self, lines: SerialLines, name: Port, interface: Interface, *, is_master: bool) -> None:
        self._lines = lines
        self.name = name
        self.is_master = is_master
        """Whether it is built for a master, after which a bus is named."""
        self.settings = LineSettings()
        self.is_open = False
        self.lost = 0
        """Bytes that were written while there was no room."""
        self._interface = interface
        self._is_terminated = False
        self._is_biased = False
        self._unit_load = 1.0
        self._noise: dict[str, float] = {}
        self._on_heard: Callable[[Reception], None] = _nobody
        self._on_busy = _nothing
        self._on_drained = _nothing
        self._waiting = bytearray()
        self._sending: Transmission | None = None
        self._context = Context()
        self.receiver = Receiver(
            lines.network.random_for(f"{name} hears"), self._busy, self._heard, lambda _: self.settings
        )

    # -- how it is built and set --------------------------------------------------------------------------------------

    @property
    def interface(self) -> Interface:
        return self._interface

    def equip(
        self,
        *,
        interface: Interface | None = None,
        termination: bool | None = None,
        bias: bool | None = None,
        unit_load: float | None = None,
    ) -> None:
        """Set switches: the terminals in use, the 120 Ω resistor, the bias resistors, the load it is on a bus."""
        if interface is not None:
            self._interface = interface
        if termination is not None:
            self._is_terminated = termination
        if bias is not None:
            self._is_biased = bias
        if unit_load is not None:
            self._unit_load = unit_load
        self._lines.changed()

    @property
    def is_terminated(self) -> bool:
        """Its resistor is there with or without power."""
        return self._is_terminated

    @property
    def is_biased(self) -> bool:
        return self._is_biased and self.is_open

    @property
    def unit_load(self) -> float:
        return self._unit_load

    @property
    def noise(self) -> float:
        """Bit error rate that disturbances at this device cause for its whole line."""
        return min(sum(self._noise.values()), 1.0)

    def disturb(self, bit_errors: float, cause: str = "") -> None:
        """Let noise in here, from 0 to 1 per bit, or end it (0) as far as this cause is concerned."""
        self._noise.pop(cause, None)
        if bit_errors:
            self._noise[cause] = bit_errors
        self._lines.changed()

    # -- what a program does with it ----------------------------------------------------------------------------------

    def open(
        self,
        settings: LineSettings,
        heard: Callable[[Reception], None],
        *,
        busy: Callable[[], None] = _nothing,
        drained: Callable[[], None] = _nothing,
    ) -> None:
        """Begin to listen; `busy` tells that characters begin to arrive, `drained` that all that waited is sent."""
        self.settings = settings
        self._on_heard, self._on_busy, self._on_drained = heard, busy, drained
        self.is_open = True
        self._lines.changed()

    def close(self) -> None:
        """Hear and say no more; what is being sent breaks off."""
        self.is_open = False
        self._on_heard, self._on_busy, self._on_drained = _nobody, _nothing, _nothing
        self._waiting.clear()
        if self._sending is not None:
            self._sending.is_broken = True
        self._lines.changed()

    @property
    def is_sending(self) -> bool:
        return self._sending is not None

    @property
    def waiting(self) -> int:
        """Bytes that have not begun to be sent."""
        return len(self._waiting)

    def write(self, data: bytes) -> None:
        """Send characters, right behind those that are under way; whether somebody else sends is not looked at."""
        if not self.is_open:
            return
        room = WRITE_LIMIT - len(self._waiting)
        self.lost += max(len(data) - room, 0)
        self._waiting += data[:room]
        if self._sending is None and self._waiting:
            self._send(self._lines.network.loop.time())

    def _send(self, began: float) -> None:
        transmission = self._sending = Transmission(self, bytes(self._waiting), self.settings, began)
        self._waiting.clear()
        if isinstance(self._interface, Rs485):
            self.receiver.deafen(began, transmission.ended)
        self._lines.begin(transmission)
        self._lines.network.loop.call_at(transmission.ended, self._sent, transmission, context=self._context)

    def _sent(self, transmission: Transmission) -> None:
        self._sending = None
        self._lines.end(transmission)
        if self._waiting:
            self._send(transmission.ended)
        else:
            self._on_drained()

    def _busy(self) -> None:
        self._on_busy()

    def _heard(self, reception: Reception) -> None:
        self._on_heard(reception)
