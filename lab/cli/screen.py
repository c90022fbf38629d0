"""`iiotlab` and `iiotlab run`: the screens, or a plant without one."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from lab.cli import words
from lab.cli.trouble import Refused
from lab.text import Text
from scenarios.catalogue import find

READY = Text(
    zh="""工厂已运行：{title}（种子 {seed}）
工作文件夹：{folder}
用任何编辑器修改其中的文件，保存即生效；Ctrl-C 结束，以后可用同一命令继续。""",
    en="""The plant is running: {title} (seed {seed})
Work folder: {folder}
Change its files with any editor; saving applies them. Ctrl-C ends this, and the same command goes on later.""",
)
PUBLISHED = Text(
    zh="发布端口 127.0.0.1:{port} → {target}（{name}）", en="published port 127.0.0.1:{port} → {target} ({name})"
)
APPLIED = Text(zh="已应用 {file}", en="applied {file}")
REFUSED = Text(zh="未应用 {file}，工厂保持原样", en="not applied: {file}; the plant stays as it was")
STOPPING = Text(zh="正在关闭工厂…", en="Switching the plant off …")
HAND_IN = Text(zh="试验收：iiotlab check {folder}", en="To see what it is worth: iiotlab check {folder}")


def open_catalogue(options: argparse.Namespace) -> int:
    if not _has_terminal():
        from lab.cli.demo import demo

        print(words.NO_TERMINAL.say(), flush=True)
        return demo(options)
    from lab import tui

    tui.run()
    return 0


def run(options: argparse.Namespace) -> int:
    folder = find(options.scenario)
    work = Path(options.dir).expanduser() if options.dir else None
    if options.headless:
        from lab import seat

        try:
            seat.run(_keep_running(folder, work, options.seed))
        except KeyboardInterrupt:
            pass
        return 0
    if not _has_terminal():
        raise Refused(words.NEEDS_TERMINAL.say())
    from lab import tui

    tui.run(folder, seed=options.seed, folder=work)
    return 0


async def _keep_running(scenario: Path, work: Path | None, seed: int) -> None:
    from lab.seat import ConfigurationApplied, ConfigurationRefused, DeviceNotice, Seat, VerdictChanged
    from scenarios.scenario import Scenario

    terminated = _terminated()
    seat = await Seat.open(Scenario.load(scenario), work, seed)
    titles = {check.id: check.title.text for _, check in seat.instance.definition.checks()}

    def tell(event: object) -> None:
        match event:
            case ConfigurationApplied(file):
                print(APPLIED.say(file=file), flush=True)
            case ConfigurationRefused(file, problems):
                print("\n".join([REFUSED.say(file=file), *(f"  {problem}" for problem in problems)]), flush=True)
            case DeviceNotice(host, text):
                print(f"{host}: {text}" if host else text, flush=True)
            case VerdictChanged(check_id, verdict, sentence):
                mark = {"passed": "✓", "failed": "✗"}.get(verdict.outcome, "○")
                print(f"{mark} {titles[check_id]}{' – ' + sentence if sentence else ''}", flush=True)

    try:
        title = seat.instance.definition.title.text
        print(READY.say(title=title, seed=seed, folder=seat.root))
        for each in seat.instance.definition.publish:
            if each.name in seat.published:
                print(PUBLISHED.say(port=seat.published[each.name].port, target=each.to, name=each.name))
        print(HAND_IN.say(folder=seat.root), flush=True)
        seat.subscribe(tell)
        await terminated.wait()
    finally:
        print(STOPPING.say(), flush=True)
        await seat.close()


def _terminated() -> asyncio.Event:
    """Set at SIGTERM, where there is such a thing; Ctrl-C cancels whoever waits for it."""
    terminated = asyncio.Event()
    try:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    except NotImplementedError:  # Windows
        pass
    return terminated


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
