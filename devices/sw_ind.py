"""`sw-ind`: managed industrial switches (device library L12), in three sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, model_validator

from devices.snmp.agent import Agent
from devices.snmp.config import SnmpConfig
from devices.snmp.switch_view import SwitchView
from lab.model.address import format_mac, parse_mac
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance, RecordTruth
from lab.network.bridge.bridge import CPU, Bridge
from lab.network.bridge.bridge_port import StormControl
from lab.network.bridge.negotiation import Duplex, PortSettings, set_port
from lab.network.bridge.ports import ALL_VLANS, Mirror, PortVlans, access, trunk
from lab.network.bridge.ring import RingSettings
from lab.network.bridge.rstp import RstpPort
from lab.network.fabric import Jack, Network
from lab.network.firmware import FirmwareImage, flaw_of
from lab.network.host import Host
from lab.text import Text

MANAGEMENT: Final = "mgmt"
NO_SUCH_PORT: Final = Text(zh="没有端口 {name!r}", en="there is no port {name!r}")
MIRROR_TO_ITSELF: Final = Text(zh="端口 {name} 不能镜像到自己", en="{name} cannot be mirrored to itself")
NOT_IN_THIS_MODE: Final = Text(zh="{mode} 端口没有 {key}", en="a port in mode {mode} has no {key}")
NEGOTIATES: Final = Text(
    zh="自动协商的端口不能指定 {key}；请先写 autoneg: false",
    en="a port that negotiates has no {key}; say autoneg: false",
)
TWO_RING_PORTS: Final = Text(zh="环网需要两个不同的端口", en="a ring needs two different ports")
MIRROR_IN_THE_RING: Final = Text(
    zh="环网端口 {name} 不能作镜像目的口", en="{name} is a ring port and cannot be mirrored to"
)
MODEL: Final = "Lab SWI-100"
FACTORY_FIRMWARE: Final = "V2.0.0"
BOOT_SECONDS: Final = 8.0
"""For which its ports are dark when it restarts with other firmware."""

Vid = Annotated[StrictInt, Field(ge=1, le=4094)]


def _vids(value: object) -> object:
    return ALL_VLANS if value == "all" else value


Vids = Annotated[frozenset[Vid], BeforeValidator(_vids)]
"""VLAN ids, or `all`."""
_BELONGS: Final = {
    "access": {"vlan"},
    "trunk": {"allowed", "native"},
    "hybrid": {"pvid", "tagged", "untagged"},
}


class PortConfig(Strict):
    """One port: `{mode: access, vlan: 10}`, `{mode: trunk, allowed: [10, 20], native: 1}`, or hybrid with its PVID."""

    mode: Literal["access", "trunk", "hybrid"] = "access"
    vlan: Vid = 1
    allowed: Vids = ALL_VLANS
    native: Vid | None = None
    pvid: Vid = 1
    tagged: Vids = frozenset()
    untagged: Vids = frozenset({1})
    enabled: bool = True
    edge: bool = False
    """Nothing but end stations here: forward at once (RSTP's admin edge)."""
    rstp: bool = True
    cost: StrictInt = Field(default=200_000, ge=1, le=200_000_000)
    priority: StrictInt = Field(default=128, ge=0, le=240, multiple_of=16)
    storm_limit: StrictInt | None = Field(default=None, ge=1)
    """Broadcasts a second that are let in."""
    autoneg: bool = True
    speed: Literal[10, 100] = 100
    """Mbit/s"""
    duplex: Literal["full", "half"] = "full"
    description: str = ""

    @model_validator(mode="after")
    def _fits_the_mode(self) -> PortConfig:
        for key in ("speed", "duplex"):
            if self.autoneg and key in self.model_fields_set:
                raise KnownValueError(NEGOTIATES, key=key)
        foreign = {key for mode, keys in _BELONGS.items() if mode != self.mode for key in keys} & self.model_fields_set
        if foreign:
            raise KnownValueError(
                NOT_IN_THIS_MODE,
                mode=self.mode,
                key=min(foreign),
                wrong=min(foreign),
                known=sorted(_BELONGS[self.mode]),
            )
        return self

    @property
    def medium(self) -> PortSettings:
        return PortSettings(self.autoneg, self.speed, Duplex(self.duplex))

    @property
    def vlans(self) -> PortVlans:
        if self.mode == "access":
            return access(self.vlan)
        if self.mode == "trunk":
            return trunk(self.allowed, self.native)
        return PortVlans(self.pvid, self.tagged - self.untagged, self.untagged)


def _named(count: int) -> tuple[str, ...]:
    return tuple(f"p{number}" for number in range(1, count + 1))


class RstpConfig(Strict):
    enabled: bool = True
    priority: StrictInt = Field(default=32768, ge=0, le=61440, multiple_of=4096)


class MrpConfig(Strict):
    """A part in a ring by two ports: `{role: manager, ports: [p7, p8]}`; exactly one switch of a ring is manager."""

    role: Literal["manager", "client"]
    ports: tuple[str, str]
    """Primary and secondary; the manager keeps its secondary one closed while the ring is whole."""
    recovery: Literal[200, 500] = 200
    """Milliseconds, the same in the whole ring."""
    priority: StrictInt = Field(default=0x8000, ge=0, le=0xFFFF)

    @property
    def settings(self) -> RingSettings:
        return RingSettings(self.role, *self.ports, self.recovery, self.priority)


class MirrorConfig(Strict):
    """Copies to `to` what `from` hears and says."""

    to: str
    sources: frozenset[str] = Field(alias="from", min_length=1)
    direction: Literal["both", "rx", "tx"] = "both"


class StaticMac(Strict):
    vlan: Vid = 1
    mac: Annotated[str, AfterValidator(lambda text: format_mac(parse_mac(text)))]
    port: str


class SwIndConfig(HostConfig):
    """The management address is that of `interfaces: {mgmt: …}`; a port that is not named is in VLAN 1, and on."""

    known: ClassVar[tuple[str, ...]] = _named(8)
    """The ports of this size."""
    management_vlan: Vid = 1
    vlans: dict[Vid, str] = Field(default_factory=dict)
    """Names, for people."""
    ports: dict[str, PortConfig] = Field(default_factory=dict)
    rstp: RstpConfig = RstpConfig()
    mrp: MrpConfig | None = None
    lldp: bool = True
    snmp: SnmpConfig = SnmpConfig()
    mirror: MirrorConfig | None = None
    static_macs: list[StaticMac] = Field(default_factory=list)
    mac_ageing: float = Field(default=300.0, ge=10, le=1_000_000)
    """Seconds"""
    firmware: str | None = None
    """The version to run, of those in `images`; another one than before restarts the switch."""
    images: dict[str, FirmwareImage] = Field(default_factory=dict)
    """By version."""
    saved: bool = True
    """Whether this configuration is written to flash too; after a power cut the switch has what was saved last."""

    @model_validator(mode="after")
    def _ports_are_there(self) -> SwIndConfig:
        mirror = self.mirror
        named = [*self.ports, *(each.port for each in self.static_macs)]
        named += [mirror.to, *sorted(mirror.sources)] if mirror is not None else []
        named += self.mrp.ports if self.mrp is not None else ()
        for name in named:
            if name not in self.known:
                raise KnownValueError(NO_SUCH_PORT, name=name, wrong=name, known=self.known)
        if mirror is not None and mirror.to in mirror.sources:
            raise KnownValueError(MIRROR_TO_ITSELF, name=mirror.to)
        if self.mrp is not None:
            if self.mrp.ports[0] == self.mrp.ports[1]:
                raise KnownValueError(TWO_RING_PORTS)
            if mirror is not None and mirror.to in self.mrp.ports:
                raise KnownValueError(MIRROR_IN_THE_RING, name=mirror.to)
        return self


class SwInd(Appliance[Any]):
    """A bridge with a management interface behind it."""

    kind: ClassVar[str] = "sw-ind-8"
    title: ClassVar[Text] = Text(zh="8 口网管型工业交换机", en="Managed industrial switch, 8 ports")
    Config: ClassVar[type[HostConfig]] = SwIndConfig
    ports: ClassVar[tuple[str, ...]] = SwIndConfig.known
    interfaces: ClassVar[tuple[str, ...] | None] = (MANAGEMENT,)

    def __init__(self, host: Host, config: SwIndConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.bridge = host.network.bridges[host.name]
        self._saved: SwIndConfig | None = None
        self._protocol: object = None
        """The settings of RSTP that hold."""
        self._agent: Agent | None = None
        self._ring: RingSettings | None = None
        """Those of MRP."""
        self.firmware: str | None = None
        """What is installed."""
        self.refused: str | None = None
        """Why the firmware that was asked for is not."""
        self._boot = host.alarm(self._booted)

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = network.add_host(name, (), (MANAGEMENT,))
        bridge = network.bridges[name] = Bridge(network, name, cls.ports)
        management = host.nic(MANAGEMENT).jack
        assert isinstance(management, Jack)
        network.link_inside(management, bridge.cpu)
        return host

    @property
    def boots_with(self) -> HostConfig:
        return self._saved if self._saved is not None else self.Config()

    async def start(self) -> None:
        if self.firmware is None:
            self.firmware = self.config.firmware or FACTORY_FIRMWARE
        self.bridge.switch_on()
        self._set_up()

    async def stop(self) -> None:
        self._run_agent(None)
        self._boot.dispose()
        self.bridge.switch_off()

    async def apply(self, config: SwIndConfig) -> None:
        self.config = config
        if not self._boot.is_running:
            self._set_up()
            self._install(config)

    def save(self) -> None:
        """Write the running configuration to flash."""
        self._saved = self.config

    def _install(self, config: SwIndConfig) -> None:
        """Take other firmware where that is asked for and fits; then restart, which forgets what was not saved."""
        version, self.refused = config.firmware, None
        if version is None or version == self.firmware:
            return
        flaw = flaw_of(version, config.images, self.kind)
        if flaw is not None:
            self.refused = str(flaw)
        else:
            self.firmware = version
            self.config = self.boots_with
            self.bridge.switch_off()
            for name in self.ports:
                self.host.network.enable(self.bridge.ports[name].jack.port, False)
            self._boot.start(BOOT_SECONDS)

    def _booted(self) -> None:
        self.host.configure(self.config)
        self.bridge.switch_on()
        self._set_up()

    def status(self) -> Mapping[str, object]:
        shown: dict[str, object] = {
            "model": f"{MODEL}-{len(self.ports)}",
            "firmware": self.firmware,
            "saved": self._saved == self.config,
        }
        if self._boot.is_running:
            return {**shown, "state": "booting"}
        if self.refused is not None:
            shown["firmware refused"] = self.refused
        if self.bridge.ring is not None:
            whole = self.bridge.ring.state
            shown["ring"] = self.bridge.ring.settings.role + ("" if whole is None else f" {whole.name.lower()}")
        if self.bridge.rstp is not None:
            root = self.bridge.rstp.root
            shown["root"] = "here" if root.bridge == self.bridge.rstp.bridge else format_mac(root.root.mac)
        for name, port in self.bridge.ports.items():
            if port.is_up and name != CPU:
                role, state = self.bridge.stp_of(name)
                counters = port.counters
                shown[name] = {
                    "link": "" if port.mode is None else f"{port.mode.speed} {port.mode.duplex.value}",
                    "vlan": port.vlans.pvid or "–",
                    "stp": f"{role.value}/{state.value}",
                    "in": counters.in_octets,
                    "out": counters.out_octets,
                    "discards": counters.in_discards + counters.out_discards,
                    "errors": counters.in_errors + counters.out_errors,
                }
        neighbours = [
            f"{each.port} {each.said.system_name} {each.said.port_name}" for each in self.bridge.lldp.neighbours()
        ]
        return {**shown, "neighbours": neighbours, "macs": [f"{v} {m} {p}" for v, m, p, _ in self.bridge.fdb()[:16]]}

    def _run_agent(self, config: SwIndConfig | None) -> None:
        agent = self._agent
        if agent is not None and (config is None or agent.config != config.snmp):
            agent.stop()
            self._agent = None
        if config is not None and self._agent is None and (config.snmp.v2c or config.snmp.v3):
            view = SwitchView(self.bridge, f"{MODEL}-{len(self.ports)}", config.vlans)
            self._agent = Agent(self.host, view, config.snmp)
            self._agent.start()

    def _set_up(self) -> None:
        config: SwIndConfig = self.config
        self._run_agent(config)
        if config.saved:
            self._saved = config
        bridge, network = self.bridge, self.host.network
        settings = {name: config.ports.get(name, PortConfig()) for name in self.ports}
        bridge.table.ageing = config.mac_ageing
        for name, setting in settings.items():
            port = bridge.ports[name]
            set_port(network, port.jack.port, setting.medium)
            network.enable(port.jack.port, setting.enabled)
            limit = setting.storm_limit
            if limit is None:
                port.storm = None
            elif port.storm is None or port.storm.limit != limit:
                port.storm = StormControl(limit, network.loop.time)
        vlans = {name: setting.vlans for name, setting in settings.items()}
        bridge.set_vlans(vlans | {CPU: access(config.management_vlan)})
        bridge.set_static({(each.vlan, parse_mac(each.mac)): each.port for each in config.static_macs})
        mirror = config.mirror
        bridge.set_mirror(
            None
            if mirror is None
            else Mirror(mirror.to, mirror.sources, mirror.direction != "tx", mirror.direction != "rx")
        )
        target = mirror.to if mirror is not None else None
        in_ring = frozenset[str]() if config.mrp is None else frozenset(config.mrp.ports)
        ring = None if config.mrp is None else config.mrp.settings
        if ring != self._ring or bridge.ring is None:
            self._ring = ring
            bridge.run_ring(ring)
        spanning = tuple((s.rstp, s.edge, s.cost, s.priority) for s in settings.values())
        wanted = (config.rstp, spanning, target, in_ring)
        if wanted != self._protocol or bridge.rstp is None:
            self._protocol = wanted
            taking_part = {
                name: RstpPort(bridge.ports[name].number, setting.cost, setting.priority, setting.edge)
                for name, setting in settings.items()
                if setting.rstp and name != target and name not in in_ring
            }
            bridge.run_rstp(config.rstp.priority if config.rstp.enabled else None, taking_part)
        if config.lldp:
            interface = config.interfaces.get(MANAGEMENT)
            address = interface.address.ip if interface is not None else None
            bridge.lldp.start(bridge.mac, self.host.name, f"{MODEL}-{len(self.ports)}", address)
        else:
            bridge.lldp.stop()


class SwInd12Config(SwIndConfig):
    known: ClassVar[tuple[str, ...]] = _named(12)


class SwInd12(SwInd):
    kind: ClassVar[str] = "sw-ind-12"
    title: ClassVar[Text] = Text(zh="12 口网管型工业交换机", en="Managed industrial switch, 12 ports")
    Config = SwInd12Config
    ports: ClassVar[tuple[str, ...]] = SwInd12Config.known


class SwInd16Config(SwIndConfig):
    known: ClassVar[tuple[str, ...]] = _named(16)


class SwInd16(SwInd):
    kind: ClassVar[str] = "sw-ind-16"
    title: ClassVar[Text] = Text(zh="16 口网管型工业交换机", en="Managed industrial switch, 16 ports")
    Config = SwInd16Config
    ports: ClassVar[tuple[str, ...]] = SwInd16Config.known
