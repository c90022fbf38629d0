"""A bar code scanner: what it reads of a label that comes by, and who hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from device_kit import Lab, in_lab
from pydantic import ValidationError

from devices.scanner.carrier import SYMBOLOGIES, Carrier
from devices.scanner.config import ScannerConfig
from lab.model.document import KnownValueError

EVERY = {"symbologies": list(SYMBOLOGIES)}
SCAN = {
    "ean-13": ("6901234567892", "]E06901234567892"),
    "code-128": ("PALLET-7", "]C0PALLET-7"),
    "gs1-128": ("(01)06901234567892(21)1001", "]C10106901234567892211001"),
    "qr": ("轴承 6205", "]Q1轴承 6205"),
    "gs1-qr": ("(01)06901234567892(10)B7(21)1001", "]Q3010690123456789210B7\x1d211001"),
    "data-matrix": ("M-17", "]d1M-17"),
    "gs1-data-matrix": ("(01)06901234567892(21)1001", "]d20106901234567892211001"),
}


class Ear:
    """A client that hears readings, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self, within: float = 10.0) -> str:
        async with asyncio.timeout(within):
            return (await self.reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")

    async def nothing(self, within: float = 5.0) -> bool:
        try:
            await self.line(within)
        except TimeoutError:
            return True
        return False

    async def closed(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


async def listen() -> Ear:
    return Ear(*await asyncio.open_connection("10.0.0.1", 2001))


async def shown_out() -> bool:
    try:
        ear = await listen()
    except ConnectionError:
        return True
    return await ear.closed()


def told(lab: Lab, deed: Callable[[Ear], Awaitable[None]]) -> Any:
    async def do() -> None:
        ear = await listen()
        await deed(ear)
        ear.writer.close()

    return lab.from_pc(do)


def show(lab: Lab, symbology: str, text: str) -> None:
    lab.device.force("carrier", None)
    lab.device.force("carrier", f"{symbology}:{text}")


@pytest.mark.parametrize("symbology", SYMBOLOGIES)
def test_every_symbology_is_read_with_its_aim_identifier(symbology: str) -> None:
    text, expected = SCAN[symbology]

    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, symbology, text)
            assert await ear.line() == expected
            assert lab.told("reading") == [expected]

        await told(lab, hear)

    in_lab("scanner", story, **EVERY)


@pytest.mark.parametrize("symbology", SYMBOLOGIES)
def test_a_symbology_that_is_switched_off_is_not_read_until_it_is_switched_on(symbology: str) -> None:
    text, expected = SCAN[symbology]
    others = [each for each in SYMBOLOGIES if each != symbology]

    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, symbology, text)
            assert await ear.nothing()
            assert lab.device.status()["not read"] == 1
            config = ScannerConfig.model_validate({**lab.device.config.model_dump(), **EVERY})
            await lab.host.spawn(lab.device.apply(config))
            assert await ear.line() == expected, "and the connection has not been cut"

        await told(lab, hear)

    in_lab("scanner", story, symbologies=others)


def test_what_stands_around_a_reading_is_configured() -> None:
    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, "ean-13", "690123456789")
            async with asyncio.timeout(5):
                assert await ear.reader.readuntil(b">") == b"<6901234567892>"

        await told(lab, hear)

    in_lab("scanner", story, aim_id=False, prefix="<", suffix=">")


def test_a_label_that_lies_the_other_way_round_is_read_all_the_same() -> None:
    belt = [
        {"at": 10.0 * number, "carrier": {"symbology": "gs1-128", "text": "(01)06901234567892", "turned": turned}}
        for number, turned in enumerate((0, 90, 180, 270), 1)
    ]

    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            for number in range(1, 5):
                assert await ear.line(15) == "]C10106901234567892"
                assert 10 * number <= lab.loop.time() < 10 * number + 1

        await told(lab, hear)

    in_lab("scanner", story, belt=belt, **EVERY)


def test_the_dirtier_labels_are_the_fewer_can_be_read() -> None:
    async def story(lab: Lab) -> None:
        read = []
        for number in range(3):
            await lab.until(100 * (number + 1))
            read.append(len(lab.told("reading")))
        assert read[0] == 10
        assert 0 < read[1] - read[0] < 10, "a code can be corrected, unless a finder pattern has gone"
        assert read[2] == read[1]
        assert lab.device.status()["not read"] == 30 - read[2]

    labels = [
        {"at": 1 + 100 * number + 5 * n, "carrier": {"symbology": "qr", "text": f"V{number}{n}", "dirt": dirt}}
        for number, dirt in enumerate((0.0, 0.02, 0.9))
        for n in range(10)
    ]
    in_lab("scanner", story, belt=labels, trigger="edge", **EVERY)


def test_what_cannot_be_read_is_said_so_where_that_is_configured() -> None:
    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, "qr", "V1")
            assert await ear.line() == "NOREAD"

        await told(lab, hear)

    in_lab("scanner", story, no_read="NOREAD", symbologies=["ean-13"])


def test_a_label_that_stays_in_view_is_reported_again_after_a_while() -> None:
    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, "qr", "V1")
            times = []
            for _ in range(4):
                assert await ear.line() == "]Q1V1"
                times.append(round(lab.loop.time(), 1))
            assert [round(b - a, 1) for a, b in pairwise(times)] == [3.0, 3.0, 3.0]
            show(lab, "qr", "V2")
            assert await ear.line(0.5) == "]Q1V2", "another code is reported at once"

        await told(lab, hear)

    in_lab("scanner", story, same_code_ms=3000, **EVERY)


