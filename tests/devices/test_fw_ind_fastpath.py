"""What goes the fast way through a firewall is what would have gone the slow way, bit by bit."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from firewall_kit import Site, ask, attempt, echo, run

from devices.fw_ind import FwInd
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Impairment
from lab.network.firewall import fastpath
from lab.network.firewall.bridge import TransparentFirewall
from lab.network.firewall.routed import RoutedFirewall

PAIR = {"wan": {"address": "10.1.30.1/24"}, "lan": {"address": "10.1.20.1/24"}}
ZONES = {"office": ["wan"], "control": ["lan"]}
FORWARD = {"type": "port-forward", "from": "office", "port": 8502, "to": "10.1.20.11", "to_port": 502}
MASQUERADE = {"type": "masquerade", "to": "control"}
PLAIN = {"interfaces": PAIR, "zones": ZONES, "rules": [{"name": "all"}]}
TRANSLATED = {**PLAIN, "nat": [FORWARD, MASQUERADE]}
READ_ONLY = {"modbus": {"read_only": True}}
INSPECTED = {**PLAIN, "content": {"c": READ_ONLY}, "rules": [{"name": "all", "service": "modbus", "content": "c"}]}
TRANSPARENT = {**INSPECTED, "mode": "transparent", "interfaces": {}}
REQUESTS = b"".join(bytes.fromhex(f"{n:04x}0000000601030000000a") for n in range(5000))


async def build(site: Site, config: dict[str, Any]) -> None:
    await site.switch_on(config)
    site.host("office", "10.1.30.10/24", "10.1.30.1", "wan")
    plc = site.host("plc", "10.1.20.11/24", "10.1.20.1", "lan")
    if config.get("mode") == "transparent":
        for host, number in ((site.network.hosts["office"], "30.10"), (plc, "20.11")):
            interface = {"address": f"10.1.{number}/16"}
            host.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
    with plc.current():
        await asyncio.start_server(echo, port=502)


def conversation(config: dict[str, Any]) -> Callable[[Site], Awaitable[tuple[int, list[bytes]]]]:
    target = ("10.1.30.1", 8502) if "nat" in config else ("10.1.20.11", 502)

    async def story(site: Site) -> tuple[int, list[bytes]]:
        await build(site, config)
        assert await site.network.hosts["office"].spawn(ask(*target, REQUESTS)) == REQUESTS
        firewall = site.device._firewall  # type: ignore[attr-defined]
        assert isinstance(firewall, RoutedFirewall | TransparentFirewall)
        hits = firewall.filter.rules.rules[0].hits
        return firewall._fast.forwarded, [*site.seen_at("office"), *site.seen_at("plc"), repr(hits.packets).encode()]

    return story


@pytest.mark.parametrize(
    "config",
    [PLAIN, TRANSLATED, INSPECTED, TRANSPARENT],
    ids=["plain", "translated", "inspected", "transparent"],
)
def test_the_fast_way_and_the_slow_way_send_the_same_frames(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, frames = run(FwInd, conversation(config))
    for method in ("learn", "learn_to_pass"):
        monkeypatch.setattr(fastpath.FastPath, method, lambda *arguments: None)
    slow, same_frames = run(FwInd, conversation(config))
    assert fast > 10
    assert slow == 0
    assert frames == same_frames


@pytest.mark.parametrize(
    "config",
    [PLAIN, TRANSLATED, {**TRANSPARENT, "rules": [{"name": "all"}]}],
    ids=["plain", "translated", "transparent"],
)
def test_connections_survive_bad_cables(config: dict[str, Any]) -> None:
    target = ("10.1.30.1", 8502) if "nat" in config else ("10.1.20.11", 502)

    async def story(site: Site) -> None:
        await build(site, config)
        for port in ("wan", "lan"):
            cable = site.network.cable_at(Port("middle", port))
            assert cable is not None
            cable.impair(Impairment(0.03, 0.03, 0.02, 0.001, 0.01, 0.03))
        for _ in range(5):
            data = bytes(range(256)) * 200
            assert await site.network.hosts["office"].spawn(ask(*target, data)) == data
        await asyncio.sleep(300)
        assert site.device.status()["connections"] == 0

    run(FwInd, story)


def test_a_cable_that_is_moved_takes_its_flows_along() -> None:
    async def story(site: Site) -> None:
        await build(site, PLAIN)
        with site.network.hosts["office"].current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            for _ in range(3):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                site.network.unplug(Port("middle", "lan"))
                writer.write(b"again")
                await asyncio.sleep(1)
                site.network.plug(Port("middle", "lan"), Port("plc", "eth0"))
                assert await reader.readexactly(5) == b"again"
            writer.close()

    run(FwInd, story)


@pytest.mark.foreign
def test_tshark_finds_every_checksum_right(tmp_path: Path, tshark: str) -> None:
    async def story(site: Site) -> None:
        content = {"c": READ_ONLY}
        rules = [{"name": "all", "service": "modbus", "content": "c"}, {"name": "no", "action": "reject"}]
        await build(site, {**TRANSLATED, "content": content, "rules": rules})
        office = site.network.hosts["office"]
        assert await office.spawn(ask("10.1.30.1", 8502, REQUESTS)) == REQUESTS
        with office.current():
            reader, writer = await asyncio.open_connection("10.1.30.1", 8502)
            writer.write(bytes.fromhex("000100000006010600010001"))
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            assert await attempt("10.1.20.11", 80) == "refused"
        assert await office.ping("10.1.20.11") is None
        with (tmp_path / "capture.pcap").open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
            for frame in site.frames:
                head = struct.pack("<IIII", frame.at // 10**9, frame.at % 10**9, len(frame.data), len(frame.data))
                file.write(head + frame.data)

    run(FwInd, story)
    checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
    command = [tshark, "-r", str(tmp_path / "capture.pcap"), *checks, "-q", "-z", "expert"]
    report = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Reset" in report or "RST" in report
    assert "checksum" not in report.lower(), report
    assert "Malformed" not in report, report
