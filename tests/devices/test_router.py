"""Routers forward, translate, keep to their access lists, and help DHCP across."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from firewall_kit import Site, ask, attempt, echo, run
from pydantic import ValidationError
from snmp_manager import Manager, community

from devices.router import Router
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.host import Host
from lab.wire import icmp, ipv4, udp
from lab.wire.ipv4 import IPv4

MIB_2 = (1, 3, 6, 1, 2, 1)
OFFICE, MACHINE = "10.50.0.7", "192.168.1.10"
INTERFACES = {"eth0": {"address": "10.50.0.1/24"}, "eth1": {"address": "192.168.1.1/24"}}


async def build(site: Site, **config: Any) -> tuple[Host, Host]:
    await site.switch_on({"interfaces": INTERFACES, **config})
    office = site.host("office", f"{OFFICE}/24", "10.50.0.1", "eth0")
    machine = site.host("machine", f"{MACHINE}/24", "192.168.1.1", "eth1")
    for host in (office, machine):
        with host.current():
            await asyncio.start_server(echo, port=502)
            await asyncio.start_server(peer_name, port=7)
    return office, machine


async def peer_name(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that says who it is asked by."""
    await reader.read()
    address, port = writer.get_extra_info("peername")
    writer.write(f"{address}:{port}".encode())
    writer.close()


def listen(host: Host) -> list[IPv4]:
    """The datagrams that host gets from now on, which its own stack sees, too."""
    heard: list[IPv4] = []

    def hear(datagram: IPv4) -> bool:
        heard.append(datagram)
        return False

    host.watchers.append(hear)
    return heard


def test_it_routes_between_its_interfaces() -> None:
    async def story(site: Site) -> None:
        office, machine = await build(site)
        assert await office.spawn(ask(MACHINE, 502, b"x" * 50_000)) == b"x" * 50_000
        assert (await office.spawn(ask(MACHINE, 7, b""))).startswith(OFFICE.encode())
        assert await machine.ping(OFFICE) is not None
        assert await office.ping("10.50.0.1") is not None
        assert site.device.status()["forwarded"] > 50  # type: ignore[operator]

    run(Router, story)


def test_a_router_does_not_mind_a_connection_it_has_not_seen_begin() -> None:
    async def story(site: Site) -> None:
        office, _ = await build(site)
        with office.current():
            reader, writer = await asyncio.open_connection(MACHINE, 502)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            with site.middle.current():
                await site.device.stop()
                await site.device.start()
            writer.write(b"two")
            assert await reader.readexactly(3) == b"two"
            writer.close()

    run(Router, story)


# -- translation -------------------------------------------------------------------------------------------------------

MASQUERADE = {"type": "masquerade", "to": "eth0", "source": "192.168.1.0/24"}
FORWARD = {"type": "port-forward", "from": "eth0", "port": 8502, "to": MACHINE, "to_port": 502}


def test_behind_a_masquerade_everybody_has_the_address_of_the_router() -> None:
    async def story(site: Site) -> None:
        office, machine = await build(site, nat=[MASQUERADE])
        office_has_no_way_back(office)
        assert (await machine.spawn(ask(OFFICE, 7, b""))).startswith(b"10.50.0.1:")
        assert await machine.spawn(ask(OFFICE, 502, b"y" * 100_000)) == b"y" * 100_000
        assert await machine.ping(OFFICE) is not None
        assert await office.spawn(attempt(MACHINE, 502)) == "silence"

    run(Router, story)


def office_has_no_way_back(office: Host) -> None:
    office.configure(HostConfig.model_validate({"interfaces": {"eth0": {"address": f"{OFFICE}/24"}}}))


