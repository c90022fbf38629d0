"""A plant on paper: hosts on one switch, and the frames they exchange, each seen on both cables."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from grading.dissector import Dissector
from grading.observations import Observation
from lab.clock import EPOCH_NS
from lab.model.address import mac_of
from lab.model.frame import Frame, Port, Tap
from lab.wire import arp, ethernet, icmp, ipv4, pcapng, udp
from lab.wire.checksum import checksum, pseudo_header
from lab.wire.tcp import FrameTemplate

Kind = TypeVar("Kind", bound=Observation)

SYN, FIN, RST, PSH, ACK = 2, 1, 4, 8, 16
_MASK = 0xFFFF_FFFF
_MICROSECOND = 1_000
CROSSING = 10 * _MICROSECOND


def address(number: int) -> bytes:
    return bytes((10, 0, 0, number))


@dataclass
class Station:
    """A host of the paper plant."""

    name: str
    number: int

    @property
    def ip(self) -> bytes:
        return address(self.number)

    @property
    def text(self) -> str:
        return f"10.0.0.{self.number}"

    @property
    def mac(self) -> bytes:
        return mac_of(self.name, "eth0")


class Paper:
    """Hosts h1, h2 … or those named, at 10.0.0.1, .2 … behind one switch."""

    def __init__(self, *names: str) -> None:
        self.stations = {name: Station(name, number) for number, name in enumerate(names or ("h1", "h2"), 1)}
        self.frames: list[Frame] = []
        self.now = 0
        """Nanoseconds since the run began."""
        self._ports = 50_000

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.stations)

    def __getitem__(self, name: str) -> Station:
        return self.stations[name]

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    def until(self, seconds: float) -> None:
        self.now = max(self.now, round(seconds * 1e9))

    # -- frames on cables ------------------------------------------------------------------------------------------

    def up(self, sender: str, data: bytes) -> None:
        """A frame goes from a host to the switch."""
        self._record(Tap(Port("sw", f"p{self[sender].number}"), Port(sender, "eth0")), data)

    def down(self, receiver: str, data: bytes) -> None:
        """A frame goes from the switch to a host."""
        self._record(Tap(Port(receiver, "eth0"), Port("sw", f"p{self[receiver].number}")), data)

    def carry(self, sender: str, receiver: str, data: bytes) -> None:
        self.up(sender, data)
        self.down(receiver, data)

    def direct(self, sender: str, receiver: str, data: bytes) -> None:
        """A frame on a cable from host to host."""
        self._record(Tap(Port(receiver, "eth0"), Port(sender, "eth0")), data)

    def _record(self, tap: Tap, data: bytes) -> None:
        self.now += CROSSING
        self.frames.append(Frame(len(self.frames) + 1, EPOCH_NS + self.now, tap, data.ljust(60, b"\0")))

    # -- what hosts say --------------------------------------------------------------------------------------------

    def packet(self, sender: str, receiver: str, protocol: int, payload: bytes, **header: Any) -> bytes:
        source, target = self[sender], self[receiver]
        packet = ipv4.IPv4(source.ip, target.ip, protocol, payload, **header).encode()
        return ethernet.Ethernet(target.mac, source.mac, ethernet.IPV4, packet).encode()

    def echo(self, sender: str, receiver: str, sequence: int = 1, *, reply: bool = False) -> bytes:
        return self.packet(sender, receiver, ipv4.ICMP, icmp.Echo(reply, 7, sequence, b"ping").encode())

    def ping(self, sender: str, receiver: str, sequence: int = 1) -> None:
        self.carry(sender, receiver, self.echo(sender, receiver, sequence))
        self.carry(receiver, sender, self.echo(receiver, sender, sequence, reply=True))

    def datagram(self, sender: str, receiver: str, ports: tuple[int, int], payload: bytes = b"hello") -> bytes:
        message = udp.Udp(*ports, payload).encode(self[sender].ip, self[receiver].ip)
        return self.packet(sender, receiver, ipv4.UDP, message)

    def who_has(self, sender: str, wanted: bytes) -> bytes:
        asked = arp.Arp(arp.Operation.REQUEST, self[sender].mac, self[sender].ip, bytes(6), wanted)
        return ethernet.Ethernet(ethernet.BROADCAST, self[sender].mac, ethernet.ARP, asked.encode()).encode()

    def is_at(self, sender: str, receiver: str, claimed: bytes | None = None) -> bytes:
        mine, theirs = self[sender], self[receiver]
        answer = arp.Arp(arp.Operation.REPLY, mine.mac, claimed or mine.ip, theirs.mac, theirs.ip)
        return ethernet.Ethernet(theirs.mac, mine.mac, ethernet.ARP, answer.encode()).encode()

    def talk(self, client: str, server: str, port: int, **how: Any) -> Talk:
        self._ports += 1
        return Talk(self, client, server, port, self._ports, **how)

    def connect(self, client: str, server: str, port: int, **how: Any) -> Talk:
        talk = self.talk(client, server, port, **how)
        talk.open()
        return talk


@dataclass
class Talk:
    """A TCP connection on paper."""

    paper: Paper
    client: str
    server: str
    port: int
    own_port: int
    initial: int = 1000
    server_initial: int = 77_000
    is_direct: bool = False
    sent: int = field(init=False, default=0)
    answered: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        near, far = self.paper[self.client], self.paper[self.server]
        ether = struct.Struct("!6s6sH").pack
        there = ether(far.mac, near.mac, ethernet.IPV4), near.ip, far.ip, (self.own_port, self.port)
        back = ether(near.mac, far.mac, ethernet.IPV4), far.ip, near.ip, (self.port, self.own_port)
        self._there, self._back = FrameTemplate(*there), FrameTemplate(*back)

    def there(self, flags: int, payload: bytes = b"", *, skip: int = 0, ack: int | None = None) -> bytes:
        """A segment of the client's, `skip` bytes ahead of where it is."""
        sequence = (self.initial + self.sent + skip) & _MASK
        acknowledged = (self.server_initial + self.answered) & _MASK if ack is None else ack
        return self._there.pack(1, sequence, acknowledged if flags & ACK else 0, flags, 8192, payload)

    def back(self, flags: int, payload: bytes = b"", *, skip: int = 0, ack: int | None = None) -> bytes:
        sequence = (self.server_initial + self.answered + skip) & _MASK
        acknowledged = (self.initial + self.sent) & _MASK if ack is None else ack
        return self._back.pack(1, sequence, acknowledged, flags, 8192, payload)

    def forth(self, data: bytes) -> None:
        if self.is_direct:
            self.paper.direct(self.client, self.server, data)
        else:
            self.paper.carry(self.client, self.server, data)

    def home(self, data: bytes) -> None:
        if self.is_direct:
            self.paper.direct(self.server, self.client, data)
        else:
            self.paper.carry(self.server, self.client, data)

    def open(self) -> None:
        self.forth(self.there(SYN))
        self.sent += 1
        self.home(self.back(SYN | ACK))
        self.answered += 1
        self.forth(self.there(ACK))

    def say(self, data: bytes) -> None:
        self.forth(self.there(PSH | ACK, data))
        self.sent += len(data)

    def answer(self, data: bytes) -> None:
        self.home(self.back(PSH | ACK, data))
        self.answered += len(data)

    def close(self) -> None:
        self.forth(self.there(FIN | ACK))
        self.sent += 1
        self.home(self.back(FIN | ACK))
        self.answered += 1
        self.forth(self.there(ACK))


