"""What a bus analyser clamped to a line records: every frame once, with the errors that it has on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.model.frame import Port, Tap
from lab.network.serial.line import LineSettings
from lab.network.serial.medium import Receiver, Reception, Transmission
from lab.network.serial.rtu import Silence
from lab.wire.modbus.rtu import Framed

if TYPE_CHECKING:
    from lab.network.fabric import Network


class Probe:
    """It finds out the settings of whoever sends, so that it reads what was sent and not what somebody understood."""

    def __init__(self, network: Network, bus: Port) -> None:
        self._network = network
        self._tap = Tap(bus, bus)
        self._settings = LineSettings()
        self._silence = Silence(network.loop, self._settings, self._took)
        self.receiver = Receiver(
            network.random_for(f"{bus} probe"), lambda: self._silence.busy(), self._heard, self._adapt
        )

    def _adapt(self, transmission: Transmission) -> LineSettings:
        if transmission.settings != self._settings:
            self._settings = transmission.settings
            self._silence.finish()
            self._silence = Silence(self._network.loop, self._settings, self._took)
        return self._settings

    def _heard(self, reception: Reception) -> None:
        self._silence.heard(reception)

    def _took(self, framed: Framed) -> None:
        if not framed.data:
            return
        loop = self._network.loop
        at = loop.wall_ns() - round((loop.time() - framed.ended) * 1e9)
        for listener in self._network.serial_taps:
            listener(self._tap, at, framed.data)
