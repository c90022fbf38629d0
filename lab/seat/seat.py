"""One running lab for one trainee: a plant in live time, the folder that configures it, and the marks so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from grading.verdict import Verdict
from lab.model.document import FileError, Problem, parse
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.network.published import Published, publish
from lab.seat.control import Control
from lab.seat.doors import Doors
from lab.seat.events import (
    ConfigurationApplied,
    ConfigurationRefused,
    DeviceNotice,
    Event,
    HandInProgress,
    ResultReady,
    Stage,
)
from lab.seat.handin import Result, hand_in
from lab.seat.home import folder_for
from lab.seat.troubles import Troubles
from lab.seat.view import PlantView, view
from lab.seat.watch import changes
from lab.seat.workfolder import DISKS, WorkFolder
from lab.seat.workphase import WorkPhase
from lab.text import Text
from scenarios import folder as plan
from scenarios.assembly import Plant, complain_to
from scenarios.faults import Injector, left_of
from scenarios.folder import PlantConfig
from scenarios.scenario import Instance, Scenario, find

NEEDS_PLANT_LOOP = "a seat runs on a live PlantLoop: see lab.seat.run"
UNKNOWN_FILE = Text(zh="此场景中没有这个文件", en="this scenario has no such file")
CRASHED = Text(zh="程序出错：{error}", en="our mistake: {error}")
ELSEWHERE = Text(
    zh="{reason}；{name} 改为发布到 127.0.0.1:{port}", en="{reason}; {name} is published at 127.0.0.1:{port} instead"
)
NOT_PUBLISHED = Text(zh="{name} 未能发布：{reason}", en="{name} is not published: {reason}")

KEEPS_ADDRESS = Text(
    zh="现在是真实主机：新的地址等到恢复为模拟主机后才生效",
    en="is a real host now: its new configuration counts when it is a simulated host again",
)
NOT_LISTENING = Text(
    zh="其他程序无法连接此实训（iiotlab attach 等不可用）：{reason}",
    en="other programs cannot reach this lab, so iiotlab attach and the like do not work: {reason}",
)

T = TypeVar("T")
Listener = Callable[[Event], object]


class Seat:
    """See the module; `open` makes one."""

    def __init__(self, instance: Instance, folder: WorkFolder, began_ns: int, loop: PlantLoop) -> None:
        self.instance = instance
        self.root = folder.root
        """The folder that is worked in."""
        self.published: dict[str, Published] = {}
        """Ports of this computer that lead into the plant, by name."""
        self.control: Control | None = None
        """Where other programs of this user ask for doors into the plant; None where there can be none."""
        self._folder = folder
        self._lock = folder.lock()
        self._loop = loop
        self._listeners: list[Listener] = []
        self._phase = WorkPhase(instance, folder, began_ns, loop, self._emit)
        # Not the trainee's seed: with that an attempt gone on with would begin with the ports and sequence numbers it
        # had before, and its connections could not be told from those that a crash left open.
        self._plant = Plant(loop, instance.kinds, loop.epoch_ns, self._phase.truth, folder.work / DISKS)
        self.faults = Injector(self._plant, lambda event, facts: self._phase.note(event, **facts))
        """What is wrong with the plant, and how an instructor makes it so."""
        self.doors = Doors(self, self._plant, self._phase.note, self._emit)
        """Real hosts, real cards and raw sockets in the plant."""
        self._notices: list[DeviceNotice] = []
        self._refused: dict[str, ConfigurationRefused] = {}
        """Files the plant does not run with, and why."""
        self._seen: dict[str, str | None] = {}
        """What each file last was, None where it was missing: applied or refused, and not looked at again."""
        self._stop_watching = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, scenario: Scenario | str, folder: Path | None = None, seed: int = 1) -> Seat:
        """Begin an attempt in a folder, or go on with the one that is there; the plant is up when this returns.

        Raises FileError where scenario or folder cannot be used, and TypeError on a loop that is no live PlantLoop.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, PlantLoop) or loop.is_fast:
            raise TypeError(NEEDS_PLANT_LOOP)
        if isinstance(scenario, str):
            scenario = Scenario.load(find(scenario))
        instance = scenario.instantiate(seed)
        work, attempt = WorkFolder.open(folder or folder_for(instance.id, seed), instance, loop.wall_ns())
        seat = cls(instance, work, attempt.began_ns, loop)
        try:
            await seat._begin()
        except BaseException:
            await seat.close()
            raise
        return seat

    # -- telling -----------------------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on, on the loop; returns what ends that.

        First it hears what still holds: verdicts, notices, and files that were refused.
        """
        self._listeners.append(listener)
        self._loop.call_soon(self._catch_up, listener)
        return lambda: self._listeners.remove(listener)

    def verdicts(self) -> Mapping[str, Verdict]:
        """What the traffic so far says, by check."""
        return self._phase.verdicts()

    def plant(self) -> PlantView:
        """Devices, addresses and cables as they are now."""
        return view(self.instance, self._plant)

    @property
    def network(self) -> Network:
        """The plant's network, for those who work from one of its hosts."""
        return self._plant.network

    def status(self, host: str) -> Mapping[str, object]:
        """What a device's display shows; nothing for a switch."""
        appliance = self._plant.appliances.get(host)
        return appliance.status() if appliance is not None else {}

    def consoles(self) -> Sequence[str]:
        """The hosts with a prompt of their own."""
        return tuple(name for name in self.instance.kinds if self.doors.is_workstation(name))

    async def console(self, host: str, line: str, out: Callable[[str], None]) -> int:
        """Run a line of a console program on a host, and its exit status; cancelled, it ends as Ctrl-C would end it.

        Raises KeyError for an unknown host.
        """
        return await self.doors.run_line(host, line, out)

    # -- files -------------------------------------------------------------------------------------------------------

    def files(self) -> Sequence[str]:
        """The files that are worked on."""
        return tuple(self.instance.start)

    def read(self, file: str) -> str:
        """Raises FileError."""
        if file not in self.instance.start:
            raise FileError([Problem(file, 0, 0, UNKNOWN_FILE)])
        return self._folder.read(file)

    def check(self, file: str, text: str) -> Sequence[Problem]:
        """What would be wrong with a text in place of the file."""
        if file not in self.instance.start:
            return (Problem(file, 0, 0, UNKNOWN_FILE),)
        return plan.check_file(self.instance, file, text)

    def save(self, file: str, text: str) -> Sequence[Problem]:
        """Write a file; the plant takes it on where it has no problems. Raises OSError where it cannot be written."""
        problems = self.check(file, text)
        if file in self.instance.start:
            self._folder.write(file, text)
        return problems

    # -- the end -----------------------------------------------------------------------------------------------------

    async def hand_in(self) -> Result:
        """Freeze the files, run the acceptance, seal the evidence; the plant goes on meanwhile.

        Raises FileError where files have problems: nothing is handed in then.
        """
        files, problems = self._folder.plant_files()
        if problems:
            raise FileError(problems)
        plan.read_folder(self.instance, files)
        submitted = self._folder.submitted()
        self._phase.note("HandedIn", files=sorted(files), submitted=sorted(submitted))
        work = self._phase.records(self._plant.network)

        def progress(stage: Stage, done: float, total: float) -> None:
            self._loop.call_soon_threadsafe(self._emit, HandInProgress(stage, done, total))

        result = await asyncio.to_thread(hand_in, self.instance, self._folder.root, files, submitted, work, progress)
        self._phase.note("ResultReady", earned=result.score.earned, evidence=result.bundle_path.name)
        self._emit(ResultReady(result.score, result.bundle_path))
        return result

    async def close(self) -> None:
        """Switch the plant off; everything that was recorded is on disk when this returns."""
        self._stop_watching.set()
        if self._watching is not None:
            await self._watching
        if self.control is not None:
            await self.control.close()
        await self.doors.close()
        for door in self.published.values():
            door.close()
        self.published.clear()
        self.faults.close()
        self._phase.stop(self._plant.network)
        await self._plant.stop()
        self._phase.note("SeatClosed")
        self._phase.close()
        self._lock.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        complain_to(self._loop, self._complain)
        await self._phase.recall()
        self._phase.start(self._plant.network)
        self._phase.note("SeatOpened", scenario=self.instance.id, seed=self.instance.seed)
        started = plan.read_folder(self.instance, self.instance.start)
        config = self._last_good(started)
        await self._plant.boot(config)
        begun_anew = config == started
        faults = self.instance.definition.faults
        self.faults.schedule(faults if begun_anew else left_of(faults, started.wiring, config.wiring))
        await self._publish_ports()
        await self._listen()
        begun = self._loop.create_future()
        self._watching = self._loop.create_task(self._watch(begun), name="watch the folder")
        await asyncio.wait((begun, self._watching), return_when=asyncio.FIRST_COMPLETED)
        if self._watching.done():
            await self._watching  # it could not even begin

    def _last_good(self, started: PlantConfig) -> PlantConfig:
        """The start, with what was applied last in its place: files as they are now are looked at right after."""
        hosts, wiring = dict(started.hosts), started.wiring
        for name, text in self._folder.applied().items():
            if plan.check_file(self.instance, name, text):
                continue
            document = parse(text, name)
            host = plan.owner_of(name)
            if name == plan.WIRING:
                wiring = plan.read_wiring(self.instance, document)
            elif host is not None:
                hosts[host] = plan.read_config(self.instance, host, document)
            self._seen[name] = text
        for name, text in self.instance.start.items():
            self._seen.setdefault(name, text)
        return PlantConfig(wiring, hosts)

    async def _watch(self, begun: asyncio.Future[None]) -> None:
        async for _ in changes(self._folder.root, self._stop_watching):
            try:
                await self._take_on_changes()
            except Exception as error:
                self._complain("while files were taken on", error)
            if not begun.done():
                begun.set_result(None)

    async def _take_on_changes(self) -> None:
        files, unreadable = self._folder.plant_files()
        broken = {problem.file: problem for problem in unreadable}
        names = dict.fromkeys((*filter(plan.is_plant_file, self.instance.start), *files, *broken))
        for name in names:
            text = files.get(name)
            if name in broken:
                self._refuse(name, (broken[name],))
            elif text is None:
                if self._seen.get(name, "") is not None:
                    self._refuse(name, (Problem(name, 0, 0, plan.MISSING),))
            elif self._seen.get(name) != text:
                if problems := plan.check_file(self.instance, name, text):
                    self._refuse(name, problems)
                else:
                    await self._apply(name, text)
            self._seen[name] = text

    def _refuse(self, name: str, problems: tuple[Problem, ...]) -> None:
        self._phase.note("ConfigurationRefused", file=name, problems=[problem.as_dict() for problem in problems])
        self._refused[name] = ConfigurationRefused(name, problems)
        self._emit(self._refused[name])

    async def _apply(self, name: str, text: str) -> None:
        document = parse(text, name)
        host = plan.owner_of(name)
        try:
            if name == plan.WIRING:
                self._plant.rewire(plan.read_wiring(self.instance, document))
            elif host is not None:
                await self._plant.configure(host, plan.read_config(self.instance, host, document))
        except Exception as error:
            self._complain(f"{name}: ", error)
            self._emit(DeviceNotice(host or "", CRASHED.say(error=repr(error))))
            return
        self._folder.keep_applied(name, text)
        self._phase.note("ConfigurationApplied", file=name, text=text)
        self._refused.pop(name, None)
        self._emit(ConfigurationApplied(name))
        if host in self._plant.network.real_hosts:
            self._emit(DeviceNotice(host, KEEPS_ADDRESS.say()))

    async def _publish_ports(self) -> None:
        for each in self.instance.definition.publish:
            host = self._plant.network.hosts[each.through]
            address, _, port = each.to.rpartition(":")
            try:
                try:
                    door = await publish(host, each.local, address, int(port))
                except OSError as error:
                    # Another plant may be running beside this one: any other port will do, if people are told.
                    door = await publish(host, 0, address, int(port))
                    self._emit(DeviceNotice("", ELSEWHERE.say(name=each.name, reason=error.strerror, port=door.port)))
                self.published[each.name] = door
            except OSError as error:
                self._emit(DeviceNotice("", NOT_PUBLISHED.say(name=each.name, reason=error.strerror)))

    async def _listen(self) -> None:
        try:
            handlers = self.doors.handlers() | Troubles(self.faults).handlers()
            self.control = await Control.open(self.root, self.instance.id, self.instance.seed, handlers)
        except OSError as error:  # no runtime folder, say; the plant does well without
            self._emit(DeviceNotice("", NOT_LISTENING.say(reason=error.strerror)))

    def _complain(self, message: str, error: BaseException | None) -> None:
        self._phase.note("Complaint", message=message, error=repr(error))

    def _catch_up(self, listener: Listener) -> None:
        self._phase.tell_verdicts(listener)
        for notice in self._notices:
            listener(notice)
        for refused in self._refused.values():
            listener(refused)

    def _emit(self, event: Event) -> None:
        if isinstance(event, DeviceNotice):
            self._notices.append(event)
        for listener in tuple(self._listeners):
            listener(event)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program on a live PlantLoop, as a seat needs it; outside any host the loop is an ordinary one."""
    with asyncio.Runner(loop_factory=PlantLoop) as runner:
        return runner.run(main)
