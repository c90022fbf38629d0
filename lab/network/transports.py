"""asyncio transports over the plant's TCP and UDP."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from lab.network.tcp import Connection, State
from lab.wire.tcp import FrameTemplate

if TYPE_CHECKING:
    from lab.network.host import Host, Listener

Address = tuple[str, int]

_HEADERS = 40
"""Bytes of the IPv4 and TCP headers without options."""
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024


class PlantSocket:
    """What `get_extra_info("socket")` gives: enough of a socket for libraries that tune one."""

    family = socket.AF_INET
    proto = 0

    def __init__(
        self, kind: socket.SocketKind, own: Address, peer: Address | None, keep_alive: Callable[[], None] | None = None
    ) -> None:
        self.type = kind
        self._own, self._peer, self._keep_alive = own, peer, keep_alive
        self._options: dict[tuple[int, int], Any] = {}

    def getsockname(self) -> Address:
        return self._own

    def getpeername(self) -> Address:
        if self._peer is None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._peer

    def setsockopt(self, level: int, option: int, value: Any, *_: Any) -> None:
        self._options[level, option] = value
        if (level, option) == (socket.SOL_SOCKET, socket.SO_KEEPALIVE) and value and self._keep_alive:
            self._keep_alive()

    def getsockopt(self, level: int, option: int, *_: Any) -> Any:
        return self._options.get((level, option), 0)

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        if flag:
            raise ValueError("a plant's socket cannot block")

    def gettimeout(self) -> float:
        return 0.0


class TcpTransport(asyncio.Transport):
    """One TCP connection of a host, for one protocol.

    Callbacks for what the network brings run in the context in which the connection was asked for, so that what they
    start belongs to the same host.
    """

    _start_tls_compatible = True

    def __init__(
        self, host: Host, local: tuple[bytes, int], remote: tuple[bytes, int], listener: Listener | None = None
    ) -> None:
        own = (socket.inet_ntoa(local[0]), local[1])
        peer = (socket.inet_ntoa(remote[0]), remote[1])
        super().__init__(
            {
                "sockname": own,
                "peername": peer,
                "socket": PlantSocket(socket.SOCK_STREAM, own, peer, lambda: self.connection.keep_alive()),
            }
        )
        self.host = host
        self.local, self.remote = local, remote
        self.listener = listener
        self.context = listener.context.copy() if listener else contextvars.copy_context()
        self.connection = Connection(
            user=self,
            transmit=self._transmit,
            alarm=host.alarm,
            now=host.network.loop.time,
            initial_sequence=host.random.getrandbits(32),
            mss=host.mtu_of(local[0]) - _HEADERS,
        )
        self.opened: asyncio.Future[None] | None = None
        """Resolved once the connection a client asked for is established, or failed."""
        self._protocol: asyncio.BaseProtocol | None = None
        self._deliver: Callable[[bytes], object] | None = None
        self._generation = -1
        self._send_frame: Callable[[bytes], None] = lambda frame: None
        self._template: FrameTemplate
        self._closing = False
        self._lost = False
        self._error: OSError | None = None
        self._reading_paused = False
        self._is_hung = False
        self._writing_paused = False
        self._eof_sent = False
        self._high, self._low = _HIGH_WATER, _LOW_WATER
        self._identification = host.random.getrandbits(16)

    # -- towards the network ---------------------------------------------------------------------------------------

    def _transmit(
        self, sequence: int, acknowledgment: int, flags: int, window: int, payload: bytes, options: bytes
    ) -> None:
        host = self.host
        if self._generation != host.generation:
            self._template, self._send_frame = host.way_for(self)
            self._generation = host.generation
        self._identification = self._identification + 1 & 0xFFFF
        self._send_frame(
            self._template.pack(self._identification, sequence, acknowledgment, flags, window, payload, options)
        )

    # -- what the connection says (lab.network.tcp.User) ------------------------------------------------------------

    def established(self) -> None:
        if self.opened is not None:
            self.connection.pause()  # until a protocol is attached
            if not self.opened.done():
                self.opened.set_result(None)
        elif self.listener is not None:
            self.listener.accept(self)

    def received(self, data: bytes) -> None:
        if self._deliver is not None and not self._closing:
            try:
                self.context.run(self._deliver, data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal(error, "Fatal error: protocol.data_received() call failed.")

    def ended(self) -> None:
        if self._closing or self._protocol is None:
            return
        protocol = cast("asyncio.Protocol", self._protocol)
        try:
            keep_open = self.context.run(protocol.eof_received)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()

    def acknowledged(self) -> None:
        if self.connection.unacknowledged <= self._low:
            self._writing_paused = self.connection.wants_room = False
            if self._protocol is not None and not self._lost:
                self.context.run(self._protocol.resume_writing)

    def closed(self, error: OSError | None) -> None:
        if self.opened is not None and not self.opened.done():
            if error is None:
                self.opened.cancel()
            else:
                self.opened.set_exception(error)
            return
        self._closing = True
        self._error = error
        # A context cannot be entered twice, and the user may be in the middle of a call of its own.
        self.host.soon(self._lose, error)

    def forgotten(self) -> None:
        self.host.forget(self)

    # -- what the protocol's side does (asyncio.Transport) ---------------------------------------------------------

    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        """Give a new connection its protocol; what has arrived meanwhile is delivered after connection_made.

        Raises OSError where the connection ended before it had one.
        """
        if self._closing:
            raise self._error or ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self.set_protocol(protocol)
        self.context.run(protocol.connection_made, self)
        if not self._reading_paused:
            self.connection.resume()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            self._deliver = self._fill_buffers
        else:
            self._deliver = cast("asyncio.Protocol", protocol).data_received

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def _fill_buffers(self, data: bytes) -> None:
        protocol = cast("asyncio.BufferedProtocol", self._protocol)
        view = memoryview(data)
        while view and not self._closing:
            buffer = memoryview(protocol.get_buffer(len(view)))
            size = min(len(buffer), len(view))
            if not size:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:size] = view[:size]
            protocol.buffer_updated(size)
            view = view[size:]

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing or self.connection.state is State.CLOSED:
            return
        if isinstance(data, memoryview):
            data = data.tobytes()
        self.connection.send(data)
        if not self._writing_paused and self.connection.unacknowledged > self._high and not self._lost:
            self._writing_paused = self.connection.wants_room = True
            if self._protocol is not None:
                self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        if not self._eof_sent and not self._closing:
            self._eof_sent = True
            self.connection.close()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """Finish in order: what was written is still delivered, and connection_lost is called soon."""
        if self._closing:
            return
        self._closing = True
        self.connection.release()
        self.host.soon(self._lose, None)

    def abort(self) -> None:
        self._force_close(None)

    def _force_close(self, error: BaseException | None) -> None:
        if self._lost:
            return
        self._closing = True
        # Before the connection tells that it has ended, which knows of no error.
        self.host.soon(self._lose, error)
        if self.connection.state is not State.CLOSED:
            self.connection.abort()

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        if not self._closing and not self._reading_paused:
            self._reading_paused = True
            self.connection.pause()

    def resume_reading(self) -> None:
        if not self._closing and self._reading_paused:
            self._reading_paused = False
            # Not from within the caller: a protocol does not expect data inside its own call.
            self.host.soon(self._resume_if_wanted)

    def _resume_if_wanted(self) -> None:
        if not self._reading_paused and not self._closing and not self._is_hung:
            self.connection.resume()

    def hang(self, hung: bool) -> None:
        """The program stops reading, without knowing, or goes on."""
        self._is_hung = hung
        if hung:
            self.connection.pause()
        else:
            self.host.soon(self._resume_if_wanted)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return self.connection.unacknowledged

    def _fatal(self, error: BaseException, message: str) -> None:
        self.host.network.loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )
        self._force_close(error)

    def _lose(self, error: BaseException | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self.listener is not None:
            self.listener.server.connections.discard(self)
        protocol, self._protocol, self._deliver = self._protocol, None, None
        if protocol is not None:
            self.context.run(protocol.connection_lost, cast("Exception | None", error))


class DatagramTransport(asyncio.DatagramTransport):
    """A UDP socket of a host."""

    def __init__(
        self, host: Host, protocol: asyncio.DatagramProtocol, local: tuple[bytes, int], remote: tuple[bytes, int] | None
    ) -> None:
        own = (socket.inet_ntoa(local[0]), local[1])
        peer = (socket.inet_ntoa(remote[0]), remote[1]) if remote else None
        extra: dict[Any, Any] = {"sockname": own, "socket": PlantSocket(socket.SOCK_DGRAM, own, peer)}
        if peer:
            extra["peername"] = peer
        super().__init__(extra)
        self.host = host
        self.local, self.remote = local, remote
        self.context = contextvars.copy_context()
        self._protocol = protocol
        self._closing = False

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram; like a kernel's socket it never waits, and what cannot be sent is lost."""
        if self._closing:
            return
        if addr is not None:
            target = (self.host.address_of(addr[0]), int(addr[1]))
            if self.remote is not None and target != self.remote:
                raise ValueError(f"Invalid address: must be None or {self.remote}")
        elif self.remote is not None:
            target = self.remote
        else:
            raise ValueError("an address is needed: this endpoint has no peer")
        self.host.send_datagram(self, target, bytes(data))

    def deliver(self, data: bytes, sender: Address) -> None:
        self._call(self._protocol.datagram_received, data, sender)

    def report(self, error: OSError) -> None:
        self._call(self._protocol.error_received, error)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._closing:
            return
        try:
            self.context.run(function, *arguments)
        except Exception as error:
            self.host.network.loop.call_exception_handler(
                {"message": "a datagram protocol failed", "exception": error, "transport": self}
            )

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.host.close_datagrams(self)
            self.host.soon(self.context.run, self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing


class PlantServer(asyncio.AbstractServer):
    """What `create_server` returns: listening ports of one host."""

    def __init__(self, host: Host, listeners: list[Listener]) -> None:
        self._host = host
        self._listeners = listeners
        self._serving = False
        self._forever: asyncio.Future[None] | None = None
        self.connections: set[TcpTransport] = set()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._host.network.loop

    @property
    def sockets(self) -> tuple[PlantSocket, ...]:
        return tuple(
            PlantSocket(socket.SOCK_STREAM, (socket.inet_ntoa(listener.address or bytes(4)), listener.port), None)
            for listener in self._listeners
        )

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        if not self._serving:
            for listener in self._listeners:
                self._host.add_listener(listener)
            self._serving = True

    async def serve_forever(self) -> None:
        await self.start_serving()
        self._forever = self.get_loop().create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()

    def close(self) -> None:
        """Accept no more; connections that are open stay open."""
        for listener in self._listeners:
            self._host.remove_listener(listener)
        self._listeners = []
        self._serving = False
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()

    async def wait_closed(self) -> None:
        """Returns at once: closing takes no time here."""

    def close_clients(self) -> None:
        for transport in tuple(self.connections):
            transport.close()

    def abort_clients(self) -> None:
        for transport in tuple(self.connections):
            transport.abort()

    async def __aenter__(self) -> PlantServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()
