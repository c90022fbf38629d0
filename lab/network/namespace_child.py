"""The process in whose network namespaces a real host lives (see lab.network.namespace, which starts it).

It needs nothing but the standard library, so that it starts quickly, and runs on Linux only. Two namespaces are joined
by a veth pair: the host's own, with its interface, and a hidden one in which the interface's cable ends at a packet
socket. Neither has a name or a mount; they are gone when the last process in them and the socket are.

    serve NAME FD    be the host NAME, under control of the socket FD
    enter PID ARGV   run a command in the host that process PID is, in place of this process
    probe            be a host for a moment, and say as JSON what failed, if anything
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from lab.network import netlink
from lab.network.packet_socket import open_packets

# linux/sched.h, sys/mount.h, linux/prctl.h
_NEW_MOUNTS, _NEW_HOSTNAME, _NEW_USER, _NEW_NETWORK = 0x00020000, 0x04000000, 0x10000000, 0x40000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC, _BIND, _RECURSIVE, _PRIVATE = 1, 2, 4, 8, 0x1000, 0x4000, 0x40000
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36

_CABLE = "cable"
"""The interface at the hidden end."""
LARGEST_MESSAGE = 128 << 10
"""Bytes on the control socket; what Linux takes as one argument of a command."""
_SECONDS_TO_LEAVE = 1.0
_BACK_DOORS = ("/run/systemd/resolve", "/run/nscd", "/run/avahi-daemon")
"""Sockets of the computer through which names would be looked up outside the plant."""


class Failed(Exception):
    """A step on the way to a real host was refused; its arguments are the step and errno."""


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(name, error.errno or 0, str(error)) from error


def _call(function: str, *arguments: object) -> None:
    """A system call that Python 3.11 does not know; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _unshare(what: int) -> None:
    _call("unshare", what)


