"""A real host stands in for a simulated one: same address, same cable, this computer's kernel, and no other way out."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from kernel_kit import AT_KERNEL, KERNEL, Kernel, with_kernel
from plant_kit import Plant, run

from lab.model.frame import Port, Tap
from lab.model.plant import HostConfig
from lab.network import namespace
from lab.network.namespace import RealHost, Refusal, attach, diagnose, why_not
from lab.network.published import publish
from lab.text import Text
from lab.wire import arp, ethernet

pty = pytest.importorskip("pty")

kernel_needed = [pytest.mark.namespace, pytest.mark.usefixtures("namespaces")]
HERE = IPv4Interface(f"{KERNEL}/24")


def has_ended(process: int) -> bool:
    """Whether that process ends within five seconds or has ended already."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 5)[0])
    finally:
        os.close(descriptor)


# -- what it is --------------------------------------------------------------------------------------------------------


class TestARealHost:
    pytestmark = kernel_needed

    def test_has_the_name_the_address_and_the_mac_of_its_port_and_no_other_interface(self) -> None:
        async def story(kernel: Kernel) -> tuple[str, bytes]:
            said = await kernel.script("""
import fcntl
print(socket.gethostname(), socket.gethostbyname("h1"), socket.gethostbyname("h2"), socket.if_nameindex())
raw = fcntl.ioctl(socket.socket(), 0x8927, b"eth0".ljust(40, b"\\0"))  # SIOCGIFHWADDR
print(raw[18:24].hex())
""")
            return said, kernel.plant.hosts[0].nics[0].mac

        said, mac = with_kernel(story)
        assert said.splitlines() == ["h1 10.0.0.1 10.0.0.2 [(1, 'lo'), (2, 'eth0')]", mac.hex()]

    def test_announces_itself_when_it_comes_and_speaks_no_ipv6(self) -> None:
        async def story(kernel: Kernel) -> str:
            done = await kernel.run("cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
            first = kernel.plant.frames[0]
            announced = next(f for f in kernel.plant.frames if f.tap.sent_from == AT_KERNEL and f.at > first.at)
            packet = arp.decode(announced.data[14:])
            assert announced.data[:6] == ethernet.BROADCAST
            assert packet.sender_ip == packet.target_ip == HERE.packed
            return done.output

        assert with_kernel(story) in (
            "1\n",
            "cat: /proc/sys/net/ipv6/conf/eth0/disable_ipv6: No such file or directory\n",
        )

    def test_knows_no_way_out_but_the_plant(self) -> None:
        async def story(kernel: Kernel) -> str:
            return await kernel.script("""
for address in ("192.0.2.1", "8.8.8.8"):
    try:
        socket.create_connection((address, 53), 1)
    except OSError as error:
        print(error.errno)
print(len(open("/proc/net/route").readlines()) - 1)
""")

        assert with_kernel(story).split() == [str(errno.ENETUNREACH)] * 2 + ["1"]

    def test_sends_what_is_for_elsewhere_to_its_gateway(self) -> None:
        async def story(plant: Plant) -> bytes:
            gateway = plant.hosts[1].nics[0]
            sent: asyncio.Future[bytes] = plant.loop.create_future()

            def watch(tap: Tap, _: int, frame: bytes) -> None:
                if b"far away" in frame and tap.seen_at == Port("h2", "eth0"):
                    sent.set_result(frame)

            plant.network.taps.append(watch)
            real = await attach(plant.network, AT_KERNEL, HERE, IPv4Interface("10.0.0.2/24").ip)
            script = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'far away', ('192.0.2.1', 9))"
            await real.run([sys.executable, "-I", "-S", "-c", script], timeout=10)
            frame = await sent
            await real.close()
            assert frame[:6] == gateway.mac
            return frame[30:34]

        assert run(story, fast=False, patience=20) == bytes((192, 0, 2, 1))

    def test_loses_its_link_with_its_cable_and_finds_it_again(self, ping: str) -> None:
        async def story(kernel: Kernel) -> list[bool]:
            network = kernel.plant.network
            lucky: list[bool] = []
            for change in (
                lambda: None,
                lambda: network.unplug(AT_KERNEL),
                lambda: network.plug(AT_KERNEL, Port("sw", "p4")),
            ):
                change()
                done = await kernel.run(ping, "-c", "3", "-i", "0.3", "-W", "1", "h2")
                lucky.append(done.returncode == 0)
            return lucky

        assert with_kernel(story) == [True, False, True]

    def test_speaks_and_hears_vlan_tags_though_the_kernel_takes_them_off(self) -> None:
        async def story(kernel: Kernel) -> None:
            tagged = ethernet.BROADCAST + kernel.plant.hosts[0].nics[0].mac + bytes.fromhex("8100a014") + b"\x88\xb5"
            await kernel.script(f"""
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind(("eth0", 0))
packets.send(bytes.fromhex({(tagged + bytes(46)).hex()!r}))
""")
            said = [frame.data for frame in kernel.plant.frames if frame.tap.sent_from == AT_KERNEL]
            assert tagged + bytes(46) in said

        with_kernel(story)

    def test_may_have_a_vlan_sub_interface(self) -> None:
        async def story(kernel: Kernel) -> bool:
            made = await kernel.run("ip", "link", "add", "link", "eth0", "name", "eth0.20", "type", "vlan", "id", "20")
            if made.returncode != 0:
                pytest.skip(f"no VLAN interfaces here: {made.output.strip()}")
            await kernel.run("ip", "addr", "add", "192.168.20.1/24", "dev", "eth0.20")
            await kernel.run("ip", "link", "set", "eth0.20", "up")
            other = kernel.plant.hosts[1]
            other.configure(
                HostConfig.model_validate(
                    {"interfaces": {"eth0": {"address": "10.0.0.2/24"}, "eth0.20": {"address": "192.168.20.2/24"}}}
                )
            )
            return await other.ping("192.168.20.1", timeout=5) is not None

        assert with_kernel(story)

    def test_follows_static_routes(self) -> None:
        async def story(plant: Plant) -> str:
            route = (IPv4Network("192.0.2.0/24"), IPv4Address("10.0.0.2"))
            real = await attach(plant.network, AT_KERNEL, HERE, routes=[route])
            said = (await real.run(["cat", "/proc/net/route"], timeout=10)).output
            await real.close()
            return said

        lines = [line.split() for line in run(story, fast=False, patience=20).splitlines()[1:]]
        assert [(line[1], line[2]) for line in lines if line[1] == "000200C0"] == [("000200C0", "0200000A")]

    def test_connects_for_the_published_ports_of_the_host_it_stands_in_for(self) -> None:
        async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readexactly(5)).upper())
            writer.close()

        async def story(plant: Plant) -> list[bytes]:
            workstation, server = plant.hosts
            await server.spawn(asyncio.start_server(shout, "0.0.0.0", 7))
            published = await publish(workstation, 0, "10.0.0.2", 7)

            async def knock() -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", published.port)
                writer.write(b"hello")
                try:
                    return await reader.read()
                except ConnectionResetError:
                    return b"reset"
                finally:
                    writer.close()

            heard = [await knock()]
            real = await attach(plant.network, AT_KERNEL, HERE)
            heard.append(await knock())
            opened = [f for f in plant.frames if f.tap.sent_from == AT_KERNEL and b"hello" in f.data]
            assert opened, "its kernel sent it through the plant"
            await real.close()
            heard.append(await knock())
            published.close()
            return heard

        assert run(story, fast=False, patience=30) == [b"HELLO"] * 3

    def test_drops_and_counts_a_frame_that_no_card_would_take(self) -> None:
        async def story(kernel: Kernel) -> int:
            kernel.plant.network.jack(AT_KERNEL).receive(bytes(1600))
            return kernel.host.dropped

        assert with_kernel(story) == 1


