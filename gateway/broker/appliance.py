"""The broker as an appliance of the plant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from gateway.broker.config import BrokerConfig
from lab.clock import now
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

        broker = MendedBroker(self.config, folder=self.host.disk.folder)
        await broker.start()
        self._broker = broker

    async def stop(self) -> None:
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None

    async def apply(self, config: BrokerConfig) -> None:
        """Take on new users and rules without a restart, which would lose sessions and retained messages."""
        listeners = (config.port, config.tls, config.persistence, config.sys_interval_s)
        if self._broker is None or listeners != (
            self.config.port, self.config.tls, self.config.persistence, self.config.sys_interval_s,
        ):  # fmt: skip
            await super().apply(config)
            return
        self.config = config
        self._broker.admit_again(config)

    def status(self) -> Mapping[str, object]:
        broker = self._broker
        if broker is None:
            return {"running": False}
        shown: dict[str, object] = {
            "running": True,
            "clients": {
                each.connect.client_id: {
                    "address": each.address,
                    "user": each.username or "",
                    "keep_alive": each.connect.keep_alive,
                }
                for each in broker.connections
                if each.connect is not None
            },
            "sessions": len(broker.sessions),
            "subscriptions": sum(len(sessions) for sessions in broker.subscriptions.values()),
            "retained": len(broker.retained_messages),
            "received": broker.received,
            "delivered": broker.postage.sent,
            "dropped": broker.postage.dropped + broker.not_retained + broker.sessions_dropped,
            "denied": broker.denied,
            "refused": broker.refused,
        }
        if broker.postage.store is not None:
            shown["storage"] = broker.postage.store.status()
        if tls := self.config.tls:
            from lab.network.tls_server import warnings

            with self.host.current():  # or it would be the computer's time
                shown["tls"] = "; ".join(warnings(tls.certificate, tls.ca, now())) or tls.port
        return shown
