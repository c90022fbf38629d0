"""What a trainee sees and does, by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Digits, Static, TabbedContent
from tui_kit import FakeSeat, app_on, instance, verdict

from grading.observations import PingAnswered
from grading.score import Score, score
from grading.verdict import Verdict
from lab.model.frame import Port
from lab.seat import events
from lab.text import Text, speak
from lab.tui.catalogue import Catalogue
from lab.tui.dialogs import Page, Question
from lab.tui.drawing import draw
from lab.tui.editor import YamlEditor
from lab.tui.files import Files
from lab.tui.lamps import Lamps
from lab.tui.result import Result
from lab.tui.traffic import Traffic
from lab.tui.workbench import Workbench


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    speak("en")
    yield
    speak("en")


@pytest.fixture
def seat(tmp_path: Path) -> FakeSeat:
    return FakeSeat(instance(tmp_path))


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


async def at_work(pilot: Pilot[None]) -> Workbench:
    await pilot.press("enter")
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, Workbench)
    return screen


async def test_typing_narrows_the_catalogue_and_enter_opens(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        table = pilot.app.screen.query_one(DataTable)
        assert table.row_count == 2
        await pilot.press(*"another")
        await pilot.pause()
        assert table.row_count == 1
        await pilot.press("escape")
        await pilot.pause()
        assert table.row_count == 2
        await at_work(pilot)


async def test_one_key_changes_the_language_of_everything(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f8")
        await pilot.pause()
        assert "接通控制器" in text_of(pilot, "#lamp-lines")
        assert "新场景" in bench.sub_title
        assert str(bench.query_one("#tabs", TabbedContent).get_tab("plant").label) == "工厂"
        await pilot.press("f8")
        await pilot.pause()
        assert "Reach the controller" in text_of(pilot, "#lamp-lines")


async def test_a_typo_is_shown_at_its_line_while_it_is_written(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f4")
        await pilot.pause()
        editor = bench.query_one(Files).current
        assert editor is not None
        editor.area.load_text("interfaces:\n  eth0:\n    adress: 10.1.10.5/24\n")
        await pilot.pause(0.5)
        problems = str(editor.query_one(".problems", Static).render())
        assert f"{editor.file}:3: unknown key 'adress'; did you mean 'address'?" in problems
        assert 2 in editor.area._wrong


async def test_saving_hands_the_text_to_the_seat_and_says_what_became_of_it(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f4")
        await pilot.pause()
        editor = bench.query_one(Files).current
        assert editor is not None
        await pilot.press("#", "!")
        assert bench.query_one(Files).unsaved == [editor.file]
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert seat.texts[editor.file].startswith("#!")
        assert bench.query_one(Files).unsaved == []


async def test_what_another_editor_saved_appears_unless_that_would_lose_something(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f4")
        await pilot.pause()
        file = seat.files()[0]
        area = bench.query_one(YamlEditor)
        seat.texts[file] = "# from vim\n"
        seat.emit(events.ConfigurationApplied(file))
        await pilot.pause()
        assert area.text == "# from vim\n"
        await pilot.press("x")
        seat.texts[file] = "# from vim again\n"
        seat.emit(events.ConfigurationApplied(file))
        await pilot.pause()
        assert area.text == "x# from vim\n"


async def test_a_lamp_turns_green_and_a_red_one_says_why(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        first, second = (check.id for _, check in seat.instance.definition.checks())
        assert text_of(pilot, "#lamp-lines").count("○") == 2
        seat.emit(events.VerdictChanged(first, verdict(True), ""))
        seat.emit(events.VerdictChanged(second, verdict(False), "nothing came back"))
        await pilot.pause()
        lines = text_of(pilot, "#lamp-lines")
        assert "●" in lines
        assert "✗" in lines
        assert "nothing came back" in lines


async def test_traffic_can_be_narrowed_and_halted(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f5")
        for number, host in enumerate(("ws-1", "plc-1", "ws-1")):
            observation = PingAnswered(float(number), host, "gw", "10.1.10.5", (number,), 0.0)
            seat.emit(events.ObservationSeen(observation, "a ping was answered"))
        await pilot.pause(0.3)
        traffic = bench.query_one(Traffic)
        log = traffic.query_one("#traffic")
        assert len(log.lines) == 3  # type: ignore[attr-defined]
        await pilot.press("p")
        seat.emit(events.ObservationSeen(observation, "another"))
        await pilot.pause(0.3)
        assert len(log.lines) == 3  # type: ignore[attr-defined]
        await pilot.press("p", "shift+tab", *"plc-1")
        await pilot.pause(0.3)
        assert len(log.lines) == 1  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Check:
    id: str
    points: float
    gate: None = None

    @property
    def name(self) -> Text:
        return Text(zh=self.id, en=self.id)

    def sentence(self, verdict: Verdict) -> Text:
        return Text(zh="不行", en="it would not")


@dataclass(frozen=True)
class Task:
    checks: tuple[Check, ...]
    id: str = "t"
    item: str = "J-1.1.5"

    @property
    def name(self) -> Text:
        return Text(zh="任务", en="Task")


def marks() -> Score:
    checks = (Check("ping", 40), Check("modbus", 60))
    return score([Task(checks)], {"ping": verdict(True), "modbus": verdict(False)})


async def test_handing_in_asks_first_and_ends_with_the_marks(seat: FakeSeat) -> None:
    seat.handed_in = marks
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f9")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Workbench)
        await pilot.press("f9")
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, Result)
        assert pilot.app.screen.query_one(Digits).value == "40"
        assert "it would not" in text_of(pilot, "#marks")
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Workbench)


async def test_a_failed_hand_in_is_a_notice_and_not_a_crash(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f9")
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, Workbench)
        assert pilot.app._notifications


async def test_leaving_asks_and_switches_the_plant_off(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("y")
        await pilot.pause(0.2)
        assert seat.is_closed
        assert isinstance(pilot.app.screen, Catalogue)


async def test_unsaved_work_is_asked_about_before_leaving(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f4")
        await pilot.pause()
        await pilot.press("x", "f10")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Question)
        assert seat.files()[0] in str(pilot.app.screen.query_one("Label").render())
        await pilot.press("n")
        await pilot.pause()
        assert not seat.is_closed


async def test_hints_come_one_by_one(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        for count in (1, 2):
            await pilot.press("f6")
            await pilot.pause()
            assert isinstance(pilot.app.screen, Page)
            assert f"{count} hints used" in pilot.app.screen._markdown
            await pilot.press("escape")
            await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
async def test_every_size_of_terminal_shows_every_pane(seat: FakeSeat, size: tuple[int, int]) -> None:
    async with app_on(seat).run_test(size=size) as pilot:
        bench = await at_work(pilot)
        for key, pane in (("f2", "brief"), ("f3", "plant"), ("f4", "files"), ("f5", "traffic-tab")):
            await pilot.press(key)
            await pilot.pause()
            assert bench.query_one("#tabs", TabbedContent).active == pane
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert bench.query_one(Lamps).size.width > 10


# -- the drawing -------------------------------------------------------------------------------------------------------


def drawn(seat: FakeSeat, width: int = 100) -> str:
    return "\n".join(line.plain for line in draw(seat.plant(), width))


def test_a_connected_device_hangs_on_its_switch(seat: FakeSeat) -> None:
    picture = drawn(seat)
    assert "sw-1" in picture
    assert "│p1" in picture
    assert "not connected" not in picture


def test_a_pulled_cable_shows_at_once(seat: FakeSeat) -> None:
    del seat.cables[Port("ws-1", "eth0")]
    assert "╳ not connected" in drawn(seat)
    assert "p2 p3" in drawn(seat), "its port is free now"


def test_two_devices_may_share_a_cable_of_their_own(seat: FakeSeat) -> None:
    seat.cables = {Port("plc-1", "eth0"): Port("ws-1", "eth0")}
    picture = drawn(seat)
    assert "eth0 ═ eth0" in picture
    assert "not connected" not in picture


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_drawing_keeps_to_the_width_it_has(seat: FakeSeat, width: int) -> None:
    from rich.cells import cell_len

    assert max(cell_len(line.rstrip()) for line in drawn(seat, width).splitlines()) <= width
