"""The isolation gap: records cross one way if they fit, and nothing else crosses at all."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import pytest
from firewall_kit import Site, attempt, run
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.gap.config import DataSet
from devices.gap.documents import Refused, from_json, from_registers, to_json, to_registers
from devices.gap.gap import Gap
from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from lab.network.host import Host
from lab.wire.modbus import (
    Adu,
    ExceptionResponse,
    ReadHoldingRegisters,
    RegistersRead,
    ResponseDecoder,
    WriteSingleRegister,
)

INTERFACES = {"inner": {"address": "10.1.30.2/24"}, "outer": {"address": "10.1.50.2/24"}}
FIELDS = [
    {"name": "level", "type": "u16", "minimum": 0, "maximum": 1000},
    {"name": "flow", "type": "f32"},
    {"name": "pump", "type": "bool"},
]
POLLED = {
    "name": "levels",
    "from": {"modbus": {"server": "10.1.30.10", "address": 100, "period": 1}},
    "to": {"modbus": {"port": 502, "unit": 9, "address": 0}},
    "fields": FIELDS,
}
FILED = {
    "name": "his_daily",
    "from": {"tcp": {"port": 7000, "sources": ["10.1.30.10"]}},
    "to": {"tcp": {"host": "10.1.50.100", "port": 8000}},
    "fields": [{"name": "day", "type": "text", "max_length": 10}, {"name": "total", "type": "f32", "minimum": 0}],
    "max_size": 200,
    "max_rate": 2,
}


class Bench:
    """A controller and a historian inside, a collector and a reader outside."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.inside = site.host("inside", "10.1.30.10/24", "10.1.30.2", "inner")
        self.outside = site.host("outside", "10.1.50.100/24", "10.1.50.2", "outer")
        self.registers = Registers()
        for address in range(100, 104):
            self.registers.holding_registers.number(address, "u16")
        self.collected: list[bytes] = []

    def set_registers(self, level: int, flow: float, pump: int) -> None:
        words = (level, *struct.unpack("!HH", struct.pack("!f", flow)), pump)
        self.registers.holding_registers.values.update(enumerate(words, 100))

    async def start(self) -> None:
        server = ModbusServer({1: ModbusUnit(self.registers, Identity("t", "t", "1"))})
        await self.inside.spawn(server.start())
        with self.outside.current():
            await asyncio.start_server(self._collect, port=8000)

    async def _collect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.collected.append(await reader.read())
        writer.close()

    @property
    def reasons(self) -> list[str]:
        assert isinstance(self.site.device, Gap)
        return [entry.reason for entry in self.site.device.audit if entry.verdict != "passed"]


async def build(site: Site, *datasets: dict[str, Any], **rest: Any) -> Bench:
    bench = Bench(site)
    await bench.start()
    await site.switch_on({"interfaces": INTERFACES, "datasets": list(datasets), **rest})
    return bench


async def modbus(host: Host, address: str, unit: int, request: Any) -> Any:
    async def ask() -> Any:
        reader, writer = await asyncio.open_connection(address, 502)
        writer.write(Adu(1, unit, request).encode())
        (answer,) = ResponseDecoder().feed(await reader.read(300))
        writer.close()
        return answer.pdu

    return await host.spawn(ask())


async def hand_in(host: Host, document: bytes, port: int = 7000) -> None:
    async def say() -> None:
        _, writer = await asyncio.open_connection("10.1.30.2", port)
        writer.write(document)
        writer.close()

    await host.spawn(say())
    await asyncio.sleep(1)


def test_registers_polled_inside_are_read_outside() -> None:
    async def story(site: Site) -> None:
        bench = await build(site, POLLED)
        bench.set_registers(420, 1.5, 1)
        await asyncio.sleep(2.5)
        answer = await modbus(bench.outside, "10.1.50.2", 9, ReadHoldingRegisters(0, 4))
        assert answer == RegistersRead(3, (420, *struct.unpack("!HH", struct.pack("!f", 1.5)), 1))
        refused = await modbus(bench.outside, "10.1.50.2", 9, WriteSingleRegister(0, 1))
        assert isinstance(refused, ExceptionResponse), "nothing goes the other way"
        bench.set_registers(2000, 1.5, 1)
        await asyncio.sleep(2)
        assert (await modbus(bench.outside, "10.1.50.2", 9, ReadHoldingRegisters(0, 1))).values == (420,)
        assert set(bench.reasons) == {"level: 2000 is out of range"}

    run(Gap, story)


