"""TLS and mutual TLS at the broker, with dates in the plant's time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from gateway_kit import Room, tell
from pydantic import ValidationError
from test_broker import Client

from gateway.broker.config import BrokerConfig
from lab.network.tls_server import NO_CHECK_TIME
from lab.wire import mqtt
from lab.wire.mqtt import Connect, Publish

BOOT = datetime(2026, 1, 1, tzinfo=UTC)
"""What a plant in fast time shows first."""


@dataclass(frozen=True)
class Identity:
    certificate: str
    key: str


@cache
def identity(name: str, since: datetime = BOOT - timedelta(days=1), days: int = 30, ca: str = "ca") -> Identity:
    """Signed by the authority `ca`, or itself one."""
    key, signer = key_of(name), key_of(ca)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ca)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=name == ca, path_length=None), critical=True)
    )
    if name != ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    return Identity(
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


@cache
def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def secured(**options: Any) -> dict[str, Any]:
    own = identity("broker")
    return {"certificate": own.certificate, "key": own.key, "ca": identity("ca").certificate, **options}


class SecuredClient(Client):
    """One that trusts our authority, and may have a certificate of its own."""

    def __init__(self, room: Room, own: Identity | None = None, version: ssl.TLSVersion | None = None) -> None:
        super().__init__(room)
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
        context.load_verify_locations(cadata=identity("ca").certificate)
        if version:
            context.maximum_version = version
        if own is not None:
            import tempfile

            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(own.key + own.certificate)
                file.flush()
                context.load_cert_chain(file.name)

    async def open(self) -> None:
        opening = asyncio.open_connection(
            self._room.address("broker"), 8883, ssl=self._context, server_hostname="broker"
        )
        self.reader, self.writer = await self._room.hosts["ear"].spawn(opening)


def with_clients(tls: dict[str, Any], story: Callable[[Room], Any], **config: Any) -> Any:
    async def whole(room: Room) -> Any:
        await room.switch_on("broker", "broker", {"tls": tls, **config})
        return await story(room)

    return tell(whole)


async def is_refused(client: Client) -> bool:
    """Whether TLS or the broker ends the connection without letting the client in."""
    try:
        answer = await client.connect("client")
    except (EOFError, OSError, ssl.SSLError):
        return True
    finally:
        if hasattr(client, "writer"):
            client.writer.transport.abort()
    return bool(answer.reason)


def test_messages_pass_between_the_port_for_tls_and_the_plain_one() -> None:
    async def story(room: Room) -> None:
        ear, mouth = SecuredClient(room), Client(room, "plc-1")
        assert not (await ear.connect("ear")).reason
        await ear.subscribe("t")
        await mouth.connect("mouth")
        mouth.send(Publish("t", bytes(200_000)))
        message = await ear.next()
        assert isinstance(message, Publish)
        assert message.payload == bytes(200_000)
        ear.close()
        mouth.close()

    with_clients(secured(), story)


def test_the_plain_port_can_be_shut() -> None:
    async def story(room: Room) -> None:
        with pytest.raises(ConnectionRefusedError):
            await Client(room).open()
        client = SecuredClient(room)
        assert not (await client.connect("client")).reason
        client.close()

    with_clients(secured(), story, port=None)


def test_a_certificate_is_required_where_it_says_so_and_has_to_be_of_our_authority() -> None:
    async def story(room: Room) -> list[bool]:
        stranger = identity("gw", ca="other-ca")
        return [await is_refused(SecuredClient(room, own)) for own in (None, stranger, identity("gw"))]

    assert with_clients(secured(client_certificate="required"), story) == [True, True, False]
    assert with_clients(secured(client_certificate="optional"), story) == [False, True, False]


def test_certificates_are_valid_in_the_plants_time_and_not_in_the_computers() -> None:
    def valid(since: datetime, days: int) -> Identity:
        return identity("gw", since, days)

    async def story(room: Room) -> list[bool]:
        long_past_here = valid(BOOT - timedelta(hours=23), 1)
        expired, not_yet = valid(BOOT - timedelta(days=30), 29), valid(BOOT + timedelta(days=400), 3650)
        refused = [await is_refused(SecuredClient(room, own)) for own in (long_past_here, expired, not_yet)]
        await asyncio.sleep(2 * 3600)
        return [*refused, await is_refused(SecuredClient(room, long_past_here))]

    assert with_clients(secured(client_certificate="required"), story) == [False, True, True, True]


def test_the_name_in_the_certificate_is_the_user_whom_rules_bind() -> None:
    async def story(room: Room) -> None:
        gw, ui = SecuredClient(room, identity("gw")), SecuredClient(room, identity("ui"))
        assert not (await gw.connect("gw", user_name="ui", password=b"whatever it claims")).reason
        assert not (await ui.connect("ui")).reason
        await ui.subscribe("v1/#")
        ui.send(Publish("v1/forged", b"x"))
        gw.send(Publish("v1/true", b"x"))
        message = await ui.next()
        assert isinstance(message, Publish)
        assert message.topic == "v1/true"
        assert room.appliances["broker"].status()["clients"]["gw"]["user"] == "gw"
        gw.close()
        ui.close()

    rules = [{"user": "gw", "topic": "v1/#", "access": "write"}, {"user": "ui", "topic": "v1/#", "access": "read"}]
    tls = secured(client_certificate="required", use_identity_as_username=True)
    with_clients(tls, story, acl=rules, allow_anonymous=False)


def test_the_lowest_version_is_kept() -> None:
    async def story(room: Room) -> list[bool]:
        versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        return [await is_refused(SecuredClient(room, version=version)) for version in versions]

    assert with_clients(secured(min_version="1.3"), story) == [True, False]
    assert with_clients(secured(), story) == [False, False]


def test_bytes_that_are_no_tls_and_connections_without_a_word_disturb_nobody() -> None:
    async def story(room: Room) -> None:
        host = room.hosts["plc-1"]
        for words in (b"", Connect("plain").encode(), bytes(5000)):
            reader, writer = await host.spawn(asyncio.open_connection(room.address("broker"), 8883))
            writer.write(words)
            try:
                assert await asyncio.wait_for(reader.read(), 60) is not None
            except ConnectionError:
                pass
            writer.close()
        client = SecuredClient(room)
        assert not (await client.connect("client")).reason
        client.send(mqtt.Pingreq())
        assert isinstance(await client.next(), mqtt.Pingresp)
        client.close()

    with_clients(secured(), story)


def test_an_expired_certificate_of_its_own_is_a_warning_on_its_display() -> None:
    async def story(room: Room) -> tuple[Any, Any]:
        before = room.appliances["broker"].status()["tls"]
        await asyncio.sleep(2 * 3600)
        return before, room.appliances["broker"].status()["tls"]

    own = identity("broker", BOOT - timedelta(hours=23), 1)
    before, after = with_clients(secured(certificate=own.certificate), story)
    assert before == 8883
    assert "expired on 2026-01-01 01:00" in after or "已于 2026-01-01 01:00" in after


def encrypted_key() -> str:
    form = BestAvailableEncryption(b"secret")
    return key_of("broker").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form).decode()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"key": identity("gw").key}, "no pair|不匹配"),
        ({"certificate": "my certificate"}, "certificate (is no|不是)|certificate"),
        ({"key": "my key"}, "private key|私钥"),
        ({"key": encrypted_key()}, "encrypted|不加密"),
        ({"ca": "my ca"}, "ca is no certificate|ca 不是 PEM"),
        ({"ca": None, "client_certificate": "required"}, "certificate of a ca|ca"),
        ({"use_identity_as_username": True}, "client_certificate"),
        ({"port": 1883}, "same port|同一个端口"),
    ],
)
def test_what_does_not_fit_together_is_said_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BrokerConfig.model_validate({"tls": secured(**wrong)})


def test_a_broker_that_nobody_can_reach_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"nobody could connect|无从连接"):
        BrokerConfig.model_validate({"port": None})
