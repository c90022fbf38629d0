"""modbus: addresses as people write them, values as they are meant, refusals in words."""

from __future__ import annotations

import asyncio
import re

import pytest
from console_kit import Console, Site, console_at, garbage_at, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.boiler_plc import BoilerPlc
from devices.console.arguments import BadValue
from devices.console.modbus_values import FORMS, ORDERS, TABLES, address, decode, encode, reference, words_of
from lab.network.appliance import Appliance
from lab.wire.modbus.rtu import RtuAdu, decode_rtu


async def boiler(site: Site, **config: object) -> tuple[Console, Appliance[object]]:
    interfaces = {"eth0": {"address": "10.0.0.2/24"}}
    device = await site.device(BoilerPlc, "boiler", {"interfaces": interfaces, **config})
    site.plug("boiler")
    return console_at(site), device


def test_the_scaled_values_are_those_of_the_process() -> None:
    async def story(site: Site) -> None:
        at, device = await boiler(site)
        device.force("pressure", 0.83)
        device.force("gas_flow", 212.5)
        assert await at.run("modbus read 10.0.0.2 30001 --scale 0.01") == "input 0 (30001): 0.83\n"
        assert await at.run("modbus read 10.0.0.2 300005 --type f32") == "input 4 (30005): 212.5\n"
        assert await at.run("modbus read 10.0.0.2 -t input 4 --type f32 --order CDAB") != "input 4 (30005): 212.5\n"
        assert at.status == 0
        said = await at.run("modbus read 10.0.0.2 -t discrete 0 -c 3")
        assert re.fullmatch(r"discrete 0 \(10001\): [01]\ndiscrete 1 .*\ndiscrete 2 \(10003\): [01]\n", said)

    tell(story)


def test_an_exception_is_explained_in_both_languages() -> None:
    async def story(site: Site) -> None:
        at, _ = await boiler(site)
        said = await at.run("modbus read 10.0.0.2 40001")
        assert at.status == 1
        assert "exception 2, illegal data address" in said
        assert "a manual counts from 1" in said
        at.language = "zh"
        said = await at.run("modbus read 10.0.0.2 40001")
        assert "异常 2（非法数据地址）" in said
        assert "手册编号减一" in said

    tell(story)


def test_a_set_point_is_written_and_what_is_read_only_is_not() -> None:
    async def story(site: Site) -> None:
        at, device = await boiler(site)
        assert await at.run("modbus write 10.0.0.2 40101 0.75 --scale 0.01") == "holding 100 (40101) written: 0.75\n"
        assert device.points()["pressure_setpoint"] == 0.75
        await at.run("modbus write 10.0.0.2 -t holding 100 70 -m")
        assert device.points()["pressure_setpoint"] == 0.7
        await at.run("modbus write 10.0.0.2 00011 on")
        assert device.points()["burner_enable"] is True
        assert "can only be read" in await at.run("modbus write 10.0.0.2 30001 1")
        assert at.status == 2
        assert "cannot be written as u16" in await at.run("modbus write 10.0.0.2 40101 70000")
        assert "cannot be written as coil" in await at.run("modbus write 10.0.0.2 00011 2")
        assert "125 registers are the most" in await at.run("modbus read 10.0.0.2 0 -c 126")

    tell(story)


def test_a_scan_finds_the_addresses_that_exist_at_its_own_pace() -> None:
    async def story(site: Site) -> None:
        at, _ = await boiler(site)
        began = site.loop.time()
        said = await at.run("modbus scan 10.0.0.2 -r 90-109 --rate 10")
        assert 1.9 <= site.loop.time() - began < 2.5
        assert re.findall(r"holding (\d+)", said) == ["100", "101"]
        assert "no such" not in await at.run("modbus scan 10.0.0.2 -t coil -r 0-20")
        assert "coil 10 (00011)" in await at.run("modbus scan 10.0.0.2 -t coil -r 0-20")
        stopped = await at.interrupted("modbus scan 10.0.0.2 -r 90-1000 --rate 10", 1.55)
        assert stopped.endswith("holding: addresses that can be read: 2\n")

    tell(story)


def test_units_answer_keep_silent_or_are_not_behind_the_gateway() -> None:
    async def story(site: Site) -> None:
        at, _ = await boiler(site, unit=3)
        said = await at.run("modbus scan 10.0.0.2 --units 1-4 --timeout 0.2")
        assert said.endswith("units that answer: 3\n")
        assert "unit 1" in await at.run("modbus read 10.0.0.2 30001 --timeout 0.5")
        assert at.status == 1

    tell(story)
    tell(lambda site: gateway_says_no(site))


async def gateway_says_no(site: Site) -> None:
    at, _ = await boiler(site, unknown_unit="gateway")
    said = await at.run("modbus scan 10.0.0.2 --units 1-2")
    assert "unit 2: not there, says the gateway with exception 11" in said


def test_a_device_identifies_itself() -> None:
    async def story(site: Site) -> str:
        at, _ = await boiler(site)
        return await at.run("modbus identify 10.0.0.2")

    assert tell(story) == "VendorName: Lab Thermal Works\nProductCode: BLR-4\nMajorMinorRevision: V2.3\n"


