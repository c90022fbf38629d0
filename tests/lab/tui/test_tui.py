"""What a trainee sees and does, by keyboard alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Digits, Input, Static, Tab, TextArea
from tui_kit import Door, FakeSeat, app_on, until, verdict

from grading.checks.check import ALWAYS
from grading.observations import ModbusException, PingAnswered
from grading.score import Score, score
from grading.verdict import Verdict, failed, undecided
from lab.model.document import FileError, Problem
from lab.model.frame import Port
from lab.seat import events
from lab.text import Text, speak
from lab.tui.attempts import Standing
from lab.tui.catalogue import Catalogue
from lab.tui.dialogs import Help, Hints, Progress, Question
from lab.tui.files import FileEditor, Files
from lab.tui.keys import KeyLine
from lab.tui.lamps import Lamp, Lamps
from lab.tui.result import Result
from lab.tui.traffic import KEPT, Traffic, TrafficLog
from lab.tui.workbench import Workbench


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


def lamp(pilot: Pilot[None], check_id: str) -> str:
    panel = next(each for each in pilot.app.screen.query(Lamp) if each.spec.id == check_id)
    return " ".join(str(part.render()) for part in panel.query(Static) if part.display)


def marked(pilot: Pilot[None]) -> str:
    return " ".join(str(part.render()) for part in pilot.app.screen.query("#marks Static").results(Static))


async def at_work(pilot: Pilot[None]) -> Workbench:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, Workbench) and pilot.app.screen.focused)
    bench = pilot.app.screen
    assert isinstance(bench, Workbench)
    return bench


async def editing(pilot: Pilot[None]) -> FileEditor:
    bench = await at_work(pilot)
    await pilot.press("f4")
    await until(pilot, lambda: isinstance(bench.focused, TextArea))
    editor = bench.query_one(Files).current
    assert editor is not None
    return editor


# -- the catalogue -----------------------------------------------------------------------------------------------------


async def test_typing_narrows_the_catalogue_and_enter_opens(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        table = pilot.app.screen.query_one(DataTable)
        await until(pilot, lambda: table.row_count == 2)
        await pilot.press(*"another")
        await until(pilot, lambda: table.row_count == 1)
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 2)
        await at_work(pilot)


async def test_the_catalogue_tells_what_became_of_each_exercise(seat: FakeSeat) -> None:
    def standing(entry: object) -> Standing | None:
        return Standing(92.5) if getattr(entry, "id", "") == "other" else Standing(None)

    async with app_on(seat, standing).run_test(size=(120, 40)) as pilot:
        table = pilot.app.screen.query_one(DataTable)
        await until(pilot, lambda: table.row_count == 2)
        rows = [" ".join(map(str, table.get_row_at(number))) for number in range(2)]
        assert "begun" in rows[0]
        assert "92.5 pts" in rows[1]


async def test_an_exercise_that_cannot_be_opened_is_told_and_the_catalogue_stays(seat: FakeSeat) -> None:
    seat.trouble = FileError([Problem("scenario.yaml", 14, 1, Text(zh="不行", en="makes no sense"))])
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: any("scenario.yaml:14" in notice.message for notice in pilot.app._notifications))
        assert isinstance(pilot.app.screen, Catalogue)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_function_key_is_told_of_within_eighty_columns(seat: FakeSeat, language: str) -> None:
    speak("zh" if language == "zh" else "en")
    async with app_on(seat).run_test(size=(80, 24)) as pilot:
        await at_work(pilot)
        line = pilot.app.screen.query_one(KeyLine)
        shown = "".join(segment.text for segment in line.render_line(0))
        assert all(f"F{number}" in shown for number in range(1, 11))
        assert "…" not in shown


# -- files -------------------------------------------------------------------------------------------------------------


async def test_a_typo_is_shown_at_its_line_while_it_is_written_and_saving_jumps_there(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        editor.area.load_text("interfaces:\n  eth0:\n    adress: 10.1.10.5/24\n")
        await until(pilot, lambda: editor.area.marked == (3,))
        row = "".join(segment.text for segment in editor.area.render_line(2))
        assert "← unknown key 'adress'; did you mean" in row
        assert f"{editor.file}:3  unknown key" in str(editor.query_one(".problems", Static).render())
        await pilot.press("ctrl+s")
        await until(pilot, lambda: editor.area.cursor_location[0] == 2)
        await pilot.press("right", "d")
        await until(pilot, lambda: editor.area.marked == ())
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not editor.is_changed)
        assert "address: 10.1.10.5/24" in seat.texts[editor.file]


async def test_a_refused_file_leaves_what_was_written_alone(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        await pilot.press("x")
        written = editor.area.text
        problem = Problem(editor.file, 1, 1, Text(zh="不行", en="makes no sense"))
        seat.emit(events.ConfigurationRefused(editor.file, (problem,)))
        await until(pilot, lambda: any("makes no sense" in notice.message for notice in pilot.app._notifications))
        assert editor.area.text == written


async def test_what_another_editor_saved_appears_unless_that_would_lose_something(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        seat.texts[editor.file] = "# from vim\n"
        seat.emit(events.ConfigurationApplied(editor.file))
        await until(pilot, lambda: editor.area.text == "# from vim\n")
        await pilot.press("x")
        seat.texts[editor.file] = "# from vim again\n"
        seat.emit(events.ConfigurationApplied(editor.file))
        await until(pilot, lambda: any("changed elsewhere" in notice.message for notice in pilot.app._notifications))
        assert "x" in editor.area.text
        await pilot.press("ctrl+r")
        await until(pilot, lambda: editor.area.text == "# from vim again\n")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "x" in editor.area.text)


async def test_a_file_that_cannot_be_written_is_told_and_stays_unsaved(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        await pilot.press("x")
        seat.trouble = OSError(28, "No space left on device")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("No space left" in notice.message for notice in pilot.app._notifications))
        assert editor.is_changed


async def test_quick_typing_stays_in_order(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        editor.area.load_text("port: 28\n")
        for key in ("end", "backspace", "4", "enter", "x", "backspace", "y", "ctrl+s"):
            pilot.app.simulate_key(key)
        await until(pilot, lambda: seat.texts[editor.file].startswith("port: 24\ny"))


# -- lamps -------------------------------------------------------------------------------------------------------------


async def test_a_lamp_turns_green_and_a_red_one_says_why(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        first, second = (check for _, check in seat.instance.definition.checks())
        assert lamp(pilot, first.id).startswith("○")
        seat.emit(events.VerdictChanged(first.id, verdict(True), ""))
        seat.emit(events.VerdictChanged(second.id, failed("no", share=0.5), ""))
        await until(pilot, lambda: lamp(pilot, second.id).startswith("◐"))
        assert lamp(pilot, first.id).startswith("●")
        assert "(50%)" in lamp(pilot, second.id)
        assert bench.query_one(Lamps).border_subtitle == "● 1/2"


async def test_why_a_lamp_is_red_is_said_in_the_language_now_spoken(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        check = next(check for _, check in seat.instance.definition.checks())
        reason = failed(next(name for name in check.kind.sentences if name not in ALWAYS))
        seat.emit(events.VerdictChanged(check.id, reason, "whatever it was when it was said"))
        await until(pilot, lambda: check.sentence(reason).en in lamp(pilot, check.id))
        await pilot.press("f8")
        await until(pilot, lambda: check.sentence(reason).zh in lamp(pilot, check.id))


async def test_what_waits_for_acceptance_is_told_once_for_all(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        check = next(check for _, check in seat.instance.definition.checks())
        seat.emit(events.VerdictChanged(check.id, undecided("waits-for-acceptance"), ""))
        await until(pilot, lambda: pilot.app.screen.query_one("#lamps-later").display)
        assert "acceptance" not in lamp(pilot, check.id)


async def test_verdicts_reached_before_the_screen_was_there_are_on_it(seat: FakeSeat) -> None:
    check = next(check for _, check in seat.instance.definition.checks())
    seat.known[check.id] = verdict(True)
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        assert lamp(pilot, check.id).startswith("●")


# -- traffic -----------------------------------------------------------------------------------------------------------


def ping(number: int, client: str = "ws-1") -> PingAnswered:
    return PingAnswered(float(number), client, "gw", "10.1.10.5", (number,), 0.0)


async def test_traffic_can_be_narrowed_and_halted(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f5")
        log = bench.query_one(TrafficLog)
        for number, host in enumerate(("ws-1", "plc-1", "ws-1")):
            seat.emit(events.ObservationSeen(ping(number, host), "a ping was answered"))
        await until(pilot, lambda: log.line_count == 3)
        await pilot.press("p")
        seat.emit(events.ObservationSeen(ping(4, "ws-1"), "another"))
        await until(pilot, lambda: "1 lines" in str(log.border_subtitle))
        assert log.line_count == 3
        await pilot.press("p")
        await until(pilot, lambda: log.line_count == 4)
        await pilot.press("slash", *"plc-1")
        await until(pilot, lambda: log.line_count == 1)
        assert "plc-1 → gw" in "".join(segment.text for segment in log.render_line(0))


async def test_a_busy_wire_is_bounded_and_its_end_stays_in_sight(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f5")
        log = bench.query_one(TrafficLog)
        for number in range(KEPT + 500):
            seat.emit(events.ObservationSeen(ping(number), f"number {number}"))
        await until(pilot, lambda: log.line_count == KEPT and log.is_vertical_scroll_end)
        last = "".join(segment.text for segment in log.render_line(log.size.height - 1))
        assert f"number {KEPT + 499}" in last


async def test_whoever_scrolls_back_is_left_in_peace(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f5")
        log = bench.query_one(TrafficLog)
        for number in range(100):
            seat.emit(events.ObservationSeen(ping(number), f"number {number}"))
        await until(pilot, lambda: log.line_count == 100 and log.is_vertical_scroll_end)
        log.scroll_to(y=10, animate=False)
        await until(pilot, lambda: log.scroll_offset.y == 10)
        seat.emit(events.ObservationSeen(ping(100), "one more"))
        await until(pilot, lambda: log.line_count == 101)
        assert log.scroll_offset.y == 10


async def test_trouble_on_the_wire_has_a_colour_of_its_own_and_new_words_in_another_language(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f5")
        log = bench.query_one(TrafficLog)
        exception = ModbusException(1.0, "gw", "plc", "10.1.1.1", (1,), 1, 3, 0, 1, 2, 0.9)
        seat.emit(events.ObservationSeen(exception, "Modbus exception 2"))
        await until(pilot, lambda: log.line_count == 1)
        assert log.get_component_rich_style("traffic--trouble") in [segment.style for segment in log.render_line(0)]
        await pilot.press("f8")
        await until(pilot, lambda: "Modbus 异常" in "".join(segment.text for segment in log.render_line(0)))


# -- plant -------------------------------------------------------------------------------------------------------------


async def test_a_cable_that_is_pulled_shows_at_once(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f3")
        await until(pilot, lambda: "ws-1" in text_of(pilot, "#drawing"))
        assert "no cable" not in text_of(pilot, "#drawing")
        del seat.cables[Port("ws-1", "eth0")]
        seat.emit(events.ConfigurationApplied("wiring.yaml"))
        await until(pilot, lambda: "no cable" in text_of(pilot, "#drawing"))


async def test_arrow_keys_choose_a_device_and_enter_opens_its_file(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f3")
        await until(pilot, lambda: "ws-1" in text_of(pilot, "#drawing"))
        for key, name in (("down", "sw-1"), ("down", "plc-1"), ("right", "ws-1"), ("up", "sw-1"), ("down", "plc-1")):
            await pilot.press(key)
            assert text_of(pilot, "#card-text").startswith(name)
        await pilot.press("right")
        assert "pressure" in text_of(pilot, "#card-text"), "what its display shows"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(bench.focused, TextArea))
        editor = bench.query_one(Files).current
        assert editor is not None
        assert editor.file == "config/ws-1.yaml"


async def test_ways_in_from_this_computer_are_told(seat: FakeSeat) -> None:
    definition = seat.instance.definition
    door = type("Door", (), {"name": "plc", "through": "ws-1", "to": "10.1.10.11:502", "local": 15020})()
    definition.publish.append(door)  # type: ignore[arg-type]
    seat.published["plc"] = Door(15020)
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f3")
        await until(pilot, lambda: "127.0.0.1:15020 here → 10.1.10.11:502" in text_of(pilot, "#card-text"))


# -- handing in --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    id: str
    points: float
    gate: str | None = None

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
    checks = (Check("ping", 40), Check("modbus", 50), Check("quiet", 10, gate="modbus"))
    return score([Task(checks)], {"ping": verdict(True), "modbus": verdict(False), "quiet": verdict(True)})


async def test_handing_in_asks_first_and_ends_with_the_marks(seat: FakeSeat) -> None:
    seat.handed_in = marks
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Result) and pilot.app.screen.focused)
        assert pilot.app.screen.query_one(Digits).value == "40"
        assert "it would not" in marked(pilot)
        assert "reduced because “modbus” did not pass" in marked(pilot)
        titles = list(pilot.app.screen.query("CheckRow .title"))
        assert all(title.size.width > 20 for title in titles), "and there is room to read what was marked"
        assert "evidence.zip" in text_of(pilot, "#where")
        await pilot.press("f8")
        await until(pilot, lambda: "不行" in marked(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))


async def test_a_failed_hand_in_is_a_notice_and_not_a_crash(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        seat.trouble = RuntimeError("the grader fell over")
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: any("the grader fell over" in notice.message for notice in pilot.app._notifications))
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))


async def test_progress_is_told_stage_by_stage(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        progress = Progress()
        await pilot.app.push_screen(progress)
        progress.show(events.HandInProgress("drive", 3, 10))
        lines = text_of(pilot, "#stages").splitlines()
        assert [line[0] for line in lines] == ["✓", "✓", "▶", "·", "·"]


async def test_unsaved_files_can_be_saved_before_they_are_handed_in(seat: FakeSeat) -> None:
    seat.handed_in = marks
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        await pilot.press("#", "f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        assert editor.file in str(pilot.app.screen.query_one("Label", Static).render())
        await pilot.press("s")
        await until(pilot, lambda: seat.texts[editor.file].startswith("#"))


# -- leaving -----------------------------------------------------------------------------------------------------------


async def test_ctrl_c_asks_and_then_switches_the_plant_off(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))
        assert not seat.is_closed
        await pilot.press("ctrl+c")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: seat.is_closed and not pilot.app.is_running)


async def test_ctrl_c_copies_where_something_is_selected(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        editor.area.load_text("port: 502\n")
        await pilot.press("shift+end", "ctrl+c")
        await until(pilot, lambda: pilot.app.clipboard == "port: 502")
        assert isinstance(pilot.app.screen, Workbench)


async def test_back_leads_to_the_catalogue_and_another_exercise_can_be_opened(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: seat.is_closed and isinstance(pilot.app.screen, Catalogue))
        assert seat.listeners == []
        await at_work(pilot)


async def test_unsaved_work_is_asked_about_before_leaving(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await editing(pilot)
        await pilot.press("x", "f10")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))
        assert not seat.is_closed


# -- the rest ----------------------------------------------------------------------------------------------------------


async def test_hints_come_one_by_one_and_are_counted(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(pilot.app.screen, Hints) and pilot.app.screen.focused)
        page = pilot.app.screen.query_one("#page")
        assert str(page.border_title).startswith("Hints: 0 of")
        assert not pilot.app.screen.query_one("#hint-0").display
        await pilot.press("enter")
        await until(pilot, lambda: str(page.border_title).startswith("Hints: 1 of"))
        tiers = seat.instance.definition.hints[0].tiers
        assert text_of(pilot, "#hint-0") == f"1. {tiers[0].text.en}"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(pilot.app.screen, Hints))
        assert str(pilot.app.screen.query_one("#page").border_title).startswith("Hints: 1 of"), "it is remembered"


async def test_one_key_changes_the_language_of_everything(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        bench = await at_work(pilot)
        await pilot.press("f8")
        first = next(check for _, check in seat.instance.definition.checks())
        await until(pilot, lambda: first.title.zh in lamp(pilot, first.id))
        assert text_of(pilot, "#title-text") == seat.instance.definition.title.zh
        assert str(bench.query_one("#to-plant", Tab).label) == "工厂"
        assert "交卷" in str(bench.query_one(KeyLine).render())
        await pilot.press("l")
        await until(pilot, lambda: first.title.en in lamp(pilot, first.id))


async def test_a_letter_that_is_a_key_elsewhere_is_a_letter_in_a_file(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        editor.area.load_text("")
        await pilot.press(*"lLp?/ q")
        assert editor.area.text == "lLp?/ q"


async def test_help_is_a_key_away_and_goes_away(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        for key in ("question_mark", "f1"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, Help))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, Catalogue))


async def test_light_and_dark(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await pilot.press("f12")
        await until(pilot, lambda: not pilot.app.current_theme.dark)
        await pilot.press("f12")
        await until(pilot, lambda: pilot.app.current_theme.dark)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12), (20, 6)])
async def test_every_size_of_terminal_shows_every_pane(seat: FakeSeat, size: tuple[int, int]) -> None:
    async with app_on(seat).run_test(size=size) as pilot:
        bench = await at_work(pilot)
        for key, pane in (
            ("f2", "#brief"),
            ("f3", "#sheet"),
            ("f4", "YamlEditor"),
            ("f5", "#traffic-log"),
            ("f6", "#lamps"),
        ):
            await pilot.press(key)
            await until(pilot, lambda pane=pane: bench.query(pane).first().has_focus)  # type: ignore[misc]
            assert bench.query(pane).first().region.width > 10
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: bench.query_one(Lamps).region.width > 10)


async def test_where_there_is_no_room_for_the_lamps_there_is_a_line_of_them(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(80, 24)) as pilot:
        bench = await at_work(pilot)
        assert bench.query_one("#lamp-line").display
        first = next(check for _, check in seat.instance.definition.checks())
        seat.emit(events.VerdictChanged(first.id, verdict(True), ""))
        await until(pilot, lambda: "●" in text_of(pilot, "#lamp-line"))


async def test_the_strip_of_traffic_is_there_while_files_are_edited_on_a_tall_terminal(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await editing(pilot)
        assert pilot.app.screen.query_one(Traffic).region.height > 4
        assert not pilot.app.screen.query_one("#traffic-filter", Input).display
        await pilot.resize_terminal(120, 24)
        await until(pilot, lambda: pilot.app.screen.query_one(Traffic).region.height == 0)


async def test_the_same_key_again_gives_a_pane_the_whole_width(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        editor = await editing(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: editor.region.width == 120)
        assert pilot.app.screen.query_one("#lamp-line").display
        await pilot.press("f4")
        await until(pilot, lambda: editor.region.width < 100)


async def test_a_seat_is_switched_off_once_even_if_the_screens_fall_over(seat: FakeSeat) -> None:
    app = app_on(seat)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_work(pilot)
    await app.close_seat()
    assert seat.is_closed
    seat.trouble = AssertionError("closed twice")
    await asyncio.gather(app.close_seat(), app.close_seat())
