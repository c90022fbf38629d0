"""JSON in the payloads of messages, and places in it."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, Literal, NoReturn

JsonType = Literal["number", "integer", "string", "boolean", "object", "array", "null", "any"]

MISSING: Final = object()
"""What is not there; null is."""


@lru_cache(maxsize=32)
def parse(payload: bytes) -> Any:
    """The document in a payload, MISSING where there is none; shared, and not to be changed."""
    try:
        return json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return MISSING


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def at(document: Any, path: str) -> Any:
    """What stands at `values.pressure` (or at the JSON pointer `/values/pressure`); MISSING where nothing does.

    A key with dots in it is found as a whole: `values.CNC01.State` reaches the key `CNC01.State` of `values`.
    """
    if path.startswith("/"):
        for step in path[1:].split("/"):
            document = _step(document, step.replace("~1", "/").replace("~0", "~"))
        return document
    rest = path
    while rest:
        whole = _step(document, rest)
        if whole is not MISSING:
            return whole
        first, _, rest = rest.partition(".")
        document = _step(document, first)
    return document


def _step(document: Any, key: str) -> Any:
    if isinstance(document, dict):
        return document.get(key, MISSING)
    if isinstance(document, list) and key.isascii() and key.isdigit() and int(key) < len(document):
        return document[int(key)]
    return MISSING


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_type(value: Any, wanted: JsonType) -> bool:
    """Whether a value is what JSON Schema calls by this name."""
    match wanted:
        case "number":
            return is_number(value)
        case "integer":
            return is_number(value) and float(value).is_integer()
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "null":
            return value is None
    return value is not MISSING


def shown(value: Any) -> Any:
    """A value as a fact: JSON-able and short."""
    if value is MISSING:
        return None
    if isinstance(value, str) and len(value) > 80:
        return value[:79] + "…"
    if isinstance(value, float):
        return float(f"{value:.7g}")
    return value if isinstance(value, (int, float, str, bool, type(None))) else type(value).__name__
