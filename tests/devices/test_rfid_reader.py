"""The dock reader: what it reads with which settings, once per dwell, the same for the same seed."""

from __future__ import annotations

import asyncio
import re
import subprocess
from typing import Any

import pytest
from device_kit import Lab
from pydantic import ValidationError
from pymodbus.client import AsyncModbusTcpClient
from rfid_kit import CARTON, COMMISSIONED, DONE, ON_COMMAND, at_dock, cartons, listen, pallet, two_pallets

from devices.rfid.findings import Limits, Outcome
from devices.rfid.rfid_reader import RfidReaderConfig
from devices.rfid.settings import DeviceStatus, OperationStatus
from lab.network.published import publish

HERE, NEXT_DOOR = set(cartons(1000)), set(cartons(5000))


def reads(settings: dict[str, Any], pallets: list[dict[str, Any]] | None = None) -> list[str]:
    async def story(lab: Lab) -> list[str]:
        heard = listen(lab)
        await lab.until(DONE)
        return heard

    return at_dock(story, reader=settings, pallets=two_pallets() if pallets is None else pallets)


def test_commissioned_it_reads_every_carton_once_and_nothing_from_next_door() -> None:
    heard = reads(COMMISSIONED)
    assert sorted(heard) == sorted(HERE)


def test_over_many_pallets_the_read_rate_is_98_percent_or_better_and_cross_reads_are_none() -> None:
    passing = [pallet(f"P{n}", "dock-3", 2.0 + 12 * n, cartons(1000 + 100 * n)) for n in range(20)]

    async def story(lab: Lab) -> list[str]:
        heard = listen(lab)
        await lab.until(260.0)
        return heard

    pallets = [*passing, pallet("NEXT", "dock-4", 0.0, cartons(50_000), stays=3600.0)]
    heard = at_dock(story, reader=COMMISSIONED, pallets=pallets)
    here = {tag["epc"] for each in passing for tag in each["tags"]}
    assert len(set(heard) & here) >= 0.98 * len(here)
    assert set(heard) <= here


def test_as_delivered_it_reads_next_door_and_reports_again_and_again() -> None:
    heard = reads({})
    assert set(heard) == HERE | NEXT_DOOR
    assert len(heard) > 5 * len(set(heard))


def test_full_power_reads_next_door_even_with_the_right_antennas() -> None:
    assert len(set(reads({**COMMISSIONED, "power": 31.5})) & NEXT_DOOR) > len(NEXT_DOOR) / 2


def test_too_little_power_misses_cartons() -> None:
    assert len(reads({**COMMISSIONED, "power": 14.0})) < 0.8 * len(HERE)


def test_a_seed_gives_the_same_reads() -> None:
    weak = {**COMMISSIONED, "power": 15.0}
    assert reads(weak) == reads(weak) != []


@pytest.mark.parametrize("settings", [{"filter": 1}, {"filter": 0, "mask": {"match": "3035a5"}}])
def test_unwanted_identifiers_are_left_out(settings: dict[str, Any]) -> None:
    wanted, other = cartons(1, 4), ["3074257BF7194E4000001A85", "E2801160200074CF21AB0C37"]
    assert sorted(reads({**COMMISSIONED, **settings}, [pallet("P", "dock-3", 2.0, wanted + other)])) == wanted


def test_without_a_filter_everything_is_an_identifier() -> None:
    mixed = [*cartons(1, 2), "3074257BF7194E4000001A85", "E280"]
    assert sorted(reads({**COMMISSIONED, "filter": 0}, [pallet("P", "dock-3", 2.0, mixed)])) == sorted(mixed)


def one_dwell(epcs: list[str], label: dict[str, Any] | None = None, **settings: Any) -> tuple[Any, Any, list[str]]:
    """What the reader says of one dwell with these tags before it: outcome, status codes in its log, identifiers."""

    async def story(lab: Lab) -> tuple[Any, Any, list[str]]:
        reader, heard = lab.device.reader, listen(lab)  # type: ignore[attr-defined]
        await lab.until(6.0)
        assert reader.read_once() == OperationStatus.SUCCESS
        await lab.until(9.0)
        return reader.outcome, [mistake.status for mistake in reader.errors], heard

    standing = pallet("P", "dock-3", 0.0, epcs, stays=100.0, **(label or {}))
    return at_dock(story, reader={**ON_COMMAND, **settings}, pallets=[standing])


