"""Routers forward, shorten lives, cut into fragments, and say what they cannot do (RFC 1812)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Address
from typing import Any, NamedTuple, TypeVar

import pytest

from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop
from lab.network.routing import Forwarding
from lab.wire import ethernet, icmp, ipv4
from lab.wire.ipv4 import IPv4

T = TypeVar("T")


class Site(NamedTuple):
    network: Network
    office: Host
    plc: Host
    router: Host
    forwarding: Forwarding
    frames: list[Frame]


def host_config(routes: Mapping[str, str] | None = None, **interfaces: dict[str, object] | str) -> HostConfig:
    described = {
        name.replace("_", "."): {"address": each} if isinstance(each, str) else each
        for name, each in interfaces.items()
    }
    ways = [{"to": to, "via": via} for to, via in (routes or {}).items()]
    return HostConfig.model_validate({"interfaces": described, "routes": ways})


def run(story: Callable[[Site], Awaitable[T]], *, mtu: int = 1500) -> T:
    """Office 10.1.0.2 – router 10.1.0.1 | 10.2.0.1 – plc 10.2.0.2; the router's second link takes `mtu` bytes."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        network = Network(loop)
        office, plc = network.add_host("office"), network.add_host("plc")
        router = network.add_host("router", ("eth0", "eth1"))
        frames: list[Frame] = []
        network.taps.append(lambda tap, at, data: frames.append(Frame(len(frames) + 1, at, tap, data)))
        network.plug(Port("office", "eth0"), Port("router", "eth0"))
        network.plug(Port("router", "eth1"), Port("plc", "eth0"))
        office.configure(host_config(eth0={"address": "10.1.0.2/24", "gateway": "10.1.0.1"}))
        plc.configure(host_config(eth0={"address": "10.2.0.2/24", "gateway": "10.2.0.1"}))
        router.configure(host_config(eth0="10.1.0.1/24", eth1={"address": "10.2.0.1/24", "mtu": mtu}))
        forwarding = Forwarding(router)
        router.forward = forwarding.forward
        site = Site(network, office, plc, router, forwarding, frames)
        result = await story(site)
        for frame in frames:
            whole = ethernet.decode(frame.data)
            if whole.ethertype == ethernet.IPV4:
                ipv4.decode(whole.payload)  # raises where the rewritten header is wrong
        return result

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())


async def echo_server(host: Host) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionResetError:
            pass
        writer.close()

    await host.spawn(asyncio.start_server(echo, "0.0.0.0", 7))


async def say(host: Host, address: str, data: bytes) -> bytes:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(address, 7)
        try:
            writer.write(data)
            return await reader.readexactly(len(data))
        finally:
            writer.transport.abort()

    heard: bytes = await host.spawn(talk())
    return heard


def seen_at(site: Site, host: str) -> list[IPv4]:
    return [
        ipv4.decode(frame.data[14:])
        for frame in site.frames
        if frame.tap.seen_at.host == host and frame.data[12:14] == b"\x08\x00"
    ]


def errors_heard(host: Host) -> list[icmp.Icmp]:
    heard: list[icmp.Icmp] = []

    def watch(datagram: IPv4) -> bool:
        if datagram.protocol == ipv4.ICMP:
            message = icmp.decode(datagram.payload)
            if not isinstance(message, icmp.Echo):
                heard.append(message)
        return False

    host.watchers.append(watch)
    return heard


def probe(destination: str, *, ttl: int = 64, size: int = 8, dont_fragment: bool = False) -> IPv4:
    payload = icmp.Echo(False, 7, 1, bytes(size)).encode()
    source, target = IPv4Address("10.1.0.2").packed, IPv4Address(destination).packed
    return IPv4(source, target, ipv4.ICMP, payload, ttl=ttl, dont_fragment=dont_fragment)


