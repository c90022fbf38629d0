"""net-snmp, from a real host in the plant, walks the agent."""

from __future__ import annotations

import asyncio
import shutil
from ipaddress import IPv4Interface

import pytest
from service_kit import Site
from snmp_kit import agent_on

from lab.model.frame import Port
from lab.network.loop import PlantLoop
from lab.network.namespace import attach, why_not

V2C = ("-v2c", "-c", "public")
V3 = (
    *["-v3", "-l", "authPriv", "-u", "writer", "-a", "SHA-256", "-A", "auth-writer", "-x", "AES", "-X", "priv-writer"],
)
OLD_V3 = (*["-v3", "-l", "authPriv", "-u", "reader", "-a", "SHA", "-A", "maplesyrup", "-x", "AES", "-X", "sugarcane"],)


@pytest.mark.foreign
@pytest.mark.namespace
@pytest.mark.parametrize(
    ("command", "arguments", "expected"),
    [
        ("snmpget", (*V2C, "10.0.0.2", "1.3.6.1.2.1.1.5.0"), '.1.3.6.1.2.1.1.5.0 = STRING: "switch"'),
        ("snmpget", (*V3, "10.0.0.2", "1.3.6.1.2.1.1.6.0"), '.1.3.6.1.2.1.1.6.0 = STRING: "hall 3"'),
        ("snmpget", (*OLD_V3, "10.0.0.2", "1.3.6.1.2.1.2.1.0"), ".1.3.6.1.2.1.2.1.0 = INTEGER: 4"),
        ("snmpset", (*V3, "10.0.0.2", "1.3.6.1.2.1.2.2.1.7.1", "i", "2"), ".1.3.6.1.2.1.2.2.1.7.1 = INTEGER: 2"),
        ("snmpset", (*V2C, "10.0.0.2", "1.3.6.1.2.1.1.4.0", "s", "me"), "noAccess"),
        ("snmpwalk", (*V3, "10.0.0.2", "1.3.6.1.2.1.17"), ".1.3.6.1.2.1.17.7.1.4.5.1.1.2 = Gauge32: 20"),
        ("snmpbulkwalk", (*V2C, "10.0.0.2", "1.0.8802"), '.1.0.8802.1.1.2.1.4.1.1.9.0.4.1 = STRING: "sw-2"'),
        ("snmpget", ("-v1", "-c", "public", "10.0.0.2", "1.3.6.1.2.1.1.5.0"), "Timeout"),
    ],
)
def test_net_snmp_understands_the_agent(command: str, arguments: tuple[str, ...], expected: str) -> None:
    program = shutil.which(command)
    if program is None:
        pytest.skip(f"{command} is not installed")
    if (reason := why_not()) is not None:
        pytest.skip(str(reason))
    loop = PlantLoop()
    asyncio.set_event_loop(loop)

    async def story() -> str:
        site = Site(loop)
        agent_on(site)
        site.host("nms", "10.0.0.9/24")
        real = await attach(site.network, Port("nms", "eth0"), IPv4Interface("10.0.0.9/24"))
        try:
            done = await real.run([program, "-m", "", "-On", "-t", "1", "-r", "0", *arguments], timeout=20)
            return str(done.output)
        finally:
            await real.close()

    try:
        said = loop.run_until_complete(story())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert expected in said
