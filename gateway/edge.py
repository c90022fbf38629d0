"""The configurable gateway: devices in the south, brokers in the north."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.changes import changes
from gateway.commands import AuditEntry, Commands
from gateway.config import DeviceConfig, GatewayConfig, NorthConfig
from gateway.formats.format import Names
from gateway.http.config import HttpDestination
from gateway.http.destination import HttpPush
from gateway.identification.config import RfidDevice, ScannerDevice
from gateway.identification.epcis import object_event
from gateway.log import GatewayLog
from gateway.maintenance import BUSY, Maintenance, MaintenanceConfig, Refused
from gateway.mqtt.destination import BrokerDestination
from gateway.north import Destination, Here
from gateway.samples import Reason, Report, Value
from gateway.serial_ports import SERIAL_PORTS, TERMINALS, SerialPorts, interfaces
from gateway.south import Device
from gateway.tasks import cancel, supervised
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth
from lab.network.firmware import flaw_of
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network

CHANGED = Text(zh="配置已应用，{count} 处变化", en="the configuration is applied, with {count} changes")
UNCHANGED = Text(zh="配置已应用，没有变化", en="the configuration is applied, and nothing has changed")
MODEL: Final = "Lab EG-200"
FACTORY: Final = "V3.1.0"
BOOT_SECONDS: Final = 12.0
"""For which it does nothing when it restarts with other firmware."""

RESTORED = Text(zh="配置已从备份恢复", en="the configuration is restored from a backup")
RESTARTED = Text(zh="驱动重新启动", en="the driver is restarted")
INSTALLED = Text(zh="固件由 {old} 升级为 {new}，重新启动", en="firmware {new} replaces {old}; restarting")
REFUSED = Text(zh="固件未安装：{why}", en="the firmware is not installed: {why}")
STARTED = Text(zh="已启动，固件 {version}", en="started, with firmware {version}")


class GatewayAppliance(Appliance[GatewayConfig]):
    """Reads devices on schedule and publishes what they say."""

    kind = "gw-edge"
    title = Text(zh="智能工业网关", en="Industrial gateway")
    Config: ClassVar[type[GatewayConfig]] = GatewayConfig
    terminals: ClassVar[tuple[str, ...]] = TERMINALS

    _south: Mapping[str, Device] = {}
    _north: Mapping[str, Destination] = {}

    def __init__(self, host: Host, config: GatewayConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        said, audit = Log[str](), Log[str]()
        self.logs |= {"gateway": said, "audit": audit}
        self._log = GatewayLog(said)
        self._commands = Commands(audit)
        self._serial = SerialPorts(host)
        self._saved: GatewayConfig | None = None
        self._latest_changes: Sequence[str] = ()
        self._firmware: str | None = None
        self._refused: Reason | None = None
        self._boot: asyncio.Task[None] | None = None
        self._maintenance: Maintenance | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = super().hardware(network, name)
        for number in SERIAL_PORTS:
            network.serial.add_port(Port(name, number), *interfaces(number), is_master=True, bias=True)
        return host

    @property
    def boots_with(self) -> HostConfig:
        return self._saved if self._saved is not None else self.Config()

    async def start(self) -> None:
        if self._firmware is None:
            self._firmware = self.config.firmware or FACTORY
        await self._begin(self.config)
        self._log.say("info", "", STARTED, version=self._firmware)

    async def stop(self) -> None:
        await cancel([self._boot])
        self._boot = None
        await self._end()
        await asyncio.gather(*self._closing)

    async def apply(self, config: GatewayConfig) -> None:
        """Take on a configuration; what did not change keeps its connection and its counters."""
        if self._boot is not None:
            self.config = config
            return
        self._latest_changes = changes(self.config, config)
        await self._begin(config)
        self._log.say("info", "", CHANGED if self._latest_changes else UNCHANGED, count=len(self._latest_changes))
        for line in self._latest_changes:
            self._log.say("info", "", line)
        self._install(config)

    def save(self) -> None:
        """Write the running configuration to flash."""
        self._saved = self.config

    def backup(self) -> Mapping[str, Any]:
        """The saved configuration as a document."""
        return self.boots_with.model_dump(mode="json", by_alias=True, exclude_unset=True)

    async def restore(self, configuration: Any) -> None:
        """Run and save this configuration; raises ValidationError, and Refused while the gateway restarts."""
        if self._boot is not None:
            raise Refused(BUSY.say())
        config = GatewayConfig.model_validate(configuration).model_copy(update={"saved": True})
        self.host.configure(config)
        self._log.say("info", "", RESTORED)
        await self.apply(config)

    async def restart_device(self, name: str) -> None:
        """Begin anew with a device, whatever its driver hangs on; raises KeyError."""
        device = self._south[name]
        self._log.say("info", name, RESTARTED)
        await device.stop()
        self._south = {**self._south, name: self._device(device.config)}

    async def write(self, device: str, tag: str, value: Value, who: str = "") -> AuditEntry:
        """Carry out a command in engineering units, and say what became of it."""
        return await self._commands.write(self._south, device, tag, value, who)

    def status(self) -> Mapping[str, object]:
        shown: dict[str, object] = {
            "model": MODEL,
            "firmware": self._firmware,
            "saved": self._saved == self.config,
        }
        if self._boot is not None:
            return {**shown, "state": "booting", "south": {}, "north": {}}
        if self._refused is not None:
            shown["firmware refused"] = str(self._refused)
        if serial := self._serial.status():
            shown["serial"] = serial
        return {
            **shown,
            "changes": list(self._latest_changes),
            "south": {name: device.status() for name, device in self._south.items()},
            "north": {name: destination.status() for name, destination in self._north.items()},
            "audit": [entry.status() for entry in self._commands.audit],
        }

    def _name(self) -> str:
        return self.config.gateway or self.host.name

    async def _begin(self, config: GatewayConfig) -> None:
        before, self.config = self.config, config
        if config.saved:
            self._saved = config
        self._log.config = config.log
        await self._apply_north(config)
        await self._apply_south(config, other_lines=before.serial != config.serial)
        await self._open_maintenance(config.maintenance)

    async def _end(self) -> None:
        await asyncio.gather(*(device.stop() for device in self._south.values()))
        await asyncio.gather(*(destination.stop() for destination in self._north.values()))
        self._south, self._north = {}, {}
        await self._open_maintenance(None)

    async def _open_maintenance(self, config: MaintenanceConfig | None) -> None:
        """As the configuration says; whoever asked for that through this very port is still answered."""
        before = self._maintenance
        if before is not None and config is not None and before.config.port == config.port:
            before.config = config
            return
        self._maintenance = None
        if config is not None:
            self._maintenance = Maintenance(config, MODEL, self)
            await self._maintenance.start()
        if before is not None:
            closing = asyncio.create_task(before.stop())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _install(self, config: GatewayConfig) -> None:
        """Take other firmware where that is asked for and fits; then restart, which forgets what was not saved."""
        version, self._refused = config.firmware, None
        if version is None or version == self._firmware:
            return
        flaw = flaw_of(version, config.images, self.kind)
        if flaw is not None:
            self._refused = Reason(flaw.what, flaw.facts)
            self._log.say("error", "", REFUSED, why=self._refused)
            return
        self._log.say("info", "", INSTALLED, old=self._firmware, new=version)
        self._firmware = version
        self._boot = supervised(self._restart())

    async def _restart(self) -> None:
        await self._end()
        await asyncio.sleep(BOOT_SECONDS)
        config = self.boots_with
        assert isinstance(config, GatewayConfig)
        self.host.configure(config)
        self._boot = None
        await self._begin(config)
        self._log.say("info", "", STARTED, version=self._firmware)

    async def _apply_north(self, config: GatewayConfig) -> None:
        names = Names(config.site, self._name())
        kept = {
            wanted.name: self._north[wanted.name]
            for wanted in config.north
            if wanted.name in self._north and self._north[wanted.name].made_from == (wanted, names)
        }
        gone = [destination for name, destination in self._north.items() if name not in kept]
        self._north = kept
        await asyncio.gather(*(destination.stop() for destination in gone))
        north: dict[str, Destination] = {}
        for wanted in config.north:
            destination = kept.get(wanted.name)
            if destination is None:
                destination = _destination(wanted, self._here(names, wanted.name))
                destination.start()
            north[wanted.name] = destination
        self._north = north

    async def _apply_south(self, config: GatewayConfig, *, other_lines: bool) -> None:
        old = dict(self._south)
        south: dict[str, Device] = {}
        for wanted in config.south:
            device = old.get(wanted.name)
            if wanted.driver == "modbus-rtu" and other_lines:
                continue
            if device is not None and await device.apply(wanted):
                south[wanted.name] = old.pop(wanted.name)
        await asyncio.gather(*(device.stop() for device in old.values()))
        self._serial.configure(config.serial)
        for wanted in config.south:
            if wanted.name not in south:
                south[wanted.name] = self._device(wanted)
        self._south = {wanted.name: south[wanted.name] for wanted in config.south}

    def _device(self, config: DeviceConfig) -> Device:
        """At work."""
        device = Device(config, self._name(), self.host.random, self._publish, self._log, self._serial)
        device.start()
        return device

    def _here(self, names: Names, destination: str) -> Here:
        async def obey(device: str, tag: str, value: Value) -> Reason | None:
            return (await self.write(device, tag, value, who=destination)).reason

        return Here(names, self.host.disk, self.host.random, obey, self._counters)

    def _counters(self) -> Mapping[str, object]:
        """What the gateway tells about itself over MQTT: the counters of its status, without values."""
        south = {name: _numbers(device.status()) for name, device in self._south.items()}
        north = {name: _numbers(destination.status()) for name, destination in self._north.items()}
        return {"south": south, "north": north}

    def _publish(self, report: Report) -> None:
        if report.event is None:
            for destination in self._north.values():
                destination.publish(report)
            return
        config = self._south[report.device].config
        assert isinstance(config, RfidDevice | ScannerDevice)
        payload = object_event(report.event, config.business, f"{self.config.site}/{report.device}")
        for destination in self._north.values():
            destination.publish_event(report.device, payload)


def _destination(config: NorthConfig, here: Here) -> Destination:
    return HttpPush(config, here) if isinstance(config, HttpDestination) else BrokerDestination(config, here)


def _numbers(status: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in status.items() if isinstance(value, (bool, int, float))}
