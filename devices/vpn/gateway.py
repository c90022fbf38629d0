"""`vpn`: a gateway that joins the network inside with those of its peers by WireGuard tunnels across the one outside.

The tunnel is an interface of the host, `wg0`, and what peers may have is routed there; the host forwards between it
and the others, and never past it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, ClassVar, Final, cast

from pydantic import AfterValidator, Field, StrictInt, model_validator

from devices.vpn import noise
from devices.vpn.tunnel import Endpoint, PeerSettings, Tunnel
from lab.model.address import mac_of
from lab.model.frame import Port
from lab.model.plant import HostConfig, RouteConfig, Strict
from lab.network.appliance import Appliance
from lab.network.fabric import Jack, Network
from lab.network.host import Host
from lab.network.nic import Nic
from lab.network.routing import Forwarding
from lab.text import Text
from lab.wire import arp, ethernet, ipv4
from lab.wire.arp import Arp, Operation
from lab.wire.malformed import Malformed

WG: Final = "wg0"
LISTEN_PORT: Final = 51820
TUNNEL_MTU: Final = 1420
"""1500 less IPv4, UDP, and a data message's header and tag, as if it were IPv6 outside: what `wg-quick` takes."""
_ENDPOINT: Final = re.compile(r"([0-9.]+):([0-9]{1,5})")


def _checked_key(text: str) -> str:
    noise.read_key(text)
    return text


def _read_endpoint(text: str) -> Endpoint:
    found = _ENDPOINT.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError(f"{text!r} is not of the form address:port, such as 203.0.113.2:51820")
    return str(IPv4Address(found[1])), int(found[2])


def _checked_endpoint(text: str) -> str:
    _read_endpoint(text)
    return text


Key = Annotated[str, AfterValidator(_checked_key)]


class VpnPeerConfig(Strict):
    public_key: Key
    preshared_key: Key | None = None
    endpoint: Annotated[str, AfterValidator(_checked_endpoint)] | None = None
    """`203.0.113.2:51820`; without one, the peer has to call."""
    allowed_ips: list[IPv4Network] = Field(min_length=1, max_length=64)
    """What is sent to this peer, and what it may send from."""
    keepalive: StrictInt = Field(default=0, ge=0, le=65535)
    """Seconds; 0 for none."""

    def settings(self) -> PeerSettings:
        return PeerSettings(
            noise.read_key(self.public_key),
            tuple(self.allowed_ips),
            noise.read_key(self.preshared_key) if self.preshared_key is not None else noise.NO_PSK,
            _read_endpoint(self.endpoint) if self.endpoint is not None else None,
            self.keepalive,
        )


class VpnConfig(HostConfig):
    """`interfaces` has `outside`, `inside` and `wg0`, the end of the tunnel."""

    private_key: Key
    listen_port: StrictInt = Field(default=LISTEN_PORT, ge=1, le=65535)
    peers: list[VpnPeerConfig] = Field(default_factory=list, max_length=64)

    @model_validator(mode="after")
    def _consistent(self) -> VpnConfig:
        wg = self.interfaces.get(WG)
        if self.peers and (wg is None or wg.address.network.prefixlen > 30):
            raise ValueError(f"{WG} needs an address in a network of its own, such as 10.99.0.1/24")
        keys = [peer.public_key for peer in self.peers]
        if len(set(keys)) != len(keys):
            raise ValueError("two peers have the same public key")
        networks = [network for peer in self.peers for network in peer.allowed_ips]
        if len(set(networks)) != len(networks):
            raise ValueError("two peers are allowed the same addresses")
        return self

    def tunnel_routes(self) -> list[RouteConfig]:
        """What leads the peers' allowed addresses into the tunnel."""
        if WG not in self.interfaces:
            return []
        own = self.interfaces[WG].address
        # Any address on the link would do: whoever is asked for there, the tunnel answers.
        via = next(each for each in own.network.hosts() if each != own.ip)
        allowed = [network for peer in self.peers for network in peer.allowed_ips]
        return [RouteConfig(to=network, via=via) for network in allowed if network != own.network]


