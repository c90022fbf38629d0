"""The formats the platform reads; another one is another line here."""

from __future__ import annotations

from collections.abc import Sequence

from devices.platform.ingest.alink import Alink
from devices.platform.ingest.identifiers import Identifiers
from devices.platform.ingest.ingest import Ingest
from devices.platform.ingest.plain import Plain
from devices.platform.ingest.sparkplug import Sparkplug
from devices.platform.ingest.thingsboard import ThingsBoardDevice, ThingsBoardGateway


def formats(me: str | None) -> Sequence[Ingest]:
    """All of them; `me` is the device that `v1/devices/me` means."""
    return (Plain(), ThingsBoardGateway(), ThingsBoardDevice(me), Alink(), Sparkplug(), Identifiers())
