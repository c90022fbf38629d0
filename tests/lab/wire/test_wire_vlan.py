"""802.1Q tags go in and come out again, and tshark reads what we put in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_kit import dissect

from lab.wire import ethernet, vlan
from lab.wire.ethernet import Ethernet, Tag
from lab.wire.malformed import Malformed

PLAIN = Ethernet(b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", 0x88B5, bytes(46)).encode()
tags = st.builds(Tag, st.integers(0, 4095), st.integers(0, 7), st.booleans())


@given(tags)
def test_a_tag_goes_in_and_comes_out_again(tag: Tag) -> None:
    tagged = vlan.insert(PLAIN, vlan.encode(tag))
    assert vlan.decode(tagged) == tag
    assert ethernet.decode(tagged).tags == (tag,)
    assert vlan.strip(tagged) == PLAIN


@given(tags, tags)
def test_a_second_tag_stands_before_the_first(outer: Tag, inner: Tag) -> None:
    twice = vlan.insert(vlan.insert(PLAIN, vlan.encode(inner)), vlan.encode(outer))
    assert ethernet.decode(twice).tags == (outer, inner)
    assert vlan.decode(vlan.strip(twice)) == inner


def test_a_frame_without_a_tag_has_none_and_a_cut_one_is_malformed() -> None:
    assert vlan.decode(PLAIN) is None
    with pytest.raises(Malformed):
        vlan.decode(PLAIN[:12] + b"\x81\0\0")


@given(st.binary(max_size=40))
def test_arbitrary_bytes_have_a_tag_or_none_or_are_malformed(data: bytes) -> None:
    try:
        vlan.decode(data)
    except Malformed:
        pass


@pytest.mark.foreign
def test_tshark_reads_our_tags(tshark: str, tmp_path: Path) -> None:
    written = [Tag(1), Tag(10, 5), Tag(4094, 7, True), Tag(0, 6)]
    frames = [vlan.insert(PLAIN, vlan.encode(tag)) for tag in written]
    read = dissect(tshark, tmp_path, frames, "vlan.id", "vlan.priority", "vlan.dei")
    assert read == [[str(tag.vid), str(tag.priority), str(int(tag.drop_eligible))] for tag in written]
