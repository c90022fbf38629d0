"""A topology built of Linux network namespaces, bridges and nftables, and what can be reached in it.

Run as `unshare --net --mount python linux_twin.py`: reads a topology as JSON, writes one outcome per probe as JSON. All
of it lives in that process's namespaces and is gone with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import sys
from typing import Any

CLONE_NEWNET = 0x40000000
PATIENCE = 1.2
SETTINGS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv4/icmp_ratelimit": "0",
}


def run(*command: str, text: str | None = None) -> None:
    subprocess.run(command, check=True, input=text, text=True, stdout=subprocess.DEVNULL)


def build(topology: dict[str, Any]) -> None:
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.mkdir("/run/netns")
    batch = [
        f"link add br{each} type bridge forward_delay 0\nlink set br{each} up" for each in range(topology["segments"])
    ]
    for name in topology["nodes"]:
        run("ip", "netns", "add", name)
    count = 0
    for name, node in topology["nodes"].items():
        for interface in node["interfaces"]:
            count += 1
            batch.append(f"link add v{count} type veth peer name {interface['name']} netns {name}")
            batch.append(f"link set v{count} master br{interface['segment']} up")
    run("ip", "-batch", "-", text="\n".join(batch))
    for name, node in topology["nodes"].items():
        lines = ["link set lo up"]
        for interface in node["interfaces"]:
            lines += [f"addr add {interface['address']} dev {interface['name']}", f"link set {interface['name']} up"]
        for route in node["routes"]:
            lines.append(f"route add {route['to']} via {route['via']} dev {route['dev']} onlink")
        run("ip", "-n", name, "-batch", "-", text="\n".join(lines))
        settings = dict(SETTINGS)
        if "rules" in node:
            settings["net/ipv4/ip_forward"] = "1"
            settings["net/netfilter/nf_conntrack_tcp_loose"] = "0"
            run("ip", "netns", "exec", name, "nft", "-f", "-", text=ruleset(node))
        script = "".join(f"echo {value} > /proc/sys/{key}\n" for key, value in settings.items())
        # These hold per interface. Ours knows no redirects.
        script += "for each in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 > $each; done\n"
        run("ip", "netns", "exec", name, "sh", "-c", script)


def ruleset(node: dict[str, Any]) -> str:
    # What belongs to no connection that was seen to begin is dropped, as industrial firewalls do.
    lines = ["ct state established,related accept", "ct state invalid drop"]
    for rule in node["rules"]:
        match = f"ip saddr {rule['source']} ip daddr {rule['destination']}"
        service = rule["service"]
        if service == "ping":
            match += " icmp type echo-request"
        elif service != "any":
            match += f" tcp dport {service}"
        lines += verdicts(match, rule["action"])
    lines += verdicts("", node["default"])
    return (
        "table ip f {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n"
        + "\n".join(lines)
        + "\n}\n}\n"
    )


def verdicts(match: str, action: str) -> list[str]:
    if action != "reject":
        return [f"{match} {'accept' if action == 'allow' else 'drop'}"]
    refusing = [f"{match} meta l4proto tcp reject with tcp reset"]
    return [*refusing, f"{match} meta l4proto != tcp reject with icmp type admin-prohibited"]


def enter(name: str) -> None:
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(descriptor)


async def reach_tcp(address: str, port: int) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(address, port)
        writer.transport.abort()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except (OSError, TimeoutError):
        return "no"


async def reach_ping(address: str) -> str:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setblocking(False)
        identifier = int.from_bytes(os.urandom(2), "big")
        head = struct.pack("!BBHHH", 8, 0, 0, identifier, 1)
        total = -(sum(struct.unpack("!4H", head)) % 0xFFFF) % 0xFFFF
        packet = head[:2] + total.to_bytes(2, "big") + head[4:]
        try:
            await loop.sock_sendto(raw, packet, (address, 0))
            async with asyncio.timeout(PATIENCE):
                while True:
                    data = await loop.sock_recv(raw, 2000)
                    answer = data[(data[0] & 15) * 4 :]
                    if answer[0] == 0 and answer[4:6] == packet[4:6]:
                        return "open"
        except (OSError, TimeoutError) as error:
            if getattr(error, "errno", 0) not in (0, None, errno.ENETUNREACH, errno.EHOSTUNREACH):
                raise
            return "no"


async def probe(probes: list[list[str]]) -> list[str]:
    tasks = [reach_ping(to) if what == "ping" else reach_tcp(to, int(what)) for _, to, what in probes]
    return list(await asyncio.gather(*tasks))


def in_namespace(name: str, work: Any) -> int:
    """Fork into a namespace and do something there; returns the reading end of a pipe with what it returned."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            enter(name)
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return reading


def listen() -> list[Any]:
    server = socket.create_server(("0.0.0.0", 502), backlog=64)
    if os.fork() == 0:
        # Stays with its socket until the whole process group is killed.
        while True:
            connection, _ = server.accept()
            connection.close()
    return []


def main() -> None:
    os.setpgrp()
    topology = json.load(sys.stdin)
    build(topology)
    hosts = [name for name, node in topology["nodes"].items() if "rules" not in node]
    for name in hosts:
        os.read(in_namespace(name, listen), 100)
    asked = {name: [each for each in topology["probes"] if each[0] == name] for name in hosts}
    pipes = {name: in_namespace(name, lambda name=name: asyncio.run(probe(asked[name]))) for name in hosts}
    outcomes = {}
    for name, pipe in pipes.items():
        answers = json.loads(b"".join(iter(lambda pipe=pipe: os.read(pipe, 65536), b"")))
        outcomes.update(zip(map(tuple, asked[name]), answers, strict=True))
    print(json.dumps([outcomes[tuple(each)] for each in topology["probes"]]), flush=True)
    os.killpg(0, 9)


if __name__ == "__main__":
    main()
