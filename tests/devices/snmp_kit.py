"""A device that a test can look into and change, with an agent, and managers that ask it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service_kit import Site

from devices.snmp.agent import Agent
from devices.snmp.config import SnmpConfig
from devices.snmp.device import (
    BridgePort,
    BridgeState,
    Counters,
    ForwardingEntry,
    Interface,
    LinkListener,
    LldpState,
    Neighbour,
    Oid,
    SpanningTree,
    Vlan,
)
from lab.network.host import Host

MAC = bytes.fromhex("020000000001")
OTHER = bytes.fromhex("0200000000aa")
CONFIG: dict[str, Any] = {
    "v2c": [{"community": "public"}, {"community": "private", "access": "read-write"}],
    "v3": [
        {"user": "reader", "auth": "sha", "auth_password": "maplesyrup", "priv_password": "sugarcane"},
        {"user": "writer", "auth_password": "auth-writer", "priv_password": "priv-writer", "access": "read-write"},
    ],
    "contact": "ops",
    "location": "hall 3",
}


class BenchSwitch:
    """Implements ManagedDevice: a switch with four ports, two VLANs and a neighbour."""

    description = "bench switch"
    object_id: Oid = (1, 3, 6, 1, 4, 1, 32473, 2, 4)
    services = 2

    def __init__(self) -> None:
        self.up = {1: True, 2: True, 3: False, 4: True}
        self.octets = 0
        self.listener: LinkListener | None = None
        self.forwarding = [ForwardingEntry(OTHER, 20, 2), ForwardingEntry(MAC, 1, 1, is_static=True)]

    def interfaces(self) -> Sequence[Interface]:
        return [
            Interface(n, f"p{n}", MAC, admin, admin, Counters(in_octets=self.octets, out_unicast=n))
            for n, admin in self.up.items()
        ]

    def enable(self, index: int, up: bool) -> None:
        self.up[index] = up
        if self.listener is not None:
            self.listener(index, up)

    def bridge(self) -> BridgeState | None:
        root = b"\x80\x00" + MAC
        return BridgeState(
            MAC,
            [BridgePort(n, n, pvid=20 if n == 2 else 1) for n in self.up],
            self.forwarding,
            [
                Vlan(1, "default", frozenset({1, 3, 4}), frozenset({1, 3, 4})),
                Vlan(20, "ot", frozenset({2, 4}), frozenset({2})),
            ],
            SpanningTree(32768, root, 0, 0),
        )

    def lldp(self) -> LldpState | None:
        neighbour = Neighbour(4, 1, 4, OTHER, 5, b"p1", system_name="sw-2", capabilities=4, enabled_capabilities=4)
        return LldpState(MAC, 4, 4, [(n, f"p{n}") for n in self.up], [neighbour])

    def watch(self, listener: LinkListener | None) -> None:
        self.listener = listener


def agent_on(site: Site, address: str = "10.0.0.2/24", **more: Any) -> tuple[Agent, BenchSwitch, Host]:
    host = site.host("switch", address)
    device = BenchSwitch()
    agent = Agent(host, device, SnmpConfig.model_validate(CONFIG | more))
    agent.start()
    return agent, device, host
