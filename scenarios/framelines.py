"""One frame in one line, as tools for captures show it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

from grading.report import FrameLine
from lab.model.frame import Frame
from lab.wire import arp, ethernet, icmp, ipv4, modbus, mqtt, tcp, udp
from lab.wire.malformed import Malformed

_NS: Final = 1_000_000_000
_HEADER: Final = 14
_MQTT: Final = 1883


def line(frame: Frame, began_ns: int) -> FrameLine:
    """The frame with its time since `began_ns`, addresses and meaning; what cannot be read is said to be so."""
    data = frame.data
    source, target = data[6:12].hex(":"), data[:6].hex(":")
    kind = int.from_bytes(data[12:14], "big")
    summary = f"{len(data)} bytes of type {kind:#06x}"
    try:
        if kind == ethernet.ARP:
            summary = _arp(data)
        elif kind == ethernet.IPV4:
            datagram = ipv4.decode(data[_HEADER:])
            source, target = str(IPv4Address(datagram.source)), str(IPv4Address(datagram.destination))
            summary = _ip(datagram)
    except Malformed as malformed:
        summary = f"malformed: {malformed}"
    return FrameLine(frame.number, (frame.at - began_ns) / _NS, source, target, summary)


def _arp(data: bytes) -> str:
    packet = arp.decode(data[_HEADER:])
    asked, asking = IPv4Address(packet.target_ip), IPv4Address(packet.sender_ip)
    if packet.operation == arp.Operation.REQUEST:
        return f"ARP who has {asked}? tell {asking}"
    return f"ARP {asking} is at {packet.sender_mac.hex(':')}"


def _ip(datagram: ipv4.IPv4) -> str:
    if datagram.is_fragment:
        return f"IPv4 fragment of {len(datagram.payload)} bytes"
    if datagram.protocol == ipv4.ICMP:
        message = icmp.decode(datagram.payload)
        if isinstance(message, icmp.Echo):
            return f"ICMP echo {'reply' if message.is_reply else 'request'} {message.sequence}"
        return f"ICMP {type(message).__name__}"
    if datagram.protocol == ipv4.UDP:
        packet = udp.decode(datagram.payload, datagram.source, datagram.destination)
        return f"UDP {packet.source_port} → {packet.destination_port}, {len(packet.payload)} bytes"
    if datagram.protocol == ipv4.TCP:
        return _tcp(tcp.decode(datagram.payload, datagram.source, datagram.destination))
    return f"IPv4 protocol {datagram.protocol}"


def _tcp(segment: tcp.Segment) -> str:
    ports = f"{segment.source_port} → {segment.destination_port}"
    if segment.payload:
        said = _said(segment)
        if said:
            return f"{ports} {said}"
    flags = ",".join(flag.name for flag in tcp.Flag if segment.flags & flag and flag.name)
    return f"TCP {ports} [{flags}] {len(segment.payload)} bytes"


def _said(segment: tcp.Segment) -> str:
    """The application's message, where one begins with this segment."""
    try:
        if modbus.PORT in (segment.source_port, segment.destination_port):
            is_request = segment.destination_port == modbus.PORT
            decoder = modbus.RequestDecoder() if is_request else modbus.ResponseDecoder()
            for adu in decoder.feed(segment.payload):
                return f"Modbus unit {adu.unit} {_shown(adu.pdu)}"
        if _MQTT in (segment.source_port, segment.destination_port):
            for packet in mqtt.Decoder().feed(segment.payload):
                return f"MQTT {_shown(packet)}"
    except Malformed:
        pass
    return ""


def _shown(message: object) -> str:
    text = repr(message)
    return text if len(text) <= 100 else text[:99] + "…"
