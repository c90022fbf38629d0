"""LLDP data units (IEEE 802.1AB-2016 clause 8): who stands at the other end of a cable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address
from typing import Final

from lab.model.address import format_mac
from lab.wire import ethernet
from lab.wire.malformed import Malformed

GROUP: Final = bytes.fromhex("0180c200000e")
"""Nearest bridge: no bridge of any kind forwards it."""
_KIND: Final = ethernet.LLDP.to_bytes(2, "big")
_IPV4_FAMILY: Final = 1
_BY_INTERFACE_INDEX: Final = 2
_LONGEST: Final = 255
"""Bytes of an identifier or a text."""


class Tlv(IntEnum):
    END = 0
    CHASSIS_ID = 1
    PORT_ID = 2
    TTL = 3
    PORT_DESCRIPTION = 4
    SYSTEM_NAME = 5
    SYSTEM_DESCRIPTION = 6
    CAPABILITIES = 7
    MANAGEMENT_ADDRESS = 8
    ORGANISATION = 127


class ChassisId(IntEnum):
    """Subtypes of table 8-2 that are spoken here; others are kept as numbers."""

    MAC = 4
    NETWORK_ADDRESS = 5
    LOCAL = 7


class PortId(IntEnum):
    """Subtypes of table 8-3."""

    MAC = 3
    INTERFACE_NAME = 5
    LOCAL = 7


class Capability(IntFlag):
    """Table 8-4."""

    OTHER = 0x01
    REPEATER = 0x02
    BRIDGE = 0x04
    WLAN_ACCESS_POINT = 0x08
    ROUTER = 0x10
    TELEPHONE = 0x20
    DOCSIS = 0x40
    STATION = 0x80


NO_CAPABILITY: Final = Capability(0)


@dataclass(frozen=True, slots=True)
class Lldp:
    """What a device says of itself at one port."""

    chassis_subtype: int
    chassis: bytes
    port_subtype: int
    port: bytes
    ttl: int
    """Seconds for which it holds; 0 takes it back."""
    port_description: str = ""
    system_name: str = ""
    system_description: str = ""
    capabilities: Capability = NO_CAPABILITY
    enabled_capabilities: Capability = NO_CAPABILITY
    management_address: IPv4Address | None = None
    management_interface: int = 0
    """ifIndex"""
    pvid: int | None = None
    """VLAN of untagged frames (IEEE 802.1Q annex D.2.1)."""

    @property
    def chassis_name(self) -> str:
        """The chassis identifier as people write it."""
        return _shown(self.chassis, is_mac=self.chassis_subtype == ChassisId.MAC)

    @property
    def port_name(self) -> str:
        return _shown(self.port, is_mac=self.port_subtype == PortId.MAC)

    def encode(self, source: bytes) -> bytes:
        """A complete Ethernet frame from the port's MAC address, padded to the least length."""
        units = [
            _unit(Tlv.CHASSIS_ID, bytes((self.chassis_subtype,)) + self.chassis),
            _unit(Tlv.PORT_ID, bytes((self.port_subtype,)) + self.port),
            _unit(Tlv.TTL, self.ttl.to_bytes(2, "big")),
        ]
        for kind, text in (
            (Tlv.PORT_DESCRIPTION, self.port_description),
            (Tlv.SYSTEM_NAME, self.system_name),
            (Tlv.SYSTEM_DESCRIPTION, self.system_description),
        ):
            if text:
                units.append(_unit(kind, text.encode()[:_LONGEST]))
        if self.capabilities:
            flags = self.capabilities << 16 | self.enabled_capabilities
            units.append(_unit(Tlv.CAPABILITIES, flags.to_bytes(4, "big")))
        if self.management_address is not None:
            address = bytes((5, _IPV4_FAMILY)) + self.management_address.packed
            number = bytes((_BY_INTERFACE_INDEX,)) + self.management_interface.to_bytes(4, "big")
            units.append(_unit(Tlv.MANAGEMENT_ADDRESS, address + number + b"\0"))
        if self.pvid is not None:
            units.append(_unit(Tlv.ORGANISATION, _PORT_VLAN_ID + self.pvid.to_bytes(2, "big")))
        frame = GROUP + source + _KIND + b"".join(units) + bytes(2)
        return frame + bytes(max(0, ethernet.MINIMUM - len(frame)))