class VpnGateway(Appliance[VpnConfig]):
    kind: ClassVar[str] = "vpn"
    title: ClassVar[Text] = Text(zh="VPN 网关", en="VPN gateway")
    Config = VpnConfig
    ports: ClassVar[tuple[str, ...]] = ("outside", "inside")
    forwards: ClassVar[bool] = True
    interfaces: ClassVar[tuple[str, ...] | None] = ("outside", "inside", WG)

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        return network.add_host(name, cls.ports, (WG,))

    async def start(self) -> None:
        host = self.host
        host.add_routes(self.config.tunnel_routes())
        self._wg = host.nic(WG)
        self._wg.mtu = min(self._wg.mtu, TUNNEL_MTU)
        self.tunnel = Tunnel(
            noise.read_key(self.config.private_key),
            [peer.settings() for peer in self.config.peers],
            host.random.randbytes,
            lambda: noise.tai64n(host.wall_ns()),
        )
        self._shell = _Shell(host, self._wg, self.tunnel, self.config.listen_port)
        self._forwarding = Forwarding(host, self._inspect)
        host.forward = self._forwarding.forward

    async def stop(self) -> None:
        self.host.forward = None
        self._shell.close()

    def _inspect(self, came: Nic, goes: Nic, frame: bytes) -> bytes | None:
        """Nothing passes between inside and outside but through the tunnel."""
        return frame if self._wg in (came, goes) and "outside" not in (came.name, goes.name) else None

    def status(self) -> Mapping[str, object]:
        now = self.host.network.loop.time()
        shown: dict[str, object] = {}
        for peer in self.tunnel.peers.values():
            since = "-" if peer.last_handshake is None else f"{now - peer.last_handshake:.0f} s"
            where = "{}:{}".format(*peer.endpoint) if peer.endpoint is not None else "-"
            name = ", ".join(map(str, peer.settings.allowed))
            shown[name] = f"{where}, {since}, ↓ {peer.received} B, ↑ {peer.sent} B"
        shown["refused"] = self.tunnel.refused
        return shown


class _Shell(asyncio.DatagramProtocol):
    """Carries packets between `wg0`, the tunnel, and a UDP socket."""

    def __init__(self, host: Host, wg: Nic, tunnel: Tunnel, port: int) -> None:
        self._host, self._wg, self._tunnel = host, wg, tunnel
        self._port = port
        self._mac = mac_of(host.name, "tunnel")
        self._timer = host.alarm(self._tick)
        self._transport: asyncio.DatagramTransport
        with host.current():
            host.open_datagrams(lambda: self, ("0.0.0.0", port), None)
        self._jack = Jack(Port(host.name, "tunnel"), self._from_host, lambda up: None)
        assert isinstance(wg.jack, Jack)
        host.network.link_inside(wg.jack, self._jack)
        tunnel.start(self._now())
        self._flush()

    def close(self) -> None:
        self._timer.dispose()
        self._transport.close()
        self._jack.take_over(lambda frame: None)

    def _now(self) -> float:
        return self._host.network.loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        """The peer is out of reach; the timers try again."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        packet = self._tunnel.receive(data, addr, self._now())
        if packet is not None:
            self._jack.send(self._wg.mac + self._mac + ethernet.IPV4.to_bytes(2, "big") + packet)
        self._flush()

    def _from_host(self, frame: bytes) -> None:
        kind = int.from_bytes(frame[12:14], "big")
        if kind == ethernet.ARP:
            self._answer_arp(frame)
        elif kind == ethernet.IPV4 and not frame[0] & 1 and not self._is_own(frame):
            self._tunnel.send(frame[14:], self._now())
            self._flush()

    def _is_own(self, frame: bytes) -> bool:
        """Packets of the tunnel itself, where a peer's endpoint lies in its own allowed addresses, would go round."""
        return (
            frame[23] == ipv4.UDP
            and frame[34:36] == self._port.to_bytes(2, "big")
            and (frame[26:30] in self._host.own_addresses)
        )

    def _answer_arp(self, frame: bytes) -> None:
        """There is nobody on this link, so the tunnel stands for everybody."""
        try:
            packet = arp.decode(frame[14:])
        except Malformed:
            return
        if packet.operation is Operation.REQUEST and packet.sender_ip not in (packet.target_ip, bytes(4)):
            reply = Arp(Operation.REPLY, self._mac, packet.target_ip, packet.sender_mac, packet.sender_ip)
            self._jack.send(ethernet.HEADER.pack(packet.sender_mac, self._mac, ethernet.ARP) + reply.encode())

    def _tick(self) -> None:
        self._tunnel.tick(self._now() + 1e-6)  # the loop counts in nanoseconds, and may be one early
        self._flush()

    def _flush(self) -> None:
        for endpoint, data in self._tunnel.take_outbox():
            self._transport.sendto(data, endpoint)
        deadline = self._tunnel.next_deadline()
        if deadline is None:
            self._timer.stop()
        else:
            self._timer.start(max(0.0, deadline - self._now()))
