"""YAML files into validated models, with every complaint at its file and line.

A file that people wrote is hostile by accident: tabs, duplicates, cycles, megabytes. Each ends in a `FileError` whose
problems say file, line, what was wrong and what is known.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lab.text import Text

M = TypeVar("M", bound=BaseModel)
Loc = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 50_000
"""Aliases are expanded while counting, so that a small file cannot stand for a huge one."""

NOT_READABLE = Text(zh="无法读取：{reason}", en="cannot be read: {reason}")
NOT_UTF8 = Text(zh="不是 UTF-8 文本（第 {offset} 字节）", en="is not UTF-8 text (byte {offset})")
TOO_LARGE = Text(zh="文件过大：{size} 字节，上限 {limit}", en="is too large: {size} bytes, the limit is {limit}")
TOO_DEEP = Text(zh="嵌套超过 {limit} 层", en="is nested more than {limit} levels deep")
TOO_MANY = Text(zh="超过 {limit} 个节点", en="holds more than {limit} nodes")
BAD_YAML = Text(zh="YAML 语法错误：{reason}", en="is not valid YAML: {reason}")
CYCLE = Text(zh="别名 *{alias} 引用了包含它自己的节点", en="alias *{alias} refers to a node that contains it")
DUPLICATE = Text(zh="重复的键 {key!r}（首次出现在第 {first} 行）", en="duplicate key {key!r}, first on line {first}")
KEY_NOT_TEXT = Text(zh="键必须是文本，而不是 {key!r}", en="a key must be text, not {key!r}")
BAD_SCALAR = Text(zh="无法理解的值 {value!r}", en="cannot make sense of the value {value!r}")
EMPTY = Text(zh="文件为空，应包含：{known}", en="is empty; expected keys: {known}")

UNKNOWN_KEY = Text(zh="未知的键 {key!r}", en="unknown key {key!r}")
MISSING_KEY = Text(zh="缺少键 {key!r}", en="missing key {key!r}")
WRONG_TYPE = Text(zh="应为{expected}，实际是 {value}", en="expected {expected}, found {value}")
NOT_ONE_OF = Text(zh="{value} 不在允许的取值之中", en="{value} is not one of the allowed values")
OUT_OF_RANGE = Text(zh="{value} 应{relation} {limit}", en="{value} should be {relation} {limit}")
OTHER = Text(zh="{value}：{reason}", en="{value}: {reason}")
INVALID = Text(zh="{reason}", en="{reason}")
DID_YOU_MEAN = Text(zh="是否想写 {guess!r}？", en="did you mean {guess!r}?")
KNOWN = Text(zh="可用：{known}", en="known: {known}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint about a file. `line` and `column` count from 1; 0 where there is none."""

    file: str
    line: int
    column: int
    what: Text
    facts: Mapping[str, object] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    guess: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [f"{place}: {self.what.say(**self.facts)}"]
        if self.guess:
            parts.append(DID_YOU_MEAN.say(guess=self.guess))
        if self.known:
            parts.append(KNOWN.say(known=", ".join(self.known)))
        return "; ".join(parts)

    def as_dict(self) -> dict[str, object]:
        return {"file": self.file, "line": self.line, "column": self.column, "message": str(self)}


class FileError(Exception):
    """A file cannot be used; `problems` says why, one or more."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data from a YAML file, and where in the file each part of it stands."""

    file: str
    data: Any
    marks: Mapping[Loc, tuple[int, int]]
    """(line, column), from 1, of the value at a path; the path with a `"<key>"` step marks the key itself."""

    def problem(self, loc: Sequence[str | int], what: Text, /, **facts: object) -> Problem:
        """A complaint about the value at `loc`, or about the nearest thing above it that the file has."""
        line, column = self.position(loc)
        return Problem(self.file, line, column, what, facts)

    def position(self, loc: Sequence[str | int]) -> tuple[int, int]:
        path = tuple(loc)
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))


def read_text(path: Path, name: str | None = None) -> str:
    """The file as text; raises FileError where it is missing, too large or not UTF-8."""
    file = name or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FileError([Problem(file, 0, 0, NOT_READABLE, {"reason": error.strerror or str(error)})]) from None
    if len(raw) > MAX_BYTES:
        raise FileError([Problem(file, 0, 0, TOO_LARGE, {"size": len(raw), "limit": MAX_BYTES})])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FileError([Problem(file, line, 1, NOT_UTF8, {"offset": error.start})]) from None


