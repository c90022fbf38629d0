"""pysnmp's manager on a host of the plant."""

from __future__ import annotations

from typing import Any

from pysnmp.hlapi.v3arch import asyncio as hlapi  # type: ignore[import-untyped]
from pysnmp.proto.secmod.rfc3414 import service  # type: ignore[import-untyped]

from devices.snmp.device import Oid
from lab.network.containment import contain
from lab.network.host import Host

contain(service)


class Manager:
    """pysnmp's, on a host of its own."""

    def __init__(self, host: Host, who: Any, target: str = "10.0.0.2") -> None:
        self.host, self.who, self.target = host, who, target
        self.engine: Any = None

    async def ask(self, command: Any, *objects: tuple[Oid, Any] | Oid, numbers: tuple[int, ...] = ()) -> Any:
        async def there() -> Any:
            if self.engine is None:
                self.engine = hlapi.SnmpEngine()
            transport = await hlapi.UdpTransportTarget.create((self.target, 161), timeout=1, retries=1)
            wanted = [
                hlapi.ObjectType(hlapi.ObjectIdentity(each[0]), each[1])
                if isinstance(each[0], tuple)
                else hlapi.ObjectType(hlapi.ObjectIdentity(each))
                for each in objects
            ]
            return await command(
                self.engine, self.who, transport, hlapi.ContextData(), *numbers, *wanted, lookupMib=False
            )

        return await self.host.spawn(there())

    async def value(self, oid: Oid) -> Any:
        error, status, _, bindings = await self.ask(hlapi.get_cmd, oid)
        assert not error, error
        assert int(status) == 0, status
        return bindings[0][1]

    async def walk(self, under: Oid) -> list[Oid]:
        found: list[Oid] = []
        at = under
        while True:
            error, status, _, bindings = await self.ask(hlapi.bulk_cmd, at, numbers=(0, 20))
            assert not error, error
            assert int(status) == 0, status
            for name, value in bindings:
                at = tuple(name)
                if (at[: len(under)] != under and under != (1, 0)) or value.tagSet == hlapi.EndOfMibView("").tagSet:
                    return found
                found.append(at)

    def close(self) -> None:
        if self.engine is not None:
            with self.host.current():
                self.engine.close_dispatcher()


def community(name: str) -> Any:
    return hlapi.CommunityData(name, mpModel=1)
