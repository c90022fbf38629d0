from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tui_kit import FakeSeat, instance

from lab.text import speak


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    speak("en")
    yield
    speak("en")


@pytest.fixture
def seat(tmp_path: Path) -> FakeSeat:
    return FakeSeat(instance(tmp_path))
