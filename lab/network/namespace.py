"""A real host in the plant: a Linux network namespace whose Ethernet interface ends in the plant's cable.

It stands in for a simulated host at one port, with that port's MAC address, and has the computer's own kernel, so that
real `ping`, `nmap` or `mbpoll` work in it. It has no other way out than the plant. Where the system allows, no
privileges are needed.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, Final, NamedTuple

from lab.model.frame import Port
from lab.network.fabric import MAXIMUM_FRAME, Network
from lab.network.namespace_child import receive
from lab.network.packet_socket import read_frame
from lab.network.stand_in import TAKEN, StandIn, is_taken
from lab.text import Text

NOT_LIVE = Text(
    zh="真实主机只能接入实时运行的工厂：内核的定时器不能跳跃",
    en="a real host needs live time: its kernel's timers cannot jump",
)
NOT_LINUX = Text(
    zh="真实主机需要 Linux 的网络命名空间，本机系统不是 Linux",
    en="a real host needs Linux's network namespaces, and this computer does not run Linux",
)
APPARMOR = Text(
    zh="系统禁止普通用户创建用户命名空间（kernel.apparmor_restrict_unprivileged_userns=1，Ubuntu 24.04 的默认设置）；"
    "管理员可执行 sysctl kernel.apparmor_restrict_unprivileged_userns=0 放开",
    en="AppArmor keeps ordinary users from creating user namespaces (kernel.apparmor_restrict_unprivileged_userns=1, "
    "as Ubuntu 24.04 has it); root can change that: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
)
NOT_FOR_USERS = Text(
    zh="系统禁止普通用户创建用户命名空间（kernel.unprivileged_userns_clone=0）；"
    "管理员可执行 sysctl kernel.unprivileged_userns_clone=1 放开",
    en="ordinary users may not create user namespaces (kernel.unprivileged_userns_clone=0); "
    "root can change that: sysctl kernel.unprivileged_userns_clone=1",
)
NO_USER_NAMESPACES = Text(
    zh="系统不允许再创建用户命名空间（user.max_user_namespaces={limit}）；"
    "管理员可执行 sysctl user.max_user_namespaces=10000 放开",
    en="no more user namespaces may be created (user.max_user_namespaces={limit}); "
    "root can change that: sysctl user.max_user_namespaces=10000",
)
SECCOMP = Text(
    zh="所在容器的 seccomp 规则禁止创建命名空间；Docker 可加 --security-opt seccomp=unconfined 或 --cap-add SYS_ADMIN",
    en="the seccomp rules of this container forbid namespaces; with Docker, --security-opt seccomp=unconfined or "
    "--cap-add SYS_ADMIN allow them",
)
OTHERWISE = Text(
    zh="无法在本机创建真实主机（{step}）：{error}",
    en="a real host cannot be made on this computer ({step}): {error}",
)
GONE = Text(zh="真实主机 {port} 已经不在了", en="the real host at {port} is gone")
ROOT_IN_IT = Text(
    zh="本程序以 root 身份运行：在真实主机中执行的命令对本机文件同样拥有 root 权限",
    en="this program runs as root: commands in a real host are root to the files of this computer too",
)
"""Worth saying before a shell is opened in one, where `os.geteuid()` is 0."""

_FRAMES_PER_TURN: Final = 64
_PATIENCE_SECONDS: Final = 10.0
_SETTINGS: Final = (
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "user/max_user_namespaces",
)
_LONGEST_NAME: Final = 15
"""Characters of an interface's name on Linux."""
_BOOT = "import sys; sys.path.insert(0, {root!r}); from lab.network.namespace_child import main; main(sys.argv[1:])"


def _helper(*arguments: str) -> list[str]:
    """The command line of lab.network.namespace_child, wherever this package lies and whatever is installed."""
    boot = _BOOT.format(root=str(Path(__file__).resolve().parents[2]))
    return [sys.executable, "-I", "-S", "-c", boot, *arguments]


class Finished(NamedTuple):
    """A command that ran in a real host."""

    returncode: int
    """Exit status; -n where signal n ended it."""
    output: str
    """Standard output and error, as they came."""


