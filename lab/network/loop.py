"""The event loop of a plant: asyncio as libraries know it, on the plant's network and the plant's clock.

`create_server`, `create_connection`, `create_datagram_endpoint`, `sock_connect` and `getaddrinfo` belong to the current
host, a context variable that tasks and callbacks inherit. With no current host the loop is an ordinary one.

In live time one second is one second. In fast time nothing waits: when nothing is ready the clock jumps to the next
timer, and every frame on a cable moves it by the time the frame takes. Jobs in executors are real work in real time, so
the clock stands still while any is under way.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lab.clock import EPOCH_NS

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.transports import TcpTransport

current_host: ContextVar[Host | None] = ContextVar("current_host", default=None)

_NS = 1_000_000_000
_LOOK_OUTSIDE_EVERY = 64
"""In fast time real file descriptors are looked at once in so many turns of the loop."""
_BUSY_TURNS = 16
"""In live time, while callbacks are ready, once in so many."""


class PlantLoop(asyncio.SelectorEventLoop):
    """See the module; `epoch_ns` is what the plant's clock shows at the start, by default now (live) or EPOCH_NS."""

    def __init__(self, *, fast: bool = False, epoch_ns: int | None = None) -> None:
        self._fast = fast
        self._virtual_ns = 0
        self._jobs = 0
        if epoch_ns is None:
            epoch_ns = EPOCH_NS if fast else time.time_ns()
        self.epoch_ns = epoch_ns
        self._offset_ns = epoch_ns if fast else epoch_ns - time.monotonic_ns()
        """What to add to the loop's own time for the time on the plant's wall."""
        self._adopted: WeakKeyDictionary[socket.socket, TcpTransport] = WeakKeyDictionary()
        if not fast:
            self.time = time.monotonic  # type: ignore[method-assign]
        super().__init__(_JumpingSelector(self) if fast else _PatientSelector())

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def is_fast(self) -> bool:
        return self._fast

    def time(self) -> float:
        """Seconds on the loop's own clock; in live time it is `time.monotonic` itself."""
        return self._virtual_ns / _NS

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch on the plant's clock."""
        return (self._virtual_ns if self._fast else time.monotonic_ns()) + self._offset_ns

    def stamp(self, transmission_ns: int) -> int:
        """The wall time at which a frame arrives that takes so long to send; in fast time that time passes now."""
        if self._fast:
            self._virtual_ns += transmission_ns
            return self._virtual_ns + self._offset_ns
        return time.monotonic_ns() + self._offset_ns

    def _jump(self, seconds: float) -> None:
        self._virtual_ns += round(seconds * _NS)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        if self._fast:
            self._jobs += 1
            future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1

    @contextmanager
    def real_work(self) -> Iterator[None]:
        """Inside, something outside the loop is at work that the plant's clock must wait for."""
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1

    # -- the current host's network --------------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        here = current_host.get()
        if here is None or options.get("sock") is not None:
            return await super().create_server(protocol_factory, host, port, **options)
        return await here.listen(
            protocol_factory,
            host,
            port or 0,
            ssl=options.get("ssl"),
            ssl_handshake_timeout=options.get("ssl_handshake_timeout"),
            ssl_shutdown_timeout=options.get("ssl_shutdown_timeout"),
            start_serving=options.get("start_serving", True),
        )

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        here = current_host.get()
        sock = options.get("sock")
        transport = self._adopted.pop(sock, None) if sock is not None else None
        if here is None or (sock is not None and transport is None):
            return await super().create_connection(protocol_factory, host, port, **options)
        if transport is None:
            transport = await here.connect(host, port, options.get("local_addr"))
        elif sock is not None:
            sock.close()
        context, server_name = options.get("ssl"), options.get("server_hostname")
        if context and server_name is None:
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_name = host
        protocol = protocol_factory()
        try:
            wrapped = await self._attach(transport, protocol, context, server_name, server_side=False, **options)
        except BaseException:
            transport.close()
            raise
        return wrapped, protocol

    async def _attach(
        self,
        transport: TcpTransport,
        protocol: asyncio.BaseProtocol,
        context: Any,
        server_name: str | None,
        *,
        server_side: bool,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **_: Any,
    ) -> asyncio.Transport:
        if not context:
            transport.attach(protocol)
            return transport
        waiter = self.create_future()
        secured = _SpokenSSLProtocol(
            self,
            protocol,
            None if context is True else context,  # type: ignore[arg-type]
            waiter,
            server_side,
            server_name,
            ssl_handshake_timeout=ssl_handshake_timeout,  # type: ignore[arg-type]
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        transport.attach(secured)
        await waiter
        return secured._app_transport

    def secure_server_side(
        self, protocol: asyncio.BaseProtocol, context: Any, handshake: float | None, shutdown: float | None
    ) -> asyncio.BaseProtocol:
        """TLS for an accepted connection: the protocol to attach in place of `protocol`."""
        return _SpokenSSLProtocol(
            self,
            protocol,
            context,
            None,  # type: ignore[arg-type]
            True,
            None,
            ssl_handshake_timeout=handshake,  # type: ignore[arg-type]
            ssl_shutdown_timeout=shutdown,
        )

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Libraries such as aiohttp connect a socket of their own first; the plant's connection stands in for it."""
        here = current_host.get()
        if here is None or sock.type != socket.SOCK_STREAM:
            await super().sock_connect(sock, address)
            return
        self._adopted[sock] = await here.connect(address[0], address[1], None)

    async def create_datagram_endpoint(
        self, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        here = current_host.get()
        if here is None or options.get("sock") is not None:
            return await super().create_datagram_endpoint(protocol_factory, local_addr, remote_addr, **options)
        return here.open_datagrams(protocol_factory, local_addr, remote_addr)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        here = current_host.get()
        if here is None:
            return await super().getaddrinfo(host, port, **options)
        if host:
            host = socket.inet_ntoa(await here.resolve(host.decode() if isinstance(host, bytes) else host))
        return here.look_up(host, port, options.get("type", 0))

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        if current_host.get() is None:
            return await super().getnameinfo(sockaddr, flags)
        return str(sockaddr[0]), str(sockaddr[1])


class _SpokenSSLProtocol(sslproto.SSLProtocol):
    """Sends the alert in which OpenSSL says why it breaks off a handshake, which asyncio would keep to itself."""

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if isinstance(handshake_exc, ssl.SSLError):
            self._process_outgoing()  # type: ignore[attr-defined]
        super()._on_handshake_complete(handshake_exc)


class _PatientSelector(selectors.BaseSelector):
    """Does not ask the kernel in every turn of a loop that is busy: a plant's own frames need no file descriptor."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            self._turns += 1
            if self._turns < _BUSY_TURNS:
                return []
        self._turns = 0
        return self._real.select(timeout)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)

    def get_map(self) -> Any:
        return self._real.get_map()


class _JumpingSelector(_PatientSelector):
    """Waits for nothing but executor jobs: where a real selector would sleep, the loop's clock jumps."""

    def __init__(self, loop: PlantLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop
        if loop._jobs:
            return self._real.select(timeout if timeout is None or timeout <= 0 else None)
        if timeout is None:
            return self._real.select(None)
        self._turns += 1
        if self._turns >= _LOOK_OUTSIDE_EVERY:
            self._turns = 0
            if ready := self._real.select(0):
                return ready
        if timeout > 0:
            loop._jump(timeout)
        return []
