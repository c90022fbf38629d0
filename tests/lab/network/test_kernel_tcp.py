"""The Linux kernel's TCP, which nobody here wrote, finds nothing odd about ours: in both directions, on bad cables."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import random
import re

import pytest
from kernel_kit import AT_KERNEL, KERNEL, OURS, Kernel, with_kernel

from devices.boiler_plc import BoilerPlc, BoilerPlcConfig
from lab.network.fabric import Impairment
from lab.network.tcp import RST
from lab.wire import ethernet, ipv4, tcp

pytestmark = [pytest.mark.namespace, pytest.mark.usefixtures("namespaces")]

MEGABYTES = 2 << 20
DATA = random.Random(7).randbytes(MEGABYTES)
DIGEST = hashlib.sha256(DATA).hexdigest()
"""In a script: `data = random.Random(7).randbytes(2 << 20)`."""

BAD_CABLE = Impairment(loss=0.005, duplicate=0.01, corrupt=0.002, delay=0.0005, jitter=0.0003)


def make_bad(kernel: Kernel) -> None:
    cable = kernel.plant.network.cable_at(AT_KERNEL)
    assert cable is not None
    cable.impair(BAD_CABLE)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def segments_from(kernel: Kernel, address: str, port: int) -> list[tcp.Segment]:
    """What left that address and port, as it arrived at the switch."""
    found: list[tcp.Segment] = []
    for frame in kernel.plant.frames:
        if frame.tap.seen_at.host != "sw" or frame.data[12:14] != ethernet.IPV4.to_bytes(2, "big"):
            continue
        datagram = ipv4.decode(frame.data[14:])
        if datagram.protocol == ipv4.TCP and datagram.source == bytes(map(int, address.split("."))):
            segment = tcp.decode(datagram.payload, datagram.source, datagram.destination)
            if port in (segment.source_port, segment.destination_port):
                found.append(segment)
    return found


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


# -- in order ----------------------------------------------------------------------------------------------------------


def test_the_kernel_connects_and_is_echoed() -> None:
    async def story(kernel: Kernel) -> str:
        await kernel.plant.hosts[1].spawn(asyncio.start_server(echo, "0.0.0.0", 7))
        return await kernel.script("""
s = connect(7)
for size in (1, 1460, 1461, 100_000):
    s.sendall(bytes(size))
    while size:
        size -= len(s.recv(size))
s.shutdown(socket.SHUT_WR)
print("then", s.recv(1))
""")

    assert with_kernel(story) == "then b''"


def test_we_connect_and_the_kernel_echoes() -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(KERNEL, 7)
        writer.write(DATA[:100_000])
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return heard

    async def story(kernel: Kernel) -> bytes:
        heard, _ = await kernel.while_serving(
            """
s = accept(7)
while part := s.recv(4096):
    s.sendall(part)
""",
            talk,
        )
        return heard

    assert with_kernel(story) == DATA[:100_000]


# -- on a bad cable ----------------------------------------------------------------------------------------------------


def test_megabytes_from_the_kernel_survive_a_bad_cable() -> None:
    async def story(kernel: Kernel) -> str:
        make_bad(kernel)

        async def check(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(digest(await reader.read()).encode())
            writer.close()

        await kernel.plant.hosts[1].spawn(asyncio.start_server(check, "0.0.0.0", 7))
        return await kernel.script(
            """
s = connect(7)
s.settimeout(50)
s.sendall(random.Random(7).randbytes(2 << 20))
s.shutdown(socket.SHUT_WR)
print(read_all(s).decode())
""",
            timeout=50,
        )

    assert with_kernel(story) == DIGEST


def test_megabytes_to_the_kernel_survive_a_bad_cable() -> None:
    async def story(kernel: Kernel) -> str:
        make_bad(kernel)

        async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(DATA)
            writer.close()

        await kernel.plant.hosts[1].spawn(asyncio.start_server(pour, "0.0.0.0", 7))
        return await kernel.script("print(hashlib.sha256(read_all(connect(7))).hexdigest())", timeout=50)

    assert with_kernel(story) == DIGEST


def test_megabytes_both_ways_at_once_survive_a_bad_cable() -> None:
    async def talk() -> str:
        reader, writer = await asyncio.open_connection(KERNEL, 7)
        writer.write(DATA)
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return digest(heard)

    async def story(kernel: Kernel) -> tuple[str, str]:
        make_bad(kernel)
        return await kernel.while_serving(
            """