def observe(
    paper: Paper, frames: Iterable[Frame] | None = None, *, until: float | None = None, **how: Any
) -> list[Observation]:
    """What a dissector makes of these frames, and of the time after them."""
    dissector = Dissector(paper.names, EPOCH_NS, **how)
    seen: list[Observation] = []
    for frame in paper.frames if frames is None else frames:
        seen += dissector.feed(frame)
    if until is not None:
        seen += dissector.advance(EPOCH_NS + round(until * 1e9))
    return seen


def only(kind: type[Kind], seen: Sequence[Observation]) -> Kind:
    """The one observation of its kind."""
    found = [each for each in seen if type(each) is kind]
    assert len(found) == 1, found
    return found[0]


def all_of(kind: type[Kind], seen: Sequence[Observation]) -> list[Kind]:
    return [each for each in seen if type(each) is kind]


def foreign(path: Path, port: int) -> list[Frame]:
    """A capture of a loopback interface as it would look on a cable from `client` to `server`, checksums filled in."""
    frames = []
    with path.open("rb") as file:
        for frame in pcapng.read(file):
            packet = ethernet.decode(frame.data).payload
            size, length = (packet[0] & 0x0F) << 2, int.from_bytes(packet[2:4], "big")
            segment = packet[size:length]
            is_there = int.from_bytes(segment[2:4], "big") == port
            ends = ("client", "server") if is_there else ("server", "client")
            pseudo = pseudo_header(packet[12:16], packet[16:20], ipv4.TCP, len(segment))
            total = checksum(segment[:16] + b"\0\0" + segment[18:], pseudo)
            segment = segment[:16] + total.to_bytes(2, "big") + segment[18:]
            data = ethernet.Ethernet(
                mac_of(ends[1], "eth0"), mac_of(ends[0], "eth0"), ethernet.IPV4, packet[:size] + segment
            ).encode()
            tap = Tap(Port(ends[1], "eth0"), Port(ends[0], "eth0"))
            frames.append(Frame(frame.number, frame.at, tap, data))
    return frames
