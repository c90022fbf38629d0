"""What a bad sensor shows is what clients read."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import pytest
from fault_kit import Broken, run

from scenarios.faults import CannotInject

POINT = {"host": "boiler", "point": "drum_level"}


async def readings(site: Broken, seconds: int = 60) -> list[int]:
    """The drum level in millimetres as a client reads it, once a second."""
    with site.host("ws-1").current():
        reader, writer = await asyncio.open_connection("10.1.10.11", 502)
    seen = []
    for _ in range(seconds):
        writer.write(b"\0\1\0\0\0\6\1\4\0\1\0\1")
        answer = await reader.readexactly(11)
        seen.append(int.from_bytes(answer[9:11], "big", signed=True))
        await asyncio.sleep(1)
    writer.transport.abort()
    return seen


async def with_and_without(site: Broken, name: str, **where: Any) -> tuple[list[int], list[int]]:
    fault = await site.faults.inject(name, {**POINT, **where})
    await asyncio.sleep(1)
    bad = await readings(site)
    await site.faults.repair(fault)
    await asyncio.sleep(1)
    return bad, await readings(site)


def test_a_stuck_sensor_shows_one_value_for_ever() -> None:
    async def story(site: Broken) -> None:
        bad, good = await with_and_without(site, "sensor-stuck")
        assert len(set(bad)) == 1
        assert len(set(good)) > 1

    run(story)


def test_a_drifting_sensor_moves_away_and_an_offset_one_has_moved() -> None:
    async def story(site: Broken) -> None:
        bad, good = await with_and_without(site, "sensor-drift", per_hour=6000.0)
        assert bad[-1] - bad[0] > 60
        assert abs(good[-1] - good[0]) < 60
        bad, good = await with_and_without(site, "sensor-offset", by=500.0)
        assert min(bad) - max(good) > 300

    run(story)


def test_a_noisy_sensor_jumps() -> None:
    async def story(site: Broken) -> None:
        bad, good = await with_and_without(site, "sensor-noise", deviation=50.0)
        assert statistics.stdev(bad) > 20
        assert statistics.stdev(good) < 20

    run(story)


def test_a_spike_comes_and_goes() -> None:
    async def story(site: Broken) -> None:
        bad, good = await with_and_without(site, "sensor-spike", to=3000.0, every=10.0)
        assert 2 <= bad.count(3000) <= 8
        assert 3000 not in good

    run(story)


def test_a_point_that_is_not_measured_is_named() -> None:
    async def story(site: Broken) -> None:
        for where in ({"host": "boiler", "point": "colour"}, {"host": "ws-1", "point": "drum_level"}):
            with pytest.raises(CannotInject, match="measures no"):
                await site.faults.inject("sensor-stuck", where)

    run(story)
