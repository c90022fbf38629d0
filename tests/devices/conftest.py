"""One cache for the devices of a test session, so that no test leaves anything with the user or depends on it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_this_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("IIOTLAB_CACHE")
    os.environ.setdefault("IIOTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    if before is None:
        del os.environ["IIOTLAB_CACHE"]