def test_before_the_first_record_there_is_nothing_to_read() -> None:
    async def story(site: Site) -> None:
        bench = await build(site, {**POLLED, "from": {"modbus": {"server": "10.1.30.77", "address": 100}}})
        await asyncio.sleep(20)
        answer = await modbus(bench.outside, "10.1.50.2", 9, ReadHoldingRegisters(0, 4))
        assert isinstance(answer, ExceptionResponse)
        assert any("no connection to 10.1.30.77" in reason for reason in bench.reasons)

    run(Gap, story)


def test_polling_goes_on_after_the_server_was_away() -> None:
    async def story(site: Site) -> None:
        bench = await build(site, POLLED)
        await asyncio.sleep(3)
        bench.inside.lose_connections()
        bench.set_registers(7, 0.0, 0)
        await asyncio.sleep(30)
        assert (await modbus(bench.outside, "10.1.50.2", 9, ReadHoldingRegisters(0, 1))).values == (7,)

    run(Gap, story)


def test_a_document_is_written_anew_on_the_other_side() -> None:
    async def story(site: Site) -> None:
        bench = await build(site, FILED)
        await hand_in(bench.inside, b'{ "total": 12.5,\n  "day": "2026-01-01" }')
        assert bench.collected == [b'{"day":"2026-01-01","total":12.5}']
        assert site.device.status()["datasets"] == {"his_daily": {"passed": 1, "refused": 0, "failed": 0}}

    run(Gap, story)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"hello", "not a JSON document"),
        (b"\xff\xfe", "not a JSON document"),
        (b"[1]", "not a JSON object"),
        (b'{"day":"x"}', "total is missing"),
        (b'{"day":"x","total":1,"exe":"TVqQ"}', "unknown field 'exe'"),
        (b'{"day":"2026-01-01x","total":1}', "day is longer than 10"),
        (b'{"day":"a\\u0007","total":1}', "day is no printable text"),
        (b'{"day":"x","total":-1}', "total: -1.0 is out of range"),
        (b'{"day":"x","total":NaN}', "total is no finite number"),
        (b'{"day":"x","total":true}', "total is no number"),
        (b'{"day":"x","total":1}' + b" " * 300, "more than 200 bytes"),
    ],
)
def test_what_does_not_fit_does_not_cross_and_is_written_down(document: bytes, reason: str) -> None:
    async def story(site: Site) -> None:
        bench = await build(site, FILED)
        await hand_in(bench.inside, document)
        assert bench.collected == []
        assert bench.reasons == [reason]

    run(Gap, story)


def test_more_documents_than_agreed_are_refused() -> None:
    async def story(site: Site) -> None:
        udp = {**FILED, "from": {"udp": {"port": 7000}}, "to": {"udp": {"host": "10.1.50.100", "port": 8000}}}
        bench = await build(site, udp)
        received: list[bytes] = []

        class Collector(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                received.append(data)

        with bench.outside.current():
            collecting, _ = await site.loop.create_datagram_endpoint(Collector, local_addr=("0.0.0.0", 8000))
        with bench.inside.current():
            sending, _ = await site.loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("10.1.30.2", 7000)
            )
        for number in range(10):
            sending.sendto(json.dumps({"day": "x", "total": number}).encode())
        await asyncio.sleep(1)
        assert [json.loads(each)["total"] for each in received] == [0, 1]
        sending.sendto(json.dumps({"day": "x", "total": 99}).encode())
        await asyncio.sleep(1)
        assert len(received) == 3
        assert set(bench.reasons) == {"more than 2 a second"}
        for transport in (collecting, sending):
            transport.close()

    run(Gap, story)


