"""The tunnel's state machine: what is authentic comes through once, and nothing else ever does."""

from __future__ import annotations

import random
from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.vpn import noise
from devices.vpn.noise import ReplayWindow, Unauthentic
from devices.vpn.tunnel import Outgoing, PeerSettings, Tunnel
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

HERE, THERE = ("203.0.113.1", 51820), ("203.0.113.2", 51820)
PSK = bytes(range(32))


def packet(source: str = "10.1.0.5", destination: str = "10.2.0.5", payload: bytes = b"hello") -> bytes:
    addresses = [bytes(map(int, each.split("."))) for each in (source, destination)]
    return IPv4(addresses[0], addresses[1], 17, payload).encode()


class Pair:
    """Two gateways, a at HERE with 10.1/16 inside and b at THERE with 10.2/16, and the time."""

    def __init__(self, *, psk: tuple[bytes, bytes] = (PSK, PSK), keepalive: int = 0, seed: int = 1) -> None:
        generator = random.Random(seed)
        keys = [generator.randbytes(32) for _ in range(2)]
        self.now = 1000.0
        self.lost: list[Outgoing] = []

        def stamp() -> bytes:
            return noise.tai64n(round(self.now * 1e9))

        def tunnel(own: int, other: int, network: str, endpoint: tuple[str, int] | None) -> Tunnel:
            peer = PeerSettings(
                noise.public_key(keys[other]), (IPv4Network(network),), psk[own], endpoint, keepalive if own == 0 else 0
            )
            return Tunnel(keys[own], [peer], generator.randbytes, stamp)

        self.a, self.b = tunnel(0, 1, "10.2.0.0/16", THERE), tunnel(1, 0, "10.1.0.0/16", None)
        self.got: list[bytes] = []
        """What came out at b."""
        self.back: list[bytes] = []
        """What came out at a."""
        self.carried: list[bytes] = []
        self.silent = False

    def carry(self) -> None:
        """Until nobody has anything to say."""
        while self.a.outbox or self.b.outbox:
            for sender, receiver, got, origin in (
                (self.a, self.b, self.got, HERE),
                (self.b, self.a, self.back, THERE),
            ):
                for _, data in sender.take_outbox():
                    self.carried.append(data)
                    inner = None if self.silent else receiver.receive(data, origin, self.now)
                    if inner is not None:
                        got.append(inner)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            deadlines = [each for each in (self.a.next_deadline(), self.b.next_deadline()) if each is not None]
            if not deadlines or min(deadlines) > end:
                self.now = end
                return
            self.now = max(self.now, min(deadlines))
            self.a.tick(self.now)
            self.b.tick(self.now)
            self.carry()

    def say(self, data: bytes) -> None:
        self.a.send(data, self.now)
        self.carry()

    def handshakes(self) -> int:
        return sum(each[0] == noise.INITIATION for each in self.carried)


def test_a_packet_begins_a_handshake_and_arrives_after_it() -> None:
    pair = Pair()
    pair.say(packet())
    assert pair.got == [packet()]
    assert [data[0] for data in pair.carried] == [noise.INITIATION, noise.RESPONSE, noise.DATA]
    assert [len(data) for data in pair.carried[:2]] == [148, 92]
    pair.b.send(packet("10.2.0.5", "10.1.0.5"), pair.now)
    pair.carry()
    assert pair.back == [packet("10.2.0.5", "10.1.0.5")], "b knows where a is since it has heard it"
    assert packet()[20:] not in b"".join(pair.carried)


def test_different_preshared_keys_never_agree() -> None:
    pair = Pair(psk=(PSK, bytes(32)))
    pair.say(packet())
    pair.wait(120)
    assert pair.got == []
    assert pair.a.refused > 0
    assert pair.handshakes() == pytest.approx(17, abs=2), "every five seconds for a minute and a half, then silence"


def test_a_gateway_with_another_key_is_nobody() -> None:
    pair, stranger = Pair(), Pair(seed=2)
    stranger.a.send(packet(), pair.now)
    for _, data in stranger.a.take_outbox():
        assert pair.b.receive(data, HERE, pair.now) is None
    assert pair.b.outbox == [], "whoever does not know our key gets no answer"


def test_keys_are_renewed_while_there_is_traffic() -> None:
    pair = Pair()
    for _ in range(100):
        pair.say(packet())
        pair.wait(10)
    assert len(pair.got) == 100, "nothing is lost while keys change"
    assert pair.handshakes() == pytest.approx(1000 / 120, abs=2)
    used = {data[4:8] for data in pair.carried if data[0] == noise.DATA}
    assert len(used) >= 14, "both directions have had new keys each time"


def test_an_idle_tunnel_is_silent_and_a_kept_alive_one_is_not() -> None:
    idle, kept = Pair(), Pair(keepalive=25)
    kept.a.start(kept.now)
    kept.carry()
    idle.say(packet())
    idle.wait(30)
    before = len(idle.carried)
    idle.wait(1000)
    assert len(idle.carried) == before
    kept.wait(250)
    empty = [data for data in kept.carried if data[0] == noise.DATA and len(data) == 32]
    assert 8 <= len(empty) <= 14


