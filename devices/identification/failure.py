"""Why a node does not do what it is asked for: a response code of the Handle System, and a sentence."""

from __future__ import annotations

from devices.web.reasons import Reason
from lab.text import Text
from lab.wire.handles import Code


class Failure(Exception):
    """A request comes to nothing."""

    def __init__(self, code: Code, reason: Reason) -> None:
        self.code, self.reason = code, reason
        super().__init__(f"{code}: {reason}")


def failure(code: Code, what: Text, /, **facts: object) -> Failure:
    return Failure(code, Reason(code.name, what, facts))
