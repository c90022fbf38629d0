"""`workstation`: a computer with a network stack and nothing that serves; people and tools work from it."""

from __future__ import annotations

from typing import ClassVar

from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.text import Text


class Workstation(Appliance[HostConfig]):
    """Tools run on its host: `with appliance.host.current(): …`."""

    kind: ClassVar[str] = "workstation"
    title: ClassVar[Text] = Text(zh="工作站", en="Workstation")
    Config = HostConfig

    async def start(self) -> None:
        """The host's own stack is all there is."""

    async def stop(self) -> None:
        """Nothing was started."""
