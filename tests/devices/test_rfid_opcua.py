"""The reader as OPC UA for AutoID devices has it: found by browsing, scanned by methods, heard by events."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError
from device_kit import Lab, in_lab
from rfid_kit import COMMISSIONED, DONE, cartons, pallet, two_pallets

from devices.rfid.opcua_types import ENUMERATIONS, STRUCTURES
from lab.network.published import publish

QUIET = {"trigger": "command"}
STANDING = [{**pallet("P", "dock-3", 0.0, cartons(1), stays=1e6), "speed": 5.0}]
THERE = 2.0
AUTOID = 4


def as_client(deed: Callable[[Lab, Client], Awaitable[Any]], user: str | None = None, **config: Any) -> Any:
    async def story(lab: Lab) -> Any:
        async def visit() -> Any:
            await lab.until(THERE)
            client = Client("opc.tcp://10.0.0.1:4840", timeout=30)
            if user is not None:
                client.set_user(user)
                client.set_password("secret")
            async with client:
                return await deed(lab, client)

        return await lab.from_pc(visit)

    users = {"opcua": {"users": {"acq": "secret", "eng": "secret"}}}
    return in_lab("rfid-reader", story, **{"reader": QUIET, "pallets": STANDING, **users, **config})


def device(client: Client) -> Any:
    return client.get_node("ns=2;s=device")


def scan_settings(**fields: Any) -> Any:
    return ua.ScanSettings(**{"Duration": 0.0, "Cycles": 0, "DataAvailable": False, **fields})  # type: ignore[attr-defined]


async def value(client: Client, name: str) -> Any:
    return await client.get_node(f"ns=2;s=device.{name}").read_value()


def test_the_reader_is_found_in_the_device_set_by_the_names_of_the_specification() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        index = await client.get_namespace_index("http://opcfoundation.org/UA/AutoID/")
        di = await client.get_namespace_index("http://opcfoundation.org/UA/DI/")
        assert (index, di) == (AUTOID, 3)
        reader = await client.nodes.objects.get_child([f"{di}:DeviceSet", "2:device"])
        kind = client.get_node(await reader.read_type_definition())
        assert (await kind.read_browse_name()).Name == "RfidReaderDeviceType"
        assert kind.nodeid == ua.NodeId(1003, AUTOID)
        family = []
        while kind.nodeid != ua.NodeId(ua.ObjectIds.BaseObjectType):
            family.append((await kind.read_browse_name()).Name)
            kind = await kind.get_parent()
        assert family == ["RfidReaderDeviceType", "AutoIdDeviceType", "DeviceType", "TopologyElementType"]
        for name in ("DeviceStatus", "LastScanData", "Scan", "ScanStart", "ScanStop", "ScanActive", "AntennaNames"):
            await reader.get_child(f"{AUTOID}:{name}")
        await reader.get_child([f"{AUTOID}:RuntimeParameters", f"{AUTOID}:RfPower"])
        assert (await value(client, "Manufacturer")).Text == "Lab Identification"

    as_client(deed)


def test_a_scan_answers_with_what_is_there() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        results, status = await device(client).call_method(f"{AUTOID}:Scan", scan_settings(Duration=1500.0))
        assert status == 0
        assert sorted(each.ScanData.Epc.UId.hex().upper() for each in results) == cartons(1)
        first = results[0]
        assert first.CodeType == "EPC"
        assert first.ScanData.Epc.PC == 6 << 11
        assert first.Sighting[0].Antenna in (1, 2)
        assert -80 < first.Sighting[0].Strength < -20
        assert 0 <= (first.Timestamp - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() - THERE < 2
        assert first.Location is None

    as_client(deed)


@pytest.mark.parametrize(
    ("settings", "pallets", "expected"),
    [
        ({"Cycles": 4}, STANDING, (24, 0)),
        ({"Duration": 5000.0, "DataAvailable": True}, STANDING, (None, 0)),
        ({"Duration": 500.0}, [], (0, 8)),
    ],
)
def test_a_scan_ends_by_its_settings(
    settings: dict[str, Any], pallets: list[Any], expected: tuple[int | None, int]
) -> None:
    async def deed(lab: Lab, client: Client) -> None:
        began = lab.loop.time()
        results, status = await device(client).call_method(f"{AUTOID}:Scan", scan_settings(**settings))
        assert lab.loop.time() - began < 2
        assert status == expected[1]
        if expected[0] is None:
            assert results
        else:
            assert len(results or ()) == expected[0]

    as_client(deed, pallets=pallets)


@pytest.mark.parametrize(
    "arguments",
    [
        lambda: [scan_settings()],  # without any end
        lambda: [scan_settings(Duration=-1.0)],
        lambda: [scan_settings(Duration=float("nan"))],
        lambda: [scan_settings(Duration=1e9)],
        list,
        lambda: [7],
        lambda: ["scan"],
        lambda: [None],
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments: Callable[[], list[Any]]) -> None:
    async def deed(lab: Lab, client: Client) -> str:
        with pytest.raises(UaStatusCodeError) as caught:
            await device(client).call_method(f"{AUTOID}:Scan", *arguments())
        assert await value(client, "DeviceStatus") == 0
        return type(caught.value).__name__

    assert as_client(deed) == "BadInvalidArgument"


def test_one_scan_at_a_time() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        call = device(client).call_method
        assert await call(f"{AUTOID}:ScanStart", scan_settings()) == 0
        assert await value(client, "DeviceStatus") == 2
        assert await value(client, "ScanActive") is True
        for name, settings in (("ScanStart", scan_settings()), ("Scan", scan_settings(Duration=100.0))):
            with pytest.raises(UaStatusCodeError, match="BadInvalidState"):
                await call(f"{AUTOID}:{name}", settings)
        await call(f"{AUTOID}:ScanStop")
        assert await value(client, "DeviceStatus") == 0

    as_client(deed)


class Events:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def event_notification(self, event: Any) -> None:
        self.heard.append(event)


@pytest.mark.parametrize("source", ["ns=2;s=device", "i=2253"])
def test_each_carton_of_a_pallet_is_one_event(source: str) -> None:
    async def deed(lab: Lab, client: Client) -> list[Any]:
        events = Events()
        subscription = await client.create_subscription(100, events)
        kind = client.get_node(ua.NodeId(1006, AUTOID))
        await subscription.subscribe_events(client.get_node(source), kind)
        await lab.until(DONE)
        return events.heard

    heard = as_client(deed, reader=COMMISSIONED, pallets=two_pallets())
    assert sorted(each.ScanResult[0].ScanData.Epc.UId.hex().upper() for each in heard) == cartons(1000)
    assert {each.EventType for each in heard} == {ua.NodeId(1006, AUTOID)}
    assert {each.DeviceName for each in heard} == {"device"}
    assert len({each.EventId for each in heard}) == 24
    assert all(each.Time == each.ScanResult[0].Timestamp for each in heard)


def test_who_only_reads_variables_sees_the_last_carton() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        assert await value(client, "LastScanData") == ""
        lab.device.force("tag", "3035A537C8377540000003E9")
        await lab.until(6)
        assert await value(client, "LastScanData") == "3035A537C8377540000003E9"
        last = await client.get_node("ns=2;s=device.LastScanTimestamp").read_data_value()
        assert (last.Value.Value - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(THERE, abs=0.2)
        assert await value(client, "LastScanAntenna") in (1, 2)

    as_client(deed, reader=COMMISSIONED, pallets=[])


def test_engineers_set_power_and_antennas_and_others_do_not() -> None:
    async def write(client: Client, name: str, number: int, kind: ua.VariantType) -> None:
        await client.get_node(f"ns=2;s=device.{name}").write_value(ua.DataValue(ua.Variant(number, kind)))

    async def engineer(lab: Lab, client: Client) -> None:
        await write(client, "RfPower", 22, ua.VariantType.SByte)
        await write(client, "EnableAntennas", 3, ua.VariantType.UInt32)
        settings = lab.device.reader.settings  # type: ignore[attr-defined]
        assert (settings.power, settings.antennas) == (22.0, (1, 2))
        assert (await value(client, "RfPower"), await value(client, "EnableAntennas")) == (22, 3)
        await write(client, "RfPower", 127, ua.VariantType.SByte)
        assert lab.device.reader.settings.power == 33.0  # type: ignore[attr-defined]
        with pytest.raises(UaStatusCodeError):
            await write(client, "LastScanAntenna", 1, ua.VariantType.Int32)

    async def other(lab: Lab, client: Client) -> None:
        with pytest.raises(UaStatusCodeError, match="BadUserAccessDenied"):
            await write(client, "RfPower", 22, ua.VariantType.SByte)

    as_client(engineer, user="eng")
    as_client(other, user="acq")


def test_a_reader_that_works_for_llrp_is_busy() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        reader = lab.device.reader  # type: ignore[attr-defined]
        reader.borrow()
        assert await value(client, "DeviceStatus") == 3
        with pytest.raises(UaStatusCodeError, match="BadInvalidState"):
            await device(client).call_method(f"{AUTOID}:Scan", scan_settings(Duration=100.0))
        reader.give_back()
        assert await value(client, "DeviceStatus") == 0

    as_client(deed)


def test_switching_off_ends_a_scan_that_somebody_waits_for() -> None:
    async def story(lab: Lab) -> None:
        async def visit() -> None:
            await lab.until(THERE)
            client = Client("opc.tcp://10.0.0.1:4840", timeout=30)
            await client.connect()
            call = asyncio.ensure_future(device(client).call_method(f"{AUTOID}:Scan", scan_settings(Duration=50_000.0)))
            await asyncio.sleep(1)
            began = lab.loop.time()
            await lab.stop()
            assert lab.loop.time() - began < 5
            await asyncio.gather(call, return_exceptions=True)
            client.uaclient.disconnect_socket()

        await lab.from_pc(visit)

    in_lab("rfid-reader", story, ends=False, reader=QUIET, pallets=STANDING)


CLIENT = """
import asyncio, json, sys
from asyncua import Client, ua
class Events:
    def __init__(self): self.epcs = []
    def event_notification(self, event): self.epcs.append(event.ScanResult[0].ScanData.Epc.UId.hex().upper())
