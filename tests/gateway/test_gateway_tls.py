"""MQTT through TLS: whom the gateway trusts, by the plant's clock, and the reasons it gives."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from gateway_kit import Room, north, tell
from test_gateway_north import Scripted
from tls_kit import BOOT, authority, issued, server_context

from gateway.config import GatewayConfig
from lab.model.document import FileError, parse, validate
from lab.text import LANGUAGES, Language, speak
from lab.wire.malformed import Malformed

CA = authority("Plant CA").certificate_pem
HERE = "10.0.0.2"


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    speak(request.param)
    yield request.param
    speak("en")


def meeting(
    context: ssl.SSLContext | None, tls: dict[str, Any] | None, port: int = 8883, **more: Any
) -> tuple[bool, str, int]:
    """A gateway and a broker meet: connected?, the last error, and how many CONNECTs the broker saw."""

    async def story(room: Room) -> tuple[bool, str, int]:
        broker = Scripted()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await broker.serve(reader, writer)
            except (Malformed, OSError):
                writer.close()

        await room.hosts["broker"].spawn(asyncio.start_server(serve, "0.0.0.0", port, ssl=context))
        options = {"port": port, **({"tls": tls} if tls is not None else {}), **more}
        gateway: Any = await room.switch_on("gw", "gw-edge", {"north": north(HERE, **options)})
        await asyncio.sleep(3)
        status = gateway.status()["north"]["platform"]
        return status["connected"], status["last_error"], len(broker.connects)

    return tell(story)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_with_the_right_certificate_is_trusted(version: str) -> None:
    connected, error, connects = meeting(server_context(issued(HERE)), {"ca": CA}, version=version)
    assert (connected, error, connects) == (True, "", 1)


def test_the_port_is_that_of_mqtt_over_tls_unless_told() -> None:
    config = GatewayConfig.model_validate({"interfaces": {}, "north": [{"host": "b", "tls": {"ca": CA}}]})
    assert config.north[0].tcp_port == 8883  # type: ignore[union-attr]


NOW = "and now it is 2026-01-01 00:00"
TRUST = [
    ("other-ca", issued(HERE, by="Another CA"), {"ca": CA}, "not issued by an authority that is trusted"),
    ("self-signed", authority("Another CA"), {"ca": CA}, "not issued by an authority that is trusted"),
    ("wrong-address", issued("10.0.0.77"), {"ca": CA}, "not made out to 10.0.0.2 but to: 10.0.0.77"),
    ("wrong-name", issued("b.lab"), {"ca": CA, "server_name": "c.lab"}, "not made out to c.lab but to: b.lab"),
    ("expired", issued(HERE, until=BOOT - timedelta(days=1)), {"ca": CA}, f"expired at 2025-12-31 00:00:00 UTC, {NOW}"),
    ("not-yet", issued(HERE, since=BOOT + timedelta(days=1)), {"ca": CA}, "valid from 2026-01-02 00:00:00 UTC"),
]  # fmt: skip


@pytest.mark.parametrize(("identity", "tls", "words"), [case[1:] for case in TRUST], ids=[case[0] for case in TRUST])
def test_a_certificate_that_nobody_should_trust_is_not_trusted_and_the_reason_said(
    identity: Any, tls: dict[str, Any], words: str
) -> None:
    connected, error, connects = meeting(server_context(identity), tls)
    assert not connected
    assert words in error
    assert connects == 0, "not a byte of MQTT, and so no password, has gone out"
    assert meeting(server_context(identity), {"verify": False})[0], "who does not check connects to anybody"


def test_validity_is_judged_by_the_clock_of_the_plant_and_not_of_the_computer() -> None:
    # Valid for the plant's first hour only: on the computer it is long over, or has not begun.
    until = BOOT + timedelta(hours=1)
    assert meeting(server_context(issued(HERE, until=until)), {"ca": CA})[0]

    async def story(room: Room) -> tuple[bool, str]:
        broker = Scripted()
        context = server_context(issued(HERE, until=until))
        await room.hosts["broker"].spawn(asyncio.start_server(broker.serve, "0.0.0.0", 8883, ssl=context))
        gateway: Any = await room.switch_on("gw", "gw-edge", {"north": north(HERE, tls={"ca": CA}, keep_alive=0)})
        await asyncio.sleep(3601)
        assert gateway.status()["north"]["platform"]["connected"], "a session outlives the certificate it began with"
        broker.cut()
        await asyncio.sleep(20)
        status = gateway.status()["north"]["platform"]
        return status["connected"], status["last_error"]

    connected, error = tell(story)
    assert not connected
    assert "expired" in error


def test_the_name_on_the_certificate_may_be_another_than_the_address() -> None:
    assert meeting(server_context(issued("b.lab")), {"ca": CA, "server_name": "b.lab"})[0]


CLIENT = issued("gw")
MINE = {"ca": CA, "certificate": CLIENT.certificate_pem, "key": CLIENT.key_pem}
STRANGER = issued("gw", by="Another CA")


def test_a_broker_that_wants_to_know_its_clients_takes_one_with_a_certificate() -> None:
    assert meeting(server_context(issued(HERE), clients="Plant CA"), MINE)[0]


@pytest.mark.parametrize("top", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ({"ca": CA}, ("it wants a client certificate",)),
        (
            {"ca": CA, "certificate": STRANGER.certificate_pem, "key": STRANGER.key_pem},
            ("does not trust the authority of our certificate", "our certificate is bad"),
        ),
    ],
    ids=["none", "stranger"],
)
def test_a_broker_that_does_not_know_its_client_says_so_and_so_does_the_gateway(
    top: ssl.TLSVersion, tls: dict[str, Any], words: tuple[str, ...]
) -> None:
    context = server_context(issued(HERE), clients="Plant CA")
    context.maximum_version = top
    connected, error, connects = meeting(context, tls)
    assert not connected
    assert "refused the TLS handshake" in error
    assert any(each in error for each in words), error
    assert connects == 0


def test_no_version_in_common() -> None:
    context = server_context(issued(HERE))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    connected, error, _ = meeting(context, {"ca": CA, "min_version": "1.3"})
    assert not connected
    assert "TLS version" in error


def test_tls_towards_a_plain_broker_and_the_other_way_round() -> None:
    _, error, _ = meeting(None, {"ca": CA}, port=1883)
    assert "1883 is usually plain, TLS is usually at 8883" in error
    _, error, _ = meeting(server_context(issued(HERE)), None, port=8883)
    assert "is tls missing?" in error


CONFIG = """\
north:
  - host: 10.0.0.2
    tls:
      ca: |
        {ca}
{more}
"""


def complaint(ca: str, more: str = "") -> str:
    indented = ca.strip().replace("\n", "\n        ")
    with pytest.raises(FileError) as raised:
        validate(parse(CONFIG.format(ca=indented, more=more), "gw.yaml"), GatewayConfig)
    return str(raised.value)


def block(key: str, pem: str) -> str:
    return f"      {key}: |\n        " + pem.strip().replace("\n", "\n        ") + "\n"


def garbage(label: str) -> str:
    return f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----"


@pytest.mark.parametrize(
    ("ca", "more", "words"),
    [
        ("ca.pem", "", {"en": "not a file name", "zh": "而不是文件名"}),
        (garbage("CERTIFICATE"), "", {"en": "no usable certificate", "zh": "没有可用的证书"}),
        (CLIENT.key_pem, "", {"en": "holds a private key", "zh": "私钥"}),
        (CA, block("certificate", CLIENT.certificate_pem), {"en": "belong together", "zh": "要一起写"}),
        (
            CA,
            block("certificate", CLIENT.certificate_pem) + block("key", STRANGER.key_pem),
            {"en": "not the private key of certificate", "zh": "不是 certificate 的私钥"},
        ),
        (CA, "      cipher: x", {"en": "cipher", "zh": "cipher"}),
        (CA, block("key", garbage("PRIVATE KEY")), {"en": "no usable private key", "zh": "没有可用的私钥"}),
    ],
    ids=["file-name", "garbage", "key-as-ca", "no-key", "not-its-key", "unknown", "bad-key"],
)  # fmt: skip
def test_wrong_pem_is_refused_in_words(ca: str, more: str, words: dict[Language, str], language: Language) -> None:
    said = complaint(ca, more)
    assert words[language] in said
    assert said.startswith("gw.yaml:")
    assert "\n" not in said


def test_checking_needs_somebody_to_trust(language: Language) -> None:
    with pytest.raises(FileError, match="verify: false"):
        validate(parse("north:\n  - host: b\n    tls: {}\n", "gw.yaml"), GatewayConfig)


def test_many_authorities_may_be_trusted() -> None:
    both = CA + authority("Another CA").certificate_pem
    assert meeting(server_context(issued(HERE, by="Another CA")), {"ca": both})[0]
