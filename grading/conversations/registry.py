"""Which protocol is expected at which port of a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from grading.conversations.conversation import Conversation
from grading.conversations.modbus import ModbusConversation
from grading.conversations.mqtt import MqttConversation
from grading.conversations.opcua import OpcUaConversation
from grading.conversations.tls import TlsConversation

if TYPE_CHECKING:
    from grading.flows import Flow

CONVERSATIONS: Mapping[str, Callable[[Flow], Conversation]] = {
    "modbus": ModbusConversation,
    "mqtt": MqttConversation,
    "opcua": OpcUaConversation,
    "tls": TlsConversation,
}

PORTS: Mapping[int, str] = {
    502: "modbus",
    1883: "mqtt",
    4840: "opcua",
    443: "tls",
    802: "tls",
    8443: "tls",
    8883: "tls",
}
