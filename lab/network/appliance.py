"""What runs on a host of the plant: a controller, a gateway, a broker, a workstation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from lab.model.plant import HostConfig
from lab.network.logbook import Log
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network
    from lab.network.host import Host

Value = float | int | bool | str
RecordTruth = Callable[[str, Value], None]
"""Called as record(point, value) whenever a process value changes; the caller stamps it with plant time."""

C = TypeVar("C", bound=HostConfig)


class Appliance(ABC, Generic[C]):
    """A kind of device at work on its host; whoever owns the plant starts, reconfigures and stops it.

    All three are called with the host current, on the plant's loop. The base takes care of nothing else: addresses
    and routes have been applied to the host before `start` and before `apply`.
    """

    kind: ClassVar[str]
    """The name a scenario uses, such as `boiler-plc`."""
    title: ClassVar[Text]
    Config: ClassVar[type[HostConfig]]
    """The model of `config/<host>.yaml` for this kind."""
    ports: ClassVar[tuple[str, ...]] = ("eth0",)
    """The Ethernet ports it has."""
    interfaces: ClassVar[tuple[str, ...] | None] = None
    """What may have an IP address; None where all of its ports may, and nothing else."""
    forwards: ClassVar[bool] = False
    """Whether what others say to one another goes through it: it begins and ends no conversations of interest."""
    terminals: ClassVar[tuple[str, ...]] = ()
    """Where wires end."""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        self.host = host
        self.config = config
        self.record = record
        self.logs: dict[str, Log[Any]] = {}
        """What it writes for people, by the name of the log."""

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        """What stands in the cabinet before it is switched on: a host with ports that take cables."""
        return network.add_host(name, cls.ports)

    @property
    def boots_with(self) -> HostConfig:
        """The configuration it has after a power cut: the one that runs, unless it must be saved first."""
        return self.config

    @abstractmethod
    async def start(self) -> None:
        """Begin to serve; returns once the device would answer."""

    @abstractmethod
    async def stop(self) -> None:
        """End every task and close every socket this appliance opened."""

    async def apply(self, config: C) -> None:
        """Take on a new configuration; by default a restart. Devices that can do better override it."""
        await self.stop()
        self.config = config
        await self.start()

    def points(self) -> Mapping[str, Value]:
        """The process values as they are now, by point name, in engineering units."""
        return {}

    def force(self, point: str, value: Value | None) -> None:
        """Hold a process value at `value`, or release it (None); raises KeyError for an unknown point."""
        raise KeyError(point)

    def status(self) -> Mapping[str, object]:
        """What its display would show, for people: short keys, plain values."""
        return {}
