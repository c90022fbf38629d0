"""Four analog and eight digital inputs on terminals: what an I/O station and a controller have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from devices.signals.channel import AnalogChannel, DigitalChannel, Reading
from lab.model.frame import Port
from lab.model.plant import Strict
from lab.network.fabric import Network
from lab.network.signals.inputs import AnalogInput, DigitalInput
from lab.network.signals.power import Feed, Supply

ANALOG: Final = tuple(f"ai{number}" for number in range(4))
DIGITAL: Final = tuple(f"di{number}" for number in range(8))
_ENDS: Final = ("+", "-", "i+", "i-")
TERMINALS: Final = ("L+", "M", *(name + end for name in ANALOG for end in _ENDS), *DIGITAL)


class Channels(Strict):
    """As delivered: voltages, and inputs for PNP switches."""

    ai0: AnalogChannel = AnalogChannel()
    ai1: AnalogChannel = AnalogChannel()
    ai2: AnalogChannel = AnalogChannel()
    ai3: AnalogChannel = AnalogChannel()
    di0: DigitalChannel = DigitalChannel()
    di1: DigitalChannel = DigitalChannel()
    di2: DigitalChannel = DigitalChannel()
    di3: DigitalChannel = DigitalChannel()
    di4: DigitalChannel = DigitalChannel()
    di5: DigitalChannel = DigitalChannel()
    di6: DigitalChannel = DigitalChannel()
    di7: DigitalChannel = DigitalChannel()

    @property
    def analog(self) -> tuple[AnalogChannel, ...]:
        return (self.ai0, self.ai1, self.ai2, self.ai3)

    @property
    def digital(self) -> tuple[DigitalChannel, ...]:
        return (self.di0, self.di1, self.di2, self.di3, self.di4, self.di5, self.di6, self.di7)


class InputCard:
    """The inputs of one device, as its program reads them."""

    def __init__(self, network: Network, name: str) -> None:
        part = network.circuit.part
        self._circuit = network.circuit
        self._analog = tuple(part(f"{name}/{channel}", AnalogInput) for channel in ANALOG)
        self._digital = tuple(part(f"{name}/{channel}", DigitalInput) for channel in DIGITAL)
        self._channels = Channels()

    @staticmethod
    def install(network: Network, name: str, supply: Feed | Supply) -> None:
        """Put the inputs behind the terminals of a device; they work while the supply does."""
        plus, minus = Port(name, "L+"), Port(name, "M")
        for channel in ANALOG:
            one, two, three, four = (Port(name, channel + end) for end in _ENDS)
            network.circuit.add(f"{name}/{channel}", AnalogInput(one, two, three, four, minus, supply))
        for channel in DIGITAL:
            network.circuit.add(f"{name}/{channel}", DigitalInput(Port(name, channel), plus, minus))

    def equip(self, channels: Channels) -> None:
        """Set the channels to signals and leads."""
        self._channels = channels
        for analog, analog_channel in zip(self._analog, channels.analog, strict=True):
            analog.equip(analog_channel.mode, analog_channel.wiring)
        for digital, digital_channel in zip(self._digital, channels.digital, strict=True):
            digital.equip(sourcing=digital_channel.type == "sourcing")
        self._circuit.settle()

    def watch(self, changed: Callable[[], None]) -> None:
        """Whom to call when a digital input has switched."""
        for digital in self._digital:
            digital.changed = changed

    def readings(self) -> tuple[Reading, ...]:
        """What the converters make of the analog inputs, in order."""
        pairs = zip(self._channels.analog, self._analog, strict=True)
        return tuple(channel.convert(analog.reading) for channel, analog in pairs)

    @property
    def digital(self) -> tuple[DigitalInput, ...]:
        return self._digital