# -- running commands --------------------------------------------------------------------------------------------------


class TestACommand:
    pytestmark = kernel_needed

    def test_says_what_it_says_and_how_it_ended(self) -> None:
        async def story(kernel: Kernel) -> list[tuple[int, str]]:
            commands = ["echo out; echo err >&2", "exit 3", "kill -9 $$", "head -c 1000000 /dev/zero | wc -c", "cat"]
            return [tuple(await kernel.run("sh", "-c", command)) for command in commands]

        assert with_kernel(story) == [(0, "out\nerr\n"), (3, ""), (-9, ""), (0, "1000000\n"), (0, "")]

    def test_may_say_more_than_a_pipe_holds(self) -> None:
        async def story(kernel: Kernel) -> int:
            done = await kernel.run("head", "-c", "1000000", "/dev/zero")
            return len(done.output)

        assert with_kernel(story) == 1_000_000

    def test_that_does_not_exist_ends_as_in_a_shell(self) -> None:
        async def story(kernel: Kernel) -> int:
            return (await kernel.run("no-such-program")).returncode

        assert with_kernel(story) == 127

    def test_runs_beside_others(self) -> None:
        async def story(kernel: Kernel) -> list[str]:
            done = await asyncio.gather(*(kernel.run("sh", "-c", f"echo {n}; exit {n}") for n in range(10)))
            assert [each.returncode for each in done] == list(range(10))
            return [each.output for each in done]

        assert with_kernel(story) == [f"{n}\n" for n in range(10)]

    def test_that_takes_too_long_is_killed_with_its_children(self, tmp_path: Path) -> None:
        async def story(kernel: Kernel) -> None:
            with pytest.raises(TimeoutError):
                await kernel.run("sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/child; wait", timeout=0.3)

            assert has_ended(int((tmp_path / "child").read_text()))

        with_kernel(story)

    def test_may_be_interactive(self) -> None:
        async def story(kernel: Kernel) -> str:
            ours, theirs = pty.openpty()
            command = kernel.host.command(["sh", "-c", "tty && hostname && pwd"])

            def converse() -> str:
                with subprocess.Popen(
                    command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
                ) as it:
                    os.close(theirs)
                    assert it.wait(timeout=10) == 0
                said = os.read(ours, 4096).decode()
                os.close(ours)
                return said

            return await kernel.plant.loop.run_in_executor(None, converse)

        terminal, host, directory = with_kernel(story).splitlines()
        assert terminal.startswith("/dev/")
        assert (host, directory) == ("h1", os.getcwd())


