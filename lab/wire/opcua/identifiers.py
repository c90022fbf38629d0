"""Names of things in an OPC UA server (OPC 10000-6 sections 5.2.2.9 to 5.2.2.14)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

from lab.wire.malformed import Malformed
from lab.wire.opcua.codec import BYTE, BYTE_STRING, GUID, STRING, UINT16, UINT32, Codec, Reader

_TWO_BYTE, _FOUR_BYTE, _NUMERIC, _STRING, _GUID, _OPAQUE = range(6)
_HAS_URI, _HAS_SERVER = 0x80, 0x40


@dataclass(frozen=True, slots=True)
class NodeId:
    """The identifier of a node."""

    namespace: int = 0
    identifier: int | str | UUID | bytes = 0

    def __str__(self) -> str:
        """The form of OPC 10000-6 section 5.3.1.10: `i=2258`, `ns=2;s=CNC01.State`."""
        match self.identifier:
            case int():
                name = f"i={self.identifier}"
            case str():
                name = f"s={self.identifier}"
            case UUID():
                name = f"g={self.identifier}"
            case bytes():
                name = f"b={base64.b64encode(self.identifier).decode()}"
        return f"ns={self.namespace};{name}" if self.namespace else name

    @classmethod
    def parse(cls, text: str) -> NodeId:
        """The node id a person wrote as `ns=2;s=CNC01.State`; raises ValueError."""
        namespace, rest = 0, text
        try:
            if rest.startswith("ns="):
                number, _, rest = rest.removeprefix("ns=").partition(";")
                namespace = int(number)
            match rest[:2]:
                case "i=":
                    return cls(namespace, int(rest[2:]))
                case "s=":
                    return cls(namespace, rest[2:])
                case "g=":
                    return cls(namespace, UUID(rest[2:]))
                case "b=":
                    return cls(namespace, base64.b64decode(rest[2:], validate=True))
        except (ValueError, binascii.Error):
            pass
        raise ValueError(f"{text!r} is not a node id such as i=2258 or ns=2;s=CNC01.State")


NULL_NODE = NodeId()


@dataclass(frozen=True, slots=True)
class ExpandedNodeId:
    """A node id that may be on another server, or give its namespace in full."""

    node_id: NodeId = NULL_NODE
    namespace_uri: str | None = None
    server_index: int = 0
    """0: this server."""

    def __str__(self) -> str:
        server = f"svr={self.server_index};" if self.server_index else ""
        return f"{server}nsu={self.namespace_uri};{self.node_id}" if self.namespace_uri else f"{server}{self.node_id}"


@dataclass(frozen=True, slots=True)
class QualifiedName:
    """A browse name."""

    namespace: int = 0
    name: str | None = None


NO_NAME = QualifiedName()


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """Words for people, in the language of a locale such as `zh-CN`."""

    text: str | None = None
    locale: str | None = None


def _read_id(reader: Reader, encoding: int) -> NodeId:
    match encoding:
        case 0:
            return NodeId(0, BYTE.read(reader))
        case 1:
            return NodeId(BYTE.read(reader), UINT16.read(reader))
        case 2:
            return NodeId(UINT16.read(reader), UINT32.read(reader))
        case 3:
            return NodeId(UINT16.read(reader), STRING.read(reader) or "")
        case 4:
            return NodeId(UINT16.read(reader), GUID.read(reader))
        case 5:
            return NodeId(UINT16.read(reader), BYTE_STRING.read(reader) or b"")
    raise Malformed(f"there is no node id encoding {encoding:#04x}")


def _write_id(out: bytearray, value: NodeId, flags: int = 0) -> None:
    """In the shortest encoding."""
    namespace, identifier = value.namespace, value.identifier
    match identifier:
        case int():
            if namespace == 0 and identifier <= 0xFF:
                out += bytes((_TWO_BYTE | flags, identifier))
            elif namespace <= 0xFF and identifier <= 0xFFFF:
                out += bytes((_FOUR_BYTE | flags, namespace))
                UINT16.write(out, identifier)
            else:
                out.append(_NUMERIC | flags)
                UINT16.write(out, namespace)
                UINT32.write(out, identifier)
        case str():
            out.append(_STRING | flags)
            UINT16.write(out, namespace)
            STRING.write(out, identifier)
        case UUID():
            out.append(_GUID | flags)
            UINT16.write(out, namespace)
            GUID.write(out, identifier)
        case bytes():
            out.append(_OPAQUE | flags)
            UINT16.write(out, namespace)
            BYTE_STRING.write(out, identifier)


def _read_expanded(reader: Reader) -> ExpandedNodeId:
    encoding = BYTE.read(reader)
    node_id = _read_id(reader, encoding & 0x3F)
    uri = STRING.read(reader) if encoding & _HAS_URI else None
    return ExpandedNodeId(node_id, uri, UINT32.read(reader) if encoding & _HAS_SERVER else 0)


def _write_expanded(out: bytearray, value: ExpandedNodeId) -> None:
    flags = _HAS_URI if value.namespace_uri is not None else 0
    flags |= _HAS_SERVER if value.server_index else 0
    _write_id(out, value.node_id, flags)
    if flags & _HAS_URI:
        STRING.write(out, value.namespace_uri)
    if flags & _HAS_SERVER:
        UINT32.write(out, value.server_index)


def _write_name(out: bytearray, value: QualifiedName) -> None:
    UINT16.write(out, value.namespace)
    STRING.write(out, value.name)


def _read_text(reader: Reader) -> LocalizedText:
    mask = BYTE.read(reader)
    locale = STRING.read(reader) if mask & 1 else None
    return LocalizedText(STRING.read(reader) if mask & 2 else None, locale)


def _write_text(out: bytearray, value: LocalizedText) -> None:
    out.append((value.locale is not None) | (value.text is not None) << 1)
    if value.locale is not None:
        STRING.write(out, value.locale)
    if value.text is not None:
        STRING.write(out, value.text)


NODE_ID: Codec[NodeId] = Codec(lambda reader: _read_id(reader, BYTE.read(reader)), _write_id)
EXPANDED_NODE_ID = Codec(_read_expanded, _write_expanded)
QUALIFIED_NAME = Codec(lambda reader: QualifiedName(UINT16.read(reader), STRING.read(reader)), _write_name)
LOCALIZED_TEXT = Codec(_read_text, _write_text)
