"""Carrying out what checks ask for: process values held for a while, and attempts to reach something from a host."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from grading.stimulus import Force, Probe, Stimulus
from lab.wire import modbus
from lab.wire.malformed import Malformed
from scenarios.assembly import Plant

Report = Callable[[str, Mapping[str, Any]], None]
"""Called as report(event, facts)."""

_AFTERWARDS: Final = 0.2
"""Seconds until the last frames of a stimulus are through."""
_GRACE: Final = 5.0


def chance(secret: bytes, scenario: str, seed: int, files: Mapping[str, str]) -> random.Random:
    """Where secret process values come from: nobody can know them before the files are frozen."""
    frozen = hashlib.sha256()
    for name in sorted(files):
        for part in (name, files[name]):
            data = part.encode()
            frozen.update(len(data).to_bytes(8, "big") + data)
    drawn = hmac.digest(secret, f"{scenario}/{seed}/{frozen.hexdigest()}".encode(), "sha256")
    return random.Random(int.from_bytes(drawn, "big"))


def length(stimulus: Stimulus) -> float:
    """Seconds it takes at the most."""
    return (stimulus.hold if isinstance(stimulus, Force) else stimulus.patience) + _AFTERWARDS


async def carry_out(plant: Plant, stimulus: Stimulus, report: Report) -> None:
    """Do it and say so; a probe that reaches nothing is as good an answer as one that does."""
    if isinstance(stimulus, Force):
        await _hold(plant, stimulus, report)
    else:
        await _try(plant, stimulus, report)
    await asyncio.sleep(_AFTERWARDS)


async def _hold(plant: Plant, force: Force, report: Report) -> None:
    facts = {"id": force.id, "host": force.host, "point": force.point, "value": force.value}
    plant.force(force.host, force.point, force.value)
    report("ForceBegan", facts)
    try:
        await asyncio.sleep(force.hold)
    finally:
        plant.force(force.host, force.point, None)
        report("ForceEnded", facts)


async def _try(plant: Plant, probe: Probe, report: Report) -> None:
    facts = {"id": probe.id, "kind": probe.kind, "source": probe.source, "address": probe.address, "port": probe.port}
    report("ProbeBegan", facts)
    host = plant.network.hosts[probe.source]
    try:
        # The outer limit is for a bug of ours: every probe has patience of its own.
        async with asyncio.timeout(probe.patience + _GRACE):
            outcome = await host.spawn(_PROBES[probe.kind](plant, probe))
    except TimeoutError:
        outcome = "timeout"
    except OSError as error:
        outcome = errno.errorcode.get(error.errno or 0, type(error).__name__)
    report("ProbeEnded", {**facts, "outcome": outcome})


async def _ping(plant: Plant, probe: Probe) -> str:
    answered = await plant.network.hosts[probe.source].ping(probe.address, timeout=probe.patience)
    return "timeout" if answered is None else "answered"


async def _tcp(plant: Plant, probe: Probe) -> str:
    async with asyncio.timeout(probe.patience):
        _, writer = await asyncio.open_connection(probe.address, probe.port)
    writer.close()
    return "answered"


async def _udp(plant: Plant, probe: Probe) -> str:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _OneDatagram(answered), remote_addr=(probe.address, probe.port)
    )
    try:
        transport.sendto(b"iiotlab")
        async with asyncio.timeout(probe.patience):
            await answered
    finally:
        transport.close()
    return "answered"


class _OneDatagram(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[None]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self._answered.done():
            self._answered.set_result(None)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


async def _modbus_read(plant: Plant, probe: Probe) -> str:
    request = modbus.ReadHoldingRegisters(0, 1)
    return await converse(probe, request)


async def converse(probe: Probe, request: modbus.Request) -> str:
    """One Modbus request on a connection of its own: `answered`, `exception N`, or what broke."""
    decoder = modbus.ResponseDecoder()
    async with asyncio.timeout(probe.patience):
        reader, writer = await asyncio.open_connection(probe.address, probe.port)
        try:
            writer.write(modbus.Adu(1, probe.unit, request).encode())
            while data := await reader.read(4096):
                for response in decoder.feed(data):
                    answer = response.pdu
                    return f"exception {answer.code}" if isinstance(answer, modbus.ExceptionResponse) else "answered"
        except Malformed as error:
            return str(error)
        finally:
            writer.close()
    return "closed"


_PROBES: Final = {"ping": _ping, "tcp": _tcp, "udp": _udp, "modbus-read": _modbus_read}
