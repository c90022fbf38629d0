"""A sensor in the field: a process on one side, terminals on the other, nothing on the network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, ClassVar, TypeVar

from devices.process.process import Process
from devices.scan import ScanCycle
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host
from lab.network.signals.sources import SignalSource

if TYPE_CHECKING:
    from lab.network.fabric import Network

C = TypeVar("C", bound=HostConfig)


class FieldDevice(Appliance[C]):
    """The quantity it measures goes on whatever happens to its wires.

    What is wrong with it is in `source.fault`. What its signal comes to is for the wiring to say: see `Circuit`.
    """

    ports: ClassVar[tuple[str, ...]] = ()
    interfaces: ClassVar[tuple[str, ...] | None] = ()
    Process: ClassVar[type[Process]]
    scan_period: ClassVar[float] = 0.5
    """Seconds"""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.process = self.Process(Random(host.random.getrandbits(64)))
        self._told: dict[str, Value] = {}
        self._scan_cycle = ScanCycle(self.scan_period, self._scan)

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = super().hardware(network, name)
        network.circuit.add(name, cls.electrics(*(Port(name, terminal) for terminal in cls.terminals)))
        return host

    @classmethod
    @abstractmethod
    def electrics(cls, *terminals: Port) -> SignalSource:
        """What is between its terminals."""

    @property
    def source(self) -> SignalSource:
        return self.host.network.circuit.part(self.host.name, SignalSource)

    @abstractmethod
    def equip(self) -> None:
        """Take on what the configuration says."""

    @abstractmethod
    def show(self) -> None:
        """Give the signal for the quantity as it is now."""

    def shown(self, value: Value) -> Value:
        """A value of the process, no finer than anybody could measure it."""
        return value

    async def start(self) -> None:
        self.equip()
        self._update()
        self.host.network.circuit.changed()
        self._scan_cycle.start()

    async def stop(self) -> None:
        self._scan_cycle.stop()

    def points(self) -> Mapping[str, Value]:
        return {point: self.shown(value) for point, value in self.process.values().items()}

    def force(self, point: str, value: Value | None) -> None:
        self.process.force(point, value)
        self._update()

    def _scan(self, seconds: float) -> None:
        self.process.step(seconds)
        self._update()

    def _update(self) -> None:
        self.show()
        for point, value in self.points().items():
            if self._told.get(point) != value:
                self._told[point] = value
                self.record(point, value)