def parse(text: str, file: str) -> Document:
    """YAML text as plain data with positions; raises FileError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = error.problem or error.context or "syntax"
        raise FileError([Problem(file, line, column, BAD_YAML, {"reason": reason})]) from None
    except yaml.YAMLError as error:
        raise FileError([Problem(file, 1, 1, BAD_YAML, {"reason": " ".join(str(error).split())})]) from None
    except RecursionError:
        raise FileError([Problem(file, 1, 1, TOO_DEEP, {"limit": MAX_DEPTH})]) from None
    builder = _Builder(file)
    data = builder.build(root, (), ()) if root is not None else None
    if builder.problems:
        raise FileError(builder.problems)
    return Document(file, data, builder.marks)


def validate(document: Document, model: type[M]) -> M:
    """The document as a model; raises FileError with every problem found, each at its line."""
    if document.data is None:
        known = ", ".join(model.model_fields)
        raise FileError([Problem(document.file, 1, 1, EMPTY, {"known": known})])
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise FileError(_problems(document, error, model)) from None


def load(path: Path, model: type[M], name: str | None = None) -> M:
    """Read, parse and validate a file; `name` is how messages call it. Raises FileError."""
    return validate(parse(read_text(path, name), name or str(path)), model)


class _Builder:
    """Turns composed nodes into plain data, refusing what a person cannot have meant."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.marks: dict[Loc, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._scalars = yaml.SafeLoader("")
        self._nodes = 0

    def build(self, node: yaml.Node, loc: Loc, above: tuple[yaml.Node, ...]) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(node, TOO_MANY, limit=MAX_NODES)
        if len(above) > MAX_DEPTH:
            self._stop(node, TOO_DEEP, limit=MAX_DEPTH)
        if any(node is parent for parent in above):
            self._stop(node, CYCLE, alias=getattr(node, "anchor", None) or "…")
        self.marks[loc] = _position(node)
        inner = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc, inner)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*loc, index), inner) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, loc: Loc, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key: Any = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else key_node.value
            if isinstance(key, int) and not isinstance(key, bool):
                key = str(key)
            if not isinstance(key, str):
                self._complain(key_node, KEY_NOT_TEXT, key=getattr(key_node, "value", key))
                continue
            line = key_node.start_mark.line + 1
            if key in lines:
                self._complain(key_node, DUPLICATE, key=key, first=lines[key])
                continue
            lines[key] = line
            result[key] = self.build(value_node, (*loc, key), above)
            self.marks[(*loc, key, "<key>")] = _position(key_node)
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:merge"):
            return node.value
        if node.tag == "tag:yaml.org,2002:int" and ":" in node.value:
            return node.value  # YAML 1.1 would read 10:30 in base 60
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            self._complain(node, BAD_SCALAR, value=node.value)
            return None

    def _complain(self, node: yaml.Node, what: Text, **facts: object) -> None:
        line, column = _position(node)
        self.problems.append(Problem(self.file, line, column, what, facts))

    def _stop(self, node: yaml.Node, what: Text, **facts: object) -> None:
        self._complain(node, what, **facts)
        raise FileError(self.problems)


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


_EXPECTED = {
    "int": Text(zh="整数", en="a whole number"),
    "float": Text(zh="数字", en="a number"),
    "bool": Text(zh="true 或 false", en="true or false"),
    "string": Text(zh="文本", en="text"),
    "list": Text(zh="列表", en="a list"),
    "dict": Text(zh="键值表", en="a mapping"),
    "model": Text(zh="键值表", en="a mapping"),
    "ip": Text(zh="IPv4 地址，如 10.20.10.5", en="an IPv4 address such as 10.20.10.5"),
    "interface": Text(
        zh="带掩码的 IPv4 地址，如 10.20.10.5/24", en="an IPv4 address with its mask, such as 10.20.10.5/24"
    ),
    "network": Text(zh="IPv4 网段，如 10.20.10.0/24", en="an IPv4 network such as 10.20.10.0/24"),
}
_EXPECTED_BY_ERROR = {
    "int_type": "int", "int_parsing": "int", "int_from_float": "int",
    "float_type": "float", "float_parsing": "float",
    "bool_type": "bool", "bool_parsing": "bool",
    "string_type": "string",
    "list_type": "list", "tuple_type": "list",
    "dict_type": "dict", "model_type": "model", "model_attributes_type": "model", "mapping_type": "dict",
    "ip_v4_address": "ip", "ip_v4_interface": "interface", "ip_v4_network": "network",
}  # fmt: skip
_RELATIONS = {
    "greater_than": (Text(zh="大于", en="greater than"), "gt"),
    "greater_than_equal": (Text(zh="不小于", en="at least"), "ge"),
    "less_than": (Text(zh="小于", en="less than"), "lt"),
    "less_than_equal": (Text(zh="不大于", en="at most"), "le"),
}


