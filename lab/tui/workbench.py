"""The screen on which an exercise is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from rich.text import Text as Line
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Header, Markdown, Static, TabbedContent, TabPane

from grading.verdict import Verdict
from lab.model.document import Problem
from lab.seat import events
from lab.seat.view import PlantView
from lab.text import spoken
from lab.tui import words
from lab.tui.dialogs import Page, Progress, Question
from lab.tui.drawing import draw
from lab.tui.files import FileEditor, Files
from lab.tui.footer import Keys
from lab.tui.lamps import Lamp, LampGroup, Lamps
from lab.tui.result import Result
from lab.tui.traffic import Traffic
from scenarios.scenario import Instance


class Seat(Protocol):
    """What the workbench needs of a running lab; `lab.seat.seat.Seat` has it."""

    instance: Instance

    def subscribe(self, listener: Callable[[events.Event], object]) -> Callable[[], None]: ...
    def files(self) -> Sequence[str]: ...
    def read(self, file: str) -> str: ...
    def save(self, file: str, text: str) -> Sequence[Problem]: ...
    def check(self, file: str, text: str) -> Sequence[Problem]: ...
    def plant(self) -> PlantView: ...
    async def hand_in(self) -> object: ...
    async def close(self) -> None: ...


class SeatSays(Message):
    """An event of the seat on its way to a widget."""

    def __init__(self, event: events.Event) -> None:
        super().__init__()
        self.event = event


class Workbench(Screen[None]):
    """Tasks on the left; brief, plant, files and traffic on the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "tab('brief')", "Brief", priority=True),
        Binding("f3", "tab('plant')", "Plant", priority=True),
        Binding("f4", "tab('files')", "Files", priority=True),
        Binding("f5", "tab('traffic')", "Traffic", priority=True),
        Binding("f6", "hint", "Hint", priority=True),
        Binding("f9", "hand_in", "Hand in", priority=True),
        Binding("f10,escape", "leave", "Back", key_display="F10"),
    ]

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self._seat = seat
        self._hints_used = 0

    def compose(self) -> ComposeResult:
        yield Header(icon="")
        with Horizontal(id="bench"):
            yield Lamps(_lamps(self._seat.instance))
            with TabbedContent(id="tabs"):
                with TabPane(words.BRIEF.say(), id="brief"), VerticalScroll(id="brief-pane"):
                    yield Markdown(self._seat.instance.brief(spoken()))
                with TabPane(words.PLANT.say(), id="plant"), VerticalScroll(id="plant-pane"):
                    yield Static(id="drawing")
                with TabPane(words.FILES.say(), id="files"):
                    yield Files(self._seat)
                with TabPane(words.TRAFFIC.say(), id="traffic-tab"):
                    yield Traffic()
        yield Keys(compact=True)

    def on_mount(self) -> None:
        self.speak()
        self._seat.subscribe(lambda event: self.post_message(SeatSays(event)))
        self.query_one("#brief-pane").focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def speak(self) -> None:
        """Say everything anew, in the language now spoken."""
        instance = self._seat.instance
        self.sub_title = f"{instance.definition.title.text.say()} · {words.SEED.say(seed=instance.seed)}"
        tabs = self.query_one("#tabs", TabbedContent)
        for pane, word in (
            ("brief", words.BRIEF),
            ("plant", words.PLANT),
            ("files", words.FILES),
            ("traffic-tab", words.TRAFFIC),
        ):
            tabs.get_tab(pane).label = word.say()
        self.query_one("#brief-pane Markdown", Markdown).update(instance.brief(spoken()))
        self.query_one(Lamps).speak()
        self.query_one(Files).speak()
        self.query_one(Traffic).speak()
        self._draw()

    def _draw(self) -> None:
        pane = self.query_one("#plant-pane")
        width = max(40, pane.size.width - 2)
        self.query_one("#drawing", Static).update(Line("\n").join(draw(self._seat.plant(), width)))

    # -- what the seat says ----------------------------------------------------------------------------------------

    @on(SeatSays)
    def hear(self, message: SeatSays) -> None:
        match message.event:
            case events.VerdictChanged(check_id, verdict, sentence):
                self._show_verdict(check_id, verdict, sentence)
            case events.ObservationSeen(observation, summary):
                self.query_one(Traffic).add(observation.at, observation.client, observation.server, summary)
            case events.ConfigurationApplied(file):
                self._configured(file)
            case events.ConfigurationRefused(file, problems):
                self.notify(str(problems[0]), title=words.NOT_SAVED.say(file=file), severity="error", markup=False)
            case events.DeviceNotice(host, text):
                self.notify(text, title=host, markup=False)
            case events.HandInProgress() | events.ResultReady():
                pass  # whoever handed in looks after these

    def _show_verdict(self, check_id: str, verdict: Verdict, sentence: str) -> None:
        self.query_one(Lamps).show(check_id, verdict, sentence)

    def _configured(self, file: str) -> None:
        self._draw()
        if not self.query_one(Files).reload(file):
            self.notify(words.CHANGED_OUTSIDE.say(file=file), severity="warning", markup=False)

    @on(TabbedContent.TabActivated, "#tabs")
    def draw_when_shown(self) -> None:
        # Before it was shown, a pane has no width to draw for.
        self.call_after_refresh(self._draw)

    # -- what the trainee does -------------------------------------------------------------------------------------

    @on(FileEditor.Saved)
    def tell_saved(self, message: FileEditor.Saved) -> None:
        if message.problems:
            self.notify(words.NOT_SAVED.say(file=message.file), severity="error", markup=False)
        else:
            self.notify(words.SAVED.say(file=message.file), markup=False)

    def action_tab(self, pane: str) -> None:
        tabs = self.query_one("#tabs", TabbedContent)
        tabs.active = "traffic-tab" if pane == "traffic" else pane
        focus = {"brief": "#brief-pane", "plant": "#plant-pane", "traffic": "#traffic"}
        if pane == "files":
            self.call_after_refresh(self.query_one(Files).enter)
        else:
            self.call_after_refresh(self.query_one(focus[pane]).focus)

    def action_hint(self) -> None:
        hints = [tier for hint in self._seat.instance.definition.hints for tier in hint.tiers]
        if self._hints_used < len(hints):
            self._hints_used += 1
        if not hints:
            self.notify(words.NO_HINTS.say())
            return
        shown = [f"{number}. {tier.text.say()}" for number, tier in enumerate(hints[: self._hints_used], 1)]
        used = words.HINTS_USED.say(count=self._hints_used)
        self.app.push_screen(Page(f"# {words.HINT_TITLE.say()}\n\n" + "\n\n".join(shown) + f"\n\n*{used}*"))

    @work
    async def action_hand_in(self) -> None:
        if not await self._sure_about_unsaved() or not await self._ask(words.HAND_IN_QUESTION.say()):
            return
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
            self.notify(words.FAILED.say(reason=error), severity="error", timeout=20, markup=False)
        finally:
            forget()
            progress.dismiss()
        if ready:
            result = ready[-1]
            await self.app.push_screen(Result(self._seat.instance, result.score, result.bundle_path))

    @work
    async def action_leave(self) -> None:
        if await self._sure_about_unsaved() and await self._ask(words.QUIT_QUESTION.say()):
            await self.leave()

    async def leave(self) -> None:
        """Switch the plant off and go back."""
        self.notify(words.CLOSING.say())
        await self.close_seat()
        self.dismiss()

    async def close_seat(self) -> None:
        """Switch the plant off, even if whoever waits for it gives up."""
        await asyncio.shield(self._seat.close())

    async def _sure_about_unsaved(self) -> bool:
        unsaved = self.query_one(Files).unsaved
        return not unsaved or await self._ask(words.UNSAVED_QUESTION.say(files=", ".join(unsaved)))

    async def _ask(self, question: str) -> bool:
        return await self.app.push_screen_wait(Question(question))


def _lamps(instance: Instance) -> tuple[LampGroup, ...]:
    return tuple(
        LampGroup(
            task.title.text,
            task.item,
            tuple(Lamp(check.id, check.title.text, check.points) for check in task.checks),
        )
        for task in instance.definition.tasks
    )
