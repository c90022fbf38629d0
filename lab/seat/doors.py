"""What a running lab does for other programs of its user, by the names they ask for it (see lab.seat.control).

hosts     the devices, their ports and addresses
status    what a device's display shows; without a host, the lab itself
console   run a line of a console program on a host: says its output, ends with its exit status
attach    a real host in place of a workstation, as long as the request lasts or until `detach`
detach    give a host that is a real one its simulated stack back
frames    a raw socket at a host's port: the connection becomes a stream of frames (lab.network.frame_socket)
nic       a real network card at a free port of a switch or in place of a host
socks     a SOCKS5 proxy that enters the plant at a host
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from devices.workstation import Workstation
from lab.model.frame import Port
from lab.model.plant import HostConfig, InterfaceConfig
from lab.network import frame_socket
from lab.network.frame_socket import FrameSocket
from lab.network.namespace import RealHost, attach
from lab.network.real_nic import bridge
from lab.network.socks import open_socks
from lab.seat.control import Call, Handler, Unwilling
from lab.seat.events import DeviceNotice
from lab.text import Text
from lab.wire.malformed import Malformed
from scenarios.assembly import Plant
from scenarios.kinds import APPLIANCES

if TYPE_CHECKING:
    from lab.seat.seat import Seat

_STREAM_LIMIT: Final = 1 << 20
"""Bytes of frames that wait for a program; what does not fit is lost, as with any card."""

NO_HOST = Text(zh="工厂里没有主机 {host}，只有 {known}", en="the plant has no host {host}, only {known}")
NOT_A_WORKSTATION = Text(
    zh="{host} 是{title}，替换它会停掉工厂的设备；可用：{known}。确有需要请加 --force",
    en="{host} is no workstation ({title}): a device of the plant would stop. Possible: {known}. --force does it "
    "all the same",
)
NO_ADDRESS = Text(zh="{host} 没有 IP 地址", en="{host} has no IP address")
NO_PORT = Text(zh="{host} 没有端口 {port}，只有 {known}", en="{host} has no port {port}, only {known}")
IS_SIMULATED = Text(zh="{host} 本来就是模拟主机", en="{host} is a simulated host as it is")
BECAME_REAL = Text(zh="现在是一台真实主机（iiotlab attach）", en="is a real host now (iiotlab attach)")
BECAME_SIMULATED = Text(zh="恢复为模拟主机", en="is a simulated host again")
CARD_JOINED = Text(zh="真实网卡 {interface} 接到了 {port}", en="the real network card {interface} has joined at {port}")
CARD_LEFT = Text(zh="真实网卡 {interface} 已移除", en="the real network card {interface} has left")


class Doors:
    """The handlers of one seat."""

    def __init__(
        self, seat: Seat, plant: Plant, note: Callable[..., None], tell: Callable[[DeviceNotice], None]
    ) -> None:
        self._seat, self._plant = seat, plant
        self._note, self._tell = note, tell
        self._watching: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Handler]:
        return {
            "hosts": self._hosts,
            "status": self._status,
            "console": self._console,
            "attach": self._attach,
            "detach": self._detach,
            "frames": self._frames,
            "nic": self._nic,
            "socks": self._socks,
        }

    async def close(self) -> None:
        """Give every host its simulated stack back."""
        for real in tuple(self._plant.network.real_hosts.values()):
            await real.close()
        if self._watching:
            await asyncio.wait(self._watching)

    # -- looking ---------------------------------------------------------------------------------------------------

    async def _hosts(self, call: Call) -> object:
        real = self._plant.network.real_hosts
        return [
            {
                "name": host.name,
                "kind": host.kind,
                "title": host.title.both(),
                "is_workstation": self.is_workstation(host.name),
                "is_real": host.name in real,
                "ports": [
                    {"name": port.name, "address": port.address, "peer": str(port.peer) if port.peer else None}
                    for port in host.ports
                ],
            }
            for host in self._seat.plant().hosts
        ]

    async def _status(self, call: Call) -> object:
        name = call.text("host", "")
        if name:
            self._host(name)
            return dict(self._seat.status(name))
        title = self._seat.instance.definition.title
        return {
            "folder": str(self._seat.root),
            "scenario": self._seat.instance.id,
            "seed": self._seat.instance.seed,
            "title": {"zh": title.zh, "en": title.en},
            "published": {name: f"{door.address}:{door.port}" for name, door in self._seat.published.items()},
            "real": sorted(self._plant.network.real_hosts),
        }

    def _host(self, name: str) -> HostConfig:
        config = self._plant.config.hosts.get(name)
        if config is None or name not in self._plant.network.hosts:
            raise Unwilling(NO_HOST, host=name[:40], known=", ".join(self._plant.network.hosts))
        return config

    def is_workstation(self, name: str) -> bool:
        """Whether people sit there."""
        kind = APPLIANCES.get(self._seat.instance.kinds[name])
        return kind is not None and issubclass(kind, Workstation)

    # -- console programs ------------------------------------------------------------------------------------------

    async def _console(self, call: Call) -> object:
        name, line = call.text("host"), call.text("line")
        self._host(name)
        return await self.run_line(name, line, call.say)

    async def run_line(self, name: str, line: str, out: Callable[[str], None]) -> int:
        """Run a line of a console program on a host; raises KeyError for an unknown one."""
        from devices.console import Context, run

        host = self._plant.network.hosts[name]
        appliance = self._plant.appliances.get(name)
        logs = appliance.logs if appliance is not None else {}
        work = run(host, line, out, context=Context(folder=self._seat.root, logs=logs))
        status: int = await host.spawn(work, name=f"{name}: {line[:40]}")
        return status

    # -- real hosts ------------------------------------------------------------------------------------------------

    async def _attach(self, call: Call) -> object:
        name = call.text("host")
        config = self._host(name)
        if not self.is_workstation(name) and not call.flag("force"):
            known = ", ".join(each for each in self._plant.config.hosts if self.is_workstation(each)) or "–"
            title = self._seat.instance.definition.plant.hosts[name].title.text
            raise Unwilling(NOT_A_WORKSTATION, host=name, title=title, known=known)
        port, interface = self._interface(name, config, call.text("port", ""))
        real = await attach(
            self._plant.network,
            port,
            interface.address,
            interface.gateway,
            routes=[(route.to, route.via) for route in config.routes],
            names=config.hosts,
        )
        ended = asyncio.create_task(self._watch(name, real))
        self._watching.add(ended)
        ended.add_done_callback(self._watching.discard)
        is_kept = call.flag("keep")
        try:
            call.say(
                {
                    "command": real.command([]),
                    "host": name,
                    "address": str(interface.address),
                    "gateway": str(interface.gateway) if interface.gateway else None,
                    "names": {who: str(where) for who, where in config.hosts.items()},
                    "is_root": os.geteuid() == 0,
                    "published": [each for each, door in self._seat.published.items() if door.host.name == name],
                }
            )
            await asyncio.shield(ended)
        finally:
            if not is_kept:
                await real.close()
        return None

    async def _watch(self, name: str, real: RealHost) -> None:
        """Note what the host is, and what it was."""
        self._note("RealHostAttached", host=name, port=str(real.port))
        self._tell(DeviceNotice(name, BECAME_REAL.say()))
        await real.wait_closed()
        self._note("RealHostDetached", host=name, port=str(real.port))
        self._tell(DeviceNotice(name, BECAME_SIMULATED.say()))

    def _interface(self, name: str, config: HostConfig, wanted: str) -> tuple[Port, InterfaceConfig]:
        """The port at which a host is replaced: the one that was asked for, or the first that has an address."""
        known = {port.name: port for port in self._plant.network.ports if port.host == name}
        if wanted and wanted not in known:
            raise Unwilling(NO_PORT, host=name, port=wanted[:40], known=", ".join(known))
        for port, interface in config.interfaces.items():
            if port in known and wanted in ("", port):
                return known[port], interface
        raise Unwilling(NO_ADDRESS, host=name)

    async def _detach(self, call: Call) -> object:
        name = call.text("host")
        self._host(name)
        real = self._plant.network.real_hosts.get(name)
        if real is None:
            raise Unwilling(IS_SIMULATED, host=name)
        await real.close()
        return None

    # -- frames ----------------------------------------------------------------------------------------------------

    async def _frames(self, call: Call) -> object:
        name = call.text("host")
        config = self._host(name)
        host = self._plant.network.hosts[name]
        ports = [nic.name for nic in host.ports]
        wanted = call.text("port", "") or ports[0]
        if wanted not in ports:
            raise Unwilling(NO_PORT, host=name, port=wanted[:40], known=", ".join(ports))

        def deliver(frame: bytes) -> None:
            if writer.transport.get_write_buffer_size() < _STREAM_LIMIT:
                writer.write(frame_socket.encode(frame))

        port = FrameSocket(self._plant.network, Port(name, wanted), deliver, alone=call.flag("alone"))
        try:
            interface = config.interfaces.get(wanted)
            nic = host.nic(wanted)
            facts: dict[str, Any] = {
                "host": name,
                "port": wanted,
                "mac": nic.mac.hex(":"),
                "mtu": nic.mtu,
                "address": str(interface.address) if interface else None,
                "gateway": str(interface.gateway) if interface and interface.gateway else None,
                "routes": [(str(route.to), str(route.via)) for route in config.routes],
                "names": {who: str(where) for who, where in config.hosts.items()},
            }
            reader, writer = call.stream(facts)
            decoder = frame_socket.Decoder()
            while data := await reader.read(65536):
                for frame in decoder.feed(data):
                    port.send(frame)
        except (Malformed, OSError):
            pass  # it talks nonsense, or has gone
        finally:
            port.close()
        return None

    # -- proxies ---------------------------------------------------------------------------------------------------

    async def _socks(self, call: Call) -> object:
        name, port = call.text("host"), call.argument("port")
        self._host(name)
        proxy = await open_socks(self._plant.network.hosts[name], port if isinstance(port, int) else 0)
        try:
            call.say({"port": proxy.port})
            return await asyncio.get_running_loop().create_future()  # until nobody wants it any more
        finally:
            proxy.close()

    # -- real cards ------------------------------------------------------------------------------------------------

    async def _nic(self, call: Call) -> object:
        port, interface = call.text("port"), call.text("interface")
        if "/" not in port:  # a host: at its first port
            self._host(port)
            port = f"{port}/{self._plant.network.hosts[port].ports[0].name}"
        async with self.card(port, interface, force=call.flag("force")) as gone:
            call.say({"port": port, "interface": interface})
            return str(await gone)

    @asynccontextmanager
    async def card(self, port: str, interface: str, *, force: bool = False) -> AsyncIterator[asyncio.Future[Text]]:
        """A real card in the plant; the future is done, with the reason, when it goes away by itself.

        Raises what lab.network.real_nic.bridge does.
        """
        gone: asyncio.Future[Text] = asyncio.get_running_loop().create_future()

        def ended(reason: Text) -> None:
            self._tell(DeviceNotice("", reason.say()))
            if not gone.done():
                gone.set_result(reason)

        nic = bridge(self._plant.network, Port.parse(port), interface, force=force, ended=ended)
        self._note("RealCardJoined", port=port, interface=interface)
        self._tell(DeviceNotice("", CARD_JOINED.say(interface=interface, port=port)))
        try:
            yield gone
        finally:
            nic.close()
            self._note("RealCardLeft", port=port, interface=interface)
            self._tell(DeviceNotice("", CARD_LEFT.say(interface=interface)))
