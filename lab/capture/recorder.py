"""From the taps of a plant to a capture file and to whoever watches live.

Every frame is encoded where it is seen, on the loop: that is a microsecond, and one thread then knows all numbers.
What happens to the bytes is the output's business:

- `BehindThread`, for live time: a slow disk must not stop the plant, so a thread writes. The loop hands it what has
  gathered, a tenth of a second after the first frame (or a quarter of a megabyte), and it is in the kernel's hands
  right after: a `kill -9` loses no more than that, and the file is good up to there. What waits is bounded; beyond,
  frames are left out of the file and counted.
- `AtOnce`, for fast time: the loop writes. Virtual time does not pass meanwhile, nothing is ever left out, and the
  same run gives the same file.
- `Memory`: the file as bytes, for proofs.
"""

from __future__ import annotations

import logging
import platform
import queue
import struct
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import BinaryIO, Final, Protocol

from lab.model.frame import Frame, Tap
from lab.wire import ethernet, pcapng

_log = logging.getLogger(__name__)

HAND_OVER_SECONDS: Final = 0.1
_HAND_OVER_BYTES: Final = 1 << 18
BACKLOG_LIMIT: Final = 64 << 20
"""Bytes that may wait for the writing thread."""

Listener = Callable[[Frame], None]


class Output(Protocol):
    """Where the bytes of a capture go."""

    @property
    def is_full(self) -> bool:
        """Whether frames must be left out now."""

    @property
    def failure(self) -> OSError | None:
        """Why the file ends early, if it does."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Write what is left and close the file; with a thread behind, this waits for the disk."""


class Memory:
    """Keeps the file."""

    is_full = False
    failure = None

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    @property
    def data(self) -> bytes:
        return b"".join(self._blocks)

    def write(self, data: bytes) -> None:
        self._blocks.append(data)

    def close(self) -> None:
        """Nothing to do."""


class AtOnce:
    """Writes in the caller's thread to a file opened for writing, which it closes at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: OSError | None = None

    @property
    def is_full(self) -> bool:
        return self.failure is not None

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self.failure = error

    def close(self) -> None:
        self.failure = _close(self._file, self.failure)


class BehindThread:
    """Writes in a thread to a file opened for writing, which it closes at the end."""

    def __init__(self, file: BinaryIO, loop: AbstractEventLoop, limit: int = BACKLOG_LIMIT) -> None:
        self.failure: OSError | None = None
        self._file = file
        self._loop = loop
        self._limit = limit
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        # Each of the two counters is changed by one thread only.
        self._taken = 0
        self._written = 0
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        return self._taken - self._written >= self._limit or self.failure is not None

    def write(self, data: bytes) -> None:
        self._taken += len(data)
        if not self._gathered:
            self._loop.call_later(HAND_OVER_SECONDS, self._hand_over)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _HAND_OVER_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(b"".join(self._gathered))
            self._gathered = []
            self._gathered_bytes = 0

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            if self.failure is None:  # after half a block, nothing that follows could be read
                try:
                    self._file.write(data)
                    self._file.flush()
                except OSError as error:
                    self.failure = error
            self._written += len(data)

    def close(self) -> None:
        self._hand_over()
        self._queue.put(None)
        self._thread.join()
        self.failure = _close(self._file, self.failure)


def _close(file: BinaryIO, failure: OSError | None) -> OSError | None:
    try:
        file.close()
    except OSError as error:
        return failure or error
    return failure


_TAG, _END = 12, 0
"""EXP_PDU_TAG_DISSECTOR_NAME and the end of the tags."""
_MODBUS_RTU = struct.pack("!HH8sHH", _TAG, 8, b"mbrtu", _END, 0)


class Taps(Protocol):
    """What a recorder needs of a network."""

    @property
    def taps(self) -> list[Callable[[Tap, int, bytes], None]]: ...
    @property
    def serial_taps(self) -> list[Callable[[Tap, int, bytes], None]]: ...


class Recorder:
    """Numbers the frames of a plant and passes them on; `attach` it to a network, and `detach` it before `close`.

    Frames shorter than Ethernet's minimum get their padding here, so that those of simulated hosts, which send none,
    look like those of real ones.
    """

    def __init__(self, output: Output, *, comment: str = "") -> None:
        self._output = output
        self._writer = pcapng.Writer()
        self._listeners: tuple[Listener, ...] = ()
        self._counts: dict[Tap, list[int]] = {}
        """Frames seen and frames left out, by tap."""
        self._is_dropping = False
        self._last_at = 0
        self.recorded = 0
        """Frames in the file: the number of the latest."""
        self.dropped = 0
        """Frames left out of the file because it could not be written fast enough, or at all."""
        output.write(self._writer.section(os=f"{platform.system()} {platform.release()}", comment=comment))

    @property
    def failure(self) -> OSError | None:
        """Why the file ends early, if it does."""
        return self._output.failure

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every frame from now on; returns what ends that.

        A frame that is not in the file has number 0. A listener that raises is told no more.
        """
        self._listeners += (listener,)
        return lambda: self._forget(listener)

    def __call__(self, tap: Tap, at: int, data: bytes) -> None:
        """A frame has arrived."""
        if len(data) < ethernet.MINIMUM:
            data = data.ljust(ethernet.MINIMUM, b"\0")
        number = self._record(tap, at, data)
        if self._listeners:
            frame = Frame(number, at, tap, data)
            for listener in self._listeners:
                try:
                    listener(frame)
                except Exception:
                    # Whoever watches must not change what is watched: the plant goes on.
                    _log.exception("%r failed at frame %d and is told no more", listener, number)
                    self._forget(listener)

    def serial(self, tap: Tap, at: int, data: bytes) -> None:
        """A Modbus RTU frame was on a serial line; append this to `network.serial_taps`. Listeners hear of Ethernet only.

        Wireshark reads such frames by the name of their dissector (LINKTYPE_WIRESHARK_UPPER_PDU).
        """
        if tap not in self._counts and not self._output.is_full:
            self._output.write(self._writer.interface(tap, pcapng.UPPER_PDU))
        self._record(tap, at, _MODBUS_RTU + data)

    def attach(self, network: Taps) -> None:
        """Record everything that is on a network's cables and lines from now on."""
        network.taps.append(self)
        network.serial_taps.append(self.serial)

    def detach(self, network: Taps) -> None:
        """Record no more of it."""
        network.taps.remove(self)
        network.serial_taps.remove(self.serial)

    def _record(self, tap: Tap, at: int, data: bytes) -> int:
        """Write a frame where that can be done; the number it has in the file, or 0."""
        counts = self._counts.get(tap)
        if counts is None:
            counts = self._counts[tap] = [0, 0]
        counts[0] += 1
        self._last_at = at
        if self._output.is_full:
            self._is_dropping = True
            self.dropped += 1
            counts[1] += 1
            number = 0
        else:
            if self._is_dropping:
                # Not only at the end: should the program be killed, the file still says that it is not complete.
                self._is_dropping = False
                self._tell_counts()
            self.recorded = number = self.recorded + 1
            self._output.write(self._writer.frame(tap, at, data))
        return number

    def close(self) -> None:
        """End the file, with the counts of every tap."""
        self._tell_counts()
        self._output.close()

    def _tell_counts(self) -> None:
        for tap, (seen, dropped) in self._counts.items():
            self._output.write(self._writer.statistics(tap, self._last_at, seen, dropped))

    def _forget(self, listener: Listener) -> None:
        self._listeners = tuple(each for each in self._listeners if each is not listener)
