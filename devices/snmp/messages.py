"""SNMP messages (RFC 3416, RFC 1901, RFC 3412), read and written with pysnmp's definitions.

Only its message and security layers are used: an engine of pysnmp takes 70 ms to make, loads its own MIB files each
time, keeps its boots in a file of this computer and ticks ten times a second. Import this module late: it takes 0.2 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final, NamedTuple

from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]
from pyasn1.error import PyAsn1Error  # type: ignore[import-untyped]
from pyasn1.type import univ  # type: ignore[import-untyped]
from pysnmp.error import PySnmpError  # type: ignore[import-untyped]
from pysnmp.proto import rfc1901, rfc1902, rfc1905  # type: ignore[import-untyped]
from pysnmp.proto.api.verdec import decode_message_version  # type: ignore[import-untyped]
from pysnmp.proto.mpmod.rfc3412 import ScopedPDU, SNMPv3Message  # type: ignore[import-untyped]
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters  # type: ignore[import-untyped]

from devices.snmp.device import Oid
from devices.snmp.mib import ErrorStatus, Kind, Missing, Value
from lab.wire.malformed import Malformed

V1, V2C, V3 = 0, 1, 3
AUTHENTICATED, ENCRYPTED, REPORTABLE = 1, 2, 4
USM: Final = 3

_TYPES: Final[dict[Kind, Any]] = {
    Kind.INTEGER: rfc1902.Integer32,
    Kind.OCTETS: rfc1902.OctetString,
    Kind.OID: univ.ObjectIdentifier,
    Kind.ADDRESS: rfc1902.IpAddress,
    Kind.COUNTER32: rfc1902.Counter32,
    Kind.GAUGE: rfc1902.Gauge32,
    Kind.TICKS: rfc1902.TimeTicks,
    Kind.COUNTER64: rfc1902.Counter64,
}
_KINDS: Final = {form().tagSet: kind for kind, form in _TYPES.items()}
_MISSING: Final = {
    Missing.OBJECT: rfc1905.noSuchObject,
    Missing.INSTANCE: rfc1905.noSuchInstance,
    Missing.END: rfc1905.endOfMibView,
}
_REFUSED: Final = (PyAsn1Error, PySnmpError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""Besides its own errors pyasn1 lets out some by accident, such as TypeError for the bytes 60 00."""


class Operation(Enum):
    GET = "get-request"
    NEXT = "get-next-request"
    BULK = "get-bulk-request"
    SET = "set-request"
    RESPONSE = "response"
    TRAP = "snmpV2-trap"
    REPORT = "report"


_FORMS: Final[dict[Operation, Any]] = {
    Operation.GET: rfc1905.GetRequestPDU,
    Operation.NEXT: rfc1905.GetNextRequestPDU,
    Operation.BULK: rfc1905.GetBulkRequestPDU,
    Operation.SET: rfc1905.SetRequestPDU,
    Operation.RESPONSE: rfc1905.ResponsePDU,
    Operation.TRAP: rfc1905.SNMPv2TrapPDU,
    Operation.REPORT: rfc1905.ReportPDU,
}
_OPERATIONS: Final = {form.tagSet: operation for operation, form in _FORMS.items()}


class Pdu(NamedTuple):
    operation: Operation
    request_id: int
    bindings: Sequence[tuple[Oid, Value | Missing | None]]
    """None is an unspecified value, or one of a type that is not known."""
    first: int = 0
    """Error status, or non-repeaters in get-bulk."""
    second: int = 0
    """Error index, or max-repetitions."""


class Community(NamedTuple):
    """A message of SNMPv2c."""

    community: bytes
    pdu: Pdu


class Secured(NamedTuple):
    """A message of SNMPv3 with the User-based Security Model."""

    message_id: int
    max_size: int
    flags: int
    engine: bytes
    boots: int
    time: int
    user: bytes
    digest: bytes = b""
    salt: bytes = b""
    scoped: bytes = b""
    """The scoped PDU, encrypted or not."""


class Scoped(NamedTuple):
    engine: bytes
    context: bytes
    pdu: Pdu


def version(data: bytes) -> int:
    """Of an SNMP message; raises Malformed."""
    with _readable():
        return int(decode_message_version(data))


def decode_community(data: bytes) -> Community:
    """A message of SNMPv2c; raises Malformed."""
    message = _decode(data, rfc1901.Message())
    with _readable():
        return Community(bytes(message["community"]), _pdu(message["data"]))


def encode_community(message: Community) -> bytes:
    whole = rfc1901.Message()
    whole["version"] = V2C
    whole["community"] = message.community
    whole["data"] = _choice(whole["data"], message.pdu)
    return bytes(encoder.encode(whole))