class RealHost:
    """See the module; `attach` makes one."""

    def __init__(
        self,
        network: Network,
        port: Port,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        cable: socket.socket,
    ) -> None:
        self.port = port
        self.dropped = 0
        """Frames for the kernel that it did not take."""
        self._network = network
        self._loop = network.loop
        self._process = process
        self._control = control
        self._cable = cable
        self._running: dict[int, asyncio.Future[int]] = {}
        self._sockets: dict[int, asyncio.Future[socket.socket]] = {}
        self._orders = 0
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._stand_in = StandIn(network, port, self._to_kernel, self._link_changed)
        network.real_hosts[port.host] = self
        self._link_changed(self._stand_in.jack.is_connected)
        self._loop.add_reader(self._cable, self._from_kernel)
        self._loop.add_reader(control, self._hear)

    @property
    def is_open(self) -> bool:
        """Whether it is still there; a real host whose process dies gives its port back by itself."""
        return not self._gone.done()

    async def run(self, argv: Sequence[str], *, timeout: float) -> Finished:
        """Run a command in the host, without input, and wait until it and its output have ended.

        A command that does not exist returns 127, as in a shell. Raises TimeoutError, the command and its children
        being killed, and OSError where the host is gone.
        """
        self._orders += 1
        number, exited = self._orders, self._loop.create_future()
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            try:
                self._tell({"run": number, "argv": list(argv)}, writing)
            finally:
                os.close(writing)
            self._running[number] = exited
            output = asyncio.StreamReader()
            transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), pipe)
            try:
                async with asyncio.timeout(timeout):
                    everything = await output.read()
                    return Finished(await exited, everything.decode(errors="replace"))
            except BaseException:
                if self.is_open:
                    self._tell({"kill": number})
                raise
            finally:
                del self._running[number]
                exited.cancel()
                transport.close()

    async def connect(self, protocol_factory: Callable[[], asyncio.BaseProtocol], address: str, port: int) -> None:
        """Open a TCP connection of this host's kernel, with a protocol of this program; raises OSError.

        No host of the plant may be current.
        """
        raw = await self._open_socket()
        try:
            await self._loop.sock_connect(raw, (address, port))
            await self._loop.create_connection(protocol_factory, sock=raw)
        except BaseException:
            raw.close()
            raise

    async def _open_socket(self) -> socket.socket:
        """A socket belongs to the network namespace it was made in, whoever uses it."""
        self._orders += 1
        number = self._orders
        made: asyncio.Future[socket.socket] = self._loop.create_future()
        self._tell({"socket": number})
        self._sockets[number] = made
        try:
            return await made
        finally:
            del self._sockets[number]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line with which any process of this user becomes `argv` in the host, terminal and all."""
        return _helper("enter", str(self._process.pid), *argv)

    async def wait_closed(self) -> None:
        """Until it is gone, for whatever reason."""
        await asyncio.shield(self._gone)

    async def close(self) -> None:
        """Give the port back to the simulated host, and end everything that `run` started."""
        self._release()
        if self.is_open:
            self._control.shutdown(socket.SHUT_WR)  # the process reads the end, and ends
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await asyncio.shield(self._gone)
            except TimeoutError:
                self._process.kill()
                await self._gone

    # -- frames ----------------------------------------------------------------------------------------------------

    def _from_kernel(self) -> None:
        cable, send = self._cable, self._stand_in.jack.send
        try:
            for _ in range(_FRAMES_PER_TURN):
                send(read_frame(cable, MAXIMUM_FRAME))
        except OSError:
            pass  # nothing more for now, or the cable has been pulled

    def _to_kernel(self, frame: bytes) -> None:
        try:
            self._cable.send(frame)
        except OSError:
            self.dropped += 1

    def _link_changed(self, up: bool) -> None:
        try:
            self._tell({"link": up})
        except OSError:
            pass  # its process is dead, as we shall hear

    # -- the process -----------------------------------------------------------------------------------------------

    def _tell(self, order: dict[str, Any], *descriptors: int) -> None:
        if not self.is_open:
            raise OSError(errno.EPIPE, GONE.say(port=self.port))
        socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)

    def _hear(self) -> None:
        try:
            data, descriptors = receive(self._control)
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            self._ended()
            return
        message = json.loads(data)
        if "socket" in message:
            self._deliver(message["socket"], descriptors)
            return
        exited = self._running.get(message["exited"])
        if exited is not None and not exited.done():
            exited.set_result(message["status"])

    def _deliver(self, number: int, descriptors: list[int]) -> None:
        wanted = self._sockets.get(number)
        for descriptor in descriptors:
            made = socket.socket(fileno=descriptor)
            made.setblocking(False)
            if wanted is None or wanted.done():
                made.close()  # nobody waits for it any more
            else:
                wanted.set_result(made)

    def _ended(self) -> None:
        """The process has closed its end: it is as good as dead."""
        self._gone.set_result(None)
        self._loop.remove_reader(self._control)
        self._control.close()
        self._process.wait()
        self._release()
        awaiting: list[asyncio.Future[Any]] = [*self._running.values(), *self._sockets.values()]
        for awaited in awaiting:
            if not awaited.done():
                awaited.set_exception(OSError(errno.EPIPE, GONE.say(port=self.port)))

    def _release(self) -> None:
        if self._cable.fileno() < 0:
            return
        self._loop.remove_reader(self._cable)
        self._cable.close()
        self._network.real_hosts.pop(self.port.host, None)
        self._stand_in.leave()


async def attach(
    network: Network,
    port: Port,
    address: IPv4Interface,
    gateway: IPv4Address | None = None,
    *,
    routes: Iterable[tuple[IPv4Network, IPv4Address]] = (),
    names: Mapping[str, IPv4Address] | None = None,
) -> RealHost:
    """Put a real host behind a port of a simulated one, whose cable, if any, then ends there.

    `routes` are (network, next hop), `names` is what its /etc/hosts says. Raises ValueError in fast time, where the
    port has a real host already or has a name Linux cannot give an interface; KeyError for an unknown port; OSError
    with what `why_not` would say.
    """
    if network.loop.is_fast:
        raise ValueError(NOT_LIVE.say())
    if len(port.name.encode()) > _LONGEST_NAME:
        raise ValueError(f"Linux has no interface called {port.name!r}")
    _refuse_second(network, port)
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, NOT_LINUX.say())
    config = {
        "name": port.host,
        "interface": port.name,
        "mac": network.hosts[port.host].nic(port.name).mac.hex(),
        "mtu": network.hosts[port.host].nic(port.name).mtu,
        "address": str(address),
        "gateway": str(gateway) if gateway else None,
        "routes": [(str(to), str(via)) for to, via in routes],
        "names": {name: str(where) for name, where in (names or {}).items()},
    }
    process, control = _start(port.host)
    cable = None
    try:
        control.send(json.dumps(config).encode())
        answer, cable = await _answer(network.loop, control)
        if failure := answer.get("failed"):
            raise OSError(failure[1], diagnose(Refusal(*failure), settings()).say())
        if cable is None:
            raise OSError(errno.ECHILD, OTHERWISE.say(step="process", error="it ended at once"))
        _refuse_second(network, port)  # one may have come meanwhile
        return RealHost(network, port, process, control, cable)
    except BaseException:
        if cable is not None:
            cable.close()
        control.close()
        process.kill()
        process.wait()
        raise


def _refuse_second(network: Network, port: Port) -> None:
    if is_taken(network, port):
        raise ValueError(TAKEN.say(port=port))


def _start(name: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    with theirs:
        process = subprocess.Popen(
            _helper("serve", name, str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is for us
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return process, control


async def _answer(
    loop: asyncio.AbstractEventLoop, control: socket.socket
) -> tuple[dict[str, Any], socket.socket | None]:
    """What the process says of its start, and the end of the cable."""
    readable = asyncio.Event()
    loop.add_reader(control, readable.set)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await readable.wait()
    finally:
        loop.remove_reader(control)
    data, descriptors = receive(control)
    if not descriptors:
        return json.loads(data or b"{}"), None
    cable = socket.socket(fileno=descriptors[0])
    cable.setblocking(False)
    return json.loads(data), cable


# -- whether it can be done --------------------------------------------------------------------------------------------


def why_not() -> Text | None:
    """What keeps this computer from having real hosts, found by trying (0.1 s); None where nothing does."""
    if sys.platform != "linux":
        return NOT_LINUX
    try:
        done = subprocess.run(_helper("probe"), capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return _filled(OTHERWISE, step="process", error=error)
    failure = json.loads(done.stdout).get("failed")
    return diagnose(Refusal(*failure), settings()) if failure else None


class Refusal(NamedTuple):
    """What the kernel did not let us do."""

    step: str
    code: int
    """errno"""
    error: str


def diagnose(refusal: Refusal, facts: Mapping[str, str]) -> Text:
    """Why the kernel refused, as far as its settings tell; `facts` are as `settings` reads them."""
    exhausted = refusal.code in (errno.ENOSPC, errno.EUSERS)
    if refusal.step == "namespaces" and (exhausted or refusal.code in (errno.EPERM, errno.EACCES)):
        if facts.get("kernel/unprivileged_userns_clone") == "0":
            return NOT_FOR_USERS
        if facts.get("kernel/apparmor_restrict_unprivileged_userns") == "1":
            return APPARMOR
        limit = facts.get("user/max_user_namespaces")
        if limit == "0" or exhausted:
            return _filled(NO_USER_NAMESPACES, limit=limit)
        if facts.get("seccomp") == "2":
            return SECCOMP
    return _filled(OTHERWISE, step=refusal.step, error=refusal.error)


def settings() -> dict[str, str]:
    """What the kernel says about user namespaces, by names below /proc/sys, and the seccomp mode of this process."""
    facts: dict[str, str] = {}
    for name in _SETTINGS:
        try:
            facts[name] = Path("/proc/sys", name).read_text(encoding="ascii").strip()
        except OSError:
            pass  # this kernel has no such setting
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("Seccomp:"):
            facts["seccomp"] = line.split()[1]
    return facts


def _filled(text: Text, **facts: object) -> Text:
    return Text(zh=text.zh.format(**facts), en=text.en.format(**facts))
