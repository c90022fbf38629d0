"""Transmissions under way on a line, and what a receiver makes of those that reach it, alone or at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from lab.network.serial.line import LineSettings
from lab.network.serial.uart import Character, disturbed, inverted, levels, sample

if TYPE_CHECKING:
    from lab.network.serial.port import SerialPort

_SLACK = 1e-9


class Path(NamedTuple):
    """How one port hears another."""

    is_inverted: bool = False
    bit_errors: float = 0.0
    """Probability per bit, beside what the whole line suffers from."""


class Reception(NamedTuple):
    """What a receiver got while the line was busy without a gap."""

    data: bytes
    flaws: int
    """Characters in `data` with parity or framing errors, or lost."""
    began: float
    """Seconds on the loop's clock."""
    ended: float


class Transmission:
    """Characters that one port sends without a gap."""

    __slots__ = ("began", "data", "ended", "flipped", "hearers", "is_broken", "origin", "settings")

    def __init__(self, origin: SerialPort, data: bytes, settings: LineSettings, began: float) -> None:
        self.origin = origin
        self.data = data
        self.settings = settings
        self.began = began
        self.ended = began + len(data) * settings.character_time
        self.flipped: tuple[int, ...] = ()
        """Bits that the line turned over for everybody, counted as in `uart.levels`."""
        self.is_broken = False
        """Whether wires or power were lost meanwhile."""
        self.hearers: tuple[tuple[Receiver, Path], ...] = ()


class Receiver:
    """The receiving half of a transceiver, or a probe on the line."""

    def __init__(
        self,
        random: Random,
        busy: Callable[[], None],
        heard: Callable[[Reception], None],
        settings: Callable[[Transmission], LineSettings],
    ) -> None:
        self._random = random
        self._busy = busy
        self._heard = heard
        self._settings = settings
        self._under_way = 0
        self._arriving: list[tuple[Transmission, Path]] = []
        self._deaf: list[tuple[float, float]] = []
        """When its own transmitter was on while something arrived."""

    def deafen(self, began: float, ended: float) -> None:
        """Its own transmitter is on for so long, and half duplex means that it hears nothing else."""
        now = began
        self._deaf = [span for span in self._deaf if self._arriving or span[1] > now]
        self._deaf.append((began, ended))

    def begin(self, transmission: Transmission, path: Path) -> None:
        """The first edge of a transmission arrives."""
        self._arriving.append((transmission, path))
        self._under_way += 1
        self._busy()

    def end(self) -> None:
        """One of those that arrive is over; with the last one the receiver tells what it got."""
        self._under_way -= 1
        if self._under_way:
            return
        arrived, self._arriving = self._arriving, []
        began = min(transmission.began for transmission, _ in arrived)
        ended = max(transmission.ended for transmission, _ in arrived)
        deaf = [span for span in self._deaf if span[0] < ended - _SLACK and span[1] > began + _SLACK]
        self._deaf = [span for span in self._deaf if span[1] > ended]
        if len(arrived) == 1 and not deaf:
            transmission, path = arrived[0]
            settings = self._settings(transmission)
            if not (transmission.flipped or path != _CLEAN or transmission.is_broken) and settings.understands(
                transmission.settings
            ):
                self._heard(Reception(transmission.data, 0, began, ended))
                return
        self._heard(self._sorted_out(arrived, deaf, began, ended))

    def _sorted_out(
        self, arrived: list[tuple[Transmission, Path]], deaf: list[tuple[float, float]], began: float, ended: float
    ) -> Reception:
        """Characters one after the other; where two transmissions are on the line at once it is garbage."""
        characters = [
            (transmission.began + each.began, transmission.began + each.ended, each, transmission)
            for transmission, path in arrived
            for each in self._characters(transmission, path)
        ]
        characters.sort(key=lambda character: character[:2])
        got, flaws = bytearray(), 0
        until = began
        for begins, ends, each, transmission in characters:
            if begins < until - _SLACK:
                continue  # the receiver is still busy with another one's
            if any(begins < span[1] - _SLACK and ends > span[0] + _SLACK for span in deaf):
                continue
            until = ends
            collides = any(
                other is not transmission and begins < other.ended - _SLACK and ends > other.began + _SLACK
                for other, _ in arrived
            )
            got.append(self._random.getrandbits(8) if collides else each.value)
            flaws += collides or not each.is_good
        lost = not got or any(transmission.is_broken for transmission, _ in arrived)
        return Reception(bytes(got), flaws + lost, began, ended)

    def _characters(self, transmission: Transmission, path: Path) -> list[Character]:
        if transmission.is_broken:
            return []
        settings = transmission.settings
        flipped = transmission.flipped + bit_errors(
            self._random, path.bit_errors, len(transmission.data) * settings.bits_per_character
        )
        receiver = self._settings(transmission)
        if not flipped and not path.is_inverted and receiver.understands(settings):
            time = settings.character_time
            return [
                Character(value, True, number * time, (number + 1) * time)
                for number, value in enumerate(transmission.data)
            ]
        line = levels(transmission.data, settings)
        if flipped:
            line = disturbed(line, flipped)
        return list(sample(inverted(line) if path.is_inverted else line, settings, receiver))


_CLEAN = Path()


def bit_errors(random: Random, rate: float, bits: int) -> tuple[int, ...]:
    """Which of so many bits turn over, each with this probability; the line's bit of rest (bit 0) never does."""
    if rate < 1e-12 or not bits:
        return ()
    if rate >= 1.0:
        return tuple(range(1, bits + 1))
    scale = math.log1p(-rate)
    found: list[int] = []
    at = 0
    while True:
        at += 1 + int(math.log(1.0 - random.random()) / scale)
        if at > bits:
            return tuple(found)
        found.append(at)
