"""A host that stands for servers outside: what the plant sends it arrives at real sockets, and what fails there fails here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, TypeVar

import pytest
from plant_kit import Plant, run
from pydantic import ValidationError

from devices.outside import LIVE_ONLY, Outside, OutsideConfig
from lab.network.outside import ExitDatagrams

T = TypeVar("T")


async def for_real(deed: Callable[[], Awaitable[T]]) -> T:
    """Do something as a program of the computer."""

    async def do() -> T:
        return await deed()

    return await asyncio.get_running_loop().create_task(do(), context=Context())


async def switched_on(plant: Plant, *forward: dict[str, object]) -> Outside:
    config = OutsideConfig.model_validate({"interfaces": {"eth0": {"address": "10.0.0.2/24"}}, "forward": forward})
    host = plant.hosts[1]
    device = Outside(host, config, lambda point, value: None)
    await host.spawn(device.start())
    return device


def with_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    story: Callable[[Plant, Outside], Awaitable[T]],
) -> T:
    """h1 is in the plant, h2 leads its port 1883 to a real server; the story is told on h1."""

    async def tell(plant: Plant) -> T:
        server = await for_real(lambda: asyncio.start_server(serve, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        device = await switched_on(plant, {"listen": 1883, "to": f"127.0.0.1:{port}"})

        async def on_h1() -> T:
            return await story(plant, device)

        result = await plant.hosts[0].spawn(on_h1())
        await plant.hosts[1].spawn(device.stop())
        server.close()
        return result

    return run(tell, fast=False, patience=30)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_bytes_go_out_and_come_back_and_each_was_a_frame() -> None:
    async def story(plant: Plant, device: Outside) -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.2", 1883)
        writer.write(b"is anybody out there?")
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        seen = [frame for frame in plant.frames if b"out there" in frame.data and frame.tap.seen_at.host == "h2"]
        assert seen
        assert "1 ✓" in str(device.status()["tcp 1883"])
        return heard

    assert with_server(echo, story) == b"is anybody out there?"


def test_megabytes_pass_whole_though_the_reader_is_slow() -> None:
    async def story(plant: Plant, device: Outside) -> int:
        reader, writer = await asyncio.open_connection("10.0.0.2", 1883)
        sent = bytes(range(256)) * 8192

        async def pour() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        pouring = asyncio.create_task(pour())
        heard = await reader.read()
        await pouring
        writer.close()
        assert heard == sent
        return len(heard)

    assert with_server(echo, story) == 2 << 20


def test_a_caller_who_does_not_read_stops_the_server_outside() -> None:
    sent = 0
    stalled = asyncio.Event()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            while sent < 256 << 20:
                writer.write(bytes(65536))
                sent += 65536
                async with asyncio.timeout(0.3):
                    await writer.drain()
        except TimeoutError:
            stalled.set()
        writer.transport.abort()

    async def story(plant: Plant, device: Outside) -> int:
        _, writer = await asyncio.open_connection("10.0.0.2", 1883)
        await stalled.wait()
        writer.transport.abort()
        return sent

    assert with_server(pour, story) < 32 << 20


def test_a_reset_outside_is_a_reset_inside_and_the_other_way_round() -> None:
    endings: list[str] = []
    ended = asyncio.Event()

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(4) == b"bang":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes((1, *bytes(7))))
            writer.transport.abort()
            return
        writer.write(b"!")
        try:
            await reader.read()
            endings.append("closed")
        except ConnectionResetError:
            endings.append("reset")
        ended.set()
        writer.close()

    async def story(plant: Plant, device: Outside) -> None:
        reader, writer = await asyncio.open_connection("10.0.0.2", 1883)
        writer.write(b"bang")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        reader, writer = await asyncio.open_connection("10.0.0.2", 1883)
        writer.write(b"wait")
        assert await reader.readexactly(1) == b"!"
        writer.transport.abort()
        await ended.wait()

    with_server(moody, story)
    assert endings == ["reset"]


@pytest.mark.parametrize("nowhere", ["127.0.0.1:{free}", "no-such-name.invalid:1883"])
def test_a_server_that_refuses_or_does_not_exist_resets_the_caller(nowhere: str) -> None:
    async def story(plant: Plant) -> str:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            device = await switched_on(plant, {"listen": 1883, "to": nowhere.format(free=unused.getsockname()[1])})

        async def call() -> None:
            reader, writer = await asyncio.open_connection("10.0.0.2", 1883)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

        await plant.hosts[0].spawn(call())
        said = str(device.status()["tcp 1883"])
        await plant.hosts[1].spawn(device.stop())
        with pytest.raises(ConnectionRefusedError):
            await plant.hosts[0].spawn(asyncio.open_connection("10.0.0.2", 1883))
        return said

    assert "1 ✗" in run(story, fast=False, patience=30)


class _Hears(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.put_nowait((data, addr))


def test_datagrams_go_out_and_their_answers_find_back() -> None:
    async def story(plant: Plant) -> list[bytes]:
        loop = plant.loop
        _, real = await for_real(lambda: loop.create_datagram_endpoint(_Hears, ("127.0.0.1", 0)))
        port = real.transport.get_extra_info("sockname")[1]
        device = await switched_on(plant, {"listen": 123, "to": f"127.0.0.1:{port}", "protocol": "udp"})

        async def ask(text: bytes) -> _Hears:
            _, asking = await loop.create_datagram_endpoint(_Hears, remote_addr=("10.0.0.2", 123))
            asking.transport.sendto(text)
            return asking

        askers = [await plant.hosts[0].spawn(ask(text)) for text in (b"one", b"two")]
        for _ in askers:
            data, whom = await real.heard.get()
            real.transport.sendto(b"answer to " + data, whom)
        answers = [(await asker.heard.get())[0] for asker in askers]
        for each in (*askers, real):
            each.transport.close()
        await plant.hosts[1].spawn(device.stop())
        return answers

    assert run(story, fast=False, patience=30) == [b"answer to one", b"answer to two"]


def test_a_flood_of_datagram_senders_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.network.outside.MAX_ASSOCIATIONS", 4)

    async def story(plant: Plant) -> int:
        way_out = ExitDatagrams(plant.hosts[1], ("127.0.0.1", 9))
        way_out.listen(9)
        for port in range(40):
            way_out.datagram_received(b"x", ("10.0.0.1", port + 1))
        await asyncio.sleep(0.1)
        held = len(way_out._callers)
        way_out.close()
        return held

    assert run(story, fast=False) <= 4


def test_in_fast_time_it_refuses_and_says_so() -> None:
    async def story(plant: Plant) -> object:
        device = await switched_on(plant, {"listen": 1883, "to": "127.0.0.1:1883"})
        with pytest.raises(ConnectionRefusedError):
            await plant.hosts[0].spawn(asyncio.open_connection("10.0.0.2", 1883))
        return device.status()["outside"]

    assert run(story) == LIVE_ONLY.say()


@pytest.mark.parametrize("to", ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "a b:1", ":1883", "[::1]:1883"])
def test_a_target_that_is_none_is_refused_when_it_is_read(to: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        OutsideConfig.model_validate({"forward": [{"listen": 1, "to": to}]})


def test_a_port_leads_to_one_place_only() -> None:
    twice = [{"listen": 1, "to": "a:1"}, {"listen": 1, "to": "b:1"}]
    with pytest.raises(ValidationError, match="forwarded twice"):
        OutsideConfig.model_validate({"forward": twice})
    OutsideConfig.model_validate({"forward": [twice[0], {**twice[1], "protocol": "udp"}]})
