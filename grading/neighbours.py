"""ARP: who was asked for, who answered, and who claims what is another's."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from grading.claims import Claims
from grading.flows import PATIENCE, Emit
from grading.observations import AddressConflict, ArpAnswered, ArpUnanswered
from grading.stations import Station
from lab.wire.arp import Arp, Operation

MAX_QUESTIONS = 1024
_NO_ADDRESS = bytes(4)


class Neighbours:
    """What hosts want to know of their neighbours, and hear."""

    def __init__(self, stations: Mapping[str, Station], emit: Emit) -> None:
        self._stations = stations
        self._emit = emit
        self._claims = Claims()
        self._asked: dict[tuple[str, bytes], tuple[float, int]] = {}
        """By host and address asked for: since when, and in which frame."""

    def sent(self, packet: Arp, station: Station, at: float, number: int) -> None:
        """A host asks, answers or announces."""
        is_question = packet.operation is Operation.REQUEST and not packet.is_gratuitous
        if is_question and packet.sender_ip != _NO_ADDRESS and len(self._asked) < MAX_QUESTIONS:
            self._asked.setdefault((station.name, packet.target_ip), (at, number))

    def heard(self, packet: Arp, at: float, number: int) -> None:
        """Somebody says whose an address is, anywhere in the plant."""
        if packet.sender_ip == _NO_ADDRESS:
            return  # RFC 5227 section 2.1.1: a probe claims nothing
        other = self._claims.claim(packet.sender_ip, packet.sender_mac, at, number)
        if other is not None:
            rival, frame = other
            names = (self._name_of(packet.sender_mac), self._name_of(rival))
            where = (at, *names, str(IPv4Address(packet.sender_ip)), (frame, number))
            self._emit(AddressConflict(*where, (rival, packet.sender_mac)))

    def answered(self, packet: Arp, station: Station, at: float, number: int) -> None:
        """A reply has come to a host."""
        asked = self._asked.pop((station.name, packet.sender_ip), None)
        if asked is not None:
            address = str(IPv4Address(packet.sender_ip))
            where = (at, station.name, self._name_of(packet.sender_mac), address, (asked[1], number))
            self._emit(ArpAnswered(*where, packet.sender_mac))

    def sweep(self, now: float) -> None:
        """About a second has passed: give up."""
        for (name, address), (asked_at, number) in list(self._asked.items()):
            if now - asked_at >= PATIENCE:
                del self._asked[name, address]
                where = (asked_at + PATIENCE, name, "", str(IPv4Address(address)), (number,))
                self._emit(ArpUnanswered(*where, asked_at))

    def _name_of(self, mac: bytes) -> str:
        return next((station.name for station in self._stations.values() if mac in station.macs), "")
