"""OPC UA as asyncua and node-opcua speak it: we read what tshark reads (recorded by tests/golden/opcua/record.py)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lab.wire import ethernet, ipv4, pcapng
from lab.wire.opcua import (
    BuiltInType,
    ChannelDecoder,
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    Message,
    NodeId,
    Opaque,
    Open,
    QualifiedName,
    Service,
    StatusCode,
    Transported,
    UnknownService,
    UnreadableService,
    Variant,
    codec,
)
from lab.wire.opcua.attribute import (
    BrowseResponse,
    CallResponse,
    ReadRequest,
    ReadResponse,
    TranslateBrowsePathsToNodeIdsResponse,
    WriteResponse,
)
from lab.wire.opcua.common import MessageSecurityMode, Request, Response, ServiceFault
from lab.wire.opcua.session import (
    ActivateSessionRequest,
    AnonymousIdentityToken,
    CreateSessionRequest,
    GetEndpointsResponse,
    UserNameIdentityToken,
)
from lab.wire.opcua.subscription import (
    CreateMonitoredItemsRequest,
    CreateSubscriptionRequest,
    DataChangeFilter,
    DataChangeNotification,
    PublishResponse,
)
from lab.wire.opcua.variant import TYPE_IDS

GOLDEN = Path(__file__).parents[2] / "golden" / "opcua"
PORT = 14840
Fields = list[tuple[str, str]]


def streams(capture: Path) -> Iterator[tuple[int, int, bytes]]:
    """Stream number, source port and all payload of every direction of every TCP connection."""
    numbers: dict[tuple[int, int], int] = {}
    payloads: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)
    with capture.open("rb") as file:
        for frame in pcapng.read(file):
            # By hand: the loopback interface leaves TCP checksums unfinished, which lab.wire.tcp refuses.
            segment = ipv4.decode(ethernet.decode(frame.data).payload).payload
            source, destination, sequence = struct.unpack_from("!HHI", segment)
            numbers.setdefault((min(source, destination), max(source, destination)), len(numbers))
            if payload := segment[(segment[12] >> 4) * 4 :]:
                payloads[source, destination][sequence] = payload
    for (source, destination), pieces in payloads.items():
        stream = numbers[min(source, destination), max(source, destination)]
        yield stream, source, b"".join(piece for _, piece in sorted(pieces.items()))


def dissection(name: str) -> dict[tuple[int, int], list[Fields]]:
    """What tshark saw, by stream and source port."""
    seen = defaultdict(list)
    for line in (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        seen[message["stream"], message["port"]].append(
            [(field.removeprefix("opcua."), value) for field, value in message["fields"]]
        )
    return seen


# --- one way to write down what a message says ------------------------------------------------------------------------


def plain(text: str) -> str:
    """Numbers and times in one form, whatever form they had."""
    try:
        return str(int(text, 0))
    except ValueError:
        pass
    try:
        number = float(text)
        return str(int(number)) if number.is_integer() else f"{number:.6g}"
    except ValueError:
        pass
    try:
        moment = datetime.strptime(text[:-7], "%b %d, %Y %H:%M:%S.%f").replace(tzinfo=UTC)  # of nine digits, six
    except ValueError:
        return text
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return str((since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000 + int(text[-7:-4]))


NAMES = {"status": "StatusCode", "return_diagnostics": "returndiag"}
NAMES |= {"node_class_mask": "nodeclassmask.all", "result_mask": "resultmask.all"}
VARIANT_NAMES = {BuiltInType.BOOLEAN: "Boolean", BuiltInType.DOUBLE: "Double", BuiltInType.FLOAT: "Float"}
VARIANT_NAMES |= {BuiltInType.STRING: "String", BuiltInType.BYTE_STRING: "ByteString"}
VARIANT_NAMES |= {BuiltInType.INT32: "Int32", BuiltInType.UINT32: "UInt32"}


def leaves(name: str, value: Any) -> Iterator[tuple[str, object]]:
    """Every value in a message in the order of the wire, under tshark's name for it."""
    match value:
        case tuple():
            for one in value:
                yield from leaves(name, one)
        case NodeId(namespace, identifier):
            kind = {int: "numeric", str: "string", UUID: "guid", bytes: "bytestring"}[type(identifier)]
            yield "nodeid.nsindex", namespace
            yield f"nodeid.{kind}", identifier
        case ExpandedNodeId():
            yield from leaves(name, value.node_id)
        case QualifiedName():
            yield "qualname.Id", value.namespace
            yield "qualname.Name", value.name
        case LocalizedText():
            yield from [("loctext.Locale", value.locale)] if value.locale is not None else []
            yield from [("loctext.Text", value.text)] if value.text is not None else []
        case DiagnosticInfo():
            pass
        case DataValue():
            yield from leaves(name, value.value) if value.value is not None else ()
            yield "StatusCode", value.status
            yield "datavalue.SourceTimestamp", value.source_timestamp
            yield "datavalue.ServerTimestamp", value.server_timestamp
        case Variant():
            yield from leaves(VARIANT_NAMES[value.type], value.value) if value.type else ()
        case None if name in ("AdditionalHeader", "Filter", "FilterResult"):
            yield from leaves(name, NodeId())
        case ExtensionObject():
            yield from leaves(name, value.type_id)
        case IntEnum():
            yield type(value).__name__, int(value)
        case _ if type(value) in TYPE_IDS and name != "":
            yield from leaves(name, NodeId(0, TYPE_IDS[type(value)]))
            yield from leaves("", value)
        case _ if hasattr(value, "__dataclass_fields__"):
            for field in fields(value):
                given = "".join(part.capitalize() for part in field.name.split("_"))
                yield from leaves(NAMES.get(field.name, given), getattr(value, field.name))
        case _:
            yield name, value