def test_a_dwell_has_the_status_of_what_it_found() -> None:
    status = OperationStatus
    one = cartons(7, 1)
    assert one_dwell(one) == (status.SUCCESS, [], one)
    assert one_dwell([]) == (status.NO_IDENTIFIER, [status.NO_IDENTIFIER], [])
    assert one_dwell(one, {"condition": "damaged"})[0] == status.READ_ERROR
    assert one_dwell(["303CA537C8377540000003E9"]) == (status.DECODING_ERROR, [status.DECODING_ERROR], [])
    assert one_dwell(one, {"pc": 6 << 11 | 0x100}) == (status.CODE_NOT_SUPPORTED, [status.CODE_NOT_SUPPORTED], [])


def test_one_by_one_means_that_two_are_an_error() -> None:
    multiple = OperationStatus.MULTIPLE_IDENTIFIERS
    assert one_dwell(cartons(7, 2), mode="single") == (multiple, [multiple], [])
    assert one_dwell(cartons(7, 1), mode="single") == (OperationStatus.SUCCESS, [], cartons(7, 1))


def test_it_reads_only_while_the_light_curtain_tells_it_to() -> None:
    async def story(lab: Lab) -> list[float]:
        reader = lab.device.reader  # type: ignore[attr-defined]
        changes: list[tuple[float, DeviceStatus]] = []
        reader.changed.append(lambda: changes.append((round(lab.loop.time() - began, 2), reader.status)))
        began = lab.loop.time()
        await lab.until(DONE)
        return [next(at for at, status in changes if status == DeviceStatus.SCANNING), changes[-1][0]]

    # 5 m before the door at 2 s, at 1 m/s; its front breaks the beam 0.8 m before the door.
    assert at_dock(story, reader=COMMISSIONED, pallets=two_pallets()) == [5.6, 7.1]


def test_what_is_in_the_field_is_truth_whatever_is_read() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(DONE)
        at = {(point, value): seconds for seconds, point, value in lab.truth}
        assert at["pallet.dock-3", "PAL-1"] == pytest.approx(5.0)
        assert at["field.dock-3", " ".join(cartons(1000))] == pytest.approx(5.0)
        assert lab.told("field.dock-3") == ["", " ".join(cartons(1000)), ""]
        assert lab.told("light_curtain") == [False, True, False]

    at_dock(story, reader={"antennas": []}, pallets=two_pallets())


def test_an_examiner_holds_a_secret_tag_into_the_field_and_takes_it_away() -> None:
    secret = CARTON.format(0xBEEF)

    async def story(lab: Lab) -> list[str]:
        heard = listen(lab)
        await lab.until(5)
        lab.device.force("tag", secret)
        assert lab.device.points()["field.dock-3"] == secret
        await lab.until(8)
        lab.device.force("tag", None)
        await lab.until(9)
        lab.device.force("tag.dock-4", CARTON.format(1))
        await lab.until(12)
        lab.device.force("tag.dock-4", None)
        lab.device.force("light_curtain", True)
        await lab.until(14)
        assert lab.device.reader.outcome == OperationStatus.NO_IDENTIFIER  # type: ignore[attr-defined]
        return heard

    assert at_dock(story, reader=COMMISSIONED) == [secret]


def test_an_examiner_sends_a_probe_pallet_through_a_dock_when_he_likes() -> None:
    probe = pallet("PROBE", "dock-3", 1e6, cartons(9000))

    async def story(lab: Lab) -> tuple[list[str], list[str]]:
        heard = listen(lab)
        await lab.until(100)
        lab.device.force("pallet.dock-3", "PROBE")
        await lab.until(120)
        here = list(heard)
        lab.device.force("pallet.dock-4", "PROBE")
        await lab.until(140)
        assert lab.told("pallet.dock-3") == lab.told("pallet.dock-4") == ["", "PROBE", ""]
        return here, heard[len(here) :]

    here, there = at_dock(story, reader=COMMISSIONED, pallets=[probe])
    assert sorted(here) == cartons(9000)
    assert there == []


def test_another_site_in_the_file_is_another_site() -> None:
    async def story(lab: Lab) -> list[str]:
        await lab.until(1)
        pallets = [pallet("LATER", "dock-3", 10.0, cartons(77, 3))]
        config = RfidReaderConfig.model_validate({**lab.device.config.model_dump(mode="json"), "pallets": pallets})
        await lab.host.spawn(lab.device.apply(config))
        heard = listen(lab)
        await lab.until(30)
        return sorted(heard)

    assert at_dock(story, reader=COMMISSIONED) == cartons(77, 3)


