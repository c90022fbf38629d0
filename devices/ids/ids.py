"""`ids`: an intrusion detection system on a mirror port (device library L21)."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from functools import cached_property, partial
from ipaddress import IPv4Address
from typing import Any, ClassVar, Final

from pydantic import Field, model_validator

from devices.ids.engine import Alert, Engine
from devices.ids.logs import eve, modbus_detailed, modbus_log
from devices.ids.rules import Rule, parse_rules
from lab.model.frame import Port, Tap
from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance, RecordTruth
from lab.network.host import Host
from lab.network.logbook import Log
from lab.network.syslog import Syslog
from lab.text import Text
from lab.wire.syslog import Facility, Severity

MONITOR: Final = "mon0"
_KEPT: Final = 10_000
_in_words: Final = partial(json.dumps, ensure_ascii=False)
_SHOWN: Final = 8
_SEVERITIES: Final = {1: Severity.CRITICAL, 2: Severity.ERROR, 3: Severity.WARNING}


class CollectorConfig(Strict):
    collector: IPv4Address
    port: int = Field(default=514, ge=1, le=65535)


class IdsConfig(HostConfig):
    """`rules` is text as in a Suricata rules file; `variables` are those it uses, such as HOME_NET."""

    variables: dict[str, str] = Field(default_factory=dict)
    rules: str = Field(default="", max_length=1_000_000)
    syslog: CollectorConfig | None = None

    @model_validator(mode="after")
    def _rules_are_sound(self) -> IdsConfig:
        _ = self.parsed
        return self

    @cached_property
    def parsed(self) -> tuple[Rule, ...]:
        """The rules; raises KnownValueError."""
        return parse_rules(self.rules, self.variables)


class Ids(Appliance[IdsConfig]):
    """It hears what its port `mon0` is shown and says nothing there; `eth0` is for those who work with it."""

    kind: ClassVar[str] = "ids"
    title: ClassVar[Text] = Text(zh="入侵检测系统", en="Intrusion detection system")
    Config = IdsConfig
    ports: ClassVar[tuple[str, ...]] = ("eth0", MONITOR)
    interfaces: ClassVar[tuple[str, ...] | None] = ("eth0",)

    def __init__(self, host: Host, config: IdsConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._eve, self._modbus = Log(_in_words), Log(json.dumps)
        self.alerts: deque[dict[str, Any]] = self._eve.entries
        """As in eve.json."""
        self.modbus: deque[dict[str, Any]] = self._modbus.entries
        """As in Zeek's modbus.log."""
        self.modbus_detailed: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self.logs |= {"eve.json": self._eve, "modbus.log": self._modbus}
        self.counts: Counter[int] = Counter()
        """Alerts by rule."""
        self._engine = Engine(config.parsed)
        self._port = Port(host.name, MONITOR)
        self._syslog: Syslog | None = None

    async def start(self) -> None:
        collector = self.config.syslog
        self._syslog = Syslog(self.host, collector.collector, collector.port) if collector is not None else None
        self._engine = Engine(self.config.parsed)
        self.host.network.taps.append(self._see)

    async def stop(self) -> None:
        if self._see in self.host.network.taps:
            self.host.network.taps.remove(self._see)
        if self._syslog is not None:
            self._syslog.close()
            self._syslog = None

    def status(self) -> Mapping[str, object]:
        engine = self._engine
        return {
            "rules": len(self.config.parsed),
            "frames": engine.frames,
            "flows": engine.flows,
            "alerts": {str(sid): count for sid, count in self.counts.most_common(_SHOWN)},
            "latest": [_line(each) for each in list(self.alerts)[-_SHOWN:]],
        }

    def _see(self, tap: Tap, at: int, frame: bytes) -> None:
        if tap.seen_at != self._port:
            return
        at += round(self.host.clock_offset * 1e9)
        seen = self._engine.feed(frame, at)
        for message in seen.messages:
            self._modbus.add(modbus_log(message, at))
            self.modbus_detailed.extend(modbus_detailed(message, at))
        for alert in seen.alerts:
            self._report(alert)

    def _report(self, alert: Alert) -> None:
        line = eve(alert, MONITOR)
        self._eve.add(line)
        self.counts[alert.rule.sid] += 1
        if self._syslog is not None:
            severity = _SEVERITIES.get(alert.rule.priority, Severity.NOTICE)
            self._syslog.send(Facility.LOCAL4, severity, "ids", _in_words(line))


def _line(alert: Mapping[str, Any]) -> str:
    said = alert["alert"]
    ends = f"{alert['src_ip']}:{alert.get('src_port', '')} → {alert['dest_ip']}:{alert.get('dest_port', '')}"
    return f"{alert['timestamp'][11:19]} [{said['signature_id']}] {said['signature']}  {ends}"
