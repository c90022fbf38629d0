"""`net.reach` and `net.blocked`: who gets through to whom.

A probe is judged by frames alone. That something is blocked is believed only where it could have got through: somebody
reaches the same target, or the same source reaches somebody.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from grading import events
from grading.checks.check import ALWAYS, WAITS, Check, Context, HostName, P
from grading.observations import (
    ArpUnanswered,
    CaptureGap,
    ConnectionOpened,
    ConnectionRefused,
    DatagramAnswered,
    ModbusException,
    Observation,
    PingAnswered,
    RegistersRead,
    RequestArrived,
    RequestLeft,
    Unreachable,
)
from grading.stimulus import Probe, ProbeKind, Stimulus
from grading.verdict import Verdict, failed, passed, undecided
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

PORT_NEEDED = Text(zh="{kind} 需要 port", en="{kind} needs a port")
NO_PORT = Text(zh="ping 没有端口", en="a ping has no port")
NO_CONTROL = Text(
    zh="control 须与被测项有相同的 from 或 to", en="a control has the same source or the same target as what is tested"
)
_LAYER: Final[Mapping[ProbeKind, str]] = {"ping": "ping", "tcp": "tcp", "udp": "udp", "modbus-read": "tcp"}
"""As what kind of request a probe leaves its host."""
_MODBUS: Final = 502


class Way(Strict):
    """From one host to another."""

    source: Annotated[HostName, Field(alias="from", description="从哪台主机。 From which host.")]
    target: Annotated[HostName, Field(alias="to", description="到哪台主机。 To which host.")]
    address: IPv4Address = Field(description="目标地址。 The address to try.")
    kind: ProbeKind = Field("ping", description="ping、tcp、udp 或 modbus-read。 How to try.")
    port: StrictInt = Field(
        0, ge=0, le=65535, description="目标端口；modbus-read 缺省 502。 Port; 502 for modbus-read."
    )
    unit: StrictInt = Field(1, ge=0, le=255, description="modbus-read 的单元标识。 Unit id for modbus-read.")
    patience: float = Field(3.0, gt=0, le=60, description="等待应答的秒数。 Seconds to wait for an answer.")

    @model_validator(mode="before")
    @classmethod
    def _usual_port(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("kind") == "modbus-read":
            return {"port": _MODBUS, **value}
        return value

    @model_validator(mode="after")
    def _port_fits(self) -> Way:
        if self.kind == "ping" and self.port:
            raise KnownValueError(NO_PORT)
        if self.kind != "ping" and not self.port:
            raise KnownValueError(PORT_NEEDED, kind=self.kind)
        return self

    @property
    def name(self) -> str:
        """Such as `ws-1 → plc-1 (tcp 502)`."""
        how = self.kind if self.kind == "ping" else f"{self.kind} {self.port}"
        return f"{self.source} → {self.target} ({how})"


class ReachParams(Way):
    """Who is to reach whom."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class BlockedParams(Way):
    """Who is not to reach whom, and what shows that it could have been otherwise."""

    control: Annotated[
        list[Way],
        BeforeValidator(_as_list),
        Field(
            min_length=1,
            max_length=8,
            description="必须成功的对照：同一来源或同一目标。 What must succeed: from the same source or to the same target.",
        ),
    ]

    @model_validator(mode="after")
    def _control_fits(self) -> BlockedParams:
        for each in self.control:
            if each.source != self.source and each.target != self.target:
                raise KnownValueError(NO_CONTROL)
        return self