def as_we_see(body: Service) -> Fields:
    seen = []
    for name, value in leaves("", body):
        match value:
            case bytes():
                text = value.hex(":")
                text = text if len(text) < 500 else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
            case bool() | StatusCode():
                text = str(int(value))
            case codec.NO_TIME:
                text = "0"
            case _:
                text = "" if value is None else str(value)
        seen.append((name, plain(text)))
    return relevant(seen)


def as_tshark_sees(fields_: Fields) -> Fields:
    aside = ("transport.", "security.", "servicenodeid.", "returndiag.", "diag.", "expandednodeid.", "extobj.")
    aside += (
        "datavalue.has_",
        "datavalue.mask",
        "loctext.has_",
        "loctext.mask",
        "variant.",
        "fragment",
        "reassembled.",
    )
    return relevant(
        [
            (name, plain(value))
            for name, value in fields_
            if not name.startswith(aside) and not name.endswith("encodingmask")
        ]
    )


def relevant(seen: Fields) -> Fields:
    """Without what is as good as absent: the namespace 0, the status Good, empty and null strings."""
    return [
        (name, value)
        for name, value in seen
        if value != "" and (name, value) not in (("nodeid.nsindex", "0"), ("StatusCode", "0"))
    ]


# --- the comparison ---------------------------------------------------------------------------------------------------


def decoded(name: str) -> Iterator[tuple[int, int, ChannelDecoder, list[Transported]]]:
    for stream, port, data in streams(GOLDEN / f"{name}.pcapng"):
        decoder = ChannelDecoder()
        yield stream, port, decoder, list(decoder.feed(data))


def compare(message: Transported, fields_: Fields) -> None:
    theirs = dict(reversed(fields_))
    match message:
        case Open():
            assert message.policy_uri == theirs["security.spu"]
            assert message.channel_id == int(theirs["transport.scid"])
            assert message.sequence_number == int(theirs["security.seq"])
        case Message():
            assert ("CLO" if message.closes else "MSG") == theirs["transport.type"]
            assert message.channel_id == int(theirs["transport.scid"])
            assert message.token_id == int(theirs["security.tokenid"])
        case Opaque():
            assert message.kind.value.decode() == theirs["transport.type"]
            assert message.channel_id == int(theirs["transport.scid"])
            assert len(message.encode()) == int(theirs["transport.size"])
            if message.token_id is None:
                assert message.policy_uri == theirs["security.spu"]
                assert (message.receiver_thumbprint or b"").hex(":") == theirs["security.rcthumb"]
            return
        case _:
            ours = [str(getattr(message, field.name)) for field in fields(message)]
            assert ours == [value for name, value in fields_ if name.startswith("transport.")][3:]
            return
    assert not isinstance(message.body, UnknownService | UnreadableService)
    assert message.request_id == int(theirs["security.rqid"])
    assert TYPE_IDS[type(message.body)] == int(theirs["servicenodeid.numeric"])
    assert as_we_see(message.body) == as_tshark_sees(fields_)


@pytest.mark.parametrize("name", ["asyncua", "node", "secured"])
def test_we_see_in_foreign_traffic_what_tshark_sees(name: str) -> None:
    expected = dissection(name)
    for stream, port, _, ours in decoded(name):
        theirs = [one for one in expected.pop((stream, port)) if ("transport.chunk", "C") not in one]
        for message, fields_ in zip(ours, theirs, strict=True):
            compare(message, fields_)
    assert not expected


def bodies(name: str, kind: type[Any]) -> list[Any]:
    """All requests or responses of one kind, in the order of the connections."""
    return [
        message.body
        for _, _, _, messages in decoded(name)
        for message in messages
        if isinstance(message, Message) and isinstance(message.body, kind)
    ]


def test_the_services_a_scenario_is_marked_by_are_all_in_the_captures() -> None:
    seen = {type(body).__name__ for name in ("asyncua", "node") for body in bodies(name, Request | Response)}
    wanted = """GetEndpoints CreateSession ActivateSession CloseSession TranslateBrowsePathsToNodeIds Browse Read Write
        Call CreateSubscription CreateMonitoredItems DeleteMonitoredItems Publish DeleteSubscriptions"""
    assert {service + way for service in wanted.split() for way in ("Request", "Response")} <= seen


