"""Managed switches as appliances: rings with MRP, speed and duplex, firmware."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from test_sw_ind import RING, Site, run

from devices.sw_ind import BOOT_SECONDS
from lab.model.frame import Port
from scenarios.kinds import APPLIANCES


def image(payload: str, model: str = "sw-ind-8", sha256: str | None = None) -> dict[str, str]:
    digest = hashlib.sha256(payload.encode()).hexdigest()
    return {"model": model, "payload": payload, "sha256": sha256 or digest}


IMAGES = {
    "V2.1.0": image("switch software 2.1.0"),
    "V2.2.0": image("switch software 2.2.0", sha256="0" * 64),
    "V3.0.0": image("router software 3.0.0", model="router"),
}


# -- MRP ----------------------------------------------------------------------------------------------------------------


def in_ring(role: str) -> dict[str, Any]:
    return {"mrp": {"role": role, "ports": ["p7", "p8"]}}


def test_a_ring_with_mrp_carries_traffic_and_heals_within_200_milliseconds() -> None:
    async def story(site: Site) -> None:
        assert site.status("sw-1")["ring"] == "manager closed"
        assert site.status("sw-2")["ring"] == "client"
        assert await site.reaches("h1", "h3")
        site.network.unplug(Port("sw-1", "p7"))
        await asyncio.sleep(0.2)
        assert await site.network.hosts["h1"].ping("10.0.0.3", timeout=0.1) is not None
        assert site.status("sw-1")["ring"] == "manager open"

    run(story, RING, sw1=in_ring("manager"), sw2=in_ring("client"), sw3=in_ring("client"))


def test_a_ring_without_a_manager_is_a_storm() -> None:
    async def story(site: Site) -> None:
        site.frames.clear()
        await site.network.hosts["h1"].ping("10.0.0.77", timeout=0.02)
        assert len(site.crossings("h2/eth0")) > 20, "beside the clients' own news of their links, which go round too"

    quiet = {**in_ring("client"), "lldp": False}
    run(story, RING, sw1=quiet, sw2=quiet, sw3=quiet)


def test_a_port_that_rstp_has_closed_opens_when_rstp_is_switched_off() -> None:
    async def story(site: Site) -> None:
        bridges = [site.network.bridges[f"sw-{number}"] for number in (1, 2, 3)]
        ring_ports = [bridge.ports[name] for bridge in bridges for name in ("p7", "p8")]
        assert [port.forwards for port in ring_ports].count(False) == 1
        for number in (1, 2, 3):
            await site.configure(f"sw-{number}", rstp={"enabled": False}, lldp=False)
        assert all(port.forwards for port in ring_ports), "and the ring is a loop now"
        site.network.unplug(Port("sw-1", "p8"))

    run(story, RING)


# -- speed and duplex ----------------------------------------------------------------------------------------------------


def test_a_forced_port_against_one_that_negotiates_loses_what_crosses() -> None:
    async def story(site: Site) -> None:
        async def transfer() -> int:
            before = site.status("sw-1").get("p1", {}).get("errors", 0)
            taker, giver = site.network.hosts["h1"], site.network.hosts["h2"]

            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while await reader.read(65536):
                    pass
                writer.close()

            async def give() -> None:
                _, writer = await asyncio.open_connection("10.0.0.2", 9)
                writer.write(bytes(300_000))
                writer.close()
                await writer.wait_closed()

            server = await giver.spawn(asyncio.start_server(take, "0.0.0.0", 9))
            await taker.spawn(give())
            await asyncio.sleep(20)
            server.close()
            return int(site.status("sw-1")["p1"]["errors"]) - before

        assert site.status("sw-1")["p1"]["link"] == "100 full"
        assert await transfer() == 0
        await site.configure("sw-1", ports={"p1": {"autoneg": False, "speed": 100, "duplex": "full"}})
        await asyncio.sleep(5)
        assert site.status("sw-1")["p1"]["link"] == "100 full", "the switch does not know that the other end has half"
        assert all([await site.reaches("h1", "h2") for _ in range(5)]), "and a ping is content"
        assert await transfer() > 0
        await site.configure("sw-1")
        await asyncio.sleep(5)
        assert await transfer() == 0, "cured by setting both ends alike, not by another cable"

    run(story)


def test_two_switches_that_are_set_to_different_speeds_have_no_link() -> None:
    async def story(site: Site) -> None:
        await site.configure("sw-1", ports={"p8": {"autoneg": False, "speed": 10}})
        await site.configure("sw-2", ports={"p8": {"autoneg": False, "speed": 100}})
        await asyncio.sleep(1)
        assert "p8" not in site.status("sw-1")
        assert not await site.reaches("h1", "h3")
        await site.configure("sw-2", ports={"p8": {"autoneg": False, "speed": 10}})
        await asyncio.sleep(5)
        assert site.status("sw-1")["p8"]["link"] == "10 full"
        assert await site.reaches("h1", "h3")

    run(story)


# -- firmware ------------------------------------------------------------------------------------------------------------


def test_new_firmware_restarts_the_switch() -> None:
    async def story(site: Site) -> None:
        assert site.status("sw-1")["firmware"] == "V2.0.0"
        await site.configure("sw-1", images=IMAGES, firmware="V2.1.0")
        assert site.status("sw-1")["state"] == "booting"
        assert not site.network.jack(Port("h1", "eth0")).is_connected, "its ports are dark meanwhile"
        await asyncio.sleep(BOOT_SECONDS - 1)
        assert not site.network.jack(Port("h1", "eth0")).is_connected
        await asyncio.sleep(1 + 5)
        assert site.status("sw-1")["firmware"] == "V2.1.0"
        assert await site.reaches("h1", "h2")
        await site.configure("sw-1", images=IMAGES, firmware="V2.1.0")
        assert "state" not in site.status("sw-1"), "it runs already"

    run(story)


@pytest.mark.parametrize(("version", "why"), [("V2.2.0", "V2.2.0"), ("V3.0.0", "router"), ("V9.9.9", "V9.9.9")])
def test_firmware_that_is_damaged_for_another_model_or_not_there_is_refused(version: str, why: str) -> None:
    async def story(site: Site) -> None:
        await site.configure("sw-1", images=IMAGES, firmware=version)
        assert why in site.status("sw-1")["firmware refused"]
        assert site.status("sw-1")["firmware"] == "V2.0.0"
        assert await site.reaches("h1", "h2"), "and it goes on with what it has"

    run(story)


def test_the_restart_after_an_upgrade_forgets_what_was_not_saved() -> None:
    async def story(site: Site) -> None:
        vlan = {"ports": {"p1": {"mode": "access", "vlan": 10}}}
        await site.configure("sw-1", images=IMAGES, firmware="V2.1.0", saved=False, **vlan)
        await asyncio.sleep(BOOT_SECONDS + 5)
        assert site.status("sw-1")["firmware"] == "V2.1.0"
        assert await site.reaches("h1", "h2"), "VLAN 10 is gone"

    run(story)


def test_what_is_configured_during_the_restart_holds_after_it() -> None:
    async def story(site: Site) -> None:
        await site.configure("sw-1", images=IMAGES, firmware="V2.1.0")
        await asyncio.sleep(2)
        await site.configure("sw-1", ports={"p1": {"enabled": False}})
        await asyncio.sleep(BOOT_SECONDS)
        assert not site.network.jack(Port("h1", "eth0")).is_connected
        assert site.network.jack(Port("h2", "eth0")).is_connected

    run(story)


def test_a_power_cut_in_the_middle_of_the_restart_is_survived() -> None:
    async def story(site: Site) -> None:
        await site.configure("sw-1", images=IMAGES, firmware="V2.1.0")
        await asyncio.sleep(2)
        site.network.power("sw-1", False)
        await asyncio.sleep(20)
        assert not site.network.jack(Port("h1", "eth0")).is_connected
        site.network.power("sw-1", True)
        await asyncio.sleep(5)
        assert site.status("sw-1")["firmware"] == "V2.1.0"
        assert await site.reaches("h1", "h2")

    run(story)


@pytest.mark.parametrize(
    "given",
    [
        {"ports": {"p1": {"speed": 100}}},
        {"mrp": {"role": "client", "ports": ["p7", "p7"]}},
        {"mrp": {"role": "client", "ports": ["p7", "p9"]}},
        {"mrp": {"role": "client", "ports": ["p7", "p8"]}, "mirror": {"to": "p8", "from": ["p1"]}},
        {"images": {"V1": {"model": "sw-ind-8", "payload": "", "sha256": "short"}}},
    ],
)
def test_what_cannot_be_is_refused_by_the_model(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 – each says something of its own
        APPLIANCES["sw-ind-8"].Config.model_validate(given)
