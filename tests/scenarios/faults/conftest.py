from __future__ import annotations

import pytest
from fault_kit import TestRouter

from scenarios.kinds import APPLIANCES


@pytest.fixture(autouse=True)
def _router(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(APPLIANCES, "test-router", TestRouter)  # type: ignore[arg-type]
