"""Faults in the configuration of managed switches."""

from __future__ import annotations

from typing import Any, Final

from pydantic import StrictInt

from devices.sw_ind import PortConfig, SwInd, SwIndConfig
from lab.model.plant import Strict
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import CannotInject, Repair, configured, fault

NOT_MANAGED: Final = Text(zh="{host} 不是网管型交换机", en="{host} is no managed switch")
NOT_CARRIED: Final = Text(
    zh="{port} 不是放行 VLAN {vlan} 的 trunk 口", en="{port} is no trunk that carries VLAN {vlan}"
)


class AtSwitchPort(Strict):
    host: str
    port: str
    """Of the switch, such as p3."""
    vlan: StrictInt


async def _changed(plant: Plant, host: str, **changes: Any) -> Repair:
    before = _config(plant, host)
    after = type(before).model_validate({**before.model_dump(by_alias=True, exclude_unset=True), **changes})
    return await configured(plant, host, after)


def _config(plant: Plant, host: str) -> SwIndConfig:
    if not isinstance(plant.appliances[host], SwInd):
        raise CannotInject(NOT_MANAGED, host=host)
    config = plant.config.hosts[host]
    assert isinstance(config, SwIndConfig)
    return config


def _ports(config: SwIndConfig, name: str, port: PortConfig) -> dict[str, Any]:
    given = {key: each.model_dump(exclude_unset=True) for key, each in config.ports.items()}
    return {**given, name: port.model_dump(exclude_unset=True)}


@fault(
    "wrong-vlan",
    "link",
    title=Text(zh="端口 VLAN 配错", en="Port in the wrong VLAN"),
    symptom=Text(zh="链路灯亮，同组设备却互相不通", en="The link is up, and the device cannot reach its own group"),
)
async def wrong_vlan(plant: Plant, where: AtSwitchPort) -> Repair:
    config = _config(plant, where.host)
    plant.network.bridges[where.host].ports[where.port]
    port = PortConfig(mode="access", vlan=where.vlan)
    return await _changed(plant, where.host, ports=_ports(config, where.port, port))


@fault(
    "vlan-not-on-trunk",
    "link",
    title=Text(zh="trunk 未放行 VLAN", en="VLAN missing on a trunk"),
    symptom=Text(zh="同一 VLAN 在两台交换机上互相不通", en="One VLAN is cut in two between the switches"),
)
async def vlan_not_on_trunk(plant: Plant, where: AtSwitchPort) -> Repair:
    config = _config(plant, where.host)
    port = config.ports.get(where.port)
    if port is None or port.mode != "trunk" or where.vlan not in port.allowed:
        raise CannotInject(NOT_CARRIED, port=f"{where.host}/{where.port}", vlan=where.vlan)
    kept = port.model_copy(update={"allowed": port.allowed - {where.vlan}})
    return await _changed(plant, where.host, ports=_ports(config, where.port, kept))


@fault(
    "spanning-tree-off",
    "link",
    title=Text(zh="生成树被关闭", en="Spanning tree switched off"),
    symptom=Text(zh="冗余环路变成广播风暴", en="The redundant ring becomes a broadcast storm"),
)
async def spanning_tree_off(plant: Plant, where: OnHost) -> Repair:
    return await _changed(plant, where.host, rstp={"enabled": False})


@fault(
    "configuration-not-saved",
    "link",
    title=Text(zh="配置未保存", en="Configuration not saved"),
    symptom=Text(zh="断电重启后恢复成旧配置", en="After a power cut the old configuration is back"),
)
async def configuration_not_saved(plant: Plant, where: OnHost) -> Repair:
    return await _changed(plant, where.host, saved=False)
