"""ping, traceroute, arp, ip, nslookup: what people find out with them, and what they see where something is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from console_kit import Console, Site, console_at, tell
from service_kit import dissect

from devices.router import Router
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.automatic import Automatic
from lab.network.fabric import Impairment
from lab.network.host import Host
from lab.wire import icmp, ipv4
from lab.wire.ipv4 import IPv4


def configured(host: Host, **config: object) -> None:
    host.configure(HostConfig.model_validate(config))


# -- ping --------------------------------------------------------------------------------------------------------------


def test_a_ping_says_what_iputils_says() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        site.host("plc", "10.0.0.2/24")
        said = (await at.run("ping -c 3 -i 0.5 -s 100 10.0.0.2")).splitlines()
        assert at.status == 0
        assert said[0] == "PING 10.0.0.2 (10.0.0.2) 100(128) bytes of data."
        assert re.fullmatch(r"108 bytes from 10\.0\.0\.2: icmp_seq=1 ttl=64 time=0\.\d{3} ms", said[1])
        assert said[4:6] == ["", "--- 10.0.0.2 ping statistics ---"]
        assert said[6] == "3 packets transmitted, 3 received, 0% packet loss, time 1000ms"
        assert re.fullmatch(r"rtt min/avg/max/mdev = (\d+\.\d{3}/){3}\d+\.\d{3} ms", said[7])

    tell(story)


def test_a_wrong_mask_loses_everything() -> None:
    async def story(site: Site) -> str:
        at = console_at(site, "10.0.0.9/24")
        site.host("plc", "10.0.0.200/25")  # its answers would have to go by a gateway that it does not have
        text = await at.run("ping -c 3 10.0.0.200")
        assert at.status == 1
        return text

    assert "3 packets transmitted, 0 received, 100% packet loss" in tell(story)


def test_nobody_answers_arp_so_the_own_stack_says_so() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        text = await at.run("ping -c 2 10.0.0.77")
        assert at.status == 1
        return text

    said = tell(story)
    assert said.count("From 10.0.0.9 icmp_seq=") == 2
    assert "2 packets transmitted, 0 received, +2 errors, 100% packet loss" in said


def test_a_bad_cable_shows_in_loss_duplicates_and_deviation() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        site.host("plc", "10.0.0.2/24")
        await at.run("ping -c 1 10.0.0.2")
        cable = site.network.cable_at(Port("plc", "eth0"))
        assert cable is not None
        cable.impair(Impairment(loss=0.1, duplicate=0.1, jitter=0.02))
        return await at.run("ping -c 200 -i 0.1 10.0.0.2")

    said = tell(story)
    match = re.search(r"200 packets transmitted, (\d+) received, \+(\d+) duplicates, ([\d.]+)% packet loss", said)
    assert match is not None
    assert 140 < int(match[1]) < 185
    assert said.count("(DUP!)") == int(match[2]) > 10
    assert float(match[3]) == pytest.approx(100 - int(match[1]) / 2)
    deviation = re.search(r"mdev = [\d.]+/[\d.]+/[\d.]+/([\d.]+) ms", said)
    assert deviation is not None
    assert float(deviation[1]) > 2


def test_control_c_ends_a_ping_with_its_summary() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        site.host("plc", "10.0.0.2/24")
        return await at.interrupted("ping 10.0.0.2", 4.5)

    said = tell(story)
    assert said.count("icmp_seq") == 5
    assert "5 packets transmitted, 5 received, 0% packet loss, time 4000ms" in said


async def routed(site: Site, mtu: int = 1500) -> tuple[Console, Host]:
    """The console and a far host, a router between them whose far side takes `mtu`."""
    interfaces = {"eth0": {"address": "10.0.0.1/24"}, "eth1": {"address": "10.0.1.1/24", "mtu": mtu}}
    await site.device(Router, "router", {"interfaces": interfaces})
    site.plug("router", "sw", "eth0")
    site.plug("router", "far", "eth1")
    at = console_at(site)
    configured(at.host, interfaces={"eth0": {"address": "10.0.0.9/24", "gateway": "10.0.0.1"}})
    return at, site.host("server", "10.0.1.5/24", "10.0.1.1", switch="far")


def test_a_narrow_link_is_found_with_dont_fragment() -> None:
    async def story(site: Site) -> None:
        at, _ = await routed(site, mtu=1400)
        assert "1 received" in await at.run("ping -c 1 -s 1372 -M do 10.0.1.5")
        said = await at.run("ping -c 1 -s 1373 -M do 10.0.1.5")
        assert "From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)" in said
        assert at.status == 1
        assert "1 received" in await at.run("ping -c 1 -s 3000 10.0.1.5"), "in fragments it gets through"
        assert "message too long, mtu=1500" in await at.run("ping -c 1 -s 1473 -M do 10.0.1.5")

    tell(story)


def test_what_cannot_be_pinged_is_refused_before_anything_is_sent() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        assert await at.run("ping nosuch") == "ping: nosuch: Name or service not known\n"
        assert at.status == 2
        assert "Network is unreachable" in await at.run("ping 192.168.1.1")
        assert at.status == 2
        at.host.nics[0].clear()

    tell(story)


def test_a_liar_cannot_answer_for_others_nor_stop_a_ping() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        liar = site.host("liar", "10.0.0.66/24")
        running = at.begin("ping -c 2 -W 3 10.0.0.77")
        for payload in (b"", b"\0" * 8, icmp.Echo(True, 1, 1).encode(), icmp.TimeExceeded(b"\x45").encode()):
            liar.send_ip(IPv4(b"\n\0\0\x42", b"\n\0\0\x09", ipv4.ICMP, payload))
        await running.end()
        return running.said

    assert "0 received" in tell(story)


# -- traceroute --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", ["", "-I "])
def test_the_way_goes_through_the_router(flags: str) -> None:
    async def story(site: Site) -> None:
        at, _ = await routed(site)
        said = (await at.run(f"traceroute {flags}-q 2 10.0.1.5")).splitlines()
        assert at.status == 0
        assert said[0] == "traceroute to 10.0.1.5 (10.0.1.5), 30 hops max, 60 byte packets"
        assert re.fullmatch(r" 1  10\.0\.0\.1(  0\.\d{3} ms){2}", said[1])
        assert re.fullmatch(r" 2  10\.0\.1\.5(  0\.\d{3} ms){2}", said[2])
        assert len(said) == 3

    tell(story)


def test_stars_stand_for_silence_and_a_mark_for_the_end_of_the_road() -> None:
    async def story(site: Site) -> None:
        at, server = await routed(site)
        server.guard = lambda nic, datagram: False
        said = await at.run("traceroute -q 1 -m 4 -w 1 10.0.1.5")
        assert said.splitlines()[2:] == [" 2  *", " 3  *", " 4  *"]
        assert at.status == 1
        said = await at.run("traceroute -q 1 10.0.1.77")
        assert re.search(r" 2  10\.0\.0\.1  \d+\.\d+ ms !H\n$", said)
        assert "!N" in await at.run("traceroute -q 1 -I 172.16.0.1")

    tell(story)


# -- arp and ip --------------------------------------------------------------------------------------------------------


def test_the_neighbour_table_is_shown_and_forgotten() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        plc = site.host("plc", "10.0.0.2/24")
        assert await at.run("arp -a") == ""
        await at.run("ping -c 1 10.0.0.2")
        mac = plc.nics[0].mac.hex(":")
        assert await at.run("arp") == f"? (10.0.0.2) at {mac} [ether] on eth0\n"
        assert await at.run("ip neigh") == f"10.0.0.2 dev eth0 lladdr {mac} REACHABLE\n"
        await at.run("arp -d 10.0.0.2")
        assert at.status == 0
        assert "no entry" in await at.run("arp 10.0.0.2")
        assert at.status == 1

    tell(story)


def test_addresses_routes_and_links_are_shown_and_not_changed() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        interfaces = {
            "eth0": {"address": "10.0.0.9/24", "gateway": "10.0.0.1"},
            "eth0.20": {"address": "10.0.20.9/24"},
        }
        configured(at.host, interfaces=interfaces, routes=[{"to": "10.9.0.0/16", "via": "10.0.20.1"}])
        assert "eth0.20          UP             10.0.20.9/24" in await at.run("ip -br a")
        assert "inet 10.0.0.9/24 brd 10.0.0.255 scope global eth0" in await at.run("ip addr show dev eth0")
        assert "10.9.0.0/16 via 10.0.20.1 dev eth0.20" in await at.run("ip route")
        assert await at.run("ip r get 10.9.1.1") == "10.9.1.1 via 10.0.20.1 dev eth0.20 src 10.0.20.9\n"
        site.network.unplug(Port("ws", "eth0"))
        assert "NO-CARRIER" in await at.run("ip link show eth0")
        assert "only shows" in await at.run("ip route add default via 10.0.0.5")
        assert at.status == 2

    tell(story)


# -- nslookup ----------------------------------------------------------------------------------------------------------

RECORDS = [
    {"name": "plc.lab", "value": "10.0.0.2"},
    {"name": "opc.lab", "type": "CNAME", "value": "plc.lab"},
]


def test_names_are_asked_for_and_a_wrong_one_is_told_from_a_dead_server() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        assert "no name server" in await at.run("nslookup plc.lab")
        server = await site.server("dns", "10.0.0.3/24", dns={"zones": ["lab"], "records": RECORDS})
        config = {"interfaces": {"eth0": {"address": "10.0.0.9/24"}}, "name_servers": ["10.0.0.3"]}
        Automatic(at.host).apply(HostConfig.model_validate(config))
        said = await at.run("nslookup opc.lab")
        assert at.status == 0
        assert "Server:\t\t10.0.0.3" in said
        assert "opc.lab\tcanonical name = plc.lab." in said
        assert said.endswith("Name:\tplc.lab\nAddress: 10.0.0.2\n")
        assert "name = plc.lab." in await at.run("nslookup 10.0.0.2 10.0.0.3")
        assert "can't find plv.lab: NXDOMAIN" in await at.run("nslookup plv.lab")
        assert at.status == 1
        assert "64 bytes from 10.0.0.2" not in await at.run("ping -c 1 -W 1 plc.lab"), "nobody is there"
        await server.host.spawn(server.stop())
        assert "Connection refused" in await at.run("nslookup plc.lab")
        assert "timed out" in await at.run("nslookup -timeout=1 plc.lab 10.0.0.77")
        assert "is no name" in await at.run(["nslookup", "a..b"])

    tell(story)


@pytest.mark.foreign
def test_wireshark_sees_nothing_wrong_in_the_probes(tshark: str, tmp_path: Path) -> None:
    async def story(site: Site) -> Site:
        at, _ = await routed(site)
        await at.run(
            "ping -c 2 -s 2000 10.0.1.5; traceroute 10.0.1.5; traceroute -I 10.0.1.5; portscan -sS -p 7 10.0.1.5"
        )
        return site

    site = tell(story)
    flags = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
    wrong = "_ws.malformed or ip.checksum.status==0 or tcp.checksum.status==0 or udp.checksum.status==0"
    assert dissect(tshark, site.frames, tmp_path, "frame.number", choose=wrong, more=flags) == []
    seen = dissect(tshark, site.frames, tmp_path, "icmp.type", choose="icmp", more=flags)
    assert {"0", "8", "11", "3"} <= {each for row in seen for each in row[0].split(",")}