def test_what_is_forwarded_has_one_hop_less_to_live_and_the_routers_mac() -> None:
    async def story(site: Site) -> None:
        await echo_server(site.plc)
        assert await say(site.office, "10.2.0.2", b"x" * 5000) == b"x" * 5000
        assert await site.office.ping("10.2.0.2") is not None
        arrived = seen_at(site, "plc")
        assert {datagram.ttl for datagram in arrived} == {63}
        macs = {frame.data[6:12] for frame in site.frames if frame.tap.seen_at.host == "plc"}
        assert macs == {site.router.nic("eth1").mac}

    run(story)


def test_a_host_that_is_no_router_forwards_nothing() -> None:
    async def story(site: Site) -> None:
        site.router.forward = None
        assert await site.office.ping("10.2.0.2") is None
        assert not seen_at(site, "plc")

    run(story)


def test_the_last_hop_of_a_life_is_reported_by_the_router_it_ends_at() -> None:
    async def story(site: Site) -> None:
        heard = errors_heard(site.office)
        sent = probe("10.2.0.2", ttl=1)
        site.office.send_ip(sent)
        await asyncio.sleep(1)
        (error,) = heard
        assert isinstance(error, icmp.TimeExceeded)
        assert ipv4.decode(error.original).destination == sent.destination

    run(story)


def test_no_route_and_no_neighbour_are_told_apart() -> None:
    async def story(site: Site) -> None:
        heard = errors_heard(site.office)
        site.office.send_ip(probe("10.9.0.1"))
        await asyncio.sleep(5)
        site.office.send_ip(probe("10.2.0.77"))
        await asyncio.sleep(5)
        codes = [error.code for error in heard if isinstance(error, icmp.Unreachable)]
        assert codes == [icmp.UnreachableCode.NETWORK, icmp.UnreachableCode.HOST]

    run(story)


def test_errors_about_errors_are_never_sent() -> None:
    async def story(site: Site) -> None:
        heard = errors_heard(site.office)
        error = icmp.TimeExceeded(probe("10.2.0.2").encode()).encode()
        source, nowhere = IPv4Address("10.1.0.2").packed, IPv4Address("10.9.0.1").packed
        site.office.send_ip(IPv4(source, nowhere, ipv4.ICMP, error))
        await asyncio.sleep(5)
        assert heard == []

    run(story)


def test_too_long_a_datagram_is_cut_into_fragments_where_it_may_be() -> None:
    async def story(site: Site) -> None:
        assert await site.office.ping("10.2.0.2", size=1400) is not None
        arrived = [datagram for datagram in seen_at(site, "plc") if datagram.is_fragment]
        assert len(arrived) == 3
        assert all(20 + len(datagram.payload) <= 600 for datagram in arrived)

    run(story, mtu=600)


def test_where_it_may_not_be_the_sender_learns_what_the_path_takes() -> None:
    async def story(site: Site) -> None:
        heard = errors_heard(site.office)
        site.office.send_ip(probe("10.2.0.2", size=1400, dont_fragment=True))
        await asyncio.sleep(1)
        (error,) = heard
        assert isinstance(error, icmp.Unreachable)
        assert (error.code, error.next_mtu) == (icmp.UnreachableCode.FRAGMENTATION_NEEDED, 600)

    run(story, mtu=600)


def test_tcp_finds_the_paths_size_by_itself_and_a_black_hole_stops_it() -> None:
    async def transfer(site: Site) -> bytes | None:
        await echo_server(site.plc)
        try:
            async with asyncio.timeout(30):
                return await say(site.office, "10.2.0.2", b"y" * 4000)
        except TimeoutError:
            return None

    async def in_a_black_hole(site: Site) -> bytes | None:
        site.router.sends_icmp_errors = False
        return await transfer(site)

    assert run(transfer, mtu=600) == b"y" * 4000
    assert run(in_a_black_hole, mtu=600) is None, "the handshake passes, full segments do not, and nobody says so"


