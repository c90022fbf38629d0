"""`rfid-reader`: a fixed UHF reader with four antennas and a trigger input (device library L10).

It is reached by Modbus TCP (unit 255), OPC UA (OPC 30010) and LLRP. What is in front of its antennas is `site` and
`pallets`, which are the plant's business and not the reader's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field, model_validator

from devices.modbus_server import ModbusServer
from devices.opcua.config import OpcUaServing, Policy
from devices.rfid.air import AirInterface
from devices.rfid.llrp_face import LlrpFace
from devices.rfid.modbus_face import UNIT, ModbusFace
from devices.rfid.population import Pallet, TagPopulation
from devices.rfid.radio import Radio
from devices.rfid.reader import Reader
from devices.rfid.settings import ReaderSettings
from devices.rfid.site import UNKNOWN_ZONE, PalletConfig, SiteConfig, TagConfig
from devices.rfid.tags import Tag
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text
from lab.wire import llrp, modbus

if TYPE_CHECKING:
    from devices.rfid.opcua_face import OpcUaFace

BAD_TAGS: Final = Text(
    zh="{value!r} 不是标签：应为每组四位的十六进制 EPC，多个用空格隔开",
    en="{value!r} is no tag: EPCs in hexadecimal are wanted, in words of four digits, with spaces between them",
)
ONE_PORT: Final = Text(zh="两个协议不能用同一端口 {port}", en="two protocols cannot share port {port}")
UNKNOWN_PALLET: Final = Text(zh="没有名为 {pallet} 的托盘", en="there is no pallet {pallet}")
_HELD_MOST: Final = 200
"""Tags that can be held into a zone at once."""


class ModbusFaceConfig(Strict):
    enabled: bool = Field(default=True, description="是否启用。Whether it is there.")
    port: int = Field(default=modbus.PORT, ge=1, le=65535, description="端口。Port.")
    hold_ms: int = Field(
        default=200,
        ge=0,
        le=10_000,
        description="每个标签在 0x4000 至少保持多久。Milliseconds for which each identifier stays at 0x4000.",
    )
    max_connections: int = Field(default=4, ge=1, le=64, description="最多连接数。Connections at most.")


class LlrpFaceConfig(Strict):
    enabled: bool = Field(default=True, description="是否启用。Whether it is there.")
    port: int = Field(default=llrp.PORT, ge=1, le=65535, description="端口。Port.")


class OpcUaFaceConfig(OpcUaServing):
    enabled: bool = Field(default=True, description="是否启用。Whether it is there.")
    policies: list[Policy] = Field(default=["None"], min_length=1, description="安全策略。Security policies.")


class RfidReaderConfig(HostConfig):
    reader: ReaderSettings = Field(default_factory=ReaderSettings, description="读写参数。How it reads.")
    modbus: ModbusFaceConfig = Field(default_factory=ModbusFaceConfig, description="Modbus TCP，单元 255。Unit 255.")
    llrp: LlrpFaceConfig = Field(default_factory=LlrpFaceConfig, description="LLRP 1.0.1。")
    opcua: OpcUaFaceConfig = Field(default_factory=OpcUaFaceConfig, description="OPC UA AutoID（OPC 30010）。")
    site: SiteConfig = Field(default_factory=SiteConfig, description="现场。What stands where.")
    pallets: tuple[PalletConfig, ...] = Field(
        default=(), max_length=200, description="将要到来的托盘。The pallets that will come."
    )

    @model_validator(mode="after")
    def _pallets_come_through_doors(self) -> RfidReaderConfig:
        zones = [zone.name for zone in self.site.zones]
        for pallet in self.pallets:
            if pallet.zone not in zones:
                raise KnownValueError(UNKNOWN_ZONE, zone=pallet.zone, wrong=pallet.zone, known=zones)
        return self

    @model_validator(mode="after")
    def _each_face_has_a_port_of_its_own(self) -> RfidReaderConfig:
        ports = [face.port for face in (self.modbus, self.llrp, self.opcua) if face.enabled]
        for port in ports:
            if ports.count(port) > 1:
                raise KnownValueError(ONE_PORT, port=port)
        return self


class RfidReader(Appliance[RfidReaderConfig]):
    kind: ClassVar[str] = "rfid-reader"
    title: ClassVar[Text] = Text(zh="RFID 读写器", en="RFID reader")
    Config = RfidReaderConfig

    def __init__(self, host: Host, config: RfidReaderConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.logs["security"] = Log()
        self._loop = host.network.loop
        self._epoch = self._loop.time()
        self._seed = host.random.getrandbits(64)
        self._context = copy_context()
        """In which the reader acts, whoever sets it in motion: on its host, by the plant's clock."""
        self._told: dict[str, Value] = {}
        self._forced_curtain: bool | None = None
        self._sent: dict[str, Pallet] = {}
        """Pallets that were sent through a zone out of turn."""
        self._moment: asyncio.TimerHandle | None = None
        self._modbus: tuple[ModbusFace, ModbusServer] | None = None
        self._llrp: LlrpFace | None = None
        self._opcua: OpcUaFace | None = None
        self._set_up_site()

    def _set_up_site(self) -> None:
        """The goods come and go whatever happens to the reader."""
        config = self.config
        # Streams of their own: what is on the pallets does not depend on how often they are read.
        self._sent.clear()
        self.population = TagPopulation(config.site, Random(self._seed))
        air = AirInterface(config.site, Random(self._seed + 1))
        for pallet in config.pallets:
            self.population.arrive(pallet, pallet.arrives)
        self.radio = Radio(air, self.population, self.now)
        self.reader = Reader(self.radio, config.reader)

    def now(self) -> float:
        """Seconds since the plant was set up, the clock by which pallets come."""
        return self._loop.time() - self._epoch

    async def start(self) -> None:
        self._context = copy_context()
        config = self.config
        if config.modbus.enabled:
            face = ModbusFace(self.reader, config.modbus.hold_ms / 1000)
            server = ModbusServer({UNIT: face.unit}, max_connections=config.modbus.max_connections)
            await server.start(port=config.modbus.port)
            self._modbus = face, server
        self.reader.configure(config.reader)
        self.reader.power_on()
        if config.llrp.enabled:
            self._llrp = LlrpFace(self.reader, config.site, self.host.nic("eth0").mac)
            await self._llrp.start(config.llrp.port)
        if config.opcua.enabled:
            await self._serve_opcua()
        self._look()

    async def _serve_opcua(self) -> None:
        # asyncua takes a second to import, which programs that only look at the list of devices need not wait for.
        from devices.rfid.opcua_face import OpcUaFace

        face = OpcUaFace(self.reader, self.host.name, Random(self._seed + 2), self.config.opcua, self.logs["security"])
        await face.serve()
        self._opcua = face

    async def stop(self) -> None:
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None
        self.reader.power_off()
        if self._opcua is not None:
            opcua, self._opcua = self._opcua, None
            await opcua.stop()
        if self._llrp is not None:
            face, self._llrp = self._llrp, None
            await face.stop()
        if self._modbus is not None:
            (registers, server), self._modbus = self._modbus, None
            registers.close()
            await server.stop()

    async def apply(self, config: RfidReaderConfig) -> None:
        """Settings of the reader are taken on at once; other ports or another site take a restart."""
        before, self.config = self.config, config
        apart = {"reader": ReaderSettings()}
        if before.model_copy(update=apart) == config.model_copy(update=apart):
            self.reader.configure(config.reader)
            return
        await self.stop()
        if (before.site, before.pallets) != (config.site, config.pallets):
            self._set_up_site()
        await self.start()

    def points(self) -> Mapping[str, Value]:
        """What is in the zones, whatever the reader makes of it; `tag…` is what somebody holds into them."""
        population, now = self.population, self.now()
        points: dict[str, Value] = {"light_curtain": self._curtain()}
        for zone in self.config.site.zones:
            points[f"pallet.{zone.name}"] = population.pallet_in(zone.name, now)
            points[f"field.{zone.name}"] = _hexadecimal(tag.epc for tag in population.within(zone.name, now))
            points[f"tag.{zone.name}"] = _hexadecimal(tag.epc for tag in population.held(zone.name))
        points["tag"] = points[f"tag.{self.config.site.zones[0].name}"]
        return points

    def force(self, point: str, value: Value | None) -> None:
        """Hold tags into a zone, send a pallet through one, or hold the light curtain.

        `tag.dock-3` takes EPCs with spaces between them, and `tag` is that of the first zone; `pallet.dock-3` takes the
        name of a pallet of the configuration, which sets out now, whenever it had been due.
        """
        self._context.run(self._force, point, value)

    def _force(self, point: str, value: Value | None) -> None:
        if point == "light_curtain":
            self._forced_curtain = None if value is None else bool(value)
        else:
            what, _, zone = point.partition(".")
            if what == "tag":
                zone = zone or self.config.site.zones[0].name
                self.population.hold(zone, self._tags("" if value is None else str(value)))
            elif what == "pallet":
                self._send(self.config.site.zone(zone).name, value)
            else:
                raise KeyError(point)
            self.radio.disturbed()
        self._look()

    def _send(self, zone: str, name: Value | None) -> None:
        """Let a pallet set out for a zone, instead of the one that was sent there before."""
        pallets = {pallet.name: pallet for pallet in self.config.pallets}
        if name is not None and name not in pallets:
            raise KnownValueError(UNKNOWN_PALLET, pallet=name, wrong=str(name), known=pallets)
        if zone in self._sent:
            self.population.leave((self._sent.pop(zone),))
        if name is not None:
            pallet = pallets[str(name)].model_copy(update={"zone": zone})
            self._sent[zone] = self.population.arrive(pallet, self.now())

    def _tags(self, value: str) -> list[Tag]:
        epcs = value.split()
        try:
            return [self.population.make(TagConfig(epc=epc, material="plastic")) for epc in epcs[:_HELD_MOST]]
        except ValueError:
            raise KnownValueError(BAD_TAGS, value=value) from None

    def _curtain(self) -> bool:
        if self._forced_curtain is not None:
            return self._forced_curtain
        return self.population.breaks_the_curtain(self.now())

    def _look(self) -> None:
        """Tell the truth where it has changed, give the trigger input its level, and come back at the next change."""
        was_broken = self._told.get("light_curtain", False)
        for point, value in self.points().items():
            if self._told.get(point) != value:
                self._told[point] = value
                self.record(point, value)
        is_broken = bool(self._told["light_curtain"])
        if is_broken != was_broken:
            self.reader.curtain(is_broken)
        if self._moment is not None:
            self._moment.cancel()
        change = self.population.next_change(self.now())
        wait = None if change is None else change - self.now()
        self._moment = None if wait is None else self._loop.call_later(wait, self._look)

    def status(self) -> Mapping[str, object]:
        reader, counters = self.reader, self.reader.counters
        settings = reader.settings
        return {
            "status": reader.status.name.lower(),
            "power": f"{settings.power:.1f} dBm",
            "antennas": " ".join(str(number) for number in settings.antennas),
            "trigger": settings.trigger,
            "outcome": reader.outcome.name,
            "identifiers": counters.identifiers,
            "last dwell": f"{counters.last} ({counters.rate:.0f}/s)",
            "mistakes": reader.mistakes,
            "opcua sessions": self._opcua.sessions if self._opcua is not None else 0,
            "llrp client": self._llrp is not None and self._llrp.has_client,
        }


def _hexadecimal(epcs: Iterable[bytes]) -> str:
    return " ".join(sorted(epc.hex().upper() for epc in epcs))