def test_an_edge_reports_each_label_once() -> None:
    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, "qr", "V1")
            assert await ear.line() == "]Q1V1"
            assert await ear.nothing(20)
            show(lab, "qr", "V1")
            assert await ear.line() == "]Q1V1", "the same label has come into view again"

        await told(lab, hear)

    in_lab("scanner", story, trigger="edge", **EVERY)


def test_on_command_it_reads_between_lon_and_loff() -> None:
    async def story(lab: Lab) -> None:
        async def hear(ear: Ear) -> None:
            show(lab, "qr", "V1")
            assert await ear.nothing()
            ear.writer.write(b"LON\r\n")
            assert await ear.line(0.5) == "]Q1V1"
            ear.writer.write(b"LO")
            await asyncio.sleep(0.2)
            ear.writer.write(b"FF\r")
            await asyncio.sleep(0.2)
            show(lab, "qr", "V2")
            assert await ear.nothing()
            ear.writer.write(b"nonsense\r" + b"\xff" * 100_000 + b"\rLON\r")
            assert await ear.line() == "]Q1V2", "what is no command changes nothing"

        await told(lab, hear)

    in_lab("scanner", story, trigger="command", **EVERY)


def test_everybody_hears_up_to_as_many_as_may_and_one_more_is_shown_out() -> None:
    async def story(lab: Lab) -> None:
        async def crowd() -> None:
            first, second = await listen(), await listen()
            assert await shown_out()
            show(lab, "qr", "V1")
            assert [await first.line(), await second.line()] == ["]Q1V1", "]Q1V1"]
            first.writer.close()
            await asyncio.sleep(0.5)
            fourth = await listen()
            show(lab, "qr", "V2")
            assert [await second.line(), await fourth.line()] == ["]Q1V2", "]Q1V2"]
            assert lab.device.status()["clients"] == 2
            for ear in (second, fourth):
                ear.writer.close()

        await lab.from_pc(crowd)

    in_lab("scanner", story, **EVERY)


def test_a_client_that_does_not_read_is_passed_by_and_readings_that_nobody_heard_are_counted() -> None:
    async def story(lab: Lab) -> None:
        show(lab, "qr", "V0")
        assert lab.device.status()["undelivered"] == 1

        async def sleep() -> None:
            reader, writer = await asyncio.open_connection("10.0.0.1", 2001, limit=16)
            awake = await listen()
            for number in range(400):
                show(lab, "qr", f"{number:03d}" + "x" * 490)
                assert (await awake.line()).startswith(f"]Q1{number:03d}")
            writer.transport.abort()
            awake.writer.close()
            del reader

        await lab.from_pc(sleep)
        await asyncio.sleep(1)
        assert lab.device.status()["undelivered"] == 1
        assert lab.device.status()["clients"] == 0

    in_lab("scanner", story, **EVERY)


def test_it_connects_to_a_receiver_and_again_when_that_was_away() -> None:
    async def story(lab: Lab) -> None:
        lines: asyncio.Queue[str] = asyncio.Queue()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while line := await reader.readline():
                    lines.put_nowait(line.decode().strip())
            except ConnectionError:
                pass
            writer.close()

        async def receive() -> asyncio.Server:
            return await asyncio.start_server(take, "0.0.0.0", 9004)

        show(lab, "qr", "V0")
        assert lab.device.status()["undelivered"] == 1, "nobody is there yet"
        server = await lab.from_pc(receive)
        await asyncio.sleep(5)
        show(lab, "qr", "V1")
        assert await lines.get() == "]Q1V1"
        server.close()
        for _ in range(2):
            await asyncio.sleep(1)
        lab.network.power("pc", False)
        lab.network.power("pc", True)
        await asyncio.sleep(5)
        server = await lab.from_pc(receive)
        await asyncio.sleep(30)
        show(lab, "qr", "V2")
        assert await lines.get() == "]Q1V2"
        server.close()

    in_lab("scanner", story, connect={"host": "10.0.0.2", "port": 9004}, trigger="edge", ends=False, **EVERY)


@pytest.mark.parametrize(("wrong", "why"), [("V1", "symbology:content"), ("qr:", "symbology"), ("pdf417:x", "pdf417")])
def test_a_label_that_is_none_cannot_be_held_there(wrong: str, why: str) -> None:
    async def story(lab: Lab) -> None:
        with pytest.raises(KnownValueError, match=why):
            lab.device.force("carrier", wrong)
        with pytest.raises(KeyError):
            lab.device.force("pressure", 1.0)
        assert lab.device.points() == {"carrier": "", "reading": ""}

    in_lab("scanner", story)


@pytest.mark.parametrize(
    ("symbology", "text"),
    [
        ("ean-13", "6901234567890"),
        ("ean-13", "69012"),
        ("ean-13", "٦٩٠١٢٣٤٥٦٧٨٩"),
        ("code-128", "轴承"),
        ("gs1-128", "01234"),
        ("gs1-128", "(01)06901234567890"),
        ("qr", ""),
        ("qr", "x" * 501),
    ],
)
def test_what_cannot_be_printed_is_refused_in_words(symbology: str, text: str) -> None:
    with pytest.raises(ValidationError):
        Carrier.model_validate({"symbology": symbology, "text": text})
