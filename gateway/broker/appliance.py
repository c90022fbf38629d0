"""The broker as an appliance of the plant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from gateway.broker.access import Access
from gateway.broker.config import BrokerConfig
from lab.network.appliance import Appliance
from lab.text import Text

if TYPE_CHECKING:
    from gateway.broker.mended import MendedBroker


class BrokerAppliance(Appliance[BrokerConfig]):
    """An MQTT 3.1.1 broker."""

    kind = "broker"
    title = Text(zh="MQTT 消息代理", en="MQTT broker")
    Config: ClassVar[type[BrokerConfig]] = BrokerConfig

    _broker: MendedBroker | None = None

    async def start(self) -> None:
        from gateway.broker.mended import MendedBroker  # amqtt takes a quarter of a second to load

        self._broker = MendedBroker(self.config.port, Access(self.config))
        await self._broker.start()

    async def stop(self) -> None:
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None

    async def apply(self, config: BrokerConfig) -> None:
        """Take on new users and rules without a restart, which would lose sessions and retained messages."""
        if self._broker is None or config.port != self.config.port:
            await super().apply(config)
            return
        self.config = config
        self._broker.admit_again(Access(config))

    def status(self) -> Mapping[str, object]:
        broker = self._broker
        if broker is None:
            return {"running": False}
        return {
            "running": True,
            "clients": {
                each.connect.client_id: {
                    "address": each.address,
                    "user": each.connect.username or "",
                    "keep_alive": each.connect.keep_alive,
                }
                for each in broker.connections
                if each.connect is not None
            },
            "subscriptions": sum(len(sessions) for sessions in broker.subscriptions.values()),
            "retained": len(broker.retained_messages),
            "received": broker.received,
            "delivered": broker.delivered,
            "denied": broker.denied,
        }
