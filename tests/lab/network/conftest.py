"""What tests of the network may ask for beside programs."""

from __future__ import annotations

import shutil

import pytest

from lab.network.namespace import why_not


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where this computer cannot have real hosts."""
    if reason := why_not():
        pytest.skip(reason.en)


@pytest.fixture(scope="session")
def ping() -> str:
    path = shutil.which("ping")
    if path is None:
        pytest.skip("ping is not installed")
    return path
