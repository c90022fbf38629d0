"""`outside`: a host at the edge of the plant that stands for real servers outside, such as a broker on the Internet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field, StrictInt, model_validator

from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance
from lab.network.outside import Exit, ExitDatagrams
from lab.text import Text

_ADDRESS = re.compile(r"([A-Za-z0-9._-]{1,253}):([0-9]{1,5})")

LIVE_ONLY = Text(
    zh="外部服务器只能在实时运行中访问；验收时拒绝连接",
    en="real servers are there in live time only; in an acceptance run connections are refused",
)


class _Target(NamedTuple):
    host: str
    port: int


def _read_target(text: str) -> _Target:
    found = _ADDRESS.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError(f"{text!r} is not of the form host:port, such as 127.0.0.1:11883")
    return _Target(found[1], int(found[2]))


def _checked(text: str) -> str:
    _read_target(text)
    return text


class ForwardConfig(Strict):
    """A port of this host that leads to a real server."""

    listen: StrictInt = Field(ge=1, le=65535)
    to: Annotated[str, AfterValidator(_checked)]
    """A real name or address, and port."""
    protocol: Literal["tcp", "udp"] = "tcp"


class OutsideConfig(HostConfig):
    forward: list[ForwardConfig] = Field(default_factory=list, max_length=64)

    @model_validator(mode="after")
    def _one_way_per_port(self) -> OutsideConfig:
        used: set[tuple[str, int]] = set()
        for way in self.forward:
            if (way.protocol, way.listen) in used:
                raise ValueError(f"{way.protocol} port {way.listen} is forwarded twice")
            used.add((way.protocol, way.listen))
        return self


class Outside(Appliance[OutsideConfig]):
    """Leads to the addresses of its configuration and nowhere else."""

    kind: ClassVar[str] = "outside"
    title: ClassVar[Text] = Text(zh="外部服务器", en="Server outside")
    Config = OutsideConfig

    async def start(self) -> None:
        self._exits: dict[str, Exit | ExitDatagrams] = {}
        if self.host.network.loop.is_fast:
            return  # nothing listens, so whoever connects is refused
        for way in self.config.forward:
            target = _read_target(way.to)
            if way.protocol == "tcp":
                exit_ = self._exits[f"tcp {way.listen}"] = Exit(self.host, target)
                await exit_.listen(way.listen)
            else:
                datagrams = self._exits[f"udp {way.listen}"] = ExitDatagrams(self.host, target)
                datagrams.listen(way.listen)

    async def stop(self) -> None:
        for exit_ in self._exits.values():
            exit_.close()
        self._exits.clear()

    def status(self) -> Mapping[str, object]:
        if self.host.network.loop.is_fast:
            return {"outside": LIVE_ONLY.say()}
        shown: dict[str, object] = {}
        for name, exit_ in self._exits.items():
            shown[name] = "{}:{}".format(*exit_.target)
            if isinstance(exit_, Exit):
                shown[name] = f"{shown[name]} ({exit_.entered} ✓, {exit_.refused} ✗)"
        return shown
