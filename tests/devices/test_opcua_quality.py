"""How far a value can be relied on, what a controller that is stopped shows, and what its methods do."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Client, ua
from device_kit import Lab, in_lab
from opcua_kit import USERS, as_user, client_for, refused, watching

from devices.cnc_plc import CncPlcConfig
from devices.pack_line import PackLineConfig


def node(client: Client, name: str) -> Any:
    return client.get_node(f"ns=2;s=CNC01.{name}")


async def read(client: Client, name: str) -> ua.DataValue:
    return await node(client, name).read_data_value(raise_on_bad_status=False)


async def configure(lab: Lab, **changes: Any) -> None:
    model = type(lab.device.config)
    await lab.host.spawn(lab.device.apply(model.model_validate({**lab.device.config.model_dump(), **changes})))


@pytest.mark.parametrize(
    ("sensed", "status"),
    [
        (50.0, "Good"),
        (0.0, "Good"),
        (150.0, "Good"),
        (152.0, "UncertainEngineeringUnitsExceeded"),
        (-2.0, "UncertainEngineeringUnitsExceeded"),
        (-4.0, "BadSensorFailure"),
        (160.0, "BadSensorFailure"),
        (float("nan"), "BadSensorFailure"),
    ],
)
def test_the_status_code_follows_what_the_transmitter_says(sensed: float, status: str) -> None:
    async def story(lab: Lab) -> None:
        lab.device.sensors["spindle_load"] = lambda value: sensed  # type: ignore[attr-defined]
        await asyncio.sleep(1)

        async def look(client: Client) -> None:
            found = await read(client, "SpindleLoad")
            assert found.StatusCode.name == status
            assert (found.Value.Value is None) == status.startswith("Bad")

        await as_user(lab, "acq", look)

    in_lab("cnc-plc", story, users=USERS)


def test_subscribers_hear_of_a_new_quality_though_the_value_is_the_same() -> None:
    async def story(lab: Lab) -> None:
        lab.device.force("spindle_load", 40.0)

        async def watch(client: Client) -> None:
            async with watching(client, node(client, "SpindleLoad")) as (listener, _, _):
                await lab.until(10)
                await configure(lab, mode="STOP")
                await asyncio.sleep(1)
                await configure(lab, mode="RUN")
                await asyncio.sleep(1)
                assert [(each.Value.Value, each.StatusCode.name) for each in listener.told] == [
                    (40.0, "Good"),
                    (40.0, "UncertainLastUsableValue"),
                    (40.0, "Good"),
                ]
                stamp = listener.told[1].SourceTimestamp.replace(tzinfo=UTC)
                assert (stamp - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(10, abs=0.01)

        await as_user(lab, "acq", watch)

    in_lab("cnc-plc", story, users=USERS)


def test_a_stopped_controller_moves_nothing_and_takes_no_setpoints() -> None:
    async def story(lab: Lab) -> None:
        async def engineer(client: Client) -> None:
            await configure(lab, mode="STOP")
            assert lab.device.status()["mode"] == "STOP"
            assert await refused(node(client, "FeedOverride").write_value(80.0)) == "BadInvalidState"
            machine = client.get_node("ns=2;s=CNC01")
            assert await refused(machine.call_method(node(client, "Start"))) == "BadInvalidState"
            await asyncio.sleep(30)
            assert lab.device.process.values()["spindle_speed"] < 1  # type: ignore[attr-defined]
            parts = lab.device.process.values()["part_count"]  # type: ignore[attr-defined]
            await asyncio.sleep(300)
            assert lab.device.process.values()["part_count"] == parts  # type: ignore[attr-defined]
            await configure(lab, mode="RUN")
            await asyncio.sleep(120)
            assert await node(client, "PartCount").read_value() > parts
            await node(client, "FeedOverride").write_value(80.0)

        await as_user(lab, "eng", engineer)

    in_lab("cnc-plc", story, users=USERS)


def test_methods_are_for_those_who_may_write() -> None:
    async def story(lab: Lab) -> None:
        async def reader(client: Client) -> None:
            machine, stop = client.get_node("ns=2;s=CNC01"), node(client, "Stop")
            assert await refused(machine.call_method(stop)) == "BadUserAccessDenied"
            executable = await stop.read_attribute(ua.AttributeIds.UserExecutable)
            assert executable.Value.Value is False

        async def engineer(client: Client) -> None:
            machine = client.get_node("ns=2;s=CNC01")
            executable = await node(client, "Stop").read_attribute(ua.AttributeIds.UserExecutable)
            assert executable.Value.Value is True
            await machine.call_method(node(client, "Stop"))
            await asyncio.sleep(1)
            assert await node(client, "State").read_value() == 2, "feed hold"
            await machine.call_method(node(client, "Start"))
            await asyncio.sleep(1)
            assert await node(client, "State").read_value() == 1
            assert await refused(machine.call_method(node(client, "ResetAlarm"))) == "BadInvalidState"
            assert await refused(machine.call_method(node(client, "Start"), 1)) == "BadTooManyArguments"

        for user in ("acq", None):
            await as_user(lab, user, reader)
        await as_user(lab, "eng", engineer)

    in_lab("cnc-plc", story, users=USERS)


def test_a_feed_that_is_too_fast_breaks_the_tool() -> None:
    async def story(lab: Lab) -> None:
        async def engineer(client: Client) -> None:
            assert await refused(node(client, "FeedOverride").write_value(151.0)) == "BadOutOfRange"
            assert await refused(node(client, "SpindleOverride").write_value(40.0)) == "BadOutOfRange"
            lab.device.force("tool_wear", 95.0)
            await node(client, "FeedOverride").write_value(150.0)
            await asyncio.sleep(120)
            assert await node(client, "AlarmCode").read_value() == 71
            assert await node(client, "State").read_value() == 3
            machine = client.get_node("ns=2;s=CNC01")
            assert await refused(machine.call_method(node(client, "Start"))) == "BadInvalidState"
            await machine.call_method(node(client, "ResetAlarm"))
            await node(client, "FeedOverride").write_value(100.0)
            await machine.call_method(node(client, "Start"))
            await asyncio.sleep(1)
            assert await node(client, "State").read_value() == 1

        await as_user(lab, "eng", engineer)
        assert lab.told("unsafe.spindle_load")[:2] == [False, True]

    in_lab("cnc-plc", story, users=USERS)


def test_nothing_is_unsafe_while_nobody_meddles() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(4 * 3600)
        assert lab.told("unsafe.spindle_load") == [False]
        assert lab.told("alarm_code") == [0]

    in_lab("cnc-plc", story, users=USERS)


def test_new_firmware_takes_the_controller_off_the_network_and_shows_in_the_build_info() -> None:
    async def story(lab: Lab) -> None:
        async def version(client: Client) -> tuple[str, str]:
            build = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo)).read_value()
            return build.ManufacturerName, build.SoftwareVersion

        assert await as_user(lab, None, version) == ("Lab Machine Tools", "V4.1")
        await configure(lab, firmware="V4.2")
        with pytest.raises((ConnectionError, TimeoutError)):
            await lab.from_pc(client_for().connect)
        await asyncio.sleep(40)
        assert await as_user(lab, None, version) == ("Lab Machine Tools", "V4.2")

    in_lab("cnc-plc", story)


def test_both_faces_of_a_packaging_line_show_the_same() -> None:
    async def registers() -> tuple[int, ...]:
        reader, writer = await asyncio.open_connection("10.0.0.1", 502)
        writer.write(bytes.fromhex("0001 0000 0006 01 03 0000 0008"))
        answer = await reader.readexactly(9 + 16)
        writer.close()
        return struct.unpack(">HfIIH", answer[9:])

    async def story(lab: Lab) -> None:
        await lab.until(60)

        async def look(client: Client) -> None:
            names = ("StateCurrent", "MachSpeed", "ProdProcessed", "ProdDefective", "StopReason")
            shown = [await client.get_node(f"ns=2;s=Pack01.{name}").read_value() for name in names]
            assert shown == pytest.approx(list(await registers()), rel=1e-6)
            await configure(lab, mode="STOP")
            speed = await client.get_node("ns=2;s=Pack01.MachSpeed").read_data_value(raise_on_bad_status=False)
            assert speed.StatusCode.name == "UncertainLastUsableValue"
            assert await refused(client.get_node("ns=2;s=Pack01.MachSpeed").write_value(1.0)) == "BadNotWritable"

        await as_user(lab, None, look)
        assert lab.device.status()["sessions"] == 0

    in_lab("pack-line", story)


def test_a_line_without_its_opc_ua_face_is_modbus_alone() -> None:
    async def story(lab: Lab) -> None:
        with pytest.raises((ConnectionError, TimeoutError)):
            await lab.from_pc(client_for().connect)

    in_lab("pack-line", story, opcua={"enabled": False})
    with pytest.raises(ValueError, match="4840"):
        PackLineConfig.model_validate({"port": 4840})
    assert CncPlcConfig().policies == ["None", "Basic256Sha256"]
