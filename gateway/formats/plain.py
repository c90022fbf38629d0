"""Formats of one message per report: `values`, `tags` and `template`; commands come as JSON to a topic of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.formats import json_text
from gateway.formats.config import CommandTopics
from gateway.formats.format import (
    NO_VALUE,
    NOT_A_COMMAND,
    NOT_JSON,
    Command,
    Format,
    Heard,
    Names,
    Outcomes,
    Publication,
    topics,
)
from gateway.formats.json_text import encode
from gateway.formats.template import Template
from gateway.samples import Reason, Report
from gateway.topics import matches


class Values(Format):
    """`{"ts":<ms>,"values":{tag:value},"q":{tag:quality}}`, curriculum 5.4."""

    def __init__(self, names: Names, topic: str, commands: CommandTopics | None) -> None:
        self._topic = topics(topic, names)
        self._names = names
        self._qualities = json_text.Qualities()
        self._commands = commands
        if commands is not None:
            self._levels = commands.topic.format_map({**names._asdict(), "device": "+"})
            self.filters = (self._levels,)

    def payload(self, report: Report) -> bytes | None:
        """None where there is nothing to say."""
        return (
            f'{{"ts":{report.at // 1_000_000},"values":{json_text.values(report)},"q":{self._qualities(report)}}}'
        ).encode()

    def kept(self, report: Report) -> Sequence[tuple[str, bytes]]:
        payload = self.payload(report)
        return () if payload is None else ((self._topic(report), payload),)

    def hear(self, topic: str, payload: bytes, retained: bool) -> Heard:
        """`{"id":…,"values":{tag:value}}` or `{"tag":…,"value":…}`, answered at the reply topic."""
        if self._commands is None or not matches(self._levels, topic):
            return Heard()
        where = {"topic": topic}
        document = json_text.read_object(payload)
        if document is None:
            return Heard(complaint=Reason(NOT_JSON, where))
        written = document.get("values")
        if written is None and isinstance(document.get("tag"), str):
            written = {document["tag"]: document.get("value")}
        if not isinstance(written, dict) or not written:
            return Heard(complaint=Reason(NOT_A_COMMAND, {**where, "key": "values"}))
        if not all(isinstance(value, (bool, int, float, str)) for value in written.values()):
            return Heard(complaint=Reason(NO_VALUE, where))
        device = topic.split("/")[self._levels.split("/").index("+")]
        reply = self._commands.reply.format_map({**self._names._asdict(), "device": device})

        def answer(outcomes: Outcomes) -> Publication:
            return Publication(reply, encode(_outcome(document.get("id"), outcomes)).encode(), 1, False)

        return Heard(commands=[Command(device, written, answer)])


def _outcome(identifier: object, outcomes: Outcomes) -> dict[str, Any]:
    errors = {tag: str(reason) for tag, reason in outcomes.items() if reason is not None}
    said: dict[str, Any] = {} if identifier is None else {"id": identifier}
    said["ok"] = not errors
    return {**said, "errors": errors} if errors else said


class Tags(Values):
    """A list of tags as Neuron writes it: `{"node","group","timestamp","tags":[{"name","value"}]}`."""

    def payload(self, report: Report) -> bytes:
        tags = [
            {"name": name, "value": sample[0]} if sample[0] is not None else {"name": name, "error": sample[1]}
            for name, sample in report.samples.items()
        ]
        document = {"node": report.device, "group": report.group, "timestamp": report.at // 1_000_000, "tags": tags}
        return encode(document).encode()


class Templated(Values):
    """Whatever the template says."""

    def __init__(self, names: Names, topic: str, commands: CommandTopics | None, template: Template) -> None:
        super().__init__(names, topic, commands)
        self._template = template

    def payload(self, report: Report) -> bytes | None:
        text = self._template.fill(self._names, report)
        return None if text is None else text.encode()
