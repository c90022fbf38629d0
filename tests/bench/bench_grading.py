"""Frames of a pcapng file into observations, per second: the grader ÷ `tshark -T fields`, same file, same run.

    python tests/bench/bench_grading.py [seconds of plant time]

The capture is of a gateway that polls ten controllers ten times a second and publishes what it read, every frame seen
on both cables it crosses. tshark's time to start is subtracted. Then the memory for a capture ten times as long.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil

from grading.dissector import Dissector
from lab.clock import EPOCH_NS
from lab.model.address import mac_of
from lab.model.frame import Port, Tap
from lab.wire import modbus, mqtt, pcapng
from lab.wire.ethernet import IPV4
from lab.wire.modbus import Adu
from lab.wire.tcp import FrameTemplate

ROUNDS = 5
CONTROLLERS = [f"plc-{number}" for number in range(1, 11)]
HOSTS = ["gw", "broker", *CONTROLLERS]
SYN, ACK, PSH = 2, 16, 8
FIELDS = [
    "frame.number",
    "frame.time_epoch",
    "frame.interface_name",
    "ip.src",
    "ip.dst",
    "mbtcp.trans_id",
    "mbtcp.unit_id",
    "modbus.func_code",
    "modbus.reference_num",
    "modbus.regval_uint16",
    "mqtt.topic",
    "mqtt.qos",
    "mqtt.msg",
]
Seen = tuple[Tap, bytes]


class Connection:
    """Frames between the gateway and a server, without anybody to send them."""

    def __init__(self, server: str, port: int) -> None:
        number = HOSTS.index(server) + 1
        here, there = bytes((10, 0, 0, 1)), bytes((10, 0, 0, number))
        near, far = mac_of("gw", "eth0"), mac_of(server, "eth0")
        kind = IPV4.to_bytes(2, "big")
        self._out = FrameTemplate(far + near + kind, here, there, (50_000 + number, port))
        self._back = FrameTemplate(near + far + kind, there, here, (port, 50_000 + number))
        self._taps = {
            True: (Tap(Port("sw", "p1"), Port("gw", "eth0")), Tap(Port(server, "eth0"), Port("sw", f"p{number}"))),
            False: (Tap(Port("sw", f"p{number}"), Port(server, "eth0")), Tap(Port("gw", "eth0"), Port("sw", "p1"))),
        }
        self._sequence = {True: 1000, False: 9000}

    def send(self, by_client: bool, flags: int, payload: bytes = b"") -> Iterator[Seen]:
        template = self._out if by_client else self._back
        sequence, acknowledgment = self._sequence[by_client], self._sequence[not by_client]
        data = template.pack(1, sequence, acknowledgment, flags, 8192, payload).ljust(60, b"\0")
        self._sequence[by_client] = sequence + len(payload) + bool(flags & SYN) & 0xFFFF_FFFF
        for tap in self._taps[by_client]:
            yield tap, data

    def open(self) -> Iterator[Seen]:
        yield from self.send(True, SYN)
        yield from self.send(False, SYN | ACK)
        yield from self.send(True, ACK)

    def exchange(self, asked: bytes, answered: bytes) -> Iterator[Seen]:
        yield from self.send(True, PSH | ACK, asked)
        yield from self.send(False, PSH | ACK, answered)
        yield from self.send(True, ACK)


def traffic() -> Iterator[Seen]:
    """A plant without end."""
    polls = [Connection(name, modbus.PORT) for name in CONTROLLERS]
    broker = Connection("broker", 1883)
    for connection in (*polls, broker):
        yield from connection.open()
    yield from broker.exchange(mqtt.Connect("gw").encode(), mqtt.Connack().encode())
    number = 0
    while True:
        for index, poll in enumerate(polls):
            number += 1
            values = tuple((number * 7 + register) & 0xFFFF for register in range(9))
            asked = Adu(number & 0xFFFF, 1, modbus.ReadInputRegisters(0, 9)).encode()
            yield from poll.exchange(asked, Adu(number & 0xFFFF, 1, modbus.RegistersRead(4, values)).encode())
            document = {"ts": number * 10, "values": {"pressure": values[0] / 100, "level": values[1]}}
            topic = f"v1/site/gw/{CONTROLLERS[index]}/telemetry"
            packet_id = number % 65_535 + 1
            publish = mqtt.Publish(topic, json.dumps(document).encode(), 1, packet_id=packet_id)
            yield from broker.exchange(publish.encode(), mqtt.Puback(packet_id).encode())


def write_capture(path: Path, frames: int) -> None:
    writer = pcapng.Writer()
    at = EPOCH_NS
    with path.open("wb") as file:
        file.write(writer.section())
        for tap, data in islice(traffic(), frames):
            at += 833_000  # a hundred polls and messages a second, of six frames each seen twice
            file.write(writer.frame(tap, at, data))


def grade(path: Path) -> tuple[float, int]:
    """Seconds from file to observations, and how many there are."""
    gc.collect()
    seen = 0
    began = time.perf_counter()
    dissector = Dissector(HOSTS, EPOCH_NS)
    with path.open("rb") as file:
        for frame in pcapng.read(file):
            if observations := dissector.feed(frame):
                seen += len(observations)
    return time.perf_counter() - began, seen


def dissect(path: Path) -> float:
    """Seconds that tshark takes."""
    command = ["tshark", "-r", str(path), "-T", "fields", *(part for field in FIELDS for part in ("-e", field))]
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def memory_after(path: Path) -> float:
    """MB in use while the last frame is being looked at."""
    dissector = Dissector(HOSTS, EPOCH_NS)
    with path.open("rb") as file:
        for frame in pcapng.read(file):
            dissector.feed(frame)
        gc.collect()
        return psutil.Process().memory_info().rss / 1e6


def main(seconds: int) -> None:
    frames = seconds * 1200
    with tempfile.TemporaryDirectory() as folder:
        short, longer, empty = (Path(folder) / name for name in ("short.pcapng", "long.pcapng", "empty.pcapng"))
        write_capture(short, frames)
        write_capture(longer, 10 * frames)
        write_capture(empty, 1)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            took, seen = grade(short)
            ours.append(frames / took)
            theirs.append(frames / (dissect(short) - dissect(empty)))
        grader, tshark = statistics.median(ours), statistics.median(theirs)
        print(f"{frames} frames, {seen} observations")
        print(f"grader        {grader:10,.0f} frames/s  ({1e6 / grader:.2f} µs a frame)")
        print(f"tshark        {tshark:10,.0f} frames/s")
        print(f"ratio         {grader / tshark:10.1f}")
        before, after = memory_after(short), memory_after(longer)
        print(f"memory        {before:10.1f} MB, ten times as long {after:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
