"""Which rule fits a new connection: the policy made ready for look-ups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

from lab.network.firewall.content import parse_span
from lab.network.firewall.inspection import Inspector
from lab.network.firewall.policy import ANY, WEEKDAYS, Action, Policy, Rule, Schedule, Service
from lab.network.firewall.state import Endpoint

DEFAULT_RULE = "default"

Masked = tuple[int, int]
"""A network as (mask, network number)."""


def masked(networks: Iterable[IPv4Network]) -> tuple[Masked, ...] | None:
    """None where every address is in them."""
    pairs = tuple((int(each.netmask), int(each.network_address)) for each in networks)
    return None if (0, 0) in pairs else pairs


def is_in(address: int, networks: tuple[Masked, ...] | None) -> bool:
    return networks is None or any(address & mask == number for mask, number in networks)


@dataclass(slots=True)
class Hits:
    """What a rule has decided about."""

    packets: int = 0
    bytes: int = 0
    """Of datagrams, headers included."""
    last: float | None = None
    """Seconds on the clock of whoever asked for the decisions."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a service as pairs (first, last), none meaning all."""

    protocol: int
    destination: tuple[tuple[int, int], ...]
    source: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, service: Service) -> Ports:
        return cls(
            service.number,
            tuple(parse_span(span) for span in service.ports),
            tuple(parse_span(span) for span in service.source_ports),
        )

    def fits(self, protocol: int, source_port: int, destination_port: int) -> bool:
        return (
            self.protocol == protocol
            and (not self.destination or any(first <= destination_port <= last for first, last in self.destination))
            and (not self.source or any(first <= source_port <= last for first, last in self.source))
        )


@dataclass(frozen=True, slots=True)
class CompiledRule:
    name: str
    action: Action
    log: bool
    source_zones: frozenset[str] | None
    """None where all are meant, as for every field here."""
    destination_zones: frozenset[str] | None
    sources: tuple[Masked, ...] | None
    destinations: tuple[Masked, ...] | None
    services: tuple[Ports, ...] | None
    schedule: Schedule | None
    content: Inspector | None
    hits: Hits = field(default_factory=Hits, compare=False)

    def fits(
        self, zones: tuple[str, str], protocol: int, source: tuple[int, int], destination: tuple[int, int]
    ) -> bool:
        """Whether it is about a connection between two addresses and ports, whatever the time."""
        return (
            (self.source_zones is None or zones[0] in self.source_zones)
            and (self.destination_zones is None or zones[1] in self.destination_zones)
            and (self.services is None or any(each.fits(protocol, source[1], destination[1]) for each in self.services))
            and is_in(source[0], self.sources)
            and is_in(destination[0], self.destinations)
        )


def _zones(names: tuple[str, ...]) -> frozenset[str] | None:
    return None if ANY in names else frozenset(names)


def _compile(policy: Policy, rule: Rule) -> CompiledRule:
    services = [policy.service_named(name) for name in rule.service]
    return CompiledRule(
        rule.name,
        rule.action,
        rule.log,
        _zones(rule.source_zone),
        _zones(rule.destination_zone),
        masked(each for name in rule.source for each in policy.networks_of(name)),
        masked(each for name in rule.destination for each in policy.networks_of(name)),
        None if ANY in rule.service else tuple(Ports.of(service) for service in services if service is not None),
        policy.schedules[rule.schedule] if rule.schedule is not None else None,
        Inspector(policy.content[rule.content]) if rule.content is not None else None,
    )


class RuleSet:
    """The rules of a policy in their order, and last the default."""

    def __init__(self, policy: Policy) -> None:
        self.rules = tuple(_compile(policy, rule) for rule in policy.rules if rule.enabled)
        everything = Rule(name=DEFAULT_RULE, action=policy.default, log=policy.log_default)
        self.default = _compile(policy, everything)
        self._schedules = tuple(rule.schedule for rule in self.rules if rule.schedule is not None)

    def inherit(self, old: RuleSet) -> None:
        """Go on counting where a rule of the same name had come to."""
        counted = {rule.name: rule.hits for rule in (*old.rules, old.default)}
        for rule in (*self.rules, self.default):
            if (hits := counted.get(rule.name)) is not None:
                rule.hits.packets, rule.hits.bytes, rule.hits.last = hits.packets, hits.bytes, hits.last

    def deciding(
        self, zones: tuple[str, str], protocol: int, source: Endpoint, destination: Endpoint, wall: float
    ) -> CompiledRule:
        """The first rule about a connection that begins from zone to zone.

        `destination` is what it becomes by translation; `wall` is seconds since the Unix epoch.
        """
        sender = int.from_bytes(source[0], "big"), source[1]
        receiver = int.from_bytes(destination[0], "big"), destination[1]
        for rule in self.rules:
            if rule.fits(zones, protocol, sender, receiver) and (rule.schedule is None or is_on(rule.schedule, wall)):
                return rule
        return self.default

    def next_change(self, wall: float) -> float | None:
        """When a schedule in use next begins or ends, in seconds since the Unix epoch; None without schedules."""
        if not self._schedules:
            return None
        midnight = datetime.fromtimestamp(wall, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        moments = [
            (midnight + timedelta(days=day, hours=at.hour, minutes=at.minute, seconds=at.second)).timestamp()
            for schedule in self._schedules
            for at in (schedule.start, schedule.end)
            for day in (0, 1)
        ]
        return min(moment for moment in moments if moment > wall)


def is_on(schedule: Schedule, wall: float) -> bool:
    """Whether a schedule holds at a time in seconds since the Unix epoch."""
    now = datetime.fromtimestamp(wall, UTC)
    today, yesterday = WEEKDAYS[now.weekday()], WEEKDAYS[now.weekday() - 1]
    clock = now.time()
    if schedule.start < schedule.end:
        return today in schedule.days and schedule.start <= clock < schedule.end
    return (today in schedule.days and clock >= schedule.start) or (yesterday in schedule.days and clock < schedule.end)