def test_a_router_on_a_stick_moves_frames_between_vlans() -> None:
    async def story(site: Site) -> None:
        network = site.network
        stick = network.add_host("stick")
        trunk = network.add_host("trunk")
        network.plug(Port("stick", "eth0"), Port("trunk", "eth0"))
        stick.configure(host_config(eth0_10="10.10.0.1/24", eth0_20="10.20.0.1/24"))
        stick.forward = Forwarding(stick).forward
        trunk.configure(host_config({"10.20.0.0/24": "10.10.0.1"}, eth0_10="10.10.0.2/24"))
        site.frames.clear()
        assert await trunk.ping("10.10.0.1") is not None
        assert await trunk.ping("10.20.0.1") is not None
        tags = {ethernet.decode(frame.data).tags[0].vid for frame in site.frames if frame.tap.seen_at.host == "stick"}
        assert tags == {10}
        trunk.configure(host_config({"10.20.0.0/24": "10.10.0.1"}, eth0="10.10.0.2/24"))
        assert await trunk.ping("10.10.0.1") is None, "untagged frames are none of a sub-interface's"

    run(story)


def test_a_changed_route_holds_for_the_next_packet() -> None:
    async def story(site: Site) -> None:
        await echo_server(site.plc)
        assert await say(site.office, "10.2.0.2", b"a") == b"a"
        site.router.configure(host_config(eth0="10.1.0.1/24"))
        site.frames.clear()
        with pytest.raises(OSError, match=r"unreachable|No route") as caught:
            await say(site.office, "10.2.0.2", b"a")
        assert caught.value.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
        assert not seen_at(site, "plc")

    run(story)


def test_an_inspection_sees_both_interfaces_and_has_the_last_word() -> None:
    async def story(site: Site) -> None:
        seen: list[tuple[str, str]] = []

        def only_to_the_plc(came: Any, goes: Any, frame: bytes) -> bytes | None:
            seen.append((came.name, goes.name))
            return frame if frame[30:34] == IPv4Address("10.2.0.2").packed else None

        site.forwarding.inspect = only_to_the_plc
        assert await site.office.ping("10.2.0.2") is None, "the answers are refused"
        assert {("eth0", "eth1"), ("eth1", "eth0")} == set(seen)
        assert site.forwarding.discarded == 1

    run(story)


def test_a_socket_that_is_switched_off_takes_the_link_down_at_both_ends() -> None:
    async def story(site: Site) -> None:
        assert await site.office.ping("10.1.0.1") is not None
        site.network.enable(Port("router", "eth0"), False)
        assert not site.network.jack(Port("office", "eth0")).is_connected
        assert await site.office.ping("10.1.0.1") is None
        site.network.enable(Port("router", "eth0"), True)
        assert await site.office.ping("10.1.0.1") is not None

    run(story)


def test_a_device_without_power_is_silent_and_comes_back() -> None:
    async def story(site: Site) -> None:
        told: list[tuple[str, bool]] = []
        site.network.power_listeners.append(lambda name, on: told.append((name, on)))
        site.network.power("router", False)
        assert await site.office.ping("10.2.0.2") is None
        assert not site.network.jack(Port("plc", "eth0")).is_connected
        site.network.power("router", True)
        assert await site.office.ping("10.2.0.2") is not None
        assert told == [("router", False), ("router", True)]

    run(story)


def test_a_group_is_heard_by_those_who_joined_it() -> None:
    class Hears(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.data: list[bytes] = []

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.data.append(data)

    async def story(site: Site) -> None:
        group = IPv4Address("239.1.2.3")
        with site.router.current():
            _, hears = await site.network.loop.create_datagram_endpoint(Hears, ("0.0.0.0", 5000))
        with site.office.current():
            sender, _ = await site.network.loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("10.1.0.2", 0))
        sender.sendto(b"nobody", (str(group), 5000))
        await asyncio.sleep(1)
        site.router.join(group.packed)
        sender.sendto(b"joined", (str(group), 5000))
        await asyncio.sleep(1)
        assert hears.data == [b"joined"]
        macs = {frame.data[:6].hex() for frame in site.frames if frame.data[12:14] == b"\x08\x00"}
        assert macs == {"01005e010203"}

    run(story)


def test_a_tap_says_which_way_a_frame_took() -> None:
    async def story(site: Site) -> None:
        await site.office.ping("10.2.0.2")
        assert Tap(Port("plc", "eth0"), Port("router", "eth1")) in {frame.tap for frame in site.frames}

    run(story)