import threading
s = accept(7)
s.settimeout(50)
def pour():
    s.sendall(random.Random(7).randbytes(2 << 20))
    s.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=pour)
thread.start()
print(hashlib.sha256(read_all(s)).hexdigest())
thread.join()
""",
            talk,
            timeout=50,
        )

    assert with_kernel(story) == (DIGEST, DIGEST)


# -- refusals and ends -------------------------------------------------------------------------------------------------


def test_a_closed_port_of_ours_refuses_the_kernel_at_once() -> None:
    async def story(kernel: Kernel) -> str:
        return await kernel.script("""
began = time.monotonic()
try:
    connect(502)
except ConnectionRefusedError as error:
    print("refused", time.monotonic() - began < 1)
""")

    assert with_kernel(story) == "refused True"


def test_a_closed_port_of_the_kernel_refuses_us() -> None:
    async def story(kernel: Kernel) -> None:
        with pytest.raises(ConnectionRefusedError):
            await kernel.plant.hosts[1].spawn(asyncio.open_connection(KERNEL, 502))

    with_kernel(story)


def test_an_address_of_nobody_is_unreachable_for_the_kernel() -> None:
    async def story(kernel: Kernel) -> str:
        return await kernel.script("""
for address in ("10.0.0.77", "192.0.2.1"):
    try:
        socket.create_connection((address, 7), 10)
    except OSError as error:
        print(error.errno)
""")

    assert with_kernel(story).split() == [str(errno.EHOSTUNREACH), str(errno.ENETUNREACH)]


def test_the_kernel_half_closes_and_still_hears_us_out() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(await reader.read())
        writer.write(bytes(size))
        writer.close()

    async def story(kernel: Kernel) -> str:
        await kernel.plant.hosts[1].spawn(asyncio.start_server(count, "0.0.0.0", 7))
        return await kernel.script("""
s = connect(7)
s.sendall(bytes(300_000))
s.shutdown(socket.SHUT_WR)
print(len(read_all(s)))
""")

    assert with_kernel(story) == "300000"


def test_we_half_close_and_still_hear_the_kernel_out() -> None:
    async def talk() -> int:
        reader, writer = await asyncio.open_connection(KERNEL, 7)
        writer.write(b"how much?")
        writer.write_eof()
        size = len(await reader.read())
        writer.close()
        return size

    async def story(kernel: Kernel) -> int:
        size, _ = await kernel.while_serving("s = accept(7); read_all(s); s.sendall(bytes(300_000)); s.close()", talk)
        return size

    assert with_kernel(story) == 300_000


@pytest.mark.parametrize("closes_first", ["kernel", "we"])
def test_after_both_have_closed_neither_sends_a_reset(closes_first: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if closes_first == "kernel":
            await reader.read()
        writer.close()

    async def story(kernel: Kernel) -> list[tcp.Flag]:
        await kernel.plant.hosts[1].spawn(asyncio.start_server(serve, "0.0.0.0", 7))
        await kernel.script("s = connect(7)\n" + ("s.close()" if closes_first == "kernel" else "s.recv(1); s.close()"))
        await asyncio.sleep(0.1)  # the last acknowledgment is delayed
        return [s.flags for side in (KERNEL, OURS) for s in segments_from(kernel, side, 7)]

    flags = with_kernel(story)
    assert flags
    assert not any(int(each) & RST for each in flags)


def test_a_killed_kernel_process_resets_us_in_the_middle_of_a_transfer() -> None:
    async def pour() -> None:
        _, writer = await asyncio.open_connection(KERNEL, 7)
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
        finally:
            writer.close()

    async def story(kernel: Kernel) -> None:
        with pytest.raises(ConnectionResetError):
            await kernel.while_serving(
                "s = accept(7); s.recv(200_000); import os, signal; os.kill(os.getpid(), signal.SIGKILL)", pour
            )

    with_kernel(story)


def test_our_abort_resets_the_kernel_in_the_middle_of_a_transfer() -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(200_000)
        writer.transport.abort()

    async def story(kernel: Kernel) -> str:
        await kernel.plant.hosts[1].spawn(asyncio.start_server(slam, "0.0.0.0", 7))
        return await kernel.script("""