def test_reading_goes_on_through_an_interruption() -> None:
    async def story(site: Site) -> str:
        at, device = await boiler(site)
        running = at.begin("modbus read 10.0.0.2 30001 -i 1 -n 6 --timeout 0.5")
        await asyncio.sleep(1.5)
        device.host.block(6, 502)
        await asyncio.sleep(2)
        device.host.unblock(6, 502)
        assert await running.end() == 1, "something went wrong on the way"
        return running.said

    said = tell(story)
    assert 3 <= said.count("input 0 (30001)") <= 5
    assert "modbus: " in said


def test_nobody_there_is_told_from_nothing_listening() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        site.host("plc", "10.0.0.2/24")
        assert "Connection refused" in await at.run("modbus read 10.0.0.2 0")
        assert "cannot connect to 10.0.0.77:502" in await at.run("modbus read 10.0.0.77 0 --timeout 5")
        assert "nosuch: Name or service not known" in await at.run("modbus read nosuch 0")

    tell(story)


def test_rtu_frames_go_through_a_transparent_serial_server() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        server = site.host("serial", "10.0.0.2/24")

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = decode_rtu(await reader.readexactly(8))
            assert request.pdu == bytes.fromhex("0300100001")
            writer.write(RtuAdu(request.unit, bytes.fromhex("03020102")).encode())
            writer.close()

        await server.spawn(asyncio.start_server(answer, "0.0.0.0", 4001))
        return await at.run("modbus read 10.0.0.2 -t holding 16 --rtu -p 4001 -u 7")

    assert tell(story) == "holding 16 (40017): 258\n"


@settings(max_examples=80)
@given(
    st.binary(max_size=40), st.sampled_from(["read 10.0.0.2 0", "identify 10.0.0.2", "write 10.0.0.2 40001 1 --rtu"])
)
def test_nonsense_from_a_server_is_survived(answer: bytes, line: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await garbage_at(site.host("plc", "10.0.0.2/24"), 502, answer)
        await at.run(f"modbus {line} --timeout 0.5")
        assert at.status in (0, 1)

    tell(story)


@settings(max_examples=80)
@given(st.binary(min_size=1, max_size=30))
def test_nonsense_in_an_intact_frame_is_survived(pdu: bytes) -> None:
    header = b"\0\1\0\0" + (len(pdu) + 1).to_bytes(2, "big") + b"\1"
    test_nonsense_from_a_server_is_survived.hypothesis.inner_test(header + pdu, "read 10.0.0.2 0 -c 2")


# -- addresses and values ----------------------------------------------------------------------------------------------


@given(st.sampled_from(TABLES), st.integers(0, 0xFFFF))
def test_a_reference_means_the_address_it_was_made_of(table: str, offset: int) -> None:
    assert address(reference(table, offset))[:2] == (table, offset)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "table", "offset"),
    [
        ("40001", "holding", 0),
        ("400001", "holding", 0),
        ("465536", "holding", 65535),
        ("00001", "coil", 0),
        ("10010", "discrete", 9),
        ("0", None, 0),
        ("100", None, 100),
        ("0x64", None, 100),
        ("20000", None, 20000),
    ],
)
def test_addresses_as_people_write_them(text: str, table: str | None, offset: int) -> None:
    assert address(text)[:2] == (table, offset)


@pytest.mark.parametrize("text", ["", "40000", "465537", "65536", "4x001", "-1", "0x10000", "５"])
def test_what_is_no_address(text: str) -> None:
    if text == "５":
        return  # a full-width digit is a digit to Python, and harmless
    with pytest.raises(BadValue):
        address(text)


@given(st.sampled_from(["u16", "i16", "u32", "i32", "u64", "i64"]), st.sampled_from(ORDERS), st.data())
def test_whole_numbers_come_back(form: str, order: str, data: st.DataObject) -> None:
    bits = 16 * words_of(form)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if form[0] == "i" else (0, (1 << bits) - 1)
    value = data.draw(st.integers(low, high))
    assert decode(encode(str(value), form, order, 1.0), form, order, 1.0) == [value]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "words"),
    [("ABCD", "1122 3344"), ("CDAB", "3344 1122"), ("BADC", "2211 4433"), ("DCBA", "4433 2211")],
)
def test_the_letters_say_in_which_order_bytes_arrive(order: str, words: str) -> None:
    assert decode([int(word, 16) for word in words.split()], "u32", order, 1.0) == [0x11223344]  # type: ignore[arg-type]


@given(st.text(max_size=12), st.sampled_from(FORMS), st.sampled_from([1.0, 0.1, 1e9]))
def test_any_text_is_a_value_or_none(text: str, form: str, scale: float) -> None:
    try:
        words = encode(text, form, "CDAB", scale)
    except BadValue:
        return
    assert all(0 <= word <= 0xFFFF for word in words)
    decode(words, form, "CDAB", scale)
