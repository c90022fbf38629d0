"""`gap`: an isolation gap. No datagram crosses it; what crosses are records that fit a data set, one way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import ClassVar, Final

from devices.gap.config import DataSet, GapConfig
from devices.gap.documents import Record, to_json
from devices.gap.sources import Inlet, inlet
from devices.gap.targets import Outlet, outlet
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.syslog import Syslog
from lab.text import Text
from lab.wire.syslog import Facility, Severity

_WAITING: Final = 64
"""Records in the relay; the oldest is lost to a newer one."""
_AUDIT_KEPT: Final = 500
_SHOWN: Final = 8


class GapHost(Host):
    """The computer on the inner side, which has the box's name; the one on the outer side hangs on it."""

    def __init__(self, network: Network, name: str) -> None:
        super().__init__(network, name, ("inner",))
        self.outer = Host(network, name, ("outer",))

    def configure(self, config: HostConfig) -> None:
        """Each side takes its own interface, and the routes by way of its own network."""
        networks = [each.address.network for name, each in config.interfaces.items() if name == "outer"]
        super().configure(_side(config, networks, is_outer=False))
        self.outer.configure(_side(config, networks, is_outer=True))

    def lose_power(self) -> None:
        super().lose_power()
        self.outer.lose_power()


def _side(config: HostConfig, outer_networks: list[IPv4Network], *, is_outer: bool) -> HostConfig:
    """What one side's computer is to know."""
    shared = {name: getattr(config, name) for name in HostConfig.model_fields}
    interfaces = {name: each for name, each in config.interfaces.items() if (name == "outer") == is_outer}
    routes = [each for each in config.routes if any(each.via in network for network in outer_networks) == is_outer]
    return HostConfig.model_construct(**{**shared, "interfaces": interfaces, "routes": routes})


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A record that crossed, or what did not."""

    at: float
    """Seconds since the Unix epoch on the inner side's clock."""
    dataset: str
    verdict: str
    """passed, refused or failed."""
    size: int
    """Bytes of the document."""
    reason: str = ""

    def __str__(self) -> str:
        reason = ' reason="' + self.reason.replace('"', "'") + '"' if self.reason else ""
        return f'dataset="{self.dataset}" verdict={self.verdict} size={self.size}{reason}'


class _Crossing:
    """One data set on its way: taken in on one side, kept in the relay, given out on the other."""

    def __init__(self, dataset: DataSet) -> None:
        self.dataset = dataset
        self.inlet: Inlet
        self.outlet: Outlet
        self.waiting: asyncio.Queue[Record] = asyncio.Queue(_WAITING)
        self.task: asyncio.Task[None] | None = None
        self.allowance = max(dataset.max_rate, 1.0)
        """Documents that may still come now; grows by `max_rate` each second."""
        self.counted = 0.0


class Gap(Appliance[GapConfig]):
    """Between its sides runs a relay that knows records and no packets."""

    kind: ClassVar[str] = "gap"
    title: ClassVar[Text] = Text(zh="工业网闸", en="Isolation gap")
    Config = GapConfig
    ports: ClassVar[tuple[str, ...]] = ("inner", "outer")

    def __init__(self, host: Host, config: GapConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.audit: deque[AuditEntry] = deque(maxlen=_AUDIT_KEPT)
        self.counts: dict[str, dict[str, int]] = {}
        """By data set: how many documents passed, were refused, failed."""
        self._crossings: dict[str, _Crossing] = {}
        self._said: dict[str, str] = {}
        """Verdict and reason of the latest entry, by data set."""
        self._syslog: Syslog | None = None

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        if name in network.hosts or name in network.switches:
            raise ValueError(f"there is already a device called {name!r}")
        host = network.hosts[name] = GapHost(network, name)
        return host

    async def start(self) -> None:
        assert isinstance(self.host, GapHost)
        config = self.config
        if config.syslog is not None:
            self._syslog = Syslog(self.host, config.syslog)
        sides = (self.host, self.host.outer)
        source, target = sides if config.direction == "inner-to-outer" else sides[::-1]
        for dataset in config.datasets:
            if not dataset.enabled:
                continue
            crossing = self._crossings[dataset.name] = _Crossing(dataset)
            crossing.inlet = inlet(source, dataset, self._take, self._refuse)
            crossing.outlet = outlet(target, dataset)
            await crossing.outlet.start()
            crossing.task = target.spawn(self._carry(crossing), name=f"gap relay {dataset.name}")
            await crossing.inlet.start()

    async def stop(self) -> None:
        for crossing in self._crossings.values():
            await crossing.inlet.stop()
            if crossing.task is not None:
                crossing.task.cancel()
                await asyncio.gather(crossing.task, return_exceptions=True)
            await crossing.outlet.stop()
        self._crossings.clear()
        if self._syslog is not None:
            self._syslog.close()
            self._syslog = None

    def status(self) -> Mapping[str, object]:
        return {
            "direction": self.config.direction,
            "datasets": {name: dict(counts) for name, counts in self.counts.items()},
            "audit": [str(entry) for entry in list(self.audit)[-_SHOWN:]],
        }

    def _take(self, dataset: DataSet, record: Record) -> None:
        crossing = self._crossings.get(dataset.name)
        if crossing is None:
            return
        size = len(to_json(record))
        now = self.host.network.loop.time()
        allowed = max(dataset.max_rate, 1.0)
        crossing.allowance = min(allowed, crossing.allowance + (now - crossing.counted) * dataset.max_rate)
        crossing.counted = now
        if crossing.allowance < 1.0:
            self._refuse(dataset, f"more than {dataset.max_rate:g} a second", size)
            return
        crossing.allowance -= 1.0
        if crossing.waiting.full():
            crossing.waiting.get_nowait()
            self._write(dataset, "failed", size, "the relay is full")
        crossing.waiting.put_nowait(record)

    def _refuse(self, dataset: DataSet, reason: str, size: int) -> None:
        self._write(dataset, "refused", size, reason)

    async def _carry(self, crossing: _Crossing) -> None:
        while True:
            record = await crossing.waiting.get()
            fault = await crossing.outlet.give(record)
            self._write(crossing.dataset, "passed" if fault is None else "failed", len(to_json(record)), fault or "")

    def _write(self, dataset: DataSet, verdict: str, size: int, reason: str) -> None:
        counts = self.counts.setdefault(dataset.name, {"passed": 0, "refused": 0, "failed": 0})
        counts[verdict] += 1
        said = f"{verdict} {reason}"
        if dataset.source.modbus is not None and self._said.get(dataset.name) == said:
            return  # a poll is written down when its outcome changes, or the log would be nothing else
        self._said[dataset.name] = said
        entry = AuditEntry(self.host.wall_ns() / 1e9, dataset.name, verdict, size, reason)
        self.audit.append(entry)
        if self._syslog is not None:
            severity = Severity.INFORMATIONAL if verdict == "passed" else Severity.WARNING
            self._syslog.send(Facility.AUDIT, severity, "gap", str(entry))
