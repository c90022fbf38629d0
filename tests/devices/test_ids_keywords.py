"""Addresses, ports and the modbus keyword of intrusion detection rules."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.ids import groups, modbus_keyword
from lab.model.document import KnownValueError

VARIABLES = {
    "HOME_NET": "[10.0.0.0/8, !10.0.9.0/24]",
    "EXTERNAL_NET": "!$HOME_NET",
    "LOOP": "$LOOP",
    "PORTS": "[502,1024:]",
}


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("any", ["1.2.3.4"], []),
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
        ("!10.0.0.1", ["10.0.0.2"], ["10.0.0.1"]),
        ("$HOME_NET", ["10.1.1.1"], ["10.0.9.1", "11.0.0.1"]),
        ("$EXTERNAL_NET", ["10.0.9.1", "11.0.0.1"], ["10.1.1.1"]),
        ("![1.1.1.1, 1.1.1.2]", ["1.1.1.3"], ["1.1.1.1", "1.1.1.2"]),
        ("[10.0.0.0/24, !10.0.0.5]", ["10.0.0.4"], ["10.0.0.5", "10.0.1.1"]),
        ("[1.1.1.1, [2.2.2.0/24, !2.2.2.2]]", ["1.1.1.1", "2.2.2.1"], ["2.2.2.2"]),
        ("10.0.0.5-10.0.0.7", ["10.0.0.6"], ["10.0.0.8"]),
    ],
)
def test_addresses_as_in_the_manual(text: str, inside: list[str], outside: list[str]) -> None:
    group = groups.addresses(text, VARIABLES)
    assert all(int(IPv4Address(each)) in group for each in inside)
    assert not any(int(IPv4Address(each)) in group for each in outside)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("[80, 81, 82]", [80, 82], [83]),
        ("[80:82]", [81], [79, 83]),
        ("[1024:]", [1024, 65_535], [1023]),
        ("!80", [81], [80]),
        ("[80:100,!99]", [98], [99]),
        ("[1:80,![2,4]]", [1, 3], [2, 4]),
        ("$PORTS", [502, 5000], [503]),
        (":5", [0, 5], [6]),
    ],
)
def test_ports_as_in_the_manual(text: str, inside: list[int], outside: list[int]) -> None:
    group = groups.ports(text, VARIABLES)
    assert all(each in group for each in inside)
    assert not any(each in group for each in outside)


@pytest.mark.parametrize("text", ["$HOME", "$LOOP", "10.0.0", "[10.0.0.1", "10.0.0.1]", "[[10.0.0.1]", "", "[]"])
def test_addresses_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(KnownValueError):
        groups.addresses(text, VARIABLES)


def test_an_unknown_variable_is_refused_with_what_is_known() -> None:
    with pytest.raises(KnownValueError) as refused:
        groups.addresses("$HOME_NETT", VARIABLES)
    assert refused.value.guess == "HOME_NET"


@pytest.mark.parametrize("text", ["80:70", "70000", "http", "1:2:3", "-1"])
def test_ports_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(KnownValueError):
        groups.ports(text, VARIABLES)


READ_HOLDING_0_2 = "03 0000 0002"
WRITE_SINGLE_9 = "06 0009 0064"
WRITE_MULTIPLE_9 = "10 0009 0002 04 0064 00c8"
WRITE_COILS = "0f 0000 000a 02 0102"
READ_WRITE = "17 0000 0001 0063 0001 02 07d0"


@pytest.mark.parametrize(
    ("rule", "unit", "pdu", "expected"),
    [
        ("function 8, subfunction 4", 1, "08 0004 0000", True),
        ("function 8, subfunction 4", 1, "08 0001 0000", False),
        ("function 43, subfunction 14", 1, "2b 0e 01 00", True),
        ("function 21", 1, "15 00", True),
        ("function user", 1, "41", True),
        ("function reserved", 1, "5a", True),
        ("function !reserved", 1, "5a", False),
        ("function public", 1, READ_HOLDING_0_2, True),
        ("function unassigned", 1, "50", True),
        ("function public", 1, "50", True),
        ("function assigned", 1, "5a", False),
        ("function !assigned", 1, READ_HOLDING_0_2, False),
        ("function all", 1, "50", True),
        ("access read", 1, READ_HOLDING_0_2, True),
        ("access read", 1, WRITE_SINGLE_9, False),
        ("access read discretes, address <100", 1, "02 0062 0001", True),
        ("access read discretes, address <100", 1, "02 0063 0001", False),
        ("access read holding, address 1", 1, READ_HOLDING_0_2, True),
        ("access read holding, address 3", 1, READ_HOLDING_0_2, False),
        ("access read input", 1, READ_HOLDING_0_2, False),
        ("access write holding, address 10, value 100", 1, WRITE_SINGLE_9, True),
        ("access write holding, address 11, value >150", 1, WRITE_MULTIPLE_9, True),
        ("access write holding, address 10, value >150", 1, WRITE_MULTIPLE_9, False),
        ("access write holding, address 9<>11, value 100<>200", 1, WRITE_SINGLE_9, False),
        ("access write holding, address 9<>11, value 99<>101", 1, WRITE_SINGLE_9, True),
        ("access write coils, address 10, value 1", 1, WRITE_COILS, True),
        ("access write coils, address 9, value 1", 1, WRITE_COILS, False),
        ("access write coils", 1, "05 0000 ff00", True),
        ("access write holding, address 100, value 2000", 1, READ_WRITE, True),
        ("access read holding, address 1", 1, READ_WRITE, True),
        ("unit 10", 10, READ_HOLDING_0_2, True),
        ("unit >10", 10, READ_HOLDING_0_2, False),
        ("unit 10<>20, function 3", 11, READ_HOLDING_0_2, True),
        ("unit 10<>20, function 3", 20, READ_HOLDING_0_2, False),
        ("access write holding, address 10", 1, "10 0009 0002 04 00", False),
    ],
)
def test_modbus_requests_against_the_keyword(rule: str, unit: int, pdu: str, expected: bool) -> None:
    assert modbus_keyword.parse(rule).matches(unit, bytes.fromhex(pdu)) is expected


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "functions 3",
        "function 300",
        "function !3",
        "function writing",
        "subfunction 4",
        "access write input",
        "access write discretes, address 3",
        "access read registers",
        "address 3",
        "access read holding, address 3, value 4",
        "access write holding, value 4",
        "access write holding, address 20<>10",
        "unit 10, unit 11",
        "unit 256",
    ],
)
def test_a_keyword_that_means_nothing_is_refused(rule: str) -> None:
    with pytest.raises(KnownValueError):
        modbus_keyword.parse(rule)


def test_what_is_wrong_is_named() -> None:
    for parse, expected in (
        (lambda: modbus_keyword.parse("unit 256"), "unit 256 is out of range"),
        (lambda: modbus_keyword.parse("access write input"), "input cannot be written"),
        (lambda: modbus_keyword.parse("functions 3"), "the modbus option 'functions 3' is not understood"),
        (lambda: groups.ports("http", {}), "'http' is no port"),
    ):
        with pytest.raises(KnownValueError) as refused:
            parse()
        assert refused.value.what.en.format(**refused.value.facts) == expected


@given(pdu=st.binary(max_size=40), unit=st.integers(0, 255))
def test_any_bytes_may_be_a_request(pdu: bytes, unit: int) -> None:
    for rule in ("access write holding, address >0, value >0", "access read coils", "function 8, subfunction 300"):
        modbus_keyword.parse(rule).matches(unit, pdu)