s = connect(7)
try:
    while True:
        s.sendall(bytes(65536))
except OSError as error:
    print(type(error).__name__)
""")

    assert with_kernel(story) in ("ConnectionResetError", "BrokenPipeError")


# -- closed windows ----------------------------------------------------------------------------------------------------


def test_a_kernel_process_that_does_not_read_stops_us_until_it_does() -> None:
    async def pour() -> None:
        _, writer = await asyncio.open_connection(KERNEL, 7)
        writer.write(DATA)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def story(kernel: Kernel) -> tuple[str, int]:
        _, said = await kernel.while_serving(
            """
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
listening.bind(("", 7))
listening.listen()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"ready", (OURS, 9))
s, _ = listening.accept()
time.sleep(2.5)
print(hashlib.sha256(read_all(s)).hexdigest())
""",
            pour,
        )
        return said, min(segment.window for segment in segments_from(kernel, KERNEL, 7) if segment.payload == b"")

    assert with_kernel(story) == (DIGEST, 0)


def test_when_we_do_not_read_the_kernel_stops_until_we_do() -> None:
    async def doze(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2.5)
        writer.write(digest(await reader.read()).encode())
        writer.close()

    async def story(kernel: Kernel) -> tuple[str, int]:
        await kernel.plant.hosts[1].spawn(asyncio.start_server(doze, "0.0.0.0", 7))
        said = await kernel.script("""
s = connect(7)
s.sendall(random.Random(7).randbytes(2 << 20))
s.shutdown(socket.SHUT_WR)
print(read_all(s).decode())
""")
        return said, min(segment.window for segment in segments_from(kernel, OURS, 7))

    assert with_kernel(story) == (DIGEST, 0)


# -- tools -------------------------------------------------------------------------------------------------------------


@pytest.mark.foreign
@pytest.mark.parametrize("size", [0, 56, 1472, 4000])
def test_ping_is_answered(size: int, ping: str) -> None:
    async def story(kernel: Kernel) -> str:
        done = await kernel.run(ping, "-c", "3", "-i", "0.05", "-s", str(size), "h2")
        return done.output

    assert "3 received, 0% packet loss" in with_kernel(story)


def test_we_ping_the_kernel() -> None:
    async def story(kernel: Kernel) -> list[float | None]:
        return [await kernel.plant.hosts[1].ping(KERNEL, size=size) for size in (56, 4000)]

    assert None not in with_kernel(story)


async def start_boiler(kernel: Kernel) -> None:
    host = kernel.plant.hosts[1]
    boiler = BoilerPlc(host, BoilerPlcConfig(unit=7), lambda point, value: None)
    await host.spawn(boiler.start())


@pytest.mark.foreign
def test_nmap_tells_open_from_closed(nmap: str) -> None:
    async def story(kernel: Kernel) -> str:
        await start_boiler(kernel)
        done = await kernel.run(nmap, "-sT", "-p", "501-503", "-n", "h2")
        return done.output

    states = dict(re.findall(r"(\d+)/tcp +(\w+)", with_kernel(story)))
    assert states == {"501": "closed", "502": "open", "503": "closed"}


@pytest.mark.foreign
def test_nmap_finds_who_is_on_the_link_and_nobody_else(nmap: str) -> None:
    async def story(kernel: Kernel) -> str:
        done = await kernel.run(nmap, "-sn", "-n", "10.0.0.0/29")
        return done.output

    found = re.findall(r"report for ([\d.]+)", with_kernel(story, hosts=3))
    assert sorted(found) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.mark.foreign
def test_mbpoll_reads_the_boiler(mbpoll: str) -> None:
    async def story(kernel: Kernel) -> str:
        await start_boiler(kernel)
        done = await kernel.run(mbpoll, "-m", "tcp", "-a", "7", "-t", "3", "-r", "1", "-c", "9", "-1", "h2")
        return done.output

    registers = re.findall(r"^\[(\d+)\]:\s+(-?\d+)", with_kernel(story), re.MULTILINE)
    assert [int(number) for number, _ in registers] == list(range(1, 10))
