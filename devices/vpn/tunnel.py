"""WireGuard's peers and timers (the paper's sections 2 and 6): told the time and given packets, it says what to send."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from devices.vpn import noise
from devices.vpn.noise import Initiation, Keys, RandomBytes, Unauthentic
from lab.wire import ipv4
from lab.wire.malformed import Malformed

REKEY_AFTER_MESSAGES: Final = 2**60
REKEY_AFTER_TIME: Final = 120.0
"""Seconds, as those that follow."""
REJECT_AFTER_TIME: Final = 180.0
REKEY_ATTEMPT_TIME: Final = 90.0
REKEY_TIMEOUT: Final = 5.0
KEEPALIVE_TIMEOUT: Final = 10.0
_JITTER: Final = 1 / 3
_INITIATION_INTERVAL: Final = 1 / 50
"""A peer that begins more often than this is not heard."""
_QUEUE: Final = 64
"""Packets that wait for a handshake."""

Endpoint = tuple[str, int]


class Outgoing(NamedTuple):
    endpoint: Endpoint
    data: bytes


@dataclass(frozen=True, slots=True)
class PeerSettings:
    public: bytes
    allowed: tuple[IPv4Network, ...]
    """What is sent to this peer, and what it may send from (cryptokey routing)."""
    psk: bytes = noise.NO_PSK
    endpoint: Endpoint | None = None
    """Where it is to begin with; then, where its latest authentic packet came from."""
    keepalive: int = 0
    """Seconds between packets that keep firewalls on the way open; 0 for none."""


class Peer:
    """One end we have a tunnel with."""

    def __init__(self, settings: PeerSettings) -> None:
        self.settings = settings
        self.endpoint = settings.endpoint
        self.previous: Keys | None = None
        self.current: Keys | None = None
        self.next: Keys | None = None
        """Given out in a response, and not to be sent with before the other side has used them."""
        self.initiation: Initiation | None = None
        self.attempt_began = 0.0
        self.latest_timestamp = b""
        self.latest_heard = float("-inf")
        self.latest_initiation = float("-inf")
        self.waiting: deque[bytes] = deque(maxlen=_QUEUE)
        self.handshakes = 0
        self.received = self.sent = 0
        """Bytes of packets inside the tunnel."""
        self.last_handshake: float | None = None
        self.due: dict[Callable[[Peer, float], None], float] = {}
        """What is to be done when, by whom."""


class Tunnel:
    """All peers of one gateway. What is to be sent stands in `outbox` until it is taken."""

    def __init__(
        self, private: bytes, peers: Iterable[PeerSettings], random: RandomBytes, timestamp: Callable[[], bytes]
    ) -> None:
        self.private, self.public = private, noise.public_key(private)
        self.peers = {settings.public: Peer(settings) for settings in peers}
        self.outbox: list[Outgoing] = []
        self.refused = 0
        """Packets dropped because they were malformed, unauthentic, replayed, or not from an allowed address."""
        self._random, self._timestamp = random, timestamp
        self._by_index: dict[int, Peer] = {}
        self._allowed = sorted(
            ((network, peer) for peer in self.peers.values() for network in peer.settings.allowed),
            key=lambda entry: -entry[0].prefixlen,
        )

    def take_outbox(self) -> Sequence[Outgoing]:
        taken, self.outbox = self.outbox, []
        return taken

    def next_deadline(self) -> float | None:
        """When `tick` wants to be called."""
        return min((when for peer in self.peers.values() for when in peer.due.values()), default=None)

    def tick(self, now: float) -> None:
        """Do what has become due."""
        for peer in self.peers.values():
            for action in [action for action, when in peer.due.items() if when <= now]:
                peer.due.pop(action, None)
                action(peer, now)

    def peer_for(self, address: bytes) -> Peer | None:
        """Cryptokey routing: the peer with the longest allowed prefix for an address."""
        number = IPv4Address(address)
        return next((peer for network, peer in self._allowed if number in network), None)

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, packet: bytes, now: float) -> bool:
        """An IPv4 packet for whoever it is addressed to; False where no peer has that address."""
        peer = self.peer_for(packet[16:20]) if len(packet) >= ipv4.HEADER.size else None
        if peer is None:
            return False
        if self._may_send(peer, now):
            self._send(peer, packet, now)
        else:
            peer.waiting.append(packet)
            self._begin(peer, now)
        return True

    @staticmethod
    def _may_send(peer: Peer, now: float) -> bool:
        keys = peer.current
        return keys is not None and now - keys.born < REJECT_AFTER_TIME and keys.sent < noise.REJECT_AFTER_MESSAGES

    def _send(self, peer: Peer, packet: bytes, now: float) -> None:
        keys = peer.current
        assert keys is not None
        if peer.endpoint is None:
            return
        self.outbox.append(Outgoing(peer.endpoint, keys.seal(packet)))
        peer.sent += len(packet)
        peer.due.pop(self._keepalive, None)
        self._sent_something(peer, now)
        if packet:
            # Section 6.2: no answer at all to data for so long, and the other side may have lost its keys.
            peer.due.setdefault(self._begin, now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT)
        is_old = now - keys.born >= REKEY_AFTER_TIME or keys.sent >= REKEY_AFTER_MESSAGES
        if keys.is_initiator and is_old:
            self._begin(peer, now)

    def _sent_something(self, peer: Peer, now: float) -> None:
        if peer.settings.keepalive:
            peer.due[self._keepalive_always] = now + peer.settings.keepalive

    def _keepalive(self, peer: Peer, now: float) -> None:
        if self._may_send(peer, now):
            self._send(peer, b"", now)

    def _keepalive_always(self, peer: Peer, now: float) -> None:
        if self._may_send(peer, now):
            self._send(peer, b"", now)
        else:
            self._begin(peer, now)
            self._sent_something(peer, now)

    def start(self, now: float) -> None:
        """Peers with a keepalive are called at once, the others when there is something to say."""
        for peer in self.peers.values():
            if peer.settings.keepalive:
                self._keepalive_always(peer, now)

    # -- handshakes ------------------------------------------------------------------------------------------------

    def _begin(self, peer: Peer, now: float) -> None:
        """Start a handshake unless one is under way."""
        if self._retry not in peer.due:
            peer.attempt_began = now
            self._initiate(peer, now)

    def _retry(self, peer: Peer, now: float) -> None:
        if now - peer.attempt_began >= REKEY_ATTEMPT_TIME:
            peer.waiting.clear()
            self._forget_initiation(peer)
        else:
            self._initiate(peer, now)

    def _initiate(self, peer: Peer, now: float) -> None:
        self._forget_initiation(peer)
        peer.due.pop(self._begin, None)
        if peer.endpoint is None:
            return
        index = self._new_index(peer)
        try:
            peer.initiation = noise.initiate(self.private, peer.settings.public, index, self._timestamp(), self._random)
        except Unauthentic:
            del self._by_index[index]
            return
        self.outbox.append(Outgoing(peer.endpoint, peer.initiation.message))
        self._sent_something(peer, now)
        # Two that begin at once must not do so for ever.
        peer.due[self._retry] = now + REKEY_TIMEOUT + self._random(1)[0] / 255 * _JITTER

    def _forget_initiation(self, peer: Peer) -> None:
        if peer.initiation is not None:
            self._by_index.pop(peer.initiation.index, None)
            peer.initiation = None

    def _new_index(self, peer: Peer) -> int:
        while True:
            index = int.from_bytes(self._random(4), "little")
            if index not in self._by_index:
                self._by_index[index] = peer
                return index

    def _use(self, peer: Peer, keys: Keys, now: float) -> None:
        """New keys are agreed; those before them still open what is on its way."""
        self._drop(peer.previous)
        peer.previous, peer.current = peer.current, keys
        if peer.next is keys:
            peer.next = None
        peer.handshakes += 1
        peer.last_handshake = now
        peer.due[self._forget_keys] = now + 3 * REJECT_AFTER_TIME
        while peer.waiting:
            self._send(peer, peer.waiting.popleft(), now)

    def _forget_keys(self, peer: Peer, now: float) -> None:
        for keys in (peer.previous, peer.current, peer.next):
            self._drop(keys)
        peer.previous = peer.current = peer.next = None

    def _drop(self, keys: Keys | None) -> None:
        if keys is not None:
            self._by_index.pop(keys.own, None)

    # -- receiving -------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, endpoint: Endpoint, now: float) -> bytes | None:
        """A packet that came through the tunnel, if this datagram had one; nothing else is ever let in."""
        try:
            kind = noise.message_type(data)
            if kind == noise.INITIATION:
                self._take_initiation(data, endpoint, now)
            elif kind == noise.RESPONSE:
                self._take_response(data, endpoint, now)
            elif kind == noise.DATA:
                return self._take_data(data, endpoint, now)
        except Malformed:
            self.refused += 1
        return None

    def _take_initiation(self, data: bytes, endpoint: Endpoint, now: float) -> None:
        heard = noise.hear(self.private, self.public, data)
        peer = self.peers.get(heard.static)
        if peer is None:
            raise Unauthentic("nobody we know")
        if heard.timestamp <= peer.latest_timestamp:
            raise Unauthentic("an initiation that has been here before, or a clock that went back")
        if now - peer.latest_heard < _INITIATION_INTERVAL:
            raise Unauthentic("too many initiations")
        peer.latest_timestamp, peer.latest_heard = heard.timestamp, now
        index = self._new_index(peer)
        message, keys = noise.respond(heard, peer.settings.psk, index, self._random, now)
        self._drop(peer.next)
        peer.next, peer.endpoint = keys, endpoint
        self.outbox.append(Outgoing(endpoint, message))
        peer.due.setdefault(self._forget_keys, now + 3 * REJECT_AFTER_TIME)
        self._sent_something(peer, now)

    def _take_response(self, data: bytes, endpoint: Endpoint, now: float) -> None:
        peer = self._by_index.get(noise.receiver_of(data))
        initiation = peer.initiation if peer is not None else None
        if peer is None or initiation is None or initiation.index != noise.receiver_of(data):
            raise Unauthentic("an answer to nothing")
        keys = noise.conclude(self.private, self.public, peer.settings.psk, initiation, data, now)
        peer.initiation, peer.endpoint = None, endpoint
        peer.due.pop(self._retry, None)
        had_to_wait = bool(peer.waiting)
        self._use(peer, keys, now)
        if not had_to_wait:
            self._send(peer, b"", now)  # section 5.4.4: the other side may not speak before it has heard these keys

    def _take_data(self, data: bytes, endpoint: Endpoint, now: float) -> bytes | None:
        index = noise.receiver_of(data)
        peer = self._by_index.get(index)
        known = (peer.current, peer.previous, peer.next) if peer is not None else ()
        keys = next((each for each in known if each is not None and each.own == index), None)
        if peer is None or keys is None or now - keys.born >= REJECT_AFTER_TIME:
            raise Unauthentic("no keys, or too old ones")
        plain = keys.open(data)
        peer.endpoint = endpoint
        peer.due.pop(self._begin, None)
        if keys is peer.next:
            self._use(peer, keys, now)
        age_limit = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT
        if keys is peer.current and keys.is_initiator and now - keys.born >= age_limit:
            self._begin(peer, now)
        if not plain:
            return None
        packet = self._check_inner(peer, plain)
        peer.received += len(packet)
        peer.due.setdefault(self._keepalive, now + KEEPALIVE_TIMEOUT)
        return packet

    def _check_inner(self, peer: Peer, plain: bytes) -> bytes:
        """The packet without padding; raises Unauthentic where the peer may not send from its source."""
        if len(plain) < ipv4.HEADER.size or plain[0] >> 4 != 4:
            raise Malformed("no IPv4 packet in the tunnel")
        length = int.from_bytes(plain[2:4], "big")
        if not ipv4.HEADER.size <= length <= len(plain):
            raise Malformed("the packet in the tunnel is cut off")
        if self.peer_for(plain[12:16]) is not peer:
            raise Unauthentic("the source is not among the peer's allowed IPs")
        return plain[:length]
