"""Console programs of simulated hosts: `ping`, `modbus`, `tcpdump` and others, for places without the real ones.

They run on the host's own network stack and on plant time, so what they send is as real as anybody's.
"""

from __future__ import annotations

from devices.console.context import Context
from devices.console.shell import run
from lab.network.logbook import Log

__all__ = ["Context", "Log", "run"]
