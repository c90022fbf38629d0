"""Readers of transponders and scanners of bar codes: what is seen becomes an event, once."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from gateway_kit import Room, tell
from hypothesis import given
from hypothesis import strategies as st
from test_gateway_lines import Ear

from gateway.identification.rfid import epc_of
from gateway.identification.scans import MAX_TEXT, Scan, ScanDecoder
from gateway.identification.sightings import Sightings

EPC = "3034257BF7194E4000003039"
"""The curriculum's vector for filter 1, GCP 0614141, item 812345, serial 12345."""
OTHER = "3035A537C8377540000003E9"
MS = 1_000_000


def registers_of(epc: str) -> list[int]:
    """StoredPC and EPC, filled up to 32 words."""
    data = bytes.fromhex(epc)
    words = list(struct.unpack(f">{len(data) // 2}H", data))
    return [len(words) << 11, *words, *[0] * (31 - len(words))]


def test_stored_pc_says_how_long_the_epc_is() -> None:
    assert epc_of(registers_of(EPC)) == EPC
    assert epc_of([0x3000 & 0xF800, *registers_of(EPC)[1:]]) == EPC, "96 bits are six words"
    assert epc_of([0] * 32) == ""


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 900)), max_size=60), st.integers(0, 1000))
def test_a_code_is_an_event_when_it_is_new_or_was_away_and_no_reading_is_uncounted(
    readings: list[tuple[str, int]], away: int
) -> None:
    sightings = Sightings(away)
    at, last, said, read = 0, {}, 0, 0
    open_reads: dict[str, int] = {}
    for code, pause in readings:
        at += pause * MS
        count = sightings.see(code, at)
        read += 1
        open_reads[code] = open_reads.get(code, 0) + 1
        assert (count is not None) == (code not in last or at - last[code] >= away * MS)
        if count is not None:
            assert count == open_reads.pop(code)
            said += count
        last[code] = at
    assert said + sum(open_reads.values()) == read


def test_memory_for_codes_is_bounded() -> None:
    sightings = Sightings(1000, kept=3)
    assert [sightings.see(code, 0) for code in "abcda"] == [1] * 5, "a was forgotten when d came"
    assert sightings.see("d", 0) is None


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_scans_survive_any_segmentation(step: int) -> None:
    stream = b"]C1010614141123452\x1d21ABC\r\n]E06901234567892\r\nplain\n\r\n]d2\xff\r\n"
    decoder = ScanDecoder()
    scans = [scan for at in range(0, len(stream), step) for scan in decoder.feed(stream[at : at + step])]
    assert scans == [
        Scan("]C1", "010614141123452\x1d21ABC"),
        Scan("]E0", "6901234567892"),
        Scan("", "plain"),
        Scan("]d2", "\ufffd"),
    ]


@given(st.lists(st.binary(max_size=3000), max_size=12))
def test_a_line_that_does_not_end_is_dropped_and_the_next_is_read(noise: list[bytes]) -> None:
    decoder = ScanDecoder()
    for chunk in noise:
        decoder.feed(chunk)
        assert len(decoder._buffer) <= MAX_TEXT
    decoder.feed(b"\r\n")
    assert decoder.feed(b"]Q1ok\r\n") == [Scan("]Q1", "ok")]


class ReaderPicture:
    """The reader's registers, served by hand."""

    def __init__(self, *, counts: bool) -> None:
        self.epc = ""
        self.shown = 0
        self._counts = counts

    def show(self, epc: str) -> None:
        self.epc = epc
        self.shown += bool(epc)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(12)
                offset, quantity = struct.unpack(">HH", request[8:])
                assert request[6] == 255
                if offset == 0x4000:
                    values = registers_of(self.epc) if self.epc else [0] * 32
                else:
                    values = [0 if self.epc else 8, self.shown]
                if offset == 0xC300 and quantity > 1 and not self._counts:
                    writer.write(request[:4] + b"\0\3\xff\x83\x02")
                    continue
                data = struct.pack(f">{quantity}H", *values[:quantity])
                writer.write(request[:4] + struct.pack(">HBBB", 3 + len(data), 255, 3, len(data)) + data)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.mark.parametrize("counts", [True, False])
def test_a_transponder_before_the_antenna_is_said_once_and_again_when_it_returns(counts: bool) -> None:
    async def story(room: Room) -> Any:
        picture = ReaderPicture(counts=counts)
        await room.hosts["plc-1"].spawn(asyncio.start_server(picture.serve, "0.0.0.0", 502))
        connection = {"host": room.address("plc-1")}
        device = {"name": "dock", "driver": "rfid", "connection": connection, "repeat_after_ms": 2000}
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        ear = Ear(room, gateway)
        await asyncio.sleep(1)
        for epc in (EPC, EPC, OTHER):
            picture.show(epc)
            await asyncio.sleep(0.5)
        picture.show("")
        await asyncio.sleep(3)
        picture.show(EPC)
        await asyncio.sleep(1)
        picture.show("")
        await asyncio.sleep(1)
        return ear, gateway.status()["south"]["dock"]

    ear, status = tell(story)
    heard, events = ear.heard, ear.events
    assert [(reader, said["code"], said["carrier"]) for reader, said in events] == [
        ("dock", EPC, "rfid"),
        ("dock", OTHER, "rfid"),
        ("dock", EPC, "rfid"),
    ]
    values = [report.samples["epc"].value for _, report in heard if "epc" in report.samples]
    assert values == [None, "", EPC, OTHER, "", EPC, ""] or values == ["", EPC, OTHER, "", EPC, ""]
    assert status["tags"]["status"]["value"] == 8, "NO_IDENTIFIER"
    if counts:
        assert status["reads"] == 4


def test_scans_are_events_with_their_symbology_and_heartbeats_keep_the_connection() -> None:
    async def story(room: Room) -> Any:
        said: list[asyncio.StreamWriter] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            said.append(writer)
            await reader.read()
            writer.close()

        await room.hosts["plc-1"].spawn(asyncio.start_server(serve, "0.0.0.0", 2001))
        device = {
            "name": "hand",
            "driver": "scanner",
            "connection": {"host": room.address("plc-1"), "silence_ms": 3000},
        }
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        ear = Ear(room, gateway)
        for words in (b"]C101069012345678921\x1d", b"21A\r\nNOREAD\r\n", b"\r\n", b"]E06901234567892\r\n"):
            await asyncio.sleep(2)
            said[-1].write(words)
        await asyncio.sleep(2)
        before = gateway.status()["south"]["hand"]
        await asyncio.sleep(5)
        after = gateway.status()["south"]["hand"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await asyncio.sleep(1)
        return ear, before, after

    ear, before, after = tell(story)
    events = ear.events
    assert [(said["symbology"], said["code"], said["carrier"]) for _, said in events] == [
        ("]C1", "01069012345678921\x1d21A", "barcode"),
        ("]E0", "6901234567892", "barcode"),
    ]
    assert (before["connections"], before["scans"], before["no_reads"]) == (1, 2, 1)
    assert before["tags"]["code"]["value"] == "6901234567892"
    assert after["connections"] > 1, "a scanner without its heartbeat is not believed in"
    assert "heartbeat" in after["last_error"]
