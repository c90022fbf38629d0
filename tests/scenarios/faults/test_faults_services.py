"""Services that lead astray."""

from __future__ import annotations

import asyncio
import socket

from fault_kit import Broken, run

ROGUE = {
    "host": "ws-2",
    "network": "10.1.10.0/24",
    "first": "10.1.10.200",
    "last": "10.1.10.220",
    "router": "10.1.10.66",
}


def test_a_rogue_dhcp_server_hands_out_a_gateway_of_its_own() -> None:
    async def story(site: Broken) -> None:
        async def ask_for_an_address() -> str:
            config = site.plant.config.hosts["ws-1"]
            asking = config.model_copy(update={"interfaces": {}, "dhcp_client": ["eth0"]})
            await site.plant.configure("ws-1", asking)
            await asyncio.sleep(10)
            route = site.host("ws-1").route(bytes((10, 9, 9, 9)))
            await site.plant.configure("ws-1", config)
            return socket.inet_ntoa(route[1]) if route else ""

        assert await ask_for_an_address() == "", "there is no DHCP server here"
        fault = await site.faults.inject("rogue-dhcp", ROGUE)
        assert await ask_for_an_address() == "10.1.10.66"
        await site.faults.repair(fault)
        assert await ask_for_an_address() == ""

    run(story)
