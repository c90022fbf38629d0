"""How a report is written as the payload of a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from gateway.samples import Report


def as_json(report: Report) -> bytes:
    """`{"ts":<ms>,"values":{id:value},"q":{id:quality}}`; the value of a bad tag is null."""
    document = {
        "ts": report.at // 1_000_000,
        "values": {name: sample.value for name, sample in report.samples.items()},
        "q": {name: sample.quality for name, sample in report.samples.items()},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


FORMATS: Mapping[str, Callable[[Report], bytes]] = {"json": as_json}
