"""TCP as RFC 9293 tells it, one rule a test, and whole conversations over terrible lines."""

from __future__ import annotations

import errno
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tcp_kit import End, Line, Sent, connected, pair

from lab.network.tcp import (
    ACK,
    KEEPALIVE_PROBES,
    MAX_RETRANSMISSIONS,
    MAX_SYN_RETRANSMISSIONS,
    PSH,
    RECEIVE_CAPACITY,
    RST,
    SYN,
    TIME_WAIT_SECONDS,
    TRANSITIONS,
    Event,
    State,
)

MASK = 0xFFFFFFFF


# -- opening -----------------------------------------------------------------------------------------------------------


def test_three_segments_open_a_connection() -> None:
    _, a, b = connected()
    words = [(s.by, s.words) for s in sorted(a.log + b.log, key=lambda s: s.at)]
    assert words == [("a", "SYN"), ("b", "SYN,ACK"), ("a", "ACK")]
    assert (a.connection.state, b.connection.state) == (State.ESTABLISHED, State.ESTABLISHED)


def test_both_may_open_at_once() -> None:
    time, a, b = pair()
    a.opened = b.opened = True
    a.connection.open()
    b.connection.open()
    time.run(until=5)
    assert a.is_established
    assert b.is_established


def test_a_refused_connection_says_so() -> None:
    time, a, b = pair()
    b.arrive = lambda segment: time.at(  # type: ignore[method-assign]
        time.now, lambda: a.arrive(Sent(time.now, "b", 0, segment.sequence + 1, RST | ACK, 0, b""))
    )
    a.connection.open()
    time.run(until=1)
    assert a.is_closed
    assert a.error is not None
    assert a.error.errno == errno.ECONNREFUSED