@pytest.mark.parametrize("nonsense", ["xyz", "303", "30 35zz", "3035" * 32])
def test_what_is_no_tag_cannot_be_held_into_the_field(nonsense: str) -> None:
    async def story(lab: Lab) -> None:
        with pytest.raises(ValueError, match="is no tag"):
            lab.device.force("tag", nonsense)
        for point in ("pallet.dock-9", "nothing", "tag.dock-9", "pallet"):
            with pytest.raises(KeyError):
                lab.device.force(point, "AABB")
        with pytest.raises(ValueError, match="no pallet AABB"):
            lab.device.force("pallet.dock-3", "AABB")

    at_dock(story)


def test_a_scan_ends_at_the_first_of_its_limits() -> None:
    async def story(lab: Lab) -> list[tuple[float, int]]:
        reader = lab.device.reader  # type: ignore[attr-defined]
        found: list[tuple[float, int]] = []

        def note(outcome: Outcome) -> None:
            found.append((round(lab.loop.time() - began, 2), len(outcome.identifiers)))

        await lab.until(6.0)
        for limits in (Limits(seconds=3.0), Limits(cycles=4), Limits(seconds=9.0, data_available=True)):
            began = lab.loop.time()
            assert reader.scan(limits, note) == OperationStatus.SUCCESS
            assert reader.scan(limits, note) == OperationStatus.DEVICE_NOT_READY
            await asyncio.sleep(5)
        began = lab.loop.time()
        reader.scan(Limits(), note)
        await asyncio.sleep(2)
        reader.scan_stop()
        return found

    standing = pallet("P", "dock-3", 0.0, cartons(1), stays=100.0)
    three, turns, first, stopped = at_dock(story, reader=ON_COMMAND, pallets=[standing])
    assert three == (3.0, 24)
    assert turns[0] < 1.0
    assert turns[1] == 24
    assert first[0] < 0.3
    assert stopped == (2.0, 24)


async def modbus(lab: Lab, deed: Any) -> Any:
    async def visit() -> Any:
        async with AsyncModbusTcpClient("10.0.0.1") as client:
            return await deed(client)

    return await lab.from_pc(visit)


def holding(lab: Lab, address: int, count: int) -> Any:
    async def read(client: Any) -> list[int]:
        return list((await client.read_holding_registers(address, count=count, device_id=255)).registers)

    return modbus(lab, read)


def write(lab: Lab, address: int, *values: int) -> Any:
    async def do(client: Any) -> bool:
        return bool((await client.write_registers(address, list(values), device_id=255)).isError())

    return modbus(lab, do)


def test_an_identifier_stands_at_0x4000_with_its_pc_and_zeros_behind() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(1)
        lab.device.force("tag", "3035A537C8377540000003E9")
        await lab.until(2)
        words = await holding(lab, 0x4000, 32)
        assert words[0] >> 11 == 6
        assert b"".join(word.to_bytes(2, "big") for word in words[1:7]).hex().upper() == "3035A537C8377540000003E9"
        assert words[7:] == [0] * 25
        assert await holding(lab, 0xC300, 2) == [0, 1]
        lab.device.force("tag", None)
        await lab.until(3)
        lab.device.force("light_curtain", True)
        await lab.until(5)
        assert await holding(lab, 0x4000, 32) == [0] * 32
        assert await holding(lab, 0xC300, 1) == [8]
        errors = await holding(lab, 0xC500, 9)
        assert errors[:3] == [1, 8, 0]
        assert (errors[3] << 16 | errors[4]) == 1_767_225_600 + 4  # a dwell of 1.5 s that began at 3 s
        assert errors[5:] == [0] * 4

    at_dock(story, reader=COMMISSIONED)


def test_every_identifier_of_a_pallet_can_be_polled() -> None:
    async def story(lab: Lab) -> set[str]:
        async def poll(client: Any) -> set[str]:
            seen = set()
            while lab.loop.time() - began < DONE:
                words = (await client.read_holding_registers(0x4000, count=32, device_id=255)).registers
                seen.add(b"".join(word.to_bytes(2, "big") for word in words[1 : 1 + (words[0] >> 11)]).hex().upper())
                await asyncio.sleep(0.15)
            return seen

        began = lab.loop.time()
        return set(await modbus(lab, poll))

    polled = at_dock(story, reader=COMMISSIONED, pallets=two_pallets())
    assert polled == HERE | {""}


