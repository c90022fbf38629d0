"""What the gateway asks for and what it makes of the answers: pure functions, tried on everything."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.modbus.config import Table, parse_reference
from gateway.modbus.plan import poll_plan
from gateway.modbus.registers import DataType, Value, decode, encode, orders_of
from gateway.samples import Scale
from gateway.timing import Backoff
from gateway.topics import matches
from lab.model.document import KnownValueError


@dataclass(frozen=True)
class Tag:
    where: tuple[Table, int]
    size: int


tags = st.lists(
    st.builds(
        Tag,
        st.tuples(st.sampled_from(["coil", "discrete", "input", "holding"]), st.integers(0, 400)),
        st.integers(1, 4),
    ),
    max_size=40,
)


@given(tags, st.integers(4, 125), st.integers(0, 20))
def test_every_tag_is_read_exactly_once_and_no_request_is_too_large(wanted: list[Tag], most: int, gap: int) -> None:
    blocks = poll_plan(wanted, most, gap)
    assert sorted((tag.where, tag.size) for block in blocks for tag in block.tags) == sorted(
        (tag.where, tag.size) for tag in wanted
    )
    for block in blocks:
        assert all(tag.where[0] == block.table for tag in block.tags)
        assert all(block.offset <= tag.where[1] <= block.offset + block.quantity - tag.size for tag in block.tags)
        assert block.quantity <= (2000 if block.table in ("coil", "discrete") else most)


@given(tags, st.integers(0, 20))
def test_addresses_nobody_asked_for_are_read_only_within_the_gap(wanted: list[Tag], gap: int) -> None:
    for block in poll_plan(wanted, 125, gap):
        asked = {tag.where[1] + i for tag in block.tags for i in range(tag.size)}
        idle = 0
        for address in range(block.offset, block.offset + block.quantity):
            idle = 0 if address in asked else idle + 1
            assert idle <= gap


def test_neighbours_become_one_request() -> None:
    wanted = [Tag(("input", offset), 2) for offset in (4, 0, 6, 2)]
    assert [(block.offset, block.quantity) for block in poll_plan(wanted, 125, 0)] == [(0, 8)]


NUMBERS: dict[DataType, st.SearchStrategy[Value]] = {
    "i16": st.integers(-(2**15), 2**15 - 1),
    "u16": st.integers(0, 2**16 - 1),
    "i32": st.integers(-(2**31), 2**31 - 1),
    "u32": st.integers(0, 2**32 - 1),
    "i64": st.integers(-(2**63), 2**63 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "f32": st.floats(width=32, allow_nan=False),
    "f64": st.floats(allow_nan=False),
}


@pytest.mark.parametrize("kind", NUMBERS)
@given(st.data())
def test_a_number_reads_back_in_every_order(kind: DataType, data: st.DataObject) -> None:
    value = data.draw(NUMBERS[kind])
    for order in orders_of(kind):
        assert decode(kind, order, encode(kind, order, value)) == value


def test_word_orders_are_what_manuals_call_them() -> None:
    # 1.0 is 3F80 0000
    assert encode("f32", "ABCD", 1.0) == [0x3F80, 0x0000]
    assert encode("f32", "CDAB", 1.0) == [0x0000, 0x3F80]
    assert encode("f32", "BADC", 1.0) == [0x803F, 0x0000]
    assert encode("f32", "DCBA", 1.0) == [0x0000, 0x803F]


@given(st.integers(0, 15), st.integers(0, 0xFFFF))
def test_a_bit_of_a_register_is_counted_from_the_least_significant(bit: int, register: int) -> None:
    assert decode("bool", "AB", [register], bit=bit) is bool(register & 1 << bit)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Z", "C"]), max_size=8))
def test_a_string_reads_back_without_its_padding(text: str) -> None:
    assert decode("string", "AB", encode("string", "AB", text, length=40)) == text


@pytest.mark.parametrize(
    ("written", "table", "offset"),
    [
        (40001, "holding", 0),
        (400001, "holding", 0),
        ("30009", "input", 8),
        ("00011", "coil", 10),
        (165536, "discrete", 65535),
    ],
)
def test_references_are_counted_from_one(written: int | str, table: str, offset: int) -> None:
    address = parse_reference(written)
    assert (address.table, address.offset) == (table, offset)


@pytest.mark.parametrize("written", [0, 40000, 50001, 465537, "4001", "x"])
def test_what_is_no_reference_is_refused(written: int | str) -> None:
    with pytest.raises(KnownValueError):
        parse_reference(written)


@given(st.integers(-32768, 32767), st.sampled_from([0.1, 0.01, 0.001, 0.5, 2.0]), st.sampled_from([0.0, -40.0, 0.5]))
def test_scaling_leaves_no_noise_of_binary_fractions(raw: int, scale: float, offset: float) -> None:
    value = Scale(scale, offset)(raw)
    assert isinstance(value, float)
    assert len(f"{value!r}".partition(".")[2]) <= 3
    assert value == pytest.approx(raw * scale + offset)


def test_234_tenths_are_23_4() -> None:
    assert Scale(0.1, 0.0)(234) == 23.4


@given(st.integers(0, 1000), st.floats(0.01, 5), st.floats(5, 60))
def test_pauses_grow_to_a_limit_with_jitter(seed: int, first: float, limit: float) -> None:
    backoff = Backoff(random.Random(seed), first, limit)
    pauses = [backoff.pause() for _ in range(20)]
    assert first / 2 <= pauses[0] <= first
    assert all(pause <= limit for pause in pauses)
    assert pauses[-1] >= limit / 2
    backoff.lasted(limit)
    assert backoff.pause() <= first


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("v1/#", "v1/a/b", True),
        ("v1/#", "v1", True),
        ("v1/+/b", "v1/a/b", True),
        ("v1/+", "v1/a/b", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a", "a", True),
    ],
)
def test_topic_filters_match_as_the_standard_says(pattern: str, topic: str, fits: bool) -> None:
    assert matches(pattern, topic) is fits
