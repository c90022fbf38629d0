"""What is wrong with an OPC UA client's messages, by a content profile."""

from __future__ import annotations

from typing import Final

from lab.network.firewall.content import OpcUaContent
from lab.wire.malformed import Malformed
from lab.wire.opcua import (
    ChannelDecoder,
    Hello,
    Kind,
    Message,
    Opaque,
    Open,
    Service,
    Transported,
    UnknownService,
    UnreadableService,
)
from lab.wire.opcua.common import MessageSecurityMode, Response
from lab.wire.opcua.session import OpenSecureChannelRequest

_LARGEST: Final = 1 << 20
"""Bytes of the largest message that is let through."""
_SUFFIX: Final = "Request"
_ALWAYS: Final = frozenset(
    {"OpenSecureChannel", "CloseSecureChannel", "GetEndpoints", "CreateSession", "ActivateSession", "CloseSession"}
)
_MODES: Final = {
    MessageSecurityMode.NONE: "None",
    MessageSecurityMode.SIGN: "Sign",
    MessageSecurityMode.SIGN_AND_ENCRYPT: "SignAndEncrypt",
}
_OTHERS: Final = {
    # Binary encoding ids of requests (OPC 10000-6 annex A) that lab.wire.opcua has no class for.
    437: "RegisterServer",
    479: "Cancel",
    488: "AddNodes",
    494: "AddReferences",
    500: "DeleteNodes",
    506: "DeleteReferences",
    560: "RegisterNodes",
    566: "UnregisterNodes",
    615: "QueryFirst",
    621: "QueryNext",
    664: "HistoryRead",
    700: "HistoryUpdate",
    763: "ModifyMonitoredItems",
    769: "SetMonitoringMode",
    775: "SetTriggering",
    841: "TransferSubscriptions",
}


def service_name(service: Service) -> str | None:
    """The name of a request's service, such as `Write`; None where it is not known."""
    if isinstance(service, UnknownService):
        number = service.type_id.identifier
        return _OTHERS.get(number) if isinstance(number, int) and service.type_id.namespace == 0 else None
    return type(service).__name__.removesuffix(_SUFFIX)


class OpcUaJudge:
    """Follows what one client says on one connection."""

    def __init__(self, content: OpcUaContent) -> None:
        self._content = content
        self._decoder = ChannelDecoder(max_message=_LARGEST, max_chunks=64)
        self._policies = None if content.policies is None else frozenset(content.policies)
        self._modes = None if content.modes is None else frozenset(content.modes)
        self._services = None if content.services is None else frozenset(content.services) | _ALWAYS
        self._forbidden = frozenset(content.forbidden)

    def feed(self, data: bytes) -> str | None:
        """What is wrong with these bytes, or None: they may pass, even where they end in the middle of a message."""
        try:
            for message in self._decoder.feed(data):
                fault = self._fault_of(message)
                if fault is not None:
                    return fault
        except Malformed as malformed:
            return f"format: {malformed}"
        return None

    def _fault_of(self, message: Transported) -> str | None:
        match message:
            case Hello():
                return None
            case Open(policy_uri=uri, body=body):
                return self._fault_of_policy(uri) or self._fault_of_request(body)
            case Opaque(kind=Kind.OPEN, policy_uri=uri):
                return self._fault_of_policy(uri or "")
            case Opaque():
                if self._decoder.mode is None and self._decoder.policy_uri is None:
                    return "format: a message before its channel is open"
                return self._fault_of_mode(self._decoder.mode or MessageSecurityMode.SIGN_AND_ENCRYPT)
            case Message(body=body, is_signed=is_signed):
                mode = MessageSecurityMode.SIGN if is_signed else MessageSecurityMode.NONE
                return self._fault_of_mode(mode) or self._fault_of_request(body)
        return f"format: a client sent {type(message).__name__}"

    def _fault_of_policy(self, uri: str) -> str | None:
        name = uri.rpartition("#")[2]
        return f"policy {name}" if self._policies is not None and name not in self._policies else None

    def _fault_of_mode(self, mode: MessageSecurityMode) -> str | None:
        name = _MODES.get(mode, str(mode))
        return f"mode {name}" if self._modes is not None and name not in self._modes else None

    def _fault_of_request(self, service: Service) -> str | None:
        if isinstance(service, OpenSecureChannelRequest):
            return self._fault_of_mode(service.security_mode)
        if isinstance(service, UnreadableService):
            return f"format: {service.reason}"
        if isinstance(service, Response):
            return f"format: {type(service).__name__} is no request"
        name = service_name(service)
        if name is None:
            restricted = self._services is not None or self._forbidden
            return f"service {type(service).__name__}" if restricted else None
        if name in self._forbidden or (self._services is not None and name not in self._services):
            return f"service {name}"
        return None
