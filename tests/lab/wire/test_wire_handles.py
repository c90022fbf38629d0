"""Handles and their values, as JSON says them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire.handles import (
    Code,
    Handle,
    HandleValue,
    Permission,
    Reference,
    ancestors,
    decode_value,
    http_status,
    permissions_of,
    servers_of,
)
from lab.wire.malformed import Malformed

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
references = st.fixed_dictionaries({"handle": st.just("88.900.C/ADMIN"), "index": st.integers(0, 2**31 - 1)})
contents = st.one_of(
    st.tuples(st.just("string"), st.text(max_size=40)),
    st.tuples(st.just("hex"), st.binary(max_size=20).map(bytes.hex)),
    st.tuples(st.just("vlist"), st.lists(references, max_size=3)),
    st.tuples(st.just("admin"), references.map(lambda each: {**each, "permissions": "011111110011"})),
)


@pytest.mark.parametrize(
    ("code", "is_resolution", "status"),
    [
        *((1, True, 200), (2, True, 500), (100, True, 404), (101, False, 409), (102, True, 400), (200, True, 200)),
        *((200, False, 400), (201, False, 409), (202, False, 400), (301, True, 400), (402, False, 401)),
        *((400, False, 403), (401, False, 403), (404, False, 403), (406, False, 403)),
    ],
)
def test_every_code_travels_with_its_status(code: int, is_resolution: bool, status: int) -> None:
    assert http_status(code, is_resolution=is_resolution) == status
    assert http_status(1, is_resolution=False, is_new=True) == 201


def test_a_handle_is_a_prefix_and_a_suffix_that_may_have_slashes() -> None:
    handle = Handle.parse("88.900.c/B/6205?x")
    assert (handle.prefix, handle.suffix) == ("88.900.c", "B/6205?x")
    assert handle.key == "88.900.C/B/6205?X"
    assert str(handle.authority) == "0.NA/88.900.c"
    assert ancestors("88.900.C") == ["88", "88.900", "88.900.C"]
    # Only ASCII letters come in two cases (RFC 3651, section 2): ß is not SS.
    assert Handle.parse("88/straße").key == "88/STRAßE"


@pytest.mark.parametrize(
    "text", ["", "/", "88", "88/", "/x", "88..9/x", ".88/x", "88 9/x", "88/\x00", "88/" + "x" * 253, "88/\ud800"]
)
def test_what_is_no_handle_is_told_so(text: str) -> None:
    with pytest.raises(Malformed):
        Handle.parse(text)


def test_an_administrator_is_an_index_and_a_handle_and_index_0_is_any() -> None:
    admin = Reference.parse("300:88.900.C/ADMIN")
    assert str(admin) == "300:88.900.C/ADMIN"
    assert Reference.parse("0:88.900.c/admin").covers(admin)
    assert not Reference.parse("301:88.900.C/ADMIN").covers(admin)
    for wrong in ("88.900.C/ADMIN", "x:88/y", ":88/y", "-1:88/y", "99999999999:88/y", "300:88"):
        with pytest.raises(Malformed):
            Reference.parse(wrong)


def test_permissions_are_read_from_the_right() -> None:
    admin = {"handle": "0.NA/88", "index": "200", "permissions": "011111110011"}
    value = decode_value({"index": "100", "type": "HS_ADMIN", "data": {"format": "admin", "value": admin}})
    assert value.index == 100
    assert value.data["index"] == 200, "clients write numbers as text, too"
    allowed = permissions_of(value)
    assert Permission.ADD_HANDLE | Permission.DELETE_HANDLE in allowed
    assert not allowed & (Permission.ADD_DERIVED_PREFIX | Permission.DELETE_DERIVED_PREFIX | Permission.LIST_HANDLES)


def test_a_site_says_where_its_servers_answer_over_http() -> None:
    interfaces = [
        {"protocol": "TCP", "port": 2641, "query": True, "admin": True},
        {"protocol": "http", "port": 8000, "query": True, "admin": False},
    ]
    silent = {"serverId": 2, "address": "10.0.0.6", "interfaces": [{"protocol": "HTTP", "port": 1, "query": False}]}
    data = {"primarySite": True, "servers": [{"serverId": 1, "address": "10.0.0.5", "interfaces": interfaces}, silent]}
    value = decode_value({"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": data}})
    assert [(each.address, each.port, each.is_primary) for each in servers_of(value)] == [("10.0.0.5", 8000, True)]


@given(
    st.integers(1, 2**31 - 1),
    st.sampled_from(["URL", "REF", "X.Y"]),
    contents,
    st.integers(0, 2**31 - 1),
    st.sampled_from(["1110", "1100", "0000"]),
)
def test_a_value_says_the_same_after_it_has_travelled(
    index: int, kind: str, content: tuple[str, Any], ttl: int, permissions: str
) -> None:
    value = HandleValue(index, kind, *content, ttl, permissions)
    assert decode_value(json.loads(json.dumps(value.encode("2026-01-01T00:00:00Z")))) == value


@given(
    json_values
    | st.fixed_dictionaries({"index": json_values, "type": json_values, "data": json_values, "ttl": json_values})
)
def test_anything_else_is_malformed_and_never_a_crash(document: Any) -> None:
    try:
        value = decode_value(document)
    except Malformed:
        return
    assert decode_value(value.encode("")) == value


def test_codes_have_the_names_of_the_protocol() -> None:
    assert Code(301).name == "SERVER_NOT_RESPONSIBLE"
