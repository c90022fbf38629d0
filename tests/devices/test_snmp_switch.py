"""What network management sees of a managed switch is what the switch is doing."""

from __future__ import annotations

import asyncio

import pytest
from pysnmp.carrier.asyncio import dispatch  # type: ignore[import-untyped]
from service_kit import Site, tell
from snmp_manager import Manager, community

from devices.snmp.device import Oid
from devices.sw_ind import SwInd
from lab.model.address import format_mac
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.containment import PlantTime

MIB_2 = (1, 3, 6, 1, 2, 1)
OPER_STATUS: Oid = (*MIB_2, 2, 2, 1, 8)
IN_OCTETS: Oid = (*MIB_2, 2, 2, 1, 10)
PVID: Oid = (*MIB_2, 17, 7, 1, 4, 5, 1, 1)
STP_STATE: Oid = (*MIB_2, 17, 2, 15, 1, 3)
STATIC_NAME: Oid = (*MIB_2, 17, 7, 1, 4, 3, 1, 1)
REMOTE_NAME: Oid = (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1, 9)
CONFIG = {
    "interfaces": {"mgmt": {"address": "10.0.0.2/24"}},
    "snmp": {"v2c": [{"community": "plant"}]},
    "vlans": {20: "cell"},
    "ports": {"p3": {"mode": "access", "vlan": 20}, "p8": {"mode": "trunk", "native": 1}},
}


def _config(address: str) -> HostConfig:
    return HostConfig.model_validate({"interfaces": {"eth0": {"address": address}}})


@pytest.fixture(autouse=True)
def the_manager_lives_in_plant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "time", PlantTime.time)


def test_ports_vlans_neighbours_and_the_mac_table_are_read_live() -> None:
    async def story(site: Site) -> None:
        switch = await site.device(SwInd, "sw-1", CONFIG)
        other = await site.device(SwInd, "sw-2", {})
        nms = site.network.add_host("nms")
        nms.configure(_config("10.0.0.9/24"))
        site.network.plug(Port("nms", "eth0"), Port("sw-1", "p1"))
        site.network.plug(Port("sw-2", "p1"), Port("sw-1", "p8"))
        await asyncio.sleep(10)
        manager = Manager(nms, community("plant"))
        states = [int(await manager.value((*OPER_STATUS, port))) for port in (1, 2, 8)]
        assert states == [1, 2, 1], "up, down, up"
        assert [int(await manager.value((*PVID, port))) for port in (1, 3)] == [1, 20]
        assert bytes(await manager.value((*STATIC_NAME, 20))) == b"cell"
        assert int(await manager.value((*STP_STATE, 8))) == 5
        before = int(await manager.value((*IN_OCTETS, 1)))
        after = int(await manager.value((*IN_OCTETS, 1)))
        assert before < after, "its own question is counted"
        names = await manager.walk(REMOTE_NAME)
        assert [bytes(await manager.value(name)) for name in names] == [b"sw-2"]
        assert (1, format_mac(nms.nics[0].mac), "p1", False) in switch.bridge.fdb()  # type: ignore[attr-defined]
        site.network.unplug(Port("sw-2", "p1"))
        assert int(await manager.value((*OPER_STATUS, 8))) == 2
        assert await manager.walk(REMOTE_NAME) == []
        assert len(await manager.walk((1, 0))) > 200, "all of it can be walked"
        manager.close()
        for each in (switch, other):
            await each.host.spawn(each.stop())

    tell(story)


def test_a_wrong_community_hears_nothing() -> None:
    async def story(site: Site) -> None:
        switch = await site.device(SwInd, "sw-1", CONFIG)
        nms = site.network.add_host("nms")
        nms.configure(_config("10.0.0.9/24"))
        site.network.plug(Port("nms", "eth0"), Port("sw-1", "p1"))
        await asyncio.sleep(10)
        manager = Manager(nms, community("public"))
        with pytest.raises(AssertionError, match="No SNMP response"):
            await manager.value((*OPER_STATUS, 1))
        manager.close()
        await switch.host.spawn(switch.stop())

    tell(story)
