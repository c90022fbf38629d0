"""The southbound OPC UA connection, on asyncua's client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from asyncua import Client, ua
from asyncua.common import connection
from asyncua.common import subscription as subscriptions
from asyncua.common.subscription import DataChangeNotif
from asyncua.crypto import security_policies
from asyncua.crypto.security_policies import (
    SecurityPolicy,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua import uaprotocol_auto
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.driver import CLOSED_BY_PEER, Driver, NotWritten, Written, why_not_connected
from gateway.opcua.config import OpcUaConnection, OpcUaGroup, OpcUaTag
from gateway.opcua.measured import STATUS, Measured, node_id, plain, to_variant
from gateway.opcua.trust import check_certificate
from gateway.samples import Reason, Sample, Unreachable, Value, bad
from lab.clock import now, now_ns
from lab.network.containment import contain, wait_for_threads_of_anyio
from lab.network.opcua_identity import application_identity
from lab.text import Text

contain(connection, security_policies, subscriptions, uaprotocol_auto)
wait_for_threads_of_anyio()  # asyncua reads certificates through it
# What goes wrong is shown by status(); without a handler Python would print it over the screen.
logging.getLogger("asyncua").addHandler(logging.NullHandler())

NO_ANSWER = Text(zh="服务器在 {timeout_ms} ms 内没有应答", en="no answer from the server within {timeout_ms} ms")
DOES_NOT_FIT = Text(zh="值 {value} 写不进去：{why}", en="{value} cannot be written: {why}")
NOT_UNDERSTOOD = Text(zh="无法理解服务器的答复：{what}", en="cannot make sense of what the server says: {what}")

WATCHDOG = 5.0
"""Seconds between the reads by which asyncua notices that a server which only publishes has fallen silent."""
WATCHDOG_WHILE_POLLING = 600.0
"""Polls notice by themselves."""
SUBSCRIPTION_KEEPALIVE = 10.0
"""Seconds after which the server says that nothing changed; it forgets us after three times as long."""


_POLICIES: Mapping[str, type[SecurityPolicy]] = {
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
    "Aes256_Sha256_RsaPss": SecurityPolicyAes256Sha256RsaPss,
}


class _Client(Client):
    """Connects in its own time, and remembers what the server offers."""

    connect_timeout = 1.0
    """Seconds"""
    offers: Sequence[ua.EndpointDescription] = ()

    async def connect_socket(self) -> None:
        async with asyncio.timeout(self.connect_timeout):
            await super().connect_socket()

    async def connect_and_get_server_endpoints(self) -> list[ua.EndpointDescription]:
        offers: list[ua.EndpointDescription] = await super().connect_and_get_server_endpoints()
        self.offers = offers
        return offers


class OpcUaDriver(Driver):
    """One session with one server."""

    def __init__(self, config: OpcUaConnection, gateway: str) -> None:
        super().__init__()
        self._config = config
        self._gateway = gateway
        self.subscribes = config.mode == "subscribe"
        url = urlsplit(config.endpoint)
        self._host, self._port = url.hostname or "", url.port or 4840
        self._client: Client | None = None
        self._namespaces: list[str] = []

    async def connect(self) -> None:
        config = self._config
        client = _Client(
            config.endpoint,
            timeout=config.timeout_ms / 1000,
            watchdog_intervall=WATCHDOG if self.subscribes else WATCHDOG_WHILE_POLLING,
        )
        client.connect_timeout = min(config.connect_timeout_ms, config.timeout_ms) / 1000
        client.name = client.description = self._gateway
        client.application_uri = application_uri(self._gateway)
        client.connection_lost_callback = self._on_lost
        if config.username is not None:
            client.set_user(config.username)
            client.set_password(config.password or "")
        try:
            if config.security_policy != "None":
                await self._secure(client)
            await client.connect()
        except BaseException as error:
            client.disconnect_socket()
            raise self._unreachable(error) from error
        self._client = client
        self.answers += 1
        try:
            self._namespaces = await client.get_namespace_array()
        except BaseException as error:
            await self.close()
            raise self._unreachable(error) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.disconnect()

    async def write(self, group: OpcUaGroup, tag: OpcUaTag, value: Value) -> Written:
        client = self._connected()
        try:
            node = client.get_node(node_id(tag.node, self._namespaces))
        except Unreachable as error:
            raise NotWritten(error.reason) from None
        self.requests += 2
        try:
            before = (await node.read_data_value()).Value
            wanted = to_variant(tag, value, before)
            await node.write_attribute(ua.AttributeIds.Value, ua.DataValue(wanted))
            after = (await node.read_data_value()).Value
        except ValueError as error:
            raise NotWritten(Reason(DOES_NOT_FIT, {"value": repr(value), "why": error})) from None
        except UaStatusCodeError as error:
            self.errors += 1
            raise NotWritten(self._why(error)) from None
        except Exception as error:  # asyncua lets through whatever its decoder trips over
            self.lose(self._why(error))
            raise Unreachable(self.trouble) from error
        self.answers += 1
        is_confirmed = after is not None and after.Value == wanted.Value
        return Written(plain(tag, before), plain(tag, after), is_confirmed)

    def reader(self, group: OpcUaGroup) -> OpcUaReader:
        return OpcUaReader(self, group)

    async def read(self, nodes: list[ua.NodeId]) -> list[ua.DataValue]:
        """The values of these nodes in one Read; raises Unreachable."""
        client = self._connected()
        if not nodes:
            return []
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.requests += 1
        try:
            answers = await client.uaclient.read_attributes(nodes, ua.AttributeIds.Value)
            if len(answers) != len(nodes):
                raise ValueError(f"{len(answers)} values for {len(nodes)} nodes")
        except Exception as error:  # asyncua lets through whatever its decoder trips over
            self.lose(self._why(error))
            raise Unreachable(self.trouble) from error
        self.roundtrips.took(loop.time() - began)
        self.answers += 1
        return answers

    async def changes(self, group: OpcUaGroup) -> AsyncIterator[Mapping[str, Sample]]:
        client = self._connected()
        measured = Measured(group.tags, self._namespaces)
        if measured.unknown:
            yield measured.unknown
        if not measured.nodes:
            await self.down.wait()
            raise Unreachable(self.trouble)
        arriving = _Arriving(measured, self)
        nodes = [client.get_node(node) for node in measured.nodes]
        try:
            self.requests += 1
            subscription = await client.create_subscription(self._parameters(), arriving)
            results = await subscription.subscribe_data_change(
                nodes, queuesize=1, sampling_interval=ua.Double(group.period_ms)
            )
            refused = {
                node: result
                for node, result in zip(measured.nodes, results, strict=True)
                if isinstance(result, ua.StatusCode)
            }
        except Exception as error:  # asyncua lets through whatever its decoder trips over
            self.lose(self._why(error))
            raise Unreachable(self.trouble) from error
        if refused:
            self.errors += len(refused)
            yield measured.refused(refused)
        try:
            while True:
                yield await arriving.next()
        finally:
            if self.up.is_set():
                await subscription.delete()

    async def _secure(self, client: _Client) -> None:
        config = self._config
        policy = _POLICIES[config.security_policy]
        mode = ua.MessageSecurityMode[config.security_mode]
        identity = await application_identity(application_uri(self._gateway), self._gateway, "client")
        await client.set_security(
            policy, identity.certificate_der, CertProperties(identity.key_pem, extension="pem"), mode=mode
        )
        offer = Client.find_endpoint(client.offers, mode, policy.URI)
        if config.verify:
            check_certificate(offer.ServerCertificate, offer.Server.ApplicationUri, config.trusted, now())

    def _parameters(self) -> ua.CreateSubscriptionParameters:
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = float(self._config.publishing_ms)
        parameters.RequestedMaxKeepAliveCount = max(
            1, round(SUBSCRIPTION_KEEPALIVE * 1000 / self._config.publishing_ms)
        )
        parameters.RequestedLifetimeCount = 3 * parameters.RequestedMaxKeepAliveCount
        parameters.MaxNotificationsPerPublish = 10_000
        parameters.PublishingEnabled = True
        return parameters

    def namespaces(self) -> list[str]:
        return self._namespaces

    def _connected(self) -> Client:
        if self._client is None or not self.up.is_set():
            raise Unreachable(self.trouble)
        return self._client

    async def _on_lost(self, _: Exception) -> None:
        self.lose(Reason(CLOSED_BY_PEER, {"host": self._host, "port": self._port}))

    def _unreachable(self, error: BaseException) -> BaseException:
        if isinstance(error, Unreachable):
            return error
        if not isinstance(error, Exception):
            return error
        return Unreachable(self._why(error), is_refusal=isinstance(error, UaError))

    def _why(self, error: Exception) -> Reason:
        if isinstance(error, UaStatusCodeError):
            return Reason(STATUS, {"status": type(error).__name__})
        if isinstance(error, UaError):
            return Reason(STATUS, {"status": str(error)})
        if self.up.is_set() and isinstance(error, TimeoutError):
            return Reason(NO_ANSWER, {"timeout_ms": self._config.timeout_ms})
        if type(error) in (ConnectionError, ConnectionResetError):
            return Reason(CLOSED_BY_PEER, {"host": self._host, "port": self._port})
        if isinstance(error, OSError):
            return why_not_connected(error, self._host, self._port, self._config.timeout_ms)
        return Reason(NOT_UNDERSTOOD, {"what": f"{type(error).__name__} {error}".strip()})


class OpcUaReader:
    """One Read for all the nodes of a group."""

    def __init__(self, driver: OpcUaDriver, group: OpcUaGroup) -> None:
        self._driver = driver
        self._group = group
        self._measured: Measured | None = None

    async def read(self) -> Mapping[str, Sample]:
        if self._measured is None or self._measured.namespaces is not self._driver.namespaces():
            self._measured = Measured(self._group.tags, self._driver.namespaces())
        measured = self._measured
        try:
            answers = await self._driver.read(measured.nodes)
        except Unreachable as error:
            at = now_ns()
            return dict.fromkeys((tag.name for tag in self._group.tags), bad(error.reason, at))
        at = now_ns()
        samples = dict(measured.unknown)
        for node, answer in zip(measured.nodes, answers, strict=True):
            measured.put(node, answer, at, samples)
        return samples

    def raw(self) -> Mapping[str, str]:
        return {}


class _Arriving:
    """Collects what one publish response brings, as asyncua calls once for each value."""

    def __init__(self, measured: Measured, driver: OpcUaDriver) -> None:
        self._measured = measured
        self._driver = driver
        self._samples: dict[str, Sample] = {}
        self._some = asyncio.Event()

    def datachange_notification(self, _node: Any, _value: Any, data: DataChangeNotif) -> None:
        item = data.subscription_data.node
        if item is not None:
            self._measured.put(item.nodeid, data.monitored_item.Value, now_ns(), self._samples)
            self._some.set()

    def status_change_notification(self, notification: ua.StatusChangeNotification) -> None:
        self._driver.lose(Reason(STATUS, {"status": notification.Status.name}))

    async def next(self) -> Mapping[str, Sample]:
        """What has changed since the last call, as soon as something has."""
        await self._some.wait()
        self._some.clear()
        samples, self._samples = self._samples, {}
        return samples


def application_uri(gateway: str) -> str:
    """The name that stands in the certificate and in the session: OPC UA Part 6, 6.2.2."""
    return f"urn:iiotlab:gateway:{gateway}"
