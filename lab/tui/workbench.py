"""The screen on which an exercise is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Protocol

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Markdown, Static, Tab, Tabs

from grading.verdict import Verdict
from lab.model.document import Problem
from lab.seat import events
from lab.seat.view import PlantView
from lab.text import Text, spoken
from lab.tui import words
from lab.tui.console import Console
from lab.tui.dialogs import NO, YES, Answer, HintCard, Hints, Progress, Question
from lab.tui.editor import sentence as sentence_of
from lab.tui.files import Files
from lab.tui.keys import Key, KeyLine, bindings
from lab.tui.lamps import LampGroup, Lamps, LampSpec
from lab.tui.plant import Plant
from lab.tui.result import Result
from lab.tui.title import Title
from lab.tui.traffic import Traffic
from lab.tui.trouble import tell, told
from scenarios.scenario import Instance

PANES: Final[Mapping[str, Text]] = {
    "brief": words.BRIEF,
    "plant": words.PLANT,
    "files": words.FILES,
    "traffic": words.TRAFFIC,
    "console": words.CONSOLE,
}
_KEYS = (
    Key("f1", words.HELP, "app.help", "question_mark"),
    Key("f2", words.BRIEF, "pane('brief')"),
    Key("f3", words.PLANT, "pane('plant')"),
    Key("f4", words.FILES, "pane('files')"),
    Key("f5", words.TRAFFIC, "pane('traffic')"),
    Key("f6", words.TASKS, "tasks"),
    Key("f7", words.HINT, "hints"),
    Key("f8", words.LANGUAGE, "app.language", "l,L"),
    Key("f9", words.HAND_IN, "hand_in"),
    Key("f10", words.BACK, "leave", "escape"),
)
_CONSOLE = Binding("f11", "pane('console')", show=False, priority=True)
_SAVE = Answer("s", words.SAVE_FIRST)
_DISCARD = Answer("d", words.DISCARD)
_STAY = Answer("n", words.STAY)


class Door(Protocol):
    """A port of this computer that leads into the plant."""

    @property
    def port(self) -> int: ...


class Seat(Protocol):
    """What the workbench needs of a running lab; `lab.seat.Seat` has it."""

    instance: Instance
    root: Path

    @property
    def published(self) -> Mapping[str, Door]: ...
    def subscribe(self, listener: Callable[[events.Event], object]) -> Callable[[], None]: ...
    def verdicts(self) -> Mapping[str, Verdict]: ...
    def plant(self) -> PlantView: ...
    def status(self, host: str) -> Mapping[str, object]: ...
    def files(self) -> Sequence[str]: ...
    def read(self, file: str) -> str: ...
    def save(self, file: str, text: str) -> Sequence[Problem]: ...
    def check(self, file: str, text: str) -> Sequence[Problem]: ...
    def consoles(self) -> Sequence[str]: ...
    async def console(self, host: str, line: str, out: Callable[[str], None]) -> int: ...
    async def hand_in(self) -> object: ...
    async def close(self) -> None: ...


class SeatSays(Message):
    """An event of the seat on its way to a widget."""

    def __init__(self, event: events.Event) -> None:
        super().__init__()
        self.event = event


class Workbench(Screen[None]):
    """Tasks on the left; brief, plant, files and traffic on the right, traffic in a strip below where there is room."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS), _CONSOLE]

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self._seat = seat
        self._checks = {check.id: check for _, check in seat.instance.definition.checks()}
        self._hints = _hint_cards(seat.instance)
        self._stop_listening: Callable[[], None] | None = None
        self._is_closed = False

    def compose(self) -> ComposeResult:
        yield Title()
        yield Static(id="lamp-line")
        with Horizontal(id="bench"):
            yield Lamps(_lamps(self._seat.instance))
            with Vertical(id="desk"):
                yield Tabs(*(Tab(word.say(), id=f"to-{pane}") for pane, word in PANES.items()), id="panes")
                with ContentSwitcher(initial="brief", id="pane"):
                    with VerticalScroll(id="brief"):
                        yield Markdown(self._seat.instance.brief(spoken()), id="brief-text")
                    yield Plant(self._seat, self._doors)
                    yield Files(self._seat)
                    yield Console(self._seat)
                yield Traffic()
        yield KeyLine(_KEYS)

    def on_mount(self) -> None:
        self._stop_listening = self._seat.subscribe(self._listen)
        with told(self):
            for check_id, verdict in self._seat.verdicts().items():
                self._show_verdict(check_id, verdict)
        self.speak()
        self.query_one("#brief").focus()

    def on_unmount(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()

    def speak(self) -> None:
        """Say everything anew, in the language now spoken."""
        definition = self._seat.instance.definition
        facts = [words.SEED.say(seed=self._seat.instance.seed), words.MINUTES.say(minutes=definition.minutes)]
        self.query_one(Title).show(definition.title.text.say(), " · ".join(facts))
        tabs = self.query_one("#panes", Tabs)
        for pane, word in PANES.items():
            tabs.query_one(f"#to-{pane}", Tab).label = word.say()
        self.query_one("#brief-text", Markdown).update(self._seat.instance.brief(spoken()))
        self.query_one(Lamps).speak()
        self.query_one(Plant).speak()
        self.query_one(Files).speak()
        self.query_one(Traffic).speak()
        self.query_one(Console).speak()
        self.query_one(KeyLine).speak()
        self._show_lamp_line()

    def _doors(self) -> Sequence[str]:
        published = self._seat.published
        return [
            words.DOOR.say(port=published[door.name].port, target=door.to, name=door.name, through=door.through)
            for door in self._seat.instance.definition.publish
            if door.name in published
        ]

    # -- what the seat says ------------------------------------------------------------------------------------------

    def _listen(self, event: events.Event) -> None:
        """Traffic goes straight to where it is collected: there may be hundreds of lines a second."""
        if isinstance(event, events.ObservationSeen):
            self.query_one(Traffic).add(event.observation, event.summary)
            self.query_one(Plant).busy(event.observation.client, event.observation.server)
        else:
            self.post_message(SeatSays(event))

    @on(SeatSays)
    def hear(self, message: SeatSays) -> None:
        match message.event:
            case events.VerdictChanged(check_id, verdict):
                self._show_verdict(check_id, verdict)
            case events.ConfigurationApplied(file):
                self._show_applied(file)
            case events.ConfigurationRefused(file, problems):
                self._show_refused(file, problems)
            case events.DeviceNotice(host, text):
                self.notify(text, title=host, markup=False)
            case _:
                pass  # whoever handed in looks after progress and result

    def _show_verdict(self, check_id: str, verdict: Verdict) -> None:
        sentence = self._checks[check_id].sentence(verdict)
        if self.query_one(Lamps).show(check_id, verdict, sentence):
            self._show_lamp_line()

    def _show_lamp_line(self) -> None:
        self.query_one("#lamp-line", Static).update(self.query_one(Lamps).line)

    def _show_applied(self, file: str) -> None:
        self.query_one(Plant).look()
        self.notify(words.APPLIED.say(file=file), markup=False)
        self._catch_up(file)

    def _show_refused(self, file: str, problems: Sequence[Problem]) -> None:
        first = problems[0]
        place = f"{file}:{first.line}" if first.line else file
        reason = f"{place}\n{sentence_of(first)}"
        self.notify(reason, title=words.NOT_APPLIED.say(), severity="error", timeout=10, markup=False)
        self._catch_up(file)

    def _catch_up(self, file: str) -> None:
        if not self.query_one(Files).catch_up(file):
            self.notify(words.CHANGED_OUTSIDE.say(file=file), severity="warning", timeout=10, markup=False)

    # -- what the trainee does ---------------------------------------------------------------------------------------

    def action_pane(self, pane: str) -> None:
        """To a pane; from the pane to the whole width for it, and back."""
        if self.focused is not None and self.query_one(f"#{pane}") in self.focused.ancestors_with_self:
            self.toggle_class("-zoom")
        self.query_one("#panes", Tabs).active = f"to-{pane}"
        self._show_pane(pane)
        if pane == "files":
            self.call_after_refresh(self.query_one(Files).enter)
        elif pane == "console":
            self.call_after_refresh(self.query_one(Console).enter)
        else:
            focus = {"brief": "#brief", "plant": "#sheet", "traffic": "#traffic-log"}[pane]
            self.call_after_refresh(self.query_one(focus).focus)

    @on(Tabs.TabActivated, "#panes")
    def show_chosen_pane(self, event: Tabs.TabActivated) -> None:
        self._show_pane((event.tab.id or "").removeprefix("to-"))

    def _show_pane(self, pane: str) -> None:
        self.set_class(False, "-tasks")
        self.set_class(pane == "traffic", "-traffic")
        self.set_class(pane == "plant", "-plant")
        if pane != "traffic":
            self.query_one("#pane", ContentSwitcher).current = pane

    @on(Plant.Opened)
    def open_file(self, message: Plant.Opened) -> None:
        self.action_pane("files")
        self.query_one(Files).open(message.file)

    @on(Plant.ConsoleAsked)
    def open_console(self, message: Plant.ConsoleAsked) -> None:
        self.action_pane("console")
        self.call_after_refresh(self.query_one(Console).enter, message.host)

    def action_tasks(self) -> None:
        """To the lamps, and where there is no room for both, in place of everything else."""
        self.set_class(False, "-zoom")
        self.set_class(True, "-tasks")
        self.call_after_refresh(self.query_one(Lamps).focus)

    def action_hints(self) -> None:
        if self._hints:
            self.app.push_screen(Hints(self._hints))
        else:
            self.notify(words.NO_HINTS.say())

    @work(exclusive=True, group="ask")
    async def action_hand_in(self) -> None:
        if await self._unsaved_is_settled() and await self._ask(words.HAND_IN_QUESTION.say()) is YES:
            await self._hand_in()

    async def _hand_in(self) -> None:
        progress = Progress()
        await self.app.push_screen(progress)
        ready: list[events.ResultReady] = []

        def watch(event: events.Event) -> None:
            if isinstance(event, events.HandInProgress):
                self.app.call_later(progress.show, event)
            elif isinstance(event, events.ResultReady):
                ready.append(event)

        forget = self._seat.subscribe(watch)
        try:
            await self._seat.hand_in()
        except Exception as error:
            tell(self, error)
        finally:
            forget()
            progress.dismiss()
        if ready:
            title = self._seat.instance.definition.title.text
            await self.app.push_screen(Result(title, ready[-1].score, ready[-1].bundle_path))

    @work(exclusive=True, group="ask")
    async def action_leave(self) -> None:
        await self.leave()

    async def leave(self) -> bool:
        """Ask, switch the plant off and go back; whether that was done."""
        unsaved = bool(self.query_one(Files).unsaved)
        if not await self._unsaved_is_settled():
            return False
        if not unsaved and await self._ask(words.LEAVE_QUESTION.say()) is not YES:
            return False
        self.query_one(Title).tell(words.CLOSING.say())
        with told(self):
            await self.close_seat()
        self.dismiss()
        return True

    async def close_seat(self) -> None:
        """Switch the plant off, once, and even if whoever waits for it gives up."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.shield(self._seat.close())

    async def _unsaved_is_settled(self) -> bool:
        """Whether one may go on: nothing is unsaved, or somebody has said what is to become of it."""
        files = self.query_one(Files)
        if not files.unsaved:
            return True
        question = words.UNSAVED_QUESTION.say(files=", ".join(files.unsaved))
        answer = await self._ask(question, (_SAVE, _DISCARD, _STAY))
        return files.save_all() if answer is _SAVE else answer is _DISCARD

    async def _ask(self, question: str, answers: Sequence[Answer] = (YES, NO)) -> Answer:
        return await self.app.push_screen_wait(Question(question, answers))


def _lamps(instance: Instance) -> tuple[LampGroup, ...]:
    return tuple(
        LampGroup(
            task.name,
            task.item,
            tuple(LampSpec(check.id, check.name, check.points) for check in task.checks),
        )
        for task in instance.definition.tasks
    )


def _hint_cards(instance: Instance) -> list[HintCard]:
    titles = {task.id: task.name for task in instance.definition.tasks}
    return [HintCard(titles[hint.task], tuple(tier.text for tier in hint.tiers)) for hint in instance.definition.hints]
