"""`fault`: what an instructor does to a running lab."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lab.cli.labs import in_a_lab
from lab.cli.trouble import Refused
from lab.text import Text, spoken

if TYPE_CHECKING:
    from lab.seat.client import Client

INJECTED: Final = Text(zh="已注入 {number}：{title}（{where}）", en="injected {number}: {title} ({where})")
REPAIRED: Final = Text(zh="已修复 {number}：{title}（{where}）", en="repaired {number}: {title} ({where})")
NOTHING: Final = Text(zh="现在没有故障", en="nothing is wrong now")
NOW: Final = Text(zh="现有故障：", en="wrong now:")
NOT_A_PAIR: Final = Text(zh="参数应写成 名称=值，而不是 {text!r}", en="parameters are written name=value, not {text!r}")
NO_NAME: Final = Text(
    zh="缺少故障名称；iiotlab fault list 列出全部", en="which fault? iiotlab fault list shows all of them"
)


def fault(options: argparse.Namespace) -> int:
    where: dict[str, Any] = {}
    for text in options.where:
        name, equals, value = text.partition("=")
        if not equals:
            raise Refused(NOT_A_PAIR.say(text=text))
        where[name] = _value(value)
    if options.do == "list":
        return in_a_lab(options, _list)
    if options.do == "inject":
        if not options.name:
            raise Refused(NO_NAME.say())
        return in_a_lab(options, lambda client: _inject(client, options.name, where))
    return in_a_lab(options, lambda client: _repair(client, options.name))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _list(client: Client) -> int:
    told = await client.ask("faults")
    width = max(len(each["name"]) for each in told["known"])
    for each in told["known"]:
        parameters = " ".join(
            name if default is None else f"[{name}={default}]" for name, default in each["parameters"].items()
        )
        print(f"{each['name']:{width}}  {_said(each['title'])}: {_said(each['symptom'])}")
        print(f"{'':{width}}  {parameters}")
    print()
    if not told["active"]:
        print(NOTHING.say())
    else:
        print(NOW.say())
        for each in told["active"]:
            print(f"  {each['number']}  {_line(each)}")
    return 0


async def _inject(client: Client, name: str, where: Mapping[str, Any]) -> int:
    done = await client.ask("inject", fault=name, where=dict(where))
    print(INJECTED.say(number=done["number"], title=_said(done["title"]), where=_places(done)))
    return 0


async def _repair(client: Client, name: str | None) -> int:
    arguments = {} if name in (None, "all") else {"number": _value(str(name))}
    repaired = await client.ask("repair", **arguments)
    for each in repaired:
        print(REPAIRED.say(number=each["number"], title=_said(each["title"]), where=_places(each)))
    if not repaired:
        print(NOTHING.say())
    return 0


def _line(injected: Mapping[str, Any]) -> str:
    return f"{injected['fault']}  {_said(injected['title'])} ({_places(injected)})"


def _places(injected: Mapping[str, Any]) -> str:
    def said(value: Any) -> str:
        return "/".join(map(str, value)) if isinstance(value, list) else str(value)

    return ", ".join(f"{name}={said(value)}" for name, value in injected["where"].items() if value is not None)


def _said(both: Mapping[str, str]) -> str:
    return both.get(spoken(), next(iter(both.values())))
