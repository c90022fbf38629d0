"""What can be reached in our network is what can be reached in the same network built of Linux namespaces.

Topologies are generated, mistakes included: wrong masks, gateways, missing routes, filters.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from linux_twin import reach_tcp

from devices.fw_ind import FwInd
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.loop import PlantLoop

TWIN = Path(__file__).with_name("linux_twin.py")
SEEDS = range(10)
PORTS = {"eth0": "wan", "eth1": "lan"}
"""What the firewall calls its first two."""


def why_not() -> str:
    """Why the twin cannot be built here; empty where it can."""
    if sys.platform != "linux":
        return "needs Linux's network namespaces"
    if missing := [name for name in ("ip", "nft", "unshare", "mount") if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}"
    if os.geteuid() != 0:
        return "needs root"
    probe = (
        "ip link add br0 type bridge && nft add table ip f && nft add chain ip f c && nft add rule ip f c ct state new"
    )
    done = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", probe], capture_output=True, text=True)
    return done.stderr.strip()


def topology(seed: int) -> dict[str, Any]:
    """Segments joined by filtering routers in a chain or a star, with hosts on them; a third of what can be wrong is."""
    chance = random.Random(seed)
    segments = chance.randint(2, 4)
    networks = [IPv4Network(f"10.{chance.randint(0, 3)}.{each}.0/24") for each in range(segments)]
    nodes: dict[str, Any] = {}
    links: dict[int, list[str]] = {each: [] for each in range(segments)}
    for number in range(1, segments):
        near = chance.randrange(number)
        name = f"r{number}"
        nodes[name] = {
            "interfaces": [
                {"name": f"eth{place}", "segment": segment, "address": f"{networks[segment][250 - number]}/24"}
                for place, segment in enumerate((near, number))
            ],
            "routes": [],
            "rules": [],
            "default": chance.choice(["allow", "allow", "deny", "reject"]),
        }
        for segment in (near, number):
            links[segment].append(name)
    for name, node in nodes.items():
        _route(chance, name, node, nodes, links, networks)
        for _ in range(chance.randint(0, 5)):
            node["rules"].append(_rule(chance, networks))
    for number in range(1, chance.randint(5, 7)):
        segment = chance.randrange(segments)
        network = networks[segment] if chance.random() < 0.9 else chance.choice(networks)
        prefix = chance.choice([24, 24, 24, 25, 16, 28])
        address = network[10 + 29 * number]
        routers = links[segment]
        routes = []
        if chance.random() < 0.9:
            gateway = nodes[chance.choice(routers)]
            via = next(each["address"] for each in gateway["interfaces"] if each["segment"] == segment).split("/")[0]
            routes.append({"to": "0.0.0.0/0", "via": via, "dev": "eth0"})
        interface = {"name": "eth0", "segment": segment, "address": f"{address}/{prefix}"}
        nodes[f"h{number}"] = {"interfaces": [interface], "routes": routes}
    hosts = {
        name: node["interfaces"][0]["address"].split("/")[0] for name, node in nodes.items() if "rules" not in node
    }
    probes = [[a, hosts[b], what] for a in hosts for b in hosts if a != b for what in ("ping", "502", "81")]
    return {"segments": segments, "nodes": nodes, "probes": probes}


def _route(
    chance: random.Random,
    name: str,
    node: dict[str, Any],
    nodes: dict[str, Any],
    links: dict[int, list[str]],
    networks: list[IPv4Network],
) -> None:
    """Routes to the segments beyond each neighbour, most of them right."""
    for place, interface in enumerate(node["interfaces"]):
        for neighbour in links[interface["segment"]]:
            if neighbour == name:
                continue
            via = next(e["address"] for e in nodes[neighbour]["interfaces"] if e["segment"] == interface["segment"])
            for segment in _beyond(neighbour, interface["segment"], nodes, links):
                if chance.random() < 0.85:
                    to = str(networks[segment])
                    node["routes"].append({"to": to, "via": via.split("/")[0], "dev": f"eth{place}"})


def _beyond(router: str, without: int, nodes: dict[str, Any], links: dict[int, list[str]]) -> list[int]:
    """The segments behind a router, seen from one of its own."""
    found, ahead = [], [(router, without)]
    while ahead:
        here, came = ahead.pop()
        for interface in nodes[here]["interfaces"]:
            segment = interface["segment"]
            if segment != came and segment not in found:
                found.append(segment)
                ahead += [(each, segment) for each in links[segment] if each != here]
    return found


def _rule(chance: random.Random, networks: list[IPv4Network]) -> dict[str, str]:
    def place() -> str:
        network = chance.choice(networks)
        return chance.choice(["0.0.0.0/0", str(network), str(IPv4Network(f"{network[128]}/25")), f"{network[40]}/32"])

    return {
        "source": place(),
        "destination": place(),
        "service": chance.choice(["any", "ping", "502", "81"]),
        "action": chance.choice(["allow", "deny", "reject"]),
    }


def ours(topology: dict[str, Any]) -> list[str]:
    """The outcomes in a plant."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        network = Network(loop)
        switches = [network.add_switch(f"sw{each}", 12).name for each in range(topology["segments"])]
        used: Counter[int] = Counter()
        firewalls = []
        for name, node in topology["nodes"].items():
            host = FwInd.hardware(network, name) if "rules" in node else network.add_host(name)
            for interface in node["interfaces"]:
                used[interface["segment"]] += 1
                port = PORTS[interface["name"]] if "rules" in node else interface["name"]
                network.plug(Port(name, port), Port(switches[interface["segment"]], f"p{used[interface['segment']]}"))
            config = _config(node)
            host.configure(config)
            if "rules" in node:
                with host.current():
                    firewall = FwInd(host, config, lambda point, value: None)
                    await firewall.start()
                firewalls.append(firewall)
            else:
                await host.spawn(asyncio.start_server(_hang_up, "0.0.0.0", 502))
        await asyncio.sleep(1)
        outcomes = []
        for name, to, what in topology["probes"]:
            host = network.hosts[name]
            if what == "ping":
                answered = await host.ping(to, timeout=1.0) or await host.ping(to, timeout=1.0)
                outcomes.append("open" if answered is not None else "no")
            else:
                outcomes.append(await host.spawn(reach_tcp(to, int(what))))
        for firewall in firewalls:
            with firewall.host.current():
                await firewall.stop()
        return outcomes

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _config(node: dict[str, Any]) -> HostConfig:
    interfaces = {each["name"]: {"address": each["address"]} for each in node["interfaces"]}
    routes = [{"to": each["to"], "via": each["via"]} for each in node["routes"]]
    config: dict[str, Any] = {"interfaces": interfaces}
    if "rules" not in node:
        if routes:
            config["interfaces"]["eth0"]["gateway"] = routes[0]["via"]
        return HostConfig.model_validate(config)
    services = {"502": "modbus", "81": "other", "ping": "ping", "any": "any"}
    rules = [{"name": f"r{n}", **each, "service": services[each["service"]]} for n, each in enumerate(node["rules"])]
    config |= {
        "interfaces": {PORTS[name]: interface for name, interface in interfaces.items()},
        "routes": routes,
        "zones": {f"z{place}": [PORTS[name]] for place, name in enumerate(interfaces)},
        "services": {"other": {"protocol": "tcp", "ports": [81]}},
        "rules": rules,
        "default": node["default"],
    }
    return FwInd.Config.model_validate(config)


def linux(topology: dict[str, Any]) -> list[str]:
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, str(TWIN)],
        input=json.dumps(topology),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout, done.stderr
    outcomes: list[str] = json.loads(done.stdout)
    return outcomes


@pytest.mark.foreign
@pytest.mark.namespace
@pytest.mark.parametrize("seed", SEEDS)
def test_reachability_is_that_of_linux(seed: int) -> None:
    if reason := why_not():
        pytest.skip(reason)
    site = topology(seed)
    theirs = linux(site)
    assert dict(zip(map(tuple, site["probes"]), ours(site), strict=True)) == dict(
        zip(map(tuple, site["probes"]), theirs, strict=True)
    )


def test_the_topologies_are_worth_comparing() -> None:
    outcomes: Counter[str] = Counter()
    for seed in SEEDS:
        outcomes.update(ours(topology(seed)))
    assert outcomes.keys() == {"open", "refused", "no"}
    assert min(outcomes.values()) > 20, outcomes