# -- the end -----------------------------------------------------------------------------------------------------------


class TestAtTheEnd:
    pytestmark = kernel_needed

    def test_the_simulated_host_has_its_port_back(self) -> None:
        async def story(plant: Plant) -> list[bool]:
            simulated, other = plant.hosts
            lucky = [await simulated.ping("10.0.0.2") is not None]
            real = await attach(plant.network, AT_KERNEL, HERE)
            lucky.append(await simulated.ping("10.0.0.2", timeout=0.1) is not None)
            lucky.append(await other.ping(KERNEL) is not None)
            await real.close()
            await real.close()
            lucky += [await simulated.ping("10.0.0.2") is not None, await other.ping(KERNEL) is not None]
            return lucky

        assert run(story, fast=False, patience=20) == [True, False, True, True, True]

    def test_whatever_was_started_there_is_dead(self, tmp_path: Path) -> None:
        async def story(kernel: Kernel) -> None:
            # Sessions of their own, parents that are gone: what daemons do.
            daemon = f"setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 1000' > /dev/null 2>&1 & sleep 0.2"
            await kernel.run("sh", "-c", daemon)

        with_kernel(story)
        assert has_ended(int((tmp_path / "daemon").read_text()))

    def test_whoever_entered_by_itself_is_sent_away(self) -> None:
        async def story(kernel: Kernel) -> None:
            command = kernel.host.command(["sh", "-c", "echo here; trap '' HUP; sleep 1000"])
            visitor = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            assert visitor.stdout is not None
            assert await visitor.stdout.readline() == b"here\n"
            await kernel.host.close()
            async with asyncio.timeout(10):
                assert await visitor.wait() == -signal.SIGKILL

        with_kernel(story)

    def test_a_host_whose_process_dies_gives_its_port_back_and_says_so(self) -> None:
        async def story(plant: Plant) -> None:
            real = await attach(plant.network, AT_KERNEL, HERE)
            process = int(real.command([])[-1])
            running = asyncio.create_task(real.run(["sleep", "1000"], timeout=10))
            await real.run(["true"], timeout=10)
            os.kill(process, signal.SIGKILL)
            with pytest.raises(OSError, match="gone"):
                await running
            assert not real.is_open
            with pytest.raises(OSError, match="gone"):
                await real.run(["true"], timeout=10)
            announced = plant.frames[-1].data
            assert arp.decode(announced[14:]).sender_ip == HERE.packed, "by the simulated host"
            assert await plant.hosts[0].ping("10.0.0.2") is not None
            await real.close()

        run(story, fast=False, patience=20)

    def test_nothing_outlives_a_plant_that_is_killed(self) -> None:
        program = """
import asyncio
from kernel_kit import Kernel, with_kernel
async def story(kernel: Kernel) -> None:
    waiting = asyncio.create_task(kernel.run("sh", "-c", "sleep 1000 & wait", timeout=1000))
    await kernel.run("sh", "-c", "setsid sh -c 'sleep 1000 & wait' > /dev/null 2>&1 &")
    print(kernel.host.command([])[-1], flush=True)
    await waiting
with_kernel(story)
"""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, text=True
        ) as plant:
            assert plant.stdout is not None
            server = int(plant.stdout.readline())
            family = [server]
            for member in family:
                family += map(int, Path(f"/proc/{member}/task/{member}/children").read_text().split())
            assert len(family) >= 3
            plant.kill()
        assert all(has_ended(each) for each in family)


