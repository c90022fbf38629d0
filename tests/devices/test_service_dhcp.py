"""A DHCP server, clients and a relay agent: leases come, last, end and go wrong as they do in life."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from service_kit import Site, dissect, tell

from devices.services.dhcp_leases import Leases, Standing, SubnetConfig
from devices.services.server import ServerConfig
from lab.model.address import format_mac
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.dhcp_client import ClientState, DhcpClient, Lease
from lab.network.dhcp_relay import DhcpRelay
from lab.network.host import Host
from lab.network.routing import Forwarding

CHECKED = ("-oip.check_checksum:TRUE", "-oudp.check_checksum:TRUE")


def subnet(first: int = 100, last: int = 110, **more: Any) -> dict[str, Any]:
    ranges = [{"first": f"10.0.0.{first}", "last": f"10.0.0.{last}"}]
    return {"network": "10.0.0.0/24", "ranges": ranges, "router": "10.0.0.1", "dns": ["10.0.0.2"], **more}


def client_on(host: Host) -> DhcpClient:
    client = DhcpClient(host, host.nics[0])
    client.start()
    return client


def address_of(host: Host) -> str | None:
    address = host.nics[0].address
    return socket.inet_ntoa(address) if address is not None else None


def asked(site: Site, at: str) -> int:
    """How many DHCP messages of clients came to a host's port."""
    return sum(f.tap.seen_at.host == at and f.data[34:38] == b"\x00\x44\x00\x43" for f in site.frames)


def test_a_client_gets_an_address_and_all_that_belongs_to_it() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet(domain="plant.lab")]})
        host = site.host("pc")
        heard: list[Lease | None] = []
        client = DhcpClient(host, host.nics[0], heard.append)
        client.start()
        await asyncio.sleep(5)
        assert address_of(host) == "10.0.0.100"
        assert client.state is ClientState.BOUND
        assert heard == [client.lease]
        lease = client.lease
        assert lease is not None
        assert (str(lease.router), lease.dns, lease.domain) == ("10.0.0.1", (IPv4Address("10.0.0.2"),), "plant.lab")
        assert host.route(b"\x08\x08\x08\x08") == (host.nics[0], b"\x0a\0\0\1"), "the default route leads to the router"
        assert await host.ping("10.0.0.2") is not None
        assert "bound pc" in str(server.status()["dhcp 10.0.0.100"])

    tell(story)


def test_a_lease_is_renewed_at_half_its_time_and_kept_for_days() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet(lease=600)]})
        host = site.host("pc")
        client_on(host)
        await asyncio.sleep(5)
        before = asked(site, "srv")
        await asyncio.sleep(3000)
        assert asked(site, "srv") - before in (9, 10, 11), "one request every 300 s"
        assert address_of(host) == "10.0.0.100"

    tell(story)


def test_without_its_server_a_client_asks_everybody_at_t2_and_gives_up_at_the_end() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet(lease=800)]})
        host = site.host("pc")
        client = client_on(host)
        await asyncio.sleep(5)
        await server.stop()
        await asyncio.sleep(500)
        seen = [(client.state, address_of(host))]
        for seconds in (230, 100):
            await asyncio.sleep(seconds)
            seen.append((client.state, address_of(host)))
        assert seen == [
            (ClientState.RENEWING, "10.0.0.100"),
            (ClientState.REBINDING, "10.0.0.100"),
            (ClientState.SELECTING, None),
        ]
        await server.start()
        await asyncio.sleep(70)
        assert address_of(host) == "10.0.0.100", "it gets its old address again"

    tell(story)


def test_an_exhausted_pool_has_nothing_for_the_third() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet(100, 101, lease=3600)]})
        hosts = [site.host(f"pc{number}") for number in range(3)]
        clients = [client_on(host) for host in hosts]
        await asyncio.sleep(20)
        got = [address_of(host) for host in hosts]
        assert sorted(filter(None, got)) == ["10.0.0.100", "10.0.0.101"]
        assert any("no free address" in line for line in server.dhcp.log)
        lucky, unlucky = got.index("10.0.0.100"), got.index(None)
        clients[lucky].release()
        await asyncio.sleep(70)
        assert address_of(hosts[unlucky]) == "10.0.0.100", "what one gives back the next one gets"
        assert address_of(hosts[lucky]) is None

    tell(story)


