"""A prompt on the workstations of the plant."""

from __future__ import annotations

from textual.pilot import Pilot
from textual.widgets import RichLog, Tabs
from tui_kit import FakeSeat, app_on, until

from lab.tui.console import Console, Prompt
from lab.tui.workbench import Workbench


def shown(pilot: Pilot[None]) -> str:
    return "\n".join(strip.text.rstrip() for strip in pilot.app.screen.query_one("#console-log", RichLog).lines)


async def at_the_prompt(pilot: Pilot[None]) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))
    await pilot.press("f11")
    await until(pilot, lambda: isinstance(pilot.app.focused, Prompt))


async def test_what_a_program_says_appears_below_what_was_typed(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(100, 30)) as pilot:
        await at_the_prompt(pilot)
        await pilot.press(*"arp", "enter")
        await until(pilot, lambda: "and says a lot" in shown(pilot))
        assert shown(pilot).splitlines() == ["ws-1> arp", "ws-1 runs arp", "and says a lot"]
        assert pilot.app.screen.query_one(Prompt).value == ""


async def test_ctrl_c_ends_the_program_and_not_the_screen(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(100, 30)) as pilot:
        await at_the_prompt(pilot)
        await pilot.press(*"ping", "enter")
        await until(pilot, lambda: "says a lot" in shown(pilot))
        await pilot.press(*"arp", "enter")
        assert "arp" not in shown(pilot), "one program at a time"
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "^C" in shown(pilot))
        assert "summary" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "ws-1> arp" in shown(pilot))
        assert isinstance(pilot.app.screen, Workbench)


async def test_the_arrow_keys_bring_earlier_lines_back(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(100, 30)) as pilot:
        await at_the_prompt(pilot)
        for line in ("arp", "date"):
            await pilot.press(*line, "enter")
            await until(pilot, lambda line=line: f"runs {line}" in shown(pilot))
        prompt = pilot.app.screen.query_one(Prompt)
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            await pilot.pause()
            seen.append(prompt.value)
        assert seen == ["date", "arp", "arp", "date", ""]


async def test_a_chosen_workstation_opens_its_own_console(seat: FakeSeat) -> None:
    async with app_on(seat).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Workbench))
        pilot.app.screen.query_one(Console).enter("ws-2")
        await until(pilot, lambda: pilot.app.screen.query_one(Console).host == "ws-2")
        assert pilot.app.screen.query_one("#console-hosts", Tabs).active == "console-1"
        await pilot.press("f3")
        await until(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id == "sheet")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.focused, Prompt))