def test_two_machines_with_the_same_port_get_ports_of_their_own() -> None:
    async def story(site: Site) -> None:
        interfaces = {**INTERFACES, "eth2": {"address": "192.168.2.1/24"}}
        masquerade = {**MASQUERADE, "source": ["192.168.1.0/24", "192.168.2.0/24"]}
        _, machine = await build(site, interfaces=interfaces, nat=[masquerade])
        twin = site.host("twin", "192.168.2.10/24", "192.168.2.1", "eth2")

        async def from_port_4000(own: str) -> tuple[bytes, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(OFFICE, 7, local_addr=(own, 4000))
            writer.write_eof()
            return await reader.read(), writer

        (first, one), (second, other) = [
            await host.spawn(from_port_4000(own)) for host, own in ((machine, MACHINE), (twin, "192.168.2.10"))
        ]
        assert first == b"10.50.0.1:4000"
        assert second.startswith(b"10.50.0.1:")
        assert second != first
        one.close()
        other.close()

    run(Router, story)


def test_a_forwarded_port_leads_inside_and_the_answer_comes_from_the_router() -> None:
    async def story(site: Site) -> None:
        office, _ = await build(site, nat=[MASQUERADE, FORWARD])
        office_has_no_way_back(office)
        assert await office.spawn(ask("10.50.0.1", 8502, b"z" * 50_000)) == b"z" * 50_000
        assert await office.spawn(attempt("10.50.0.1", 8503)) == "refused", "the router's own stack"

    run(Router, story)


def test_two_equal_machines_are_told_apart_by_outside_networks() -> None:
    async def story(site: Site) -> None:
        one_to_one = {"type": "one-to-one", "zone": "eth0", "inside": "192.168.1.0/24", "outside": "10.11.0.0/24"}
        office, machine = await build(site, nat=[one_to_one])
        assert await office.spawn(ask("10.11.0.10", 502, b"hello")) == b"hello"
        assert await office.ping("10.11.0.10") is not None
        assert (await machine.spawn(ask(OFFICE, 7, b""))).startswith(b"10.11.0.10:")
        assert await office.ping("10.11.0.11") is None

    run(Router, story)


def test_errors_are_translated_to_whom_they_are_for() -> None:
    async def story(site: Site) -> None:
        _, machine = await build(site, nat=[MASQUERADE])
        heard = listen(machine)
        source, destination = bytes((192, 168, 1, 10)), bytes((10, 50, 0, 7))
        question = udp.Udp(5000, 9, b"anybody?").encode(source, destination)
        machine.send_ip(IPv4(source, destination, ipv4.UDP, question))
        await asyncio.sleep(0.1)
        (error,) = heard
        message = icmp.decode(error.payload)
        assert isinstance(message, icmp.Unreachable)
        assert message.code is icmp.UnreachableCode.PORT
        quoted = ipv4.HEADER.unpack_from(message.original)
        assert (quoted[8], quoted[9]) == (source, destination)
        assert message.original[20:24] == question[:4]
        assert error.source == destination

    run(Router, story)


@pytest.mark.parametrize("nat", [[], [MASQUERADE]])
def test_whose_datagram_is_too_long_is_told_so(nat: list[Any]) -> None:
    async def story(site: Site) -> None:
        narrow = {**INTERFACES, "eth0": {"address": "10.50.0.1/24", "mtu": 1000}}
        _, machine = await build(site, interfaces=narrow, nat=nat)
        heard = listen(machine)
        assert await machine.spawn(ask(OFFICE, 502, b"w" * 20_000)) == b"w" * 20_000
        errors = [icmp.decode(each.payload) for each in heard if each.protocol == ipv4.ICMP]
        assert errors
        assert all(isinstance(each, icmp.Unreachable) and each.next_mtu == 1000 for each in errors)
        assert {each.destination for each in heard} == {bytes((192, 168, 1, 10))}

    run(Router, story)


def test_fragments_are_translated_together() -> None:
    async def story(site: Site) -> None:
        office, machine = await build(site, nat=[MASQUERADE])
        heard = listen(office)
        source, destination = bytes((192, 168, 1, 10)), bytes((10, 50, 0, 7))
        message = udp.Udp(5000, 9, bytes(4000)).encode(source, destination)
        machine.send_ip(IPv4(source, destination, ipv4.UDP, message, identification=77))
        await asyncio.sleep(0.1)
        (whole,) = heard
        assert whole.source == bytes((10, 50, 0, 1))
        assert udp.decode(whole.payload, whole.source, whole.destination).payload == bytes(4000)

    run(Router, story)


def test_translated_flows_survive_a_new_configuration_but_not_another_translation() -> None:
    async def story(site: Site) -> None:
        _, machine = await build(site, nat=[MASQUERADE])
        with machine.current():
            reader, writer = await asyncio.open_connection(OFFICE, 502)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            await site.apply({"interfaces": INTERFACES, "nat": [MASQUERADE], "hosts": {"office": OFFICE}})
            writer.write(b"two")
            assert await reader.readexactly(3) == b"two"
            await site.apply({"interfaces": INTERFACES, "nat": []})
            writer.write(b"three")
            with pytest.raises(ConnectionResetError):  # the office does not know the untranslated connection
                await reader.readexactly(5)
            writer.close()

    run(Router, story)


# -- access lists and DHCP ---------------------------------------------------------------------------------------------


def test_an_access_list_judges_each_packet_alone() -> None:
    entries = [
        {"action": "deny", "source": "10.50.0.8/32"},
        {"action": "permit", "protocol": "tcp", "destination": "192.168.1.0/24", "ports": [502]},
        {"action": "permit", "protocol": "icmp"},
    ]

    async def story(site: Site) -> None:
        office, machine = await build(site, access_lists={"eth0": entries})
        assert await office.spawn(ask(MACHINE, 502, b"hello")) == b"hello"
        assert await office.spawn(attempt(MACHINE, 7)) == "silence"
        assert await office.ping(MACHINE) is not None
        assert await machine.spawn(attempt(OFFICE, 502)) == "silence", "the answer has no entry"
        await site.apply({"interfaces": INTERFACES})
        assert await machine.spawn(ask(OFFICE, 502, b"hello")) == b"hello"

    run(Router, story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nat": [{**MASQUERADE, "to": "eth9"}]},
        {"access_lists": {"eth7": []}},
        {"dhcp_relay": {"interfaces": ["eth5"], "server": OFFICE}},
    ],
)
def test_what_names_no_interface_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="there is no interface 'eth"):
        Router.Config.model_validate({"interfaces": INTERFACES, **wrong})


