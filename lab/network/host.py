"""An IP host: interfaces, ARP, routes, ICMP, UDP and TCP, and the door through which asyncio programs use them."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING, Any, Final

from lab.clock import plant_clock
from lab.model.plant import HostConfig, RouteConfig
from lab.network.disk import Disk
from lab.network.fabric import Loopback
from lab.network.loop import current_host
from lab.network.nic import MTU, Nic, port_nic, sub_interface
from lab.network.tcp import ACK, RST, SYN, State
from lab.network.timer import Timer
from lab.network.transports import DatagramTransport, PlantServer, TcpTransport
from lab.wire import arp, ethernet, icmp, ipv4, udp, vlan
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed
from lab.wire.tcp import HEADER as TCP_HEADER
from lab.wire.tcp import FrameTemplate, Segment
from lab.wire.tcp import decode as decode_segment

if TYPE_CHECKING:
    from lab.network.fabric import Network
    from lab.network.opcua_identity import Flaw

EPHEMERAL: Final = range(49152, 65536)
"""RFC 6335 section 6."""
_IPV4, _ARP, _VLAN = (kind.to_bytes(2, "big") for kind in (ethernet.IPV4, ethernet.ARP, ethernet.VLAN))
_LEAST_MTU: Final = 576
_BACKLOG: Final = 128
_NO_MAC = bytes(6)
_ANY = bytes(4)
_LIMITED_BROADCAST = b"\xff" * 4
_LOOPBACK_ADDRESS = b"\x7f\0\0\1"
_LOOPBACK_NET = IPv4Network("127.0.0.0/8")

SendFrame = Callable[[bytes], None]


def _group_mac(destination: bytes) -> bytes:
    """RFC 1112 section 6.4: the lower 23 bits of a group's address; broadcasts go to everybody."""
    if destination[0] >> 4 == 14:
        return b"\x01\x00\x5e" + bytes((destination[1] & 0x7F,)) + destination[2:]
    return ethernet.BROADCAST


class Listener:
    """A port on which a server waits."""

    def __init__(
        self,
        host: Host,
        address: bytes | None,
        port: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        tls: tuple[Any, float | None, float | None] | None,
    ) -> None:
        self.host, self.address, self.port = host, address, port
        self.context = contextvars.copy_context()
        self.server: PlantServer
        self.waiting: list[TcpTransport] | None = None
        """Connections that a hung server has not taken yet."""
        self._protocol_factory = protocol_factory
        self._tls = tls

    def accept(self, transport: TcpTransport) -> None:
        """A connection is established: give it a protocol."""
        if self.waiting is not None:
            # As many as a backlog has room for.
            if len(self.waiting) >= _BACKLOG:
                transport.abort()
                return
            self.waiting.append(transport)  # the kernel has accepted it, the program does not look
            transport.connection.pause()
            return
        try:
            protocol = transport.context.run(self._protocol_factory)
            if self._tls is not None:
                loop = self.host.network.loop
                protocol = transport.context.run(loop.secure_server_side, protocol, *self._tls)
        except Exception as error:
            self.host.network.loop.call_exception_handler({"message": "a server could not accept", "exception": error})
            transport.abort()
            return
        self.server.connections.add(transport)
        transport.attach(protocol)


