"""`ap-ind`: industrial wireless LAN, as access point or as client that continues its Ethernet port over the air (L13).

Its supply is at `L+` and `M`, its management address that of interface `mgmt`, its radio `wlan0`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator

from devices.signals.learning import LearningBridge
from lab.model.document import KnownValueError
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.fabric import Jack
from lab.network.host import Host
from lab.network.propagation import CHANNELS
from lab.network.signals.power import feed
from lab.network.wireless import AccessPoint, Client, RadioSettings
from lab.network.wpa import Security
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network

MANAGEMENT: Final = "mgmt"
RADIO: Final = "wlan0"
_DRAWS: Final = 0.3
"""Amperes"""
NO_SUCH_CHANNEL: Final = Text(zh="没有信道 {channel}", en="there is no channel {channel}")
NEEDS_PASSPHRASE: Final = Text(
    zh="{security} 需要 8 至 63 个字符的密码", en="{security} needs a passphrase of 8 to 63 characters"
)
OPEN_HAS_NONE: Final = Text(
    zh="有密码的网络需要选择加密方式（security）", en="a network with a passphrase needs its security chosen"
)
SECURED: Final = ("wpa2", "wpa3", "wpa2-wpa3")


class ApIndConfig(HostConfig):
    mode: Literal["ap", "client"] = "ap"
    ssid: str = Field(default="plant", min_length=1, max_length=32)
    security: Security = "open"
    passphrase: str = Field(default="", max_length=63)
    channel: int = 36
    """Of an access point; a client finds its own."""
    power: float = Field(default=17.0, ge=0, le=27)
    """Transmit power in dBm."""
    antenna: bool = True
    """Whether its antenna is fitted."""
    position: tuple[float, float] = (0.0, 0.0)
    """Metres"""
    hysteresis: float = Field(default=8.0, ge=0, le=40)
    """dB by which another access point must be better before a client changes over."""

    @field_validator("channel")
    @classmethod
    def _exists(cls, channel: int) -> int:
        if channel not in CHANNELS:
            raise KnownValueError(NO_SUCH_CHANNEL, channel=channel, known=map(str, CHANNELS))
        return channel

    @model_validator(mode="after")
    def _has_a_key(self) -> ApIndConfig:
        if self.security != "open" and len(self.passphrase) < 8:
            raise KnownValueError(NEEDS_PASSPHRASE, security=self.security)
        if self.security == "open" and self.passphrase:
            raise KnownValueError(OPEN_HAS_NONE, known=SECURED)
        return self


class ApInd(Appliance[ApIndConfig]):
    """Moves where its points `x` and `y` are forced to."""

    kind: ClassVar[str] = "ap-ind"
    title: ClassVar[Text] = Text(zh="工业无线接入点/客户端", en="Industrial wireless access point or client")
    Config = ApIndConfig
    interfaces: ClassVar[tuple[str, ...] | None] = (MANAGEMENT,)
    forwards: ClassVar[bool] = True
    terminals: ClassVar[tuple[str, ...]] = ("L+", "M")

    def __init__(self, host: Host, config: ApIndConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        network = host.network
        wlan = Port(host.name, RADIO)
        self._bridge = LearningBridge(network.loop)
        self._ethernet = network.jack(Port(host.name, "eth0"))
        self._ethernet.link_changed = self._ethernet_changed
        self._inside = Jack(Port(host.name, "cpu"), lambda frame: None, lambda up: None)
        management = host.nic(MANAGEMENT).jack
        assert isinstance(management, Jack)
        network.link_inside(self._inside, management)
        self._access_point = network.radio.add_access_point(wlan)
        self._client = network.radio.add_client(wlan)
        self._forced: dict[str, float] = {}
        for station in (self._access_point, self._client):
            station.link_changed = self._air_changed

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = network.add_host(name, (), inside=(MANAGEMENT,))
        network.add_jack(Port(name, "eth0"), lambda frame: None)
        feed(network, name, amperes=_DRAWS)
        return host

    async def start(self) -> None:
        self._bridge.add(self._ethernet)
        self._bridge.add(self._inside)
        self._configure()

    async def stop(self) -> None:
        self._access_point.configure(None)
        self._client.configure(None)
        self._bridge.clear()

    async def apply(self, config: ApIndConfig) -> None:
        self.config = config
        self._configure()

    @property
    def position(self) -> tuple[float, float]:
        x, y = self.config.position
        return self._forced.get("x", x), self._forced.get("y", y)

    def _configure(self) -> None:
        config = self.config
        settings = RadioSettings(
            ssid=config.ssid,
            security=config.security,
            passphrase=config.passphrase,
            channel=config.channel,
            power=config.power,
            antenna=config.antenna,
            position=self.position,
            hysteresis=config.hysteresis,
        )
        is_ap = config.mode == "ap"
        # The one that falls silent first: a radio is one thing at a time.
        for station, is_it in sorted(
            ((self._access_point, is_ap), (self._client, not is_ap)), key=lambda entry: entry[1]
        ):
            station.configure(settings if is_it else None)

    def _air_changed(self, jack: Jack, up: bool) -> None:
        if up:
            self._bridge.add(jack)
        else:
            self._bridge.remove(jack)
        if self.config.mode == "client":
            self.record("associated", up)
            if up:
                self._bridge.announce(jack)

    def _ethernet_changed(self, up: bool) -> None:
        if not up:
            self._bridge.forget(self._ethernet)

    def points(self) -> Mapping[str, Value]:
        x, y = self.position
        return {"x": x, "y": y}

    def force(self, point: str, value: Value | None) -> None:
        if point not in ("x", "y"):
            raise KeyError(point)
        if value is None:
            self._forced.pop(point, None)
        else:
            self._forced[point] = float(value)
        self._station.move(self.position)

    @property
    def _station(self) -> AccessPoint | Client:
        return self._access_point if self.config.mode == "ap" else self._client

    def status(self) -> Mapping[str, object]:
        config = self.config
        shown: dict[str, object] = {"mode": config.mode, "ssid": config.ssid}
        if config.mode == "ap":
            radio, ap = self.host.network.radio, self._access_point
            shown["channel"] = config.channel
            shown["clients"] = ", ".join(
                f"{port.host} {radio.rssi(each.client, ap):.0f} dBm" for port, each in ap.associations.items()
            )
            return shown
        association, rssi = self._client.association, self._client.rssi
        shown["state"] = self._client.says()
        shown["rssi_dbm"] = None if rssi is None else round(rssi)
        if association is not None:
            shown["ap"] = association.ap.port.host
            shown["channel"] = association.ways[1].channel
            shown["rate_mbps"] = association.ways[1].quality.rate
        return shown
