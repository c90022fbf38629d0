"""The brokers that are examined."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance_kit import PASSWORD_HASH, USER, Examine, examine_ours, examine_real

ELSEWHERE = os.environ.get("IIOTLAB_MQTT_BROKER", "")

_CONFIG = """
per_listener_settings true
listener {open} 127.0.0.1
allow_anonymous true
listener {guarded} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
"""


@pytest.fixture(scope="session")
def mosquitto_ports() -> Iterator[tuple[int, int]]:
    """A mosquitto of its own: the port for everybody, and the guarded one."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, it becomes another user
        ports = _free_ports()
        (folder / "passwords").write_text(f"{USER}:{PASSWORD_HASH}\n")
        (folder / "acl").write_text(f"user {USER}\ntopic readwrite allowed/#\n")
        config = folder / "mosquitto.conf"
        config.write_text(_CONFIG.format(open=ports[0], guarded=ports[1], folder=folder))
        process = subprocess.Popen([program, "-c", config], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            said = []
            while "running" not in (line := process.stderr.readline()):
                said.append(line)
                assert line, "".join(said)
            # Or it would stop where the pipe is full.
            draining = threading.Thread(target=process.stderr.read)
            draining.start()
            yield ports
        finally:
            process.terminate()
            process.wait(10)
            draining.join(10)
            process.stderr.close()


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(params=["elsewhere"] if ELSEWHERE else ["ours", pytest.param("mosquitto", marks=pytest.mark.foreign)])
def examine(request: pytest.FixtureRequest) -> Examine:
    """Put a statement to a broker."""
    if request.param == "ours":
        return examine_ours
    if request.param == "mosquitto":
        ports: tuple[int, int] = request.getfixturevalue("mosquitto_ports")
        return lambda story, prefix, patience: examine_real(story, prefix, patience, "127.0.0.1", *ports)
    host, _, port = ELSEWHERE.rpartition(":")
    run = os.getpid()  # what an earlier run has left there is not ours
    return lambda story, prefix, patience: examine_real(story, f"{prefix}-{run}", patience, host, int(port), None)
