"""What the broker has promised to keep is there after a restart, however it ended."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import Room, tell
from test_broker import Client
from test_broker_limits import leave, publish
from test_broker_sessions import heard

from gateway.broker.store import FILE
from lab.wire import mqtt
from lab.wire.mqtt import Connack, Connect, Decoder, Puback, Pubcomp, Publish, Pubrec, Pubrel, Subscribe, Subscription


async def switch_on(room: Room, folder: Path, **config: Any) -> Any:
    room.hosts["broker"].disk.folder = folder
    return await room.switch_on("broker", "broker", config)


async def restart(room: Room) -> None:
    appliance = room.appliances["broker"]
    await room.hosts["broker"].spawn(appliance.stop())
    await room.hosts["broker"].spawn(appliance.start())


def test_retained_messages_sessions_and_what_waits_for_them_outlast_a_restart(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await switch_on(room, tmp_path / "broker")
        away, mouth = Client(room), Client(room, "plc-1")
        await away.connect("away", clean_start=False)
        await away.subscribe("t/#", 2)
        await leave(away)
        await mouth.connect("mouth")
        await publish(mouth, "t/1", b"1", retain=True)
        await publish(mouth, "t/2", b"2", retain=True)
        await publish(mouth, "t/1", b"", retain=True)
        mouth.close()
        await restart(room)
        mouth = Client(room, "plc-1")
        await mouth.connect("mouth")
        await publish(mouth, "t/3", b"3")
        back = Client(room)
        assert (await back.connect("away", clean_start=False)).session_present
        assert await heard(back) == [
            ("t/1", b"1", 1, False),
            ("t/2", b"2", 1, False),
            ("t/1", b"", 1, False),
            ("t/3", b"3", 1, False),
        ]
        await mouth.subscribe("t/#")
        assert await heard(mouth) == [("t/2", b"2", 0, True)]
        await leave(back)
        mouth.close()
        await restart(room)
        last = Client(room)
        assert (await last.connect("away", clean_start=False)).session_present
        assert await heard(last) == [], "what was acknowledged is gone from the disk, too"
        last.close()

    tell(story)


def test_exactly_once_holds_across_a_restart_in_both_directions(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await switch_on(room, tmp_path)
        ear, mouth = Client(room), Client(room, "plc-1")
        await ear.connect("ear", clean_start=False)
        await ear.subscribe("t", 2)
        await mouth.connect("mouth", clean_start=False)
        mouth.send(Publish("t", b"released", 2, packet_id=1), Publish("t", b"not yet", 2, packet_id=2))
        assert [await mouth.next(), await mouth.next()] == [Pubrec(1), Pubrec(2)]
        mouth.send(Pubrel(1))
        assert await mouth.next() == Pubcomp(1)
        message = await ear.next()
        assert isinstance(message, Publish)
        ear.send(Pubrec(message.packet_id))
        assert await ear.next() == Pubrel(message.packet_id)
        await restart(room)
        for client in (ear, mouth):
            client.close()
        ear, mouth = Client(room), Client(room, "plc-1")
        await ear.connect("ear", clean_start=False)
        assert await ear.next() == Pubrel(message.packet_id), "not the message again"
        ear.send(Pubcomp(message.packet_id))
        await mouth.connect("mouth", clean_start=False)
        mouth.send(Publish("t", b"not yet", 2, duplicate=True, packet_id=2))
        assert await mouth.next() == Pubrec(2)
        mouth.send(Pubrel(2))
        assert await mouth.next() == Pubcomp(2)
        delivered = await ear.next()
        assert isinstance(delivered, Publish)
        assert (delivered.payload, delivered.qos) == (b"not yet", 2)
        ear.close()
        mouth.close()

    tell(story)


def test_what_nobody_is_told_of_is_on_the_disk_at_once_as_well(tmp_path: Path) -> None:
    async def story(room: Room) -> list[tuple[str, bytes]]:
        await switch_on(room, tmp_path)
        client = Client(room)
        await client.connect("client")
        client.send(Publish("t", b"x", retain=True))
        await asyncio.sleep(0.1)
        database = sqlite3.connect(tmp_path / FILE)
        kept = database.execute("SELECT topic, payload FROM retained").fetchall()
        database.close()
        client.close()
        return kept

    assert tell(story) == [("t", b"x")]


def test_clean_sessions_leave_nothing_on_the_disk(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await switch_on(room, tmp_path)
        for name, clean in (("clean", True), ("lasting", False), ("lasting", True)):
            client = Client(room)
            await client.connect(name, clean_start=clean)
            await client.subscribe("t", 1)
            client.send(Publish("t", b"x", 1, packet_id=1))
            assert isinstance(await client.next(), Puback)
            await asyncio.sleep(1)
            client.writer.transport.abort()
            await asyncio.sleep(1)

    tell(story)
    database = sqlite3.connect(tmp_path / FILE)
    for table in ("session", "subscription", "outgoing", "incoming", "retained"):
        assert database.execute(f"SELECT * FROM {table}").fetchall() == []
    database.close()


def test_sessions_grow_old_while_the_broker_is_off(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await switch_on(room, tmp_path, limits={"session_expiry_s": 100})
        appliance = room.appliances["broker"]
        for name, off, expected in (("one", 50, True), ("two", 150, False)):
            client = Client(room)
            await client.connect(name, clean_start=False)
            await leave(client)
            await room.hosts["broker"].spawn(appliance.stop())
            await asyncio.sleep(off)
            await room.hosts["broker"].spawn(appliance.start())
            back = Client(room)
            assert (await back.connect(name, clean_start=False)).session_present is expected
            back.close()

    tell(story)


def test_without_persistence_or_a_disk_nothing_is_kept(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await switch_on(room, tmp_path, persistence=False)
        client = Client(room)
        await client.connect("client", clean_start=False)
        await leave(client)
        await restart(room)
        back = Client(room)
        assert not (await back.connect("client", clean_start=False)).session_present
        back.close()

    tell(story)
    assert list(tmp_path.iterdir()) == []


def of_a_later_version(file: Path) -> None:
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE retained (something_else TEXT)")
    database.execute("PRAGMA user_version = 99")
    database.close()


def no_database(file: Path) -> None:
    file.write_bytes(b"long enough to be read as a database, and none" * 100)


@pytest.mark.parametrize("damage", [no_database, of_a_later_version])
def test_a_file_that_cannot_be_understood_is_set_aside_and_the_display_says_so(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()

    async def story(room: Room) -> Any:
        running = await switch_on(room, tmp_path)
        client = Client(room)
        assert not (await client.connect("client")).reason
        await publish(client, "t", b"x", retain=True)
        client.close()
        return running.status()["storage"]

    assert "broker.damaged" in tell(story)
    if damage is no_database:
        assert (tmp_path / "broker.damaged").read_bytes() == before
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("SELECT topic FROM retained").fetchall() == [("t",)]
    database.close()


def test_a_disk_that_cannot_be_written_stops_no_messages(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    async def story(room: Room) -> Any:
        running = await switch_on(room, tmp_path / "file")
        client = Client(room)
        assert not (await client.connect("client", clean_start=False)).reason
        await publish(client, "t", b"x", retain=True)
        client.close()
        return running.status()["storage"]

    said = tell(story)
    assert "a restart will forget" in said or "重启后" in said


# -- a real process, really killed --------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys
from pathlib import Path
from gateway.broker.config import BrokerConfig
from gateway.broker.mended import MendedBroker

async def main():
    await MendedBroker(BrokerConfig(port=int(sys.argv[1])), folder=Path(sys.argv[2])).start()
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class Talk:
    """A client over real sockets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer, self._decoder = reader, writer, Decoder()
        self._arrived: list[mqtt.Packet] = []

    def send(self, *packets: Any) -> None:
        self.writer.write(b"".join(each.encode() for each in packets))

    async def next(self) -> mqtt.Packet:
        while not self._arrived:
            data = await asyncio.wait_for(self._reader.read(65_536), 10)
            if not data:
                raise EOFError
            self._arrived.extend(self._decoder.feed(data))
        return self._arrived.pop(0)


