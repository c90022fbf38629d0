"""Two plants joined across a network nobody can trust, by the gateways in front of them."""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from service_kit import Site, dissect, tell

from devices.vpn import noise
from devices.vpn.gateway import VpnConfig, VpnGateway
from lab.model.frame import Port
from lab.network.dhcp_client import DhcpClient
from lab.network.host import Host
from lab.wire import ethernet, ipv4

_GENERATOR = random.Random(7)
A, B = (noise.generate_keys(_GENERATOR.randbytes) for _ in range(2))
PSK = b64encode(_GENERATOR.randbytes(32)).decode()


def gateway_config(number: int, **more: Any) -> dict[str, Any]:
    """Gateway 1 has 10.1.0.0/24 inside, gateway 2 has 10.2.0.0/24."""
    other = 3 - number
    peer = {
        "public_key": (A, B)[other - 1][1],
        "preshared_key": PSK,
        "endpoint": f"203.0.113.{other}:51820",
        "allowed_ips": [f"10.{other}.0.0/24"],
        **more,
    }
    return {
        "interfaces": {
            "outside": {"address": f"203.0.113.{number}/24"},
            "inside": {"address": f"10.{number}.0.1/24"},
            "wg0": {"address": f"10.99.0.{number}/24"},
        },
        "private_key": (A, B)[number - 1][0],
        "peers": [peer],
    }


async def two_plants(site: Site, **more: Any) -> tuple[VpnGateway, VpnGateway, Host, Host]:
    gateways: list[VpnGateway] = []
    hosts: list[Host] = []
    for number in (1, 2):
        gateway = await site.device(VpnGateway, f"vpn-{number}", gateway_config(number, **more))
        assert isinstance(gateway, VpnGateway)
        site.plug(f"vpn-{number}", "internet", "outside")
        site.plug(f"vpn-{number}", f"sw-{number}", "inside")
        gateways.append(gateway)
        hosts.append(site.host(f"pc-{number}", f"10.{number}.0.5/24", f"10.{number}.0.1", f"sw-{number}"))
    await asyncio.sleep(1)
    return gateways[0], gateways[1], hosts[0], hosts[1]


async def bulk(server: Host, client: Host, address: str, size: int) -> int:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(size))
        await writer.drain()
        writer.close()

    async def fetch() -> int:
        reader, writer = await asyncio.open_connection(address, 80)
        data = await reader.read(-1)
        writer.close()
        return len(data)

    await server.spawn(asyncio.start_server(serve, "0.0.0.0", 80))
    got: int = await client.spawn(fetch())
    return got


def test_hosts_behind_the_gateways_talk_and_nobody_outside_can_read_it() -> None:
    async def story(site: Site) -> None:
        one, _, a, b = await two_plants(site)
        assert await a.ping("10.2.0.5") is not None
        assert await bulk(b, a, "10.2.0.5", 100_000) == 100_000
        outside = [f for f in site.frames if "internet" in (f.tap.seen_at.host, f.tap.sent_from.host)]
        kinds = {f.data[23] for f in outside if ethernet.decode(f.data).ethertype == ethernet.IPV4}
        assert kinds == {ipv4.UDP}
        assert all(bytes((10, 2, 0, 5)) not in f.data for f in outside)
        assert "203.0.113.2:51820" in str(one.status()["10.2.0.0/24"])

    tell(story)


def test_large_datagrams_are_cut_up_for_the_tunnel_and_put_together_again() -> None:
    async def story(site: Site) -> None:
        _, _, a, _ = await two_plants(site)
        assert await a.ping("10.2.0.5", size=4000) is not None
        assert max(len(f.data) for f in site.frames if f.tap.seen_at.host == "internet") <= 1514

    tell(story)


def test_the_gateways_themselves_are_reached_through_the_tunnel() -> None:
    async def story(site: Site) -> None:
        one, _, a, _ = await two_plants(site)
        assert await a.ping("10.2.0.1") is not None, "the other gateway's inside"
        assert await one.host.ping("10.2.0.5") is None, "from wg0's own address, which the other side does not allow"

    tell(story)


def test_nothing_passes_a_gateway_in_the_clear() -> None:
    async def story(site: Site) -> None:
        _, _, a, _ = await two_plants(site)
        stranger = site.host("stranger", "203.0.113.9/24", "203.0.113.1", "internet")
        assert await stranger.ping("10.1.0.5") is None
        assert await stranger.ping("203.0.113.1") is not None
        assert await a.ping("203.0.113.9") is None

    tell(story)


@pytest.mark.parametrize("wrong", [{"preshared_key": None}, {"public_key": A[1]}, {"allowed_ips": ["10.55.0.0/24"]}])
def test_one_wrong_line_on_one_side_and_there_is_no_tunnel(wrong: dict[str, Any]) -> None:
    async def story(site: Site) -> None:
        one, _, a, _ = await two_plants(site)
        assert await a.ping("10.2.0.5") is not None
        config = VpnConfig.model_validate(gateway_config(1, **wrong))
        one.host.configure(config)
        await one.host.spawn(one.apply(config))
        assert await a.ping("10.2.0.5", timeout=10) is None
        config = VpnConfig.model_validate(gateway_config(1))
        one.host.configure(config)
        await one.host.spawn(one.apply(config))
        assert await a.ping("10.2.0.5", timeout=10) is not None

    tell(story)