class Host:
    """See the module. `network.add_host` makes one."""

    def __init__(self, network: Network, name: str, ports: tuple[str, ...], inside: tuple[str, ...] = ()) -> None:
        self.network = network
        self.name = name
        self.random = network.random_for(name)
        self.generation = 0
        """Counts changes of addresses, routes and neighbours, so that connections know when to look again."""
        self.ports = tuple(port_nic(self, port, is_inside=port in inside) for port in (*ports, *inside))
        """The interfaces it was built with."""
        self.nics = self.ports
        """Those, and their sub-interfaces as configured."""
        self.forward: Callable[[Nic, bytes], None] | None = None
        """A router's work: given each IPv4 frame that is meant for this host's MAC but not for its addresses."""
        self.guard: Callable[[Nic, IPv4], bool] | None = None
        """Asked about each datagram from the wire for this host, but not about segments of open connections."""
        self.watchers: list[Callable[[IPv4], bool]] = []
        """Raw sockets: each sees what the guard lets in before TCP, UDP and ICMP do; True keeps it from them."""
        self.ethertypes: dict[bytes, Callable[[Nic, bytes], None]] = {}
        """Who takes frames of other protocols, group addresses included, by EtherType as it stands in the frame."""
        self.link_listeners: list[Callable[[str, bool], None]] = []
        """Called as listener(port, up) when a link comes up or goes down."""
        self.arrived_by: Nic | None = None
        """The interface by which the latest datagram for this host came in, None for one of its own (IP_PKTINFO)."""
        self.resolver: Callable[[str], Awaitable[bytes]] | None = None
        """Who is asked for names that the configuration does not have; raises socket.gaierror."""
        self._blocked: dict[tuple[int, int], int] = {}
        self.sends_icmp_errors = True
        """A router that keeps its errors to itself makes black holes."""
        self.disk = Disk()
        self.certificate_flaw: Flaw | None = None
        """What is wrong with the certificates its programs show from their next start on."""
        self.clock_offset = 0.0
        """Seconds by which this host's own clock is ahead of the plant's."""
        self._groups: set[bytes] = set()
        self._context = contextvars.Context()
        self._loopback = Loopback(network, self._arrive_from_myself)
        self._own: dict[bytes, Nic] = {}
        self._routes: list[tuple[IPv4Network, Nic, bytes | None]] = []
        """(destination, interface, next hop or None where it is on the link), longest prefix first."""
        self._names: dict[str, str] = {}
        self._identification = self.random.getrandbits(16)
        self._next_port = self.random.randrange(len(EPHEMERAL))
        self._connections: dict[bytes, TcpTransport] = {}
        """By remote address, own address, remote port, own port: the order in which they stand in a frame."""
        self._listeners: dict[int, list[Listener]] = {}
        self._datagrams: dict[int, list[DatagramTransport]] = {}
        self._pings: dict[tuple[int, int], asyncio.Future[float]] = {}
        self._ping_sequence = 0
        self._reassembler = ipv4.Reassembler()

    # -- being this host -------------------------------------------------------------------------------------------

    @contextmanager
    def current(self) -> Iterator[None]:
        """Code inside, and every task it starts, runs on this host."""
        host_token = current_host.set(self)
        clock_token = plant_clock.set(self.wall_ns)
        try:
            yield
        finally:
            plant_clock.reset(clock_token)
            current_host.reset(host_token)

    def wall_ns(self) -> int:
        """What this host's clock shows, in nanoseconds since the Unix epoch."""
        return self.network.loop.wall_ns() + round(self.clock_offset * 1e9)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Run a coroutine on this host."""
        with self.current():
            return self.network.loop.create_task(coroutine, name=name)

    def soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Call back in the next turn of the loop, in no host's context."""
        self.network.loop.call_soon(callback, *arguments, context=self._context)

    def alarm(self, callback: Callable[[], None]) -> Timer:
        return Timer(self.network.loop, self._context, callback)

    # -- configuration ---------------------------------------------------------------------------------------------

    def configure(self, config: HostConfig) -> None:
        """Take on addresses, routes and names; raises ValueError for a port it does not have."""
        nics = self._nics_for(config)
        self._own.clear()
        self._routes.clear()
        announcing: list[Nic] = []
        for nic in nics:
            interface = config.interfaces.get(nic.name)
            before = (nic.address, nic.network)
            nic.clear()
            if interface is not None:
                nic.mtu = interface.mtu
                self._take_address(nic, interface.address, interface.gateway)
            if (nic.address, nic.network) != before:
                nic.neighbours.forget_all()
                announcing.append(nic)
        self.nics = nics
        self.add_routes(config.routes)
        self._names = {name.lower(): str(address) for name, address in config.hosts.items()}
        self.generation += 1
        for nic in announcing:
            nic.neighbours.announce()

    def add_routes(self, routes: Iterable[RouteConfig]) -> None:
        """Static routes, until the next configuration; one whose next hop is on no link is left out."""
        self._routes.sort(key=lambda entry: -entry[0].prefixlen)  # or a default route would take the next hops
        for route in routes:
            on_link = self.route(route.via.packed)
            if on_link is not None:
                entry = (route.to, on_link[0], route.via.packed)
                if entry not in self._routes:
                    self._routes.append(entry)
        self._routes.sort(key=lambda entry: -entry[0].prefixlen)
        self.generation += 1

    def _nics_for(self, config: HostConfig) -> tuple[Nic, ...]:
        """The ports, and the sub-interfaces that the configuration names, old or new; raises ValueError."""
        ports = {nic.name: nic for nic in self.ports}
        for nic in self.nics:
            if nic.name not in ports and nic.name not in config.interfaces:
                parent, _, vid = nic.name.rpartition(".")
                del ports[parent].tagged[int(vid)]
                nic.neighbours.forget_all()
        subs: list[Nic] = []
        for name in config.interfaces:
            parent, dot, vid = name.rpartition(".")
            if name in ports:
                continue
            if not dot or parent not in ports:
                raise ValueError(f"{self.name} has no port {name!r}, only {', '.join(ports)}")
            number = int(vid)
            subs.append(ports[parent].tagged.get(number) or sub_interface(ports[parent], number))
        return (*self.ports, *subs)

    def assign(self, nic: Nic, interface: IPv4Interface | None, router: IPv4Address | None = None) -> None:
        """Give one interface an address and a default route, as DHCP does, or take them away; the rest stays."""
        self._own = {address: each for address, each in self._own.items() if each is not nic}
        self._routes = [entry for entry in self._routes if entry[1] is not nic]
        nic.address = nic.network = nic.broadcast = None
        nic.neighbours.forget_all()
        if interface is not None:
            self._take_address(nic, interface, router)
            self._routes.sort(key=lambda entry: -entry[0].prefixlen)
        self.generation += 1
        if interface is not None:
            nic.neighbours.announce()

    def _take_address(self, nic: Nic, interface: IPv4Interface, router: IPv4Address | None) -> None:
        """An address and the routes that come with it, not in order yet."""
        nic.address, nic.network = interface.ip.packed, interface.network
        nic.broadcast = nic.network.broadcast_address.packed
        self._own[nic.address] = nic
        self._routes.append((nic.network, nic, None))
        if router is not None:
            self._routes.append((IPv4Network("0.0.0.0/0"), nic, router.packed))

    def nic(self, name: str) -> Nic:
        """Raises KeyError for a port it does not have."""
        return {nic.name: nic for nic in self.nics}[name]

    def mtu_of(self, address: bytes) -> int:
        """Of the interface with this own address, in bytes."""
        nic = self._own.get(address)
        return nic.mtu if nic is not None else MTU

    def change_mac(self, nic: Nic, mac: bytes) -> None:
        """Give an interface another MAC address than the one burnt in, and its sub-interfaces with it."""
        for each in (nic, *nic.tagged.values()):
            each.mac = mac
            each.neighbours.announce()
        self.generation += 1

    def link_changed(self, nic: Nic, up: bool) -> None:
        """The cable of a port came up or went down."""
        self.generation += 1
        if up:
            for each in (nic, *nic.tagged.values()):
                each.neighbours.announce()
        for listener in self.link_listeners:
            listener(nic.name, up)

    def hang(self, port: int, hung: bool) -> None:
        """The server on a TCP port hangs: the kernel goes on accepting and acknowledging, and nobody reads or answers.

        Or it goes on. Raises KeyError where nothing listens.
        """
        for listener in self._listeners[port]:
            if hung == (listener.waiting is not None):
                continue
            waiting, listener.waiting = listener.waiting or [], [] if hung else None
            for transport in tuple(listener.server.connections):
                transport.hang(hung)
            for transport in waiting:
                if not transport.is_closing():
                    listener.accept(transport)

    def block(self, protocol: int, port: int) -> None:
        """Drop what arrives for a TCP or UDP port, or every echo request where protocol is ICMP; may be said twice."""
        self._blocked[protocol, port] = self._blocked.get((protocol, port), 0) + 1
        if protocol == ipv4.TCP:
            self.lose_connections(port)

    def unblock(self, protocol: int, port: int) -> None:
        """Take one `block` back."""
        left = self._blocked.pop((protocol, port), 0) - 1
        if left > 0:
            self._blocked[protocol, port] = left

    def _is_blocked(self, datagram: IPv4) -> bool:
        if datagram.protocol == ipv4.ICMP:
            return datagram.payload[:1] == b"\x08" and (ipv4.ICMP, 0) in self._blocked
        return (datagram.protocol, int.from_bytes(datagram.payload[2:4], "big")) in self._blocked

    def lose_connections(self, port: int | None = None) -> None:
        """Forget every TCP connection, or those of one own port, without a word to the other ends, which keep theirs."""
        for transport in self.connections:
            if port in (None, transport.local[1]):
                error = ConnectionAbortedError(errno.ECONNABORTED, "Software caused connection abort")
                transport.connection.fail(error)

    def lose_power(self) -> None:
        """Forget what was only in memory: connections, neighbours, half a datagram."""
        self.lose_connections()
        for nic in self.nics:
            nic.neighbours.forget_all()
        self._reassembler = ipv4.Reassembler()

    def join(self, group: bytes) -> None:
        """Hear what is sent to an IPv4 multicast group (RFC 1112, without IGMP: switches here flood groups)."""
        self._groups.add(group)

    def leave(self, group: bytes) -> None:
        self._groups.discard(group)

    @property
    def own_addresses(self) -> Collection[bytes]:
        return self._own.keys()

    @property
    def routes(self) -> Sequence[tuple[IPv4Network, Nic, bytes | None]]:
        """(destination, interface, next hop or None where it is on the link), longest prefix first."""
        return tuple(self._routes)

    def route(self, destination: bytes) -> tuple[Nic, bytes] | None:
        """The interface and the next hop towards an address; None where there is no route."""
        number = IPv4Address(destination)
        for network, nic, next_hop in self._routes:
            if number in network:
                return nic, next_hop or destination
        return None

    # -- names and addresses ---------------------------------------------------------------------------------------

    def look_up(self, host: Any, port: Any, kind: int = 0) -> list[Any]:
        """What getaddrinfo answers here: dotted quads, localhost, and the names of the configuration."""
        if isinstance(host, bytes):
            host = host.decode()
        number = int(port or 0)
        address = "0.0.0.0" if not host else socket.inet_ntoa(self.address_of(host))
        kinds = [socket.SocketKind(kind)] if kind else [socket.SOCK_STREAM, socket.SOCK_DGRAM]
        return [
            (socket.AF_INET, each, 6 if each is socket.SOCK_STREAM else 17, "", (address, number)) for each in kinds
        ]

    def address_of(self, name: str) -> bytes:
        """Raises socket.gaierror for a name that this host does not know."""
        try:
            return IPv4Address(name).packed
        except ValueError:
            pass
        lower = name.lower().rstrip(".")
        if lower == "localhost":
            return _LOOPBACK_ADDRESS
        if lower == self.name.lower():
            return next(iter(self._own), _LOOPBACK_ADDRESS)
        known = self._names.get(lower)
        if known is None:
            raise socket.gaierror(socket.EAI_NONAME, f"{self.name} does not know a host called {name!r}")
        return IPv4Address(known).packed

    async def resolve(self, name: str) -> bytes:
        """An address by name, asking DNS where that is configured; raises socket.gaierror."""
        try:
            return self.address_of(name)
        except socket.gaierror:
            if self.resolver is None:
                raise
        return await self.resolver(name)

    def _is_mine(self, address: bytes) -> bool:
        return address in self._own or address[0] == 127

    def _source_for(self, destination: bytes) -> bytes:
        """The own address to speak to `destination` with; raises OSError where there is no route."""
        if self._is_mine(destination):
            return destination
        route = self.route(destination)
        if route is None or route[0].address is None:
            raise OSError(errno.ENETUNREACH, f"Network is unreachable: {socket.inet_ntoa(destination)}")
        return route[0].address

    # -- TCP: the user's side --------------------------------------------------------------------------------------

    async def listen(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any,
        port: int,
        *,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> PlantServer:
        """Serve on a port of this host, port 0 meaning any free one; raises OSError as bind and listen would."""
        names = [host] if host is None or isinstance(host, str) else list(host)
        tls = (ssl, ssl_handshake_timeout, ssl_shutdown_timeout) if ssl else None
        listeners: list[Listener] = []
        for address in dict.fromkeys(map(self._address_to_bind, names)):
            port = port or self._free_port(lambda candidate: candidate not in self._listeners)
            listeners.append(Listener(self, address, port, protocol_factory, tls))
        server = PlantServer(self, listeners)
        for listener in listeners:
            listener.server = server
        if start_serving:
            await server.start_serving()
        return server

    def _address_to_bind(self, name: str | None) -> bytes | None:
        if not name or name in ("0.0.0.0", "::", "*"):
            return None
        address = self.address_of(name)
        if not self._is_mine(address):
            raise OSError(errno.EADDRNOTAVAIL, f"could not bind on {name}: it is no address of {self.name}")
        return address

    def add_listener(self, listener: Listener) -> None:
        others = self._listeners.setdefault(listener.port, [])
        if any(other.address in (None, listener.address) or listener.address is None for other in others):
            raise OSError(errno.EADDRINUSE, f"port {listener.port} of {self.name} is already in use")
        others.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        others = self._listeners.get(listener.port, [])
        if listener in others:
            others.remove(listener)
            if not others:
                del self._listeners[listener.port]

    async def connect(self, name: str, port: Any, local: tuple[str, int] | None) -> TcpTransport:
        """Open a TCP connection, its protocol still to be attached; raises OSError as a socket would."""
        address = await self.resolve(name)
        if address == _ANY:
            address = _LOOPBACK_ADDRESS
        source = self._source_for(address) if not local or not local[0] else self.address_of(local[0])
        number = int(port)
        own_port = (
            local[1]
            if local and local[1]
            else self._free_port(
                lambda candidate: self._key(address, source, number, candidate) not in self._connections
            )
        )
        transport = TcpTransport(self, (source, own_port), (address, number))
        self._connections[self._key(address, source, number, own_port)] = transport
        transport.opened = self.network.loop.create_future()
        transport.connection.open()
        try:
            await transport.opened
        except asyncio.CancelledError:
            transport.connection.abort()
            raise
        except OSError as error:
            where = f"({socket.inet_ntoa(address)!r}, {number})"
            raise type(error)(error.errno, f"{error.strerror}: {where}") from None
        return transport

    @staticmethod
    def _key(remote: bytes, own: bytes, remote_port: int, own_port: int) -> bytes:
        return remote + own + remote_port.to_bytes(2, "big") + own_port.to_bytes(2, "big")

    def _free_port(self, is_free: Callable[[int], bool]) -> int:
        for _ in EPHEMERAL:
            self._next_port = (self._next_port + 1) % len(EPHEMERAL)
            if is_free(EPHEMERAL[self._next_port]):
                return EPHEMERAL[self._next_port]
        raise OSError(errno.EADDRNOTAVAIL, f"{self.name} has no port left")

    def forget(self, transport: TcpTransport) -> None:
        """Free a connection's pair of ports."""
        key = self._key(transport.remote[0], transport.local[0], transport.remote[1], transport.local[1])
        if self._connections.get(key) is transport:
            del self._connections[key]

    @property
    def connections(self) -> tuple[TcpTransport, ...]:
        return tuple(self._connections.values())

    def way_for(self, transport: TcpTransport) -> tuple[FrameTemplate, SendFrame]:
        """How a connection's segments leave this host now: their headers, and what to do with a frame."""
        source, destination = transport.local[0], transport.remote[0]
        ports = (transport.local[1], transport.remote[1])
        if self._is_mine(destination):
            header = ethernet.HEADER.pack(_NO_MAC, _NO_MAC, ethernet.IPV4)
            return FrameTemplate(header, source, destination, ports), self._loopback.carry
        route = self.route(destination)
        if route is None:
            header = ethernet.HEADER.pack(_NO_MAC, _NO_MAC, ethernet.IPV4)
            return FrameTemplate(header, source, destination, ports), lambda frame: None
        nic, next_hop = route
        mac = nic.neighbours.find(next_hop)
        header = ethernet.HEADER.pack(mac or _NO_MAC, nic.mac, ethernet.IPV4)
        template = FrameTemplate(header, source, destination, ports)
        if mac is not None:
            return template, nic.jack.way.carry if nic.jack.way is not None else nic.jack.send
        return template, lambda frame: nic.neighbours.send(next_hop, frame, partial(self._no_neighbour, transport))

    def _no_neighbour(self, transport: TcpTransport) -> None:
        # RFC 1122 section 4.2.3.9: a soft error, but a connection that is not yet open has nothing to lose.
        if transport.connection.state is State.SYN_SENT:
            transport.connection.fail(OSError(errno.EHOSTUNREACH, "No route to host"))

    # -- UDP and ICMP: the user's side -----------------------------------------------------------------------------

    def open_datagrams(self, protocol_factory: Callable[[], Any], local: Any, remote: Any) -> tuple[Any, Any]:
        """A UDP endpoint, as create_datagram_endpoint makes one; raises OSError as bind would."""
        peer = (self.address_of(remote[0]), int(remote[1])) if remote else None
        own = self._address_to_bind(local[0]) if local else None
        port = int(local[1]) if local and local[1] else 0
        if not port:
            port = self._free_port(lambda candidate: candidate not in self._datagrams)
        others = self._datagrams.setdefault(port, [])
        if any(other.local[0] in (_ANY, own or _ANY) or own is None for other in others):
            raise OSError(errno.EADDRINUSE, f"UDP port {port} of {self.name} is already in use")
        protocol = protocol_factory()
        source = own or (self._source_for(peer[0]) if peer else _ANY)
        transport = DatagramTransport(self, protocol, (source, port), peer)
        others.append(transport)
        protocol.connection_made(transport)
        return transport, protocol

    def close_datagrams(self, transport: DatagramTransport) -> None:
        port = transport.local[1]
        self._datagrams[port].remove(transport)
        if not self._datagrams[port]:
            del self._datagrams[port]

    def send_datagram(self, transport: DatagramTransport, target: tuple[bytes, int], data: bytes) -> None:
        try:
            source = transport.local[0] if transport.local[0] != _ANY else self._source_for(target[0])
        except OSError as error:
            transport.report(error)
            return
        datagram = udp.Udp(transport.local[1], target[1], data).encode(source, target[0])
        self._send(source, target[0], ipv4.UDP, datagram)

    async def ping(self, name: str, *, timeout: float = 1.0, size: int = 56) -> float | None:
        """One ICMP echo: the round-trip time in seconds, or None when no answer came in time."""
        destination = self.address_of(name)
        try:
            source = self._source_for(destination)
        except OSError:
            return None
        loop = self.network.loop
        self._ping_sequence = self._ping_sequence + 1 & 0xFFFF
        key = (self.random.getrandbits(16), self._ping_sequence)
        answered: asyncio.Future[float] = loop.create_future()
        self._pings[key] = answered
        began = loop.time()
        self._send(
            source, destination, ipv4.ICMP, icmp.Echo(False, *key, bytes(i & 0xFF for i in range(size))).encode()
        )
        try:
            async with asyncio.timeout(timeout):
                return await answered - began
        except (TimeoutError, OSError):
            return None
        finally:
            del self._pings[key]

    def _send(self, source: bytes, destination: bytes, protocol: int, payload: bytes) -> None:
        """Send a datagram of any protocol, in fragments where it must be; what has no route is lost."""
        self._identification = self._identification + 1 & 0xFFFF
        try:
            self.send_ip(IPv4(source, destination, protocol, payload, identification=self._identification))
        except OSError:
            return

    def send_ip(self, datagram: IPv4) -> None:
        """Send a datagram as it is, in fragments where it must and may be.

        Raises OSError: ENETUNREACH without a route, EMSGSIZE where it must not be fragmented and is too long.
        """
        destination = datagram.destination
        if self._is_mine(destination):
            head = ethernet.HEADER.pack(_NO_MAC, _NO_MAC, ethernet.IPV4)
            for part in ipv4.fragments(datagram, MTU):
                self._loopback.carry(head + part.encode())
            return
        if destination[0] >= 224 or any(nic.broadcast == destination for nic in self.nics):
            for nic in self.nics:
                if nic.address == datagram.source or destination in (nic.broadcast, _LIMITED_BROADCAST):
                    head = ethernet.HEADER.pack(_group_mac(destination), nic.mac, ethernet.IPV4)
                    for part in ipv4.fragments(datagram, nic.mtu):
                        nic.jack.send(head + part.encode())
            return
        route = self.route(destination)
        if route is None:
            raise OSError(errno.ENETUNREACH, f"Network is unreachable: {socket.inet_ntoa(destination)}")
        nic, next_hop = route
        size = ipv4.HEADER.size + len(datagram.options) + len(datagram.payload)
        if datagram.dont_fragment and size > nic.mtu:
            raise OSError(errno.EMSGSIZE, "Message too long")
        head = ethernet.HEADER.pack(_NO_MAC, nic.mac, ethernet.IPV4)
        for part in ipv4.fragments(datagram, nic.mtu):
            nic.neighbours.send(next_hop, head + part.encode())

    # -- what arrives ----------------------------------------------------------------------------------------------

    def _arrive_from_myself(self, frame: bytes) -> None:
        self._take_ipv4(None, frame)

    def arrive(self, nic: Nic, frame: bytes) -> None:
        """A frame has come in by one of the interfaces."""
        destination = frame[:6]
        if destination != nic.mac and (not destination or not destination[0] & 1):
            return
        kind = frame[12:14]
        if kind == _IPV4:
            # The fast path: 20 bytes of header, TCP, no fragment, for an open connection.
            if len(frame) >= 54 and frame[14] == 0x45 and frame[23] == ipv4.TCP and not (frame[20] & 0x3F or frame[21]):
                transport = self._connections.get(frame[26:38])
                if transport is not None:
                    self._take_segment_fast(transport, frame)
                    return
            if self.forward is not None and not destination[0] & 1 and not self._is_for_me(frame[30:34]):
                self.forward(nic, frame)
            else:
                self._take_ipv4(nic, frame)
        elif kind == _ARP:
            try:
                nic.neighbours.heard(arp.decode(frame[14:]))
            except Malformed:
                return  # a host drops what it cannot read; the capture has it
        elif kind == _VLAN and nic.tagged:
            inner = nic.tagged.get(int.from_bytes(frame[14:16], "big") & 0xFFF)
            if inner is not None:
                self.arrive(inner, vlan.strip(frame))
        elif (taker := self.ethertypes.get(kind)) is not None:
            taker(nic, frame)

    def _is_for_me(self, address: bytes) -> bool:
        return (
            len(address) < 4
            or self._is_mine(address)
            or address[0] >= 224
            or any(nic.broadcast == address for nic in self.nics)
        )

    def _take_ipv4(self, nic: Nic | None, frame: bytes) -> None:
        try:
            datagram = ipv4.decode(frame[14:])
        except Malformed:
            return
        if datagram.is_fragment:
            whole = self._reassembler.add(datagram, self.network.loop.time())
            if whole is None:
                return
            datagram = whole
        destination = datagram.destination
        is_broadcast = (
            destination == _LIMITED_BROADCAST
            or destination in self._groups
            or (nic is not None and destination == nic.broadcast)
        )
        if not is_broadcast and not (self._is_mine(destination) and (nic is None or destination[0] != 127)):
            return
        if nic is not None and self.guard is not None and not self.guard(nic, datagram):
            return
        if self._blocked and self._is_blocked(datagram):
            return
        self.arrived_by = nic
        for watcher in tuple(self.watchers):
            if watcher(datagram):
                return
        try:
            if datagram.protocol == ipv4.TCP and not is_broadcast:
                self._take_segment(datagram)
            elif datagram.protocol == ipv4.UDP:
                self._take_datagram(datagram, is_broadcast)
            elif datagram.protocol == ipv4.ICMP:
                self._take_icmp(datagram, is_broadcast)
        except Malformed:
            return

    def _take_segment_fast(self, transport: TcpTransport, frame: bytes) -> None:
        end = 14 + (frame[16] << 8 | frame[17])
        if end < 54 or end > len(frame) or int.from_bytes(frame[14:34], "big") % 0xFFFF:
            return
        # The addresses stand before the segment; with protocol and length they are the pseudo-header (see
        # lab.wire.checksum for the arithmetic).
        number = int.from_bytes(frame[26:end], "big")
        if ((number << 8 if end & 1 else number) + ipv4.TCP + end - 34) % 0xFFFF:
            return
        _, _, sequence, acknowledgment, offset, flags, window, _, _ = TCP_HEADER.unpack_from(frame, 34)
        start = 34 + (offset >> 4 << 2)
        if start < 54 or start > end:
            return
        if flags & SYN:
            self._take_segment(ipv4.decode(frame[14:]))
            return
        transport.connection.arrive(sequence, acknowledgment, flags, window, frame[start:end])

    def _take_segment(self, datagram: IPv4) -> None:
        segment = decode_segment(datagram.payload, datagram.source, datagram.destination)
        key = self._key(datagram.source, datagram.destination, segment.source_port, segment.destination_port)
        transport = self._connections.get(key)
        flags = int(segment.flags)
        if transport is not None:
            connection = transport.connection
            newer = 0 < (segment.sequence - connection.next_expected) & 0xFFFFFFFF < 0x80000000
            if connection.state is not State.TIME_WAIT or flags & (SYN | ACK | RST) != SYN or not newer:
                connection.arrive(
                    segment.sequence,
                    segment.acknowledgment,
                    flags,
                    segment.window,
                    segment.payload,
                    segment.maximum_segment_size,
                )
                return
            connection.fail(ConnectionResetError(errno.ECONNRESET, "replaced"))  # RFC 9293 section 3.6.1: a new one
        if flags & RST:
            return
        listener = self._listener_for(datagram.destination, segment.destination_port)
        if listener is None or flags & ACK or not flags & SYN:
            self._refuse(datagram, segment)
            return
        own, remote = (datagram.destination, segment.destination_port), (datagram.source, segment.source_port)
        transport = self._connections[key] = TcpTransport(self, own, remote, listener)
        transport.connection.accept(segment.sequence, segment.window, segment.maximum_segment_size)

    def _listener_for(self, address: bytes, port: int) -> Listener | None:
        for listener in self._listeners.get(port, ()):
            if listener.address in (None, address):
                return listener
        return None

    def _refuse(self, datagram: IPv4, segment: Segment) -> None:
        """RFC 9293 section 3.10.7.1: a segment for no connection is answered with a reset."""
        flags = int(segment.flags)
        if flags & ACK:
            answer = Segment(
                segment.destination_port, segment.source_port, segment.acknowledgment, 0, type(segment.flags)(RST), 0
            )
        else:
            length = len(segment.payload) + bool(flags & SYN) + (flags & 1)
            answer = Segment(
                segment.destination_port,
                segment.source_port,
                0,
                segment.sequence + length & 0xFFFFFFFF,
                type(segment.flags)(RST | ACK),
                0,
            )
        source, destination = datagram.destination, datagram.source
        self._send(source, destination, ipv4.TCP, answer.encode(source, destination))

    def _take_datagram(self, datagram: IPv4, is_broadcast: bool) -> None:
        message = udp.decode(datagram.payload, datagram.source, datagram.destination)
        sender = (socket.inet_ntoa(datagram.source), message.source_port)
        for transport in self._datagrams.get(message.destination_port, ()):
            bound = transport.local[0] in (_ANY, datagram.destination) or is_broadcast
            if bound and transport.remote in (None, (datagram.source, message.source_port)):
                transport.deliver(message.payload, sender)
                return
        if not is_broadcast:
            self._report(datagram, icmp.UnreachableCode.PORT)

    def _report(self, datagram: IPv4, code: icmp.UnreachableCode) -> None:
        # RFC 1122 section 3.2.2: the header and 8 bytes of what could not be delivered.
        original = datagram.encode()[: ipv4.HEADER.size + len(datagram.options) + 8]
        message = icmp.Unreachable(code, original)
        self._send(datagram.destination, datagram.source, ipv4.ICMP, message.encode())

    def _take_icmp(self, datagram: IPv4, is_broadcast: bool) -> None:
        message = icmp.decode(datagram.payload)
        if isinstance(message, icmp.Echo):
            if not message.is_reply:
                if not is_broadcast:
                    reply = icmp.Echo(True, message.identifier, message.sequence, message.data)
                    self._send(datagram.destination, datagram.source, ipv4.ICMP, reply.encode())
                return
            waiting = self._pings.get((message.identifier, message.sequence))
            if waiting is not None and not waiting.done():
                waiting.set_result(self.network.loop.time())
        elif isinstance(message, icmp.Unreachable):
            self._take_unreachable(message)

    def _take_unreachable(self, message: icmp.Unreachable) -> None:
        """Tell whoever sent the datagram that came back (RFC 1122 sections 4.1.3.3 and 4.2.3.9)."""
        original = message.original
        if len(original) < ipv4.HEADER.size + 8 or original[0] >> 4 != 4:
            return
        size = (original[0] & 0x0F) << 2
        source, destination = original[12:16], original[16:20]
        ports = original[size : size + 4]
        if len(ports) < 4:
            return
        if message.code is icmp.UnreachableCode.FRAGMENTATION_NEEDED and original[9] == ipv4.TCP:
            # RFC 1191 section 6.5
            transport = self._connections.get(destination + source + ports[2:] + ports[:2])
            if transport is not None:
                transport.connection.path_takes(max(message.next_mtu, _LEAST_MTU))
            return
        error: OSError = OSError(errno.EHOSTUNREACH, f"No route to host: {message.code.name.lower()}")
        if message.code in (icmp.UnreachableCode.PORT, icmp.UnreachableCode.PROTOCOL):
            error = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        if original[9] == ipv4.TCP:
            transport = self._connections.get(destination + source + ports[2:] + ports[:2])
            if transport is not None and transport.connection.state is State.SYN_SENT:
                transport.connection.fail(error)
        elif original[9] == ipv4.UDP:
            for endpoint in self._datagrams.get(int.from_bytes(ports[:2], "big"), ()):
                if endpoint.remote == (destination, int.from_bytes(ports[2:], "big")):
                    endpoint.report(error)
