"""Hosts, switches and cables behave as their mechanisms say, mistakes included."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from plant_kit import Plant, config, run

from lab.model.frame import Port
from lab.network.fabric import Impairment
from lab.network.host import Host
from lab.network.tcp import RECEIVE_CAPACITY
from lab.wire import arp, ethernet, icmp, ipv4


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(address: str, port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(text)
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    return heard


# -- addresses and cables ----------------------------------------------------------------------------------------------


def test_a_ping_takes_an_arp_question_first_and_none_the_second_time() -> None:
    async def story(plant: Plant) -> list[int]:
        a, _ = plant.hosts
        await asyncio.sleep(1)  # both have announced themselves
        plant.frames.clear()
        assert await a.ping("10.0.0.2")
        assert await a.ping("10.0.0.2")
        seen = [f for f in plant.frames if f.tap.seen_at.host != "sw"]
        return [ethernet.decode(f.data).ethertype for f in seen]

    assert run(story) == [ethernet.ARP, ethernet.ARP] + [ethernet.IPV4] * 4


def test_nobody_answers_for_an_address_that_is_not_there() -> None:
    async def story(plant: Plant) -> None:
        a, _ = plant.hosts
        assert await a.ping("10.0.0.77") is None
        with pytest.raises(OSError, match="No route to host") as caught:
            await a.spawn(ask("10.0.0.77", 502, b""))
        assert caught.value.errno == errno.EHOSTUNREACH

    run(story)


def test_a_wrong_mask_cuts_off_whoever_it_hides() -> None:
    async def story(plant: Plant) -> None:
        a, b = plant.hosts
        a.configure(config("10.0.0.1/25"))
        b.configure(config("10.0.0.200/24"))
        assert await a.ping("10.0.0.200") is None, "a believes that b is behind a gateway it does not have"
        assert await b.ping("10.0.0.1") is None, "b's question arrives, a's answer has no way back"
        a.configure(config("10.0.0.1/24"))
        assert await a.ping("10.0.0.200") is not None

    run(story)


def test_a_pulled_cable_silences_and_a_plugged_one_restores() -> None:
    async def story(plant: Plant) -> None:
        a, _ = plant.hosts
        assert await a.ping("10.0.0.2") is not None
        plant.network.unplug(Port("h2", "eth0"))
        assert await a.ping("10.0.0.2") is None
        plant.network.plug(Port("h2", "eth0"), Port("sw", "p4"))
        assert await a.ping("10.0.0.2") is not None, "the switch finds it at its new port"

    run(story)


def test_a_connection_survives_a_short_interruption() -> None:
    async def story(plant: Plant) -> bytes:
        a, b = plant.hosts
        await b.spawn(asyncio.start_server(echo, "0.0.0.0", 7))

        async def talk() -> bytes:
            reader, writer = await asyncio.open_connection("10.0.0.2", 7)
            plant.network.unplug(Port("h1", "eth0"))
            writer.write(b"patience")
            await asyncio.sleep(5)
            plant.network.plug(Port("h1", "eth0"), Port("sw", "p1"))
            heard = await reader.readexactly(8)
            writer.close()
            return heard

        heard: bytes = await a.spawn(talk())
        return heard

    assert run(story) == b"patience"


def test_a_host_that_takes_anothers_address_takes_its_traffic() -> None:
    async def story(plant: Plant) -> tuple[bytes | None, bytes | None]:
        a, _b, thief = plant.hosts
        await a.ping("10.0.0.2")
        before = a.nics[0].neighbours.find(socket.inet_aton("10.0.0.2"))
        thief.configure(config("10.0.0.2/24"))
        await a.ping("10.0.0.2")
        return before, a.nics[0].neighbours.find(socket.inet_aton("10.0.0.2"))

    before, after = run(story, hosts=3)
    assert before != after


def test_the_switch_learns_and_then_tells_only_whom_it_concerns() -> None:
    async def story(plant: Plant) -> list[str]:
        a, _, _ = plant.hosts
        await a.ping("10.0.0.2")
        plant.frames.clear()
        await a.ping("10.0.0.2")
        return sorted({f.tap.seen_at.host for f in plant.frames})

    assert run(story, hosts=3) == ["h1", "h2", "sw"]


def test_the_switch_forgets_who_has_been_silent() -> None:
    async def story(plant: Plant) -> None:
        await plant.hosts[0].ping("10.0.0.2")
        assert len(plant.switch.table) == 2
        await asyncio.sleep(700)
        assert plant.switch.table == {}

    run(story)


def test_a_loop_of_cables_storms_but_neither_hangs_nor_grows() -> None:
    async def story(plant: Plant) -> int:
        plant.network.plug(Port("sw", "p3"), Port("sw", "p4"))
        await plant.hosts[0].ping("10.0.0.2", timeout=0.05)
        return len(plant.frames)

    assert run(story) > 1000


def test_a_cable_may_lose_and_repeat_and_delay_and_tcp_does_not_care() -> None:
    text = bytes(range(256)) * 2000

    async def story(plant: Plant) -> bytes:
        a, b = plant.hosts
        await b.spawn(asyncio.start_server(echo, "0.0.0.0", 7))
        cable = plant.network.cable_at(Port("h1", "eth0"))
        assert cable is not None
        cable.impair(Impairment(loss=0.02, duplicate=0.02, corrupt=0.01, delay=0.002, jitter=0.002))
        heard: bytes = await a.spawn(ask("10.0.0.2", 7, text))
        return heard

    assert run(story) == text


# -- ICMP, UDP, fragments ----------------------------------------------------------------------------------------------


def test_a_large_ping_travels_in_fragments_and_comes_back() -> None:
    async def story(plant: Plant) -> int:
        assert await plant.hosts[0].ping("10.0.0.2", size=4000) is not None
        decoded = [ethernet.decode(f.data) for f in plant.frames if f.tap.seen_at.host == "h2"]
        return sum(ipv4.decode(e.payload).is_fragment for e in decoded if e.ethertype == ethernet.IPV4)

    assert run(story) == 3


class Heard(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Future[tuple[bytes, tuple[str, int]]] = asyncio.get_running_loop().create_future()
        self.failed: asyncio.Future[OSError] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.set_result((data, addr))

    def error_received(self, exc: Exception) -> None:
        assert isinstance(exc, OSError)
        if not self.failed.done():
            self.failed.set_result(exc)


def test_a_datagram_arrives_also_when_it_is_larger_than_a_frame() -> None:
    async def open_endpoint(**where: tuple[str, int]) -> Heard:
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Heard, **where)
        return protocol

    async def story(plant: Plant) -> tuple[bytes, tuple[str, int]]:
        a, b = plant.hosts
        listening: Heard = await b.spawn(open_endpoint(local_addr=("0.0.0.0", 161)))
        sending: Heard = await a.spawn(open_endpoint(remote_addr=("10.0.0.2", 161)))
        sending.transport.sendto(bytes(3000))
        return await listening.heard

    data, (address, _) = run(story)
    assert data == bytes(3000)
    assert address == "10.0.0.1"


def test_a_datagram_for_a_closed_port_comes_back_as_port_unreachable() -> None:
    async def send() -> OSError:
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Heard, remote_addr=("10.0.0.2", 9))
        protocol.transport.sendto(b"x")
        return await protocol.failed

    async def story(plant: Plant) -> tuple[OSError, list[icmp.Icmp]]:
        error: OSError = await plant.hosts[0].spawn(send())
        packets = [ipv4.decode(f.data[14:]) for f in plant.frames if f.data[12:14] == b"\x08\x00"]
        return error, [icmp.decode(p.payload) for p in packets if p.protocol == ipv4.ICMP]

    error, messages = run(story)
    assert error.errno == errno.ECONNREFUSED
    assert isinstance(messages[0], icmp.Unreachable)
    assert messages[0].code is icmp.UnreachableCode.PORT


# -- TCP as programs see it --------------------------------------------------------------------------------------------


def test_a_closed_port_refuses() -> None:
    async def story(plant: Plant) -> None:
        with pytest.raises(ConnectionRefusedError, match=r"10\.0\.0\.2"):
            await plant.hosts[0].spawn(ask("10.0.0.2", 502, b""))

    run(story)


def test_a_silent_host_times_out() -> None:
    async def story(plant: Plant) -> float:
        a, _ = plant.hosts
        assert await a.ping("10.0.0.2") is not None
        plant.network.jack(Port("h2", "eth0")).way = None  # it hears, and nothing it says gets out
        began = plant.loop.time()
        with pytest.raises(TimeoutError):
            await a.spawn(ask("10.0.0.2", 502, b""))
        return plant.loop.time() - began

    assert run(story) == pytest.approx(123, abs=1)


def test_a_peer_that_was_switched_off_and_on_resets_old_connections() -> None:
    async def story(plant: Plant) -> None:
        a, b = plant.hosts

        async def until_the_power_fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with pytest.raises(OSError, match="power"):
                await reader.read()
            writer.close()

        await b.spawn(asyncio.start_server(until_the_power_fails, "0.0.0.0", 7))

        async def talk() -> None:
            reader, writer = await asyncio.open_connection("10.0.0.2", 7)
            for transport in b.connections:
                transport.connection.fail(OSError("no power"))  # without a word to the peer
            writer.write(b"hello?")
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()

        await a.spawn(talk())

    run(story)


def test_a_port_is_served_once_and_free_again_after_closing() -> None:
    async def story(plant: Plant) -> None:
        b = plant.hosts[1]
        server = await b.spawn(asyncio.start_server(echo, "0.0.0.0", 7))
        with pytest.raises(OSError, match="already in use"):
            await b.spawn(asyncio.start_server(echo, "10.0.0.2", 7))
        server.close()
        await b.spawn(asyncio.start_server(echo, "10.0.0.2", 7))

    run(story)


def test_a_host_talks_to_itself_and_the_wire_stays_silent() -> None:
    async def story(plant: Plant) -> tuple[bytes, int]:
        a = plant.hosts[0]
        await a.spawn(asyncio.start_server(echo, "127.0.0.1", 7))
        plant.frames.clear()
        heard: bytes = await a.spawn(ask("localhost", 7, b"me"))
        with pytest.raises(ConnectionRefusedError):
            await plant.hosts[1].spawn(ask("10.0.0.1", 7, b"me"))
        return heard, sum(f.tap.sent_from.host == "h1" for f in plant.frames if b"me" in f.data)

    assert run(story) == (b"me", 0)


def test_names_are_known_by_configuration_only() -> None:
    async def story(plant: Plant) -> None:
        a = plant.hosts[0]
        a.configure(config("10.0.0.1/24", names={"plc.lab": "10.0.0.2"}))
        assert await a.ping("plc.lab") is not None
        with pytest.raises(socket.gaierror, match="does not know"):
            await a.spawn(ask("example.com", 80, b""))

    run(story)


def test_a_slow_reader_bounds_what_a_fast_writer_can_pile_up() -> None:
    async def story(plant: Plant) -> int:
        a, b = plant.hosts
        stalled = asyncio.Event()

        async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stalled.wait()
            writer.close()

        await b.spawn(asyncio.start_server(never_read, "0.0.0.0", 7, limit=1024))
        written = 0

        async def write_for_ever() -> None:
            nonlocal written
            _, writer = await asyncio.open_connection("10.0.0.2", 7)
            try:
                while True:
                    writer.write(bytes(1000))
                    written += 1000
                    await writer.drain()
            finally:
                writer.close()

        writing = a.spawn(write_for_ever())
        await asyncio.sleep(600)
        assert not writing.done()
        before = written
        await asyncio.sleep(600)
        assert written == before
        writing.cancel()
        stalled.set()
        await asyncio.sleep(1)
        return written

    assert run(story) < 2 * RECEIVE_CAPACITY + 80_000


def test_traffic_of_a_cancelled_connect_leaves_nothing_behind() -> None:
    async def story(plant: Plant) -> None:
        a, _ = plant.hosts
        await a.ping("10.0.0.2")
        plant.network.jack(Port("h2", "eth0")).way = None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await a.spawn(ask("10.0.0.2", 7, b""))
        assert a.connections == ()

    run(story)


# -- sameness ----------------------------------------------------------------------------------------------------------


def conversation(seed: int) -> list[tuple[int, str, bytes]]:
    async def story(plant: Plant) -> None:
        a, b, c = plant.hosts
        await c.spawn(asyncio.start_server(echo, "0.0.0.0", 7))
        cable = plant.network.cable_at(Port("h3", "eth0"))
        assert cable is not None
        cable.impair(Impairment(loss=0.05, jitter=0.001))

        async def talk(host: Host, size: int) -> None:
            for _ in range(3):
                assert await ask("10.0.0.3", 7, host.random.randbytes(size))
                await asyncio.sleep(host.random.random())

        async def say(host: Host) -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Heard, remote_addr=("10.0.0.3", 161))
            for size in (10, 2000):
                transport.sendto(host.random.randbytes(size))
                await asyncio.sleep(host.random.random())
            transport.close()

        await asyncio.gather(
            a.spawn(talk(a, 9000)), b.spawn(talk(b, 700)), b.spawn(say(b)), a.spawn(a.ping("10.0.0.2"))
        )
        seen.extend((f.at, str(f.tap), f.data) for f in plant.frames)

    seen: list[tuple[int, str, bytes]] = []
    run(story, hosts=3, seed=seed)
    return seen


def test_the_same_seed_gives_the_same_frames_to_the_nanosecond() -> None:
    assert conversation(7) == conversation(7)
    assert conversation(7) != conversation(8)


# -- the judgement of others -------------------------------------------------------------------------------------------


def write_pcap(path: Path, frames: list[tuple[int, bytes]]) -> None:
    """Classic pcap with nanoseconds, so that this test needs nothing of ours."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for at, data in frames:
            file.write(struct.pack("<IIII", at // 10**9, at % 10**9, len(data), len(data)) + data)


@pytest.mark.foreign
def test_tshark_finds_nothing_to_complain_about(tmp_path: Path, tshark: str) -> None:
    async def story(plant: Plant) -> None:
        a, b = plant.hosts
        await b.spawn(asyncio.start_server(echo, "0.0.0.0", 7))
        await a.ping("10.0.0.2", size=4000)
        assert await a.spawn(ask("10.0.0.2", 7, bytes(300_000)))
        assert await a.spawn(ask("10.0.0.2", 7, b"short"))
        await asyncio.sleep(100)
        one_view = [(f.at, f.data) for f in plant.frames if "h1" in (f.tap.seen_at.host, f.tap.sent_from.host)]
        write_pcap(tmp_path / "capture.pcap", one_view)

    run(story)
    checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
    command = [tshark, "-r", str(tmp_path / "capture.pcap"), *checks, "-q", "-z", "expert,warn"]
    report = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Errors" not in report, report
    assert "Warns" not in report, report


def test_every_arp_packet_of_ours_reads_back() -> None:
    async def story(plant: Plant) -> int:
        await plant.hosts[0].ping("10.0.0.2")
        packets = [arp.decode(f.data[14:]) for f in plant.frames if f.data[12:14] == b"\x08\x06"]
        assert all(arp.decode(p.encode()) == p for p in packets)
        return len(packets)

    assert run(story) > 0
