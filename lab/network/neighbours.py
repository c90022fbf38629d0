"""Who has which IPv4 address on the link: ARP as a host does it (RFC 826, RFC 1122 section 2.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

from lab.network.timer import Timer
from lab.wire import ethernet
from lab.wire.arp import Arp, Operation

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.nic import Nic

LIFETIME = 300.0
"""Seconds without any ARP packet from a neighbour before it is asked for again."""
RETRY_SECONDS = 1.0
TRIES = 3
_PENDING_FRAMES = 16
_TABLE_LIMIT = 1024


class _Question:
    __slots__ = ("failed", "frames", "timer", "tries")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.failed: list[Callable[[], None]] = []
        self.tries = 0
        self.timer: Timer


class Neighbours:
    """The ARP cache of one interface, and the frames that wait for an answer."""

    def __init__(self, host: Host, nic: Nic) -> None:
        self._host = host
        self._nic = nic
        self._table: dict[bytes, tuple[bytes, float]] = {}
        self._pinned: dict[bytes, bytes] = {}
        """Static entries, which nothing heard changes."""
        self._questions: dict[bytes, _Question] = {}
        self._probes: dict[bytes, Callable[[], None]] = {}
        self._expiry = Timer(host.network.loop, Context(), self._expire)

    @property
    def table(self) -> dict[bytes, bytes]:
        """Address to MAC, both as bytes."""
        return {address: mac for address, (mac, _) in self._table.items()} | self._pinned

    def find(self, address: bytes) -> bytes | None:
        if self._pinned and (pinned := self._pinned.get(address)) is not None:
            return pinned
        entry = self._table.get(address)
        return entry[0] if entry else None

    def pin(self, address: bytes, mac: bytes) -> None:
        """Enter a static entry."""
        self._pinned[address] = mac
        self._host.generation += 1

    def unpin(self, address: bytes) -> None:
        """Remove a static entry, if there is one."""
        if self._pinned.pop(address, None) is not None:
            self._host.generation += 1

    def forget(self, address: bytes) -> None:
        """Remove what was learnt about one address, if anything."""
        if self._table.pop(address, None) is not None:
            self._host.generation += 1

    def send(self, address: bytes, frame: bytes, failed: Callable[[], None] | None = None) -> None:
        """Send a frame, its destination MAC still to be filled in, to the neighbour with this address.

        Asks for the neighbour first where it is unknown; `failed` is called when nobody answers.
        """
        mac = self.find(address)
        if mac is not None:
            self._nic.jack.send(mac + frame[6:])
            return
        question = self._questions.get(address)
        if question is None:
            question = self._questions[address] = _Question()
            question.timer = Timer(self._host.network.loop, Context(), lambda: self._ask(address))
            self._ask(address)
        if len(question.frames) < _PENDING_FRAMES:
            question.frames.append(frame)
        if failed is not None:
            question.failed.append(failed)

    def _ask(self, address: bytes) -> None:
        question = self._questions[address]
        if question.tries == TRIES:
            del self._questions[address]
            for failed in question.failed:
                failed()
            return
        question.tries += 1
        question.timer.start(RETRY_SECONDS)
        self._say(Operation.REQUEST, ethernet.BROADCAST, bytes(6), address)

    def announce(self) -> None:
        """Tell the link about our own address (RFC 5227 section 2.3)."""
        if self._nic.address is not None:
            self._say(Operation.REQUEST, ethernet.BROADCAST, bytes(6), self._nic.address)

    def probe(self, address: bytes, in_use: Callable[[], None]) -> None:
        """Ask who has an address before taking it (RFC 5227 section 2.1.1); `in_use` hears until `end_probe`."""
        self._probes[address] = in_use
        packet = Arp(Operation.REQUEST, self._nic.mac, bytes(4), bytes(6), address).encode()
        self._nic.jack.send(ethernet.HEADER.pack(ethernet.BROADCAST, self._nic.mac, ethernet.ARP) + packet)

    def end_probe(self, address: bytes) -> None:
        self._probes.pop(address, None)

    def forget_all(self) -> None:
        self._table.clear()
        for question in self._questions.values():
            question.timer.dispose()
        self._questions.clear()

    def heard(self, packet: Arp) -> None:
        """RFC 826's algorithm: refresh who is known, learn who asks for us, answer."""
        own = self._nic.address
        sender = packet.sender_ip
        if self._probes and (in_use := self._probes.get(sender)) is not None:
            in_use()
        if own is None:
            return
        for_us = packet.target_ip == own
        if sender != bytes(4) and sender != own and (for_us or sender in self._table or sender in self._questions):
            self._learn(sender, packet.sender_mac)
        if for_us and packet.operation is Operation.REQUEST and sender != own:
            self._say(Operation.REPLY, packet.sender_mac, packet.sender_mac, sender)

    def _learn(self, address: bytes, mac: bytes) -> None:
        known = self._table.get(address)
        if known is None and len(self._table) >= _TABLE_LIMIT:
            del self._table[next(iter(self._table))]
        self._table[address] = (mac, self._host.network.loop.time())
        if known is None or known[0] != mac:
            self._host.generation += 1
        if not self._expiry.is_running:
            self._expiry.start(LIFETIME)
        question = self._questions.pop(address, None)
        if question is not None:
            question.timer.dispose()
            for frame in question.frames:
                self._nic.jack.send(mac + frame[6:])

    def _expire(self) -> None:
        horizon = self._host.network.loop.time() - LIFETIME
        kept = {address: entry for address, entry in self._table.items() if entry[1] > horizon}
        if len(kept) != len(self._table):
            self._table = kept
            self._host.generation += 1
        if kept:
            self._expiry.start(LIFETIME / 4)

    def _say(self, operation: Operation, destination: bytes, target_mac: bytes, target_ip: bytes) -> None:
        own = self._nic.address
        assert own is not None
        packet = Arp(operation, self._nic.mac, own, target_mac, target_ip).encode()
        self._nic.jack.send(ethernet.HEADER.pack(destination, self._nic.mac, ethernet.ARP) + packet)
