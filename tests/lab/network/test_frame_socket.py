"""A raw socket at a host's port, beside the host's own stack or in its place."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plant_kit import Plant, config, run

from lab.model.frame import Port
from lab.network.fabric import MAXIMUM_FRAME
from lab.network.frame_socket import MINIMUM_FRAME, Decoder, FrameSocket, encode
from lab.wire import arp, ethernet, icmp, ipv4, tcp
from lab.wire.malformed import Malformed

AT_H1 = Port("h1", "eth0")
OURS, THEIRS = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


class Raw:
    """A program with a raw socket at h1 that talks to h2."""

    def __init__(self, plant: Plant, *, alone: bool = False) -> None:
        self.heard: list[bytes] = []
        self.plant = plant
        self.mac = plant.hosts[0].nics[0].mac
        self.socket = FrameSocket(plant.network, AT_H1, self.heard.append, alone=alone)

    def send(self, protocol: int, payload: bytes) -> None:
        datagram = ipv4.IPv4(OURS, THEIRS, protocol, payload).encode()
        head = ethernet.HEADER.pack(self.plant.hosts[1].nics[0].mac, self.mac, ethernet.IPV4)
        self.socket.send(head + datagram)

    def syn(self, port: int) -> None:
        segment = tcp.Segment(40000, port, 1000, 0, tcp.Flag.SYN, 1024)
        self.send(ipv4.TCP, segment.encode(OURS, THEIRS))

    async def segments(self) -> list[tcp.Flag]:
        """The flags of what came from h2 by now, and of what h1's own stack said to it."""
        await asyncio.sleep(0.01)
        flags = []
        for frame in self.heard:
            if frame[12:14] == b"\x08\x00" and frame[23] == ipv4.TCP:
                datagram = ipv4.decode(frame[14:])
                flags.append(tcp.decode(datagram.payload, datagram.source, datagram.destination).flags)
        return flags


async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("alone", [False, True])
def test_a_ping_made_by_hand_is_answered_and_the_taps_saw_it(alone: bool) -> None:
    async def story(plant: Plant) -> None:
        raw = Raw(plant, alone=alone)
        if alone:
            await asyncio.sleep(0.01)
            ask = arp.Arp(arp.Operation.REQUEST, raw.mac, OURS, bytes(6), THEIRS).encode()
            raw.socket.send(ethernet.HEADER.pack(ethernet.BROADCAST, raw.mac, ethernet.ARP) + ask)
        raw.send(ipv4.ICMP, icmp.Echo(False, 7, 9, b"by hand").encode())
        await asyncio.sleep(0.01)
        assert icmp.Echo(True, 7, 9, b"by hand") in [
            icmp.decode(ipv4.decode(frame[14:]).payload) for frame in raw.heard if frame[12:14] == b"\x08\x00"
        ]
        seen = [frame for frame in plant.frames if b"by hand" in frame.data]
        assert {frame.tap.sent_from.host for frame in seen} == {"h1", "sw", "h2"}
        raw.socket.close()

    run(story)


def test_beside_the_stack_a_handshake_by_hand_is_reset_as_with_any_raw_socket() -> None:
    async def story(plant: Plant) -> list[tcp.Flag]:
        await plant.hosts[1].spawn(asyncio.start_server(nobody, "0.0.0.0", 502))
        raw = Raw(plant)
        raw.syn(502)
        flags = await raw.segments()
        raw.socket.close()
        return flags

    assert run(story) == [tcp.Flag.SYN | tcp.Flag.ACK, tcp.Flag.RST], "h2's answer, and h1's own opinion of it"


def test_alone_nothing_interferes_with_a_handshake_by_hand() -> None:
    async def story(plant: Plant) -> list[tcp.Flag]:
        await plant.hosts[1].spawn(asyncio.start_server(nobody, "0.0.0.0", 502))
        raw = Raw(plant, alone=True)
        raw.syn(502)
        raw.syn(503)
        flags = await raw.segments()
        raw.socket.close()
        return flags

    assert run(story) == [tcp.Flag.SYN | tcp.Flag.ACK, tcp.Flag.RST | tcp.Flag.ACK]