@dataclass(slots=True)
class Attempt:
    """What was seen of one probe."""

    way: Way
    began: float | None = None
    ended: float | None = None
    left: tuple[int, ...] = ()
    arrived: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Frames by the host where it arrived."""
    answered: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    unreachable: str = ""
    """Who said that it could not be delivered."""
    unknown_neighbour: tuple[int, ...] = ()
    """Nobody answered the ARP request for the target or the next hop."""
    has_gap: bool = False

    @property
    def has_reached(self) -> bool:
        return bool(self.answered) and self.way.target in self.arrived

    @property
    def frames(self) -> tuple[int, ...]:
        there = self.arrived.get(self.way.target, ())
        return tuple(dict.fromkeys((*self.left, *there, *self.refused, *self.answered, *self.unknown_neighbour)))[:8]

    def covers(self, at: float) -> bool:
        """Whether the probe was under way."""
        return self.began is not None and self.began <= at and (self.ended is None or at <= self.ended)

    def see(self, observation: Observation) -> None:
        """Anything from the probe's source."""
        way = self.way
        if isinstance(observation, ArpUnanswered):
            if self.covers(observation.asked_at):
                self.unknown_neighbour = observation.frames
            return
        if observation.server_address != str(way.address):
            return
        layer, port = _LAYER[way.kind], way.port
        match observation:
            case RequestLeft(kind=kind) if kind == layer and observation.port == port and self.covers(observation.at):
                self.left = self.left or observation.frames
            case RequestArrived(kind=kind, left_at=left_at) if kind == layer and observation.port == port:
                if self.covers(left_at):
                    self.arrived.setdefault(observation.server, observation.frames)
            case Unreachable(kind=kind) if kind == layer and observation.port == port and self.covers(observation.at):
                self.unreachable = observation.reporter
            case ConnectionRefused() if layer == "tcp" and observation.port == port:
                if self.covers(observation.asked_at):
                    self.refused = observation.frames
            case CaptureGap() if self.covers(observation.at):
                self.has_gap = True
            case _:
                self._answer(observation)

    def _answer(self, observation: Observation) -> None:
        way = self.way
        match observation:
            case ConnectionOpened() if way.kind == "tcp" and observation.port == way.port:
                asked_at = observation.asked_at
            case DatagramAnswered() if way.kind == "udp" and observation.port == way.port:
                asked_at = observation.asked_at
            case PingAnswered() if way.kind == "ping":
                asked_at = observation.asked_at
            case RegistersRead() | ModbusException() if way.kind == "modbus-read" and observation.unit == way.unit:
                asked_at = observation.asked_at
            case _:
                return
        if self.covers(asked_at):
            self.answered = observation.frames

    def failure(self) -> tuple[str, dict[str, Any]]:
        """Why it has not reached its target: a reason and its facts."""
        way = self.way
        facts: dict[str, Any] = {
            "way": way.name,
            "source": way.source,
            "target": way.target,
            "address": str(way.address),
            "port": way.port,
        }
        if self.answered:
            return "wrong-host", {**facts, "seen": ", ".join(self.arrived) or "?"}
        if way.target in self.arrived:
            return ("refused" if self.refused else "no-answer"), facts
        if self.unreachable:
            return "unreachable", {**facts, "reporter": self.unreachable}
        if self.arrived:
            return "wrong-host", {**facts, "seen": ", ".join(self.arrived)}
        if self.left:
            return "lost", facts
        return ("no-neighbour" if self.unknown_neighbour else "never-left"), facts


FAILURES: Final[Mapping[str, Text]] = {
    "wrong-host": Text(
        zh="{way}：{address} 应为 {target}，到达的却是 {seen}", en="{way}: {address} should be {target}, it is {seen}"
    ),
    "refused": Text(zh="{way}：到达了，但端口 {port} 拒绝连接", en="{way}: arrived, but port {port} refused"),
    "no-answer": Text(zh="{way}：到达了，但没有应答回来", en="{way}: arrived, but no answer came back"),
    "unreachable": Text(zh="{way}：{reporter} 报告不可达", en="{way}: {reporter} says that it is unreachable"),
    "lost": Text(
        zh="{way}：离开了 {source}，没有到达 {target}", en="{way}: left {source} and never arrived at {target}"
    ),
    "no-neighbour": Text(
        zh="{way}：{source} 的 ARP 询问无人应答", en="{way}: nobody answered the ARP request of {source}"
    ),
    "never-left": Text(zh="{way}：没有任何报文离开 {source}", en="{way}: not a frame left {source}"),
}


BRIEFLY: Final[Mapping[str, Text]] = {
    "wrong-host": Text(zh="到达了别的主机", en="it arrived at another host"),
    "refused": Text(zh="端口拒绝连接", en="the port refused"),
    "no-answer": Text(zh="没有应答回来", en="no answer came back"),
    "unreachable": Text(zh="报告不可达", en="it was reported unreachable"),
    "lost": Text(zh="途中丢失", en="it was lost on the way"),
    "no-neighbour": Text(zh="ARP 无人应答", en="nobody answered ARP"),
    "never-left": Text(zh="没有报文离开", en="not a frame left"),
}
"""The same, within another sentence."""


