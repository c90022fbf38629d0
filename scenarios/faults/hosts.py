"""Faults of whole devices and of the programs on them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

from pydantic import Field

from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import CannotInject, Repair, by_turns, configured, fault

NOTHING_LISTENS = Text(zh="{host} 的 {port} 端口没有服务", en="nothing listens on port {port} of {host}")
HAS_NO = Text(zh="{host} 没有配置项 {key}", en="{host} has no setting {key}")
PortNumber = Annotated[int, Field(ge=1, le=65535)]


@fault(
    "dead-host",
    "power",
    title=Text(zh="设备断电或损坏", en="Dead device"),
    symptom=Text(zh="指示灯全灭，ping 不通", en="All lamps dark, no answer to a ping"),
)
def dead_host(plant: Plant, where: OnHost) -> Repair:
    plant.network.power(where.host, False)
    return lambda: plant.network.power(where.host, True)


class Rebooting(OnHost):
    down: float = Field(3.0, gt=0, le=600)
    up: float = Field(20.0, gt=0, le=3600)


@fault(
    "reboot-loop",
    "power",
    title=Text(zh="设备反复重启", en="Device reboots again and again"),
    symptom=Text(zh="设备隔一会儿就失联几秒", en="The device is gone for some seconds every now and then"),
)
def reboot_loop(plant: Plant, where: Rebooting) -> Repair:
    if where.host not in plant.network.hosts:
        raise KeyError(where.host)
    return by_turns(plant, f"{where.host} reboots", partial(plant.network.power, where.host), where.down, where.up)


class Service(OnHost):
    port: PortNumber


@fault(
    "hung-service",
    "application",
    title=Text(zh="服务假死", en="Hung service"),
    symptom=Text(zh="端口能连上，请求却没有应答", en="The port accepts connections, requests are never answered"),
)
def hung_service(plant: Plant, where: Service) -> Repair:
    host = plant.network.hosts[where.host]
    try:
        host.hang(where.port, True)
    except KeyError:
        raise CannotInject(NOTHING_LISTENS, host=where.host, port=where.port) from None

    def wake() -> None:
        try:
            host.hang(where.port, False)
        except KeyError:
            return  # it has been restarted meanwhile

    return wake


@fault(
    "stopped-service",
    "application",
    title=Text(zh="服务未运行", en="Service not running"),
    symptom=Text(zh="ping 得通，连接被拒绝", en="It answers a ping and refuses connections"),
)
async def stopped_service(plant: Plant, where: OnHost) -> Repair:
    plant.network.hosts[where.host]
    await plant.halt(where.host)
    return lambda: plant.resume(where.host)


class Every(OnHost):
    every: float = Field(10.0, gt=0, le=3600)
    """Seconds"""


@fault(
    "half-open-tcp",
    "transport",
    title=Text(zh="TCP 半开连接", en="Half-open TCP connections"),
    symptom=Text(
        zh="一端以为连着，另一端早已不知道这个连接，再发就被复位",
        en="One end believes it is connected, the other has forgotten; the next segment is reset",
    ),
)
def half_open_tcp(plant: Plant, where: Every) -> Repair:
    host = plant.network.hosts[where.host]

    async def forget() -> None:
        while True:
            host.lose_connections()
            await asyncio.sleep(where.every)

    task = plant.loop.create_task(forget(), name=f"{where.host} forgets connections")

    def steady() -> None:
        task.cancel()

    return steady


class Connections(OnHost):
    connections: int = Field(1, ge=1, le=64)


@fault(
    "single-connection",
    "application",
    title=Text(zh="设备只支持一个连接", en="Device takes a single connection"),
    symptom=Text(zh="第二个客户端一连就断", en="The second client is disconnected at once"),
)
async def single_connection(plant: Plant, where: Connections) -> Repair:
    before = plant.config.hosts[where.host]
    if not hasattr(before, "max_connections"):
        raise CannotInject(HAS_NO, host=where.host, key="max_connections")
    after = before.model_copy(update={"max_connections": where.connections})
    return await configured(plant, where.host, after)


class Blocked(Service):
    protocol: Annotated[str, Field(pattern="^(tcp|udp)$")] = "tcp"


@fault(
    "port-blocked",
    "transport",
    title=Text(zh="主机防火墙拦截端口", en="Port blocked by the host's own firewall"),
    symptom=Text(
        zh="ping 得通，连接超时而不是被拒绝", en="It answers a ping; connections time out instead of being refused"
    ),
)
def port_blocked(plant: Plant, where: Blocked) -> Repair:
    host = plant.network.hosts[where.host]
    rule = (6 if where.protocol == "tcp" else 17, where.port)
    host.block(*rule)
    return lambda: host.unblock(*rule)


@fault(
    "ping-blocked",
    "network",
    title=Text(zh="不应答 ping", en="No answer to pings"),
    symptom=Text(zh="ping 不通，服务却正常", en="No answer to a ping, and yet the service works"),
)
def ping_blocked(plant: Plant, where: OnHost) -> Repair:
    host = plant.network.hosts[where.host]
    host.block(1, 0)
    return lambda: host.unblock(1, 0)


class Offset(OnHost):
    seconds: float = Field(ge=-1e9, le=1e9)


@fault(
    "clock-offset",
    "time",
    title=Text(zh="时钟偏差", en="Wrong clock"),
    symptom=Text(zh="上送数据的时间戳不对", en="Time stamps in its messages are wrong"),
)
def clock_offset(plant: Plant, where: Offset) -> Repair:
    host = plant.network.hosts[where.host]
    before, host.clock_offset = host.clock_offset, where.seconds

    def restore() -> None:
        if host.clock_offset == where.seconds:  # nobody has set the clock meanwhile
            host.clock_offset = before

    return restore
