"""BPDUs survive the wire, nonsense is Malformed, and tshark agrees on every field."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_kit import dissect

from lab.model.address import format_mac
from lab.wire import bpdu
from lab.wire.bpdu import Bpdu, BridgeId, Flag, PortRole
from lab.wire.malformed import Malformed

MAC = bytes.fromhex("021a00000001")
_TIMES = st.integers(0, 255 * 256).map(lambda each: each / 256)
_BRIDGES = st.builds(BridgeId, st.integers(0, 15).map(lambda each: each * 4096), st.binary(min_size=6, max_size=6))
_RST_FLAGS = st.integers(0, 255).map(lambda each: Flag(each & 0xF3))
_RST = st.builds(
    Bpdu, _BRIDGES, st.integers(0, 2**32 - 1), _BRIDGES, st.integers(0, 0xFFFF), st.sampled_from(PortRole), _RST_FLAGS,
    _TIMES, _TIMES, _TIMES, _TIMES,
)  # fmt: skip
_CONFIG = st.builds(
    Bpdu, _BRIDGES, st.integers(0, 2**32 - 1), _BRIDGES, st.integers(0, 0xFFFF), st.just(PortRole.DESIGNATED),
    st.sampled_from([Flag(0), Flag.TOPOLOGY_CHANGE, Flag.TOPOLOGY_CHANGE_ACK]), _TIMES, _TIMES, _TIMES, _TIMES,
    st.just(False),
)  # fmt: skip


@given(_RST | _CONFIG)
def test_a_bpdu_survives_the_wire(message: Bpdu) -> None:
    frame = message.encode(MAC)
    assert len(frame) == 60
    assert bpdu.decode(frame) == message


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_a_bpdu_or_malformed(data: bytes) -> None:
    head = Bpdu(BridgeId(0, MAC), 0, BridgeId(0, MAC), 0).encode(MAC)
    for attempt in (data, head[:17] + data, head[:21] + data):
        try:
            bpdu.decode(attempt)
        except Malformed:
            pass


def test_a_topology_change_notification_of_plain_stp_says_nothing_of_bridges() -> None:
    frame = bpdu.GROUP + MAC + (7).to_bytes(2, "big") + bytes.fromhex("424203 0000 00 80") + bytes(39)
    assert bpdu.decode(frame) is None


@pytest.mark.parametrize(
    "body",
    ["0001 02 02", "0000 02 00", "0000 00 02", "0000 02 03", "0000 02 02 3c", ""],
    ids=["other protocol", "RST version, config type", "config version, RST type", "unknown type", "cut off", "empty"],
)
def test_what_is_no_bpdu_is_malformed(body: str) -> None:
    with pytest.raises(Malformed):
        bpdu.decode(bpdu.GROUP + MAC + b"\0\x07\x42\x42\x03" + bytes.fromhex(body))


@pytest.mark.foreign
def test_tshark_agrees_on_every_field(tshark: str, tmp_path: Path) -> None:
    root, here = BridgeId(4096, MAC), BridgeId(32768, MAC[::-1])
    messages = [
        Bpdu(root, 20_000, here, 0x8001, role, flags, 1, 20, 2, 15)
        for role, flags in [
            (PortRole.DESIGNATED, Flag.PROPOSAL),
            (PortRole.ROOT, Flag.AGREEMENT | Flag.FORWARDING | Flag.LEARNING),
            (PortRole.ALTERNATE_OR_BACKUP, Flag.TOPOLOGY_CHANGE),
        ]
    ]
    messages.append(Bpdu(root, 4, here, 0x8002, flags=Flag.TOPOLOGY_CHANGE, is_rapid=False))
    names = "version type flags root.prio root.hw root.cost bridge.prio bridge.hw port msg_age max_age hello forward"
    frames = [each.encode(MAC) for each in messages]
    for message, row in zip(
        messages, dissect(tshark, tmp_path, frames, *(f"stp.{name}" for name in names.split())), strict=True
    ):
        flags = int(message.flags) | (message.role << 2 if message.is_rapid else 0)
        assert [int(each, 0) for each in row[:3]] == [2 * message.is_rapid, 2 * message.is_rapid, flags]
        assert row[3:8] == ["4096", format_mac(MAC), str(message.cost), "32768", format_mac(MAC[::-1])]
        assert int(row[8], 0) == message.port
        assert [float(each) for each in row[9:]] == [message.message_age, 20, 2, 15]
