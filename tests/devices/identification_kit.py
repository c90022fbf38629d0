"""A plant for stories about identification: recursive, national top, secondary and two enterprise nodes, and a PC."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from devices.identification.node import IdnNode
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Value
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop

T = TypeVar("T")
NAMES = ("rec", "top", "sec", "ent", "ent-b", "pc")
ADMIN = "300:88.900.C/ADMIN"
SECRET = "zhong-zhou"
RING = "88.900.C/B6205.20240513.0147"


def address(name: str) -> str:
    return f"10.0.0.{NAMES.index(name) + 1}"


@cache
def https(days: int = 30) -> dict[str, Any]:
    """A self-signed certificate, as most nodes of the Handle System have."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ent")])
    addresses = [x509.IPAddress(IPv4Address(each)) for each in (address("ent"), "127.0.0.1")]
    since = datetime(2025, 12, 31, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .sign(key, hashes.SHA256())
    )
    return {
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def site(name: str, *, primary: bool = True, port: int = 8000) -> dict[str, Any]:
    interfaces = [{"protocol": "HTTP", "port": port, "query": True, "admin": False}]
    value = {
        "version": 1,
        "primarySite": primary,
        "servers": [{"serverId": 1, "address": address(name), "interfaces": interfaces}],
    }
    return {"format": "site", "value": value}


def delegation(prefix: str, node: str, kind: str = "HS_SITE", ttl: int = 600) -> dict[str, Any]:
    return {"handle": f"0.NA/{prefix}", "values": [{"index": 1, "type": kind, "data": site(node), "ttl": ttl}]}


def admin_record(handle: str = "88.900.C/ADMIN", secret: str = SECRET) -> dict[str, Any]:
    admin = {"format": "admin", "value": {"handle": handle, "index": 300, "permissions": "011111110011"}}
    return {
        "handle": handle,
        "values": [
            {"index": 100, "type": "HS_ADMIN", "data": admin},
            {"index": 300, "type": "HS_SECKEY", "data": secret},
        ],
    }


def ring(**more: Any) -> dict[str, Any]:
    return {
        "handle": RING,
        "values": [
            {"index": 1, "type": "URL", "data": "http://10.0.0.4/b6205", "ttl": 300, **more},
            {"index": 2, "type": "REF", "data": "88.901.7/HEAT.5512", "ttl": 300},
        ],
    }


def enterprise(**more: Any) -> dict[str, Any]:
    return {
        "role": "enterprise",
        "prefixes": ["88.900.C"],
        "admins": [ADMIN],
        "handles": [admin_record(), ring()],
        "https": https(),
        **more,
    }


NODES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "rec": lambda: {"role": "recursive", "root": {"host": address("top")}},
    "top": lambda: {"role": "top", "prefixes": ["88"], "handles": [delegation("88.900", "sec", "HS_SITE.PREFIX")]},
    "sec": lambda: {"role": "secondary", "prefixes": ["88.900"], "handles": [delegation("88.900.C", "ent")]},
    "ent": enterprise,
}


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> int:
        found: int = self.body["responseCode"]
        return found

    @property
    def values(self) -> dict[int, Any]:
        return {each["index"]: each["data"]["value"] for each in self.body["values"]}


@dataclass
class Plant:
    loop: PlantLoop
    network: Network
    hosts: dict[str, Host]
    nodes: dict[str, IdnNode] = field(default_factory=dict)
    truth: list[tuple[str, Value]] = field(default_factory=list)

    async def switch_on(self, name: str, **config: Any) -> IdnNode:
        """Start a node, or give it another configuration."""
        host = self.hosts[name]
        interfaces = {"eth0": {"address": address(name) + "/24"}}
        said = config or NODES[name]()
        model = IdnNode.Config.model_validate({"interfaces": interfaces, **said})
        host.configure(model)
        if name in self.nodes:
            await host.spawn(self.nodes[name].apply(model))
        else:
            self.nodes[name] = IdnNode(host, model, lambda point, value: self.truth.append((point, value)))
            await host.spawn(self.nodes[name].start())
        return self.nodes[name]

    async def switch_off(self, name: str) -> None:
        await self.hosts[name].spawn(self.nodes.pop(name).stop())

    async def chain(self, **more: dict[str, Any]) -> None:
        for name, config in NODES.items():
            await self.switch_on(name, **{**config(), **more.get(name, {})})

    def log(self, name: str, log: str = "queries") -> list[str]:
        return list(self.nodes[name].logs[log].tail(1000))

    async def get(self, node: str, handle: str, query: str = "", **options: Any) -> Answer:
        return await self.ask("GET", node, f"/api/handles/{quote(handle)}{query}", **options)

    async def put(self, handle: str, values: Any, query: str = "", **options: Any) -> Answer:
        return await self.ask("PUT", "ent", f"/api/handles/{quote(handle)}{query}", values, **{"by": ADMIN, **options})

    async def ask(
        self,
        method: str,
        node: str,
        path: str,
        document: Any = None,
        *,
        by: str | None = None,
        secret: str = SECRET,
        port: int | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """A request from the PC; over HTTPS where it is `by` somebody, unless a port says otherwise."""
        sent = {"Accept-Language": "en", **(headers or {})}
        if by is not None:
            user = f"{quote(by, safe='')}:{secret}".encode()
            sent["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
        if document is not None:
            data = json.dumps(document).encode()
        port = port or (8443 if by is not None else 8000)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

        async def fetch() -> Answer:
            url = f"{'https' if port == 8443 else 'http'}://{address(node)}:{port}{path}"
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(method, url, data=data and io.BytesIO(data), headers=sent, ssl=tls) as response,
            ):
                body: Any = await response.read()
                if response.content_type == "application/json":
                    body = json.loads(body)
                return Answer(response.status, body, dict(response.headers))

        answer: Answer = await self.hosts["pc"].spawn(fetch())
        return answer


def tell(
    story: Callable[[Plant], Awaitable[T]],
    *,
    folder: Path | None = None,
    is_fast: bool = True,
    patience: float = 7 * 86_400,
) -> T:
    """A story; what the loop complains of, and tasks that are left behind, fail the test."""
    loop = PlantLoop(fast=is_fast)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    left: set[str] = set()

    async def main() -> T:
        network = Network(loop, seed=1)
        network.add_switch("sw", 8)
        hosts = {}
        for number, name in enumerate(NAMES, 1):
            hosts[name] = network.add_host(name)
            network.plug(Port(name, "eth0"), Port("sw", f"p{number}"))
            if folder is not None:
                hosts[name].disk.folder = folder / name
        plant = Plant(loop, network, hosts)
        hosts["pc"].configure(HostConfig.model_validate({"interfaces": {"eth0": {"address": address("pc") + "/24"}}}))
        async with asyncio.timeout(patience):
            result = await story(plant)
            for name in list(plant.nodes):
                await plant.switch_off(name)
            await asyncio.sleep(1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            left.add(repr(task.get_coro()))
            task.cancel()
        return result

    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        unfinished = asyncio.all_tasks(loop)
        for task in unfinished:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
    assert not complaints, complaints
    assert not left, left
    return result
