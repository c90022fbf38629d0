"""`sersrv`: a serial server with two ports (device library L14): Modbus gateway, or characters as they come."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field, StrictInt, model_validator

from devices.serial.gateway_connection import GatewayConnection, Route
from devices.serial.transparent_connection import TransparentPort
from lab.model.document import KnownValueError
from lab.model.frame import Port
from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance, RecordTruth
from lab.network.host import Host
from lab.network.serial.line import LineSettings
from lab.network.serial.master import RtuMaster
from lab.network.serial.port import Interface, Rs232, Rs485
from lab.text import Text
from lab.wire import modbus
from lab.wire.modbus.rtu import MAX_UNIT

if TYPE_CHECKING:
    from lab.network.fabric import Network

PORTS: Final = ("1", "2")
SHARED: Final = Text(zh="串口 1 和 2 不能共用 TCP 端口 {port}", en="serial ports 1 and 2 cannot share TCP port {port}")
SAME_UNIT: Final = Text(
    zh="TCP 端口 {port} 上单元 {unit} 通向两个串口", en="unit {unit} of TCP port {port} is routed to both serial ports"
)
Unit = Annotated[StrictInt, Field(ge=1, le=MAX_UNIT)]


class SerialPortConfig(Strict):
    """One serial port and what it is on the network."""

    mode: Literal["modbus", "transparent"] = "modbus"
    interface: Literal["rs485", "rs232"] = "rs485"
    line: LineSettings = LineSettings()
    termination: bool = False
    tcp_port: StrictInt = Field(default=modbus.PORT, ge=1, le=65535)
    units: frozenset[Unit] | None = None
    """In Modbus mode: those behind this port, all of them by default."""
    response_timeout: float = Field(default=1.0, gt=0, le=60)
    """Seconds to wait for a device; then the client gets exception 0x0B."""
    queue: StrictInt = Field(default=16, ge=1, le=256)
    """Requests that may wait; beyond, clients get exception 0x06."""
    max_clients: StrictInt = Field(default=8, ge=1, le=32)

    @property
    def served(self) -> frozenset[int]:
        return self.units if self.units is not None else frozenset(range(1, MAX_UNIT + 1))


class SersrvConfig(HostConfig):
    """`serial: {"1": {line: {baud: 9600}, units: [1, 2]}, "2": {mode: transparent, tcp_port: 4001}}`"""

    serial: dict[Literal["1", "2"], SerialPortConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_its_own(self) -> SersrvConfig:
        one, two = (self.serial.get(number) for number in ("1", "2"))
        if one is not None and two is not None and one.tcp_port == two.tcp_port:
            if "transparent" in (one.mode, two.mode):
                raise KnownValueError(SHARED, port=one.tcp_port)
            if both := one.served & two.served:
                raise KnownValueError(SAME_UNIT, port=one.tcp_port, unit=min(both))
        return self


class Sersrv(Appliance[SersrvConfig]):
    """Requests wait for the line: whoever polls faster than the bus can carry sees it in time-outs and exceptions."""

    kind: ClassVar[str] = "sersrv"
    title: ClassVar[Text] = Text(zh="串口服务器", en="Serial server")
    Config = SersrvConfig
    terminals: ClassVar[tuple[str, ...]] = tuple(
        f"{name}{number}" for number in PORTS for name in ("A", "B", "GND", "TX", "RX")
    )

    def __init__(self, host: Host, config: SersrvConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._masters: dict[str, RtuMaster] = {}
        self._transparent: dict[str, TransparentPort] = {}
        self._servers: list[asyncio.Server] = []
        self._clients: set[GatewayConnection] = set()

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = super().hardware(network, name)
        for number in PORTS:
            network.serial.add_port(Port(name, number), *_interfaces(number), is_master=True, bias=True)
        return host

    async def start(self) -> None:
        network = self.host.network
        routes: dict[int, dict[int, Route]] = defaultdict(dict)
        rooms: dict[int, int] = {}
        for number, config in self.config.serial.items():
            port = network.serial.port(Port(self.host.name, number))
            rs485, rs232 = _interfaces(number)
            port.equip(interface=rs485 if config.interface == "rs485" else rs232, termination=config.termination)
            if config.mode == "transparent":
                transparent = self._transparent[number] = TransparentPort(port, config.line, config.max_clients)
                self._servers.append(await transparent.listen(config.tcp_port))
                continue
            master = self._masters[number] = RtuMaster(
                port, network.loop, config.line, response_timeout=config.response_timeout, limit=config.queue
            )
            routes[config.tcp_port].update(dict.fromkeys((0, *config.served), master))
            rooms[config.tcp_port] = max(rooms.get(config.tcp_port, 0), config.max_clients)
        for tcp_port, table in routes.items():
            self._servers.append(await self._listen(tcp_port, table, rooms[tcp_port]))

    async def _listen(self, tcp_port: int, table: Mapping[int, Route], room: int) -> asyncio.Server:
        # A broadcast goes out at every port that this TCP port leads to.
        masters = tuple(dict.fromkeys(table.values()))
        return await asyncio.get_running_loop().create_server(
            lambda: GatewayConnection(table, masters, self._clients, room), None, tcp_port
        )

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for client in tuple(self._clients):
            client.cut()
        for transparent in self._transparent.values():
            transparent.close()
        for master in self._masters.values():
            master.close()
        self._transparent.clear()
        self._masters.clear()

    def status(self) -> Mapping[str, object]:
        shown: dict[str, object] = {"clients": len(self._clients)}
        for number, config in self.config.serial.items():
            master, transparent = self._masters.get(number), self._transparent.get(number)
            facts: dict[str, object] = {"mode": config.mode, "line": str(config.line)}
            if master is not None:
                facts |= {"waiting": master.waiting, "timeouts": master.timeouts, "garbled": master.garbled}
            if transparent is not None:
                facts |= {"clients": transparent.clients, "in": transparent.heard, "out": transparent.said}
            shown[f"port {number}"] = facts
        return shown


def _interfaces(number: str) -> tuple[Interface, Interface]:
    ground = f"GND{number}"
    return Rs485(f"A{number}", f"B{number}", ground), Rs232(f"TX{number}", f"RX{number}", ground)
