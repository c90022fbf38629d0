"""LLDP data units survive the wire, nonsense is Malformed, and tshark reads who we are."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_kit import dissect

from lab.model.address import format_mac
from lab.wire import lldp
from lab.wire.lldp import Capability, ChassisId, Lldp, PortId
from lab.wire.malformed import Malformed

MAC = bytes.fromhex("021a00000001")
HERE = Lldp(
    ChassisId.MAC, MAC, PortId.INTERFACE_NAME, b"p3", 120, "port 3", "sw-1", "a switch", Capability.BRIDGE,
    Capability.BRIDGE, IPv4Address("10.20.60.2"), 1001, 10,
)  # fmt: skip
_TEXT = st.text(max_size=60)
_CAPABILITIES = st.integers(1, 0xFF).map(Capability)


@given(
    st.builds(
        Lldp, st.sampled_from(ChassisId), st.binary(min_size=1, max_size=255), st.sampled_from(PortId),
        st.binary(min_size=1, max_size=255), st.integers(0, 0xFFFF), _TEXT, _TEXT, _TEXT, _CAPABILITIES, _CAPABILITIES,
        st.none() | st.integers(0, 2**32 - 1).map(IPv4Address), st.just(7), st.none() | st.integers(0, 4094),
    )
)  # fmt: skip
def test_an_announcement_survives_the_wire(message: Lldp) -> None:
    read = lldp.decode(message.encode(MAC))
    assert read == message if message.management_address is not None else read.management_interface == 0
    assert len(message.encode(MAC)) >= 60


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_an_announcement_or_malformed(data: bytes) -> None:
    frame = HERE.encode(MAC)
    for attempt in (data, frame[:14] + data, frame[:32] + data, frame[: len(data)]):
        try:
            str(lldp.decode(attempt).port_name)
        except Malformed:
            pass


def test_units_of_other_organisations_are_passed_over() -> None:
    frame = HERE.encode(MAC)
    extra = bytes.fromhex("fe05 00120f 01 00") + bytes.fromhex("fe02 0001")
    assert lldp.decode(frame[:32] + extra + frame[32:]) == HERE


@pytest.mark.parametrize(
    "units",
    ["0602 0078 0000", "0207 04 021a00000001 0403 05 7033 0000", "0207 04 021a", "0200 0400 0602 0078 0000"],
    ids=["no chassis", "no time to live", "cut off", "empty identifiers"],
)
def test_what_lacks_a_mandatory_unit_is_malformed(units: str) -> None:
    with pytest.raises(Malformed):
        lldp.decode(lldp.GROUP + MAC + b"\x88\xcc" + bytes.fromhex(units))


def test_a_mandatory_unit_that_comes_twice_is_malformed() -> None:
    frame = HERE.encode(MAC)
    with pytest.raises(Malformed):
        lldp.decode(frame[:32] + bytes.fromhex("0602 0078") + frame[32:])


def test_identifiers_are_shown_as_people_write_them() -> None:
    assert (HERE.chassis_name, HERE.port_name) == ("02:1a:00:00:00:01", "p3")


@pytest.mark.foreign
def test_tshark_reads_who_we_are(tshark: str, tmp_path: Path) -> None:
    names = (
        "chassis.id.mac port.id time_to_live port.desc tlv.system.name tlv.system.desc mgn.addr.ip4 "
        "mgn.interface.number ieee.802_1.port_vlan.id tlv.enable_system_cap"
    )
    (row,) = dissect(tshark, tmp_path, [HERE.encode(MAC)], *(f"lldp.{name}" for name in names.split()))
    shown = [format_mac(MAC), "p3", "120", "port 3", "sw-1", "a switch", "10.20.60.2", "1001"]
    assert row[:8] == shown
    assert [int(each, 0) for each in row[8:]] == [10, 4]
