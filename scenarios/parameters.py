"""What differs between two trainees: values drawn from the seed, and values derived from those.

A draw depends on the scenario, the seed and the parameter's own name, and on nothing else: neither the order of
declaration nor the version of Python changes it.
"""

from __future__ import annotations

import ast
import hmac
import operator
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Annotated, Any, Final

from pydantic import Field, StrictInt, StrictStr, model_validator

from lab.model.document import Document, FileError, KnownValueError, Problem
from lab.model.plant import Strict
from lab.text import Text
from scenarios.problems import UNKNOWN_PARAMETER, unknown, unknown_in

Value = int | str

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}\n]*)\}?")
_BIGGEST: Final = 10**12

ONE_WAY = Text(zh="参数须且只能有一种取值方式", en="a parameter is made in exactly one way")
BAD_NAME = Text(
    zh="参数名 {name!r} 须由小写字母、数字和下划线组成，以字母开头",
    en="the parameter name {name!r} should be lower-case letters, digits and underscores, a letter first",
)
BACKWARDS = Text(zh="范围为空：从 {first} 到 {last}", en="an empty range: from {first} to {last}")
CYCLE = Text(zh="参数互相引用成环：{path}", en="parameters refer to one another in a circle: {path}")
BAD_PLACEHOLDER = Text(zh="{text!r} 不是 ${{参数}}", en="{text!r} is not of the form ${{parameter}}")
BAD_ARITHMETIC = Text(
    zh="{text!r} 不是整数算式（参数名、整数、+ - * // % 和括号）",
    en="{text!r} is not arithmetic of whole numbers (names, integers, + - * // % and brackets)",
)
NOT_A_NUMBER = Text(zh="参数 {name!r} 不是整数", en="the parameter {name!r} is not a whole number")
NO_CASE = Text(zh="参数 {of!r} 的值 {value!r} 没有对应项", en="nothing is given for {value!r}, a value of {of!r}")
DIVISION_BY_ZERO = Text(zh="{text!r} 除以零", en="{text!r} divides by zero")
TOO_BIG = Text(zh="{text!r} 的结果超过 {limit}", en="the result of {text!r} is beyond {limit}")


class Span(Strict):
    """Whole numbers from `from` to `to`, both included."""

    first: StrictInt = Field(alias="from")
    last: StrictInt = Field(alias="to")
    step: StrictInt = Field(1, ge=1)

    @model_validator(mode="after")
    def _not_empty(self) -> Span:
        if self.first > self.last:
            raise KnownValueError(BACKWARDS, first=self.first, last=self.last)
        return self

    def numbers(self) -> range:
        return range(self.first, self.last + 1, self.step)


class Parameter(Strict):
    """Drawn from the seed (`choice`, `range`) or derived from others (`text`, `compute`, `lookup` with `cases`)."""

    choice: Annotated[list[StrictInt | StrictStr], Field(min_length=1)] | None = None
    range: Span | None = None
    text: str | None = None
    """A template such as `10.${c}.10.11`."""
    compute: str | None = None
    """Arithmetic of whole numbers, with other parameters by their bare names."""
    lookup: str | None = None
    """The parameter whose value selects one of `cases`."""
    cases: dict[str, StrictInt | StrictStr] | None = None

    @model_validator(mode="after")
    def _made_in_one_way(self) -> Parameter:
        ways = ("choice", "range", "text", "compute", "lookup")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1 or (self.lookup is None) != (self.cases is None):
            raise KnownValueError(ONE_WAY, known=(*ways[:-1], "lookup + cases"))
        return self


def draw(scenario: str, seed: int, name: str, size: int) -> int:
    """A number from 0 to size − 1, every one as likely as the others."""
    key = f"{scenario}/{seed}".encode()
    usable = 2**64 - 2**64 % size
    for attempt in count():
        number = int.from_bytes(hmac.digest(key, f"{name}/{attempt}".encode(), "sha256")[:8], "big")
        if number < usable:
            return number % size
    raise AssertionError("unreachable")


def settle(parameters: Mapping[str, Parameter], scenario: str, seed: int, document: Document) -> dict[str, Value]:
    """The value of every parameter; raises FileError for a circle, an unknown name or arithmetic that is none."""
    settling = _Settling(parameters, scenario, seed, document)
    for name in parameters:
        if not NAME.fullmatch(name):
            place = document.position(("parameters", name, "<key>"))
            raise FileError([Problem(document.file, *place, BAD_NAME, {"name": name})])
        settling.value(name, ())
    return settling.values


