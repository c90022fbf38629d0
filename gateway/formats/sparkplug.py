"""An edge node of Sparkplug B 3.0: births and deaths, sequence numbers, aliases, rebirth, and the primary host.

A report is stored as a payload with names and without a sequence number, because its place in a session is not known
before it goes out; then its metrics are historical, unless they have waited for less than a moment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from gateway.formats.config import SparkplugOptions
from gateway.formats.format import SPARKPLUG, Command, Format, Heard, Names, Outcomes, Publication
from gateway.samples import Quality, Reason, Report, Sample, Value
from gateway.store.log import Entry
from lab.clock import now_ns
from lab.text import Text
from lab.wire import sparkplug
from lab.wire.malformed import Malformed
from lab.wire.protobuf import varint
from lab.wire.sparkplug import (
    BAD,
    BD_SEQ,
    GOOD,
    REBIRTH,
    SEQUENCE_LIMIT,
    STALE,
    DataType,
    Metric,
    Payload,
    State,
    Topic,
)

NO_COMMAND = Text(
    zh="{topic} 上的 Sparkplug 消息无法理解：{why}", en="cannot make sense of what came to {topic}: {why}"
)
UNKNOWN_METRIC = Text(zh="{topic} 上的命令没有可写的变量", en="the command to {topic} names no metric of its birth")
NOT_ALLOWED = Text(
    zh="未启用 commands，忽略了 {topic} 上的命令", en="ignored a command to {topic}: commands are not enabled"
)
HOST_OFFLINE = Text(zh="主控主机应用 {host} 离线", en="the primary host application {host} is offline")
LIVE: Final = 1.0
"""Seconds within which a sample that had to wait still counts as live."""
_MS: Final = 1_000_000
_DOUBLE: Final = struct.Struct("<d")
_TYPES: Final[Mapping[type, DataType]] = {
    bool: DataType.BOOLEAN,
    int: DataType.INT64,
    float: DataType.DOUBLE,
    str: DataType.STRING,
}
_CODES: Final = {Quality.GOOD: GOOD, Quality.BAD: BAD, Quality.UNCERTAIN: STALE}


@dataclass(slots=True)
class _Known:
    """What is known of one metric of a device."""

    alias: int
    datatype: DataType
    sample: Sample
    head: bytes = b""
    """The field that says which metric it is, in data messages."""

    @property
    def is_null(self) -> bool:
        return self.sample.value is None


@dataclass(slots=True)
class _Device:
    metrics: dict[str, _Known] = field(default_factory=dict)
    is_born: bool = False
    """Whether the host knows it, with all of its metrics, in this session."""
    silent: set[str] = field(default_factory=set)
    """Groups of which nothing could be read in the latest cycle."""
    groups: set[str] = field(default_factory=set)

    @property
    def is_lost(self) -> bool:
        return self.silent == self.groups


class Sparkplug(Format):
    form: ClassVar[int] = SPARKPLUG

    def __init__(self, options: SparkplugOptions, names: Names, obeys: bool) -> None:
        self._group = options.group or names.site
        self._node = options.node or names.gateway
        self._uses_aliases = options.aliases
        self._host = options.primary_host
        self._obeys = obeys
        self._devices: dict[str, _Device] = {}
        self._aliases = 0
        self._bd_seq = -1
        self._seq = 0
        self._is_connected = False
        self._host_state: State | None = None
        commands = [str(Topic(self._group, "NCMD", self._node)), str(Topic(self._group, "DCMD", self._node, "+"))]
        states = [] if self._host is None else [sparkplug.state_topic(self._host)]
        self.filters = (*commands, *states)

    @property
    def is_ready(self) -> bool:  # type: ignore[override]
        """Whether there is a session in which data may be published."""
        return self._is_connected and (self._host is None or (self._host_state is not None and self._host_state.online))

    # -- birth and death -----------------------------------------------------------------------------------------------

    def will(self) -> Publication:
        # tck-id-topics-nbirth-bdseq-increment: one more for every CONNECT, 0 after 255
        self._bd_seq = (self._bd_seq + 1) % SEQUENCE_LIMIT
        self._is_connected = False
        self._host_state = None
        return self._death()

    def connected(self) -> Sequence[Publication]:
        self._is_connected = True
        return list(self._births()) if self.is_ready else ()

    def farewell(self) -> Sequence[Publication]:
        """tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt311"""
        self._is_connected = False
        return (self._death(),)

    def _death(self) -> Publication:
        # tck-id-topics-ndeath-payload and -seq: bdSeq alone, and no sequence number
        payload = Payload(_now(), (self._bd_metric(),))
        return Publication(str(Topic(self._group, "NDEATH", self._node)), payload.encode(), 1, False)

    def _births(self) -> Iterator[Publication]:
        """The node's, then those of all devices that are there."""
        self._seq = 0
        for device in self._devices.values():
            device.is_born = False
        rebirth = Metric(
            name=REBIRTH,
            timestamp=_now(),
            datatype=DataType.BOOLEAN,
            value=sparkplug.wire_value(DataType.BOOLEAN, False),
        )
        # tck-id-payloads-alias-birth-requirement; -rebirth-name-aliases: Rebirth alone has none.
        bd_seq = replace(self._bd_metric(), alias=0) if self._uses_aliases else self._bd_metric()
        yield self._say("NBIRTH", None, (bd_seq, rebirth))
        for name, device in self._devices.items():
            if not device.is_lost:
                yield self._device_birth(name, device)

    def _device_birth(self, name: str, device: _Device) -> Publication:
        device.is_born = True
        return self._say(
            "DBIRTH", name, [_born(tag, known, self._uses_aliases) for tag, known in device.metrics.items()]
        )

    def _bd_metric(self) -> Metric:
        value = sparkplug.wire_value(DataType.INT64, self._bd_seq)
        return Metric(name=BD_SEQ, timestamp=_now(), datatype=DataType.INT64, value=value)

    # -- data ----------------------------------------------------------------------------------------------------------

    def direct(self, report: Report) -> Sequence[Publication] | None:
        messages, device = self._before(report)
        if device.is_lost:
            return messages
        if not device.is_born:
            return [*messages, self._device_birth(report.device, device)]
        return [*messages, self._live(report, device)]

    def _before(self, report: Report) -> tuple[list[Publication], _Device]:
        """Take note of a report; what has to be said before its data."""
        device = self._devices.setdefault(report.device, _Device())
        was_born = device.is_born
        self._note(report, device)
        if was_born and device.is_lost:
            # tck-id-operational-behavior-device-ddeath
            device.is_born = False
            return [self._say("DDEATH", report.device, ())], device
        return [], device

    def _note(self, report: Report, device: _Device) -> None:
        device.groups.add(report.group)
        is_silent = True
        for tag, sample in report.samples.items():
            known = device.metrics.get(tag)
            datatype = _TYPES.get(type(sample.value))
            if known is None:
                self._aliases += 1
                known = device.metrics[tag] = _Known(self._aliases, datatype or DataType.DOUBLE, sample)
                known.head = b"\x10" + varint(known.alias) if self._uses_aliases else _name(tag)
                device.is_born = False
            elif datatype is not None and datatype is not known.datatype:
                known.datatype = datatype
                device.is_born = False
            known.sample = sample
            is_silent = is_silent and sample.value is None
        if is_silent:
            device.silent.add(report.group)
        else:
            device.silent.discard(report.group)

    def _live(self, report: Report, device: _Device) -> Publication:
        """DDATA, put together from parts that do not change: thousands of metrics, ten times a second."""
        parts = [b"\x08", varint(_now())]
        metrics = device.metrics
        for tag, sample in report.samples.items():
            known = metrics[tag]
            if type(sample.value) is float and sample.quality is Quality.GOOD:
                body = b"%b\x18%b\x69%b" % (known.head, varint(sample.at // _MS), _DOUBLE.pack(sample.value))
            else:
                body = known.head + _data(known.datatype, sample).encode()
            parts += (b"\x12", varint(len(body)), body)
        parts += (b"\x18", varint(self._next_seq()))
        topic = str(Topic(self._group, "DDATA", self._node, report.device))
        return Publication(topic, b"".join(parts), 0, False)

    def kept(self, report: Report) -> Sequence[tuple[str, bytes]]:
        """A payload that is complete in itself: names, types and times, for whenever it may go."""
        device = self._devices.setdefault(report.device, _Device())
        born = device.is_born
        self._note(report, device)
        if born and not device.is_born:
            device.is_born = False
        metrics = [_full(tag, device.metrics[tag].datatype, sample) for tag, sample in report.samples.items()]
        return ((f"{report.device}/{report.group}", Payload(report.at // _MS, metrics).encode()),)

    def going(self, entry: Entry) -> Sequence[Publication]:
        name, _, group = entry.topic.partition("/")
        try:
            stored = sparkplug.decode(entry.payload)
        except Malformed:
            return ()
        is_old = now_ns() - entry.at > LIVE * 1_000_000_000
        device = self._devices.get(name)
        messages: list[Publication] = []
        if device is None or any(metric.name not in device.metrics for metric in stored.metrics):
            # Stored by an earlier run of the program: the host has to hear of these metrics first.
            messages, device = self._before(Report(name, group, entry.at, _samples(stored)))
        if not device.is_born:
            messages.append(self._device_birth(name, device))
        metrics = []
        for metric in stored.metrics:
            known = device.metrics[metric.name or ""]
            metrics.append(
                Metric(
                    name=None if self._uses_aliases else metric.name,
                    alias=known.alias if self._uses_aliases else None,
                    timestamp=metric.timestamp,
                    # tck-id-payloads-metric-datatype-not-req, unless the type has changed since
                    datatype=None if metric.datatype == known.datatype else metric.datatype,
                    is_historical=is_old,
                    is_null=metric.is_null,
                    properties=metric.properties,
                    value=metric.value,
                )
            )
        messages.append(self._say("DDATA", name, metrics))
        return messages

    def _say(self, verb: str, device: str | None, metrics: Sequence[Metric]) -> Publication:
        seq = 0 if verb == "NBIRTH" else self._next_seq()
        payload = Payload(_now(), metrics, seq)
        # tck-id-topics-ddata-mqtt and its sisters: QoS 0, not retained
        return Publication(str(Topic(self._group, verb, self._node, device)), payload.encode(), 0, False)

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % SEQUENCE_LIMIT
        return self._seq

    # -- from the north ------------------------------------------------------------------------------------------------

    def hear(self, topic: str, payload: bytes, retained: bool) -> Heard:
        try:
            if self._host is not None and topic == sparkplug.state_topic(self._host):
                return self._hear_state(sparkplug.decode_state(payload))
            where = sparkplug.parse_topic(topic)
            if where is None or retained:
                # tck-id-topics-ncmd-mqtt: a command is never retained; an old one must not be obeyed again.
                return Heard()
            command = sparkplug.decode(payload)
            if where.device is None:
                return self._hear_node_command(command)
            return self._hear_device_command(topic, where.device, command)
        except Malformed as error:
            return Heard(complaint=Reason(NO_COMMAND, {"topic": topic, "why": str(error)}))

    def _hear_state(self, state: State) -> Heard:
        before = self._host_state
        # tck-id-operational-behavior-edge-node-termination-host-offline-timestamp: an older message says nothing.
        if before is not None and state.timestamp < before.timestamp:
            return Heard()
        was_ready = self.is_ready
        self._host_state = state
        if self.is_ready and not was_ready:
            return Heard(publish=list(self._births()))
        if was_ready and not self.is_ready:
            return Heard(leave=Reason(HOST_OFFLINE, {"host": self._host}))
        return Heard()

    def _hear_node_command(self, command: Payload) -> Heard:
        rebirth = command.metric(REBIRTH)
        if rebirth is None or rebirth.value is None or sparkplug.meaning(DataType.BOOLEAN, rebirth.value) is not True:
            return Heard()
        return Heard(publish=list(self._births())) if self.is_ready else Heard()

    def _hear_device_command(self, topic: str, name: str, command: Payload) -> Heard:
        if not self._obeys:
            return Heard(complaint=Reason(NOT_ALLOWED, {"topic": topic}))
        device = self._devices.get(name)
        by_alias = {} if device is None else {known.alias: tag for tag, known in device.metrics.items()}
        values: dict[str, Value] = {}
        for metric in command.metrics:
            tag = by_alias.get(metric.alias or 0) if metric.name is None else metric.name
            if device is None or tag not in device.metrics or metric.value is None:
                continue
            value = sparkplug.meaning(metric.datatype or device.metrics[tag].datatype, metric.value)
            if not isinstance(value, bytes):
                values[tag] = value
        if not values:
            return Heard(complaint=Reason(UNKNOWN_METRIC, {"topic": topic}))
        return Heard(commands=[Command(name, values, _no_answer)])


def _no_answer(_: Outcomes) -> None:
    """Sparkplug has no answers: what was written is seen in the data that follow."""


def _now() -> int:
    return now_ns() // _MS


def _name(tag: str) -> bytes:
    encoded = tag.encode()
    return b"\x0a" + varint(len(encoded)) + encoded


def _data(datatype: DataType, sample: Sample) -> Metric:
    """A sample without a word about which metric it is of."""
    properties = None if sample.quality is Quality.GOOD else sparkplug.quality(_CODES[sample.quality])
    timestamp = sample.at // _MS
    if sample.value is None:
        return Metric(timestamp=timestamp, is_null=True, properties=properties)
    try:
        value = sparkplug.wire_value(datatype, sample.value)
    except ValueError:
        # A whole number beyond 64 bits.
        return Metric(timestamp=timestamp, is_null=True, properties=sparkplug.quality(BAD))
    return Metric(timestamp=timestamp, properties=properties, value=value)


def _full(tag: str, datatype: DataType, sample: Sample) -> Metric:
    data = _data(datatype, sample)
    return Metric(
        name=tag,
        timestamp=data.timestamp,
        datatype=datatype,
        is_null=data.is_null,
        properties=data.properties,
        value=data.value,
    )


def _born(tag: str, known: _Known, with_alias: bool) -> Metric:
    data = _data(known.datatype, known.sample)
    # tck-id-payloads-metric-propertyvalue-type-req: the birth says how good it is, so that no later good needs to.
    properties = sparkplug.quality(_CODES[known.sample.quality])
    return Metric(
        name=tag,
        alias=known.alias if with_alias else None,
        timestamp=data.timestamp,
        datatype=known.datatype,
        is_null=data.is_null,
        properties=properties,
        value=data.value,
    )


def _samples(stored: Payload) -> dict[str, Sample]:
    """The samples of a stored payload."""
    found = {}
    for metric in stored.metrics:
        value = None
        if metric.value is not None and metric.datatype is not None:
            value = sparkplug.meaning(metric.datatype, metric.value)
        assert not isinstance(value, bytes)
        quality = Quality.BAD if value is None else Quality.GOOD
        found[metric.name or ""] = Sample(value, quality, (metric.timestamp or 0) * _MS)
    return found
