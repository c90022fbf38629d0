"""RSTP: whatever is cabled, a tree forwards, and it heals."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.network.bridge.rstp import Role, Rstp, RstpPort, State
from lab.wire.bpdu import Bpdu, BridgeId, decode

Cable = tuple[tuple[int, int], tuple[int, int]]
_ON_THE_CABLE = 0.0001


class Lan:
    """Bridges 0 … n-1 with ports 1 …, cables between them, and a clock."""

    def __init__(self, bridges: int, cables: list[Cable], priorities: dict[int, int] | None = None) -> None:
        self.now = 0.0
        self.sent = 0
        self.flushed: list[tuple[int, int]] = []
        self._order = count()
        self._under_way: list[tuple[float, int, int, int, bytes]] = []
        self.peers: dict[tuple[int, int], tuple[int, int]] = {}
        self.rstp = [
            Rstp(
                BridgeId((priorities or {}).get(number, 0x8000), bytes((2, 0, 0, 0, 0, number))),
                [RstpPort(port) for port in range(1, 9)],
                _Effects(self, number),
            )
            for number in range(bridges)
        ]
        for cable in cables:
            self.plug(*cable)

    def plug(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        self.peers[a], self.peers[b] = b, a
        for bridge, port in (a, b):
            self.rstp[bridge].link_changed(port, True, self.now)

    def pull(self, a: tuple[int, int]) -> None:
        b = self.peers.pop(a)
        del self.peers[b]
        for bridge, port in (a, b):
            self.rstp[bridge].link_changed(port, False, self.now)

    def send(self, bridge: int, port: int, bpdu: Bpdu) -> None:
        self.sent += 1
        peer = self.peers.get((bridge, port))
        if peer is not None:
            frame = bpdu.encode(bytes((2, 0, 0, 0, bridge, port)))
            heapq.heappush(self._under_way, (self.now + _ON_THE_CABLE, next(self._order), *peer, frame))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = min(each.deadline for each in self.rstp)
            arrives = self._under_way[0][0] if self._under_way else float("inf")
            self.now = min(due, arrives)
            if self.now > end:
                self.now = end
                return
            if arrives <= due:
                _, _, bridge, port, frame = heapq.heappop(self._under_way)
                bpdu = decode(frame)
                if (bridge, port) in self.peers and bpdu is not None:
                    self.rstp[bridge].received(port, bpdu, self.now)
            else:
                for each in self.rstp:
                    if each.deadline <= self.now:
                        each.tick(self.now)

    def forwarding(self) -> Iterator[Cable]:
        """The cables over which frames pass."""
        for a, b in self.peers.items():
            if a < b and all(self.rstp[bridge].ports[port].state is State.FORWARDING for bridge, port in (a, b)):
                yield a, b

    def pieces(self, cables: list[Cable]) -> int:
        """Into how many parts the bridges fall with these cables."""
        whose = list(range(len(self.rstp)))
        for (a, _), (b, _) in cables:
            one, other = whose[a], whose[b]
            whose = [one if each == other else each for each in whose]
        return len(set(whose))

    def is_a_tree(self) -> bool:
        """As much is joined as can be, and no frame can go in circles."""
        used, there = list(self.forwarding()), [(a, b) for a, b in self.peers.items() if a < b]
        parts = self.pieces(there)
        return self.pieces(used) == parts and len(used) == len(self.rstp) - parts


class _Effects:
    def __init__(self, lan: Lan, bridge: int) -> None:
        self._lan, self._bridge = lan, bridge

    def send_bpdu(self, port: int, bpdu: Bpdu) -> None:
        self._lan.send(self._bridge, port, bpdu)

    def port_changed(self, port: int, state: State) -> None:
        pass

    def flush(self, port: int) -> None:
        self._lan.flushed.append((self._bridge, port))


def ring(bridges: int) -> list[Cable]:
    return [((number, 1), ((number + 1) % bridges, 2)) for number in range(bridges)]


def test_the_lowest_priority_becomes_the_root() -> None:
    lan = Lan(4, ring(4), {2: 0x1000})
    lan.run(3)
    assert {each.root.root.mac[-1] for each in lan.rstp} == {2}
    assert lan.rstp[2].root_port is None
    assert lan.is_a_tree()


def test_a_ring_is_open_at_one_place_two_seconds_after_it_was_switched_on() -> None:
    lan = Lan(5, ring(5))
    lan.run(2)
    assert lan.is_a_tree()
    roles = [port.role for each in lan.rstp for port in each.ports.values() if port.is_up]
    assert roles.count(Role.ALTERNATE) == 1


@pytest.mark.parametrize("cut", range(5))
def test_a_cut_ring_heals_at_once(cut: int) -> None:
    lan = Lan(5, ring(5))
    lan.run(10)
    lan.flushed.clear()
    lan.pull((cut, 1))
    lan.run(0.5)
    assert lan.is_a_tree()
    assert lan.flushed, "addresses learnt on the old way are forgotten"


def test_a_mended_ring_does_not_loop_for_a_moment() -> None:
    lan = Lan(4, ring(4))
    lan.run(10)
    lan.pull((1, 1))
    lan.run(10)
    lan.plug((1, 1), (2, 2))
    for _ in range(200):
        lan.run(0.01)
        assert len(list(lan.forwarding())) < 4
    assert lan.is_a_tree()


def test_a_port_without_a_bridge_behind_it_is_open_after_three_seconds() -> None:
    lan = Lan(1, [])
    lan.rstp[0].link_changed(3, True, 0.0)
    lan.run(2.9)
    assert lan.rstp[0].ports[3].state is State.DISCARDING
    lan.run(0.2)
    assert lan.rstp[0].ports[3].state is State.FORWARDING
    assert lan.rstp[0].topology_changes == 0, "an edge is no change of topology"


def test_two_ports_of_one_bridge_joined_by_a_cable_do_not_loop() -> None:
    lan = Lan(1, [((0, 1), (0, 2))])
    lan.run(5)
    roles = {lan.rstp[0].ports[number].role for number in (1, 2)}
    assert roles == {Role.DESIGNATED, Role.BACKUP}
    assert not list(lan.forwarding())


def test_a_bridge_that_falls_silent_is_given_up_after_three_hellos() -> None:
    lan = Lan(3, ring(3))
    lan.run(10)
    root = lan.rstp[0]
    assert root.root_port is None
    root.link_changed(1, False, lan.now)
    root.link_changed(2, False, lan.now)  # it has died; the others' links stay up
    lan.run(10)
    assert lan.rstp[1].root.root == lan.rstp[2].root.root != root.bridge


def test_a_link_that_carries_one_way_only_does_not_make_a_loop() -> None:
    lan = Lan(3, ring(3))
    lan.run(20)
    blocked = next(
        (bridge, port.number)
        for bridge, each in enumerate(lan.rstp)
        for port in each.ports.values()
        if port.role is Role.ALTERNATE
    )
    unheard, send = lan.peers[blocked], lan.send

    def send_but_not_from_there(bridge: int, port: int, bpdu: Bpdu) -> None:
        if (bridge, port) != unheard:
            send(bridge, port, bpdu)

    lan.send = send_but_not_from_there  # type: ignore[method-assign]
    for _ in range(600):
        lan.run(0.1)
        assert len(list(lan.forwarding())) < 3, "who hears somebody worse forwarding closes his own port"


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 7), st.integers(0, 2**32))
def test_whatever_is_cabled_a_spanning_tree_forwards_and_survives_any_cut(bridges: int, seed: int) -> None:
    chance = random.Random(seed)
    free = {number: list(range(1, 9)) for number in range(bridges)}
    cables: list[Cable] = []
    for number in range(1, bridges):
        other = chance.randrange(number)
        cables.append(((number, free[number].pop()), (other, free[other].pop())))
    for _ in range(chance.randint(0, 5)):
        a, b = chance.sample(range(bridges), 2)
        if free[a] and free[b]:
            cables.append(((a, free[a].pop()), (b, free[b].pop())))
    lan = Lan(bridges, cables, {chance.randrange(bridges): 0x4000})
    lan.run(40)
    assert lan.is_a_tree()
    lan.pull(chance.choice(cables)[0])
    lan.run(40)
    assert lan.is_a_tree()
    quiet = lan.sent
    lan.run(20)
    assert lan.sent - quiet <= 11 * len(cables), "a settled network says hello and nothing else"
