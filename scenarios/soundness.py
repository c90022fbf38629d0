"""What a scenario must be before anybody can work on it: every name in it means something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from grading.task import CheckSpec
from grading.task import complaints as complaints_of_tasks
from lab.model.document import FileError, Problem
from lab.text import Text
from scenarios import folder
from scenarios.faults import CannotInject, read_fault
from scenarios.format import REFERENCE
from scenarios.kinds import SWITCHES, known_kinds
from scenarios.problems import UNKNOWN_CHECK, UNKNOWN_HOST, UNKNOWN_KIND, nearest, unknown, unknown_in

if TYPE_CHECKING:
    from scenarios.scenario import Instance

POINTS = Text(
    zh="各检查项分值之和为 {total:g}，应为 100", en="the points of the checks add up to {total:g}, not to 100"
)
TWICE = Text(zh="{id!r} 用了两次", en="{id!r} is used twice")
NO_WIRING = Text(
    zh="没有接线：start/wiring.yaml 或 plant/wiring.yaml 须有其一",
    en="nothing says how it is cabled: start/wiring.yaml or plant/wiring.yaml",
)
NO_CONFIG = Text(
    zh="{host} 没有配置：config、plant/{file} 或 start/{file} 须有其一",
    en="{host} has no configuration: give it config, plant/{file} or start/{file}",
)
TWO_CONFIGS = Text(zh="{host} 的配置不止一处：{places}", en="{host} is configured in more than one place: {places}")
A_SWITCH = Text(zh="{host} 是非网管交换机，没有配置", en="{host} is an unmanaged switch and has no configuration")
UNKNOWN_TASK = Text(zh="没有任务 {wrong!r}", en="there is no task {wrong!r}")
NO_REFERENCE = Text(zh="没有参考答案 solutions/reference", en="there is no solution called reference")
NO_FOLDER = Text(zh="没有文件夹 {folder}，或其中没有文件", en="there is no folder {folder}, or nothing in it")
NOT_DECLARED = Text(zh="scenario.yaml 没有说明这个文件夹", en="scenario.yaml says nothing about this folder")
FOREIGN_FILE = Text(zh="start/ 中没有这个文件，不能替换", en="replaces a file that start/ does not have")


def complaints(instance: Instance) -> Iterator[Problem]:
    """Everything that is wrong; where a device is unknown, what depends on it is not looked at."""
    yield from _tasks(instance)
    yield from _overlays(instance)
    hosts = list(_hosts(instance))
    yield from hosts
    if not hosts:
        yield from _files(instance)
        yield from _published(instance)
        yield from _faults(instance)


def _hosts(instance: Instance) -> Iterator[Problem]:
    document = instance.document
    for name, host in instance.definition.plant.hosts.items():
        loc = ("plant", "hosts", name)
        if host.kind not in known_kinds():
            yield unknown_in(document, (*loc, "kind"), UNKNOWN_KIND, host.kind, known_kinds())
            continue
        file = folder.config_file(name)
        places = [
            place
            for place, is_there in (
                ("config", host.config is not None),
                (f"plant/{file}", f"plant/{file}" in instance.texts),
                (f"start/{file}", file in instance.start),
            )
            if is_there
        ]
        if host.kind in SWITCHES:
            if places:
                yield document.problem((*loc, "<key>"), A_SWITCH, host=name)
        elif not places:
            yield document.problem((*loc, "<key>"), NO_CONFIG, host=name, file=file)
        elif len(places) > 1:
            yield document.problem((*loc, "<key>"), TWO_CONFIGS, host=name, places=", ".join(places))
    if folder.WIRING not in instance.start and folder.WIRING not in instance.fixed:
        yield document.problem(("plant",), NO_WIRING)


def _files(instance: Instance) -> Iterator[Problem]:
    for name, document in instance.fixed.items():
        try:
            host = folder.owner_of(name)
            if name == folder.WIRING:
                folder.read_wiring(instance, document)
            elif host is not None and host in instance.kinds:
                folder.read_config(instance, host, document)
            elif host is not None:
                yield unknown_in(document, (), UNKNOWN_HOST, host, instance.kinds)
        except FileError as error:
            yield from error.problems
    for name, text in instance.start.items():
        host = folder.owner_of(name)
        if host is not None and host not in instance.kinds:
            place = instance.scenario.named(f"start/{name}")
            yield unknown(place, (0, 0), UNKNOWN_HOST, host, instance.kinds)
            continue
        for problem in folder.check_file(instance, name, text):
            yield _renamed(problem, instance.scenario.named(f"start/{name}"))


def _tasks(instance: Instance) -> Iterator[Problem]:
    definition, document = instance.definition, instance.document
    places: list[tuple[CheckSpec, tuple[str | int, ...]]] = [
        (check, ("tasks", row, "checks", column))
        for row, task in enumerate(definition.tasks)
        for column, check in enumerate(task.checks)
    ]
    yield from _repeated(instance, ((task.id, ("tasks", row, "id")) for row, task in enumerate(definition.tasks)))
    yield from _repeated(instance, ((check.id, (*loc, "id")) for check, loc in places))
    total = sum(check.points for check, _ in places)
    if abs(total - 100) > 1e-6:
        yield document.problem(("tasks", "<key>"), POINTS, total=total)
    tasks = [task.id for task in definition.tasks]
    for path, what, facts, known in complaints_of_tasks(definition.tasks, tuple(instance.kinds)):
        loc = ("tasks", *path)
        guess = nearest(str(facts.get("text", "")), known)
        yield Problem(document.file, *document.position(loc), what, facts, tuple(known), guess)
    for row, hint in enumerate(definition.hints):
        if hint.task not in tasks:
            yield unknown_in(document, ("hints", row, "task"), UNKNOWN_TASK, hint.task, tasks)
    checks = [check.id for check, _ in places]
    for name, wrong in definition.wrong.items():
        for index, check_id in enumerate(wrong.loses):
            if check_id not in checks:
                yield unknown_in(document, ("wrong", name, "loses", index), UNKNOWN_CHECK, check_id, checks)
        for index, each in enumerate(wrong.does):
            if each.source not in instance.kinds:
                loc = ("wrong", name, "does", index, "from")
                yield unknown_in(document, loc, UNKNOWN_HOST, each.source, instance.kinds)


def _overlays(instance: Instance) -> Iterator[Problem]:
    definition, document, scenario = instance.definition, instance.document, instance.scenario
    if REFERENCE not in definition.solutions:
        yield document.problem(("solutions", "<key>"), NO_REFERENCE)
    for part, declared in (("solutions", definition.solutions), ("wrong", definition.wrong)):
        there: dict[str, list[str]] = {}
        for name in instance.below(f"{part}/"):
            overlay, slash, file = name.partition("/")
            if slash:
                there.setdefault(overlay, []).append(file)
        for name in declared:
            if name not in there:
                yield document.problem((part, name, "<key>"), NO_FOLDER, folder=f"{part}/{name}")
        for name, files in there.items():
            if name not in declared:
                yield Problem(scenario.named(f"{part}/{name}"), 0, 0, NOT_DECLARED)
            for file in files:
                if folder.is_plant_file(file) and file not in instance.start:
                    yield Problem(scenario.named(f"{part}/{name}/{file}"), 0, 0, FOREIGN_FILE)


def _published(instance: Instance) -> Iterator[Problem]:
    document, kinds = instance.document, instance.kinds
    published = instance.definition.publish
    for row, each in enumerate(published):
        if each.through not in kinds or kinds[each.through] in SWITCHES:
            hosts = [name for name, kind in kinds.items() if kind not in SWITCHES]
            yield unknown_in(document, ("publish", row, "through"), UNKNOWN_HOST, each.through, hosts)
    yield from _repeated(instance, ((each.name, ("publish", row, "name")) for row, each in enumerate(published)))
    yield from _repeated(instance, ((str(each.local), ("publish", row, "local")) for row, each in enumerate(published)))


def _faults(instance: Instance) -> Iterator[Problem]:
    for row, each in enumerate(instance.definition.faults):
        try:
            read_fault(each.fault, each.where)
        except CannotInject as error:
            yield instance.document.problem(("faults", row), error.text, **error.facts)


def _repeated(instance: Instance, ids: Iterable[tuple[str, tuple[str | int, ...]]]) -> Iterator[Problem]:
    counted: Counter[str] = Counter()
    for name, loc in ids:
        counted[name] += 1
        if counted[name] == 2:
            yield instance.document.problem(loc, TWICE, id=name)


def _renamed(problem: Problem, file: str) -> Problem:
    return Problem(file, problem.line, problem.column, problem.what, problem.facts, problem.known, problem.guess)
