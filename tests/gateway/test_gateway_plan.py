"""The poll plan learns what a device refuses, and never forgets a tag."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from image_kit import Image, device_of, driver_of

from gateway.modbus.address import Table
from gateway.modbus.lessons import Lessons
from gateway.modbus.plan import Block, Gap, poll_plan
from gateway.samples import Quality

TABLES: tuple[Table, ...] = ("coil", "discrete", "input", "holding")


@dataclass(frozen=True)
class Tag:
    where: tuple[Table, int]
    size: int


tags = st.lists(
    st.builds(Tag, st.tuples(st.sampled_from(TABLES), st.integers(0, 60)), st.integers(1, 4)), min_size=1, max_size=20
)
gaps = st.builds(
    lambda table, first, size: Gap(table, first, first + size),
    st.sampled_from(TABLES),
    st.integers(0, 60),
    st.integers(0, 3),
)


def spans(block: Block[Tag]) -> set[int]:
    return set(range(block.offset, block.offset + block.quantity))


@given(tags, st.integers(4, 125), st.integers(0, 20), st.integers(1, 2000), st.sets(gaps, max_size=8))
def test_every_tag_is_read_once_within_the_limits_and_across_no_closed_gap(
    wanted: list[Tag], most: int, gap: int, most_bits: int, closed: set[Gap]
) -> None:
    most_bits = max(most_bits, 4)
    blocks = poll_plan(wanted, most, gap, most_bits, closed)
    key = lambda tag: (tag.where, tag.size)  # noqa: E731
    assert sorted((tag for block in blocks for tag in block.tags), key=key) == sorted(wanted, key=key)
    for block in blocks:
        assert block.quantity <= (most_bits if block.table in ("coil", "discrete") else most)
        assert block.wanted == len({tag.where[1] + i for tag in block.tags for i in range(tag.size)})
        alone = any(spans(block) == set(range(tag.where[1], tag.where[1] + tag.size)) for tag in block.tags)
        bridged = [gap for gap in closed if gap.table == block.table and gap.is_bridged(block.offset, block.end)]
        assert alone or not bridged


@given(tags, st.sets(st.integers(0, 66), max_size=6), st.integers(0, 20))
@settings(max_examples=200)
def test_what_a_device_refuses_costs_nobody_else_and_is_not_asked_twice(
    wanted: list[Tag], forbidden: set[int], gap: int
) -> None:
    """A device of holding registers, some of which do not exist."""
    wanted = [Tag(("holding", tag.where[1]), tag.size) for tag in wanted]
    there = {tag for tag in wanted if not forbidden & set(range(tag.where[1], tag.where[1] + tag.size))}
    lessons = Lessons(125, gap, 2000)
    read: set[Tag] = set()

    async def accepts(block: Block[Tag]) -> bool:
        if forbidden & spans(block):
            return False
        read.update(block.tags)
        return True

    async def cycle() -> int:
        read.clear()
        refused = 0
        for block in lessons.plan(wanted):
            if not await accepts(block):
                refused += 1
                await lessons.learn(block, accepts)
        return refused

    async def story() -> None:
        known = -1
        while known != lessons.count:
            known = lessons.count
            refused = await cycle()
            assert read == there, "in every cycle, while learning too"
            assert known <= 200, "it learns for ever"
        assert refused == len({(tag.where, tag.size) for tag in set(wanted) - there}), "only those that are not there"
        for block in lessons.plan(wanted):
            assert there.issuperset(block.tags) or len({(tag.where, tag.size) for tag in block.tags}) == 1

    asyncio.run(story())


def test_a_gap_that_is_refused_is_split_and_the_innocent_ones_stay_bridged() -> None:
    config = device_of(
        [{"table": "holding", "address": address, "type": "u16"} for address in (0, 2, 4, 6)],
        {"connection": {"max_gap": 1}},
    )
    image = Image({"holding": {0: [1, 0, 2, 0, 3, 0, 4]}})
    image.forbidden = {("holding", 3)}

    async def story() -> Any:
        driver = await driver_of(config, image)
        reader = driver.reader(config.groups[0])
        first = await reader.read()
        image.reads.clear()
        second = await reader.read()
        return first, second, driver.status()

    first, second, status = asyncio.run(story())
    assert [sample.value for sample in first.values()] == [1, 2, 3, 4], "nothing is lost while learning"
    assert [sample.value for sample in second.values()] == [1, 2, 3, 4]
    assert image.reads == [(3, 0, 3), (3, 4, 3)]
    assert status["learned"] == {1: {"gaps": ["holding 3–3"], "refused": []}}


def test_a_tag_that_is_not_there_ends_alone() -> None:
    config = device_of([{"table": "holding", "address": address, "type": "u16"} for address in range(8)])
    image = Image({"holding": {0: list(range(8))}})
    image.forbidden = {("holding", 5)}

    async def story() -> Any:
        driver = await driver_of(config, image)
        reader = driver.reader(config.groups[0])
        await reader.read()
        image.reads.clear()
        return await reader.read(), driver.status()

    samples, status = asyncio.run(story())
    assert [sample.value for sample in samples.values()] == [0, 1, 2, 3, 4, None, 6, 7]
    assert "exception 2" in str(samples["t5"].reason)
    assert sorted(image.reads) == [(3, 0, 5), (3, 5, 1), (3, 6, 2)]
    assert status["learned"][1]["refused"] == ["holding 5"]


def test_a_device_that_takes_less_than_it_should_is_asked_for_less() -> None:
    config = device_of([{"table": "holding", "address": address, "type": "u16"} for address in range(64)])
    image = Image({"holding": {0: list(range(64))}})
    image.most = 16

    async def story() -> Any:
        driver = await driver_of(config, image)
        reader = driver.reader(config.groups[0])
        for _ in range(8):
            assert [sample.value for sample in (await reader.read()).values()] == list(range(64))
        image.reads.clear()
        await reader.read()

    asyncio.run(story())
    assert image.reads == [(3, offset, 16) for offset in (0, 16, 32, 48)]


def test_silence_teaches_nothing() -> None:
    config = device_of(
        [{"table": "holding", "address": address, "type": "u16"} for address in (0, 2)],
        {"connection": {"max_gap": 1, "timeout_ms": 10}},
    )

    class Fading(Image):
        async def read(self, *arguments: Any) -> Any:
            if len(self.reads) == 1:  # refused once, and then silent
                self.dead = {1}
            return await super().read(*arguments)

    fading = Fading({})
    fading.forbidden = {("holding", 1)}

    async def story() -> Any:
        driver = await driver_of(config, fading)
        samples = await driver.reader(config.groups[0]).read()
        return samples, driver.lessons(1)

    samples, lessons = asyncio.run(story())
    assert {sample.quality for sample in samples.values()} == {Quality.BAD}
    assert lessons.count == 0
