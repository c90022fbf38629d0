"""Faults of cables and ports."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from lab.model.plant import PortName, Strict
from lab.network.fabric import Cable, Impairment
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.fault import CannotInject, Repair, by_turns, fault

NO_CABLE = Text(zh="{port} 没有插网线", en="no cable is plugged into {port}")
Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=60)]


class AtPort(Strict):
    """The cable that ends in this port, or the port itself."""

    port: PortName


def cable_at(plant: Plant, where: AtPort) -> Cable:
    """Raises KeyError for an unknown port, CannotInject for one without a cable."""
    plant.network.jack(where.port)
    cable = plant.network.cable_at(where.port)
    if cable is None:
        raise CannotInject(NO_CABLE, port=where.port)
    return cable


def impaired(plant: Plant, where: AtPort, impairment: Impairment, cause: str) -> Repair:
    cable = cable_at(plant, where)
    cable.impair(impairment, cause)
    return lambda: cable.impair(None, cause)


@fault(
    "cable-broken",
    "physical",
    title=Text(zh="网线断", en="Broken cable"),
    symptom=Text(zh="两端端口指示灯都不亮", en="The link lamps at both ends are dark"),
)
def cable_broken(plant: Plant, where: AtPort) -> Repair:
    cable = cable_at(plant, where)
    plant.network.set_carrying(cable, False)
    return lambda: plant.network.set_carrying(cable, True)


class Flapping(AtPort):
    down: Seconds = 2.0
    up: Seconds = 5.0


@fault(
    "cable-flapping",
    "physical",
    title=Text(zh="网线接触不良，时通时断", en="Flapping cable"),
    symptom=Text(zh="链路指示灯反复熄灭又亮起", en="The link lamp goes out and comes back again and again"),
)
def cable_flapping(plant: Plant, where: Flapping) -> Repair:
    carry = partial(plant.network.set_carrying, cable_at(plant, where))
    return by_turns(plant, f"flapping cable at {where.port}", carry, where.down, where.up)


@fault(
    "one-way-link",
    "physical",
    title=Text(zh="单向不通（光纤一芯断）", en="One direction dead (one fibre of a pair)"),
    symptom=Text(zh="链路指示灯亮，却只能发不能收", en="The link is up, but frames arrive in one direction only"),
)
def one_way_link(plant: Plant, where: AtPort) -> Repair:
    cable = cable_at(plant, where)
    cable.impair_from(where.port, Impairment(loss=1.0), "one-way-link")
    return lambda: cable.impair_from(where.port, None, "one-way-link")


class Some(AtPort):
    share: Share = 0.1
    """Of all frames."""


@fault(
    "frame-loss",
    "physical",
    title=Text(zh="丢帧", en="Frame loss"),
    symptom=Text(zh="偶发超时，TCP 重传", en="Now and then a time-out; TCP retransmits"),
)
def frame_loss(plant: Plant, where: Some) -> Repair:
    return impaired(plant, where, Impairment(loss=where.share), "frame-loss")


@fault(
    "frame-corruption",
    "physical",
    title=Text(zh="误码（光口脏污、电磁干扰）", en="Corrupted frames (dirty fibre, interference)"),
    symptom=Text(zh="CRC 错误计数上升，吞吐下降", en="Check sequence errors count up, throughput falls"),
)
def frame_corruption(plant: Plant, where: Some) -> Repair:
    return impaired(plant, where, Impairment(corrupt=where.share), "frame-corruption")


@fault(
    "frame-duplication",
    "link",
    title=Text(zh="重复帧", en="Duplicated frames"),
    symptom=Text(zh="ping 显示 DUP，TCP 重复确认", en="ping reports duplicates, TCP acknowledges twice"),
)
def frame_duplication(plant: Plant, where: Some) -> Repair:
    return impaired(plant, where, Impairment(duplicate=where.share), "frame-duplication")


class Held(Some):
    hold: Seconds = 0.02
    """Seconds that the frames which are overtaken wait."""


@fault(
    "frame-reordering",
    "link",
    title=Text(zh="乱序", en="Reordered frames"),
    symptom=Text(zh="报文后发先至，TCP 快速重传", en="Later frames arrive first; TCP retransmits early"),
)
def frame_reordering(plant: Plant, where: Held) -> Repair:
    return impaired(plant, where, Impairment(overtaken=where.share, hold=where.hold), "frame-reordering")


class Late(AtPort):
    seconds: Seconds = 0.2


@fault(
    "delay",
    "link",
    title=Text(zh="时延大", en="Long delay"),
    symptom=Text(zh="往返时间变长，轮询跟不上", en="Round trips take long, polling falls behind"),
)
def delay(plant: Plant, where: Late) -> Repair:
    return impaired(plant, where, Impairment(delay=where.seconds), "delay")


@fault(
    "jitter",
    "link",
    title=Text(zh="抖动", en="Jitter"),
    symptom=Text(zh="往返时间忽长忽短", en="Round-trip times vary"),
)
def jitter(plant: Plant, where: Late) -> Repair:
    return impaired(plant, where, Impairment(jitter=where.seconds), "jitter")


@fault(
    "port-disabled",
    "link",
    title=Text(zh="端口被关闭", en="Port shut down"),
    symptom=Text(zh="网线插着，链路指示灯不亮", en="The cable is in, and the link lamp is dark"),
)
def port_disabled(plant: Plant, where: AtPort) -> Repair:
    was = plant.network.jack(where.port).is_enabled
    plant.network.enable(where.port, False)
    return lambda: plant.network.enable(where.port, was)


@fault(
    "cable-unplugged",
    "physical",
    title=Text(zh="网线被拔下", en="Cable pulled out"),
    symptom=Text(zh="网线一端松脱，链路指示灯不亮", en="One end hangs loose, the link lamp is dark"),
)
def cable_unplugged(plant: Plant, where: AtPort) -> Repair:
    cable = cable_at(plant, where)
    ends = cable.a.port, cable.b.port
    plant.network.unplug(where.port)

    def plug_in() -> None:
        if all(plant.network.cable_at(end) is None for end in ends):
            plant.network.plug(*ends)

    return plug_in


class BetweenPorts(Strict):
    """Two free ports of switches."""

    a: PortName
    b: PortName


@fault(
    "loop",
    "link",
    title=Text(zh="环路（多接了一根网线）", en="Loop (one cable too many)"),
    symptom=Text(zh="所有端口灯狂闪，全网时断时续", en="All port lamps flicker wildly, nothing gets through reliably"),
)
def loop(plant: Plant, where: BetweenPorts) -> Repair:
    try:
        cable = plant.network.plug(where.a, where.b)
    except ValueError as error:
        raise CannotInject(Text(zh="{reason}", en="{reason}"), reason=error) from None

    def pull() -> None:
        if plant.network.cable_at(where.a) is cable:
            plant.network.unplug(where.a)

    return pull


@fault(
    "swapped-cables",
    "physical",
    title=Text(zh="两根网线插反", en="Two cables in each other's ports"),
    symptom=Text(zh="链路灯都亮，设备却在别人的 VLAN 里", en="All links are up, and devices sit in each other's VLANs"),
)
def swapped_cables(plant: Plant, where: BetweenPorts) -> Repair:
    def swap() -> None:
        far = [plant.network.cable_at(port) for port in (where.a, where.b)]
        for port, cable in zip((where.a, where.b), far, strict=True):
            if cable is None:
                raise CannotInject(NO_CABLE, port=port)
        others = [cable.other(port).port for port, cable in zip((where.a, where.b), far, strict=True) if cable]
        plant.network.unplug(where.a)
        plant.network.unplug(where.b)
        plant.network.plug(where.a, others[1])
        plant.network.plug(where.b, others[0])

    for port in (where.a, where.b):
        plant.network.jack(port)
    swap()
    return swap
