"""The log of the gateway: what happened in the south, as loud as each device is allowed to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from gateway.samples import Reason
from lab.clock import now
from lab.model.plant import Strict
from lab.network.logbook import Log
from lab.text import Text

Level = Literal["debug", "info", "warning", "error"]
_LOUDNESS: Final[Mapping[Level, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3}


class LogConfig(Strict):
    """What is written to the log."""

    level: Level = Field("info", description="记录的最低级别。 The least level that is written.")
    devices: dict[str, Level] = Field(
        default_factory=dict, description="各设备另设的级别，如 {plc-1: debug}。 Other levels, by device."
    )


class GatewayLog:
    """Lines for people, of things said about a device or about the gateway itself."""

    def __init__(self, log: Log[str]) -> None:
        self.config = LogConfig()
        self._log = log

    def wants(self, level: Level, device: str = "") -> bool:
        """Whether something of this level would be written; ask before making costly sentences."""
        return _LOUDNESS[level] >= _LOUDNESS[self.config.devices.get(device, self.config.level)]

    def say(self, level: Level, device: str, what: Text | Reason | str, **facts: object) -> None:
        if self.wants(level, device):
            sentence = what.say(**facts) if isinstance(what, Text) else str(what)
            about = f" {device}:" if device else ""
            self._log.add(f"{now():%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {level.upper()}{about} {sentence}")