def test_an_unanswered_syn_is_repeated_with_doubling_pauses_and_given_up() -> None:
    time, a, b = pair()
    b.arrive = lambda segment: None  # type: ignore[method-assign]
    a.connection.open()
    time.run()
    pauses = [later.at - earlier.at for earlier, later in zip(a.log, a.log[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32]
    assert len(a.log) == MAX_SYN_RETRANSMISSIONS + 1
    assert a.error is not None
    assert a.error.errno == errno.ETIMEDOUT


def test_an_acknowledgment_of_something_else_does_not_open() -> None:
    _time, a, _ = pair()
    a.connection.open()
    a.arrive(Sent(0, "b", 77, 4242, SYN | ACK, 1000, b""))
    assert a.connection.state is State.SYN_SENT
    assert (a.log[-1].words, a.log[-1].sequence) == ("RST", 4242)


def test_segments_are_no_larger_than_the_peer_takes() -> None:
    time, a, b = connected(mss=(1460, 536))
    a.connection.send(bytes(5000))
    time.run(until=1)
    assert max(len(s.payload) for s in a.log) == 536
    assert len(b.got) == 5000


# -- data --------------------------------------------------------------------------------------------------------------


def test_a_small_write_leaves_at_once_and_nagle_is_off() -> None:
    time, a, _ = connected()
    before = len(a.log)
    for _ in range(3):
        a.connection.send(b"x")
    assert [s.payload for s in a.log[before:]] == [b"x", b"x", b"x"]
    assert all(s.flags & PSH for s in a.log[before:])
    time.run(until=1)


def test_an_answer_carries_the_acknowledgment() -> None:
    time, a, b = connected()
    before = len(b.log)
    b.on_data = lambda data: b.connection.send(b"answer")
    a.connection.send(b"question")
    time.run(until=1)
    assert [s.payload for s in b.log[before:]] == [b"answer"]


def test_an_acknowledgment_alone_waits_a_little() -> None:
    time, a, b = connected()
    sent_at = time.now
    a.connection.send(b"x")
    time.run(until=1)
    assert b.log[-1].at - sent_at == pytest.approx(0.041, abs=1e-6)


def test_every_second_full_segment_is_acknowledged_at_once() -> None:
    time, a, b = connected()
    before = len(b.log)
    a.connection.send(bytes(1460 * 4))
    time.run(until=time.now + 0.002)
    assert len(b.log) - before == 2


def test_a_segment_that_came_too_early_is_kept_and_reported_at_once() -> None:
    _time, a, b = connected()
    start = a.log[-1].sequence
    acknowledged = b.connection.next_expected
    b.arrive(Sent(0, "a", start + 3, b.log[-1].sequence + 1, ACK, 1000, b"def"))
    assert b.log[-1].acknowledgment == acknowledged
    b.arrive(Sent(0, "a", start, b.log[-1].sequence, ACK, 1000, b"abc"))
    assert bytes(b.got) == b"abcdef"
    assert b.log[-1].acknowledgment == acknowledged + 6


def test_old_and_overlapping_bytes_are_cut_off() -> None:
    _, a, b = connected()
    start, ack = a.log[-1].sequence, b.log[-1].sequence + 1
    for offset, data in ((0, b"abc"), (0, b"abc"), (1, b"bcde"), (4, b"ef"), (0, b"abcdefgh")):
        b.arrive(Sent(0, "a", start + offset, ack, ACK, 1000, data))
    assert bytes(b.got) == b"abcdefgh"


def test_a_lost_segment_is_sent_again_after_the_timeout_which_doubles() -> None:
    time, a, b = connected()
    b.arrive = lambda segment: None  # type: ignore[method-assign]
    a.connection.send(b"hello")
    time.run()
    tries = [s for s in a.log if s.payload]
    pauses = [round(later.at - earlier.at, 6) for earlier, later in itertools.pairwise(tries)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60][: len(pauses)]
    assert len(tries) == MAX_RETRANSMISSIONS + 1
    assert a.error is not None
    assert a.error.errno == errno.ETIMEDOUT


def test_three_duplicate_acknowledgments_repeat_the_missing_segment_without_waiting() -> None:
    time, a, b = connected()
    lost: list[Sent] = []
    arrive = b.arrive

    def lose_the_first(segment: Sent) -> None:
        if segment.payload and not lost:
            lost.append(segment)
        else:
            arrive(segment)

    b.arrive = lose_the_first  # type: ignore[method-assign]
    began = time.now
    a.connection.send(bytes(1460 * 6))
    time.run(until=began + 0.5)
    assert len(b.got) == 1460 * 6
    repeated = [s for s in a.log if s.payload and s.sequence == lost[0].sequence]
    assert len(repeated) == 2
    assert repeated[1].at - began < 0.1


def test_duplicate_acknowledgments_let_new_segments_out_so_that_a_small_window_recovers_without_waiting() -> None:
    time, a, b = connected()
    a.connection._cwnd = 3 * 1460
    lost: list[Sent] = []
    arrive = b.arrive

    def lose_the_first(segment: Sent) -> None:
        if segment.payload and not lost:
            lost.append(segment)
        else:
            arrive(segment)

    b.arrive = lose_the_first  # type: ignore[method-assign]
    began = time.now
    a.connection.send(bytes(1460 * 12))
    time.run(until=began + 0.5)
    assert len(b.got) == 1460 * 12


# -- flow control ------------------------------------------------------------------------------------------------------


def test_a_user_who_does_not_read_closes_the_window_and_bounds_memory() -> None:
    time, a, b = connected()
    b.connection.pause()
    a.connection.send(bytes(300_000))
    time.run(until=30)
    assert not b.got
    assert b.connection._waiting <= RECEIVE_CAPACITY
    assert b.log[-1].window == 0
    b.connection.resume()
    time.run(until=200)
    assert len(b.got) == 300_000


def test_reading_again_announces_the_open_window_without_waiting_for_a_probe() -> None:
    time, a, b = connected()
    b.connection.pause()
    a.connection.send(bytes(100_000))
    time.run(until=time.now + 20)
    opened_at, before = time.now, len(b.log)
    b.connection.resume()
    assert b.log[before].window > 0
    time.run(until=opened_at + 0.2)
    assert len(b.got) == 100_000


def test_a_closed_window_is_probed_for_ever_as_long_as_the_peer_answers() -> None:
    time, a, b = connected()
    b.connection.pause()
    a.connection.send(bytes(100_000))
    time.run(until=3600)
    assert not a.is_closed
    probes = [s for s in a.log if len(s.payload) == 1]
    assert len(probes) > 20
    b.connection.resume()
    time.run(until=3700)
    assert len(b.got) == 100_000


def test_a_closed_window_is_given_up_when_the_peer_falls_silent() -> None:
    time, a, b = connected()
    b.connection.pause()
    a.connection.send(bytes(100_000))
    time.run(until=20)
    b.arrive = lambda segment: None  # type: ignore[method-assign]
    time.run(until=2000)
    assert a.error is not None
    assert a.error.errno == errno.ETIMEDOUT


# -- closing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["a", "b"])
def test_either_side_may_close_first(first: str) -> None:
    time, a, b = connected()
    one, other = (a, b) if first == "a" else (b, a)
    one.connection.close()
    time.run(until=1)
    assert other.has_ended
    assert (one.connection.state, other.connection.state) == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    other.connection.send(b"last words")
    other.connection.close()
    time.run(until=2)
    assert bytes(one.got) == b"last words"
    assert (one.connection.state, other.connection.state) == (State.TIME_WAIT, State.CLOSED)
    time.run(until=2 + TIME_WAIT_SECONDS + 1)
    assert one.is_forgotten
    assert one.error is None
    assert other.error is None


def test_both_may_close_at_once() -> None:
    time, a, b = connected()
    a.connection.close()
    b.connection.close()
    time.run(until=1)
    assert (a.connection.state, b.connection.state) == (State.TIME_WAIT, State.TIME_WAIT)


def test_a_fin_waits_for_what_was_written() -> None:
    time, a, b = connected()
    a.connection.send(bytes(200_000))
    a.connection.close()
    time.run(until=5)
    assert len(b.got) == 200_000
    assert b.has_ended


def test_the_end_is_told_only_after_the_last_byte_was_read() -> None:
    time, a, b = connected()
    b.connection.pause()
    a.connection.send(b"goodbye")
    a.connection.close()
    time.run(until=1)
    assert not b.has_ended
    b.connection.resume()
    assert bytes(b.got) == b"goodbye"
    assert b.has_ended


def test_a_lost_last_acknowledgment_is_given_again_from_time_wait() -> None:
    time, a, b = connected()
    a.connection.close()
    time.run(until=1)
    arrive, lost = b.arrive, []
    b.arrive = lambda segment: lost.append(segment) if not lost else arrive(segment)  # type: ignore[method-assign]
    b.connection.close()
    time.run(until=10)
    assert lost
    assert b.connection.state is State.CLOSED
    assert b.error is None


def test_data_for_a_user_who_has_gone_is_answered_with_a_reset() -> None:
    time, a, b = connected()
    a.connection.release()
    time.run(until=1)
    b.connection.send(b"are you there?")
    time.run(until=2)
    assert a.log[-1].flags & RST
    assert b.error is not None
    assert b.error.errno == errno.ECONNRESET


def test_a_half_closed_orphan_does_not_wait_for_ever() -> None:
    time, a, _b = connected()
    a.connection.release()
    time.run(until=1)
    assert a.connection.state is State.FIN_WAIT_2
    time.run(until=100)
    assert a.is_forgotten


# -- resets and attacks ------------------------------------------------------------------------------------------------


def test_an_abort_resets_the_peer() -> None:
    time, a, b = connected()
    a.connection.abort()
    time.run(until=1)
    assert b.error is not None
    assert b.error.errno == errno.ECONNRESET


def test_a_blind_reset_is_challenged_and_an_exact_one_believed() -> None:
    _time, _a, b = connected()
    expected = b.connection.next_expected
    before = len(b.log)
    b.arrive(Sent(0, "a", expected + 100, 0, RST, 0, b""))
    assert not b.is_closed
    assert b.log[before].words == "ACK"
    b.arrive(Sent(0, "a", expected + RECEIVE_CAPACITY + 1, 0, RST, 0, b""))
    assert not b.is_closed
    b.arrive(Sent(0, "a", expected, 0, RST, 0, b""))
    assert b.is_closed


def test_a_syn_in_the_middle_of_a_connection_is_challenged() -> None:
    _, _, b = connected()
    before = len(b.log)
    b.arrive(Sent(0, "a", b.connection.next_expected, 0, SYN, 1000, b""))
    assert not b.is_closed
    assert b.log[before].words == "ACK"


def test_an_acknowledgment_of_what_was_never_sent_is_corrected() -> None:
    _, _a, b = connected()
    before = len(b.log)
    b.arrive(Sent(0, "a", b.connection.next_expected, b.log[-1].sequence + 5000, ACK, 1000, b"x"))
    assert not b.got
    assert b.log[before].words == "ACK"


def test_a_peer_that_has_vanished_is_noticed_by_keep_alive() -> None:
    time, a, b = connected()
    a.connection.keep_alive(idle=10, interval=2, probes=3)
    time.run(until=60)
    assert not a.is_closed, "a peer that answers is alive"
    b.arrive = lambda segment: None  # type: ignore[method-assign]
    time.run(until=100)
    assert a.error is not None
    assert a.error.errno == errno.ETIMEDOUT
    assert KEEPALIVE_PROBES == 9


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_state_table_leads_everywhere_and_out_again() -> None:
    reached = {State.CLOSED}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)
    assert all(TRANSITIONS[state, Event.END] is State.CLOSED for state in State if state is not State.CLOSED)


# -- whole conversations -----------------------------------------------------------------------------------------------

lines = st.builds(
    Line,
    chance=st.builds(random.Random, st.integers(0, 2**32)),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    duplicate=st.sampled_from([0.0, 0.1, 0.5]),
    delay=st.sampled_from([0.0, 0.001, 0.3]),
    jitter=st.sampled_from([0.0, 0.002, 0.5, 3.0]),
    until=st.just(120.0),
)
near_the_wrap = st.one_of(st.integers(0, MASK), st.integers(MASK - 20_000, MASK))


@settings(max_examples=200, deadline=None)
@given(
    lines,
    lines,
    st.tuples(near_the_wrap, near_the_wrap),
    st.tuples(st.sampled_from([64, 536, 1460]), st.sampled_from([100, 1460])),
    st.tuples(st.integers(0, 40_000), st.integers(0, 40_000)),
    st.integers(0, 2**32),
)
def test_both_directions_arrive_whole_over_any_line(
    there: Line, back: Line, iss: tuple[int, int], mss: tuple[int, int], sizes: tuple[int, int], seed: int
) -> None:
    time, a, b = pair(iss=iss, mss=mss)
    a.line, b.line = there, back
    a.opened = True
    chance = random.Random(seed)
    texts = {"a": chance.randbytes(sizes[0]), "b": chance.randbytes(sizes[1])}

    def work(end: End, left: bytes) -> None:
        """Write in pieces, pause and resume reading at odd times, close when done."""
        if end.is_closed:
            return
        if not end.is_established:
            time.at(time.now + 0.5, lambda: work(end, left))
            return
        piece = chance.randint(1, 9000)
        if left:
            end.connection.send(left[:piece])
        if chance.random() < 0.3:
            end.connection.pause()
            time.at(time.now + chance.random() * 5, end.connection.resume)
        if left[piece:]:
            time.at(time.now + chance.random() * 0.2, lambda: work(end, left[piece:]))
        else:
            end.connection.close()

    a.connection.open()
    work(a, texts["a"])
    work(b, texts["b"])
    time.run()
    if a.is_established and b.is_established and a.error is None and b.error is None:
        assert bytes(b.got) == texts["a"]
        assert bytes(a.got) == texts["b"]
        assert a.has_ended
        assert b.has_ended
    else:  # only a line that ate everything for two minutes may end otherwise, and then both know
        assert max(there.loss, back.loss) == 0.3
        assert texts["a"].startswith(bytes(b.got))
        assert texts["b"].startswith(bytes(a.got))
    assert a.is_forgotten


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-70_000, 70_000),
            st.integers(-70_000, 70_000),
            st.integers(0, 0x3F),
            st.integers(0, 0xFFFF),
            st.binary(max_size=40),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_no_segment_whatsoever_upsets_the_machine(storm: list[tuple[int, int, int, int, bytes]], closing: bool) -> None:
    time, _a, b = connected()
    if closing:
        b.connection.close()
    for sequence, acknowledgment, flags, window, payload in storm:
        b.arrive(
            Sent(
                time.now,
                "a",
                b.connection.next_expected + sequence & MASK,
                b.log[-1].sequence + acknowledgment & MASK,
                flags,
                window,
                payload,
            )
        )
    b.connection.abort()
    assert b.is_forgotten
