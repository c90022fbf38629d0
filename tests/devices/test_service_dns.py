"""Names in a plant: answered, aliased, forwarded, remembered, and not there."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from service_kit import Site, dissect, tell

from devices.services.dns import DnsConfig
from lab.network.host import Host
from lab.network.resolver import Resolver
from lab.wire import dns
from lab.wire.dns import Dns, Question, Rcode, RecordType

PLANT: dict[str, Any] = {
    "zones": ["plant.lab"],
    "records": [
        {"name": "opc.plant.lab", "value": "10.0.0.5", "ttl": 120},
        {"name": "opc.plant.lab", "type": "AAAA", "value": "fd00::5"},
        {"name": "www.plant.lab", "type": "CNAME", "value": "opc.plant.lab"},
        {"name": "deep.cell.plant.lab", "value": "10.0.0.6"},
    ],
}


def resolver_on(host: Host, *servers: str, **more: Any) -> Resolver:
    return Resolver(host, [IPv4Address(each) for each in servers], "plant.lab", **more)


def questions_at(site: Site, name: str) -> int:
    return sum(f.tap.seen_at.host == name and f.data[36:38] == b"\0\x35" for f in site.frames)


async def fails(resolver: Resolver, name: str) -> int:
    with pytest.raises(socket.gaierror) as caught:
        await resolver.resolve(name)
    assert caught.value.errno is not None
    return caught.value.errno


def test_a_host_connects_by_name() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dns=PLANT)
        host, opc = site.host("pc", "10.0.0.9/24"), site.host("opc", "10.0.0.5/24")
        host.resolver = resolver_on(host, "10.0.0.2").resolve

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"welcome")
            writer.close()

        await opc.spawn(asyncio.start_server(serve, "0.0.0.0", 4840))

        async def talk() -> bytes:
            reader, writer = await asyncio.open_connection("WWW.plant.lab", 4840)
            heard = await reader.read()
            writer.close()
            return heard

        assert await host.spawn(talk()) == b"welcome"

    tell(story)


def test_every_kind_of_question_gets_its_kind_of_answer() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dns=PLANT)
        host = site.host("pc", "10.0.0.9/24")
        resolver = resolver_on(host, "10.0.0.2")
        assert await resolver.resolve("opc") == b"\x0a\0\0\x05", "a short name is one of the plant's"
        assert await resolver.look_up("www.plant.lab", RecordType.AAAA) == ["fd00::5"]
        assert await resolver.reverse(IPv4Address("10.0.0.5")) == "opc.plant.lab"
        assert await fails(resolver, "nobody.plant.lab") == socket.EAI_NONAME
        assert await fails(resolver, "cell.plant.lab") == socket.EAI_NONAME, "it exists, but has no address"
        assert await fails(resolver, "www.example.com") == socket.EAI_AGAIN, "refused: not this server's business"
        assert await fails(resolver, "a..b") == socket.EAI_NONAME
        nothing = await resolver.ask(Question("cell.plant.lab", RecordType.A))
        nobody = await resolver.ask(Question("nobody.plant.lab", RecordType.A))
        assert nothing is not None
        assert nobody is not None
        assert (nothing.rcode, nobody.rcode) == (Rcode.NOERROR, Rcode.NXDOMAIN)

    tell(story)


def test_what_a_plant_server_does_not_know_it_asks_the_company() -> None:
    async def story(site: Site) -> None:
        company = {"zones": ["company.lab"], "records": [{"name": "erp.company.lab", "value": "10.0.0.77", "ttl": 60}]}
        await site.server("company", "10.0.0.3/24", dns=company)
        plant = await site.server("srv", "10.0.0.2/24", dns={**PLANT, "forward": ["10.0.0.3"]})
        hosts = [site.host(f"pc{number}", f"10.0.0.{20 + number}/24") for number in range(3)]
        for host in hosts:
            assert await resolver_on(host, "10.0.0.2").resolve("erp.company.lab") == b"\x0a\0\0\x4d"
        assert questions_at(site, "company") == 1, "the second time it knows"
        await asyncio.sleep(61)
        assert await resolver_on(hosts[0], "10.0.0.2").resolve("erp.company.lab") == b"\x0a\0\0\x4d"
        assert questions_at(site, "company") == 2, "its time to live was over"
        assert await fails(resolver_on(hosts[0], "10.0.0.2"), "nobody.company.lab") == socket.EAI_NONAME
        await plant.stop()

    tell(story)


def test_an_answer_is_remembered_for_its_time_to_live_and_a_no_too() -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dns=PLANT)
        host = site.host("pc", "10.0.0.9/24")
        resolver = resolver_on(host, "10.0.0.2")
        for _ in range(5):
            await asyncio.gather(resolver.resolve("opc"), resolver.resolve("opc.plant.lab"))
            await fails(resolver, "nobody")
        assert questions_at(site, "srv") == 2
        await asyncio.sleep(100)
        known = await resolver.ask(Question("opc.plant.lab", RecordType.A))
        assert known is not None
        assert known.answers[0].ttl <= 20
        await asyncio.sleep(21)
        await resolver.resolve("opc")
        assert questions_at(site, "srv") == 3

    tell(story)


def test_a_silent_server_costs_time_a_second_one_helps_and_none_is_an_error() -> None:
    async def story(site: Site) -> None:
        server = await site.server("srv", "10.0.0.2/24", dns=PLANT)
        site.host("mute", "10.0.0.3/24").block(17, 53)
        site.host("deaf", "10.0.0.4/24")
        host = site.host("pc", "10.0.0.9/24")
        began = site.loop.time()
        assert await resolver_on(host, "10.0.0.4", "10.0.0.2").resolve("opc")
        assert site.loop.time() - began < 1, "where nothing listens, ICMP says so"
        assert await resolver_on(host, "10.0.0.3", "10.0.0.2").resolve("opc")
        assert 4.9 < site.loop.time() - began < 6
        await server.stop()
        began = site.loop.time()
        assert await fails(resolver_on(host, "10.0.0.3", timeout=3, tries=2), "opc") == socket.EAI_AGAIN
        assert 5.9 < site.loop.time() - began < 6.5
        resolver = resolver_on(host, "10.0.0.3")
        waiting = host.spawn(fails(resolver, "opc"))
        impatient = host.spawn(resolver.resolve("opc"))
        await asyncio.sleep(1)
        impatient.cancel()
        resolver.close()
        assert await waiting == socket.EAI_AGAIN

    tell(story)


def test_a_forged_answer_that_guesses_the_number_wrong_is_not_believed() -> None:
    class Forger(asyncio.DatagramProtocol):
        def __init__(self, host: Host) -> None:
            self.transport, _ = host.open_datagrams(lambda: self, ("0.0.0.0", 53), None)

        def datagram_received(self, data: bytes, addr: Any) -> None:
            query = dns.decode(data)
            record = dns.Record("opc.plant.lab", RecordType.A, 60, "10.0.0.66")
            for wrong in (
                Dns(query.identification ^ 1, query.question, True, 0, (record,)),
                Dns(query.identification, Question("other.lab", 1), True, 0, (record,)),
                Dns(query.identification, query.question, False, 0, (record,)),
            ):
                self.transport.sendto(wrong.encode(), addr)
            self.transport.sendto(b"nonsense", addr)

    async def story(site: Site) -> None:
        Forger(site.host("forger", "10.0.0.3/24"))
        resolver = resolver_on(site.host("pc", "10.0.0.9/24"), "10.0.0.3", timeout=1, tries=1)
        assert await fails(resolver, "opc") == socket.EAI_AGAIN

    tell(story)


def test_questions_nobody_should_ask_are_answered_with_their_error() -> None:
    async def story(site: Site) -> None:
        many = [{"name": "many.plant.lab", "value": f"10.0.1.{number}"} for number in range(1, 60)]
        await site.server("srv", "10.0.0.2/24", dns={"zones": ["plant.lab"], "records": many})
        host = site.host("pc", "10.0.0.9/24")
        heard: list[Dns] = []

        class Ear(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                heard.append(dns.decode(data))

        transport, _ = host.open_datagrams(Ear, None, ("10.0.0.2", 53))
        for data in (
            Dns(1, None, opcode=5).encode(),
            Dns(2, None).encode(),
            b"\0\3\1\0\0\1\0\0\0\0\0\0\xff",
            Dns(4, Question("many.plant.lab", 1)).encode(),
            Dns(5, Question("x", 1), is_response=True).encode(),
            b"\0\6",
        ):
            transport.sendto(data)
        await asyncio.sleep(1)
        assert [(each.identification, each.rcode) for each in heard] == [
            (1, Rcode.NOTIMP),
            (2, Rcode.FORMERR),
            (3, Rcode.FORMERR),
            (4, Rcode.NOERROR),
        ]
        assert heard[3].is_truncated

    tell(story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"records": [{"name": "a.lab", "value": "10.0.0.300"}]},
        {"records": [{"name": "a..lab", "value": "10.0.0.3"}]},
        {"records": [{"name": "a.lab", "type": "CNAME", "value": "b c..d"}]},
        {"records": [{"name": "a.lab", "type": "AAAA", "value": "10.0.0.3"}]},
        {"zones": [""]},
    ],
)
def test_records_that_make_no_sense_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DnsConfig.model_validate(wrong)


@pytest.mark.foreign
def test_wireshark_reads_questions_and_answers(tmp_path: Path, tshark: str) -> None:
    async def story(site: Site) -> None:
        await site.server("srv", "10.0.0.2/24", dns=PLANT)
        resolver = resolver_on(site.host("pc", "10.0.0.9/24"), "10.0.0.2")
        await resolver.resolve("www")
        await fails(resolver, "nobody")
        frames = [f for f in site.frames if "pc" in (f.tap.seen_at.host, f.tap.sent_from.host)]
        rows = dissect(tshark, frames, tmp_path, "dns.qry.name", "dns.flags.rcode", "dns.a", "_ws.expert", choose="dns")
        assert rows == [
            ["www.plant.lab", "", "", ""],
            ["www.plant.lab", "0", "10.0.0.5", ""],
            ["nobody.plant.lab", "", "", ""],
            ["nobody.plant.lab", "3", "", ""],
        ]

    tell(story)
