"""A seat: files go in, the plant follows, marks and sealed evidence come out, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from grading.bundle import BundleError, open_bundle
from grading.grader import grade
from grading.verdict import Outcome
from lab.model.document import FileError
from lab.network.loop import PlantLoop
from lab.seat import (
    ConfigurationApplied,
    ConfigurationRefused,
    DeviceNotice,
    Event,
    HandInProgress,
    ObservationSeen,
    ResultReady,
    Seat,
    VerdictChanged,
    run,
)
from lab.seat.home import home, installation_key
from scenarios.scenario import Instance, Scenario, find

E = TypeVar("E")
GATEWAY = "config/gw-1.yaml"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IIOTLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Scenario.load(find("first-poll")).instantiate(1)


class Watcher:
    """Keeps what a seat says, and waits for more of it."""

    def __init__(self, seat: Seat) -> None:
        self.events: list[Event] = []
        self._waiting: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []
        seat.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        for wanted, future in self._waiting:
            if not future.done() and wanted(event):
                future.set_result(event)

    async def hear(self, kind: type[E], wanted: Callable[[E], bool] = lambda event: True) -> E:
        def fits(event: Event) -> bool:
            return isinstance(event, kind) and wanted(event)

        for event in self.events:
            if fits(event):
                return event  # type: ignore[return-value]
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting.append((fits, future))
        async with asyncio.timeout(20):
            return await future  # type: ignore[return-value]


def at_a_seat(folder: Path, story: Callable[[Seat, Watcher], Awaitable[None]], scenario: str = "first-poll") -> None:
    async def main() -> None:
        seat = await Seat.open(scenario, folder, 1)
        try:
            await story(seat, Watcher(seat))
        finally:
            await seat.close()

    run(main())


def journal(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / "work/journal.jsonl").read_text("utf-8").splitlines()]


def test_an_attempt_begins_with_the_start_files_and_is_gone_on_with(tmp_path: Path, instance: Instance) -> None:
    folder = tmp_path / "lab"

    async def first(seat: Seat, watcher: Watcher) -> None:
        assert seat.root == folder
        assert seat.files() == (GATEWAY,)
        assert seat.read(GATEWAY) == instance.start[GATEWAY]
        assert not seat.save(GATEWAY, "# mine\n" + instance.start[GATEWAY])
        await watcher.hear(ConfigurationApplied)

    async def later(seat: Seat, watcher: Watcher) -> None:
        assert seat.read(GATEWAY).startswith("# mine\n")

    at_a_seat(folder, first)
    at_a_seat(folder, later)
    assert journal(folder).count("SeatOpened") == 2


def test_a_folder_of_another_attempt_is_refused(tmp_path: Path) -> None:
    async def nothing(seat: Seat, watcher: Watcher) -> None: ...

    at_a_seat(tmp_path / "lab", nothing)
    with pytest.raises(FileError, match="belongs to another attempt: first-poll, seed 1"):
        at_a_seat(tmp_path / "lab", nothing, "who-may-write")


def test_two_seats_in_one_folder_would_spoil_each_others_records(tmp_path: Path) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        with pytest.raises(FileError, match="another program is at work in this folder"):
            await Seat.open("first-poll", seat.root, 1)

    at_a_seat(tmp_path / "lab", story)
    at_a_seat(tmp_path / "lab", lambda seat, watcher: asyncio.sleep(0))


def test_what_is_saved_is_applied_and_the_lamps_follow(tmp_path: Path, instance: Instance) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        # As vim would: not through the seat.
        (seat.root / GATEWAY).write_text(instance.reference.files[GATEWAY], "utf-8")
        assert (await watcher.hear(ConfigurationApplied)).file == GATEWAY
        lamp = await watcher.hear(
            VerdictChanged, lambda event: event.check_id == "session-is-as-agreed" and not event.sentence
        )
        assert lamp.verdict.outcome is Outcome.PASSED
        seen = await watcher.hear(ObservationSeen, lambda event: "telemetry" in event.summary)
        assert (seen.observation.client, seen.observation.server) == ("gw-1", "broker")
        polled = await watcher.hear(
            VerdictChanged, lambda event: event.check_id == "gas-flow-is-polled" and not event.sentence
        )
        assert polled.verdict.share == 1

    at_a_seat(tmp_path / "lab", story)


def test_a_bad_file_changes_nothing_and_says_why(tmp_path: Path, instance: Instance) -> None:
    good = instance.reference.files[GATEWAY]

    async def story(seat: Seat, watcher: Watcher) -> None:
        seat.save(GATEWAY, good)
        await watcher.hear(ConfigurationApplied)
        bad = good.replace("driver: modbus-tcp", "driver: modbus-tpc")
        (problem,) = seat.save(GATEWAY, bad)
        assert "'modbus-tpc' is not one of the allowed values; did you mean 'modbus-tcp'?" in str(problem)
        assert seat.check(GATEWAY, bad) == (problem,)
        refused = await watcher.hear(ConfigurationRefused)
        assert refused.problems == (problem,)
        assert "boiler" in str(seat.status("gw-1")["south"])
        with pytest.raises(FileError, match="modbus-tpc"):
            await seat.hand_in()
        (seat.root / GATEWAY).unlink()
        missing = await watcher.hear(ConfigurationRefused, lambda event: "missing" in str(event.problems[0]))
        assert missing.file == GATEWAY
        assert "boiler" in str(seat.status("gw-1")["south"])

    at_a_seat(tmp_path / "lab", story)


def test_the_last_good_state_survives_a_restart_with_a_bad_file(tmp_path: Path, instance: Instance) -> None:
    async def first(seat: Seat, watcher: Watcher) -> None:
        seat.save(GATEWAY, instance.reference.files[GATEWAY])
        await watcher.hear(ConfigurationApplied)
        seat.save(GATEWAY, "south: [")
        await watcher.hear(ConfigurationRefused)

    async def later(seat: Seat, watcher: Watcher) -> None:
        assert "boiler" in str(seat.status("gw-1")["south"])
        assert seat.read(GATEWAY) == "south: ["

    at_a_seat(tmp_path / "lab", first)
    at_a_seat(tmp_path / "lab", later)


def test_the_drawing_shows_cables_and_addresses_as_they_are(tmp_path: Path) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        wiring = seat.read("wiring.yaml")
        cables = len(seat.plant().cables)
        seat.save("wiring.yaml", wiring.replace("  - [sw-cell/p8, sw-office/p8]\n", ""))
        await watcher.hear(ConfigurationApplied)
        assert len(seat.plant().cables) == cables - 1
        hosts = {host.name: host for host in seat.plant().hosts}
        assert hosts["eng-1"].file == "config/eng-1.yaml"
        assert hosts["boiler"].file is None
        assert hosts["boiler"].ports[0].address.endswith(".20.11/24")
        assert str(hosts["boiler"].ports[0].peer) == "sw-cell/p1"
        assert hosts["sw-cell"].is_switch
        assert hosts["sw-cell"].ports[7].peer is None

    at_a_seat(tmp_path / "lab", story, "who-may-write")


class Polling:
    """Somebody who asks a controller again and again on one connection, as gateways do."""

    def __init__(self, seat: Seat, source: str, address: str, unit: int) -> None:
        self._request = b"\0\1\0\0\0\6" + bytes((unit, 4, 0, 0, 0, 2))
        self._address = address
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self._host = seat.network.hosts[source]

    async def connect(self) -> None:
        async def open_one() -> None:
            self.reader, self.writer = await asyncio.open_connection(self._address, 502)

        await self._host.spawn(open_one())

    async def is_answered(self, patience: float = 1.0) -> bool:
        """Within so many seconds."""
        self.writer.write(self._request)
        try:
            async with asyncio.timeout(patience):
                return bool(await self.reader.read(100))
        except (TimeoutError, OSError):
            return False


def test_a_firewalls_new_rules_hold_for_open_connections_from_the_moment_they_are_applied(tmp_path: Path) -> None:
    instance = Scenario.load(find("cell-firewall")).instantiate(1)
    rules = instance.reference.files["config/fw-1.yaml"]
    boiler = instance.fixed["config/boiler.yaml"].data
    address = boiler["interfaces"]["eth0"]["address"].split("/")[0]

    async def story(seat: Seat, watcher: Watcher) -> None:
        (seat.root / "config" / "fw-1.yaml").write_text(rules, "utf-8")  # as an editor of one's own would
        await watcher.hear(ConfigurationApplied)
        polling = Polling(seat, "scada", address, int(boiler["unit"]))
        await polling.connect()
        assert await polling.is_answered(10)
        watcher.events.clear()
        seat.save("config/fw-1.yaml", rules.replace("name: scada reads", "name: scada reads, enabled: false"))
        await watcher.hear(ConfigurationApplied)
        assert not await polling.is_answered()
        log = "\n".join(map(str, seat.status("fw-1")["log"]))  # type: ignore[call-overload]
        assert "verdict=deny" in log
        watcher.events.clear()
        seat.save("config/fw-1.yaml", rules)
        await watcher.hear(ConfigurationApplied)
        again = Polling(seat, "scada", address, int(boiler["unit"]))
        await again.connect()
        assert await again.is_answered(10)
        for each in (polling, again):
            each.writer.transport.abort()

    at_a_seat(tmp_path / "lab", story, "cell-firewall")


def test_a_pulled_cable_is_pulled_for_running_traffic(tmp_path: Path) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        hosts = {host.name: host for host in seat.plant().hosts}
        address = hosts["boiler"].ports[0].address.split("/")[0]
        unit = int(seat.instance.fixed["config/boiler.yaml"].data["unit"])
        polling = Polling(seat, "scada", address, unit)
        await polling.connect()
        assert await polling.is_answered(10)
        wiring = seat.read("wiring.yaml")
        seat.save("wiring.yaml", wiring.replace("  - [boiler/eth0, sw-cell/p1]\n", ""))
        await watcher.hear(ConfigurationApplied)
        assert not await polling.is_answered()
        watcher.events.clear()
        seat.save("wiring.yaml", wiring)
        await watcher.hear(ConfigurationApplied)
        assert await polling.is_answered(30), "TCP sends again what was lost"
        polling.writer.transport.abort()

    at_a_seat(tmp_path / "lab", story, "who-may-write")


def test_handing_in_marks_and_seals_and_the_evidence_gives_the_same_marks(tmp_path: Path, instance: Instance) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        seat.save(GATEWAY, instance.reference.files[GATEWAY])
        await watcher.hear(ConfigurationApplied)
        (seat.root / "submit" / "note.txt").write_text("done", "utf-8")
        result = await seat.hand_in()
        ready = await watcher.hear(ResultReady)
        assert (ready.score, ready.bundle_path) == (result.score, result.bundle_path)
        stages = [event.stage for event in watcher.events if isinstance(event, HandInProgress)]
        assert list(dict.fromkeys(stages)) == ["boot", "settle", "drive", "grade", "seal"]
        assert result.score.earned == 100
        bundle = open_bundle(result.bundle_path)
        assert grade(bundle, instance.definition.tasks) == result.score
        assert bundle.members["submit/note.txt"] == b"done"
        assert bundle.members[f"frozen/{GATEWAY}"].decode() == instance.reference.files[GATEWAY]
        assert "100" in result.bundle_path.with_name("report.html").read_text("utf-8")
        # The plant goes on, and so does the record: a second attempt at handing in is another one.
        again = await seat.hand_in()
        assert again.bundle_path != result.bundle_path
        assert (
            open_bundle(again.bundle_path)
            .members["work/capture.pcapng"]
            .startswith(bundle.members["work/capture.pcapng"])
        )

    at_a_seat(tmp_path / "lab", story)


@pytest.mark.parametrize(
    "member", ["acceptance/capture.pcapng", "acceptance/truth.jsonl", f"frozen/{GATEWAY}", "work/journal.jsonl"]
)
def test_a_changed_byte_in_the_evidence_is_named(tmp_path: Path, instance: Instance, member: str) -> None:
    from zipfile import ZIP_DEFLATED, ZipFile

    from lab.seat.handin import hand_in
    from scenarios.marking import Work
    from scenarios.rehearsal import rehearse

    files = instance.reference.files
    work, _ = rehearse(instance, files, ())
    result = hand_in(instance, tmp_path, files, {}, Work(work.members, work.began_ns), lambda stage, done, total: None)
    spoilt = tmp_path / "spoilt.zip"
    with ZipFile(result.bundle_path) as good, ZipFile(spoilt, "w", ZIP_DEFLATED) as bad:
        for info in good.infolist():
            data = bytearray(good.read(info))
            if info.filename == member:
                data[len(data) // 2] ^= 1
            bad.writestr(info, bytes(data))
    with pytest.raises(BundleError, match=f"member {member} was changed after sealing"):
        open_bundle(spoilt)


def test_what_a_crash_leaves_unfinished_is_cut_off_and_the_rest_kept(tmp_path: Path) -> None:
    folder = tmp_path / "lab"

    async def nothing(seat: Seat, watcher: Watcher) -> None: ...

    at_a_seat(folder, nothing)
    whole = {path: path.read_bytes() for path in (folder / "work").glob("*.*") if path.suffix in (".pcapng", ".jsonl")}
    assert len(whole) == 3
    for path, data in whole.items():
        path.write_bytes(data + data[:20].replace(b"\n", b" "))
    at_a_seat(folder, nothing)
    for path, data in whole.items():
        assert path.read_bytes().startswith(data)
        assert not path.read_bytes()[len(data) :].startswith(data[:20].replace(b"\n", b" ") + b"{")

    async def hand_in(seat: Seat, watcher: Watcher) -> None:
        assert (await seat.hand_in()).score.undecided == 0

    at_a_seat(folder, hand_in)


def test_who_subscribes_late_hears_what_still_holds(tmp_path: Path) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        seat.save(GATEWAY, "south: [")
        await watcher.hear(ConfigurationRefused)
        await watcher.hear(VerdictChanged)
        late = Watcher(seat)
        refused = await late.hear(ConfigurationRefused)
        assert refused.file == GATEWAY
        told = {event.check_id for event in late.events if isinstance(event, VerdictChanged)}
        assert told == set(seat.verdicts())

    at_a_seat(tmp_path / "lab", story)


def test_a_network_that_drowns_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.seat.workphase._STORM", 1)

    async def story(seat: Seat, watcher: Watcher) -> None:
        await watcher.hear(DeviceNotice, lambda notice: "do its cables form a ring?" in notice.text)

    at_a_seat(tmp_path / "lab", story, "who-may-write")


def test_a_capture_that_is_full_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.seat.workphase.CAPTURE_LIMIT", 1000)

    async def story(seat: Seat, watcher: Watcher) -> None:
        await watcher.hear(DeviceNotice, lambda notice: "some traffic is not recorded" in notice.text)
        assert (seat.root / "work/capture.pcapng").stat().st_size < 3000

    at_a_seat(tmp_path / "lab", story, "who-may-write")


def test_a_seat_needs_a_live_plant_loop(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="PlantLoop"):
            await Seat.open("first-poll", tmp_path)

    asyncio.run(main())
    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        runner.run(main())


def test_published_ports_lead_into_the_plant(tmp_path: Path) -> None:
    async def story(seat: Seat, watcher: Watcher) -> None:
        unit = seat.instance.parameters["unit"]
        assert isinstance(unit, int)
        reader, writer = await asyncio.open_connection("127.0.0.1", seat.published["boiler"].port)
        writer.write(bytes((0, 1, 0, 0, 0, 6, unit, 4, 0, 0, 0, 2)))
        answer = await reader.readexactly(13)
        assert answer[:9] == bytes((0, 1, 0, 0, 0, 7, unit, 4, 4))
        writer.close()
        await writer.wait_closed()
        read = await watcher.hear(ObservationSeen, lambda event: type(event.observation).__name__ == "RegistersRead")
        assert read.observation.client == "ws-1"

    at_a_seat(tmp_path / "lab", story)


def test_the_key_is_made_once_and_is_nobody_elses_business(own_home: Path) -> None:
    first, second = installation_key(), installation_key()
    assert first.public_key() == second.public_key()
    (file,) = home().iterdir()
    assert home() == own_home
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
