"""What every test may ask for: programs made by somebody else, or a reason why they are not here."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail; where many rely on the outcome, the examples are the same every time.
settings.register_profile(
    "iiotlab", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("iiotlab")


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="session")
def tshark() -> str:
    return _program("tshark")


@pytest.fixture(scope="session")
def mbpoll() -> str:
    return _program("mbpoll")


@pytest.fixture(scope="session")
def nmap() -> str:
    return _program("nmap")


@pytest.fixture(scope="session")
def mosquitto_sub() -> str:
    return _program("mosquitto_sub")
