"""A real card in the plant. Every story is told in a network namespace of its own, on a veth pair made there.

`lab0` is the card that is given to the plant; at the other end of its cable, `device`, is a real device.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from plant_kit import Plant, run

from lab.model.frame import Port, Tap
from lab.network import netlink, real_nic
from lab.network.packet_socket import open_packets, read_frame
from lab.network.real_nic import bridge, danger
from lab.text import Text, speak
from lab.wire import arp, ethernet, icmp, ipv4

FREE = Port("sw", "p4")
MAC, ADDRESS = bytes.fromhex("02ffffffff01"), IPv4Address("10.0.0.77")


class Device:
    """A device with one real card: it answers ARP for its address, and keeps the rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop = loop
        self._packets = open_packets("device")
        loop.add_reader(self._packets, self._hear)

    def send(self, frame: bytes) -> None:
        self._packets.send(frame)

    def _hear(self) -> None:
        frame = read_frame(self._packets, 2000)
        if frame[12:14] == b"\x08\x06":
            asked = arp.decode(frame[14:])
            if asked.target_ip == ADDRESS.packed and asked.operation is arp.Operation.REQUEST:
                answer = arp.Arp(arp.Operation.REPLY, MAC, ADDRESS.packed, asked.sender_mac, asked.sender_ip)
                self.send(ethernet.HEADER.pack(asked.sender_mac, MAC, ethernet.ARP) + answer.encode())
                return
        self.heard.put_nowait(frame)

    async def hear(self, wanted: Callable[[bytes], bool]) -> bytes:
        async with asyncio.timeout(5):
            while not wanted(frame := await self.heard.get()):
                pass
        return frame

    def close(self) -> None:
        self._loop.remove_reader(self._packets)
        self._packets.close()


def _veth() -> None:
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    netlink.add_veth("lab0", bytes.fromhex("02ffffffff02"), 1500, "device", own)
    for name in ("lab0", "device"):
        netlink.do_without_offloads(name)
        netlink.set_link(name, up=True)


Story = Callable[[Plant], Coroutine[Any, Any, object]]
STORIES: dict[str, Story] = {}


def in_a_namespace(story: Story) -> Callable[[], None]:
    """A test that tells the story in a process that has left the computer's network."""
    STORIES[story.__name__] = story

    @pytest.mark.namespace
    @pytest.mark.usefixtures("namespaces")
    def test() -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        program = f"import test_real_nic; test_real_nic.tell({story.__name__!r})"
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, text=True, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return test


def tell(name: str) -> None:
    from lab.network.namespace_child import _leave_the_computer

    speak("en")
    _leave_the_computer()
    _veth()
    run(STORIES[name], fast=False, patience=30)


@in_a_namespace
async def test_a_real_device_joins_at_a_free_port_of_a_switch(plant: Plant) -> None:
    nic = bridge(plant.network, FREE, "lab0")
    device = Device(plant.loop)
    pinging = asyncio.create_task(plant.hosts[0].ping(str(ADDRESS), timeout=5))
    asked = await device.hear(lambda frame: frame[12:14] == b"\x08\x00")
    datagram = ipv4.decode(asked[14:])
    echo = icmp.decode(datagram.payload)
    assert isinstance(echo, icmp.Echo)
    reply = icmp.Echo(True, echo.identifier, echo.sequence, echo.data).encode()
    answer = ipv4.IPv4(datagram.destination, datagram.source, ipv4.ICMP, reply).encode()
    device.send(ethernet.HEADER.pack(asked[6:12], MAC, ethernet.IPV4) + answer)
    assert await pinging is not None
    assert any(frame.tap.sent_from == Port("real", "lab0") for frame in plant.frames), "the taps saw it"
    assert plant.switch.table[MAC.hex(":")] == "p4"
    nic.close()
    assert plant.network.cable_at(FREE) is None
    assert await plant.hosts[0].ping(str(ADDRESS), timeout=0.1) is None
    bridge(plant.network, FREE, "lab0").close()
    device.close()


@in_a_namespace
async def test_a_real_device_takes_the_place_of_a_host(plant: Plant) -> None:
    place = Port("h2", "eth0")
    nic = bridge(plant.network, place, "lab0")
    device = Device(plant.loop)
    assert await plant.hosts[0].ping("10.0.0.2", timeout=0.1) is None, "the simulated host is out"
    device.send(
        ethernet.BROADCAST
        + MAC
        + b"\x08\x06"
        + arp.Arp(arp.Operation.REQUEST, MAC, ADDRESS.packed, bytes(6), IPv4Address("10.0.0.1").packed).encode()
    )
    answered = await device.hear(lambda frame: frame[:6] == MAC)
    assert arp.decode(answered[14:]).sender_ip == IPv4Address("10.0.0.1").packed
    with pytest.raises(ValueError, match="already"):
        bridge(plant.network, place, "lab0")
    nic.close()
    nic.close()
    assert await plant.hosts[0].ping("10.0.0.2", timeout=1) is not None
    device.close()


