"""`list`, `lint`, `new`: the scenarios themselves."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Final

from lab.cli.trouble import Refused
from lab.model.document import FileError, Problem
from lab.text import Text
from scenarios.catalogue import FILE, catalogue, find, headline

LEVELS: Final = {
    "junior": Text(zh="初级", en="junior"),
    "intermediate": Text(zh="中级", en="intermediate"),
    "advanced": Text(zh="高级", en="advanced"),
}
MINUTES = Text(zh="{minutes} 分钟", en="{minutes} min")
SOUND = Text(zh="{count} 个场景，没有发现问题", en="{count} scenarios, nothing found")
FOUND = Text(zh="发现 {count} 个问题", en="{count} problems found")
EXISTS = Text(zh="{path} 已存在", en="{path} exists already")
BAD_ID = Text(
    zh="文件夹名 {name!r} 会成为场景 id：须由小写字母、数字和连字符组成，以字母开头",
    en="the folder's name {name!r} becomes the scenario's id: lower-case letters, digits and hyphens, a letter first",
)
MADE = Text(
    zh="""已建立 {path}。接下来：
  iiotlab lint {path}
  iiotlab prove {path}
  iiotlab run {path}""",
    en="""{path} is made. Next:
  iiotlab lint {path}
  iiotlab prove {path}
  iiotlab run {path}""",
)
_ID: Final = re.compile(r"[a-z][a-z0-9-]*")
_TEMPLATE: Final = "template"


def list_scenarios(options: argparse.Namespace) -> int:
    headlines = [headline(folder) for folder in catalogue().values()]
    if options.json:
        rows = [
            {
                "id": each.id,
                "title": each.title.model_dump(),
                "level": each.level,
                "minutes": each.minutes,
                "difficulty": each.difficulty,
                "items": each.items,
            }
            for each in headlines
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    width = max((len(each.id) for each in headlines), default=0)
    for each in headlines:
        stars = "★" * each.difficulty + "☆" * (5 - each.difficulty)
        minutes = MINUTES.say(minutes=each.minutes)
        print(f"{each.id:<{width}}  {stars}  {minutes:>8}  {LEVELS[each.level]}  {each.title.text}")
    return 0


def lint(options: argparse.Namespace) -> int:
    from scenarios.lint import findings

    folders = [find(name) for name in options.scenarios] or list(catalogue().values())
    problems: list[Problem] = []
    for folder in folders:
        try:
            problems.extend(findings(folder))
        except FileError as error:
            problems.extend(error.problems)
    if options.json:
        print(json.dumps([problem.as_dict() for problem in problems], ensure_ascii=False, indent=1))
    else:
        for problem in problems:
            print(problem)
        print(FOUND.say(count=len(problems)) if problems else SOUND.say(count=len(folders)))
    return 1 if problems else 0


def new(options: argparse.Namespace) -> int:
    import scenarios

    folder = Path(options.path)
    name = folder.resolve().name
    if not _ID.fullmatch(name):
        raise Refused(BAD_ID.say(name=name))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(EXISTS.say(path=folder))
    shutil.copytree(Path(scenarios.__file__).parent / _TEMPLATE, folder, dirs_exist_ok=True)
    file = folder / FILE
    text = file.read_text("utf-8")
    file.write_text(re.sub(r"(?m)^id: .*$", f"id: {name}", text, count=1), "utf-8", newline="\n")
    print(MADE.say(path=options.path))
    return 0
