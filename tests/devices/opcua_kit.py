"""A client of an OPC UA server in a lab, and what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from device_kit import Lab

USERS = {"acq": "read-only", "eng": "may-write"}
URI = "urn:test:client"


def client_for(user: str | None = None, port: int = 4840) -> Client:
    client = Client(f"opc.tcp://10.0.0.1:{port}", timeout=5)
    client.application_uri = URI
    if user is not None:
        client.set_user(user)
        client.set_password(USERS[user])
    return client


async def as_user(lab: Lab, user: str | None, deed: Callable[[Client], Awaitable[Any]]) -> Any:
    async def do() -> Any:
        async with client_for(user) as client:
            return await deed(client)

    return await lab.from_pc(do)


async def refused(deed: Awaitable[Any]) -> str:
    """The name of the status code with which a deed is refused."""
    try:
        await deed
    except UaStatusCodeError as error:
        return type(error).__name__
    raise AssertionError("it was allowed")


class Listener:
    """What a subscription tells: values with their status codes."""

    def __init__(self) -> None:
        self.told: list[ua.DataValue] = []

    def datachange_notification(self, _: object, value: object, data: Any) -> None:
        self.told.append(data.monitored_item.Value)

    @property
    def values(self) -> list[Any]:
        return [each.Value.Value for each in self.told]


@asynccontextmanager
async def watching(
    client: Client, node: Any, period: float = 100, **parameters: Any
) -> AsyncIterator[tuple[Listener, Any, Any]]:
    """A listener, its subscription and the answer to one monitored item with these parameters."""
    listener = Listener()
    subscription = await client.create_subscription(period, listener)
    wanted = {"SamplingInterval": 0.0, "QueueSize": 100, "DiscardOldest": True, **parameters}
    mode = wanted.pop("mode", ua.MonitoringMode.Reporting)
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = node.nodeid
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.MonitoringMode = mode
    request.RequestedParameters = ua.MonitoringParameters(ClientHandle=1, **wanted)
    params = ua.CreateMonitoredItemsParameters(
        SubscriptionId=subscription.subscription_id,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        ItemsToCreate=[request],
    )
    from asyncua.common.subscription import SubscriptionItemData

    item = SubscriptionItemData()
    item.client_handle, item.node, item.attribute = 1, node, ua.AttributeIds.Value
    subscription._monitored_items[1] = item
    (answer,) = await client.uaclient.create_monitored_items(params)
    item.server_handle = answer.MonitoredItemId
    yield listener, subscription, answer
    await subscription.delete()


class Application:
    """A client application with a key of its own."""

    _keys: dict[str, rsa.RSAPrivateKey] = {}  # noqa: RUF012 - made once for all tests

    def __init__(
        self, name: str = "tester", uri: str = URI, since: datetime | None = None, until: datetime | None = None
    ) -> None:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = [True, True, True, True, False, True, False, False, False]
        self.key = key
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(since or datetime(2025, 1, 1, tzinfo=UTC))
            .not_valid_after(until or datetime(2040, 1, 1, tzinfo=UTC))
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(*usage), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def thumbprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex()

    async def client(
        self, user: str, policy: str = "Basic256Sha256", mode: int = ua.MessageSecurityMode.SignAndEncrypt
    ) -> Client:
        """Not connected yet; it has asked the server for its certificate."""
        client = client_for(user)
        kind = getattr(security_policies, "SecurityPolicy" + policy.replace("_", ""))
        key = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        certificate = self.certificate.public_bytes(Encoding.DER)
        await client.set_security(
            kind, CertProperties(certificate, "der"), CertProperties(key, "der"), mode=ua.MessageSecurityMode(mode)
        )
        return client