async def main():
    async with Client(f"opc.tcp://127.0.0.1:{sys.argv[1]}", timeout=20) as client:
        loaded = await client.load_data_type_definitions()
        device, events = client.get_node("ns=2;s=device"), Events()
        subscription = await client.create_subscription(50, events)
        await subscription.subscribe_events(device, client.get_node(ua.NodeId(1006, 4)))
        settings = ua.ScanSettings(Duration=1500.0)
        results, status = await device.call_method("4:Scan", settings)
        fields = {name: [f for f in vars(loaded[name])["__annotations__"]] for name in ("RfidScanResult", "ScanSettings")}
        while len(events.epcs) < len(results):
            await asyncio.sleep(0.05)
        scanned = sorted(each.ScanData.Epc.UId.hex().upper() for each in results)
        print(json.dumps([status, scanned, sorted(events.epcs), fields]))
asyncio.run(main())
"""


@pytest.mark.foreign
def test_a_program_outside_learns_the_types_from_the_reader_itself() -> None:
    async def story(lab: Lab) -> str:
        door = await publish(lab.pc, 0, "10.0.0.1", 4840)
        await asyncio.sleep(1.5)
        command = [sys.executable, "-c", CLIENT, str(door.port)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        door.close()
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    told = in_lab("rfid-reader", story, fast=False, reader=QUIET, pallets=STANDING)
    status, scanned, events, fields = json.loads(told)
    assert (status, scanned, events) == (0, cartons(1), cartons(1))
    assert fields["RfidScanResult"][-5:] == ["CodeType", "ScanData", "Timestamp", "Location", "Sighting"]


def test_numbers_are_those_of_the_companion_specification() -> None:
    # http://opcfoundation.org/UA/AutoID/ 1.00 (2016-06-15), as the reference of the OPC Foundation lists them
    assert {each.name: (each.number, each.encoding) for each in STRUCTURES}.items() >= {
        "RfidScanResult": (3007, 5011),
        "RfidSighting": (3006, 5009),
        "ScanDataEpc": (3024, 5036),
        "ScanSettings": (3010, 5015),
    }.items()
    statuses = dict(next(each.members for each in ENUMERATIONS if each.name == "AutoIdOperationStatusEnumeration"))
    assert (statuses["NO_IDENTIFIER"], statuses["CODE_NOT_SUPPORTED"], statuses["TAG_HAS_LOW_BATTERY"]) == (8, 13, 21)
    assert dict(next(each.members for each in ENUMERATIONS if each.name == "DeviceStatusEnumeration")) == {
        "Idle": 0, "Error": 1, "Scanning": 2, "Busy": 3,
    }  # fmt: skip