def decode_secured(data: bytes) -> Secured:
    """The outside of a message of SNMPv3; raises Malformed, also for another security model than USM."""
    message = _decode(data, SNMPv3Message())
    with _readable():
        header = message["msgGlobalData"]
        if int(header["msgSecurityModel"]) != USM:
            raise Malformed(f"security model {int(header['msgSecurityModel'])}")
        security = _decode(bytes(message["msgSecurityParameters"]), UsmSecurityParameters())
        flags = bytes(header["msgFlags"])[0]
        part = message["msgData"]
        if bool(flags & ENCRYPTED) != (part.getName() == "encryptedPDU") or flags & 3 == ENCRYPTED:
            raise Malformed("the flags do not fit the message")
        inner = part.getComponent()
        return Secured(
            int(header["msgID"]),
            int(header["msgMaxSize"]),
            flags,
            bytes(security["msgAuthoritativeEngineId"]),
            int(security["msgAuthoritativeEngineBoots"]),
            int(security["msgAuthoritativeEngineTime"]),
            bytes(security["msgUserName"]),
            bytes(security["msgAuthenticationParameters"]),
            bytes(security["msgPrivacyParameters"]),
            bytes(inner) if flags & ENCRYPTED else bytes(encoder.encode(inner)),
        )


def encode_secured(message: Secured) -> bytes:
    security = UsmSecurityParameters()
    security["msgAuthoritativeEngineId"] = message.engine
    security["msgAuthoritativeEngineBoots"] = message.boots
    security["msgAuthoritativeEngineTime"] = message.time
    security["msgUserName"] = message.user
    security["msgAuthenticationParameters"] = message.digest
    security["msgPrivacyParameters"] = message.salt
    whole = SNMPv3Message()
    whole["msgVersion"] = V3
    header = whole["msgGlobalData"]
    header["msgID"] = message.message_id
    header["msgMaxSize"] = message.max_size
    header["msgFlags"] = bytes((message.flags,))
    header["msgSecurityModel"] = USM
    whole["msgSecurityParameters"] = encoder.encode(security)
    if message.flags & ENCRYPTED:
        whole["msgData"]["encryptedPDU"] = message.scoped
    else:
        whole["msgData"]["plaintext"] = _decode(message.scoped, ScopedPDU())
    return bytes(encoder.encode(whole))


def decode_scoped(data: bytes) -> Scoped:
    """A scoped PDU in clear; raises Malformed."""
    scoped = _decode(data, ScopedPDU())
    with _readable():
        return Scoped(bytes(scoped["contextEngineId"]), bytes(scoped["contextName"]), _pdu(scoped["data"]))


def encode_scoped(scoped: Scoped) -> bytes:
    whole = ScopedPDU()
    whole["contextEngineId"] = scoped.engine
    whole["contextName"] = scoped.context
    whole["data"] = _choice(whole["data"], scoped.pdu)
    return bytes(encoder.encode(whole))


@contextmanager
def _readable() -> Iterator[None]:
    """What cannot be read inside is Malformed."""
    try:
        yield
    except _REFUSED as error:
        raise Malformed(f"no SNMP message: {error}") from None


def _decode(data: bytes, form: Any) -> Any:
    with _readable():
        return decoder.decode(data, asn1Spec=form)[0]


def _pdu(choice: Any) -> Pdu:
    pdu = choice.getComponent()
    operation = _OPERATIONS.get(pdu.tagSet)
    if operation is None:
        raise Malformed(f"nobody expects {choice.getName()}")
    bindings = [(tuple(bound[0]), _value(bound[1])) for bound in pdu[3]]
    return Pdu(operation, int(pdu[0]), bindings, int(pdu[1]), int(pdu[2]))


def _value(bound: Any) -> Value | None:
    if bound.getName() != "value":
        return None
    simple = bound.getComponent()
    while isinstance(simple, univ.Choice):
        simple = simple.getComponent()
    kind = _KINDS.get(simple.tagSet)
    if kind is None:
        return None
    if kind is Kind.OID:
        return Value(kind, tuple(simple))
    return Value(kind, bytes(simple) if kind in (Kind.OCTETS, Kind.ADDRESS) else int(simple))


def _choice(choice: Any, pdu: Pdu) -> Any:
    whole = _FORMS[pdu.operation]()
    whole[0], whole[1], whole[2] = pdu.request_id, int(pdu.first), pdu.second
    bound = whole[3]
    bound.clear()  # so that it is an empty list and not none at all
    for number, (oid, value) in enumerate(pdu.bindings):
        each = rfc1905.VarBind()
        each[0] = oid
        if isinstance(value, Missing):
            each[1][value.value] = _MISSING[value]
        elif value is None:
            each[1]["unSpecified"] = rfc1905.unSpecified
        else:
            each[1]["value"].setComponentByType(
                _TYPES[value.kind].tagSet, _TYPES[value.kind](value.data), innerFlag=True
            )
        bound[number] = each
    choice.setComponentByType(whole.tagSet, whole)
    return choice


def answer(request: Pdu, bindings: Sequence[tuple[Oid, Value | Missing | None]]) -> Pdu:
    return Pdu(Operation.RESPONSE, request.request_id, bindings)


def refusal(request: Pdu, status: ErrorStatus, index: int) -> Pdu:
    """RFC 3416 section 4.2: what was asked for goes back with the reason, except where that is its size."""
    return Pdu(
        Operation.RESPONSE, request.request_id, () if status is ErrorStatus.TOO_BIG else request.bindings, status, index
    )
