"""The configurable gateway: devices in the south, brokers in the north."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from gateway.commands import cannot_write
from gateway.config import GatewayConfig, NorthConfig
from gateway.formats.format import Names
from gateway.http.config import HttpDestination
from gateway.http.destination import HttpPush
from gateway.mqtt.destination import BrokerDestination
from gateway.north import Destination, Here
from gateway.samples import Report
from gateway.south import Device
from lab.network.appliance import Appliance
from lab.text import Text


class GatewayAppliance(Appliance[GatewayConfig]):
    """Reads devices on schedule and publishes what they say."""

    kind = "gw-edge"
    title = Text(zh="智能工业网关", en="Industrial gateway")
    Config: ClassVar[type[GatewayConfig]] = GatewayConfig

    _south: Mapping[str, Device] = {}
    _north: Mapping[str, Destination] = {}

    async def start(self) -> None:
        self._south, self._north = {}, {}
        await self.apply(self.config)

    async def stop(self) -> None:
        await asyncio.gather(*(device.stop() for device in self._south.values()))
        await asyncio.gather(*(destination.stop() for destination in self._north.values()))
        self._south, self._north = {}, {}

    async def apply(self, config: GatewayConfig) -> None:
        """Take on a configuration; what did not change keeps its connection and its counters."""
        self.config = config
        await self._apply_north(config)
        await self._apply_south(config)

    def status(self) -> Mapping[str, object]:
        return {
            "south": {name: device.status() for name, device in self._south.items()},
            "north": {name: destination.status() for name, destination in self._north.items()},
        }

    def _name(self) -> str:
        return self.config.gateway or self.host.name

    async def _apply_north(self, config: GatewayConfig) -> None:
        names = Names(config.site, self._name())
        kept = {
            wanted.name: self._north[wanted.name]
            for wanted in config.north
            if wanted.name in self._north and self._north[wanted.name].made_from == (wanted, names)
        }
        gone = [destination for name, destination in self._north.items() if name not in kept]
        self._north = kept
        await asyncio.gather(*(destination.stop() for destination in gone))
        north: dict[str, Destination] = {}
        for wanted in config.north:
            destination = kept.get(wanted.name)
            if destination is None:
                destination = _destination(wanted, self._here(names))
                destination.start()
            north[wanted.name] = destination
        self._north = north

    async def _apply_south(self, config: GatewayConfig) -> None:
        old = dict(self._south)
        south: dict[str, Device] = {}
        for wanted in config.south:
            device = old.get(wanted.name)
            if device is not None and await device.apply(wanted):
                south[wanted.name] = old.pop(wanted.name)
        await asyncio.gather(*(device.stop() for device in old.values()))
        for wanted in config.south:
            if wanted.name not in south:
                device = Device(wanted, self._name(), self.host.random, self._publish)
                device.start()
                south[wanted.name] = device
        self._south = {wanted.name: south[wanted.name] for wanted in config.south}

    def _here(self, names: Names) -> Here:
        return Here(names, self.host.disk, self.host.random, cannot_write, self._counters)

    def _counters(self) -> Mapping[str, object]:
        """What the gateway tells about itself over MQTT: the counters of its status, without values."""
        south = {name: _numbers(device.status()) for name, device in self._south.items()}
        north = {name: _numbers(destination.status()) for name, destination in self._north.items()}
        return {"south": south, "north": north}

    def _publish(self, report: Report) -> None:
        for destination in self._north.values():
            destination.publish(report)


def _destination(config: NorthConfig, here: Here) -> Destination:
    return HttpPush(config, here) if isinstance(config, HttpDestination) else BrokerDestination(config, here)


def _numbers(status: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in status.items() if isinstance(value, (bool, int, float))}
