"""Programs that speak SOCKS5 enter the plant, and are told truly why where they cannot."""

from __future__ import annotations

import asyncio
import errno
import shutil
import socket
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plant_kit import Plant, config, run

from lab.network.socks import CONNECT, Decoder, Greeting, Reply, Request, Socks, open_socks, reply_for
from lab.wire.malformed import Malformed

T = TypeVar("T")

PATIENCE = 30.0
GREETING = bytes.fromhex("050100")
TO_H2_PORT_7 = bytes.fromhex("05010001 0a000002 0007")
TO_PLC_PORT_7 = bytes.fromhex("05010003 03") + b"plc" + bytes.fromhex("0007")
FAILED = bytes(6)
"""The address 0.0.0.0 and the port 0 at the end of every refusal."""


# -- the language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "request_"),
    [
        (TO_H2_PORT_7, Request(CONNECT, 1, "10.0.0.2", 7)),
        (TO_PLC_PORT_7, Request(CONNECT, 3, "plc", 7)),
        (bytes.fromhex("05020004") + bytes(16) + b"\1\2", Request(2, 4, "", 258)),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_request_survives_any_segmentation_and_leaves_what_follows(
    octets: bytes, request_: Request, step: int
) -> None:
    decoder = Decoder()
    stream = GREETING + octets
    heard = [decoder.feed(stream[at : at + step]) for at in range(0, len(stream), step)]
    heard.append(decoder.feed(b""))
    assert [message for message in heard if message is not None] == [Greeting(b"\0"), request_]
    decoder = Decoder()
    decoder.feed(stream + b"GET /")
    assert decoder.feed(b"") == request_
    assert decoder.rest() == b"GET /"


@pytest.mark.parametrize("octets", ["04", "050100 04", "050100 05010009 00", "050100 05010003 01 ff 0007"])
def test_what_is_not_socks_5_is_malformed(octets: str) -> None:
    def read(rest: bytes) -> None:
        decoder = Decoder()
        while decoder.feed(rest):
            rest = b""

    with pytest.raises(Malformed):
        read(bytes.fromhex(octets))


@given(st.lists(st.binary(max_size=300)))
def test_arbitrary_bytes_raise_nothing_but_malformed(parts: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for part in parts:
            decoder.feed(part)
    except Malformed:
        pass


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), Reply.CONNECTION_REFUSED),
        (OSError(errno.ENETUNREACH, ""), Reply.NETWORK_UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, ""), Reply.HOST_UNREACHABLE),
        (TimeoutError(errno.ETIMEDOUT, ""), Reply.TTL_EXPIRED),
        (socket.gaierror(socket.EAI_NONAME, ""), Reply.HOST_UNREACHABLE),
        (OSError(errno.EADDRNOTAVAIL, ""), Reply.GENERAL_FAILURE),
    ],
)
def test_every_failure_has_its_own_code(error: OSError, reply: Reply) -> None:
    assert reply_for(error) is reply


# -- the proxy ---------------------------------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks first."""
    writer.write(b"welcome")
    writer.close()


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplant")
    writer.close()


def through(visit: Callable[[Plant, Socks], Awaitable[T]]) -> T:
    """h1 is the workstation and knows h2 as plc, which echoes on port 7, greets on 13 and serves HTTP on 80."""

    async def story(plant: Plant) -> T:
        workstation, server = plant.hosts
        workstation.configure(config("10.0.0.1/24", names={"plc": "10.0.0.2"}))
        for port, serve in ((7, echo), (13, greet), (80, answer_http)):
            await server.spawn(asyncio.start_server(serve, "0.0.0.0", port))
        socks = await open_socks(workstation, 0)

        async def outside() -> T:
            return await visit(plant, socks)

        result = await plant.loop.create_task(outside(), context=Context())
        socks.close()
        return result

    return run(story, fast=False, patience=PATIENCE)


async def converse(socks: Socks, *said: bytes) -> bytes:
    """All that the proxy, and whoever is behind it, answers to this."""
    reader, writer = await asyncio.open_connection("127.0.0.1", socks.port)
    for part in said:
        writer.write(part)
        await writer.drain()
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    return heard


@pytest.mark.parametrize("wish", [TO_H2_PORT_7, TO_PLC_PORT_7], ids=["by address", "by the workstation's name for it"])
def test_a_client_is_let_through(wish: bytes) -> None:
    async def visit(_: Plant, socks: Socks) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", socks.port)
        writer.write(GREETING)
        assert await reader.readexactly(2) == b"\5\0"
        writer.write(wish)
        reply = await reader.readexactly(10)
        assert reply[:8] == bytes.fromhex("05000001 0a000001"), "from the workstation's address"
        writer.write(bytes(200_000))
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return heard

    assert through(visit) == bytes(200_000)


def test_a_client_in_a_hurry_may_say_everything_at_once() -> None:
    async def visit(_: Plant, socks: Socks) -> bytes:
        return await converse(socks, GREETING + TO_H2_PORT_7 + b"hurry")

    heard = through(visit)
    assert heard[:4] == bytes.fromhex("05000500")
    assert heard[12:] == b"hurry"


def test_who_speaks_first_inside_is_heard_after_the_reply() -> None:
    async def visit(_: Plant, socks: Socks) -> bytes:
        return await converse(socks, GREETING, TO_H2_PORT_7[:-1] + b"\x0d")

    assert through(visit)[12:] == b"welcome"


@pytest.mark.parametrize(
    ("wish", "reply"),
    [
        ("05010001 0a000002 01f6", Reply.CONNECTION_REFUSED),
        ("05010001 0b000002 0007", Reply.NETWORK_UNREACHABLE),
        ("05010003 04 6e6f6e65 0007", Reply.HOST_UNREACHABLE),
        ("05020001 0a000002 0007", Reply.COMMAND_NOT_SUPPORTED),
        ("05010004" + "00" * 15 + "01 0007", Reply.ADDRESS_TYPE_NOT_SUPPORTED),
    ],
)
def test_who_is_not_let_through_hears_why_and_is_shown_out(wish: str, reply: Reply) -> None:
    async def visit(_: Plant, socks: Socks) -> bytes:
        return await converse(socks, GREETING, bytes.fromhex(wish))

    assert through(visit) == b"\5\0" + bytes((5, reply, 0, 1)) + FAILED


def test_who_insists_on_a_password_is_not_served() -> None:
    async def visit(_: Plant, socks: Socks) -> bytes:
        return await converse(socks, bytes.fromhex("050102"))

    assert through(visit) == b"\5\xff"


def test_another_language_is_shown_out_at_once() -> None:
    async def visit(_: Plant, socks: Socks) -> bytes:
        return await converse(socks, b"GET / HTTP/1.1\r\n")

    assert through(visit) == b""


@pytest.mark.foreign
def test_curl_reads_a_page_of_a_device_by_its_name_in_the_plant() -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")

    async def visit(_: Plant, socks: Socks) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(curl, "-s", "-m", "10", "--socks5-hostname", f"127.0.0.1:{socks.port}", "http://plc/"),
            stdout=asyncio.subprocess.PIPE,
        )
        page, _ = await process.communicate()
        return page

    assert through(visit) == b"plant"
