"""MRP: a ring is open at one place, whatever is cut, and whole again within 200 ms."""

from __future__ import annotations

import heapq
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.network.bridge.mrp import RECOVERY, Client, Manager
from lab.wire.mrp import LinkChange, Mrp, RingPort, RingState, RingTest, TopologyChange, decode

Node = Manager | Client
_HOP = 0.00001
_OPPOSITE = {RingPort.PRIMARY: RingPort.SECONDARY, RingPort.SECONDARY: RingPort.PRIMARY}


class Ring:
    """Node 0 is the manager; the secondary port of each is cabled to the primary of the next."""

    def __init__(self, nodes: int, recovery: int = 200) -> None:
        self.now = 0.0
        self.flushed: list[tuple[float, int]] = []
        self.sent: list[Mrp] = []
        self.deaf: set[int] = set()
        """Nodes that pass nothing on, though their links are up."""
        self._order = count()
        self._under_way: list[tuple[float, int, int, RingPort, bytes]] = []
        self.cut: set[int] = set()
        """Cable n joins node n and the next."""
        self.nodes: list[Node] = [
            (Manager if number == 0 else Client)(
                bytes((2, 0, 0, 0, 0, number)), _Effects(self, number), times=RECOVERY[recovery]
            )
            for number in range(nodes)
        ]
        for cable in range(nodes):
            self._set(cable, True)

    @property
    def manager(self) -> Manager:
        manager = self.nodes[0]
        assert isinstance(manager, Manager)
        return manager

    def pull(self, cable: int) -> None:
        self.cut.add(cable)
        self._set(cable, False)

    def plug(self, cable: int) -> None:
        self.cut.discard(cable)
        self._set(cable, True)

    def _set(self, cable: int, up: bool) -> None:
        for number, port in ((cable, RingPort.SECONDARY), ((cable + 1) % len(self.nodes), RingPort.PRIMARY)):
            self.nodes[number].link_changed(port, up, self.now)

    def carry(self, number: int, port: RingPort, frame: bytes) -> None:
        nodes = len(self.nodes)
        is_onward = port is RingPort.SECONDARY
        cable = number if is_onward else (number - 1) % nodes
        if cable not in self.cut and number not in self.deaf:
            peer = (number + 1) % nodes if is_onward else cable
            heapq.heappush(self._under_way, (self.now + _HOP, next(self._order), peer, _OPPOSITE[port], frame))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = min(each.deadline for each in self.nodes)
            arrives = self._under_way[0][0] if self._under_way else float("inf")
            self.now = min(due, arrives)
            if self.now > end:
                self.now = end
                return
            if arrives <= due:
                _, _, number, port, frame = heapq.heappop(self._under_way)
                node = self.nodes[number]
                if node.ends[port].is_up and number not in self.deaf:
                    node.received(port, decode(frame), self.now)
                    if isinstance(node, Client):
                        self.carry(number, _OPPOSITE[port], frame)
            else:
                for each in self.nodes:
                    if each.deadline <= self.now:
                        each.tick(self.now)

    def open_cables(self) -> list[int]:
        """Over which frames pass."""
        following = [*self.nodes[1:], self.nodes[0]]
        return [
            cable
            for cable, (node, after) in enumerate(zip(self.nodes, following, strict=True))
            if cable not in self.cut and node.forwards(RingPort.SECONDARY) and after.forwards(RingPort.PRIMARY)
        ]


class _Effects:
    def __init__(self, ring: Ring, number: int) -> None:
        self._ring, self._number = ring, number

    def send_mrp(self, port: RingPort, message: Mrp) -> None:
        self._ring.sent.append(message)
        self._ring.carry(self._number, port, message.encode(bytes((2, 0, 0, 0, self._number, port))))

    def ring_port_changed(self, port: RingPort, forwards: bool) -> None:
        pass

    def flush_ring(self) -> None:
        self._ring.flushed.append((self._ring.now, self._number))


def settled(nodes: int, recovery: int = 200) -> Ring:
    ring = Ring(nodes, recovery)
    ring.run(1)
    return ring


def test_a_whole_ring_is_blocked_at_the_managers_secondary_port() -> None:
    ring = settled(5)
    assert ring.manager.ring is RingState.CLOSED
    assert ring.open_cables() == [1, 2, 3, 4]
    assert not ring.manager.forwards(RingPort.SECONDARY)


def test_a_ring_never_loops_while_it_starts() -> None:
    ring = Ring(5)
    for _ in range(500):
        ring.run(0.001)
        assert len(ring.open_cables()) < 5