def test_a_reserved_address_waits_for_its_owner() -> None:
    async def story(site: Site) -> None:
        plc, pc = site.host("plc"), site.host("pc")
        reservations = {format_mac(plc.nics[0].mac).upper(): "10.0.0.100"}
        await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet(reservations=reservations)]})
        client_on(pc)
        await asyncio.sleep(5)
        client_on(plc)
        await asyncio.sleep(5)
        assert (address_of(pc), address_of(plc)) == ("10.0.0.101", "10.0.0.100")

    tell(story)


def test_an_address_that_answers_a_ping_is_not_offered() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        site.host("squatter", "10.0.0.100/24")
        host = site.host("pc")
        client_on(host)
        await asyncio.sleep(10)
        assert address_of(host) == "10.0.0.101"
        assert server.status()["dhcp 10.0.0.100"].startswith("declined")  # type: ignore[attr-defined]

    tell(story)


def test_a_client_declines_what_somebody_uses_who_answers_no_ping() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()], "ping_check": False})
        site.host("squatter", "10.0.0.100/24").block(1, 0)
        host = site.host("pc")
        client_on(host)
        await asyncio.sleep(30)
        assert address_of(host) == "10.0.0.101"
        assert any("declined 10.0.0.100" in line for line in server.dhcp.log)

    tell(story)


def test_a_rogue_server_that_is_faster_leads_its_clients_astray() -> None:
    async def story(site: Site) -> None:
        good = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        rogue_subnet = subnet(200, 210, router="10.0.0.66")
        rogue = await site.server("rogue", "10.0.0.66/24", dhcp={"subnets": [rogue_subnet], "ping_check": False})
        host = site.host("pc")
        client = client_on(host)
        await asyncio.sleep(5)
        assert address_of(host) == "10.0.0.200"
        assert client.lease is not None
        assert str(client.lease.router) == "10.0.0.66", "all it says to other networks goes to the rogue"
        assert not good.dhcp.status(), "the offer that was not taken is withdrawn"
        await rogue.stop()
        client.release()
        client.start()
        await asyncio.sleep(5)
        assert address_of(host) == "10.0.0.100"

    tell(story)


def test_a_client_that_comes_back_on_another_network_is_refused_its_old_address() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        other = {"network": "10.7.0.0/24", "ranges": [{"first": "10.7.0.50", "last": "10.7.0.60"}]}
        await site.server("srv2", "10.7.0.2/24", switch="sw2", dhcp={"subnets": [other]})
        host = site.host("pc")
        client = client_on(host)
        await asyncio.sleep(5)
        site.network.unplug(Port("pc", "eth0"))
        site.network.plug(Port("pc", "eth0"), Port("sw2", "p9"))
        client.link_changed(True)
        await asyncio.sleep(10)
        assert address_of(host) == "10.7.0.50"

    tell(story)


def test_back_on_its_own_network_a_client_asks_for_what_it_had_and_may_go_on_without_an_answer() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        host = site.host("pc")
        client = client_on(host)
        await asyncio.sleep(5)
        client.link_changed(True)
        await asyncio.sleep(1)
        assert client.state is ClientState.BOUND
        await server.stop()
        client.link_changed(True)
        await asyncio.sleep(120)
        assert client.state is ClientState.BOUND
        host.configure(HostConfig())
        assert address_of(host) is None
        client.apply_again()
        assert address_of(host) == "10.0.0.100"

    tell(story)