def _problems(document: Document, error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        yield _problem(document, detail, model)


def _problem(document: Document, detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    kind = detail["type"]
    # pydantic's path has extra steps for unions and validators; keep those that are in the file.
    loc = _steps_in_file(document, detail["loc"], keep_last=kind in ("missing", "extra_forbidden"))
    value = _shown(detail.get("input"))
    if kind == "extra_forbidden":
        key = str(loc[-1])
        line, column = document.position((*loc, "<key>"))
        known = _fields_at(model, detail["loc"][:-1])
        guess = next(iter(difflib.get_close_matches(key, known, 1, 0.6)), "")
        return Problem(document.file, line, column, UNKNOWN_KEY, {"key": key}, known, guess)
    line, column = document.position(loc)
    if kind == "missing":
        return Problem(document.file, line, column, MISSING_KEY, {"key": str(loc[-1])})
    if kind in _EXPECTED_BY_ERROR:
        expected = _EXPECTED[_EXPECTED_BY_ERROR[kind]]
        return Problem(document.file, line, column, WRONG_TYPE, {"expected": expected, "value": value})
    context = detail.get("ctx", {})
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        listed = str(context.get("expected") or context.get("expected_tags", ""))
        known = tuple(part.strip(" '") for part in listed.replace(" or ", ", ").split(",") if part.strip(" '"))
        written = detail.get("input")
        if kind == "union_tag_invalid":
            written = context.get("tag")
            line, column = document.position((*loc, str(context["discriminator"]).strip("'")))
        guess = next(iter(difflib.get_close_matches(str(written), known, 1, 0.5)), "")
        return Problem(document.file, line, column, NOT_ONE_OF, {"value": _shown(written)}, known, guess)
    if kind == "union_tag_not_found":
        return Problem(document.file, line, column, MISSING_KEY, {"key": str(context["discriminator"]).strip("'")})
    if kind in _RELATIONS:
        relation, key = _RELATIONS[kind]
        return Problem(
            document.file, line, column, OUT_OF_RANGE, {"value": value, "relation": relation, "limit": context[key]}
        )
    raised = context.get("error")
    reason = str(raised) if raised is not None else detail["msg"]
    if isinstance(raised, KnownValueError):
        return Problem(document.file, line, column, raised.what, raised.facts, raised.known, raised.guess)
    what = INVALID if isinstance(detail.get("input"), (dict, list)) else OTHER
    return Problem(document.file, line, column, what, {"value": value, "reason": reason})


class KnownValueError(ValueError):
    """Raise it in a validator to complain in both languages and to name what is known."""

    def __init__(self, what: Text, /, *, wrong: str = "", known: Iterable[str] = (), **facts: object) -> None:
        self.what, self.facts, self.known = what, facts, tuple(known)
        self.guess = next(iter(difflib.get_close_matches(wrong, self.known, 1, 0.6)), "") if wrong else ""
        super().__init__(what.say(**facts))


def _steps_in_file(document: Document, loc: Loc, *, keep_last: bool) -> Loc:
    path: Loc = ()
    last = len(loc) - 1
    for index, step in enumerate(loc):
        if (*path, step) in document.marks or (keep_last and index == last):
            path = (*path, step)
    return path


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, (dict, list)) else ("{…}" if isinstance(value, dict) else "[…]")
    return text if len(text) <= 60 else text[:57] + "…"


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys allowed at a path of the model, following unions by their tag; empty where that is unclear."""
    candidates: list[Any] = [model]
    for step in loc:
        found: list[Any] = []
        for candidate in candidates:
            for part in _unfold(candidate):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    if step in part.model_fields:
                        found.append(part.model_fields[step].annotation)
                    else:
                        aliased = [f.annotation for f in part.model_fields.values() if f.alias == step]
                        found.extend(aliased or ([part] if _is_tag_of(part, step) else []))
                else:
                    found.extend(get_args(part)[-1:])
        candidates = found
    models = [part for c in candidates for part in _unfold(c) if isinstance(part, type) and issubclass(part, BaseModel)]
    names: dict[str, None] = {}
    for each in models:
        for name, info in each.model_fields.items():
            names[info.alias or name] = None
    return tuple(names)


def _unfold(annotation: Any) -> list[Any]:
    """The members of a union, the annotation itself otherwise."""
    args = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    if (
        args
        and origin not in (list, dict, tuple, set, frozenset, Sequence, Mapping)
        and not isinstance(annotation, type)
    ):
        if hasattr(annotation, "__metadata__"):
            return _unfold(args[0])
        return [part for arg in args if arg is not type(None) for part in _unfold(arg)]
    return [annotation]


def _is_tag_of(model: type[BaseModel], step: str | int) -> bool:
    return any(step in get_args(info.annotation) for info in model.model_fields.values())
