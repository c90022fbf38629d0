"""Element strings and Digital Links: both ways, with separators where the standard wants them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire import gs1
from lab.wire.malformed import Malformed

LABEL = {"01": "06901234567892", "17": "281231", "10": "LOT1", "21": "42"}
ALLOWED = "!\"%&'()*+,-./0123456789:;<=>?ABCXYZ_abcxyz"


@st.composite
def labels(draw: st.DrawFn) -> dict[str, str]:
    chosen = draw(st.lists(st.sampled_from(sorted(gs1.IDENTIFIERS)), min_size=1, max_size=5, unique=True))
    return {ai: draw(values(gs1.IDENTIFIERS[ai])) for ai in chosen}


@st.composite
def values(draw: st.DrawFn, identifier: gs1.Identifier) -> str:
    if identifier.is_date:
        return draw(st.dates(date(2000, 1, 1), date(2049, 12, 31))).strftime("%y%m%d")
    size = draw(st.integers(identifier.least, identifier.most))
    alphabet = "0123456789" if identifier.is_numeric else ALLOWED
    text = "".join(draw(st.lists(st.sampled_from(alphabet), min_size=size, max_size=size)))
    return text[:-1] + gs1.check_digit(text[:-1]) if identifier.has_check_digit else text


def test_a_label_reads_the_same_from_symbol_and_from_paper() -> None:
    transmitted = "01069012345678921728123110LOT1\x1d2142"
    assert gs1.parse(transmitted) == LABEL
    assert gs1.parse("(01)06901234567892(17)281231(10)LOT1(21)42") == LABEL
    assert gs1.element_string(LABEL) == transmitted
    assert gs1.brackets(LABEL) == "(01)06901234567892(17)281231(10)LOT1(21)42"


@given(labels())
def test_element_strings_survive_the_symbol(label: dict[str, str]) -> None:
    read = gs1.parse(gs1.element_string(label))
    assert read == label
    assert list(read) == list(label)


@given(labels())
def test_links_survive_the_web(label: dict[str, str]) -> None:
    try:
        link = gs1.digital_link(label, "example.com")
    except Malformed:
        assert not label.keys() & {"00", "01", "401", "402", "414", "417", "8003", "8004", "8006"}
        return
    assert gs1.parse_digital_link(link) == label


@given(st.text(max_size=60))
def test_garbage_is_malformed_and_nothing_else(text: str) -> None:
    for read in (gs1.parse, gs1.parse_digital_link):
        try:
            read(text)
        except Malformed:
            pass


def test_a_link_has_its_qualifiers_in_the_path_and_the_rest_behind_it() -> None:
    link = "https://id.gs1.org/01/06901234567892/10/LOT1/21/42?17=281231"
    assert gs1.digital_link(LABEL) == link
    owners = "http://maker.example/products/01/6901234567892/21/42?17=281231&utm=mail"
    assert gs1.parse_digital_link(owners) == {"01": "06901234567892", "21": "42", "17": "281231"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("01069012345678931728", "check digit should be 2"),
        ("0106901234567", "14 characters"),
        ("17281331", "no date"),
        ("(23)12", "no application identifier"),
        ("10LOT1\x1d10LOT2", "comes twice"),
        ("10LOT 1", "a character"),
        ("", "empty"),
        ("10" + "A" * 21, "1 to 20"),
    ],
)
def test_what_is_wrong_with_a_label_is_said(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        gs1.parse(text)


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://id.gs1.org/01/06901234567892",
        "https://id.gs1.org/21/42",
        "https://id.gs1.org/01/06901234567892/21",
        "https://id.gs1.org/01/06901234567892/21/42/10/LOT1",
        "https://[id/01/06901234567892",
    ],
)
def test_what_is_no_link_is_refused(uri: str) -> None:
    with pytest.raises(Malformed):
        gs1.parse_digital_link(uri)


def test_dates_end_their_month_where_no_day_is_given_and_begin_their_century_near_today() -> None:
    assert gs1.date_of("280200") == date(2028, 2, 29)
    assert gs1.date_of("261200") == date(2026, 12, 31)
    assert gs1.date_of("770101", date(2026, 1, 1)) == date(1977, 1, 1)
    assert gs1.date_of("760101", date(2026, 1, 1)) == date(2076, 1, 1)