def test_who_hears_data_and_has_nothing_to_say_says_so_after_ten_seconds() -> None:
    pair = Pair()
    pair.say(packet())
    pair.wait(9)
    before = len(pair.carried)
    pair.wait(2)
    assert [(data[0], len(data)) for data in pair.carried[before:]] == [(noise.DATA, 32)]


def test_a_peer_that_falls_silent_is_called_again() -> None:
    pair = Pair()
    pair.say(packet())
    pair.wait(20)
    pair.silent = True
    pair.say(packet())
    before = pair.handshakes()
    pair.wait(16)
    assert pair.handshakes() == before + 1
    pair.silent = False
    pair.wait(10)
    pair.say(packet(payload=b"again"))
    assert pair.got[-1] == packet(payload=b"again")


def test_a_restarted_gateway_is_found_again() -> None:
    pair = Pair()
    pair.say(packet())
    pair.wait(5)
    pair.b = Tunnel(
        pair.b.private, [each.settings for each in pair.b.peers.values()], random.Random(9).randbytes, lambda: bytes(12)
    )
    pair.say(packet())
    pair.wait(16)
    pair.say(packet(payload=b"again"))
    assert pair.got[-1] == packet(payload=b"again")


def test_a_peer_may_move() -> None:
    pair = Pair()
    pair.say(packet())
    peer = next(iter(pair.b.peers.values()))
    assert peer.endpoint == HERE
    pair.a.send(packet(), pair.now)
    elsewhere = ("198.51.100.7", 4000)
    for _, data in pair.a.take_outbox():
        pair.b.receive(data, elsewhere, pair.now)
        pair.b.receive(data, ("192.0.2.66", 1), pair.now)
    assert peer.endpoint == elsewhere, "a replay from yet another place moves nobody"


def test_a_peer_may_only_send_from_its_own_addresses() -> None:
    pair = Pair()
    pair.say(packet())
    pair.say(packet(source="10.77.0.1"))
    pair.say(packet(destination="10.9.0.1"))
    assert len(pair.got) == 1
    assert pair.b.refused == 1


def test_an_old_initiation_is_not_answered_again() -> None:
    pair = Pair()
    pair.say(packet())
    pair.now += 60
    pair.b.receive(pair.carried[0], HERE, pair.now)
    assert pair.b.outbox == []
    assert pair.b.refused == 1


@settings(max_examples=60)
@given(st.lists(st.integers(0, 19), max_size=80))
def test_each_packet_comes_through_at_most_once_in_any_order(order: list[int]) -> None:
    pair = Pair()
    pair.say(packet())
    pair.got.clear()
    for number in range(20):
        pair.a.send(packet(payload=bytes((number,))), pair.now)
    sent = [data for _, data in pair.a.take_outbox()]
    through = [inner for each in order if (inner := pair.b.receive(sent[each], HERE, pair.now)) is not None]
    assert through == [packet(payload=bytes((each,))) for each in dict.fromkeys(order)]


@settings(max_examples=150)
@given(st.integers(0, 2), st.data())
def test_whatever_is_changed_on_the_way_is_dropped(which: int, data: st.DataObject) -> None:
    pair = Pair()
    pair.a.send(packet(), pair.now)
    receiver = pair.b
    ((_, message),) = pair.a.take_outbox()
    if which:
        assert pair.b.receive(message, HERE, pair.now) is None
        ((_, message),) = pair.b.take_outbox()
        receiver = pair.a
    if which == 2:
        assert pair.a.receive(message, THERE, pair.now) is None
        ((_, message),) = pair.a.take_outbox()
        receiver = pair.b
    end = len(message) - (16 if which < 2 else 0)  # mac2 is not looked at
    at = data.draw(st.integers(0, end - 1))
    if data.draw(st.booleans()):
        changed = message[:at]
    else:
        changed = message[:at] + bytes((message[at] ^ data.draw(st.integers(1, 255)),)) + message[at + 1 :]
    assert receiver.receive(changed, HERE, pair.now) is None
    assert receiver.outbox == []


@given(st.binary(max_size=200))
def test_arbitrary_bytes_do_nothing(data: bytes) -> None:
    pair = Pair()
    pair.say(packet())
    for kind in (b"", *(bytes((each, 0, 0, 0)) for each in range(1, 5))):
        assert pair.b.receive(kind + data, HERE, pair.now) is None
    assert pair.b.outbox == []


@given(st.lists(st.integers(0, 6000), max_size=200))
def test_the_window_takes_each_counter_once(counters: list[int]) -> None:
    window, seen, greatest = ReplayWindow(), set[int](), -1
    for counter in counters:
        expected = counter not in seen and counter > greatest - noise.WINDOW
        assert window.take(counter) is expected
        seen.add(counter)
        greatest = max(greatest, counter)


def test_keys_as_people_write_them() -> None:
    private, public = noise.generate_keys(random.Random(1).randbytes)
    assert len(private) == len(public) == 44
    assert noise.public_key(noise.read_key(private)) == noise.read_key(public)
    with pytest.raises(ValueError, match="44 characters"):
        noise.read_key("short")


def test_a_key_of_low_order_is_refused() -> None:
    with pytest.raises(Unauthentic):
        noise.initiate(bytes(range(32)), bytes(32), 1, bytes(12), random.Random(1).randbytes)
    with pytest.raises(Malformed):
        noise.message_type(b"\1\0\0\0")
