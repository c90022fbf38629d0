"""The trainee's screens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from lab.network.loop import PlantLoop

if TYPE_CHECKING:
    from lab.tui.catalogue import Entry


def run(scenario: Path | None = None, seed: int = 1, folder: Path | None = None) -> None:
    """Open the program, at the catalogue or at one scenario; the screen and the plant share one event loop."""
    with asyncio.Runner(loop_factory=PlantLoop) as runner:
        runner.run(run_app(scenario, seed, folder))


async def run_app(scenario: Path | None = None, seed: int = 1, folder: Path | None = None) -> None:
    """The same on a plant loop that is running already.

    `seed` and `folder` are those of the attempt; a folder is of use with a scenario only.
    """
    from lab.seat.home import folder_for
    from lab.seat.seat import Seat
    from lab.tui.app import LabApp
    from lab.tui.attempts import standing
    from scenarios.scenario import Scenario, catalogue

    def folder_of(entry: Entry) -> Path:
        return folder if folder is not None and scenario is not None else folder_for(entry.id, seed)

    async def open_seat(entry: Entry) -> Seat:
        return await Seat.open(Scenario.load(entry.folder), folder_of(entry), seed)

    start = _entry(scenario) if scenario is not None else None
    entries = tuple(_entry(path) for path in catalogue().values())
    app = LabApp(entries, open_seat, start, lambda entry: standing(folder_of(entry)))
    try:
        await app.run_async()
    finally:
        await app.close_seat()
    if app.return_code:
        raise SystemExit(app.return_code)


def _entry(folder: Path) -> Entry:
    from lab.tui.catalogue import Entry
    from scenarios.scenario import headline

    head = headline(folder)
    return Entry(
        folder, head.id, head.title.text, head.level, head.minutes, head.difficulty, tuple(head.items), head.story.text
    )