# -- when it cannot be -------------------------------------------------------------------------------------------------


def test_there_is_none_in_fast_time() -> None:
    async def story(plant: Plant) -> None:
        with pytest.raises(ValueError, match="live time"):
            await attach(plant.network, AT_KERNEL, HERE)

    run(story)


def test_a_port_must_exist_and_be_free_of_other_real_hosts(namespaces: None) -> None:
    async def story(kernel: Kernel) -> None:
        network = kernel.plant.network
        for nowhere in (Port("h9", "eth0"), Port("h2", "eth9"), Port("sw", "p1")):
            with pytest.raises(KeyError):
                await attach(network, nowhere, HERE)
        with pytest.raises(ValueError, match="already"):
            await attach(network, AT_KERNEL, HERE)
        await kernel.host.close()
        both = await asyncio.gather(*(attach(network, AT_KERNEL, HERE) for _ in range(2)), return_exceptions=True)
        (won,) = (each for each in both if isinstance(each, RealHost))
        (lost,) = (each for each in both if isinstance(each, ValueError))
        assert "already" in str(lost)
        await won.close()
        network.add_host("h4", ("a-port-with-a-long-name",))
        with pytest.raises(ValueError, match="no interface called"):
            await attach(network, Port("h4", "a-port-with-a-long-name"), HERE)

    with_kernel(story)


def test_another_system_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert why_not() == namespace.NOT_LINUX


UBUNTU = {"kernel/apparmor_restrict_unprivileged_userns": "1", "user/max_user_namespaces": "100000"}


@pytest.mark.parametrize(
    ("code", "facts", "reason"),
    [
        (errno.EPERM, UBUNTU, namespace.APPARMOR),
        (errno.EACCES, UBUNTU, namespace.APPARMOR),
        (errno.EPERM, {"kernel/unprivileged_userns_clone": "0"}, namespace.NOT_FOR_USERS),
        (errno.EPERM, {"seccomp": "2", "user/max_user_namespaces": "100000"}, namespace.SECCOMP),
    ],
)
def test_what_forbids_it_is_named(code: int, facts: dict[str, str], reason: Text) -> None:
    assert diagnose(Refusal("namespaces", code, "no"), facts) == reason


@pytest.mark.parametrize(("code", "limit"), [(errno.ENOSPC, "0"), (errno.EUSERS, "12"), (errno.EPERM, "0")])
def test_a_limit_is_named_with_its_value(code: int, limit: str) -> None:
    reason = diagnose(Refusal("namespaces", code, "no"), {"user/max_user_namespaces": limit})
    assert f"user.max_user_namespaces={limit}" in reason.en
    assert f"user.max_user_namespaces={limit}" in reason.zh


def test_what_nobody_foresaw_is_said_as_the_kernel_said_it() -> None:
    reason = diagnose(Refusal("interface", errno.EOPNOTSUPP, "Operation not supported"), UBUNTU)
    assert "interface" in reason.en
    assert "Operation not supported" in reason.zh
