"""An old remote terminal: what hangs it, for how long, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from device_kit import Lab, in_lab
from modbus_kit import Reader

READ = bytes.fromhex("0001 0000 0006 01 03 0028 0001")
UNKNOWN = bytes.fromhex("0002 0000 0002 01 41")
FILE_RECORD = bytes.fromhex("0002 0000 000a 01 14 07 06 0001 0000 0001")
LISTEN_ONLY = bytes.fromhex("0003 0000 0006 01 08 0004 0000")
EXCEPTION_2 = bytes.fromhex("0001 0000 0006 01 03 0030 0001")


async def answer_to(lab: Lab, request: bytes) -> bytes:
    """What comes within two seconds, b"" where nothing does."""

    async def there() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.1", 502)
        try:
            writer.write(request)
            async with asyncio.timeout(2):
                return await reader.read(100)
        except (TimeoutError, ConnectionResetError):
            return b""
        finally:
            writer.transport.abort()

    return await lab.from_pc(there)


async def connect(lab: Lab, times: int, pause: float) -> None:
    async def there() -> None:
        for _ in range(times):
            _, writer = await asyncio.open_connection("10.0.0.1", 502)
            writer.transport.abort()
            await asyncio.sleep(pause)

    await lab.from_pc(there)


@pytest.mark.parametrize("request_", [UNKNOWN, FILE_RECORD])
def test_a_function_it_does_not_know_hangs_it_for_two_minutes(request_: bytes) -> None:
    async def story(lab: Lab) -> None:
        await lab.until(10)
        assert len(await answer_to(lab, READ)) == 11
        assert await answer_to(lab, request_) == b""
        hung_at = next(at for at, point, value in lab.truth if (point, value) == ("communication_hung", True))
        before = lab.told("flow")
        await lab.until(hung_at + 100)
        assert await answer_to(lab, READ) == b"", "it takes the connection and says nothing"
        assert len(lab.told("flow")) > len(before) + 50, "its water goes on"
        await lab.until(hung_at + 121)
        assert len(await answer_to(lab, READ)) == 11
        assert lab.told("communication_hung") == [True, False]

    in_lab("rtu-old", story)


def test_what_it_knows_and_refuses_does_it_no_harm() -> None:
    async def story(lab: Lab) -> None:
        assert (await answer_to(lab, EXCEPTION_2))[-2:] == b"\x83\x02"
        assert (await Reader(lab, 1).identity())[1] == b"RTU-1000"
        assert len(await answer_to(lab, READ)) == 11
        assert lab.told("communication_hung") == []

    in_lab("rtu-old", story)


@pytest.mark.parametrize(
    ("deed", "hangs"),
    [
        (lambda lab: connect(lab, 5, 0.01), False),
        (lambda lab: connect(lab, 6, 0.01), True),
        (lambda lab: connect(lab, 12, 0.21), False),
        (lambda lab: connect(lab, 12, 0.15), True),
    ],
)
def test_more_than_five_connections_in_a_second_hang_it(deed: Callable[[Lab], Awaitable[None]], hangs: bool) -> None:
    async def story(lab: Lab) -> None:
        await deed(lab)
        assert lab.told("communication_hung") == [True] * hangs
        await asyncio.sleep(1)
        assert bool(await answer_to(lab, READ)) is not hangs

    in_lab("rtu-old", story)


def test_the_watchdog_cuts_whoever_waited() -> None:
    async def story(lab: Lab) -> None:
        async def wait() -> float:
            reader, writer = await asyncio.open_connection("10.0.0.1", 502)
            writer.write(READ + UNKNOWN)
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.transport.abort()
            return asyncio.get_running_loop().time()

        assert await answer_to(lab, UNKNOWN) == b""
        began = lab.loop.time()
        assert await lab.from_pc(wait) - began == pytest.approx(118, abs=0.5)
        assert len(await answer_to(lab, READ)) == 11

    in_lab("rtu-old", story)


def test_told_to_listen_only_it_listens_until_it_has_hung_and_restarted() -> None:
    async def story(lab: Lab) -> None:
        assert await answer_to(lab, LISTEN_ONLY) == b""
        assert await answer_to(lab, UNKNOWN) == b""
        assert lab.told("communication_hung") == [], "what it only listens to does not disturb it"
        assert await answer_to(lab, READ) == b""
        await connect(lab, 6, 0.01)
        await lab.until(130)
        assert len(await answer_to(lab, READ)) == 11

    in_lab("rtu-old", story)


def test_switching_it_off_and_on_helps_too() -> None:
    async def story(lab: Lab) -> None:
        await answer_to(lab, UNKNOWN)
        await lab.stop()
        await lab.start()
        assert len(await answer_to(lab, READ)) == 11
        assert lab.told("communication_hung") == [True, False]
        await lab.until(200)

    in_lab("rtu-old", story)


def test_newer_ones_take_all_that() -> None:
    async def story(lab: Lab) -> None:
        await connect(lab, 20, 0.01)
        assert (await answer_to(lab, UNKNOWN))[-2:] == b"\xc1\x01"
        assert len(await answer_to(lab, READ)) == 11

    in_lab("water-plc", story)
