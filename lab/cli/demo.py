"""`demo`: the reference solution of the first exercise, applied to a running plant, accepted and marked."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Final

from grading.report import as_text
from grading.verdict import Outcome
from lab.cli.marks import STAGES
from lab.cli.progress import Progress
from lab.cli.trouble import NOT_WELL, OK
from lab.seat import ConfigurationApplied, Event, HandInProgress, ObservationSeen, Seat, VerdictChanged, run
from lab.text import Text
from scenarios.catalogue import find
from scenarios.scenario import Scenario

SCENARIO: Final = "first-poll"
_PATIENCE: Final = 8.0
"""Seconds in which the lamps that can turn green before the acceptance run have done so."""
_SHOWN: Final = 3
"""Observations of a kind that are worth showing."""

BEGINNING = Text(
    zh="▶ 工厂启动：锅炉控制器、网关、消息代理和工作站，都在一张模拟的以太网上。网关还什么都不会。",
    en="▶ The plant is switched on: boiler controller, gateway, broker, workstation, on a simulated Ethernet. The gateway"
    " knows nothing yet.",
)
UNTOUCHED = Text(zh="  此刻没有一盏任务灯是绿的。", en="  Not one lamp is green.")
SAVING = Text(zh="▶ 保存参考答案的 {file}：", en="▶ The reference solution's {file} is saved:")
TAKEN_ON = Text(zh="  工厂已应用 {file}，线上有了变化：", en="  The plant has taken on {file}, and there is traffic:")
GREEN = Text(zh="  ● {title}", en="  ● {title}")
HANDING_IN = Text(
    zh="▶ 交卷：从冻结的文件重新启动整座工厂，用虚拟时间验收，悄悄改变工况。",
    en="▶ Handing in: the whole plant once more from the frozen files, in virtual time, driven into secret states.",
)
EVIDENCE = Text(
    zh="▶ 证据文件 {name}（{size} KB）已封存；iiotlab grade 会给出同样的分数。",
    en="▶ The evidence, {name} ({size} KB), is sealed; iiotlab grade gives the same marks from it.",
)


def demo(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="iiotlab-demo-") as folder:
        return run(_play(Path(folder)))


async def _play(folder: Path) -> int:
    _say(BEGINNING)
    seat = await Seat.open(Scenario.load(find(SCENARIO)), folder / SCENARIO, 1)
    try:
        narrator = _Narrator(seat)
        _say(UNTOUCHED)
        for name, text in seat.instance.reference.files.items():
            if text == seat.instance.start.get(name):
                continue
            _say(SAVING, file=name)
            print("\n".join(f"  │ {line}" for line in text.rstrip().splitlines()), flush=True)
            seat.save(name, text)
            await narrator.is_applied(name)
        await narrator.lamps_are_green()
        _say(HANDING_IN)
        with Progress() as progress:
            narrator.progress = progress
            result = await seat.hand_in()
    finally:
        await seat.close()
    from grading.bundle import open_bundle
    from scenarios.reporting import report

    bundle = open_bundle(result.bundle_path)
    print()
    print(as_text(report(bundle, seat.instance, result.score)))
    _say(EVIDENCE, name=result.bundle_path.name, size=result.bundle_path.stat().st_size // 1024)
    return OK if result.score.is_full else NOT_WELL


class _Narrator:
    """Tells what the seat says, and knows when to go on."""

    def __init__(self, seat: Seat) -> None:
        self.progress: Progress | None = None
        self._checks = {check.id: check for _, check in seat.instance.definition.checks()}
        self._shown: dict[str, int] = {}
        self._applied: dict[str, asyncio.Event] = {}
        self._green: set[str] = set()
        self._is_quiet = asyncio.Event()
        self._waits = {id_ for id_, check in self._checks.items() if check.check != "challenge"}
        seat.subscribe(self._hear)

    async def is_applied(self, file: str) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self._applied.setdefault(file, asyncio.Event()).wait()

    async def lamps_are_green(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._is_quiet.wait()
        except TimeoutError:
            pass  # the acceptance run will say what is missing

    def _hear(self, event: Event) -> None:
        match event:
            case ConfigurationApplied(file):
                _say(TAKEN_ON, file=file)
                self._applied.setdefault(file, asyncio.Event()).set()
            case ObservationSeen(observation, summary):
                kind = type(observation).__name__
                self._shown[kind] = self._shown.get(kind, 0) + 1
                if self._applied and self._shown[kind] <= _SHOWN and self.progress is None:
                    print(f"    {observation.client} → {observation.server or '?'}  {summary}", flush=True)
            case VerdictChanged(check_id, verdict):
                self._lamp(check_id, verdict.outcome is Outcome.PASSED)
            case HandInProgress(stage, done, total):
                if self.progress is not None and stage in STAGES:
                    self.progress.show(STAGES[stage].say(), done, total)
            case _:
                pass

    def _lamp(self, check_id: str, is_green: bool) -> None:
        if is_green and check_id not in self._green:
            self._green.add(check_id)
            if self.progress is None:
                _say(GREEN, title=self._checks[check_id].title.text)
        if self._waits <= self._green:
            self._is_quiet.set()


def _say(text: Text, **facts: object) -> None:
    print(text.say(**facts), flush=True)