def _join(namespace: int) -> None:
    _call("setns", namespace, 0)


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="ascii")


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """A message and the file descriptor that came with it, if any, which programs started from here do not inherit."""
    data, descriptors, _, _ = socket.recv_fds(control, LARGEST_MESSAGE, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return data, descriptors


# -- building the host -------------------------------------------------------------------------------------------------


def build(config: dict[str, Any]) -> tuple[socket.socket, int, int]:
    """Become the host; raises Failed.

    Returns the packet socket at the end of its cable, the hidden namespace and the host's.
    """
    with _step("namespaces"):
        _leave_the_computer()
    with _step("interface"):
        hidden = os.open("/proc/self/ns/net", os.O_RDONLY)
        _forget_ipv6()
        _unshare(_NEW_NETWORK)
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        _forget_ipv6()
        _write("/proc/sys/net/ipv4/conf/all/arp_notify", "1")  # announce addresses, as the simulated hosts do
        interface, address = config["interface"], IPv4Interface(config["address"])
        netlink.add_veth(interface, bytes.fromhex(config["mac"]), config["mtu"], _CABLE, hidden)
        netlink.do_without_offloads(interface)
        netlink.set_link("lo", up=True)
        netlink.add_address(interface, address)
    with _step("cable"):
        _join(hidden)
        netlink.do_without_offloads(_CABLE)
        packets = open_packets(_CABLE)
        netlink.set_link(_CABLE, up=True)
        _join(own)
    with _step("interface"):
        netlink.set_link(interface, up=True)
        if config["gateway"]:
            netlink.add_default_route(IPv4Address(config["gateway"]))
        for to, via in config["routes"]:
            with contextlib.suppress(OSError):  # by way of somebody who is not on the link
                netlink.add_route(IPv4Network(to), IPv4Address(via))
    _make_at_home(config["name"], str(address.ip), config["names"])
    return packets, hidden, own


def _leave_the_computer() -> None:
    """Into namespaces of our own; who may not create them directly may in a user namespace."""
    namespaces = _NEW_NETWORK | _NEW_MOUNTS | _NEW_HOSTNAME
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        try:
            _unshare(namespaces)
            return
        except PermissionError:
            pass  # root of a container, say
    _unshare(_NEW_USER | namespaces)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {user} 1")
    _write("/proc/self/gid_map", f"0 {group} 1")


def _forget_ipv6() -> None:
    """No router solicitations and the like from interfaces still to come."""
    for which in ("all", "default"):
        with contextlib.suppress(FileNotFoundError):
            _write(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "1")


def _make_at_home(name: str, address: str, names: dict[str, str]) -> None:
    """Host name, /etc/hosts and /sys as a computer in the plant would have them; where refused, we go without."""
    socket.sethostname(name)
    hosts = "".join(f"{where}\t{who}\n" for who, where in {"localhost": "127.0.0.1", name: address, **names}.items())
    with contextlib.suppress(OSError):
        _mount("none", "/", "none", _RECURSIVE | _PRIVATE)
        _cover("/etc/hosts", hosts)
    with contextlib.suppress(OSError):
        _cover("/etc/resolv.conf", "# This computer has no name server.\n")
    with contextlib.suppress(OSError):
        _mount("sysfs", "/sys", "sysfs", _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC)
    for directory in _BACK_DOORS:
        with contextlib.suppress(OSError):
            _mount("tmpfs", directory, "tmpfs", _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC)


def _cover(path: str, text: str) -> None:
    """Show another text in place of a file, to this host only."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        _mount(file.name, path, "none", _BIND)


# -- running commands in it --------------------------------------------------------------------------------------------


class Server:
    """Obeys the control socket until it is closed."""

    def __init__(self, control: socket.socket, hidden: int, own: int) -> None:
        self._control = control
        self._hidden, self._own = hidden, own
        self._running: dict[int, int] = {}
        """Process id to number of the command."""
        self._is_over = False

    def serve(self) -> None:
        """Returns when nobody is interested any more; every process started here is dead then."""
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._parent_has_died)
        _call("prctl", _CHILD_SUBREAPER, 1, 0, 0, 0)  # what commands leave behind becomes ours
        _call("prctl", _PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        try:
            while not self._is_over:
                for key, _ in selector.select():
                    if key.fileobj is woken:
                        woken.recv(4096)
                        self._reap()
                    else:
                        self._obey()
        finally:
            self._kill_all()

    def _parent_has_died(self, *_: object) -> None:
        # An exception could come in the middle of killing all.
        self._is_over = True

    def _obey(self) -> None:
        data, descriptors = receive(self._control)
        if not data:
            self._is_over = True
            return
        order = json.loads(data)
        if "run" in order:
            process = _start(order["argv"], descriptors[0])
            self._running[process] = order["run"]
        elif "kill" in order:
            for process, number in self._running.items():
                if number == order["kill"]:
                    os.killpg(process, signal.SIGKILL)
        elif "socket" in order:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as made:
                socket.send_fds(self._control, [json.dumps({"socket": order["socket"]}).encode()], [made.fileno()])
        elif "link" in order:
            _join(self._hidden)
            netlink.set_link(_CABLE, up=order["link"])
            _join(self._own)
        for descriptor in descriptors:
            os.close(descriptor)

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            number = self._running.pop(process, None)
            if number is not None:
                exited = {"exited": number, "status": os.waitstatus_to_exitcode(status)}
                self._control.send(json.dumps(exited).encode())

    def _kill_all(self) -> None:
        _send_away_visitors(self._own)
        # Descendants of what we kill become our children, until none is left.
        me = os.getpid()
        while children := Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii").split():
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            for child in children:
                os.waitpid(int(child), 0)


def _send_away_visitors(own: int) -> None:
    """End who has entered the host by itself, such as a shell on a terminal: it would keep a host without a cable."""
    me, inode = os.getpid(), os.fstat(own).st_ino
    for polite in (True, False):
        visitors: list[int] = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):  # it has just ended, or is somebody else's
                if entry.isdecimal() and int(entry) != me and os.stat(f"/proc/{entry}/ns/net").st_ino == inode:
                    visitor = os.pidfd_open(int(entry))
                    visitors.append(visitor)
                    signal.pidfd_send_signal(visitor, signal.SIGHUP if polite else signal.SIGKILL)
        until = time.monotonic() + _SECONDS_TO_LEAVE
        for visitor in visitors:
            select.select([visitor], [], [], max(0.0, until - time.monotonic()))
            os.close(visitor)


def _start(argv: list[str], output: int) -> int:
    """Start a command, as the head of a session of its own, and return its process id."""
    server = os.getpid()
    process = os.fork()
    if process:
        return process
    try:
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(each, signal.SIG_DFL)
        os.setsid()
        _call("prctl", _PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != server:
            os._exit(127)  # it died before we asked to follow it
        for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
            os.dup2(source, target)
        os.execvp(argv[0], argv)
    except BaseException as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def enter(process: int, argv: list[str]) -> None:
    """Become a command in the host that `process` is; returns never, raises OSError."""
    here = os.getcwd()
    namespaces = [f"/proc/{process}/ns/{kind}" for kind in ("user", "mnt", "uts", "net")]
    if os.stat(namespaces[0]).st_ino == os.stat("/proc/self/ns/user").st_ino:
        del namespaces[0]
    for namespace in [os.open(path, os.O_RDONLY) for path in namespaces]:
        _join(namespace)
    os.chdir(here)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(argv[0], argv)


# -- starting ----------------------------------------------------------------------------------------------------------


def _serve(control: socket.socket) -> None:
    try:
        packets, hidden, own = build(json.loads(control.recv(LARGEST_MESSAGE)))
    except Failed as failed:
        control.send(json.dumps({"failed": failed.args}).encode())
        return
    socket.send_fds(control, [b'{"ready": true}'], [packets.fileno()])
    packets.close()
    Server(control, hidden, own).serve()


def _probe() -> None:
    anything = {"name": "probe", "interface": "eth0", "mac": "020000000001", "mtu": 1500, "address": "192.0.2.1/24"}
    try:
        build({**anything, "gateway": "192.0.2.2", "routes": [], "names": {}})
        print("{}")
    except Failed as failed:
        print(json.dumps({"failed": failed.args}))


def main(arguments: list[str]) -> None:
    """See the module."""
    match arguments:
        case ["serve", _, descriptor]:
            os.set_inheritable(int(descriptor), False)
            _serve(socket.socket(fileno=int(descriptor)))
        case ["enter", process, *argv]:
            try:
                enter(int(process), argv)
            except OSError as error:
                print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
                sys.exit(127)
        case ["probe"]:
            _probe()


if __name__ == "__main__":
    main(sys.argv[1:])