def substitute(text: str, values: Mapping[str, Value], file: str) -> str:
    """The text with `${name}` filled in; raises FileError with the line of each placeholder that means nothing."""
    problems: list[Problem] = []

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        is_closed = match[0].endswith("}")
        if is_closed and name in values:
            return str(values[name])
        line = text.count("\n", 0, match.start()) + 1
        place = (line, match.start() - text.rfind("\n", 0, match.start()))
        if is_closed and NAME.fullmatch(name):
            problems.append(unknown(file, place, UNKNOWN_PARAMETER, name, values))
        else:
            problems.append(Problem(file, *place, BAD_PLACEHOLDER, {"text": match[0]}))
        return match[0]

    filled = _PLACEHOLDER.sub(fill, text)
    if problems:
        raise FileError(problems)
    return filled


def mentioned(text: str) -> set[str]:
    """The names that stand in the placeholders of a text."""
    return set(_PLACEHOLDER.findall(text))


def names_in(parameter: Parameter) -> set[str]:
    """The other parameters that one is derived from."""
    if parameter.text is not None:
        return mentioned(parameter.text)
    if parameter.compute is not None:
        try:
            tree = ast.parse(parameter.compute, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return set()
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {parameter.lookup} if parameter.lookup is not None else set()


class _Settling:
    def __init__(self, parameters: Mapping[str, Parameter], scenario: str, seed: int, document: Document) -> None:
        self.values: dict[str, Value] = {}
        self._parameters, self._scenario, self._seed = parameters, scenario, seed
        self._document = document

    def value(self, name: str, path: tuple[str, ...]) -> Value:
        if name in self.values:
            return self.values[name]
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise self._complaint(path[-1], CYCLE, path=circle)
        parameter = self._parameters[name]
        below = (*path, name)
        if parameter.choice is not None:
            value: Value = parameter.choice[self._draw(name, len(parameter.choice))]
        elif parameter.range is not None:
            numbers = parameter.range.numbers()
            value = numbers[self._draw(name, len(numbers))]
        elif parameter.text is not None:
            needed = {
                each: self._other(each, name, below) for each in mentioned(parameter.text) if NAME.fullmatch(each)
            }
            value = self._filled(parameter.text, needed, name)
        elif parameter.compute is not None:
            value = self._computed(parameter.compute, name, below)
        else:
            assert parameter.lookup is not None
            assert parameter.cases is not None
            selector = self._other(parameter.lookup, name, below)
            if str(selector) not in parameter.cases:
                raise self._complaint(name, NO_CASE, of=parameter.lookup, value=selector)
            value = parameter.cases[str(selector)]
        self.values[name] = value
        return value

    def _draw(self, name: str, size: int) -> int:
        return draw(self._scenario, self._seed, name, size)

    def _other(self, name: str, wanted_by: str, path: tuple[str, ...]) -> Value:
        if name not in self._parameters:
            loc = ("parameters", wanted_by)
            raise FileError([unknown_in(self._document, loc, UNKNOWN_PARAMETER, name, self._parameters)])
        return self.value(name, path)

    def _filled(self, text: str, values: Mapping[str, Value], name: str) -> str:
        try:
            return substitute(text, values, self._document.file)
        except FileError as error:
            what = error.problems[0]
            raise self._complaint(name, what.what, **what.facts) from None

    def _computed(self, text: str, name: str, path: tuple[str, ...]) -> int:
        def number_of(other: str) -> int:
            value = self._other(other, name, path)
            if not isinstance(value, int):
                raise self._complaint(name, NOT_A_NUMBER, name=other)
            return value

        try:
            result = _evaluate(ast.parse(text.strip(), mode="eval").body, number_of)
        except ZeroDivisionError:
            raise self._complaint(name, DIVISION_BY_ZERO, text=text) from None
        except OverflowError:
            raise self._complaint(name, TOO_BIG, text=text, limit=_BIGGEST) from None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._complaint(name, BAD_ARITHMETIC, text=text) from None
        return result

    def _complaint(self, parameter: str, what: Text, /, **facts: object) -> FileError:
        return FileError([self._document.problem(("parameters", parameter), what, **facts)])


_OPERATORS: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _evaluate(node: Any, number_of: Callable[[str], int]) -> int:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            result = number
        case ast.Name(id=name):
            result = number_of(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            result = -_evaluate(operand, number_of)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            result = _OPERATORS[type(op)](_evaluate(left, number_of), _evaluate(right, number_of))
        case _:
            raise ValueError(ast.dump(node))
    if abs(result) > _BIGGEST:
        raise OverflowError
    return result
