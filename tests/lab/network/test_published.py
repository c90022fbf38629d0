"""A published port behaves as the port inside the plant would, seen through the workstation it enters at."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

import pytest
from plant_kit import Plant, config, run

from lab.model.frame import Port
from lab.network.published import Published, publish, publish_datagrams
from lab.network.tcp import RECEIVE_CAPACITY
from lab.text import speak

T = TypeVar("T")

MEGABYTE = 1 << 20
PATIENCE = 30.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionResetError:
        pass
    writer.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def outside(deed: Callable[[], Awaitable[T]]) -> T:
    """Do something as a program of the computer, which knows of no plant."""

    async def do() -> T:
        return await deed()

    return await asyncio.get_running_loop().create_task(do(), context=Context())


def through(
    serve: Serve | None,
    visit: Callable[[Plant, Published], Awaitable[T]],
    prepare: Callable[[Plant], None] | None = None,
) -> T:
    """h1 is the workstation, h2 serves on port 7 if at all; the visit happens on the computer."""

    async def story(plant: Plant) -> T:
        workstation, server = plant.hosts
        if prepare is not None:
            prepare(plant)
        if serve is not None:
            await server.spawn(asyncio.start_server(serve, "0.0.0.0", 7))
        published = await publish(workstation, 0, "10.0.0.2", 7)
        try:
            result = await outside(lambda: visit(plant, published))
        finally:
            published.close()
            await asyncio.sleep(0.01)
        assert not published.visitors
        assert [t for host in plant.hosts for t in host.connections if t.connection.state.name == "ESTABLISHED"] == []
        return result

    return run(story, fast=False, patience=PATIENCE)


async def knock(published: Published) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", published.port)


def slam(writer: asyncio.StreamWriter) -> None:
    """Close with a reset."""
    linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def test_a_program_outside_talks_to_a_server_inside_and_every_byte_is_a_frame() -> None:
    async def visit(plant: Plant, published: Published) -> bytes:
        reader, writer = await knock(published)
        writer.write(b"which way in?")
        heard = await reader.readexactly(13)
        writer.close()
        seen = [f for f in plant.frames if b"which way in?" in f.data and f.tap.seen_at.host == "h2"]
        assert seen
        assert {f.data[26:30] for f in seen} == {socket.inet_aton("10.0.0.1")}, "it comes from the workstation"
        assert published.entered == 1
        return heard

    assert through(echo, visit) == b"which way in?"


def test_many_megabytes_pass_unharmed_both_ways_at_once() -> None:
    there = random.Random(1).randbytes(4 * MEGABYTE)

    async def visit(_: Plant, published: Published) -> bytes:
        reader, writer = await knock(published)
        writer.write(there)
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return heard

    heard = through(echo, visit)
    assert hashlib.sha256(heard).digest() == hashlib.sha256(there).digest()


def test_half_closing_outside_is_half_closing_inside_and_the_answer_still_comes() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(await reader.read())
        await asyncio.sleep(0.05)
        writer.write(str(size).encode())
        writer.close()

    async def visit(_: Plant, published: Published) -> bytes:
        reader, writer = await knock(published)
        writer.write(bytes(70_000))
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return heard

    assert through(count, visit) == b"70000"


def test_half_closing_inside_leaves_the_way_in_open() -> None:
    arrived: asyncio.Future[bytes]

    async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go on")
        writer.write_eof()
        arrived.set_result(await reader.read())
        writer.close()

    async def visit(plant: Plant, published: Published) -> tuple[bytes, bytes]:
        nonlocal arrived
        arrived = plant.loop.create_future()
        reader, writer = await knock(published)
        heard = await reader.read()
        writer.write(b"still here")
        writer.close()
        return heard, await arrived

    assert through(greet_and_listen, visit) == (b"go on", b"still here")


def unplug(plant: Plant) -> None:
    plant.network.unplug(Port("h1", "eth0"))
    plant.hosts[0].configure(config("10.9.0.1/24"))


@pytest.mark.parametrize("prepare", [None, unplug], ids=["refused", "unreachable"])
def test_who_is_not_to_be_had_inside_resets_the_visitor(prepare: Callable[[Plant], None] | None) -> None:
    async def visit(_: Plant, published: Published) -> int:
        reader, writer = await knock(published)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        return published.refused

    assert through(None, visit, prepare) == 1


def test_a_reset_inside_is_a_reset_outside() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.transport.abort()

    async def visit(_: Plant, published: Published) -> None:
        reader, writer = await knock(published)
        writer.write(b"bang")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    through(hang_up, visit)


def test_a_reset_outside_is_a_reset_inside() -> None:
    async def visit(_: Plant, published: Published) -> str:
        _, writer = await knock(published)
        writer.write(b"knock")
        await inside.wait()
        slam(writer)
        return await ending

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        inside.set()
        try:
            await reader.read()
        except ConnectionResetError:
            ending.set_result("reset")
        else:
            ending.set_result("closed")
        writer.close()

    async def story(plant: Plant) -> str:
        nonlocal inside, ending
        inside, ending = asyncio.Event(), plant.loop.create_future()
        workstation, server = plant.hosts
        await server.spawn(asyncio.start_server(listen, "0.0.0.0", 7))
        published = await publish(workstation, 0, "10.0.0.2", 7)
        result = await outside(lambda: visit(plant, published))
        published.close()
        return result

    inside: asyncio.Event
    ending: asyncio.Future[str]
    assert run(story, fast=False, patience=PATIENCE) == "reset"


def test_a_visitor_who_leaves_before_anybody_answers_is_forgotten_inside() -> None:
    async def visit(plant: Plant, published: Published) -> int:
        _, writer = await knock(published)
        await asyncio.sleep(0.05)
        assert len(plant.hosts[0].connections) == 1
        slam(writer)
        await asyncio.sleep(0.05)
        return len(plant.hosts[0].connections)

    def deafen(plant: Plant) -> None:
        plant.network.unplug(Port("h2", "eth0"))

    assert through(None, visit, deafen) == 0


def test_a_reader_who_sleeps_inside_stops_the_writer_outside() -> None:
    woken: list[asyncio.Event] = []
    size = 0

    async def sleep_then_count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal size
        woken.append(asyncio.Event())
        await woken[0].wait()
        while data := await reader.read(65536):
            size += len(data)
        writer.write(b"done")
        writer.close()

    async def visit(plant: Plant, published: Published) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        raw.setblocking(False)
        await plant.loop.sock_connect(raw, ("127.0.0.1", published.port))
        written = 0
        chunk = bytes(65536)
        while True:  # until nobody takes any more for a tenth of a second
            try:
                written += raw.send(chunk)
            except BlockingIOError:
                before = written
                try:
                    async with asyncio.timeout(0.1):
                        await writable(plant.loop, raw)
                except TimeoutError:
                    assert written == before
                    break
        (visitor,) = published.visitors
        held = visitor.other.transport.get_write_buffer_size() + len(visitor._early)
        assert held <= 2 * RECEIVE_CAPACITY + 256 * 1024, "what one read brings, above the mark"
        woken[0].set()
        raw.shutdown(socket.SHUT_WR)
        assert await plant.loop.sock_recv(raw, 10) == b"done"
        raw.close()
        assert size == written

    through(sleep_then_count, visit)


async def writable(loop: asyncio.AbstractEventLoop, raw: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(raw, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(raw)


def test_a_reader_who_sleeps_outside_stops_the_writer_inside() -> None:
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for _ in range(1024):
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()
        writer.close()

    async def visit(plant: Plant, published: Published) -> int:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.setblocking(False)
        await plant.loop.sock_connect(raw, ("127.0.0.1", published.port))
        before = -1
        while sent != before or not sent:
            before = sent
            await asyncio.sleep(0.1)
        (visitor,) = published.visitors
        assert visitor.transport.get_write_buffer_size() <= 64 * 1024 + RECEIVE_CAPACITY
        stalled = sent
        received = 0
        while data := await plant.loop.sock_recv(raw, 1 << 20):
            received += len(data)
        raw.close()
        assert received == 64 * MEGABYTE
        return stalled

    assert through(pour, visit) < 16 * MEGABYTE


def test_a_port_that_is_taken_is_named_and_so_is_the_reason() -> None:
    async def story(plant: Plant) -> OSError:
        first = await publish(plant.hosts[0], 0, "10.0.0.2", 7)
        with pytest.raises(OSError, match=rf"port {first.port} of 127\.0\.0\.1 is already in use") as caught:
            await publish(plant.hosts[0], first.port, "10.0.0.2", 7)
        port = first.port
        first.close()
        again = await publish(plant.hosts[0], port, "10.0.0.2", 7)
        again.close()
        return caught.value

    speak("en")
    assert run(story, fast=False).errno == errno.EADDRINUSE


def test_nobody_else_on_the_network_is_let_in_unless_asked_for() -> None:
    async def story(plant: Plant) -> list[str]:
        private = await publish(plant.hosts[0], 0, "10.0.0.2", 7)
        open_to_all = await publish(plant.hosts[0], 0, "10.0.0.2", 7, bind="0.0.0.0")
        addresses = [private.address, open_to_all.address]
        private.close()
        open_to_all.close()
        return addresses

    assert run(story, fast=False) == ["127.0.0.1", "0.0.0.0"]


def test_closing_resets_those_who_are_still_inside() -> None:
    async def visit(_: Plant, published: Published) -> None:
        reader, writer = await knock(published)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        published.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await knock(published)

    through(echo, visit)


def test_the_target_may_be_a_name_that_the_workstation_knows() -> None:
    async def story(plant: Plant) -> bytes:
        workstation, server = plant.hosts
        workstation.configure(config("10.0.0.1/24", names={"plc": "10.0.0.2"}))
        await server.spawn(asyncio.start_server(echo, "0.0.0.0", 7))
        published = await publish(workstation, 0, "plc", 7)

        async def visit() -> bytes:
            reader, writer = await knock(published)
            writer.write(b"!")
            heard = await reader.readexactly(1)
            writer.close()
            return heard

        heard = await outside(visit)
        published.close()
        return heard

    assert run(story, fast=False) == b"!"


def test_datagrams_go_in_and_their_answers_come_back_to_whom_they_belong() -> None:
    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data + f" from {addr[0]}".encode(), addr)

    async def ask(loop: asyncio.AbstractEventLoop, port: int, text: bytes) -> bytes:
        with socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.connect(("127.0.0.1", port))
            await loop.sock_sendall(asking, text)
            return await loop.sock_recv(asking, 100)

    async def story(plant: Plant) -> list[bytes]:
        workstation, server = plant.hosts

        async def serve() -> None:
            await plant.loop.create_datagram_endpoint(Answer, ("0.0.0.0", 161))

        await server.spawn(serve())
        published = await publish_datagrams(workstation, 0, "10.0.0.2", 161)
        with pytest.raises(OSError, match=str(published.port)):
            await publish_datagrams(workstation, published.port, "10.0.0.2", 161)
        heard = await asyncio.gather(*(ask(plant.loop, published.port, text) for text in (b"one", b"two")))
        published.close()
        return heard

    assert run(story, fast=False, patience=PATIENCE) == [b"one from 10.0.0.1", b"two from 10.0.0.1"]


def test_fast_time_has_no_doors() -> None:
    async def story(plant: Plant) -> None:
        with pytest.raises(ValueError, match="live time"):
            await publish(plant.hosts[0], 0, "10.0.0.2", 7)

    run(story)
