"""Store and forward: order, limits, a disk that outlasts the program, and what a killed program leaves behind."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store import log as log_module
from gateway.store import outbox as outbox_module
from gateway.store.log import Entry, Log
from gateway.store.outbox import Limits, Outbox
from gateway.store.volume import FolderVolume, volume_for
from lab.clock import plant_clock
from lab.network.disk import Disk

_NS = 1_000_000_000


class Hours:
    """A clock and its timers, turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._count), callback))

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.call_later(0, callback)

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, callback = heapq.heappop(self._due)
            callback()
        self.now = end


@pytest.fixture
def hours() -> Iterator[Hours]:
    clock = Hours()
    token = plant_clock.set(lambda: round(clock.now * _NS))
    yield clock
    plant_clock.reset(token)


def outbox(
    hours: Hours, disk: Disk, *, messages: int = 1000, size: int = 1 << 30, window: int = 5, **more: Any
) -> Outbox:
    limits = Limits(messages, size, more.get("age", float("inf")))
    return Outbox(limits, window, Log(volume_for(disk, "q"), disk), hours)


def put(box: Outbox, hours: Hours, *numbers: int, pad: int = 0) -> None:
    for number in numbers:
        box.put(Entry(0, "t", f"{number} ".encode() + b"x" * pad, round(hours.now * _NS)))


def number(entry: Entry) -> int:
    return int(entry.payload.split()[0])


def drain(box: Outbox) -> list[int]:
    """Everything is sent and acknowledged at once."""
    found = []
    while (entry := box.next()) is not None:
        found.append(number(entry))
        box.sent(entry, len(found))
        box.acknowledged(len(found))
    return found


def test_what_is_acknowledged_promptly_never_touches_the_disk(hours: Hours) -> None:
    disk = Disk()
    box = outbox(hours, disk)
    for n in range(1000):
        put(box, hours, n)
        hours.pass_by(0.05)
        assert drain(box) == [n]
    hours.pass_by(1)
    assert (disk.used, box.on_disk, disk.files) == (0, 0, {})


def test_what_waits_for_longer_than_a_moment_survives_the_death_of_the_program(hours: Hours) -> None:
    disk = Disk()
    box = outbox(hours, disk)
    put(box, hours, 1, 2, 3)
    sent = box.next()
    assert sent is not None
    box.sent(sent, 7)
    hours.pass_by(0.21)
    put(box, hours, 4)
    hours.pass_by(0.1)
    # Nobody closes it. What was in flight is kept too; what came a tenth of a second ago is within what may be lost.
    again = outbox(hours, disk)
    assert again.recovered == 3
    assert drain(again) == [1, 2, 3]


def test_what_was_acknowledged_is_not_sent_again_after_a_crash(hours: Hours) -> None:
    disk = Disk()
    box = outbox(hours, disk)
    put(box, hours, *range(10))
    hours.pass_by(1)
    for identifier in range(4):
        entry = box.next()
        assert entry is not None
        box.sent(entry, identifier)
    box.acknowledged(1)
    box.acknowledged(0)
    hours.pass_by(0)
    assert drain(outbox(hours, disk)) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_proper_end_leaves_everything_on_the_disk_and_gives_its_room_back_when_it_has_arrived(hours: Hours) -> None:
    disk = Disk()
    box = outbox(hours, disk)
    put(box, hours, 1, 2, 3)
    box.close()
    box = outbox(hours, disk)
    assert disk.used == box.on_disk > 0
    assert drain(box) == [1, 2, 3]
    hours.pass_by(0)
    assert disk.used == box.on_disk == 0
    assert disk.files == {}


def test_a_long_queue_is_on_the_disk_and_comes_back_in_order(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_IN_MEMORY", 2000)
    monkeypatch.setattr(log_module, "SEGMENT", 5000)
    disk = Disk()
    box = outbox(hours, disk, messages=10_000)
    for n in range(500):
        put(box, hours, n, pad=50)
        hours.pass_by(0.1)
    assert len(box._ready) + len(box._fresh) < 60, "most of it is not in memory"
    found = []
    for n in range(500, 700):  # twice as fast as new ones come
        put(box, hours, n, pad=50)
        hours.pass_by(0.1)
        for _ in range(4):
            if (entry := box.next()) is not None:
                found.append(number(entry))
                box.sent(entry, 1)
                box.acknowledged(1)
    assert found == list(range(len(found)))
    assert found[-1] == 699
    hours.pass_by(1)
    assert disk.used == 0


@pytest.mark.parametrize("limit", [{"messages": 20}, {"size": 20 * 80}])
def test_when_it_is_full_the_oldest_go_and_are_counted(hours: Hours, limit: dict[str, int]) -> None:
    disk = Disk()
    box = outbox(hours, disk, **limit)
    for n in range(1000):
        put(box, hours, n, pad=50)
        hours.pass_by(1)
    left = drain(box)
    assert left == list(range(1000 - len(left), 1000))
    assert 19 <= len(left) <= 21
    assert box.dropped == 1000 - len(left)


def test_what_is_too_old_goes_and_is_counted(hours: Hours) -> None:
    box = outbox(hours, Disk(), age=60)
    for n in range(100):
        put(box, hours, n)
        hours.pass_by(1)
    left = drain(box)
    assert left == list(range(40, 100))
    assert box.dropped == 40


def test_without_room_on_the_disk_what_cannot_go_out_is_lost_and_counted(hours: Hours) -> None:
    disk = Disk()
    disk.take(disk.free)
    box = outbox(hours, disk)
    put(box, hours, 1, 2)
    flying = box.next()
    assert flying is not None
    box.sent(flying, 1)
    hours.pass_by(1)
    assert (box.not_stored, len(box)) == (1, 1)
    assert box.acknowledged(1) is flying, "what is in flight may still arrive"
    disk.give_back(1000)
    put(box, hours, 3)
    hours.pass_by(1)
    assert drain(box) == [3]


def test_files_that_cannot_be_written_are_a_disk_without_room(hours: Hours, tmp_path: Path) -> None:
    disk = Disk()
    disk.folder = tmp_path / "host"
    disk.folder.write_text("this is no folder")
    box = outbox(hours, disk)
    put(box, hours, 1)
    hours.pass_by(1)
    assert box.not_stored == 1
    assert box.log is not None
    assert isinstance(box.log.trouble, OSError)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=8), st.data())