class _Probing(Check[P]):
    """A check that needs attempts to be made for it."""

    wants = (
        RequestLeft,
        RequestArrived,
        ConnectionOpened,
        ConnectionRefused,
        DatagramAnswered,
        PingAnswered,
        Unreachable,
        ArpUnanswered,
        RegistersRead,
        ModbusException,
        CaptureGap,
    )

    def __init__(self, id_: str, params: P, context: Context) -> None:
        super().__init__(id_, params, context)
        self._attempts = {f"{id_}/{number}": Attempt(way) for number, way in enumerate(self.ways())}

    @abstractmethod
    def ways(self) -> list[Way]:
        """What is to be tried, in this order."""

    def needs(self, rng: random.Random) -> list[Stimulus]:
        return [
            Probe(id_, way.kind, way.source, str(way.address), way.port, way.unit, way.patience)
            for id_, way in ((id_, attempt.way) for id_, attempt in self._attempts.items())
        ]

    def observe(self, observation: Observation) -> None:
        for attempt in self._attempts.values():
            if attempt.began is not None and attempt.way.source == observation.client:
                attempt.see(observation)

    def event(self, at: float, name: str, facts: Mapping[str, Any]) -> None:
        super().event(at, name, facts)
        attempt = self._attempts.get(str(facts.get("id", "")))
        if attempt is not None and name == events.PROBE_BEGAN:
            attempt.began = at
        elif attempt is not None and name == events.PROBE_ENDED:
            attempt.ended = at

    def judge(self, since: float, now: float) -> Verdict:
        if self.context.phase == "work":
            return undecided(WAITS)
        untried = next((attempt for attempt in self._attempts.values() if attempt.ended is None), None)
        if untried is not None:
            return undecided("not-tried", way=untried.way.name)
        return self.judge_attempts(*self._attempts.values())

    @abstractmethod
    def judge_attempts(self, tested: Attempt, *controls: Attempt) -> Verdict:
        """What the attempts show; every one of them has been made."""


NOT_TRIED: Final = {
    WAITS: ALWAYS[WAITS],
    "not-tried": Text(zh="没有进行测试：{way}，需人工判定", en="it was not tried: {way}; people must decide"),
}


class NetReach(_Probing[ReachParams]):
    """The request leaves its source, arrives at its target, and an answer comes back."""

    name = "net.reach"
    Params = ReachParams
    sentences: ClassVar[Mapping[str, Text]] = {**NOT_TRIED, **FAILURES}

    def ways(self) -> list[Way]:
        return [self.params]

    def judge_attempts(self, tested: Attempt, *controls: Attempt) -> Verdict:
        if tested.has_reached:
            return passed(frames=tested.frames, way=tested.way.name)
        reason, facts = tested.failure()
        return failed(reason, frames=tested.frames, **facts)


class NetBlocked(_Probing[BlockedParams]):
    """The request does not arrive, and it is not for want of anybody who could send or answer it."""

    name = "net.blocked"
    Params = BlockedParams
    is_negative = True
    proven = frozenset({"arrived"})
    sentences: ClassVar[Mapping[str, Text]] = {
        **NOT_TRIED,
        "arrived": Text(
            zh="{way}：本应被阻断，却到达了 {target}", en="{way}: should be blocked, but arrived at {target}"
        ),
        "control-failed": Text(
            zh="对照 {control} 不通（{control_reason}），不能说明 {way} 是被阻断的",
            en="the control {control} does not get through ({control_reason}), so that {way} is not shown to be blocked",
        ),
        "source-silent": Text(
            zh="没有任何报文离开 {source}，它根本不能通信，不能说明 {way} 是被阻断的",
            en="not a frame left {source}: the source cannot talk at all, so that {way} is not shown to be blocked",
        ),
        "capture-gap": Text(
            zh="测试期间抓包有缺失，需人工判定", en="the capture has a gap during the test, people must decide"
        ),
    }
    words = BRIEFLY

    def ways(self) -> list[Way]:
        return [self.params, *self.params.control]

    def judge_attempts(self, tested: Attempt, *controls: Attempt) -> Verdict:
        way = tested.way
        facts: dict[str, Any] = {"way": way.name, "source": way.source, "target": way.target}
        if way.target in tested.arrived:
            return failed("arrived", frames=tested.frames, **facts)
        broken = next((control for control in controls if not control.has_reached), None)
        if broken is not None:
            reason, _ = broken.failure()
            facts |= {"control": broken.way.name, "control_reason": reason}
            return failed("control-failed", frames=broken.frames, **facts)
        if tested.has_gap:
            return undecided("capture-gap", **facts)
        frames = (*tested.frames, *(number for control in controls for number in control.frames[:2]))
        if tested.left or tested.unknown_neighbour:
            return passed(frames=frames, **facts, attempt="seen")
        # Not a frame of the attempt: the source has no way to the target at all. That is as good as any wall, if the
        # source is shown to be alive; else its silence proves nothing, and whoever unplugged it earns nothing.
        if any(control.way.source == way.source for control in controls):
            return passed(frames=frames, **facts, attempt="no-way")
        return failed("source-silent", frames=frames, **facts)
