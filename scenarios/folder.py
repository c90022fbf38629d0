"""A folder of files as a plant's configuration, or what is wrong with it. Pure: text in, models or problems out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from lab.model.document import Document, FileError, Problem, parse, validate
from lab.model.frame import Port
from lab.model.plant import Cable, HostConfig, Wiring, port_of_interface
from lab.text import Text
from scenarios.kinds import APPLIANCES, SWITCHES, interfaces_of, ports_of, terminals_of
from scenarios.problems import UNKNOWN_HOST, UNKNOWN_PORT, UNKNOWN_TERMINAL, unknown, unknown_in

WIRING = "wiring.yaml"
_CONFIG = re.compile(r"config/([^/]+)\.yaml")

MISSING = Text(zh="缺少文件", en="the file is missing")
NOT_YOURS = Text(
    zh="{host} 的配置在此场景中不可修改", en="the configuration of {host} cannot be changed in this scenario"
)
A_SWITCH = Text(zh="{host} 是非网管交换机，没有配置", en="{host} is an unmanaged switch and has no configuration")
WIRING_IS_FIXED = Text(zh="此场景的接线不可修改", en="the wiring cannot be changed in this scenario")


class Plan(Protocol):
    """As much of an instance of a scenario as says which files make the plant."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """The kind of every device."""

    @property
    def fixed(self) -> Mapping[str, Document]:
        """Files that belong to the plant, by name such as `wiring.yaml`."""

    @property
    def start(self) -> Mapping[str, str]:
        """Files that are worked on, by name, as they are in the beginning."""


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """How a plant is cabled and how each of its appliances is configured."""

    wiring: Wiring
    hosts: Mapping[str, HostConfig]


def config_file(host: str) -> str:
    return f"config/{host}.yaml"


def is_plant_file(name: str) -> bool:
    """Whether a file says something about the plant, as opposed to notes, answers and editors' leftovers."""
    return name == WIRING or _CONFIG.fullmatch(name) is not None


def read_wiring(plan: Plan, document: Document) -> Wiring:
    """Raises FileError."""
    wiring = validate(document, Wiring)
    problems: list[Problem] = []
    for index, cable in enumerate(wiring.cables):
        for end, port in enumerate((cable.a, cable.b)):
            problems.extend(_unknown_end(plan, document, ("cables", index, end), port, UNKNOWN_PORT, ports_of))
    for index, wire in enumerate(wiring.wires):
        for end, port in enumerate((wire.a, wire.b)):
            problems.extend(_unknown_end(plan, document, ("wires", index, end), port, UNKNOWN_TERMINAL, terminals_of))
    if problems:
        raise FileError(problems)
    return wiring


def _unknown_end(
    plan: Plan,
    document: Document,
    loc: tuple[str | int, ...],
    end: Port,
    message: Text,
    names_of: Callable[[str], tuple[str, ...]],
) -> Iterator[Problem]:
    if end.host not in plan.kinds:
        yield unknown_in(document, loc, UNKNOWN_HOST, end.host, plan.kinds)
        return
    names = names_of(plan.kinds[end.host])
    if end.name not in names:
        yield unknown_in(document, loc, message, end.name, names, host=end.host)


def read_config(plan: Plan, host: str, document: Document) -> HostConfig:
    """The configuration of a device that has one; raises FileError."""
    appliance = APPLIANCES[plan.kinds[host]]
    config = validate(document, appliance.Config)
    known = interfaces_of(plan.kinds[host])
    problems = [
        unknown_in(document, ("interfaces", name, "<key>"), UNKNOWN_PORT, name, known, host=host)
        for name in config.interfaces
        if port_of_interface(name) not in known
    ]
    problems.extend(
        unknown_in(document, ("dhcp_client", index), UNKNOWN_PORT, name, known, host=host)
        for index, name in enumerate(config.dhcp_client)
        if port_of_interface(name) not in known
    )
    sockets = ports_of(plan.kinds[host])
    problems.extend(
        unknown_in(document, ("transceivers", name, "<key>"), UNKNOWN_PORT, name, sockets, host=host)
        for name in config.transceivers
        if name not in sockets
    )
    if problems:
        raise FileError(problems)
    return config


def check_file(plan: Plan, name: str, text: str) -> tuple[Problem, ...]:
    """What is wrong with one of the files that are worked on; nothing for a file that is not about the plant."""
    try:
        if name == WIRING:
            if name not in plan.start:
                return (Problem(name, 0, 0, WIRING_IS_FIXED),)
            read_wiring(plan, parse(text, name))
        elif match := _CONFIG.fullmatch(name):
            if stray := _stray(plan, name, match[1]):
                return (stray,)
            read_config(plan, match[1], parse(text, name))
    except FileError as error:
        return error.problems
    return ()


def read_folder(plan: Plan, files: Mapping[str, str]) -> PlantConfig:
    """The whole plant from what is worked on and what is fixed; raises FileError with the problems of all files."""
    problems = [problem for name in sorted(files) for problem in check_file(plan, name, files[name])]
    problems.extend(Problem(name, 0, 0, MISSING) for name in plan.start if is_plant_file(name) and name not in files)
    if problems:
        raise FileError(problems)
    documents = dict(plan.fixed)
    documents.update((name, parse(files[name], name)) for name in plan.start if is_plant_file(name))
    return PlantConfig(
        read_wiring(plan, documents[WIRING]),
        {host: read_config(plan, host, documents[config_file(host)]) for host in configurable(plan)},
    )


def configurable(plan: Plan) -> Iterator[str]:
    """The devices that have a configuration."""
    return (host for host, kind in plan.kinds.items() if kind not in SWITCHES)


def owner_of(name: str) -> str | None:
    """The device whose configuration a file is."""
    match = _CONFIG.fullmatch(name)
    return match[1] if match else None


def cables_of(wiring: Wiring) -> dict[tuple[Port, Port], Cable]:
    """Each cable once, whichever end was written first."""
    return {(min(cable.a, cable.b), max(cable.a, cable.b)): cable for cable in wiring.cables}


def wires_of(wiring: Wiring) -> frozenset[tuple[Port, Port]]:
    """Each wire once, whichever end was written first."""
    return frozenset((min(wire.a, wire.b), max(wire.a, wire.b)) for wire in wiring.wires)


def _stray(plan: Plan, name: str, host: str) -> Problem | None:
    """A configuration file that nobody asked for."""
    if name in plan.start:
        return None
    if host not in plan.kinds:
        editable = [owner for file in plan.start if (owner := owner_of(file))]
        return unknown(name, (0, 0), UNKNOWN_HOST, host, editable)
    return Problem(name, 0, 0, A_SWITCH if plan.kinds[host] in SWITCHES else NOT_YOURS, {"host": host})
