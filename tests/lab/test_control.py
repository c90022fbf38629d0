"""The control socket: who may ask, what is answered, and that nothing anybody sends harms a lab."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.network.loop import PlantLoop
from lab.seat.client import Client, LabError, LabGone
from lab.seat.control import LONGEST_LINE, MAX_CLIENTS, MAX_REQUESTS, Call, Control, Handler, Unwilling
from lab.seat.running import RunningLab, announce, running_labs, runtime_folder, withdraw
from lab.text import Text, speak

T = TypeVar("T")

LOCKED = Text(zh="{door} 锁着", en="{door} is locked")


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With a name short enough for a socket to be in it, wherever pytest keeps its own."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        monkeypatch.setenv("IIOTLAB_HOME", folder)
        speak("en")
        yield Path(folder)


class Lab:
    """A lab whose doors are of paper."""

    def __init__(self) -> None:
        self.control: Control
        self.open_doors = 0
        self.complaints: list[str] = []

    def handlers(self) -> dict[str, Handler]:
        return {"echo": self.echo, "count": self.count, "hold": self.hold, "refuse": self.refuse, "break": self.break_,
                "stream": self.stream}  # fmt: skip

    async def echo(self, call: Call) -> object:
        return {"text": call.text("text"), "flag": call.flag("flag")}

    async def count(self, call: Call) -> object:
        for number in range(3):
            call.say(number)
            await asyncio.sleep(0)
        return "counted"

    async def hold(self, call: Call) -> object:
        self.open_doors += 1
        call.say("open")
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            self.open_doors -= 1

    async def refuse(self, call: Call) -> object:
        raise Unwilling(LOCKED, door="the gate")

    async def break_(self, call: Call) -> object:
        raise ZeroDivisionError("ours")

    async def stream(self, call: Call) -> object:
        reader, writer = call.stream("raw from here on")
        while data := await reader.read(100):
            writer.write(data.upper())
        return None


def with_lab(story: Callable[[Lab], Awaitable[T]]) -> T:
    async def main() -> T:
        lab = Lab()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: lab.complaints.append(str(context.get("exception"))))
        lab.control = await Control.open(Path("/somewhere/lab"), "first-poll", 7, lab.handlers())
        try:
            async with asyncio.timeout(20):
                return await story(lab)
        finally:
            await lab.control.close()

    with asyncio.Runner(loop_factory=PlantLoop) as runner:
        return runner.run(main())


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what other tasks of this loop do."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


# -- asking ------------------------------------------------------------------------------------------------------------


def test_what_is_asked_is_answered_and_what_goes_on_is_told_on_the_way() -> None:
    async def story(lab: Lab) -> None:
        async with await Client.connect(lab.control.lab) as client:
            assert await client.ask("echo", text="你好", flag=True) == {"text": "你好", "flag": True}
            async with client.begin("count") as counting:
                assert [said async for said in counting.said()] == [0, 1, 2]
                assert await counting.end() == "counted"
            answers = await asyncio.gather(*(client.ask("echo", text=str(n)) for n in range(MAX_REQUESTS)))
            assert [answer["text"] for answer in answers] == [str(n) for n in range(MAX_REQUESTS)]

    with_lab(story)


@pytest.mark.parametrize(("language", "sentence"), [("en", "the gate is locked"), ("zh", "the gate 锁着")])
def test_a_refusal_is_said_in_the_language_of_who_asks(language: Any, sentence: str) -> None:
    async def story(lab: Lab) -> None:
        speak(language)
        async with await Client.connect(lab.control.lab) as client:
            with pytest.raises(LabError, match=sentence):
                await client.ask("refuse")
        speak("en")

    with_lab(story)


def test_what_makes_no_sense_is_refused_and_the_conversation_goes_on() -> None:
    async def story(lab: Lab) -> None:
        async with await Client.connect(lab.control.lab) as client:
            with pytest.raises(LabError, match="no request 'dance', only break, count, echo"):
                await client.ask("dance")
            with pytest.raises(LabError, match="makes no sense: text"):
                await client.ask("echo", text=3)
            with pytest.raises(LabError, match="makes no sense: flag"):
                await client.ask("echo", text="", flag="yes")
            assert (await client.ask("echo", text="still here"))["text"] == "still here"

    with_lab(story)


def test_our_mistake_is_an_answer_and_a_complaint_and_no_end() -> None:
    async def story(lab: Lab) -> None:
        async with await Client.connect(lab.control.lab) as client:
            with pytest.raises(LabError, match="ZeroDivisionError: ours"):
                await client.ask("break")
            assert (await client.ask("echo", text="x"))["text"] == "x"
        await until(lambda: lab.complaints == ["ours"])

    with_lab(story)


def test_what_a_request_opens_is_closed_when_it_is_cancelled_or_the_client_goes() -> None:
    async def story(lab: Lab) -> None:
        async with await Client.connect(lab.control.lab) as client:
            async with client.begin("hold") as holding:
                assert await holding.heard() == "open"
                assert lab.open_doors == 1
            assert lab.open_doors == 0, "it has ended when the block has"
            async with client.begin("hold") as holding, client.begin("hold") as other:
                await holding.heard()
                await other.heard()
                assert lab.open_doors == 2
                client._writer.transport.abort()
                with pytest.raises(LabGone):
                    await holding.end()
                await until(lambda: lab.open_doors == 0)

    with_lab(story)


def test_a_lab_that_closes_closes_its_doors_and_says_so() -> None:
    async def story(lab: Lab) -> None:
        client = await Client.connect(lab.control.lab)
        async with client.begin("hold") as holding:
            await holding.heard()
            await lab.control.close()
            assert lab.open_doors == 0
            with pytest.raises(LabError):
                await holding.end()
        await client.close()
        with pytest.raises(LabGone):
            await client.ask("echo", text="")
        with pytest.raises(OSError, match=r"."):
            await Client.connect(lab.control.lab)
        assert not list(runtime_folder().iterdir())

    with_lab(story)


def test_a_client_that_is_killed_leaves_nothing_open() -> None:
    async def story(lab: Lab) -> None:
        program = """
