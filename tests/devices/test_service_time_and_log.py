"""Clocks that go wrong and are set right, and the log that says what happened when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from service_kit import Site, dissect, tell

from devices.services.server import ServerConfig
from lab.network.host import Host
from lab.network.sntp import Sntp
from lab.network.syslog import Syslog
from lab.wire import ntp
from lab.wire.ntp import Leap, Mode, Ntp
from lab.wire.syslog import Facility, Severity


def client_on(host: Host, servers: Sequence[str], **more: Any) -> Sntp:
    return Sntp(host, [IPv4Address(each) for each in servers], **more)


def test_a_clock_that_is_wrong_is_set_right() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", ntp={})
        host = site.host("pc", "10.0.0.9/24")
        host.clock_offset = 37.5
        client = client_on(host, ["10.0.0.2"])
        client.start()
        await asyncio.sleep(5)
        assert host.clock_offset == pytest.approx(0, abs=1e-3)
        assert client.latest is not None
        assert client.latest.offset == pytest.approx(-37.5, abs=1e-3)
        assert 0 < client.latest.delay < 0.01
        host.clock_offset -= 86400 * 400
        await asyncio.sleep(70)
        assert host.clock_offset == pytest.approx(0, abs=1e-3)
        assert client.is_synchronised
        client.stop()

    tell(story)


def test_a_clock_may_be_watched_without_being_touched() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", ntp={})
        host = site.host("pc", "10.0.0.9/24")
        host.clock_offset = -2.0
        client = client_on(host, ["10.0.0.2"], corrects=False)
        measured = await client.synchronise()
        assert measured is not None
        assert measured.offset == pytest.approx(2.0, abs=1e-3)
        assert host.clock_offset == -2.0

    tell(story)


def test_a_server_with_the_wrong_time_is_believed_alone_and_outvoted_by_two() -> None:
    async def story(site: Site) -> None:
        for number in (2, 3, 4):
            await site.server(f"srv{number}", f"10.0.0.{number}/24", ntp={})
        site.network.hosts["srv3"].clock_offset = 3600.0
        host = site.host("pc", "10.0.0.9/24")
        await client_on(host, ["10.0.0.3"]).synchronise()
        assert host.clock_offset == pytest.approx(3600, abs=1e-2)
        await client_on(host, ["10.0.0.2", "10.0.0.3", "10.0.0.4"]).synchronise()
        assert host.clock_offset == pytest.approx(0, abs=1e-2)

    tell(story)


def test_a_server_that_lost_its_reception_says_so_and_is_not_used() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", ntp={"synchronised": False})
        host = site.host("pc", "10.0.0.9/24")
        host.clock_offset = 5.0
        client = client_on(host, ["10.0.0.2"])
        assert await client.synchronise() is None
        assert await client_on(host, ["10.0.0.55"]).synchronise() is None, "nor is one that is not there"
        assert host.clock_offset == 5.0
        assert server.status() == {"ntp stratum": 16, "ntp served": 1}

    tell(story)


def test_a_server_below_another_takes_its_time_and_counts_one_more() -> None:
    async def story(site: Site) -> None:
        top = await site.server("top", "10.0.0.2/24", ntp={})
        low = await site.server("low", "10.0.0.3/24", ntp={"upstream": ["10.0.0.2"]})
        low.host.clock_offset = 9.0
        host = site.host("pc", "10.0.0.9/24")
        client = client_on(host, ["10.0.0.3"])
        assert await client.synchronise() is None, "it has just been switched on"
        await asyncio.sleep(70)
        measured = await client.synchronise()
        assert measured is not None
        assert measured.stratum == 2
        assert measured.offset == pytest.approx(0, abs=1e-3)
        await top.stop()
        await asyncio.sleep(400)
        assert await client.synchronise() is None, "without its source it soon does not trust itself"
        await low.stop()

    tell(story)


def test_replies_that_answer_nothing_do_not_move_the_clock() -> None:
    class Forger(asyncio.DatagramProtocol):
        def __init__(self, host: Host) -> None:
            self.transport, _ = host.open_datagrams(lambda: self, ("0.0.0.0", 123), None)

        def datagram_received(self, data: bytes, addr: Any) -> None:
            sent = ntp.decode(data).transmit
            for forged in (
                Ntp(Mode.SERVER, stratum=1, origin=sent ^ 1, receive=5 << 32, transmit=5 << 32),
                Ntp(Mode.CLIENT, stratum=1, origin=sent, receive=5 << 32, transmit=5 << 32),
                Ntp(Mode.SERVER, stratum=0, reference_id=b"RATE", origin=sent, receive=5 << 32, transmit=5 << 32),
                Ntp(Mode.SERVER, Leap.NONE, 1, origin=sent, receive=5 << 32, transmit=0),
            ):
                self.transport.sendto(forged.encode(), addr)
            self.transport.sendto(b"nonsense", addr)

    async def story(site: Site) -> None:
        Forger(site.host("forger", "10.0.0.3/24"))
        host = site.host("pc", "10.0.0.9/24")
        assert await client_on(host, ["10.0.0.3"]).synchronise() is None
        assert host.clock_offset == 0

    tell(story)


def test_the_collector_keeps_the_latest_lines_with_their_senders_time() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", syslog={"keep": 5})
        host = site.host("fw-1", "10.0.0.9/24")
        host.clock_offset = 3600.0
        sender = Syslog(host, IPv4Address("10.0.0.2"))
        for number in range(8):
            sender.send(Facility.LOCAL0, Severity.WARNING, "fw", f"dropped {number}", {"rule@32473": {"id": "7"}})
        await asyncio.sleep(1)
        assert len(server.syslog.received) == 5
        (line,) = server.syslog.tail(1)
        assert line == "10.0.0.9 2026-01-01T01:00:00.000+00:00 fw-1 fw warning: [rule@32473 id=7] dropped 7"
        assert server.syslog.tail(0) == []
        sender.close()
        config = {"interfaces": {"eth0": {"address": "10.0.0.2/24"}}, "syslog": {"keep": 3}}
        await server.host.spawn(server.apply(ServerConfig.model_validate(config)))
        assert [each.message.text for each in server.syslog.received] == ["dropped 5", "dropped 6", "dropped 7"]

    tell(story)


def test_nobody_can_forge_a_line_of_the_log_by_a_line_break() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", syslog={})
        host = site.host("pc", "10.0.0.9/24")
        transport, _ = host.open_datagrams(asyncio.DatagramProtocol, None, ("10.0.0.2", 514))
        for data in (
            b"<13>all is well\n10.0.0.1 root logged in\x1b[2J",
            b"no priority",
            b"",
            b"<999>",
            b"<13>\xff\xfe",
        ):
            transport.sendto(data)
        await asyncio.sleep(1)
        assert len(server.syslog.tail()) == 2
        assert "\n" not in server.syslog.tail()[0]
        assert "well\\x0a10.0.0.1" in server.syslog.tail()[0]
        assert server.status() == {"syslog messages": 2, "syslog unreadable": 3}

    tell(story)


def test_a_collector_that_is_not_there_is_no_trouble_for_the_sender() -> None:
    async def story(site: Site) -> None:
        host = site.host("fw-1", "10.0.0.9/24")
        site.host("pc", "10.0.0.2/24")
        for collector in ("10.0.0.2", "10.0.0.77", "192.0.2.1"):
            Syslog(host, IPv4Address(collector)).send(Facility.LOCAL0, Severity.ALERT, "fw", "is anybody there")
        await asyncio.sleep(10)

    tell(story)


@pytest.mark.foreign
def test_wireshark_reads_times_and_messages(tmp_path: Path, tshark: str) -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", ntp={}, syslog={})
        host = site.host("fw-1", "10.0.0.9/24")
        await client_on(host, ["10.0.0.2"]).synchronise()
        Syslog(host, IPv4Address("10.0.0.2")).send(Facility.LOCAL0, Severity.WARNING, "fw", "dropped")
        await asyncio.sleep(1)
        frames = [f for f in site.frames if "fw-1" in (f.tap.seen_at.host, f.tap.sent_from.host)]
        rows = dissect(tshark, frames, tmp_path, "ntp.flags.mode", "ntp.stratum", "_ws.expert", choose="ntp")
        assert rows == [["3", "0", ""], ["4", "1", ""]]
        fields = ("syslog.facility", "syslog.level", "syslog.hostname", "syslog.appname", "_ws.expert")
        rows = dissect(tshark, frames, tmp_path, *fields, choose="syslog")
        assert rows == [["16", "4", "fw-1", "fw", ""]]

    tell(story)
