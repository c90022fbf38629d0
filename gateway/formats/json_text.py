"""JSON as formats write it, with what does not change from report to report made once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.samples import Quality, Report, Sample

encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""Compact, in UTF-8, and never NaN, which is not JSON."""
_ALL_GOOD: Final = {Quality.GOOD}


def values(report: Report) -> str:
    """`{tag: value}`; the value of a bad tag is null."""
    return encode({name: sample[0] for name, sample in report.samples.items()})


def good_values(samples: Mapping[str, Sample]) -> dict[str, Any]:
    """The values there are."""
    return {name: sample[0] for name, sample in samples.items() if sample[0] is not None}


class Qualities:
    """`{tag: quality}`, which nearly always says good of the same tags."""

    def __init__(self) -> None:
        self._all_good: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {}

    def __call__(self, report: Report) -> str:
        samples = report.samples
        if {sample[1] for sample in samples.values()} != _ALL_GOOD:
            return encode({name: sample[1] for name, sample in samples.items()})
        names = tuple(samples)
        known = self._all_good.get((report.device, report.group))
        if known is None or known[0] != names:
            known = self._all_good[report.device, report.group] = names, encode(dict.fromkeys(names, Quality.GOOD))
        return known[1]


def read_object(payload: bytes) -> dict[str, Any] | None:
    """A JSON object from the north; None where it is none."""
    try:
        document = json.loads(payload)
        # Python reads NaN, Infinity and halves of surrogate pairs, which nobody could be answered with.
        encode(document).encode()
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
