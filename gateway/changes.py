"""What differs between two configurations, in lines that people can check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel

from gateway.config import GatewayConfig
from lab.text import Text

Kind = Literal["added", "removed", "changed"]
_MARKS: Final[Mapping[Kind, str]] = {"added": "+", "removed": "-", "changed": "~"}
_SECRET: Final = ("password",)
_DEVICE = Text(zh="设备 {name}", en="device {name}")
_GROUP = Text(zh="组 {name}", en="group {name}")
_TAG = Text(zh="变量 {name}", en="tag {name}")
_NORTH = Text(zh="北向 {name}", en="destination {name}")
_SELF = Text(zh="网关", en="gateway")
_LEVELS: Final = ((_DEVICE, "groups"), (_GROUP, "tags"), (_TAG, ""))


def changes(old: GatewayConfig, new: GatewayConfig) -> list[str]:
    """`+`, `-` and `~` lines for devices, groups, tags and destinations; nothing where both are the same."""
    lines = list(_fields(_SELF.say(), _plain(old, "south", "north"), _plain(new, "south", "north")))
    lines += _lists([], old.south, new.south, 0)
    before, after = ({each.name: each for each in config.north} for config in (old, new))
    for name in [*before, *(name for name in after if name not in before)]:
        where = _NORTH.say(name=name)
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            lines.append(f"{_MARKS['added' if one is None else 'removed']} {where}")
        else:
            lines += _fields(where, _plain(one), _plain(other))
    return lines


def _lists(path: list[str], old: Sequence[Any], new: Sequence[Any], level: int) -> Iterator[str]:
    title, inside = _LEVELS[level]
    before, after = ({each.name: each for each in those} for those in (old, new))
    for name in [*before, *(name for name in after if name not in before)]:
        here = [*path, title.say(name=name)]
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            yield f"{_MARKS['added' if one is None else 'removed']} {' / '.join(here)}"
        elif one != other:
            yield from _fields(" / ".join(here), _plain(one, inside), _plain(other, inside))
            if inside:
                yield from _lists(here, getattr(one, inside), getattr(other, inside), level + 1)


def _plain(model: BaseModel, *without: str) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude=set(without))


def _fields(where: str, old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in [*old, *(key for key in new if key not in old)]:
        one, other = old.get(key), new.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _fields(where, one, other, f"{prefix}{key}.")
        elif key in _SECRET:
            yield f"{_MARKS['changed']} {where}: {prefix}{key}"
        else:
            yield f"{_MARKS['changed']} {where}: {prefix}{key} {_shown(one)} -> {_shown(other)}"


def _shown(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
