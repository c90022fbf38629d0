"""A UART's transmitter and receiver: characters to levels on a line, and levels sampled back to characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from lab.network.serial.line import LineSettings, Parity


class Character(NamedTuple):
    """One character that a receiver took from the line."""

    value: int
    is_good: bool
    """False after a parity or framing error."""
    began: float
    """Seconds after the beginning of the transmission."""
    ended: float


def levels(data: bytes, settings: LineSettings) -> bytes:
    """The line bit by bit, 1 being the level at rest; first the rest of one bit with which a driver comes on."""
    pattern = _patterns(settings.data_bits, settings.parity, settings.stop_bits)
    return b"\1" + b"".join(map(pattern.__getitem__, data))


def disturbed(line: bytes, bits: Iterable[int]) -> bytes:
    """The line with these bits flipped."""
    flipped = bytearray(line)
    for bit in bits:
        flipped[bit] ^= 1
    return bytes(flipped)


_INVERT = bytes((1, 0)) + bytes(range(2, 256))


def inverted(line: bytes) -> bytes:
    """As it looks to a receiver whose two wires are swapped."""
    return line.translate(_INVERT)


def sample(line: bytes, sender: LineSettings, receiver: LineSettings) -> Iterator[Character]:
    """What a receiver makes of a line: from each falling edge it samples the middles of bits of its own length.

    After a framing error it waits until the line has been at rest. Before and after the transmission it is at rest.
    """
    bit = sender.baud / receiver.baud  # a bit of the receiver's, in bits of the sender's
    has_parity = receiver.parity != "none"
    odd = receiver.parity == "odd"
    stop = 1 + receiver.data_bits + has_parity
    size = len(line)
    at = 0.0
    while True:
        rest = line.find(1, int(at)) if at else 0
        edge = line.find(0, rest) if rest >= 0 else -1
        if edge < 0:
            return
        samples = [
            line[place] if (place := int(edge + (number + 0.5) * bit)) < size else 1 for number in range(stop + 1)
        ]
        if samples[0]:
            at = edge + 0.5 * bit  # too short for a start bit
            continue
        value = sum(level << place for place, level in enumerate(samples[1 : 1 + receiver.data_bits]))
        is_good = samples[stop] == 1 and not (has_parity and (value.bit_count() + samples[stop - 1]) % 2 != odd)
        at = edge + (stop + 0.5) * bit
        # The bit of rest before the first character is not part of the transmission.
        yield Character(value, is_good, (edge - 1) / sender.baud, (edge - 1 + (stop + 1) * bit) / sender.baud)
        if at >= size:
            return


@cache
def _patterns(data_bits: int, parity: Parity, stop_bits: int) -> tuple[bytes, ...]:
    """The levels of every byte: start bit, data from the lowest bit, parity, stop bits."""

    def pattern(byte: int) -> bytes:
        bits = [byte >> place & 1 for place in range(data_bits)]
        if parity != "none":
            bits.append((sum(bits) + (parity == "odd")) % 2)
        return bytes((0, *bits, *(1,) * stop_bits))

    return tuple(map(pattern, range(256)))