def test_the_manager_tests_every_20_milliseconds_and_counts_what_it_sends() -> None:
    ring = settled(3)
    ring.sent.clear()
    ring.run(1)
    tests = [mrp for mrp in ring.sent if isinstance(mrp.message, RingTest)]
    assert len(tests) == pytest.approx(100, abs=2), "both ways round, 50 times a second"
    assert len(ring.sent) == len(tests), "a ring that is whole hears nothing else"
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(tests))


@pytest.mark.parametrize("cable", range(6))
def test_a_cut_ring_is_whole_again_within_200_milliseconds(cable: int) -> None:
    ring = settled(6)
    ring.flushed.clear()
    ring.pull(cable)
    ring.run(0.2)
    assert ring.manager.ring is RingState.OPEN
    assert ring.open_cables() == [each for each in range(6) if each != cable]
    assert {number for _, number in ring.flushed} == set(range(6)), "everybody has forgotten the old way"


def test_a_client_that_speaks_of_its_link_is_believed_at_once() -> None:
    ring = settled(6)
    ring.run(0.005)  # no test frame is under way
    at = ring.now
    ring.pull(3)
    ring.run(0.001)
    assert ring.manager.forwards(RingPort.SECONDARY), "without waiting for three tests to stay away"
    ring.run(0.2)
    assert max(when for when, _ in ring.flushed) - at < 0.05


def test_a_node_that_dies_with_its_links_up_is_noticed_by_its_silence() -> None:
    ring = settled(6)
    ring.deaf.add(3)
    ring.run(0.03)
    assert ring.manager.ring is RingState.CLOSED
    ring.run(0.17)
    assert ring.manager.ring is RingState.OPEN
    assert ring.manager.forwards(RingPort.SECONDARY)


@pytest.mark.parametrize("cable", range(5))
def test_a_mended_ring_does_not_loop_for_a_moment(cable: int) -> None:
    ring = settled(5)
    ring.pull(cable)
    ring.run(1)
    ring.plug(cable)
    for _ in range(3000):
        ring.run(0.0001)
        assert len(ring.open_cables()) < 5
    assert ring.manager.ring is RingState.CLOSED
    assert len(ring.open_cables()) == 4


def test_a_second_break_behind_the_first_stays_hidden_until_the_first_is_mended() -> None:
    ring = settled(6)
    ring.pull(2)
    ring.run(1)
    ring.pull(4)
    ring.run(1)
    assert ring.manager.transitions == 1
    ring.plug(2)
    ring.run(1)
    assert ring.manager.ring is RingState.OPEN, "mended, and still open"
    assert ring.open_cables() == [0, 1, 2, 3, 5]
    ring.plug(4)
    ring.run(1)
    assert ring.manager.ring is RingState.CLOSED


def test_frames_of_another_domain_and_of_another_manager_close_no_ring() -> None:
    ring = settled(3)
    ring.pull(1)
    ring.run(1)
    test = RingTest(0x8000, b"\2\0\0\0\0\x99", RingPort.SECONDARY, RingState.CLOSED, 0, 0)
    ring.manager.received(RingPort.PRIMARY, Mrp(test, 1, bytes(16)), ring.now)
    assert ring.manager.other_manager is None
    ring.manager.received(RingPort.PRIMARY, Mrp(test, 1), ring.now)
    ring.manager.received(RingPort.PRIMARY, Mrp(TopologyChange(0, b"\2\0\0\0\0\x99", 5), 1), ring.now)
    ring.manager.received(RingPort.PRIMARY, Mrp(LinkChange(False, b"\2\0\0\0\0\1", RingPort.PRIMARY, 0), 1), ring.now)
    assert ring.manager.ring is RingState.OPEN
    assert ring.manager.other_manager == b"\2\0\0\0\0\x99", "two managers in one ring are a mistake to be shown"


def test_the_slow_profile_takes_500_milliseconds_at_most() -> None:
    ring = settled(4, 500)
    ring.deaf.add(2)
    ring.run(0.2)
    assert ring.manager.ring is RingState.CLOSED
    ring.run(0.3)
    assert ring.manager.ring is RingState.OPEN


@given(st.integers(2, 12), st.lists(st.tuples(st.integers(0, 11), st.floats(0.0, 0.4)), max_size=12))
def test_whatever_is_cut_and_mended_there_is_no_loop_and_nothing_stays_cut_off(
    nodes: int, deeds: list[tuple[int, float]]
) -> None:
    ring = settled(nodes)
    for cable, wait in deeds:
        cable %= nodes
        (ring.plug if cable in ring.cut else ring.pull)(cable)
        ring.run(wait)
    ring.run(0.5)
    whole = set(range(nodes)) - ring.cut
    assert len(ring.open_cables()) == (len(whole) - 1 if not ring.cut else len(whole))