def test_a_tunnel_comes_back_after_its_line_was_cut_for_an_hour() -> None:
    async def story(site: Site) -> None:
        _, _, a, _ = await two_plants(site, keepalive=25)
        assert await a.ping("10.2.0.5") is not None
        cable = Port("vpn-2", "outside")
        site.network.unplug(cable)
        assert await a.ping("10.2.0.5") is None
        await asyncio.sleep(3600)
        site.network.plug(cable, Port("internet", "p9"))
        await asyncio.sleep(40)
        assert await a.ping("10.2.0.5") is not None

    tell(story)


def test_a_gateway_may_have_its_outside_address_by_dhcp() -> None:
    async def story(site: Site) -> None:
        one, _, a, _ = await two_plants(site)
        pool = {"network": "203.0.113.0/24", "ranges": [{"first": "203.0.113.50", "last": "203.0.113.60"}]}
        await site.server("isp", "203.0.113.3/24", switch="internet", dhcp={"subnets": [pool]})
        config = gateway_config(1)
        del config["interfaces"]["outside"]
        settings = VpnConfig.model_validate(config)
        one.host.configure(settings)
        client = DhcpClient(one.host, one.host.nic("outside"))
        client.start()
        await one.host.spawn(one.apply(settings))
        assert await a.ping("10.2.0.5", timeout=20) is not None
        assert "203.0.113.2:51820" in str(one.status())
        await one.host.spawn(one.stop())
        await one.host.spawn(one.start())
        assert await a.ping("10.2.0.5", timeout=20) is not None, "the lease is untouched"
        client.release()

    tell(story)


def test_a_gateway_whose_clock_was_set_back_is_not_heard() -> None:
    async def story(site: Site) -> None:
        one, _, a, _ = await two_plants(site)
        assert await a.ping("10.2.0.5") is not None
        one.host.clock_offset = -86400.0
        await one.host.spawn(one.stop())
        await one.host.spawn(one.start())
        assert await a.ping("10.2.0.5", timeout=4) is None, "its initiations look like replays"
        one.host.clock_offset = 0.0
        assert await a.ping("10.2.0.5", timeout=10) is not None

    tell(story)


def test_a_peer_without_an_endpoint_waits_to_be_called_and_may_move() -> None:
    async def story(site: Site) -> None:
        one, two, a, b = await two_plants(site)
        config = VpnConfig.model_validate(gateway_config(2, endpoint=None))
        two.host.configure(config)
        await two.host.spawn(two.apply(config))
        assert await b.ping("10.1.0.5", timeout=10) is None
        assert await a.ping("10.2.0.5", timeout=20) is not None
        assert await b.ping("10.1.0.5") is not None
        moved = gateway_config(1)
        moved["interfaces"]["outside"]["address"] = "203.0.113.77/24"
        settings = VpnConfig.model_validate(moved)
        one.host.configure(settings)
        await one.host.spawn(one.apply(settings))
        assert await a.ping("10.2.0.5", timeout=20) is not None
        assert await b.ping("10.1.0.5") is not None, "its peer has noticed"

    tell(story)


def test_an_endpoint_among_its_own_addresses_makes_no_endless_loop() -> None:
    async def story(site: Site) -> None:
        config = gateway_config(1, allowed_ips=["203.0.112.0/20", "10.2.0.0/24"], endpoint="203.0.112.9:51820")
        gateway = await site.device(VpnGateway, "vpn-1", config)
        site.plug("vpn-1", "internet", "outside")
        assert await gateway.host.ping("10.2.0.5") is None

    tell(story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"private_key": "short"},
        {"peers": [{"public_key": B[1], "allowed_ips": []}]},
        {"peers": [{"public_key": B[1], "allowed_ips": ["10.2.0.0/24"], "endpoint": "here"}]},
        {"peers": [{"public_key": B[1], "allowed_ips": ["10.2.0.0/24"]}] * 2},
        {"interfaces": {}},
    ],
)
def test_a_configuration_that_cannot_work_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VpnConfig.model_validate({**gateway_config(1), **wrong})


@pytest.mark.foreign
def test_wireshark_decrypts_the_tunnel_with_its_keys(tmp_path: Path, tshark: str) -> None:
    async def story(site: Site) -> None:
        one, _, a, _ = await two_plants(site)
        drawn: list[bytes] = []
        draw = one.tunnel._random

        def remember(count: int) -> bytes:
            drawn.append(draw(count))
            return drawn[-1]

        one.tunnel._random = remember
        assert await a.ping("10.2.0.5") is not None
        lines = [f"LOCAL_STATIC_PRIVATE_KEY = {A[0]}", f"REMOTE_STATIC_PUBLIC_KEY = {B[1]}"]
        ephemeral = [b64encode(each).decode() for each in drawn if len(each) == 32]
        lines += [f"LOCAL_EPHEMERAL_PRIVATE_KEY = {each}\nPRESHARED_KEY = {PSK}" for each in ephemeral]
        keys = tmp_path / "keys.txt"
        keys.write_text("\n".join(lines) + "\n")
        frames = [
            f
            for f in site.frames
            if f.tap.sent_from == Port("vpn-1", "outside") or f.tap.seen_at == Port("vpn-1", "outside")
        ]
        rows = dissect(
            tshark,
            frames,
            tmp_path,
            "wg.type",
            "wg.handshake_ok",
            "icmp.type",
            "ip.dst",
            choose="wg",
            more=(f"-owg.keylog_file:{keys}",),
        )
        assert [row[:3] for row in rows] == [["1", "", ""], ["2", "1", ""], ["4", "", "8"], ["4", "", "0"]]
        assert rows[2][3] == "203.0.113.2,10.2.0.5"

    tell(story)