def test_settings_are_written_and_read_at_run_time() -> None:
    async def story(lab: Lab) -> None:
        assert await holding(lab, 0xB100, 4) == [315, 0b1111, 500, 0]
        assert not await write(lab, 0xB100, 220, 0b0011, 1500, 1)
        assert await holding(lab, 0xB100, 4) == [220, 0b0011, 1500, 1]
        settings = lab.device.reader.settings  # type: ignore[attr-defined]
        assert (settings.power, settings.antennas, settings.dwell_ms, settings.filter) == (22.0, (1, 2), 1500, 1)
        for address, value in ((0xB100, 99), (0xB100, 331), (0xB101, 16), (0xB102, 99), (0xB103, 8), (0xD000, 2)):
            assert await write(lab, address, value), hex(address)
        assert await write(lab, 0x4000, 1), "identifiers are read-only"
        assert await holding(lab, 0xB100, 4) == [220, 0b0011, 1500, 1]
        firmware = await holding(lab, 0xC000, 4)
        assert b"".join(word.to_bytes(2, "big") for word in firmware) == b"V2.10.03"

    at_dock(story)


def test_written_settings_are_what_the_air_feels() -> None:
    async def story(lab: Lab) -> set[str]:
        await write(lab, 0xB100, 220, 0b0011)
        heard = listen(lab)
        await lab.until(DONE)
        return set(heard)

    assert at_dock(story, pallets=two_pallets()) == HERE


def test_a_reset_forgets_what_was_read_and_an_order_reads_once() -> None:
    async def story(lab: Lab) -> None:
        heard = listen(lab)
        await write(lab, 0xD001, 1)
        await lab.until(3)
        assert await holding(lab, 0xC500, 1) == [1]
        await write(lab, 0xD000, 1)
        assert await holding(lab, 0xC500, 65) == [0] * 65
        assert await holding(lab, 0xC300, 1) == [0]
        assert await holding(lab, 0xD000, 2) == [0, 0]
        lab.device.force("tag", CARTON.format(5))
        await write(lab, 0xD001, 1)
        await lab.until(8)
        assert heard == [CARTON.format(5)]

    at_dock(story, reader=ON_COMMAND)


def test_a_new_file_changes_the_settings_and_does_not_disturb_who_is_connected() -> None:
    async def story(lab: Lab) -> None:
        async def stay(client: Any) -> list[int]:
            before = (await client.read_holding_registers(0xB100, count=1, device_id=255)).registers
            config = lab.device.config.model_copy(
                update={"reader": lab.device.config.reader.model_copy(update={"power": 25.5})}
            )
            await lab.host.spawn(lab.device.apply(config))
            after = (await client.read_holding_registers(0xB100, count=1, device_id=255)).registers
            return [*before, *after]

        assert await modbus(lab, stay) == [315, 255]

    at_dock(story)


@pytest.mark.parametrize(
    "config",
    [
        {"reader": {"power": 40}},
        {"reader": {"antennas": [5]}},
        {"reader": {"dwell_ms": 5}},
        {"reader": {"mask": {"bit": 3, "match": "30"}}},
        {"reader": {"trigger": "always"}},
        {"pallets": [{"name": "P", "zone": "dock-7", "arrives": 0}]},
        {"llrp": {"port": 502}},
        {"pallets": [{"name": "P", "zone": "dock-3", "arrives": 0, "tags": [{"epc": "303"}]}]},
    ],
)
def test_a_wrong_file_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RfidReaderConfig.model_validate(config)


@pytest.mark.foreign
def test_mbpoll_reads_the_identifier(mbpoll: str) -> None:
    async def story(lab: Lab) -> str:
        lab.device.force("tag", CARTON.format(5))
        door = await publish(lab.pc, 0, "10.0.0.1", 502)
        await asyncio.sleep(1)
        where = ["-m", "tcp", "-p", str(door.port), "-a", "255", "-0", "-r", str(0x4000), "-c", "7", "-t", "4:hex"]
        command = [mbpoll, *where, "-1", "-q", "127.0.0.1"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
        door.close()
        return str(done.stdout)

    words = re.findall(r"0x([0-9A-F]{4})", at_dock(story, fast=False))
    assert "".join(words) == "3000" + CARTON.format(5)