def test_a_relay_agent_serves_a_link_without_a_server() -> None:
    async def story(site: Site) -> None:
        far = {
            "network": "10.7.0.0/24",
            "ranges": [{"first": "10.7.0.50", "last": "10.7.0.60"}],
            "router": "10.7.0.1",
            "lease": 600,
        }
        await site.server("srv", "10.0.0.2/24", gateway="10.0.0.1", dhcp={"subnets": [subnet(), far]})
        router = site.network.add_host("router", ("eth0", "eth1"))
        interfaces = {"eth0": {"address": "10.0.0.1/24"}, "eth1": {"address": "10.7.0.1/24"}}
        router.configure(HostConfig.model_validate({"interfaces": interfaces}))
        router.forward = Forwarding(router).forward
        site.plug("router")
        site.plug("router", "sw2", "eth1")
        host = site.host("pc", switch="sw2")
        client_on(host)
        await asyncio.sleep(30)
        assert address_of(host) is None, "routers do not forward broadcasts"
        relay = DhcpRelay(router, [router.nic("eth1")], IPv4Address("10.0.0.2"))
        await asyncio.sleep(70)
        assert address_of(host) == "10.7.0.50"
        await asyncio.sleep(2000)
        assert address_of(host) == "10.7.0.50", "renewals go to the server without the relay agent"
        relay.close()

    tell(story)


def test_a_new_configuration_keeps_the_leases() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        host = site.host("pc")
        client_on(host)
        await asyncio.sleep(5)
        config = {"interfaces": {"eth0": {"address": "10.0.0.2/24"}}, "dhcp": {"subnets": [subnet(100, 105)]}}
        await server.host.spawn(server.apply(ServerConfig.model_validate(config)))
        assert "bound pc" in str(server.status()["dhcp 10.0.0.100"])

    tell(story)


def test_nonsense_disturbs_nobody() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        host = site.host("pc", "10.0.0.9/24")
        transport, _ = host.open_datagrams(asyncio.DatagramProtocol, ("0.0.0.0", 68), None)
        for size in (0, 1, 239, 240, 300, 1400):
            transport.sendto(host.random.randbytes(size), ("10.0.0.2", 67))
        await asyncio.sleep(1)
        assert not server.dhcp.status()

    tell(story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ranges": [{"first": "10.1.0.1", "last": "10.1.0.9"}]},
        {"ranges": [{"first": "10.0.0.9", "last": "10.0.0.1"}]},
        {"reservations": {"no-mac": "10.0.0.7"}},
        {"lease": 1},
    ],
)
def test_a_pool_that_cannot_work_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SubnetConfig.model_validate({**subnet(), **wrong})


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "take", "release", "decline", "withdraw"]), st.integers(0, 7), st.integers(0, 90)
        ),
        max_size=60,
    )
)
def test_no_address_is_ever_two_clients(deeds: list[tuple[str, int, int]]) -> None:
    leases = Leases(SubnetConfig.model_validate(subnet(100, 103, lease=120)))
    now = 0.0
    for deed, number, seconds in deeds:
        now += seconds
        client, mac = bytes((number,)), bytes((2, 0, 0, 0, 0, number))
        address = leases.address_of(client)
        if deed == "ask":
            chosen = leases.choose(client, mac, None, now)
            if chosen is not None:
                leases.offer(chosen, client, mac, now)
        elif address is None:
            continue
        elif deed == "take" and leases.may_have(address, client, mac, now):
            leases.bind(address, client, mac, "", now)
        elif deed == "release":
            leases.release(address, client, now)
        elif deed == "decline":
            leases.decline(address, now)
        elif deed == "withdraw":
            leases.withdraw(client)
        holders = [leases.holder(each, now) for each in leases.bindings]
        clients = [each.client for each in holders if each is not None and each.standing is not Standing.DECLINED]
        assert len(set(clients)) == len(clients)
        assert len(leases.bindings) <= 4


@pytest.mark.foreign
def test_wireshark_reads_the_whole_conversation(tmp_path: Path, tshark: str) -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dhcp={"subnets": [subnet()]})
        client = client_on(site.host("pc"))
        await asyncio.sleep(5)
        client.release()
        await asyncio.sleep(1)
        frames = [f for f in site.frames if "pc" in (f.tap.seen_at.host, f.tap.sent_from.host)]
        rows = dissect(
            tshark, frames, tmp_path, "dhcp.option.dhcp", "dhcp.ip.your", "_ws.expert", choose="dhcp", more=CHECKED
        )
        assert rows == [
            ["1", "0.0.0.0", ""],
            ["2", "10.0.0.100", ""],
            ["3", "0.0.0.0", ""],
            ["5", "10.0.0.100", ""],
            ["7", "0.0.0.0", ""],
        ]

    tell(story)