_PORT_VLAN_ID: Final = bytes.fromhex("0080c201")


def _unit(kind: Tlv, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


def _shown(identifier: bytes, *, is_mac: bool) -> str:
    if is_mac:
        return format_mac(identifier)
    return identifier.decode("utf-8", "backslashreplace")


def decode(frame: bytes) -> Lldp:
    """What an untagged frame says; raises Malformed. Of several management addresses the first IPv4 one is kept."""
    if frame[12:14] != _KIND:
        raise Malformed("no LLDP frame")
    units = _units(frame)
    if [kind for kind, _ in units[:3]] != [Tlv.CHASSIS_ID, Tlv.PORT_ID, Tlv.TTL]:
        raise Malformed("chassis, port and time to live come first, in this order")
    chassis, port, ttl = (value for _, value in units[:3])
    if not 2 <= len(chassis) <= _LONGEST + 1 or not 2 <= len(port) <= _LONGEST + 1 or len(ttl) < 2:
        raise Malformed("a mandatory unit has a wrong length")
    texts = {Tlv.PORT_DESCRIPTION: "", Tlv.SYSTEM_NAME: "", Tlv.SYSTEM_DESCRIPTION: ""}
    capabilities = enabled = NO_CAPABILITY
    address: IPv4Address | None = None
    interface = 0
    pvid = None
    for kind, value in units[3:]:
        if kind in (Tlv.CHASSIS_ID, Tlv.PORT_ID, Tlv.TTL):
            raise Malformed("a mandatory unit comes twice")
        if kind in texts:
            texts[Tlv(kind)] = value[:_LONGEST].decode("utf-8", "backslashreplace")
        elif kind == Tlv.CAPABILITIES:
            if len(value) != 4:
                raise Malformed(f"capabilities have 4 bytes, here are {len(value)}")
            capabilities = Capability(int.from_bytes(value[:2], "big"))
            enabled = Capability(int.from_bytes(value[2:], "big"))
        elif kind == Tlv.MANAGEMENT_ADDRESS and address is None:
            address, interface = _management(value)
        elif kind == Tlv.ORGANISATION and value[:4] == _PORT_VLAN_ID and len(value) == 6:
            pvid = int.from_bytes(value[4:], "big")
    return Lldp(
        chassis[0],
        chassis[1:],
        port[0],
        port[1:],
        int.from_bytes(ttl[:2], "big"),
        texts[Tlv.PORT_DESCRIPTION],
        texts[Tlv.SYSTEM_NAME],
        texts[Tlv.SYSTEM_DESCRIPTION],
        capabilities,
        enabled,
        address,
        interface,
        pvid,
    )


def _units(frame: bytes) -> list[tuple[int, bytes]]:
    units: list[tuple[int, bytes]] = []
    at = 14
    while at + 2 <= len(frame):
        kind, length = frame[at] >> 1, (frame[at] & 1) << 8 | frame[at + 1]
        value = frame[at + 2 : at + 2 + length]
        if len(value) < length:
            raise Malformed(f"a unit of {length} bytes is cut off after {len(value)}")
        if kind == Tlv.END:
            return units
        units.append((kind, value))
        at += 2 + length
    raise Malformed("the end is missing")


def _management(value: bytes) -> tuple[IPv4Address | None, int]:
    length = value[0] if value else 0
    if not 2 <= length <= 32 or len(value) < length + 7:
        raise Malformed("a management address has a wrong length")
    if length != 5 or value[1] != _IPV4_FAMILY:
        return None, 0
    return IPv4Address(value[2:6]), int.from_bytes(value[7:11], "big")
