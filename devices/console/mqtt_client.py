"""One connection to an MQTT broker, on gmqtt's client, which is kept from reconnecting."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from gmqtt import Client, Subscription
from gmqtt.storage import PersistentStorage

from devices.console import tls, words
from devices.console.process import Failure, Process
from lab.network.mqtt_client import NotAccepted, connect, make_client, note_refusals, transport
from lab.text import Text
from lab.wire.mqtt.reasons import ReasonCode

_CONNECTING: Final = 10.0
_CLOSING: Final = 1.0
"""Seconds"""
_FAILED: Final = 0x80


class MqttClient:
    """Connect, use, close."""

    def __init__(self, process: Process, client_id: str, *, clean: bool, user: tuple[str, str | None] | None) -> None:
        self._process = process
        self._storage = PersistentStorage()
        self._client = client = make_client(client_id, clean_session=clean, persistent_storage=self._storage)
        client.on_disconnect = self._lost
        client.on_message = self._heard
        client.on_subscribe = self._subscribed
        if user is not None:
            client.set_auth_credentials(*user)
        self.down = asyncio.Event()
        self.hear: Callable[[str, bytes, dict[str, Any]], None] = lambda topic, payload, properties: None
        self.refusal: str | None = None
        """Why the broker did not take a message, where it said so."""
        self._answers: asyncio.Future[Sequence[int]] | None = None
        note_refusals(client, self._not_taken)

    def _not_taken(self, _: int, code: int) -> None:
        known = code in ReasonCode._value2member_map_
        self.refusal = ReasonCode(code).name.lower().replace("_", " ") if known else f"0x{code:02x}"

    async def connect(
        self, host: str, port: int, context: ssl.SSLContext | None, *, keep_alive: int, is_five: bool
    ) -> None:
        """CONNECT and be accepted; raises Failure."""
        try:
            await connect(
                self._client,
                self.down,
                host,
                port,
                tls=context,
                keep_alive=keep_alive,
                is_five=is_five,
                patience=_CONNECTING,
            )
        except NotAccepted as error:
            facts = {
                name: self._process.say(fact) if isinstance(fact, Text) else fact for name, fact in error.facts.items()
            }
            raise Failure(error.what, **facts) from None
        except ssl.SSLError as error:
            raise tls.failure(self._process, error) from None
        except OSError as error:
            where = {"host": host, "port": port}
            raise Failure(words.CONNECTING_FAILED, why=self._process.why(error), **where) from None

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self.refusal = None
        self._client.publish(topic, payload, qos=qos, retain=retain)

    async def acknowledged(self, patience: float) -> bool:
        """Wait for what was published; False where it did not come, or the connection went first."""
        waiting = asyncio.create_task(self._storage.wait_empty())
        down = asyncio.create_task(self.down.wait())
        try:
            await asyncio.wait((waiting, down), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done()
        finally:
            waiting.cancel()
            down.cancel()

    async def subscribe(self, topics: Sequence[str], qos: int, patience: float) -> list[str]:
        """The topics that are refused; raises Failure where there is no answer."""
        self._answers = asyncio.get_running_loop().create_future()
        self._client.subscribe([Subscription(topic, qos=qos) for topic in topics])
        down = asyncio.create_task(self.down.wait())
        try:
            await asyncio.wait((self._answers, down), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
        if not self._answers.done():
            raise Failure(words.TIMED_OUT)
        return [topic for topic, code in zip(topics, self._answers.result(), strict=False) if code >= _FAILED]

    async def close(self) -> None:
        """DISCONNECT, where somebody may hear it, and be gone."""
        made = transport(self._client)
        if made is None:
            return
        if not made.is_closing():
            try:
                async with asyncio.timeout(_CLOSING):
                    await self._client.disconnect()
            except TimeoutError:
                pass
        made.abort()

    def _lost(self, *_: Any) -> None:
        self.down.set()

    def _heard(self, _: Client, topic: Any, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        self.hear(topic if isinstance(topic, str) else topic.decode(errors="replace"), payload, properties)
        return 0

    def _subscribed(self, _: Client, __: int, codes: Sequence[int], ___: Any) -> None:
        if self._answers is not None and not self._answers.done():
            self._answers.set_result(codes)
