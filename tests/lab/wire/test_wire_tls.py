"""TLS seen without keys: the hellos, certificates and alerts that pass in the open, and sizes of the rest."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire.malformed import Malformed
from lab.wire.tls import (
    ALERTS,
    CIPHER_SUITES,
    Alert,
    ApplicationData,
    Certificate,
    CertificateRequest,
    ChangeCipherSpec,
    ClientHello,
    ContentType,
    Decoder,
    Encrypted,
    Extension,
    Handshake,
    Message,
    Record,
    RecordDecoder,
    ServerHello,
    alpn,
    certificate_facts,
    cipher_suite_name,
    server_name,
    supported_versions,
    version_name,
)

STORIES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "tls" / "foreign.json").read_text(encoding="utf-8")
)
BY_NAME = {story["story"]: story for story in STORIES}


def decode(data: bytes, step: int = 0) -> list[Message]:
    decoder = Decoder()
    step = step or len(data) or 1
    return [message for at in range(0, len(data), step) for message in decoder.feed(data[at : at + step])]


def record(content_type: ContentType, fragment: bytes, version: int = 0x0303) -> bytes:
    return Record(content_type, version, fragment).encode()


def payload(story: str, side: str) -> bytes:
    return bytes.fromhex(BY_NAME[story][side]["tcp.payload"][0])


def said(story: str, side: str) -> list[Message]:
    return decode(payload(story, side))


# -- what we write -----------------------------------------------------------------------------------------------------

words = st.integers(0, 0xFFFF)
known = st.sampled_from(
    [server_name("broker.plant"), alpn("mqtt"), supported_versions(0x0A0A, 0x0304, 0x0303), Extension(0xFF01, b"\0")]
)
extensions = st.lists(known | st.builds(Extension, st.integers(100, 200), st.binary(max_size=9)), max_size=4)
client_hellos = st.builds(
    ClientHello,
    version=words,
    random=st.binary(min_size=32, max_size=32),
    session_id=st.binary(max_size=32),
    cipher_suites=st.lists(words, max_size=5).map(tuple),
    compression_methods=st.binary(max_size=2),
    extensions=extensions.map(tuple),
)
server_hellos = st.builds(
    ServerHello,
    legacy_version=st.just(0x0303),
    random=st.binary(min_size=32, max_size=32),
    session_id=st.binary(max_size=32),
    cipher_suite=words,
    compression_method=st.integers(0, 255),
    extensions=st.lists(st.sampled_from([alpn("h2"), Extension(51, b"key"), Extension(23, b"")]), max_size=3).map(
        tuple
    ),
)
certificates = st.builds(Certificate, st.lists(st.binary(max_size=70), max_size=2).map(tuple))
requests = st.builds(
    CertificateRequest,
    st.lists(st.integers(0, 255), max_size=3).map(tuple),
    st.lists(words, max_size=3).map(tuple),
    st.lists(st.binary(max_size=20), max_size=2).map(tuple),
)
handshakes = client_hellos | server_hellos | certificates | requests


@given(st.lists(handshakes, max_size=4), st.integers(1, 90), st.integers(1, 90))
def test_handshake_messages_survive_any_cut_into_records_and_segments(
    messages: list[ClientHello | ServerHello | Certificate | CertificateRequest], fragment: int, step: int
) -> None:
    content = b"".join(message.encode() for message in messages)
    pieces = [content[at : at + fragment] for at in range(0, len(content), fragment)]
    data = b"".join(record(ContentType.HANDSHAKE, piece) for piece in pieces)
    assert decode(data, step) == messages


@given(st.integers(1, 2), st.integers(0, 255))
def test_alerts_survive(level: int, description: int) -> None:
    alert = Alert(level, description)
    assert decode(record(ContentType.ALERT, alert.encode())) == [alert]


@given(
    st.lists(
        st.builds(Record, st.sampled_from(ContentType), st.integers(0x0300, 0x0304), st.binary(max_size=90)), max_size=6
    ),
    st.integers(1, 50),
)
def test_records_survive_any_segmentation(records: list[Record], step: int) -> None:
    data = b"".join(each.encode() for each in records)
    decoder = RecordDecoder()
    assert [r for at in range(0, len(data), step) for r in decoder.feed(data[at : at + step])] == records


# -- what others write, as tshark reads it -----------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("story", BY_NAME)
def test_openssl_and_python_read_as_tshark_reads_them(story: str, side: str) -> None:
    told: dict[str, list[str]] = {name: values for name, values in BY_NAME[story][side].items() if values}
    data = payload(story, side)
    records = list(RecordDecoder().feed(data))
    messages = decode(data)

    def heard(name: str) -> list[str]:
        return told.get(f"tls.{name}", [])

    assert [str(len(each.fragment)) for each in records] == heard("record.length")
    assert [f"0x{each.version:04x}" for each in records] == heard("record.version")
    types = Counter(str(int(each.content_type)) for each in records)
    assert types == Counter(heard("record.content_type") + heard("record.opaque_type"))
    assert [str(kind_of(each)) for each in messages if kind_of(each) is not None] == heard("handshake.type")

    client = [each for each in messages if isinstance(each, ClientHello)]
    server = [each for each in messages if isinstance(each, ServerHello)]
    assert [each.server_name for each in client if each.server_name] == heard("handshake.extensions_server_name")
    offered = [protocol for each in client for protocol in each.alpn]
    assert offered + [each.alpn for each in server if each.alpn] == heard("handshake.extensions_alpn_str")
    suites = [suite for each in client for suite in each.cipher_suites] + [each.cipher_suite for each in server]
    assert [f"0x{suite:04x}" for suite in suites] == heard("handshake.ciphersuite")
    sessions = [each.session_id.hex() for each in [*client, *server] if each.session_id]
    assert sessions == [value.replace(":", "") for value in heard("handshake.session_id")]
    extended = [
        version
        for each in client
        if len(each.versions) > 1 or each.versions != (each.version,)
        for version in each.versions
    ]
    extended += [each.version for each in server if each.version != each.legacy_version]
    assert [f"0x{version:04x}" for version in extended] == heard("handshake.extensions.supported_version")

    chain = [der for each in messages if isinstance(each, Certificate) for der in each.chain]
    assert [der.hex() for der in chain] == [value.replace(":", "") for value in heard("handshake.certificate")]
    facts = [certificate_facts(der) for der in chain]
    assert [f"{each.serial:x}" for each in facts] == [n.lstrip("0") for n in told.get("x509af.serialNumber", [])]
    assert [name for each in facts for name in each.names] == told.get("x509ce.dNSName", [])
    asked = [each for each in messages if isinstance(each, CertificateRequest)]
    assert [str(len(each.authorities)) for each in asked] == heard("handshake.dnames")

    alerts = [each for each in messages if isinstance(each, Alert)]
    assert [str(each.level) for each in alerts] == heard("alert_message.level")
    assert [str(each.description) for each in alerts] == heard("alert_message.desc")


def kind_of(message: Message) -> int | None:
    match message:
        case ClientHello():
            return 1
        case ServerHello():
            return 2
        case Certificate():
            return 11
        case CertificateRequest():
            return 13
        case Handshake(kind=kind):
            return kind
        case _:
            return None


def test_version_1_2_shows_the_certificate_and_then_only_sizes() -> None:
    hello, certificate, *rest = said("openssl 1.2", "server")
    assert isinstance(hello, ServerHello)
    assert (version_name(hello.version), hello.alpn) == ("TLS 1.2", "mqtt")
    assert cipher_suite_name(hello.cipher_suite) == "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    assert isinstance(certificate, Certificate)
    facts = certificate_facts(certificate.chain[0])
    assert (facts.subject, facts.issuer) == ("CN=server,O=工厂", "CN=ca,O=工厂")
    assert (facts.not_before, facts.not_after) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2056, 1, 1, tzinfo=UTC))
    assert facts.names == ("broker.plant", "localhost")
    assert [each.name for each in rest if isinstance(each, Handshake)] == [
        "server_key_exchange",
        "server_hello_done",
        "new_session_ticket",
    ]
    assert rest[-3:] == [ChangeCipherSpec(), Encrypted(ContentType.HANDSHAKE, 40), Encrypted(ContentType.ALERT, 26)]


def test_version_1_3_shows_nothing_after_the_hello() -> None:
    hello, *rest = said("python 1.3", "server")
    assert isinstance(hello, ServerHello)
    assert (version_name(hello.version), hello.legacy_version, hello.alpn) == ("TLS 1.3", 0x0303, None)
    assert {type(each) for each in rest} == {ChangeCipherSpec, ApplicationData}


@pytest.mark.parametrize(
    ("story", "side", "name"),
    [
        ("python 1.2, a stranger", "client", "unknown_ca"),
        ("python 1.3, a stranger", "client", "unknown_ca"),
        ("mutual, no certificate", "server", "handshake_failure"),
        ("mutual, a stranger", "server", "unknown_ca"),
        ("no version in common", "server", "protocol_version"),
        ("no cipher in common", "server", "handshake_failure"),
    ],
)
def test_a_handshake_that_fails_says_why(story: str, side: str, name: str) -> None:
    alert = said(story, side)[-1]
    assert isinstance(alert, Alert)
    assert (alert.name, alert.is_fatal) == (name, True)


def test_a_client_without_a_certificate_sends_an_empty_chain() -> None:
    assert Certificate(()) in said("mutual, no certificate", "client")


def test_a_client_asked_again_sends_its_second_hello_in_the_open() -> None:
    retry = said("asked for another hello", "server")[0]
    assert isinstance(retry, ServerHello)
    assert retry.is_retry_request
    kinds = [type(each) for each in said("asked for another hello", "client")]
    assert kinds[:3] == [ClientHello, ChangeCipherSpec, ClientHello]


@pytest.mark.foreign
def test_names_are_those_tshark_knows(tshark: str) -> None:
    known: dict[str, dict[int, str]] = {"ciphersuite": {}, "desc": {}}
    lines = subprocess.run([tshark, "-G", "values"], check=True, capture_output=True, text=True, timeout=60).stdout
    for line in lines.splitlines():
        kind, field, *value = [*line.split("\t"), ""]
        if kind == "V" and field in ("tls.handshake.ciphersuite", "tls.alert_message.desc"):
            known[field.rpartition(".")[2]][int(value[0])] = value[1]
    for number, name in CIPHER_SUITES.items():
        assert known["ciphersuite"][number] == name
    for number, name in ALERTS.items():
        assert known["desc"][number].replace(" ", "_").lower() == name


# -- what breaks the rules ---------------------------------------------------------------------------------------------

HELLO = ClientHello(0x0303, bytes(32), b"", (0x1301,))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n", "content type 71, TLS has 20 to 24"),
        (b"\x16\x02\x00\x00\x05", "record version 0x0200"),
        (b"\x17\x03\x03\xff\xff", "a record of 65535 bytes"),
        (record(ContentType.HANDSHAKE, b""), "an empty handshake record"),
        (record(ContentType.HANDSHAKE, b"\1\xff\xff\xff"), "a handshake message of 16777215 bytes"),
        (record(ContentType.HANDSHAKE, b"\1\0\0\3abc"), "32 bytes are announced where 1 are left"),
        (record(ContentType.HANDSHAKE, b"\1") + record(ContentType.CHANGE_CIPHER_SPEC, b"\1"), "in the middle of"),
        (record(ContentType.CHANGE_CIPHER_SPEC, b"\2"), "change cipher spec is 02, not 01"),
        (record(ContentType.ALERT, b"\3\0"), "alert level 3"),
        (record(ContentType.ALERT, b"\2\0\0"), "an alert of 3 bytes"),
    ],
)
def test_a_broken_rule_is_named(data: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        decode(data)


def hello_with(extension: Extension) -> bytes:
    hello = ClientHello(0x0303, bytes(32), b"", (0x1301,), extensions=(extension,))
    return record(ContentType.HANDSHAKE, hello.encode())


@pytest.mark.parametrize("kind", [0, 16, 43])
@given(content=st.binary(max_size=12))
def test_a_hello_that_was_decoded_can_be_asked_everything(kind: int, content: bytes) -> None:
    try:
        (hello,) = decode(hello_with(Extension(kind, content)))
    except Malformed:
        return
    assert isinstance(hello, ClientHello)
    assert isinstance((hello.server_name or "") + "".join(hello.alpn) + "".join(map(str, hello.versions)), str)


def test_messages_before_the_broken_one_are_given_and_nothing_after() -> None:
    decoder = Decoder()
    messages = decoder.feed(record(ContentType.HANDSHAKE, HELLO.encode()) + b"nonsense")
    assert next(messages) == HELLO
    with pytest.raises(Malformed):
        next(messages)
    with pytest.raises(Malformed):
        decoder.feed(b"")


@given(st.binary(max_size=200), st.integers(0, 1500), st.integers(1, 60), st.sampled_from(["client", "server"]))
def test_any_bytes_at_all_are_read_or_refused(noise: bytes, at: int, step: int, side: str) -> None:
    good = payload("mutual 1.2", side)
    for data in (noise, good[:at] + noise + good[at + len(noise) :]):
        try:
            messages = decode(data, step)
        except Malformed:
            continue
        for message in messages:
            if isinstance(message, Certificate):
                for der in message.chain:
                    try:
                        certificate_facts(der)
                    except Malformed:
                        pass
