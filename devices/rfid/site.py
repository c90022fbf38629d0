"""What stands where: docks, the antennas beside them, the light curtain, and the pallets that will come."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from devices.rfid.tags import MAX_WORDS
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

Point = tuple[float, float, float]
"""Metres: x along the wall of the docks, y through the doors (outside is positive), z up."""
Material = Literal["plastic", "carton", "liquid", "metal"]
Condition = Literal["good", "weak", "damaged", "dead"]

MATERIAL_LOSS: Final[dict[Material, float]] = {"plastic": 1.5, "carton": 2.5, "liquid": 9.0, "metal": 14.0}
"""dB between a label that hangs free and one on this."""

UNKNOWN_ZONE = Text(zh="没有名为 {zone} 的区域", en="there is no zone {zone}")
TWO_ANTENNAS = Text(zh="天线 {number} 出现了两次", en="antenna {number} is there twice")
TWO_ZONES = Text(zh="区域 {zone} 出现了两次", en="the zone {zone} is there twice")


class ZoneConfig(Strict):
    """A dock through whose door pallets come."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="区域名。Name of the zone, such as `dock-3`.")
    x: float = Field(ge=-100, le=100, description="门中心沿墙的位置（米）。Metres along the wall of its centre.")
    depth: float = Field(
        default=2.0,
        gt=0,
        le=10,
        description="门内外多远算在区域内（米）。Metres before and behind the door that count.",
    )


class AntennaConfig(Strict):
    """A patch antenna, circularly polarised."""

    number: int = Field(ge=1, le=4, description="读写器天线口。Port of the reader.")
    x: float = Field(ge=-100, le=100, description="沿墙的位置（米）。Metres along the wall.")
    y: float = Field(default=0.0, ge=-100, le=100, description="门外的位置（米）。Metres out of the door.")
    z: float = Field(default=1.2, ge=0, le=10, description="高度（米）。Metres above the floor.")
    facing: float = Field(
        ge=-360, le=360, description="朝向（度），0 沿 +x，90 朝门外。Degrees: 0 along +x, 90 out of the door."
    )
    gain: float = Field(default=8.5, ge=0, le=15, description="增益 dBi。Gain, dBi.")
    beam: float = Field(default=65.0, ge=20, le=180, description="半功率角（度）。Degrees between half-power points.")
    cable_loss: float = Field(default=1.0, ge=0, le=10, description="馈线损耗 dB。Loss of its cable, dB.")

    @property
    def place(self) -> Point:
        return (self.x, self.y, self.z)


class CurtainConfig(Strict):
    """A light curtain across a door, on the trigger input of the reader."""

    zone: str = Field(description="装在哪个门。The door it is in.")
    y: float = Field(default=0.8, ge=-5, le=5, description="光幕位置（米）。Metres before the door.")


def _two_docks() -> tuple[ZoneConfig, ...]:
    return (ZoneConfig(name="dock-3", x=0.0), ZoneConfig(name="dock-4", x=6.0))


def _two_portals() -> tuple[AntennaConfig, ...]:
    places = ((1, -1.6, 0.0), (2, 1.6, 180.0), (3, 4.4, 0.0), (4, 7.6, 180.0))
    return tuple(AntennaConfig(number=number, x=x, facing=facing) for number, x, facing in places)


class SiteConfig(Strict):
    """As delivered: two doors of three metres with three metres of wall between them, an antenna on each post."""

    zones: tuple[ZoneConfig, ...] = Field(
        default_factory=_two_docks, min_length=1, max_length=8, description="收发货门。The doors."
    )
    antennas: tuple[AntennaConfig, ...] = Field(
        default_factory=_two_portals, min_length=1, max_length=4, description="装好的天线。The antennas in place."
    )
    curtain: CurtainConfig | None = Field(
        default=CurtainConfig(zone="dock-3"),
        description="接在触发输入上的光幕。The light curtain on the trigger input.",
    )
    frequency: float = Field(default=922.375, ge=860, le=960, description="中心频率 MHz。Centre frequency, MHz.")

    @model_validator(mode="after")
    def _names_are_clear(self) -> SiteConfig:
        numbers = [antenna.number for antenna in self.antennas]
        for number in numbers:
            if numbers.count(number) > 1:
                raise KnownValueError(TWO_ANTENNAS, number=number)
        names = [zone.name for zone in self.zones]
        for name in names:
            if names.count(name) > 1:
                raise KnownValueError(TWO_ZONES, zone=name)
        if self.curtain is not None and self.curtain.zone not in names:
            raise KnownValueError(UNKNOWN_ZONE, zone=self.curtain.zone, wrong=self.curtain.zone, known=names)
        return self

    def zone(self, name: str) -> ZoneConfig:
        """Raises KeyError for a zone that is not here."""
        for zone in self.zones:
            if zone.name == name:
                return zone
        raise KeyError(name)


Epc = Annotated[str, Field(pattern=rf"^(?:[0-9A-Fa-f]{{4}}){{0,{MAX_WORDS}}}$")]
"""Hexadecimal, in words of four digits."""


class TagConfig(Strict):
    """A label. Its PC word is right unless it is given."""

    epc: Epc = Field(description="EPC 十六进制。EPC, hexadecimal.")
    pc: int | None = Field(default=None, ge=0, le=0xFFFF, description="PC 字，缺省为正确值。PC word, by default right.")
    material: Material = Field(default="carton", description="贴在什么上。What it sticks on.")
    condition: Condition = Field(default="good", description="标签状况。How well it is.")


class PalletConfig(Strict):
    """A pallet that comes in through a door from outside, may wait in it, and goes on into the hall."""

    name: str = Field(min_length=1, max_length=32, description="托盘名。Its name.")
    zone: str = Field(description="经过哪个门。The door it comes through.")
    arrives: float = Field(
        ge=0, le=1e7, description="仿真开始后多少秒到门外 5 米处。Seconds until it is five metres before the door."
    )
    speed: float = Field(default=1.0, gt=0, le=5, description="速度 m/s。Metres per second.")
    stays: float = Field(default=0.0, ge=0, le=1e7, description="在门口停多少秒。Seconds it waits in the door.")
    tags: tuple[TagConfig, ...] = Field(default=(), max_length=400, description="托盘上的标签。The labels on it.")


def distance(a: Point, b: Point) -> float:
    return math.dist(a, b)
