"""What goes wrong on a serial line is heard there, and a repair takes it away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rs485_kit import LINE, Cabinet, daisy, run

from lab.wire.malformed import Malformed
from lab.wire.modbus import ExceptionCode
from lab.wire.modbus.rtu import decode_rtu
from scenarios.faults import CannotInject, Injector

NOBODY = ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND
DEVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "th-1": ("th485", {"unit": 11, "line": LINE}),
    "th-2": ("th485", {"unit": 12, "line": LINE, "termination": True}),
}
BUS = daisy("ser", "th-1", "th-2")


def flawed(cabinet: Cabinet) -> int:
    """Frames on the line that do not sum up."""
    count = 0
    for _, _, data in cabinet.serial:
        try:
            decode_rtu(data)
        except Malformed:
            count += 1
    return count


@pytest.mark.parametrize(
    ("name", "where", "silent"),
    [
        ("wire-broken", {"terminal": "th-2/A"}, [12]),
        ("wire-broken", {"terminal": "ser/A1"}, [11, 12]),
        ("ab-swapped", {"host": "th-1"}, [11]),
        ("wrong-baud", {"host": "th-2", "baud": 19200}, [12]),
        ("wrong-parity", {"host": "th-2", "parity": "none"}, [12]),
        ("duplicate-unit", {"host": "th-2", "unit": 11}, [11, 12]),
    ],
)
def test_who_is_cut_off_does_not_answer(name: str, where: dict[str, Any], silent: list[int]) -> None:
    async def story(cabinet: Cabinet) -> None:
        faults = Injector(cabinet.plant, lambda event, facts: None)
        assert [await cabinet.read(unit) == NOBODY for unit in (11, 12)] == [False, False]
        fault = await faults.inject(name, where)
        assert [await cabinet.read(unit) == NOBODY for unit in (11, 12)] == [unit in silent for unit in (11, 12)]
        await faults.repair(fault)
        assert [await cabinet.read(unit) == NOBODY for unit in (11, 12)] == [False, False]

    run(story, DEVICES, BUS)


def test_noise_spoils_frames_on_the_line() -> None:
    async def story(cabinet: Cabinet) -> None:
        faults = Injector(cabinet.plant, lambda event, facts: None)
        fault = await faults.inject("serial-noise", {"host": "th-1", "bit_errors": 0.01})
        answers = [await cabinet.read(11) for _ in range(20)]
        assert NOBODY in answers
        assert flawed(cabinet) > 0
        await faults.repair(fault)
        cabinet.serial.clear()
        assert NOBODY not in [await cabinet.read(11) for _ in range(20)]
        assert flawed(cabinet) == 0

    run(story, DEVICES, BUS)


def test_a_long_fast_line_without_its_resistors_is_unreliable() -> None:
    fast = {"baud": 115200, "parity": "even"}
    devices = {name: (kind, {**config, "line": fast}) for name, (kind, config) in DEVICES.items()}

    async def story(cabinet: Cabinet) -> None:
        conductors = cabinet.network.conductors
        for a, b in conductors.wires:
            cabinet.network.serial.set_length(a, b, 250.0)
        faults = Injector(cabinet.plant, lambda event, facts: None)
        both = [await faults.inject("terminator-missing", {"host": host}) for host in ("ser", "th-2")]
        assert NOBODY in [await cabinet.read(12) for _ in range(40)]
        for each in both:
            await faults.repair(each)
        assert NOBODY not in [await cabinet.read(12) for _ in range(40)]

    run(story, devices, BUS, {"1": {"line": fast, "termination": True}})


def test_places_without_serial_lines_are_named() -> None:
    async def story(cabinet: Cabinet) -> None:
        faults = Injector(cabinet.plant, lambda event, facts: None)
        for name, where in [
            ("ab-swapped", {"host": "eng"}),
            ("wrong-baud", {"host": "eng", "baud": 9600}),
            ("wrong-baud", {"host": "th-1", "baud": 9601}),
            ("wire-broken", {"terminal": "ser/A2"}),
            ("duplicate-unit", {"host": "ser", "unit": 3}),
        ]:
            with pytest.raises(CannotInject):
                await faults.inject(name, where)
        await asyncio.sleep(0)

    run(story, DEVICES, BUS)