@in_a_namespace
async def test_vlan_tags_pass_though_the_kernel_takes_them_off(plant: Plant) -> None:
    nic = bridge(plant.network, FREE, "lab0")
    device = Device(plant.loop)
    tagged = ethernet.BROADCAST + MAC + bytes.fromhex("8100a014") + b"\x88\xb5" + bytes(46)
    arrived: asyncio.Future[bytes] = plant.loop.create_future()

    def see(tap: Tap, at: int, frame: bytes) -> None:
        # Linux itself says something on a new link, now and then before us.
        if tap.seen_at == FREE and frame[6:12] == MAC and not arrived.done():
            arrived.set_result(frame)

    plant.network.taps.append(see)
    device.send(tagged)
    assert await arrived == tagged
    nic._jack.receive(tagged.replace(MAC, bytes(6)))
    assert (await device.hear(lambda frame: frame[6:12] == bytes(6)))[12:18] == tagged[12:18]
    nic.close()
    device.close()


@in_a_namespace
async def test_a_card_that_vanishes_frees_its_port_and_says_so(plant: Plant) -> None:
    gone: asyncio.Future[Text] = plant.loop.create_future()
    bridge(plant.network, FREE, "lab0", ended=gone.set_result)
    netlink._ask(17, 0, netlink._LINK.pack(0, 0, socket.if_nametoindex("lab0"), 0, 0))  # RTM_DELLINK
    async with asyncio.timeout(5):
        assert "lab0 is gone" in str(await gone)
    assert plant.network.cable_at(FREE) is None
    assert await plant.hosts[0].ping("10.0.0.2") is not None


@in_a_namespace
async def test_a_card_that_is_switched_off_and_on_goes_on(plant: Plant) -> None:
    nic = bridge(plant.network, FREE, "lab0")
    device = Device(plant.loop)
    netlink.set_link("lab0", up=False)
    await asyncio.sleep(0.05)
    netlink.set_link("lab0", up=True)
    pinging = asyncio.create_task(plant.hosts[0].ping(str(ADDRESS), timeout=5))
    await device.hear(lambda frame: frame[12:14] == b"\x08\x00")
    pinging.cancel()
    nic.close()
    device.close()


@in_a_namespace
async def test_a_card_that_leads_to_somebody_real_is_refused_unless_forced(plant: Plant) -> None:
    assert danger("lab0") is None
    assert danger("lo") is not None
    netlink.add_address("lab0", IPv4Interface("198.51.100.2/24"))
    with pytest.raises(ValueError, match=r"has an address.*--force"):
        bridge(plant.network, FREE, "lab0")
    bridge(plant.network, FREE, "lab0", force=True).close()
    netlink.add_default_route(IPv4Address("198.51.100.1"))
    assert real_nic._has_default_route("lab0")
    assert not real_nic._has_default_route("device")


@in_a_namespace
async def test_what_is_not_there_is_named(plant: Plant) -> None:
    with pytest.raises(OSError, match=r"no interface eth9 here, only .*lab0"):
        bridge(plant.network, FREE, "eth9")
    with pytest.raises(ValueError, match="no port sw/p99"):
        bridge(plant.network, Port("sw", "p99"), "lab0")
    with pytest.raises(ValueError, match="has a cable already"):
        bridge(plant.network, Port("sw", "p1"), "lab0")


@in_a_namespace
async def test_a_tap_is_a_card_of_software(plant: Plant) -> None:
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        with pytest.raises(OSError, match=r"/dev/net/tun|root"):
            bridge(plant.network, FREE, "tap:vm0")
        return
    nic = bridge(plant.network, FREE, "tap:vm0")
    assert "vm0" in {name for _, name in socket.if_nameindex()}
    netlink.add_address("vm0", IPv4Interface("10.0.0.78/24"))
    assert await plant.hosts[0].ping("10.0.0.78", timeout=5) is not None, "this computer's kernel answers"
    nic.close()
    assert "vm0" not in {name for _, name in socket.if_nameindex()}


def test_fast_time_and_other_systems_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    speak("en")

    async def fast(plant: Plant) -> None:
        with pytest.raises(ValueError, match="live time"):
            bridge(plant.network, FREE, "lab0")

    async def elsewhere(plant: Plant) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(OSError, match="only Linux"):
            bridge(plant.network, FREE, "lab0")
        monkeypatch.undo()

    run(fast)
    run(elsewhere, fast=False)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to be somebody else")
def test_an_ordinary_user_is_told_what_is_missing() -> None:
    program = """
import os
from lab.model.frame import Port
from lab.network import real_nic
from lab.text import speak
from plant_kit import run
async def story(plant):
    real_nic.danger = lambda name: None
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    try:
        real_nic.bridge(plant.network, Port("sw", "p4"), "lo")
    except OSError as error:
        print(error)
speak("en")
run(story, fast=False)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, text=True, capture_output=True, timeout=60, check=False
    )
    assert "it takes root, or setcap" in done.stdout, done.stderr
