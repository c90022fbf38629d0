"""The kinds of appliance this package provides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.broker.appliance import BrokerAppliance
from gateway.edge import GatewayAppliance
from lab.network.appliance import Appliance

KINDS: Mapping[str, type[Appliance[Any]]] = {kind.kind: kind for kind in (GatewayAppliance, BrokerAppliance)}