def test_alone_the_host_is_off_the_network_but_for_arp_and_comes_back() -> None:
    async def story(plant: Plant) -> list[bool]:
        simulated, other = plant.hosts
        raw = Raw(plant, alone=True)
        lucky = [await simulated.ping("10.0.0.2", timeout=0.5) is not None]
        lucky.append(await other.ping("10.0.0.1", timeout=0.5) is not None)
        lucky.append(other.nics[0].neighbours.find(OURS) == raw.mac)
        with pytest.raises(ValueError, match="already"):
            Raw(plant, alone=True)
        raw.socket.close()
        raw.socket.close()
        # Its question after h2 went nowhere a moment ago; it asks again after a second.
        lucky += [await simulated.ping("10.0.0.2", timeout=3) is not None, await other.ping("10.0.0.1") is not None]
        return lucky

    assert run(story) == [False, False, True, True, True]


def test_a_socket_hears_the_host_and_other_sockets_but_not_itself() -> None:
    async def story(plant: Plant) -> None:
        one, two = Raw(plant), Raw(plant)
        one.send(ipv4.ICMP, icmp.Echo(False, 1, 1, b"from one").encode())
        assert await plant.hosts[0].ping("10.0.0.2", size=100) is not None
        await asyncio.sleep(0.01)
        assert not [frame for frame in one.heard if b"from one" in frame and frame[6:12] == one.mac]
        assert [frame for frame in two.heard if b"from one" in frame and frame[6:12] == one.mac]
        assert [frame for frame in one.heard if frame[6:12] == one.mac and len(frame) == 142]
        assert not [frame for frame in one.heard if frame[6:12] not in {host.nics[0].mac for host in plant.hosts}]
        one.socket.close()
        two.socket.close()
        before = len(one.heard)
        assert await plant.hosts[0].ping("10.0.0.2") is not None
        assert len(one.heard) == before

    run(story)


def test_a_pulled_cable_is_pulled_for_raw_sockets_too() -> None:
    async def story(plant: Plant) -> int:
        raw = Raw(plant)
        plant.network.unplug(AT_H1)
        raw.syn(502)
        await asyncio.sleep(0.01)
        raw.socket.close()
        return len(raw.heard)

    assert run(story) == 0


def test_what_no_card_would_send_is_refused() -> None:
    async def story(plant: Plant) -> None:
        raw = Raw(plant)
        for size in (0, MINIMUM_FRAME - 1, MAXIMUM_FRAME + 1):
            with pytest.raises(ValueError, match=f"not {size}"):
                raw.socket.send(bytes(size))
        raw.socket.close()
        with pytest.raises(KeyError):
            FrameSocket(plant.network, Port("h9", "eth0"), raw.heard.append)

    run(story)


def test_arbitrary_frames_harm_nobody() -> None:
    async def story(plant: Plant) -> bool:
        raw = Raw(plant, alone=True)
        hostile = plant.network.random_for("nonsense")
        other = FrameSocket(plant.network, Port("h2", "eth0"), lambda frame: None)
        for _ in range(500):
            size = hostile.randrange(MINIMUM_FRAME, 200)
            raw.socket.send(
                ethernet.BROADCAST
                + hostile.randbytes(6)
                + hostile.choice((b"\x08\x00", b"\x08\x06", b"\x81\x00"))
                + hostile.randbytes(size)
            )
            other.send(ethernet.BROADCAST + hostile.randbytes(6) + b"\x08\x06" + hostile.randbytes(size))
        await asyncio.sleep(1)
        raw.socket.close()
        other.close()
        plant.hosts[1].configure(config("10.0.0.2/24"))
        return await plant.hosts[0].ping("10.0.0.2") is not None

    assert run(story)


frames = st.lists(st.binary(min_size=MINIMUM_FRAME, max_size=200), max_size=20)


@given(frames, st.integers(1, 50))
def test_frames_survive_any_segmentation(sent: list[bytes], step: int) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    assert [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])] == sent


@given(st.lists(st.binary(max_size=3000)))
def test_arbitrary_bytes_are_frames_or_malformed_and_never_pile_up(chunks: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for chunk in chunks:
            for frame in decoder.feed(chunk):
                assert MINIMUM_FRAME <= len(frame) <= MAXIMUM_FRAME
            assert len(decoder._buffer) < MAXIMUM_FRAME + 2
    except Malformed:
        pass