def test_dhcp_goes_through_to_the_server_with_the_routers_address_in_it() -> None:
    async def story(site: Site) -> None:
        office, _ = await build(site, dhcp_relay={"interfaces": ["eth1"], "server": OFFICE})
        heard = listen(office)
        client = site.network.add_host("client")
        site.network.unplug(Port("machine", "eth0"))
        site.network.plug(Port("client", "eth0"), Port("middle", "eth1"))
        discover = discover_message(client.ports[0].mac)
        anywhere, everybody = bytes(4), b"\xff" * 4
        datagram = IPv4(anywhere, everybody, ipv4.UDP, udp.Udp(68, 67, discover).encode(anywhere, everybody))
        client.ports[0].jack.send(b"\xff" * 6 + client.ports[0].mac + b"\x08\x00" + datagram.encode())
        await asyncio.sleep(0.1)
        (relayed,) = [each for each in heard if each.protocol == ipv4.UDP]
        assert relayed.payload[8 + 24 : 8 + 28] == bytes((192, 168, 1, 1)), "giaddr"
        await site.apply({"interfaces": INTERFACES})
        client.ports[0].jack.send(b"\xff" * 6 + client.ports[0].mac + b"\x08\x00" + datagram.encode())
        await asyncio.sleep(0.1)
        assert len([each for each in heard if each.protocol == ipv4.UDP]) == 1

    run(Router, story)


def discover_message(mac: bytes) -> bytes:
    """A DHCPDISCOVER (RFC 2131 section 2)."""
    head = bytes((1, 1, 6, 0)) + b"\x12\x34\x56\x78" + bytes(20) + mac + bytes(10) + bytes(192)
    return head + bytes.fromhex("63825363") + bytes((53, 1, 1, 255))


def test_network_management_sees_its_interfaces_and_what_it_is() -> None:
    async def story(site: Site) -> None:
        office, _ = await build(site, snmp={"v2c": [{"community": "plant-ro"}]})
        manager = Manager(office, community("plant-ro"), "10.50.0.1")
        assert "RT-4" in str(await manager.value((*MIB_2, 1, 1, 0)))
        names = [str(await manager.value((*MIB_2, 2, 2, 1, 2, index))) for index in (1, 2)]
        assert names == ["eth0", "eth1"]
        await site.apply({"interfaces": INTERFACES})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await manager.value((*MIB_2, 1, 1, 0))
        manager.close()

    run(Router, story)
