"""A machine behind a wireless client is on the plant's network while radio, keys and supplies have it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cabinet_kit import Cabinet, address, in_cabinet

from devices.signals.ap_ind import ApIndConfig
from lab.model.document import FileError, load

KEY = "correct horse battery"
HALL = {"ps": "psu-24", "sw": "switch-5", "pc": "workstation", "ap_1": "ap-ind", "ap_2": "ap-ind", "wm_1": "ap-ind"}
PLANT = {**HALL, "cnc": "workstation"}
POWER = ", ".join(f"ps/L+ {name}/L+, ps/M {name}/M" for name in ("ap-1", "ap-2", "wm-1"))
CABLES = "pc/eth0 sw/p1, ap-1/eth0 sw/p2, ap-2/eth0 sw/p3, cnc/eth0 wm-1/eth0"


def radio(mode: str, **changes: Any) -> dict[str, Any]:
    return {"mode": mode, "ssid": "hall", "security": "wpa2", "passphrase": KEY, **changes}


async def boot(hall: Cabinet, wires: str = POWER, **client: Any) -> None:
    devices: dict[str, Any] = {
        "pc": address("10.0.0.9"),
        "cnc": address("10.0.0.21"),
        "ap-1": {**radio("ap", channel=36), **address("10.0.0.2", "mgmt")},
        "ap-2": {**radio("ap", channel=44, position=[60, 0]), **address("10.0.0.3", "mgmt")},
        "wm-1": {**radio("client", position=[5, 0]), **address("10.0.0.4", "mgmt"), **client},
    }
    await hall.boot(wires, CABLES, **devices)
    await asyncio.sleep(2)


async def pings(hall: Cabinet, target: str) -> bool:
    return await hall.network.hosts["pc"].ping(target) is not None


def test_a_machine_is_reached_over_the_air() -> None:
    async def story(hall: Cabinet) -> None:
        await boot(hall)
        assert await pings(hall, "10.0.0.21")
        for management in ("10.0.0.2", "10.0.0.3", "10.0.0.4"):
            assert await pings(hall, management)
        shown = hall.status("wm-1")
        assert (shown["ap"], shown["channel"], shown["state"]) == ("ap-1", 36, "connected to hall")
        assert isinstance(shown["rssi_dbm"], int)
        assert shown["rssi_dbm"] >= -67
        assert str(hall.status("ap-1")["clients"]).startswith("wm-1 -")
        assert hall.status("ap-2")["clients"] == ""
        taps = {str(frame.tap.seen_at) for frame in hall.frames}
        assert {"ap-1/wlan0", "wm-1/wlan0", "cnc/eth0"} <= taps

    in_cabinet(story, **PLANT)


def test_a_wrong_passphrase_keeps_the_machine_out_until_it_is_corrected() -> None:
    async def story(hall: Cabinet) -> None:
        await boot(hall, passphrase="wrong horse battery")
        assert not await pings(hall, "10.0.0.21")
        assert "4-way handshake" in str(hall.status("wm-1")["state"])
        await hall.set("wm-1", **radio("client", position=[5, 0]), **address("10.0.0.4", "mgmt"))
        await asyncio.sleep(2)
        assert await pings(hall, "10.0.0.21")

    in_cabinet(story, **PLANT)


def test_a_vehicle_keeps_its_connection_from_one_access_point_to_the_next() -> None:
    async def story(hall: Cabinet) -> None:
        await boot(hall)
        answered = 0
        for x in range(5, 59, 2):
            hall.plant.force("wm-1", "x", float(x))
            await asyncio.sleep(0.3)
            answered += await pings(hall, "10.0.0.21")
        assert hall.status("wm-1")["ap"] == "ap-2"
        assert answered >= 25
        assert [value for host, point, value in hall.told if (host, point) == ("wm-1", "associated")] == [
            True,
            False,
            True,
        ]
        hall.plant.force("wm-1", "x", None)
        await asyncio.sleep(2)
        assert hall.status("wm-1")["ap"] == "ap-1"

    in_cabinet(story, **PLANT)


def test_supplies_and_cables_are_part_of_the_way() -> None:
    async def story(hall: Cabinet) -> None:
        await boot(hall, POWER.replace("ps/L+ wm-1/L+, ", ""))
        assert not await pings(hall, "10.0.0.4"), "the client has no supply"
        await hall.rewire(POWER, CABLES)
        await asyncio.sleep(2)
        assert await pings(hall, "10.0.0.21")
        await hall.rewire(POWER, CABLES.replace(", cnc/eth0 wm-1/eth0", ""))
        assert not await pings(hall, "10.0.0.21")
        assert await pings(hall, "10.0.0.4")
        await hall.rewire(POWER, CABLES)
        await asyncio.sleep(1)
        assert await pings(hall, "10.0.0.21")

    in_cabinet(story, **PLANT)


def test_a_client_becomes_an_access_point() -> None:
    async def story(hall: Cabinet) -> None:
        await boot(hall)
        await hall.set("wm-1", **radio("ap", ssid="other", security="wpa3"), **address("10.0.0.4", "mgmt"))
        await asyncio.sleep(1)
        assert not await pings(hall, "10.0.0.21")
        assert hall.status("ap-1")["clients"] == ""
        await hall.set("wm-1", **radio("client", position=[5, 0]), **address("10.0.0.4", "mgmt"))
        await asyncio.sleep(2)
        assert await pings(hall, "10.0.0.21")

    in_cabinet(story, **PLANT)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{mode: ap, security: wpa2, passphrase: short}", "wpa2 needs a passphrase of 8 to 63 characters"),
        ("{channel: 14}", "there is no channel 14; known: 1, 2"),
        ("{passphrase: 12345678x}", "a network with a passphrase needs its security chosen; known: wpa2, wpa3"),
        ("{security: wep, passphrase: 12345678}", "'wep' is not one of the allowed values"),
    ],
)
def test_mistakes_in_its_configuration(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "ap.yaml"
    file.write_text(text)
    with pytest.raises(FileError) as caught:
        load(file, ApIndConfig, "ap.yaml")
    assert complaint in str(caught.value)
