"""Certificates that nobody should accept, and disks without room."""

from __future__ import annotations

import asyncio
import json

import fault_kit
import pytest
from asyncua import Client
from cryptography import x509
from fault_kit import Broken, run

from lab.network.opcua_identity import EXPIRED, VALID_UNTIL
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

ADDRESSES = {"cnc": "10.1.10.31", "gw": "10.1.10.5", "broker": "10.1.10.60"}


@pytest.fixture(autouse=True)
def _more_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"cnc": "cnc-plc", "gw": "gw-edge", "broker": "broker"}
    monkeypatch.setattr(fault_kit, "KINDS", fault_kit.KINDS | kinds)
    cables = [("cnc/eth0", "sw-1/p4"), ("gw/eth0", "sw-1/p5"), ("broker/eth0", "sw-1/p6")]
    monkeypatch.setattr(fault_kit, "CABLES", fault_kit.CABLES + cables)
    before = fault_kit.configuration

    def configuration() -> PlantConfig:
        config = before()
        boiler = {"host": "10.1.10.11", "unit": 1}
        group = {"name": "g", "period_ms": 1000, "tags": [{"name": "t", "table": "input", "address": 0, "type": "i16"}]}
        south = {"name": "boiler", "driver": "modbus-tcp", "connection": boiler, "groups": [group]}
        north = {"name": "b", "driver": "mqtt", "host": ADDRESSES["broker"], "client_id": "gw", "qos": 1}
        extra = {"gw": {"site": "x", "south": [south], "north": [north]}}
        for name, kind in kinds.items():
            interfaces = {"eth0": {"address": f"{ADDRESSES[name]}/24"}}
            given = {"interfaces": interfaces, **extra.get(name, {})}
            hosts = dict(config.hosts)
            hosts[name] = APPLIANCES[kind].Config.model_validate(given)
            config = PlantConfig(config.wiring, hosts)
        return config

    monkeypatch.setattr(fault_kit, "configuration", configuration)


async def shown(site: Broken) -> x509.Certificate:
    """The certificate that the machine's server offers to whoever asks for its endpoints."""

    async def ask() -> bytes:
        endpoints = await Client("opc.tcp://10.1.10.31:4840", timeout=5).connect_and_get_server_endpoints()
        return bytes(endpoints[0].ServerCertificate)

    return x509.load_der_x509_certificate(await site.host("ws-1").spawn(ask()))


def names_in(certificate: x509.Certificate) -> list[str]:
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return alternatives.value.get_values_for_type(x509.DNSName)


def test_an_expired_certificate_says_so_itself() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("certificate-expired", {"host": "cnc"})
        assert (await shown(site)).not_valid_after_utc == EXPIRED
        await site.faults.repair(fault)
        assert (await shown(site)).not_valid_after_utc == VALID_UNTIL

    run(story)


def test_an_untrusted_certificate_has_a_key_nobody_has_seen() -> None:
    async def story(site: Broken) -> None:
        before = (await shown(site)).public_key()
        fault = await site.faults.inject("certificate-untrusted", {"host": "cnc"})
        assert (await shown(site)).public_key() != before
        await site.faults.repair(fault)
        assert (await shown(site)).public_key() == before

    run(story)


def test_a_certificate_may_be_made_out_to_somebody_else() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("certificate-wrong-name", {"host": "cnc"})
        assert names_in(await shown(site)) == ["cnc-other"]
        await site.faults.repair(fault)
        assert names_in(await shown(site)) == ["cnc"]

    run(story)


def stamps(site: Broken) -> set[int]:
    """The seconds of plant time that arrived at the broker."""
    found: set[int] = set()
    for datagram in site.datagrams("broker"):
        at = datagram.payload.find(b'{"ts":')
        if at >= 0:
            end = datagram.payload.index(b"}}", at) + 2
            try:
                found.add(json.loads(datagram.payload[at:end])["ts"] // 1000)
            except ValueError:
                continue
    return found


def test_with_a_full_disk_an_outage_loses_data() -> None:
    async def story(site: Broken) -> None:
        async def lost_in_an_outage() -> int:
            await asyncio.sleep(5)
            site.frames.clear()
            cut = await site.faults.inject("cable-broken", {"port": "broker/eth0"})
            # Longer than the keep-alive lets a dead connection live.
            await asyncio.sleep(120)
            await site.faults.repair(cut)
            await asyncio.sleep(120)
            arrived = stamps(site)
            return max(arrived) - min(arrived) + 1 - len(arrived)

        assert await lost_in_an_outage() <= 1
        fault = await site.faults.inject("disk-full", {"host": "gw"})
        assert await lost_in_an_outage() > 20
        await site.faults.repair(fault)
        assert await lost_in_an_outage() <= 1

    run(story)
