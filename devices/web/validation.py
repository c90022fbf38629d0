"""pydantic's complaints as one sentence in both languages, for documents that come by REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from devices.web.reasons import Reason, Refused, shown
from lab.model.document import KnownValueError
from lab.text import Text

M = TypeVar("M", bound=BaseModel)

UNKNOWN_KEY: Final = Text(zh="{where}：未知的键", en="{where}: unknown key")
MISSING_KEY: Final = Text(zh="{where}：缺少这个键", en="{where}: this key is missing")
WRONG: Final = Text(zh="{where}：{value} 不合要求（{why}）", en="{where}: {value} is not valid ({why})")
SAID: Final = Text(zh="{where}：{why}", en="{where}: {why}")
WITH_KNOWN: Final = Text(zh="{why}；可用：{known}", en="{why}; known: {known}")


def first_complaint(error: ValidationError) -> Reason:
    """The first of what is wrong, and where."""
    detail = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in detail["loc"]) or "/"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return Reason("invalid", UNKNOWN_KEY, {"where": where})
    if kind == "missing":
        return Reason("invalid", MISSING_KEY, {"where": where})
    raised = detail.get("ctx", {}).get("error")
    if isinstance(raised, KnownValueError):
        why = Reason("invalid", raised.what, raised.facts)
        if raised.known:
            why = Reason("invalid", WITH_KNOWN, {"why": why, "known": ", ".join(raised.known[:20])})
        return Reason("invalid", SAID, {"where": where, "why": why})
    # pydantic speaks English only; what it says is short and plain.
    return Reason("invalid", WRONG, {"where": where, "value": shown(detail.get("input")), "why": detail["msg"]})


def checked(model: type[M], document: Any, *, from_text: bool = False) -> M:
    """The document as this model; raises Refused. In a query everything is text."""
    try:
        if from_text and isinstance(document, Mapping):
            return model.model_validate_strings(dict(document))
        return model.model_validate(document)
    except ValidationError as error:
        raise Refused(first_complaint(error)) from None
    except RecursionError:
        raise Refused(
            Reason("invalid", SAID, {"where": "/", "why": Text(zh="嵌套过深", en="nested too deeply")})
        ) from None
