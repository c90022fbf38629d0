"""Faults inside devices: what programs prove themselves with, and where they store things."""

from __future__ import annotations

from lab.network.opcua_identity import Flaw
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import Repair, fault


async def _flawed(plant: Plant, where: OnHost, flaw: Flaw) -> Repair:
    host = plant.network.hosts[where.host]
    host.certificate_flaw = flaw
    await plant.restart(where.host)

    async def renew() -> None:
        if host.certificate_flaw == flaw:
            host.certificate_flaw = None
            await plant.restart(where.host)

    return renew


@fault(
    "certificate-expired",
    "application",
    title=Text(zh="证书过期", en="Expired certificate"),
    symptom=Text(
        zh="加密连接被客户端拒绝：证书已过有效期", en="Clients refuse the secure connection: certificate expired"
    ),
)
async def certificate_expired(plant: Plant, where: OnHost) -> Repair:
    return await _flawed(plant, where, "expired")


@fault(
    "certificate-untrusted",
    "application",
    title=Text(zh="证书不受信任（密钥已更换）", en="Untrusted certificate (its key has changed)"),
    symptom=Text(
        zh="加密连接被拒绝：对方证书不在信任列表中", en="Clients refuse the secure connection: unknown certificate"
    ),
)
async def certificate_untrusted(plant: Plant, where: OnHost) -> Repair:
    return await _flawed(plant, where, "other-key")


@fault(
    "certificate-wrong-name",
    "application",
    title=Text(zh="证书名称不符", en="Certificate made out to another name"),
    symptom=Text(
        zh="加密连接被拒绝：证书的主机名或应用 URI 不符", en="Clients refuse: the certificate names somebody else"
    ),
)
async def certificate_wrong_name(plant: Plant, where: OnHost) -> Repair:
    return await _flawed(plant, where, "wrong-name")


@fault(
    "disk-full",
    "application",
    title=Text(zh="磁盘已满", en="Disk full"),
    symptom=Text(zh="断网期间的数据没有补传", en="What was measured while the link was down never arrives"),
)
def disk_full(plant: Plant, where: OnHost) -> Repair:
    disk = plant.network.hosts[where.host].disk
    taken = disk.free
    disk.take(taken)
    return lambda: disk.give_back(taken)
