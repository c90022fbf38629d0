"""A cabinet with RS-485 devices behind a serial server, and an engineer's computer on the network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from lab.model.frame import Tap
from lab.model.plant import Wiring
from lab.network.loop import PlantLoop
from lab.wire import modbus
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

T = TypeVar("T")
SERVER = "10.0.0.5"
LINE = {"baud": 9600, "parity": "even"}


def daisy(*names: str) -> list[list[str]]:
    """A on A, B on B, from one to the next; the serial server's port 1 is called `ser`."""

    def terminal(name: str, letter: str) -> str:
        return f"ser/{letter}1" if name == "ser" else f"{name}/{letter}"

    pairs = pairwise(names)
    return [[terminal(a, letter), terminal(b, letter)] for a, b in pairs for letter in ("A", "B", "GND")]


class Cabinet:
    def __init__(self, plant: Plant) -> None:
        self.plant, self.network = plant, plant.network
        self.serial: list[tuple[Tap, int, bytes]] = []
        self.network.serial_taps.append(lambda tap, at, data: self.serial.append((tap, at, data)))

    async def ask(
        self, unit: int, request: modbus.Request, *, patience: float = 5.0, port: int = 502
    ) -> modbus.Response | None:
        """One Modbus TCP request from the engineer's computer; None where no answer came in time."""

        async def there() -> modbus.Response | None:
            decoder = modbus.ResponseDecoder()
            reader, writer = await asyncio.open_connection(SERVER, port)
            try:
                async with asyncio.timeout(patience):
                    writer.write(modbus.Adu(1, unit, request).encode())
                    while data := await reader.read(1000):
                        for adu in decoder.feed(data):
                            return adu.pdu
            except TimeoutError:
                pass
            finally:
                writer.transport.abort()
            return None

        answer: modbus.Response | None = await self.network.hosts["eng"].spawn(there())
        return answer

    async def read(self, unit: int, address: int = 0, quantity: int = 2, *, table: str = "input") -> Any:
        """Registers, an exception code, or None."""
        kind = modbus.ReadInputRegisters if table == "input" else modbus.ReadHoldingRegisters
        answer = await self.ask(unit, kind(address, quantity))
        if isinstance(answer, modbus.ExceptionResponse):
            return answer.code
        return getattr(answer, "values", None)


def run(
    story: Callable[[Cabinet], Awaitable[T]],
    devices: dict[str, tuple[str, dict[str, Any]]],
    wires: Sequence[Sequence[str]],
    serial: dict[str, Any] | None = None,
) -> T:
    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        kinds = {
            "ser": "sersrv",
            "eng": "workstation",
            "sw": "switch-5",
            **{n: kind for n, (kind, _) in devices.items()},
        }
        plant = Plant(loop, kinds, 1, lambda at, host, point, value: None)
        given: dict[str, dict[str, Any]] = {
            "ser": {
                "interfaces": {"eth0": {"address": f"{SERVER}/24"}},
                "serial": serial or {"1": {"line": LINE, "termination": True}},
            },
            "eng": {"interfaces": {"eth0": {"address": "10.0.0.9/24"}}},
            **{name: config for name, (_, config) in devices.items()},
        }
        hosts = {name: APPLIANCES[kinds[name]].Config.model_validate(config) for name, config in given.items()}
        wiring = Wiring.model_validate({"cables": [["ser/eth0", "sw/p1"], ["eng/eth0", "sw/p2"]], "wires": wires})
        try:
            await plant.boot(PlantConfig(wiring, hosts))
            return await story(Cabinet(plant))
        finally:
            await plant.stop()

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())
