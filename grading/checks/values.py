"""Values that are published, and the process values they are to be."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from grading.checks.check import PointName
from grading.checks.payload import is_number
from lab.model.plant import Strict


def _point(value: Any) -> Any:
    return {"point": value} if isinstance(value, str) else value


class Truthful(Strict):
    """A process value that is to be found in a message; `boiler/pressure` alone will do."""

    point: PointName
    tolerance: float = Field(
        1e-6, ge=0, description="允许的绝对偏差，发布值的单位。 Absolute tolerance, in the unit published."
    )
    relative: float = Field(1e-5, ge=0, lt=1, description="允许的相对偏差。 Relative tolerance.")
    scale: float = Field(
        1.0, description="发布值 = 过程值 × scale。 What is published is the process value times this."
    )

    def expected(self, truth: Any) -> Any:
        """What should be published for a process value."""
        return truth * self.scale if is_number(truth) and self.scale != 1 else truth

    def is_true(self, value: Any, truth: Any) -> bool:
        """Whether a published value says the same as a process value."""
        expected = self.expected(truth)
        if isinstance(expected, str) or isinstance(value, str):
            return bool(value == expected)
        if not isinstance(value, (int, float)) or not isinstance(expected, (int, float)):
            return False
        return math.isclose(value, expected, rel_tol=self.relative, abs_tol=self.tolerance)


PublishedValue = Annotated[Truthful, BeforeValidator(_point)]