def test_whatever_is_cut_off_or_spoilt_the_messages_before_it_are_read(
    payloads: list[bytes], draw: st.DataObject
) -> None:
    disk = Disk()
    entries = [Entry(0, "主题", payload, number) for number, payload in enumerate(payloads)]
    assert Log(volume_for(disk, "q"), disk).append(entries)
    (file,) = disk.files.values()
    at = draw.draw(st.integers(0, len(file) - 1))
    if draw.draw(st.booleans()):
        del file[at:]
    else:
        file[at] ^= draw.draw(st.integers(1, 255))
    whole = sum(entry.place is not None and entry.place.offset + entry.size <= at for entry in entries)
    log = Log(volume_for(disk, "q"), disk)
    waiting = log.open()
    assert len(waiting) == whole
    if waiting:
        assert [entry.payload for entry in log.read(waiting[0][0], 1 << 20)[0]] == payloads[:whole]
    late = Entry(0, "t", b"late", 99)
    assert log.append([late]), "and it goes on behind the damage"
    assert Log(volume_for(disk, "q"), disk).open()[-1][0] == late.place


steps = st.lists(st.sampled_from(["put", "send", "ack", "forget", "wait", "crash", "restart"]), max_size=120)


@given(st.integers(1, 20), st.integers(1, 5), steps, st.sampled_from([60, 1 << 20]))
def test_order_holds_and_every_message_is_accounted_for(
    capacity: int, window: int, told: list[str], memory: int
) -> None:
    hours = Hours()
    token = plant_clock.set(lambda: round(hours.now * _NS))
    kept, outbox_module._IN_MEMORY = outbox_module._IN_MEMORY, memory  # type: ignore[misc]
    try:
        disk = Disk()
        box = outbox(hours, disk, messages=capacity, window=window)
        count = 0
        flying: list[tuple[int, Entry]] = []
        arrived: list[int] = []
        gone = 0
        for identifier, step in enumerate(told):
            if step == "put":
                put(box, hours, count)
                count += 1
            elif step == "send" and (entry := box.next()) is not None:
                box.sent(entry, identifier)
                flying.append((identifier, entry))
            elif step == "ack" and flying:
                arrived.append(number(flying[0][1]))
                box.acknowledged(flying.pop(0)[0])
            elif step == "forget":
                box.forgotten()
                flying.clear()
            elif step == "wait":
                hours.pass_by(0.3)
            elif step in ("crash", "restart"):
                hours.pass_by(0.3)
                if step == "restart":
                    box.close()
                else:
                    disk.used = 0
                gone += box.dropped
                flying.clear()
                box = outbox(hours, disk, messages=capacity, window=window)
            assert len(arrived) + gone + box.dropped + len(box) == count
            assert [number(entry) for _, entry in flying] == sorted(number(entry) for _, entry in flying)
            assert len(box) <= capacity + window
            assert box.size == sum(Entry(0, "t", f"{n} ".encode(), 0).size for n in _held(box))
        assert arrived == sorted(set(arrived))
    finally:
        outbox_module._IN_MEMORY = kept  # type: ignore[misc]
        plant_clock.reset(token)


def _held(box: Outbox) -> list[int]:
    """The numbers in it, looked up without changing anything."""
    on_disk: list[Entry] = []
    if box._on_disk:
        assert box.log is not None
        assert box._cursor is not None
        on_disk = box.log.read(box._cursor, 1 << 30)[0][: box._on_disk]
    parts = (box._in_flight.values(), box._ready, on_disk, box._fresh)
    return [number(entry) for part in parts for entry in part]


def test_files_on_a_real_disk_are_the_same_files(hours: Hours, tmp_path: Path) -> None:
    disk = Disk()
    disk.folder = tmp_path / "gw"
    box = outbox(hours, disk)
    hours.pass_by(1)
    assert not disk.folder.exists(), "nothing is made before there is something to keep"
    put(box, hours, *range(50))
    hours.pass_by(1)
    assert sum(path.stat().st_size for path in disk.folder.rglob("*.log")) == box.on_disk
    again = outbox(hours, Disk(), window=3)
    assert again.recovered == 0
    copy = Disk()
    copy.folder = disk.folder
    assert drain(outbox(hours, copy)) == list(range(50))
    hours.pass_by(1)
    assert list(disk.folder.rglob("*.log")) == []


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    disk = Disk()
    disk.folder = tmp_path
    volume = volume_for(disk, "../../etc")
    assert isinstance(volume, FolderVolume)
    volume.append("a", b"x")
    volume.close()
    assert [path.name for path in tmp_path.iterdir()] == ["queue-..%2F..%2Fetc"]
