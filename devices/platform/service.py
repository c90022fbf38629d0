"""The parts of a platform, put together; what REST works on."""

from __future__ import annotations

from typing import Any, Final

from devices.platform.alarm_desk import Alarm, AlarmDesk
from devices.platform.alarms import Change
from devices.platform.calls import Calls
from devices.platform.catalogue import Catalogue
from devices.platform.config import PlatformConfig, Role
from devices.platform.hub import Hub
from devices.platform.link import BrokerConnection
from devices.platform.registry import Registry
from devices.platform.store import Store
from devices.platform.trace import Trace
from devices.web.accounts import Accounts
from lab import clock
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

RAISED: Final = Text(
    zh="报警 {rule} {device}/{property} {severity}：{value}", en="raised {rule} {device}/{property} {severity}: {value}"
)
CLEARED: Final = Text(zh="恢复 {rule} {device}/{property}", en="cleared {rule} {device}/{property}")


def now_ms() -> int:
    return clock.now_ns() // 1_000_000


class Service:
    """Everything but the sockets."""

    def __init__(
        self, host: Host, config: PlatformConfig, store: Store, audit: Log[Any], ingest: Log[Any], alarms: Log[Any]
    ) -> None:
        self.host, self.config, self.store = host, config, store
        self.audit, self._alarm_log = audit, alarms
        self.began = now_ms()
        self.registry = Registry(config.limits.devices)
        self.accounts: Accounts[Role] = Accounts(host.random, now_ms)
        self.calls = Calls(now_ms)
        self.trace = Trace(config.limits.trace)
        self.desk = AlarmDesk(host, store, now_ms, self._alarm_changed)
        self.hub = Hub(store, self.registry, self.desk, self.calls, self.trace, now_ms, ingest)
        self.catalogue = Catalogue(store, self.registry, self.accounts, self.desk, self.log)
        self.hub.newcomer = self.catalogue.newcomer
        self.link: BrokerConnection | None = None
        self.apply(config)

    def apply(self, config: PlatformConfig) -> None:
        """Take on all of a configuration that needs no socket."""
        self.config = config
        self.registry.limit = config.limits.devices
        self.hub.limits = config.limits
        self.trace.resize(config.limits.trace)
        self.catalogue.declare(config)

    def log(self, line: str) -> None:
        """One line of the audit log."""
        self.audit.add(f"{clock.now().isoformat(timespec='milliseconds')} {line}")

    def restore(self, backup: bytes) -> None:
        """Go on with the data of a backup; raises Refused."""
        self.hub.flush()
        self.store.restore(backup)
        self.desk.recall()
        self.hub.recall()
        self.catalogue.declare(self.config)

    def delete_device(self, device: str) -> None:
        """And everything it has said; raises Refused."""
        self.catalogue.delete("device", device)
        self.hub.forget(device)
        self.store.forget_device(device)

    def _alarm_changed(self, change: Change, alarm: Alarm) -> None:
        self.hub.flush_soon()
        facts = {"rule": alarm.rule, "device": alarm.device, "property": alarm.property}
        if change is Change.RAISED:
            line = RAISED.say(**facts, severity=alarm.severity, value=alarm.raised_value or "-")
        else:
            line = CLEARED.say(**facts)
        self._alarm_log.add(f"{clock.now().isoformat(timespec='milliseconds')} {line}")
