"""mqtt: against the lab's broker, a wrong password, a forbidden topic, and servers that are no brokers."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from console_kit import Console, Site, console_at, garbage_at, tell
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.registry import KINDS
from lab.network.appliance import Appliance
from lab.network.opcua_identity import application_identity
from lab.wire.mqtt import Connack, Suback

ACL = [{"topic": "secret/#", "access": "deny"}, {"topic": "#", "access": "readwrite"}]


async def broker(site: Site, **config: Any) -> tuple[Console, Appliance[Any]]:
    interfaces = {"eth0": {"address": "10.0.0.2/24"}}
    device = await site.device(KINDS["broker"], "broker", {"interfaces": interfaces, **config})
    site.plug("broker")
    return console_at(site), device


async def stop(device: Appliance[Any]) -> None:
    await device.host.spawn(device.stop())
    await asyncio.sleep(1)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_published_arrives_where_it_is_subscribed(qos: int) -> None:
    async def story(site: Site) -> None:
        at, device = await broker(site, allow_anonymous=True)
        listening = at.begin(f"mqtt sub -h 10.0.0.2 -t plant/# -q {qos} -v -C 2")
        await asyncio.sleep(1)
        assert await at.run(f"mqtt pub -h 10.0.0.2 -t plant/a -m 你好 -q {qos} --repeat 2 --repeat-delay 0.5") == ""
        assert at.status == 0
        assert await listening.end() == 0
        assert listening.said == "plant/a 你好\nplant/a 你好\n"
        await stop(device)

    tell(story)


def test_a_retained_message_waits_and_is_cleared() -> None:
    async def story(site: Site) -> None:
        at, device = await broker(site, allow_anonymous=True)
        await at.run("mqtt pub -h 10.0.0.2 -t state -m on -r -q 1")
        assert await at.run("mqtt sub -h 10.0.0.2 -t state -W 2") == "on\n"
        assert at.status == 27, "mosquitto_sub's time-out"
        assert await at.run("mqtt sub -h 10.0.0.2 -t state -R -W 1") == ""
        await at.run("mqtt pub -h 10.0.0.2 -t state -n -r -q 1")
        assert await at.run("mqtt sub -h 10.0.0.2 -t state -W 1") == ""
        await stop(device)

    tell(story)


def test_who_may_not_is_told_so() -> None:
    async def story(site: Site) -> None:
        at, device = await broker(site, users={"edge": {"password": "right"}}, allow_anonymous=False, acl=ACL)
        assert "refused CONNECT: not authorised (5)" in await at.run("mqtt pub -h 10.0.0.2 -t a -m x -u edge -P wrong")
        assert "refused CONNECT" in await at.run("mqtt sub -h 10.0.0.2 -t a")
        assert at.status == 1
        assert await at.run("mqtt pub -h 10.0.0.2 -t a -m x -q 1 -u edge -P right") == ""
        said = await at.run("mqtt sub -h 10.0.0.2 -t secret/x -u edge -P right")
        assert said == "mqtt: the broker refuses the subscription to secret/x\n"
        assert "unsupported protocol version" in await at.run("mqtt pub -h 10.0.0.2 -t a -m x -V 5 -u edge -P right")
        await stop(device)

    tell(story)


def test_a_subscriber_is_stopped_or_loses_its_broker() -> None:
    async def story(site: Site) -> None:
        at, device = await broker(site, allow_anonymous=True)
        await at.interrupted("mqtt sub -h 10.0.0.2 -t a", 2)
        listening = at.begin("mqtt sub -h 10.0.0.2 -t a")
        await asyncio.sleep(200)
        await stop(device)
        assert await listening.end() == 1, "keep-alive has kept it until then"
        assert listening.said == "mqtt: the connection was lost\n"
        assert "Connection refused" in await at.run("mqtt pub -h 10.0.0.2 -t a -m x")

    tell(story)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("pub -h b -t a/# -m x", "wildcard"),
        ("pub -h b -t a", "a message is needed"),
        ("sub -h b -t a/#/b", "no topic filter"),
        ("pub -h b -t a -m x --tls", "--cafile"),
        ("pub -h b -t a -m x --cafile ca.pem", "no folder"),
        ("pub -h b -t a -m x -q 3", "known: 0, 1, 2"),
        ("pub -h nosuch -t a -m x", "not known"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(line: str, why: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        assert why in await at.run(f"mqtt {line}")
        assert at.status in (1, 2)
        await asyncio.sleep(1)
        assert all(frame.data[12:14] == b"\x08\x06" for frame in site.frames)

    tell(story)


def test_mqtt_5_says_why_a_message_is_not_taken() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        host = site.host("broker", "10.0.0.2/24")

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(bytes.fromhex("2003000000"))
            publish = await reader.read(1000)
            at_identifier = 2 + 2 + 1
            writer.write(b"\x40\x03" + publish[at_identifier : at_identifier + 2] + b"\x87")
            await reader.read()
            writer.close()

        await host.spawn(asyncio.start_server(refuse, "0.0.0.0", 1883))
        text = await at.run("mqtt pub -h 10.0.0.2 -V 5 -t x -m y -q 1")
        assert at.status == 1
        return text

    assert tell(story) == "mqtt: the broker did not take the message: not authorized\n"


def test_tls_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        at = console_at(site, folder=tmp_path)
        host = site.host("broker", "10.0.0.2/24")
        identity = await application_identity("urn:broker", "broker", "server")
        pem = identity.certificate.public_bytes(Encoding.PEM)
        (tmp_path / "ca.pem").write_bytes(pem)
        (tmp_path / "key.pem").write_bytes(pem + identity.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "key.pem")

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(Connack(False, 0).encode())
            await reader.read()
            writer.close()

        await host.spawn(asyncio.start_server(accept, "0.0.0.0", 8883, ssl=context))
        at.host._names["broker"] = "10.0.0.2"
        assert await at.run("mqtt pub -h broker -t a -m x --insecure") == ""
        assert at.status == 0
        assert await at.run("mqtt pub -h broker -t a -m x --cafile ca.pem") == ""
        said = await at.run("mqtt pub -h 10.0.0.2 -t a -m x --cafile ca.pem")
        assert "certificate is not trusted: IP address mismatch" in said
        assert "Connection refused" in await at.run("mqtt pub -h broker -t a -m x --insecure -p 8884")
        assert "cannot use these" in await at.run("mqtt pub -h broker -t a -m x --cafile nosuch.pem")

    tell(story)


@settings(max_examples=60)
@given(
    st.sampled_from([b"", Connack(False, 0).encode(), Connack(False, 0).encode() + Suback(1, (0,)).encode()]),
    st.binary(max_size=40),
    st.sampled_from(["pub -m x -q 1", "sub -W 2", "sub -W 2 -V 5", "pub -m x -q 2 -V 5"]),
)
def test_nonsense_from_a_server_is_survived(good: bytes, answer: bytes, line: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await garbage_at(site.host("broker", "10.0.0.2/24"), 1883, good + answer)
        await at.run(f"mqtt {line} -h 10.0.0.2 -t a")
        assert at.status in (0, 1, 27)

    tell(story)
