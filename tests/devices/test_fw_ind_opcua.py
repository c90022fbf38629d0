"""A real OPC UA client and a real server, with a firewall in between that reads along."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import Client, ua
from firewall_kit import Site, run

from devices.cnc_plc import CncPlc, CncPlcConfig
from devices.fw_ind import FwInd


async def build(site: Site, content: dict[str, Any]) -> CncPlc:
    await site.switch_on(
        {
            "interfaces": {"wan": {"address": "10.1.30.1/24"}, "lan": {"address": "10.1.20.1/24"}},
            "zones": {"office": ["wan"], "control": ["lan"]},
            "content": {"c": {"opcua": content}},
            "rules": [{"name": "opcua", "from": "office", "to": "control", "service": "opcua", "content": "c"}],
        }
    )
    site.host("office", "10.1.30.10/24", "10.1.30.1", "wan")
    host = site.host("cnc", "10.1.20.11/24", "10.1.20.1", "lan")
    config = CncPlcConfig.model_validate({"users": {"eng": "may-write"}})
    server = CncPlc(host, config, lambda point, value: None)
    await host.spawn(server.start())
    return server


def reasons(site: Site) -> list[str]:
    assert isinstance(site.device, FwInd)
    return [entry.reason for entry in site.device.log.entries if entry.reason]


@pytest.mark.parametrize("forbidden", [[], ["Write"]])
def test_reading_passes_and_writing_only_where_it_is_not_forbidden(forbidden: list[str]) -> None:
    async def story(site: Site) -> None:
        server = await build(site, {"forbidden": forbidden})

        async def work() -> None:
            client = Client("opc.tcp://10.1.20.11:4840", timeout=5)
            client.set_user("eng")
            client.set_password("may-write")
            await client.connect()
            override = client.get_node("ns=2;s=CNC01.FeedOverride")
            assert await override.read_value() == 100.0
            writing = override.write_value(ua.Variant(80.0, ua.VariantType.Double))
            if forbidden:
                with pytest.raises((ConnectionError, TimeoutError, ua.UaError)):
                    await writing
                client.disconnect_socket()
            else:
                await writing
                await client.disconnect()

        await site.network.hosts["office"].spawn(work())
        assert server.points()["feed_override"] == (100.0 if forbidden else 80.0)
        assert reasons(site) == (["content: service Write"] if forbidden else [])
        await site.network.hosts["cnc"].spawn(server.stop())

    run(FwInd, story)


def test_an_unprotected_channel_is_refused_where_encryption_is_asked_for() -> None:
    async def story(site: Site) -> None:
        server = await build(site, {"policies": ["Basic256Sha256"], "modes": ["SignAndEncrypt"]})

        async def work() -> None:
            client = Client("opc.tcp://10.1.20.11:4840", timeout=5)
            with pytest.raises((ConnectionError, TimeoutError, ua.UaError)):
                await client.connect()

        await site.network.hosts["office"].spawn(work())
        assert reasons(site) == ["content: policy None"]
        await site.network.hosts["cnc"].spawn(server.stop())

    run(FwInd, story)