def test_there_is_no_way_through_for_packets() -> None:
    async def story(site: Site) -> None:
        bench = await build(site, POLLED, FILED)
        await asyncio.sleep(2)
        assert await bench.inside.spawn(attempt("10.1.50.100", 8000)) == "silence"
        assert await bench.outside.spawn(attempt("10.1.30.10", 502)) == "silence"
        assert await bench.inside.ping("10.1.50.2") is None, "not even to the other side's own address"
        assert await bench.inside.ping("10.1.30.2") is not None
        assert await bench.outside.ping("10.1.50.2") is not None
        assert await bench.outside.spawn(attempt("10.1.30.2", 7000)) == "silence"
        assert await bench.outside.spawn(attempt("10.1.50.2", 7000)) == "refused", "documents are taken inside only"
        addresses = {b"\x0a\x01\x1e", b"\x0a\x01\x32"}
        for frame in site.frames:
            if frame.data[12:14] == b"\x08\x00" and frame.tap.sent_from.host == "middle":
                assert {frame.data[26:29], frame.data[30:33]} != addresses

    run(Gap, story)


def test_strangers_may_not_hand_in_documents() -> None:
    async def story(site: Site) -> None:
        bench = await build(site, {**FILED, "from": {"tcp": {"port": 7000, "sources": ["10.1.30.99"]}}})
        await hand_in(bench.inside, b'{"day":"x","total":1}')
        assert bench.collected == []
        assert bench.reasons == ["10.1.30.10 may not send this"]

    run(Gap, story)


def test_an_undelivered_document_is_a_failure_and_the_next_one_is_delivered() -> None:
    async def story(site: Site) -> None:
        closed = {**FILED, "to": {"tcp": {"host": "10.1.50.100", "port": 8001}}}
        bench = await build(site, closed)
        await hand_in(bench.inside, b'{"day":"x","total":1}')
        (reason,) = bench.reasons
        assert reason.startswith("not delivered to 10.1.50.100: Connection refused")
        await site.apply({"interfaces": INTERFACES, "datasets": [FILED]})
        await hand_in(bench.inside, b'{"day":"y","total":2}')
        assert bench.collected == [b'{"day":"y","total":2.0}']

    run(Gap, story)


def test_the_direction_may_be_the_other_one() -> None:
    async def story(site: Site) -> None:
        recipe = {**FILED, "from": {"tcp": {"port": 7000}}, "to": {"tcp": {"host": "10.1.30.10", "port": 8000}}}
        bench = await build(site, recipe, direction="outer-to-inner")
        with bench.inside.current():
            await asyncio.start_server(bench._collect, port=8000)

        async def say() -> None:
            _, writer = await asyncio.open_connection("10.1.50.2", 7000)
            writer.write(b'{"day":"x","total":3}')
            writer.close()

        await bench.outside.spawn(say())
        await asyncio.sleep(1)
        assert bench.collected == [b'{"day":"x","total":3.0}']
        assert await bench.inside.spawn(attempt("10.1.30.2", 7000)) == "refused"

    run(Gap, story)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"datasets": [{**POLLED, "to": {}}]}, "exactly one to"),
        ({"datasets": [POLLED, POLLED]}, "two data sets are called"),
        ({"datasets": [FILED, {**FILED, "name": "other"}]}, "the same port 7000"),
        ({"datasets": [{**POLLED, "fields": [{"name": "x", "type": "text"}]}]}, "registers cannot hold"),
        ({"datasets": [{**POLLED, "fields": [*FIELDS, FIELDS[0]]}]}, "two fields are called"),
        ({"interfaces": {"eth0": {"address": "10.0.0.1/24"}}}, "sides inner and outer"),
    ],
)
def test_a_wrong_configuration_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Gap.Config.model_validate({"interfaces": INTERFACES, **wrong})


SET = DataSet.model_validate({**POLLED, "fields": [{"name": "a", "type": "i32"}, {"name": "b", "type": "f32"}]})


@given(st.integers(-(2**31), 2**31 - 1), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_records_come_back_from_registers_and_documents(a: int, b: float) -> None:
    record = {"a": a, "b": b}
    assert from_registers(to_registers(record, SET), SET) == record
    assert from_json(to_json(record), SET) == record


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps({"a": value, "b": value}).encode()
    )
)
def test_any_document_crosses_or_is_refused(data: bytes) -> None:
    try:
        record = from_json(data, SET)
    except Refused:
        return
    assert set(record) == {"a", "b"}
