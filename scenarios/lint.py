"""What an author should know about a scenario that is sound but not yet good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ConfigDict

from grading.checks import hosts_of
from lab.model.document import FileError, Problem, load
from lab.model.plant import Strict
from lab.text import LANGUAGES, Text
from scenarios.folder import cables_of, read_folder, wires_of
from scenarios.format import REFERENCE
from scenarios.kinds import SWITCHES
from scenarios.parameters import mentioned, names_in
from scenarios.problems import unknown_in
from scenarios.scenario import FILE, Instance, Scenario

ABILITY_ITEMS: Final = Path(__file__).parent / "ability_items.yaml"
_LEAST_WRONG: Final = 3

UNKNOWN_ITEM = Text(zh="没有能力项 {wrong!r}", en="there is no ability item {wrong!r}")
ITEM_NOT_LISTED = Text(
    zh="任务练习 {item}，items 中却没有列出", en="the task exercises {item}, which items does not list"
)
ITEM_NOT_USED = Text(zh="items 列出 {item}，却没有任务练习它", en="items lists {item}, and no task exercises it")
UNUSED_HOST = Text(zh="设备 {host} 既没有接线，也没有被引用", en="the device {host} is neither cabled nor spoken of")
UNUSED_PARAMETER = Text(zh="参数 {name} 没有用到", en="the parameter {name} is not used")
NO_PARAMETERS = Text(zh="没有参数：每个学员得到的都一样", en="no parameters: every trainee gets the same plant")
FEW_WRONG = Text(
    zh="错解只有 {count} 个，至少需要 {least} 个", en="{count} wrong solutions; at least {least} are needed"
)
NO_OTHER_SOLUTION = Text(
    zh="除参考答案外至少还需要一个不同的正解", en="beside the reference, another right solution is needed"
)
NO_HINTS = Text(zh="任务 {task} 没有提示", en="the task {task} has no hints")
SAME_IN_BOTH = Text(zh="中英文相同：{text!r}", en="the same text in both languages: {text!r}")
HEADINGS = Text(zh="标题数与另一语言不同：{mine} 与 {other}", en="has {mine} headings, the other language has {other}")
NEVER_LOST = Text(zh="没有错解会丢检查项 {check}", en="no wrong solution loses the check {check}")


class AbilityItem(Strict):
    """One line of the national standard."""

    level: str
    zh: str
    en: str


class _AbilityItems(Strict):
    model_config = ConfigDict(extra="allow")


def ability_items() -> dict[str, AbilityItem]:
    """The practical ability items of the standard, by code such as `J-1.2.3`."""
    items = load(ABILITY_ITEMS, _AbilityItems).model_extra or {}
    return {code: AbilityItem.model_validate(item) for code, item in items.items()}


def findings(folder: Path) -> list[Problem]:
    """Everything worth saying; raises FileError where the scenario is not even sound."""
    scenario = Scenario.load(folder)
    instance = scenario.instantiate(1)
    problems = [*_items(instance), *_completeness(instance), *_usage(instance), *_languages(instance)]
    problems.extend(_solutions(instance))
    return problems


def _items(instance: Instance) -> Iterator[Problem]:
    document, definition = instance.document, instance.definition
    known = ability_items()
    for index, item in enumerate(definition.items):
        if item not in known:
            yield unknown_in(document, ("items", index), UNKNOWN_ITEM, item, known)
    exercised = {task.item for task in definition.tasks}
    for index, task in enumerate(definition.tasks):
        if task.item not in definition.items:
            yield document.problem(("tasks", index, "item"), ITEM_NOT_LISTED, item=task.item)
    for index, item in enumerate(definition.items):
        if item not in exercised:
            yield document.problem(("items", index), ITEM_NOT_USED, item=item)


def _completeness(instance: Instance) -> Iterator[Problem]:
    document, definition = instance.document, instance.definition
    if len(definition.wrong) < _LEAST_WRONG:
        yield document.problem(("wrong", "<key>"), FEW_WRONG, count=len(definition.wrong), least=_LEAST_WRONG)
    if set(definition.solutions) == {REFERENCE}:
        yield document.problem(("solutions", "<key>"), NO_OTHER_SOLUTION)
    hinted = {hint.task for hint in definition.hints}
    for index, task in enumerate(definition.tasks):
        if task.id not in hinted:
            yield document.problem(("tasks", index, "id"), NO_HINTS, task=task.id)
    lost = {check for wrong in definition.wrong.values() for check in wrong.loses}
    for row, task in enumerate(definition.tasks):
        for column, check in enumerate(task.checks):
            if check.id not in lost:
                yield document.problem(("tasks", row, "checks", column, "id"), NEVER_LOST, check=check.id)


def _usage(instance: Instance) -> Iterator[Problem]:
    document, scenario = instance.document, instance.scenario
    parameters = scenario.parameters
    if not parameters:
        yield document.problem((), NO_PARAMETERS)
    body = _without_parameters(scenario)
    used = set().union(*(mentioned(text) for text in body), *(names_in(each) for each in parameters.values()))
    for name in parameters:
        if name not in used:
            yield document.problem(("parameters", name, "<key>"), UNUSED_PARAMETER, name=name)
    wirings = [
        read_folder(instance, files).wiring
        for files in (instance.start, *(solution.files for solution in instance.solutions()))
    ]
    ends = (end for wiring in wirings for joint in (*cables_of(wiring), *wires_of(wiring)) for end in joint)
    cabled = {end.host for end in ends}
    spoken_of = {host for _, check in instance.definition.checks() for _, host in hosts_of(check.given)}
    spoken_of |= {each.through for each in instance.definition.publish}
    for name, kind in instance.kinds.items():
        if name not in cabled and (name not in spoken_of or kind in SWITCHES):
            yield document.problem(("plant", "hosts", name, "<key>"), UNUSED_HOST, host=name)


def _languages(instance: Instance) -> Iterator[Problem]:
    document = instance.document
    for loc, both in _bilingual(document.data, ()):
        if both["zh"] == both["en"]:
            yield document.problem(loc, SAME_IN_BOTH, text=both["en"])
    counts = {
        language: sum(line.startswith("#") for line in instance.brief(language).splitlines()) for language in LANGUAGES
    }
    if counts["zh"] != counts["en"]:
        name = instance.scenario.named("brief.en.md")
        yield Problem(name, 0, 0, HEADINGS, {"mine": counts["en"], "other": counts["zh"]})


def _solutions(instance: Instance) -> Iterator[Problem]:
    """Files of solutions that are no configuration of the plant."""
    solutions = (
        *(("solutions", solution) for solution in instance.solutions()),
        *(("wrong", solution) for solution in instance.wrong()),
    )
    for part, solution in solutions:
        try:
            read_folder(instance, solution.files)
        except FileError as error:
            for problem in error.problems:
                name = instance.scenario.named(f"{part}/{solution.name}/{problem.file}")
                yield Problem(
                    name, problem.line, problem.column, problem.what, problem.facts, problem.known, problem.guess
                )


def _without_parameters(scenario: Scenario) -> list[str]:
    """Every text of the scenario; of `scenario.yaml` the lines outside `parameters`."""
    texts = [text for name, text in scenario.texts.items() if name != FILE]
    inside = False
    for line in scenario.texts[FILE].splitlines():
        if line[:1].strip() and not line.startswith("#"):
            inside = line.startswith("parameters:")
        if not inside:
            texts.append(line)
    return texts


def _bilingual(value: object, loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict[str, str]]]:
    if isinstance(value, dict):
        if set(value) == {"zh", "en"}:
            yield loc, value
        else:
            for key, each in value.items():
                yield from _bilingual(each, (*loc, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _bilingual(each, (*loc, index))
