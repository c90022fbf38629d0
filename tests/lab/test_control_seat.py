"""What a running lab does for programs that ask it, and what it writes down about that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.model.frame import Port
from lab.network import frame_socket
from lab.seat import DeviceNotice, Seat, run
from lab.seat.client import Client, LabError
from lab.seat.control import Call
from lab.seat.running import running_labs
from lab.text import speak
from lab.wire import arp, ethernet


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IIOTLAB_HOME", str(tmp_path / "home"))
    speak("en")


def at_a_seat(
    folder: Path, story: Callable[[Seat, Client], Awaitable[None]], scenario: str = "first-poll"
) -> list[dict[str, Any]]:
    """Tell the story; what stands in the journal afterwards."""

    async def main() -> None:
        seat = await Seat.open(scenario, folder, 1)
        try:
            (lab,) = running_labs()
            async with asyncio.timeout(30), await Client.connect(lab) as client:
                await story(seat, client)
        finally:
            await seat.close()

    run(main())
    assert running_labs() == []
    return [json.loads(line) for line in (folder / "work/journal.jsonl").read_text("utf-8").splitlines()]


def test_a_lab_tells_who_it_is_and_what_stands_in_it(tmp_path: Path) -> None:
    async def story(seat: Seat, client: Client) -> None:
        status = await client.ask("status")
        assert (status["scenario"], status["folder"], status["real"]) == ("first-poll", str(seat.root), [])
        assert status["published"]["boiler"].startswith("127.0.0.1:")
        hosts = {host["name"]: host for host in await client.ask("hosts")}
        assert [name for name, host in hosts.items() if host["is_workstation"]] == ["ws-1"]
        assert hosts["boiler"]["ports"][0]["peer"] == "sw-1/p1"
        assert hosts["boiler"]["title"]["zh"]
        assert isinstance(await client.ask("status", host="gw-1"), dict)
        with pytest.raises(LabError, match="no host sw-2, only boiler"):
            await client.ask("status", host="sw-2")

    at_a_seat(tmp_path / "lab", story)


def test_others_may_add_what_a_lab_can_do(tmp_path: Path) -> None:
    async def story(seat: Seat, client: Client) -> None:
        async def inject(call: Call) -> object:
            return f"{call.text('fault')} at {call.argument('where')['port']}"

        assert seat.control is not None
        seat.control.handlers["inject"] = inject
        assert await client.ask("inject", fault="broken-cable", where={"port": "sw-1/p1"}) == "broken-cable at sw-1/p1"

    at_a_seat(tmp_path / "lab", story)


def test_frames_of_a_program_pass_the_port_of_its_host(tmp_path: Path) -> None:
    async def story(seat: Seat, client: Client) -> None:
        raw = client.lab.connect()
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw)
        writer.write(b'{"iiotlab": 1}\n{"id": 1, "do": "frames", "host": "ws-1"}\n')
        await reader.readline()
        facts = json.loads(await reader.readline())["stream"]
        assert (facts["port"], facts["address"].split("/")[1]) == ("eth0", "24")
        own = bytes(map(int, facts["address"].split("/")[0].split(".")))
        mac = bytes.fromhex(facts["mac"].replace(":", ""))
        plc = bytes((*own[:3], 41))
        ask = arp.Arp(arp.Operation.REQUEST, mac, own, bytes(6), plc).encode()
        writer.write(frame_socket.encode(ethernet.HEADER.pack(ethernet.BROADCAST, mac, ethernet.ARP) + ask))
        decoder = frame_socket.Decoder()
        heard: list[bytes] = []
        while not any(frame[:6] == mac for frame in heard):
            heard.extend(decoder.feed(await reader.read(4096)))
        assert arp.decode(next(frame for frame in heard if frame[:6] == mac)[14:]).sender_ip == plc
        writer.write(b"\xff\xff nonsense")
        assert await reader.read() is not None
        writer.close()
        assert (await client.ask("status"))["scenario"] == "first-poll"

    at_a_seat(tmp_path / "lab", story)


def test_a_card_is_noted_in_the_journal_and_gone_with_who_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Card:
        def close(self) -> None:
            closed.append(True)

    closed: list[bool] = []
    given: list[Any] = []

    def bridge(network: object, port: Port, interface: str, **options: Any) -> Card:
        given.extend((port, interface, options["force"]))
        return Card()

    monkeypatch.setattr("lab.seat.doors.bridge", bridge)

    async def story(seat: Seat, client: Client) -> None:
        async with client.begin("nic", port="ws-1", interface="eth7", force=True) as card:
            assert await card.heard() == {"port": "ws-1/eth0", "interface": "eth7"}
            assert given == [Port("ws-1", "eth0"), "eth7", True]
        assert closed

    events = [(each["event"], each.get("interface")) for each in at_a_seat(tmp_path / "lab", story)]
    assert ("RealCardJoined", "eth7") in events
    assert ("RealCardLeft", "eth7") in events


def test_a_real_host_is_noted_and_its_configuration_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Real:
        port = Port("eng-1", "eth0")

        def __init__(self, network: Any) -> None:
            self.network, self.gone = network, asyncio.Event()
            network.real_hosts["eng-1"] = self

        def command(self, argv: list[str]) -> list[str]:
            return ["enter", *argv]

        async def wait_closed(self) -> None:
            await self.gone.wait()

        async def close(self) -> None:
            self.network.real_hosts.pop("eng-1", None)
            self.gone.set()

    async def attach(network: Any, port: Port, *_: object, **options: Any) -> Real:
        assert port == Real.port
        return Real(network)

    monkeypatch.setattr("lab.seat.doors.attach", attach)

    @asynccontextmanager
    async def attached(client: Client, **options: Any) -> AsyncIterator[Any]:
        async with client.begin("attach", host="eng-1", **options) as conversation:
            yield await conversation.heard()

    async def story(seat: Seat, client: Client) -> None:
        notices: list[str] = []
        waits = asyncio.Event()

        def hear(event: object) -> None:
            if isinstance(event, DeviceNotice):
                notices.append(event.text)
                if "its new configuration counts when" in event.text:
                    waits.set()

        seat.subscribe(hear)
        async with attached(client) as facts:
            assert facts["command"] == ["enter"]
            assert (await client.ask("status"))["real"] == ["eng-1"]
            assert not seat.save("config/eng-1.yaml", seat.read("config/eng-1.yaml") + "# changed\n")
            await waits.wait()
        assert (await client.ask("status"))["real"] == []
        async with attached(client, keep=True):
            pass
        assert (await client.ask("status"))["real"] == ["eng-1"], "it was asked to stay"
        await client.ask("detach", host="eng-1")
        assert (await client.ask("status"))["real"] == []
        async with attached(client, keep=True):
            pass
        assert notices.count("is a real host now (iiotlab attach)") == 3

    events = [each["event"] for each in at_a_seat(tmp_path / "lab", story, "who-may-write")]
    assert events.count("RealHostAttached") == events.count("RealHostDetached") == 3, "closing gives it back too"
