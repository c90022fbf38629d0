"""pcapng files: what we write others read, what others write we read, and anything else is refused in clear words."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model.frame import Frame, Port, Tap
from lab.wire.malformed import Malformed
from lab.wire.pcapng import Decoder, Interface, Item, Statistics, Truncated, Writer, read

GOLDEN = Path(__file__).parents[2] / "golden" / "pcapng"
PLC = Tap(Port("plc", "eth0"), Port("sw-1", "p2"))
SWITCH = Tap(Port("sw-1", "p2"), Port("plc", "eth0"))
SERIAL = Tap(Port("rs485", "bus1"), Port("meter", "a"))
AT = 1_767_225_600_123_456_789


def decode(data: bytes, step: int = 0) -> list[Item]:
    decoder = Decoder()
    step = step or len(data) or 1
    items = [item for at in range(0, len(data), step) for item in decoder.feed(data[at : at + step])]
    decoder.finish()
    return items


def frames(data: bytes) -> list[Frame]:
    return [item for item in decode(data) if isinstance(item, Frame)]


def small_file() -> bytes:
    writer = Writer()
    return writer.section() + writer.frame(PLC, AT, b"a" * 61) + writer.frame(SWITCH, AT + 1, b"b" * 64)


def block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str, version: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, version, 0, -1))


def interface(order: str, options: bytes = b"", link_type: int = 1, snap_length: int = 0) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, snap_length) + options)


def packet(order: str, index: int, ticks: int, data: bytes) -> bytes:
    head = struct.pack(order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(order, 6, head + data + bytes(-len(data) % 4))


both_orders = pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])

# -- what we write -----------------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=8)
ports = st.builds(Port, names, names)
taps = st.builds(Tap, ports, ports)
seen = st.tuples(
    taps,
    st.integers(0, 2**63 - 1),
    st.binary(max_size=90),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)


@given(st.lists(seen, max_size=12), st.integers(1, 200))
def test_what_was_written_is_read_however_the_file_is_cut(wanted: list[tuple[Tap, int, bytes, str]], step: int) -> None:
    writer = Writer()
    data = writer.section(hardware="x86", os="任何", comment="c")
    data += b"".join(writer.frame(*each) for each in wanted)
    items = decode(data, step)
    expected = [Frame(number, at, tap, sent) for number, (tap, at, sent, _) in enumerate(wanted, 1)]
    assert [item for item in items if isinstance(item, Frame)] == expected
    announced = [item.tap for item in items if isinstance(item, Interface)]
    assert announced == list(dict.fromkeys(tap for tap, *_ in wanted)), "one interface per tap, before its first frame"


def test_lost_frames_are_told_in_the_file() -> None:
    writer = Writer()
    data = writer.section() + writer.frame(PLC, AT, bytes(60)) + writer.statistics(PLC, AT + 5, 30, 29)
    assert decode(data)[-1] == Statistics(PLC, AT + 5, received=30, dropped=29)


def test_a_serial_bus_has_its_own_link_type_and_its_frames_count() -> None:
    writer = Writer()
    data = writer.section() + writer.interface(SERIAL, 252) + writer.frame(SERIAL, AT, b"\x01\x03")
    data += writer.frame(PLC, AT, bytes(60))
    assert [(frame.number, frame.tap) for frame in read(io.BytesIO(data))] == [(2, PLC)]
    assert [(frame.number, frame.tap) for frame in read(io.BytesIO(data), link_type=252)] == [(1, SERIAL)]


@pytest.mark.foreign
def test_tshark_reads_names_times_comments_and_sizes(tshark: str, tmp_path: Path) -> None:
    writer, path = Writer(), tmp_path / "ours.pcapng"
    data = writer.section(hardware="台式机", os="plant", comment="run 7") + writer.frame(PLC, AT, bytes(61), "看这里")
    path.write_bytes(data + writer.frame(SWITCH, AT + 1, bytes(64)) + writer.statistics(SWITCH, AT + 2, 9, 8))
    fields = ("frame.number", "frame.time_epoch", "frame.interface_name", "frame.interface_description", "frame.len")
    options = [word for field in (*fields, "frame.comment") for word in ("-e", field)]
    command = [tshark, "-r", str(path), "-T", "fields", "-E", "separator=|", *options]
    seen = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", timeout=30).stdout
    assert seen.splitlines() == [
        "1|1767225600.123456789|plc/eth0|from sw-1/p2|61|看这里",
        "2|1767225600.123456790|sw-1/p2|from plc/eth0|64|",
    ]


# -- what others write -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["foreign", "merged"])
def test_files_of_dumpcap_and_mergecap_read_as_tshark_reads_them(name: str) -> None:
    data = (GOLDEN / f"{name}.pcapng").read_bytes()
    kinds = {item.tap: item.link_type for item in decode(data) if isinstance(item, Interface)}
    told = [
        (
            str(frame.number),
            f"{frame.at // 10**9}.{frame.at % 10**9:09d}",
            frame.tap.seen_at.name.replace("any", "unknown") if kinds[frame.tap] == 1 else frame.tap.seen_at.name,
            str(len(frame.data)),
            "1" if kinds[frame.tap] == 1 else "25",
        )
        for frame in frames(data)
    ]
    assert told == [tuple(row.values()) for row in json.loads((GOLDEN / f"{name}.json").read_text())]


def test_a_foreign_interface_is_a_device_of_its_own() -> None:
    taps = [item.tap for item in decode((GOLDEN / "merged.pcapng").read_bytes()) if isinstance(item, Interface)]
    assert [str(tap.seen_at) for tap in taps] == ["if0/lo", "if1/any", "if2/any"]
    assert all(tap.seen_at == tap.sent_from for tap in taps)


def test_reading_ethernet_leaves_out_what_is_none() -> None:
    with (GOLDEN / "merged.pcapng").open("rb") as file:
        assert {frame.tap.seen_at.host for frame in read(file)} == {"if0", "if2"}


@both_orders
@pytest.mark.parametrize(
    ("resolution", "ticks", "ns"),
    [
        (b"", 1_700_000_000_000_001, 1_700_000_000_000_001_000),
        (b"\x00", 1_700_000_000, 1_700_000_000_000_000_000),
        (b"\x03", 1_700_000_000_001, 1_700_000_000_001_000_000),
        (b"\x09", 1_700_000_000_000_000_001, 1_700_000_000_000_000_001),
        (b"\x0c", 1_999, 1),
        (b"\x80", 3, 3_000_000_000),
        (b"\x8a", 1_536, 1_500_000_000),
    ],
    ids=["by default µs", "s", "ms", "ns", "ps", "2^0 s", "2^-10 s"],
)
def test_clocks_tick_as_the_interface_says(order: str, resolution: bytes, ticks: int, ns: int) -> None:
    options = option(order, 9, resolution) if resolution else b""
    data = section(order) + interface(order, options) + packet(order, 0, ticks, b"xyz")
    assert [(frame.at, frame.data) for frame in frames(data)] == [(ns, b"xyz")]


@both_orders
def test_a_clock_may_be_set_off_by_seconds(order: str) -> None:
    options = option(order, 9, b"\x09") + option(order, 14, struct.pack(order + "q", -3600))
    data = section(order) + interface(order, options) + packet(order, 0, 3600 * 10**9 + 7, b"")
    assert frames(data)[0].at == 7


def test_sections_of_either_byte_order_follow_one_another() -> None:
    data = b""
    for order in "<><":
        data += section(order) + interface(order, option(order, 2, b"eth/1")) + packet(order, 0, 1, order.encode())
    assert [(f.number, str(f.tap.seen_at), f.data) for f in frames(data)] == [
        (1, "if0/eth-1", b"<"),
        (2, "if1/eth-1", b">"),
        (3, "if2/eth-1", b"<"),
    ]


@both_orders
def test_simple_and_old_packets_count_and_unknown_blocks_do_not(order: str) -> None:
    old = struct.pack(order + "HHIIII", 1, 0, 0, 5, 3, 3) + b"old\0"
    data = (
        section(order)
        + interface(order, snap_length=6)
        + block(order, 0x0BAD, bytes(8))
        + block(order, 3, struct.pack(order + "I", 9) + b"simple\0\0")
        + interface(order)
        + block(order, 2, old)
        + packet(order, 1, 6, b"new")
    )
    assert [(f.number, f.at, f.data) for f in frames(data)] == [(1, 0, b"simple"), (2, 5000, b"old"), (3, 6000, b"new")]


# -- what is no capture, or not all of one -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "a PNG picture"),
        ((GOLDEN / "classic.pcap").read_bytes(), r"a classic pcap file \(ns\); `editcap -F pcapng OLD NEW`"),
        (bytes.fromhex("a1b2c3d4 0002 0004") + bytes(16), "a classic pcap file;"),
        (b"PK\x03\x04" + bytes(30), "a zip file"),
        (b"hi", "it begins with 68 69, not with 0a 0d 0d 0a"),
        (section("<", version=2), "version 2.0"),
        (b"\n\r\r\n" + bytes(30), "the section header at byte 0 has no byte-order magic"),
        (section("<") + block("<", 1, b"")[:-1] + b"\1", "at byte 28 has two different lengths"),
        (section("<") + struct.pack("<III", 9, 13, 0), "at byte 28 claims to have 13 bytes"),
        (section("<") + struct.pack("<III", 9, 1 << 30, 0), "at byte 28 claims to have 1073741824 bytes"),
        (section("<") + block("<", 1, b""), "at byte 28 is too short for its type 0x1"),
        (section("<") + interface("<", b"\2\0\xff\0"), "an option of the block at byte 28"),
        (section("<") + interface("<") + packet("<", 3, 0, b""), "byte 48 is of interface 3, 1 are described before"),
        (
            section("<") + interface("<") + block("<", 6, struct.pack("<5I", 0, 0, 0, 5, 5) + b"four"),
            "claims more captured",
        ),
        (section("<") + interface("<") + block("<", 2, struct.pack("<HH4I", 0, 0, 0, 0, 9, 9)), "claims more captured"),
        (section("<") + block("<", 3, struct.pack("<I", 0)), "is of interface 0, 0 are described before it"),
        (section("<") + block("<", 5, struct.pack("<3I", 0, 0, 0)), "is of interface 0, 0 are described before it"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        list(read(io.BytesIO(data)))


def test_a_file_cut_off_anywhere_gives_what_was_whole() -> None:
    data = small_file()
    whole = decode(data)
    ends, at = [], 0
    while at < len(data):
        at += struct.unpack_from("<I", data, at + 4)[0]
        ends.append(at)
    assert len(ends) == 5
    for size in range(4, len(data)):
        decoder = Decoder()
        items = list(decoder.feed(data[:size]))
        assert items == whole[: len(items)]
        if size in ends:
            decoder.finish()
        else:
            with pytest.raises(Truncated, match=f"block at byte {max((e for e in ends if e < size), default=0)} only"):
                decoder.finish()


def test_frames_before_the_broken_block_are_given_and_nothing_after() -> None:
    decoder = Decoder()
    items = decoder.feed(small_file() + struct.pack("<III", 6, 7, 0))
    assert sum(isinstance(next(items), Frame) for _ in range(4)) == 2
    with pytest.raises(Malformed):
        next(items)
    for _ in range(2):
        with pytest.raises(Malformed):
            decoder.feed(small_file())


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 50))
def test_any_bytes_at_all_are_read_or_refused(noise: bytes, at: int, step: int) -> None:
    good = small_file()
    for data in (noise, good[:at] + noise + good[at + len(noise) :]):
        try:
            decode(data, step)
        except Malformed:
            pass