async def meet(port: int, name: str, *, clean: bool = False) -> tuple[Talk, Connack]:
    talk = Talk(*await asyncio.open_connection("127.0.0.1", port))
    talk.send(Connect(name, clean_start=clean))
    answer = await talk.next()
    assert isinstance(answer, Connack)
    return talk, answer


async def begin(port: int, folder: Path) -> asyncio.subprocess.Process:
    command = [sys.executable, "-c", PROGRAM, str(port), str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.communicate()


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, unused_tcp_port: int) -> None:
    port, count = unused_tcp_port, 500
    process = await begin(port, tmp_path)
    ear, _ = await meet(port, "ear")
    ear.send(Subscribe(1, (Subscription("t", 1),)))
    await ear.next()
    ear.writer.close()
    mouth, _ = await meet(port, "mouth", clean=True)
    mouth.send(Publish("kept", b"retained", 1, True, packet_id=count + 1))
    mouth.send(*(Publish("t", b"%d" % number, 1, packet_id=number + 1) for number in range(count)))
    acknowledged = 0
    while acknowledged < count * 2 // 3:
        assert isinstance(await mouth.next(), Puback)
        acknowledged += 1
    await kill(process)
    mouth.writer.close()

    process = await begin(port, tmp_path)
    back, answer = await meet(port, "ear")
    assert answer.session_present
    got: list[int] = []
    while len(got) < acknowledged - 1:
        message = await back.next()
        assert isinstance(message, Publish)
        got.append(int(message.payload))
        back.send(Puback(message.packet_id))
    assert got == list(range(acknowledged - 1)), "one of them was the retained one"
    back.send(Subscribe(2, (Subscription("kept"),)))
    while not isinstance(packet := await back.next(), Publish) or packet.topic != "kept":
        pass
    assert packet.payload == b"retained"
    back.writer.close()
    await kill(process)