def test_the_endpoints_offer_three_modes_and_two_policies() -> None:
    endpoints = bodies("asyncua", GetEndpointsResponse)[0].endpoints
    assert {(one.security_mode, one.security_policy_uri.partition("#")[2]) for one in endpoints} == {
        (MessageSecurityMode.NONE, "None"),
        (MessageSecurityMode.SIGN, "Basic256Sha256"),
        (MessageSecurityMode.SIGN_AND_ENCRYPT, "Basic256Sha256"),
    }


def test_who_logs_in_and_how_is_told() -> None:
    anonymous, refused = (request.user_identity_token for request in bodies("asyncua", ActivateSessionRequest))
    assert isinstance(anonymous, AnonymousIdentityToken)
    assert isinstance(refused, UserNameIdentityToken)
    assert refused.user_name == "acq"
    assert refused.encryption_algorithm == "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
    assert [str(fault.header.service_result) for fault in bodies("asyncua", ServiceFault)] == ["Bad_UserAccessDenied"]
    assert bodies("asyncua", CreateSessionRequest)[0].session_name == "Pure Python Async Client Session1"


def test_what_was_read_and_with_which_quality_is_told() -> None:
    asked = [str(one.node_id) for request in bodies("asyncua", ReadRequest) for one in request.nodes_to_read]
    given = [one for response in bodies("asyncua", ReadResponse) for one in response.results]
    told = {node: (str(one.status), one.value and one.value.value) for node, one in zip(asked, given, strict=True)}
    assert told["ns=2;s=CNC01.SpindleSpeed"] == ("Good", 1200.25)
    assert told["ns=2;s=CNC01.Program"] == ("Good", "O1000 铣面")
    assert told["ns=2;i=7"] == ("Good", (1.5, -2.5, 0.25))
    assert told["ns=2;s=CNC01.Nothing"][0] == "Bad_NodeIdUnknown"
    assert told["ns=2;s=CNC01.Log"] == ("Good", b"\xa5" * 70_000)  # in two chunks


@pytest.mark.parametrize("name", ["asyncua", "node"])
def test_a_refused_write_and_the_result_of_a_call_are_told(name: str) -> None:
    assert [str(result) for response in bodies(name, WriteResponse) for result in response.results] == [
        "Good",
        "Bad_UserAccessDenied",
    ]
    called = [result for response in bodies(name, CallResponse) for result in response.results]
    assert called[0].output_arguments == (Variant(BuiltInType.INT32, 42),)
    assert [str(result.status) for result in called[1:]] == ["Bad_NodeIdInvalid"] * (name == "asyncua")


def test_what_the_machine_consists_of_is_told() -> None:
    [browsed] = [response.results[0] for response in bodies("asyncua", BrowseResponse)]
    assert {"CNC01.PartCount", "CNC01.Sum"} <= {one.node_id.node_id.identifier for one in browsed.references}
    [found] = bodies("asyncua", TranslateBrowsePathsToNodeIdsResponse)
    assert str(found.results[0].targets[0].target_id) == "ns=2;s=CNC01"


def test_a_subscription_its_filter_and_its_values_are_told() -> None:
    [subscription] = bodies("node", CreateSubscriptionRequest)
    assert (subscription.requested_publishing_interval, subscription.priority) == (100.0, 7)
    [items] = bodies("node", CreateMonitoredItemsRequest)
    assert str(items.items_to_create[0].item_to_monitor.node_id) == "ns=2;s=CNC01.PartCount"
    assert items.items_to_create[0].requested_parameters.filter == DataChangeFilter(1, 1, 0.5)
    data = [
        data for response in bodies("node", PublishResponse) for data in response.notification_message.notification_data
    ]
    assert all(isinstance(one, DataChangeNotification) for one in data)
    counts = [item.value.value.value for one in data for item in one.monitored_items]
    assert len(counts) >= 4
    assert counts == list(range(counts[0], counts[0] + len(counts)))


def test_a_signing_channel_is_read_and_an_encrypting_one_is_known_as_such() -> None:
    policy = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
    secured = [
        (decoder.mode, messages) for _, _, decoder, messages in decoded("secured") if decoder.policy_uri == policy
    ]
    assert [mode for mode, _ in secured] == [MessageSecurityMode.SIGN] * 2 + [MessageSecurityMode.SIGN_AND_ENCRYPT] * 2
    signed = [message for _, messages in secured[:2] for message in messages if isinstance(message, Message)]
    assert all(message.is_signed for message in signed)
    assert any(isinstance(message.body, PublishResponse) for message in signed)
    assert not [message for _, messages in secured[2:] for message in messages if isinstance(message, Message)]


@pytest.mark.parametrize("name", ["asyncua", "node"])
def test_what_we_write_again_is_what_they_wrote(name: str) -> None:
    """But for null arrays and StatusCode Good, which foreign programs write out where we do not."""
    for _, port, _, messages in decoded(name):
        again = list(ChannelDecoder().feed(b"".join(message.encode() for message in messages)))
        assert again == messages, port
