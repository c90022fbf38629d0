"""The trainee's screens."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab.network.loop import PlantLoop


def run(scenario: Path | None = None, seed: int = 1, folder: Path | None = None) -> None:
    """Open the program, at the catalogue or at one scenario; the screen and the plant share one event loop."""
    with asyncio.Runner(loop_factory=PlantLoop) as runner:
        runner.run(run_app(scenario, seed, folder))


async def run_app(scenario: Path | None = None, seed: int = 1, folder: Path | None = None) -> None:
    """The same on a plant loop that is running already."""
    from lab.seat.home import folder_for
    from lab.seat.seat import Seat
    from lab.tui.app import LabApp
    from lab.tui.catalogue import Entry
    from scenarios.scenario import Scenario, catalogue, headline

    def entry(path: Path) -> Entry:
        head = headline(path)
        return Entry(
            path,
            head.id,
            head.title.text,
            head.level,
            head.minutes,
            head.difficulty,
            tuple(head.items),
            head.story.text,
        )

    async def open_seat(chosen: Entry) -> Seat:
        return await Seat.open(Scenario.load(chosen.folder), folder or folder_for(chosen.id, seed), seed)

    entries = tuple(entry(path) for path in catalogue().values())
    await LabApp(entries, open_seat, entry(scenario) if scenario is not None else None).run_async()
