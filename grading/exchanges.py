"""Pings and UDP datagrams: what was asked, where it arrived, and whether anything came back."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from grading.flows import LINGER, PATIENCE, Emit
from grading.observations import (
    DatagramAnswered,
    DatagramUnanswered,
    PingAnswered,
    PingUnanswered,
    RequestArrived,
    RequestKind,
    RequestLeft,
)
from grading.stations import Station

MAX_EXCHANGES = 4096
MAX_ARRIVALS = 16
"""Hosts at which one broadcast is seen to arrive."""


@dataclass(slots=True, eq=False)
class Exchange:
    """A ping, or UDP datagrams between two ports, until one comes back."""

    kind: RequestKind
    client: Station
    key: bytes
    """As in the client's packets: kind, source and destination address, then ports, or identifier and sequence number."""
    reverse: bytes
    """As in an answer."""
    server_address: str
    port: int
    asked_at: float
    last: float
    frames: tuple[int, ...]
    server: str = ""
    arrived_at: tuple[Station, ...] = ()
    is_settled: bool = False
    """Answered, or given up and said so."""


class Exchanges:
    """All of a plant's, by their addresses and ports."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._by_key: dict[bytes, Exchange] = {}
        self._by_answer: dict[tuple[str, bytes], Exchange] = {}
        """By the client, and what an answer would look like."""

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: bytes) -> Exchange | None:
        """The exchange that a packet with these addresses and ports began."""
        return self._by_key.get(key)

    def sent(self, kind: RequestKind, key: bytes, station: Station, port: int, at: float, number: int) -> None:
        """A host sends a datagram or an echo request: the first of an exchange, one more of it, or an answer."""
        if key in station.quiet:
            return  # its answer to somebody, to be seen where it arrives
        known = self._by_key.get(key)
        if known is not None and known.client is station:
            known.last = at
            return
        if known is not None:
            self._drop(known)
        if len(self._by_key) >= MAX_EXCHANGES:
            by_weight = sorted(self._by_key.values(), key=lambda each: (not each.is_settled, each.last))
            for each in by_weight[: MAX_EXCHANGES // 4]:
                self._settle(each, at)
                self._drop(each)
        ports = key[11:13] + key[9:11] if kind == "udp" else key[9:13]
        reverse = key[:1] + key[5:9] + key[1:5] + ports
        address = str(IPv4Address(key[5:9]))
        exchange = Exchange(kind, station, key, reverse, address, port, at, at, (number,))
        self._by_key[key] = self._by_answer[station.name, reverse] = exchange
        self._emit(RequestLeft(at, station.name, "", address, (number,), kind, port))

    def arrived(self, key: bytes, station: Station, at: float, number: int) -> None:
        """A packet has come to a host: if it is somebody's first, say so."""
        exchange = self._by_key.get(key)
        if exchange is None or exchange.client is station or station in exchange.arrived_at:
            return
        if len(exchange.arrived_at) >= MAX_ARRIVALS:
            return
        exchange.arrived_at += (station,)
        exchange.server = station.name
        station.quiet.add(exchange.reverse)
        where = (at, exchange.client.name, station.name, exchange.server_address, (*exchange.frames[:1], number))
        self._emit(RequestArrived(*where, exchange.kind, exchange.port, exchange.asked_at))

    def answered(self, key: bytes, station: Station, at: float, number: int) -> bool:
        """Whether a packet that came to a host answers something it asked."""
        exchange = self._by_answer.get((station.name, key))
        if exchange is None:
            return False
        exchange.last = at
        if not exchange.is_settled:
            exchange.is_settled = True
            where = (at, station.name, exchange.server, exchange.server_address, (*exchange.frames, number))
            if exchange.kind == "ping":
                self._emit(PingAnswered(*where, exchange.asked_at))
            else:
                self._emit(DatagramAnswered(*where, exchange.port, exchange.asked_at))
        return True

    def sweep(self, now: float) -> None:
        """About a second has passed: give up, and forget."""
        for exchange in list(self._by_key.values()):
            if now - exchange.asked_at >= PATIENCE:
                self._settle(exchange, exchange.asked_at + PATIENCE)
                if exchange.kind == "ping" or now - exchange.last > LINGER:
                    self._drop(exchange)

    def _settle(self, exchange: Exchange, at: float) -> None:
        """Nobody answered."""
        if not exchange.is_settled:
            exchange.is_settled = True
            where = (at, exchange.client.name, exchange.server, exchange.server_address, exchange.frames)
            if exchange.kind == "ping":
                self._emit(PingUnanswered(*where, exchange.asked_at))
            else:
                self._emit(DatagramUnanswered(*where, exchange.port, exchange.asked_at))

    def _drop(self, exchange: Exchange) -> None:
        del self._by_key[exchange.key]
        self._by_answer.pop((exchange.client.name, exchange.reverse), None)
        for station in exchange.arrived_at:
            station.quiet.discard(exchange.reverse)
