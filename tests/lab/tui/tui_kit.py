"""A seat that only pretends, for stories about screens."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from grading.score import Score
from grading.stimulus import Value
from grading.verdict import Verdict, failed, passed
from lab.model.document import FileError, Problem
from lab.model.frame import Port
from lab.seat import events
from lab.seat.view import HostView, PlantView, PortView
from lab.text import Text
from lab.tui.app import LabApp
from lab.tui.attempts import Standing
from lab.tui.catalogue import Entry
from scenarios import folder as plan
from scenarios.scenario import Instance, Scenario

TEMPLATE = Path(plan.__file__).parent / "template"


def instance(tmp_path: Path) -> Instance:
    folder = tmp_path / "new-scenario"
    shutil.copytree(TEMPLATE, folder)
    return Scenario.load(folder).instantiate(7)


@dataclass
class Door:
    port: int


class FakeSeat:
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.texts = dict(instance.start)
        self.cables = {Port("plc-1", "eth0"): Port("sw-1", "p1"), Port("ws-1", "eth0"): Port("sw-1", "p2")}
        self.listeners: list[Callable[[events.Event], object]] = []
        self.root = Path("work-folder")
        self.published: dict[str, Door] = {}
        self.known: dict[str, Verdict] = {}
        self.is_closed = False
        self.handed_in: Callable[[], Score] | None = None
        self.trouble: Exception | None = None
        """Raised by whatever is asked of it."""

    def emit(self, event: events.Event) -> None:
        for listener in tuple(self.listeners):
            listener(event)

    def subscribe(self, listener: Callable[[events.Event], object]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def verdicts(self) -> Mapping[str, Verdict]:
        return self.known

    def status(self, host: str) -> Mapping[str, object]:
        return {"host": host, "connected": True, "tags": {"pressure": {"value": 0.8}}, "log": ["first", "second"]}

    def files(self) -> Sequence[str]:
        return tuple(self.texts)

    def read(self, file: str) -> str:
        if file not in self.texts:
            raise FileError([Problem(file, 0, 0, Text(zh="没有", en="missing"))])
        return self.texts[file]

    def check(self, file: str, text: str) -> Sequence[Problem]:
        return plan.check_file(self.instance, file, text)

    def save(self, file: str, text: str) -> Sequence[Problem]:
        if self.trouble is not None:
            raise self.trouble
        self.texts[file] = text
        return self.check(file, text)

    def plant(self) -> PlantView:
        peers = self.cables | {b: a for a, b in self.cables.items()}
        hosts: list[HostView] = []
        for name, host in self.instance.definition.plant.hosts.items():
            file = f"config/{name}.yaml"
            is_switch = host.kind.startswith("switch")
            names = [f"p{number}" for number in range(1, 6)] if is_switch else ["eth0"]
            ports = tuple(PortView(p, "" if is_switch else "10.1.10.11/24", peers.get(Port(name, p))) for p in names)
            hosts.append(
                HostView(name, host.kind, host.title.text, is_switch, file if file in self.texts else None, ports)
            )
        return PlantView(tuple(hosts), tuple(self.cables.items()))

    def consoles(self) -> Sequence[str]:
        return ("ws-1", "ws-2")

    async def console(self, host: str, line: str, out: Callable[[str], None]) -> int:
        out(f"{host} runs ")
        out(f"{line}\nand says a lot\n")
        if line == "ping":
            try:
                await asyncio.Event().wait()
            finally:
                out("summary")
        return 0

    async def hand_in(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.emit(events.HandInProgress("drive", 1, 2))
        await asyncio.sleep(0)
        assert self.handed_in is not None
        self.emit(events.ResultReady(self.handed_in(), Path("evidence.zip")))

    async def close(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.is_closed = True


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait for what is bound to come."""
    async with asyncio.timeout(10):
        while not condition():
            await pilot.pause(0.01)


def app_on(seat: FakeSeat, standing: Callable[[Entry], Standing | None] = lambda _: None) -> LabApp:
    definition = seat.instance.definition
    entry = Entry(
        Path(),
        definition.id,
        definition.title.text,
        definition.level,
        definition.minutes,
        definition.difficulty,
        tuple(definition.items),
        definition.story.text,
    )
    other = Entry(Path(), "other", Text(zh="另一个", en="Another one"), "junior", 5, 2, (), Text(zh="故事", en="story"))

    async def open_seat(_: Entry) -> FakeSeat:
        if seat.trouble is not None:
            raise seat.trouble
        return seat

    return LabApp((entry, other), open_seat, standing=standing)


def verdict(good: bool) -> Verdict:
    facts: dict[str, Value] = {"seen": 1}
    return passed(**facts) if good else failed("no", **facts)
