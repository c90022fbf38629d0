"""Syslog messages: the examples of the RFCs, and whatever devices and attackers put in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire import syslog
from lab.wire.malformed import Malformed
from lab.wire.syslog import Facility, Message, Severity

names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='="]'), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
messages = st.builds(
    Message,
    st.integers(0, 23),
    st.integers(0, 7),
    names,
    names,
    texts.filter(lambda text: not text.startswith("\ufeff")),
    st.one_of(st.none(), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
    names,
    names,
    st.dictionaries(names, st.dictionaries(names, texts, max_size=3), max_size=3),
)


@given(messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert syslog.decode(message.encode()) == message


@given(st.one_of(st.binary(max_size=100), messages.map(Message.encode)), st.binary(max_size=20), st.integers(0, 100))
def test_arbitrary_bytes_are_a_message_or_malformed(data: bytes, more: bytes, at: int) -> None:
    for attempt in (data, b"<13>" + data, b"<13>1 " + data, data[:at] + more + data[at:]):
        try:
            str(syslog.decode(attempt))
        except Malformed:
            pass


def test_an_example_of_rfc_5424() -> None:
    data = (
        b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
        b'[exampleSDID@32473 iut="3" eventSource="Appli\\"cation"][x@1] \xef\xbb\xbfAn application event'
    )
    message = syslog.decode(data)
    assert (message.facility, message.severity) == (Facility.LOCAL4, Severity.NOTICE)
    assert message.at == datetime(2003, 10, 11, 22, 14, 15, 3000, UTC)
    assert message.structured == {"exampleSDID@32473": {"iut": "3", "eventSource": 'Appli"cation'}, "x@1": {}}
    assert message.text == "An application event"


def test_an_example_of_rfc_3164() -> None:
    message = syslog.decode(b"<34>Oct 11 22:14:15 mymachine su[231]: 'su root' failed on /dev/pts/8")
    assert (message.facility, message.severity) == (Facility.AUTH, Severity.CRITICAL)
    assert (message.host, message.app, message.process) == ("mymachine", "su", "231")
    assert message.text == "'su root' failed on /dev/pts/8"
    assert syslog.decode(b"<13>just words").text == "just words"


@pytest.mark.parametrize(
    "data",
    [b"", b"words", b"<192>1 - - - - - -", b"<13>1 yesterday a b c d -", b"<13>1 - a b c d [x", b"<13>1 - a b c"],
)
def test_what_breaks_the_rules_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        syslog.decode(data)


def test_names_that_do_not_fit_are_made_to() -> None:
    message = syslog.decode(Message(1, 5, "press 1", "压机", "合格", structured={'a"b': {"c]": "1"}}).encode())
    assert (message.host, message.app, message.text) == ("press_1", "__", "合格")
    assert message.structured == {"a_b": {"c_": "1"}}