import asyncio, json, sys
from lab.seat.client import Client
from lab.seat.running import running_labs
async def main():
    (lab,) = running_labs()
    async with await Client.connect(lab) as client, client.begin("hold") as holding:
        await holding.heard()
        print("held", flush=True)
        await holding.end()
asyncio.run(main())
"""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=subprocess.PIPE, env=environment
        )
        assert client.stdout is not None
        assert await client.stdout.readline() == b"held\n"
        assert lab.open_doors == 1
        client.kill()
        await client.wait()
        await until(lambda: lab.open_doors == 0)

    with_lab(story)


def test_a_connection_may_become_a_stream_of_its_own() -> None:
    async def story(lab: Lab) -> None:
        reader, writer = await dial(lab)
        writer.write(b'{"id": 1, "do": "stream"}\n')
        assert json.loads(await reader.readline())["stream"] == "raw from here on"
        writer.write(b'{"id": 2, "do": "echo"}\n')
        assert await reader.readline() == b'{"ID": 2, "DO": "ECHO"}\n'
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()

    with_lab(story)


# -- nonsense ----------------------------------------------------------------------------------------------------------


async def dial(lab: Lab, hello: bytes = b'{"iiotlab": 1}\n') -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    raw = lab.control.lab.connect()
    raw.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=raw)
    writer.write(hello)
    if hello:
        await reader.readline()
    return reader, writer


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"id": "x", "do": "echo"}\n', b'{"id": 1, "do": 3}\n', b'{"id": true, "do": "echo"}\n',
     b"[" * 30_000 + b"\n", b'"' + b"x" * (LONGEST_LINE + 10)],
    ids=lambda nonsense: repr(nonsense[:20]),
)  # fmt: skip
def test_nonsense_ends_its_own_connection_only(nonsense: bytes) -> None:
    async def story(lab: Lab) -> None:
        async with await Client.connect(lab.control.lab) as client:
            reader, writer = await dial(lab)
            writer.write(nonsense)
            said = await reader.read()
            assert b"makes no sense" in said
            writer.close()
            assert (await client.ask("echo", text="unharmed"))["text"] == "unharmed"

    with_lab(story)


@settings(max_examples=30)
@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([b"\n", b'{"iiotlab": 1}\n', b'{"cancel": 1}\n']), max_size=8)
)
def test_arbitrary_bytes_harm_no_lab(chunks: list[bytes]) -> None:
    async def story(lab: Lab) -> None:
        raw = lab.control.lab.connect()
        raw.setblocking(False)
        _, writer = await asyncio.open_connection(sock=raw)
        for chunk in chunks:
            writer.write(chunk)
        writer.close()
        async with await Client.connect(lab.control.lab) as client:
            assert (await client.ask("echo", text="unharmed"))["text"] == "unharmed"
        assert not lab.complaints

    with_lab(story)


def test_another_version_is_told_so() -> None:
    async def story(lab: Lab) -> None:
        raw = lab.control.lab.connect()
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw)
        writer.write(b'{"iiotlab": 99}\n')
        assert "another version" in json.loads(await reader.readline())["error"]["en"]
        assert await reader.read() == b""
        writer.close()

    with_lab(story)


def test_crowds_are_kept_out_and_so_are_too_many_requests() -> None:
    async def story(lab: Lab) -> None:
        async with await Client.connect(lab.control.lab) as client:
            crowd = [await dial(lab) for _ in range(MAX_CLIENTS - 1)]
            reader, one_too_many = await dial(lab, b"")
            assert await reader.read() == b""
            one_too_many.close()
            for _, writer in crowd:
                writer.close()
            held = [client.begin("hold") for _ in range(MAX_REQUESTS)]
            for each in held:
                await (await each.__aenter__()).heard()
            with pytest.raises(LabError, match="too many"):
                await client.ask("echo", text="")
            for each in held:
                await each.__aexit__(None, None, None)
            assert (await client.ask("echo", text="x"))["text"] == "x"

    with_lab(story)


def test_who_does_not_listen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.seat.control._UNREAD_LIMIT", 100_000)

    async def story(lab: Lab) -> None:
        ended = asyncio.Event()

        async def chatter(call: Call) -> object:
            try:
                while True:
                    call.say("x" * 10_000)
                    await asyncio.sleep(0)
            finally:
                ended.set()

        lab.control.handlers["chatter"] = chatter
        raw = lab.control.lab.connect()
        raw.sendall(b'{"iiotlab": 1}\n{"id": 1, "do": "chatter"}\n')
        await ended.wait()
        raw.close()

    with_lab(story)


# -- who may, and where ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_nobody_else_can_reach_the_socket() -> None:
    async def story(lab: Lab) -> None:
        folder = Path(lab.control.lab.path).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for file in runtime_folder().glob("*.json"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    with_lab(story)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_folder_that_others_may_enter_is_no_place_for_it(own_home: Path) -> None:
    (own_home / "running").mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="not a folder of this user's alone"):
        runtime_folder()
    (own_home / "running").rmdir()
    (own_home / "elsewhere").mkdir(mode=0o700)
    (own_home / "running").symlink_to(own_home / "elsewhere")
    with pytest.raises(PermissionError):
        runtime_folder()


def test_where_there_are_no_unix_sockets_a_token_keeps_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.seat.control.sys.platform", "win32")

    async def story(lab: Lab) -> None:
        known = lab.control.lab
        assert not known.path
        assert len(known.token) > 30
        (found,) = running_labs()
        assert found == known
        async with await Client.connect(found) as client:
            assert (await client.ask("echo", text="x"))["text"] == "x"
        for token in ("", known.token[:-1], known.token + "x", "口令"):
            with pytest.raises(LabError, match="wrong token"):
                await Client.connect(replace(known, token=token))

    with_lab(story)


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IIOTLAB_HOME", str(tmp_path / ("long" * 20) / ("longer" * 10)))

    async def story(lab: Lab) -> Path:
        async with await Client.connect(running_labs()[0]) as client:
            assert (await client.ask("echo", text="x"))["text"] == "x"
        return Path(lab.control.lab.path)

    assert not with_lab(story).parent.exists()


def test_labs_are_found_and_the_traces_of_killed_ones_cleared_away(own_home: Path) -> None:
    async def story(lab: Lab) -> None:
        assert running_labs() == [lab.control.lab]
        if sys.platform != "win32":
            with socket.socket(socket.AF_UNIX) as dead:
                path = runtime_folder() / "dead.socket"
                dead.bind(str(path))
            announce(RunningLab("/killed", "first-poll", 1, 99999, str(path)))
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            announce(RunningLab("/killed", "first-poll", 1, 99999, "", unused.getsockname()[1], "x"))
            assert running_labs() == [lab.control.lab]
        own = {Path(lab.control.lab.path).name, lab.control._announcement.name}  # type: ignore[union-attr]
        assert {file.name for file in runtime_folder().iterdir()} == own

    with_lab(story)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"iiotlab": 2}', b'{"iiotlab": 1, "folder": 3}', b"[" * 9999]
)
def test_a_file_that_makes_no_sense_is_none_of_our_business(content: bytes) -> None:
    file = runtime_folder() / "1.json"
    file.write_bytes(content)
    assert running_labs() == []
    assert file.exists()


def test_what_was_announced_can_be_withdrawn_twice() -> None:
    lab = RunningLab("/x", "first-poll", 1, 1)
    path = announce(lab)
    withdraw(path, lab)
    withdraw(path, lab)
    assert not path.exists()
