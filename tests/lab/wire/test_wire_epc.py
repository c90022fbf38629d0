"""EPCs on tags: the standard's own vectors, every partition both ways, and what no tag may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire import epc
from lab.wire.epc import Epc, Grai, Sgtin, Sscc
from lab.wire.gs1 import check_digit
from lab.wire.malformed import Malformed

VECTORS = [
    ("3074257BF7194E4000001A85", "urn:epc:tag:sgtin-96:3.0614141.812345.6789", "80614141123458"),
    ("3034257BF7194E4000003039", "urn:epc:tag:sgtin-96:1.0614141.812345.12345", "80614141123458"),
    ("3035A537C8377540000003E9", "urn:epc:tag:sgtin-96:1.6901234.056789.1001", "06901234567892"),
    # TDS 1.13, appendix E.3
    ("3174257BF4499602D2000000", "urn:epc:tag:sscc-96:3.0614141.1234567890", "106141412345678908"),
    ("3374257BF40C0E400000162E", "urn:epc:tag:grai-96:3.0614141.12345.5678", "006141411234525678"),
]


@st.composite
def epcs(draw: st.DrawFn) -> Epc:
    scheme = draw(st.sampled_from(epc.SCHEMES))
    digits = draw(st.integers(6, 12))
    company = "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=digits, max_size=digits)))
    size = scheme.shared_digits - digits
    reference = "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=size, max_size=size)))
    serial = draw(st.integers(0, (1 << scheme.serial_bits) - 1))
    return scheme(company, reference, serial, draw(st.integers(0, 7)))


@pytest.mark.parametrize(("tag", "uri", "key"), VECTORS)
def test_the_standards_own_examples_hold_both_ways(tag: str, uri: str, key: str) -> None:
    code = epc.decode(bytes.fromhex(tag))
    assert (code.tag_uri, code.key) == (uri, key)
    assert epc.parse_uri(uri).encode().hex().upper() == tag


@given(epcs())
def test_every_partition_survives_the_tag_and_the_uri(code: Epc) -> None:
    assert epc.decode(code.encode()) == code
    assert epc.parse_uri(code.tag_uri) == code
    assert epc.parse_uri(code.uri).uri == code.uri


@given(epcs())
def test_a_key_ends_with_its_check_digit(code: Epc) -> None:
    key = code.key[:14] if isinstance(code, Grai) else code.key
    assert check_digit(key[:-1]) == key[-1]


@given(epcs())
def test_a_trade_item_is_found_by_its_gtin(code: Epc) -> None:
    if isinstance(code, Sgtin):
        assert Sgtin.of_gtin(code.key, len(code.company), code.serial, code.filter) == code


@given(st.binary(min_size=12, max_size=12))
def test_whatever_decodes_is_what_the_tag_holds(data: bytes) -> None:
    try:
        code = epc.decode(data)
    except Malformed:
        return
    assert code.encode() == data


@given(st.binary(max_size=20))
def test_garbage_is_malformed_and_nothing_else(data: bytes) -> None:
    try:
        epc.decode(data)
    except Malformed:
        pass


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("3074257BF7194E4000001A", "88 bits"),
        ("E2801160600002054E1A0B3C", "0xE2"),
        ("307C257BF7194E4000001A85", "partition 7"),
        ("3174257BF4499602D2000001", "last 24 bits"),
        # A prefix of six digits whose field says 1,048,575
        ("307BFFFFC7194E4000001A85", "more digits"),
    ],
)
def test_what_no_tag_may_hold_is_refused_with_the_reason(tag: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        epc.decode(bytes.fromhex(tag))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sgtin("06141", "8123456"),
        lambda: Sgtin("0614141", "81234"),
        lambda: Sgtin("0614141", "812345", 1 << 38),
        lambda: Sgtin("0614141", "812345", 1, 8),
        lambda: Sscc("0614141", "1234567890", 1),
        lambda: Sgtin("٠614141", "812345"),
        lambda: Sgtin.of_gtin("06901234567893", 7, 1),
        lambda: Sgtin.of_gtin("123", 7, 1),
        lambda: epc.parse_uri("urn:epc:tag:sgtin-96:1.0614141.812345.007"),
        lambda: epc.parse_uri("urn:epc:tag:sgln-96:1.0614141.81234.7"),
        lambda: epc.parse_uri("urn:epc:id:sscc:0614141.1234567890.1"),
    ],
)
def test_what_fits_no_tag_is_refused(make: object) -> None:
    with pytest.raises(Malformed):
        make()  # type: ignore[operator]
