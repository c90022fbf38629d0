"""One line for a frame, as tcpdump writes it, with the application's message where that is Modbus or MQTT."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from devices.console.ping import UNREACHABLE
from devices.console.ports import SERVICES
from lab.model.address import format_mac
from lab.wire import arp, ethernet, icmp, ipv4, modbus, mqtt, tcp, udp
from lab.wire.icmp import Echo, TimeExceeded, Unreachable, UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed
from lab.wire.tcp import Flag, Segment

_KINDS: Final = {
    ethernet.IPV4: "IPv4",
    ethernet.ARP: "ARP",
    ethernet.IPV6: "IPv6",
    ethernet.LLDP: "LLDP",
    ethernet.VLAN: "802.1Q",
}
_LETTERS: Final = (
    (Flag.FIN, "F"),
    (Flag.SYN, "S"),
    (Flag.RST, "R"),
    (Flag.PSH, "P"),
    (Flag.URG, "U"),
    (Flag.ECE, "E"),
    (Flag.CWR, "W"),
    (Flag.ACK, "."),
)
_LONGEST_MESSAGE: Final = 200
_MOST_MESSAGES: Final = 8
_MQTT_PORT: Final = 1883


def line(data: bytes, *, link: bool = False, numeric: bool = False) -> str:
    """What a frame is, `link` with its MAC addresses, `numeric` without names of ports; takes any bytes."""
    try:
        frame = ethernet.decode(data)
    except Malformed as error:
        return f"[|ether] ({error}), length {len(data)}"
    text = ""
    if link:
        kind = _KINDS.get(frame.ethertype, "Unknown")
        first = f"ethertype {kind} (0x{frame.ethertype:04x})" if not frame.tags else "ethertype 802.1Q (0x8100)"
        text = f"{format_mac(frame.source)} > {format_mac(frame.destination)}, {first}, length {len(data)}: "
    for tag in frame.tags:
        text += f"vlan {tag.vid}, p {tag.priority}, "
    try:
        if frame.ethertype == ethernet.IPV4:
            return text + _ip(ipv4.decode(frame.payload), numeric)
        if frame.ethertype == ethernet.ARP:
            return text + _arp(arp.decode(frame.payload))
    except Malformed as error:
        return f"{text}{_KINDS[frame.ethertype]}, malformed ({error}), length {len(frame.payload)}"
    name = _KINDS.get(frame.ethertype)
    return f"{text}{name or f'ethertype 0x{frame.ethertype:04x}'}, length {len(frame.payload)}"


def _arp(packet: arp.Arp) -> str:
    sender, target = socket.inet_ntoa(packet.sender_ip), socket.inet_ntoa(packet.target_ip)
    if packet.operation is arp.Operation.REQUEST:
        what = f"Request who-has {target} tell {sender}" if sender != target else f"Announcement {sender}"
    else:
        what = f"Reply {sender} is-at {format_mac(packet.sender_mac)}"
    return f"ARP, {what}, length {arp.PACKET.size}"


def _ip(datagram: IPv4, numeric: bool) -> str:
    source, destination = socket.inet_ntoa(datagram.source), socket.inet_ntoa(datagram.destination)
    size = len(datagram.payload)
    if datagram.offset:
        more = "+" if datagram.more_fragments else ""
        return f"IP {source} > {destination}: frag {datagram.offset}:{size}{more}, ip-proto-{datagram.protocol}"
    try:
        if datagram.protocol == ipv4.ICMP:
            return f"IP {source} > {destination}: {_icmp(datagram)}, length {size}"
        if datagram.protocol in (ipv4.TCP, ipv4.UDP):
            ports = tuple(int.from_bytes(datagram.payload[at : at + 2], "big") for at in (0, 2))
            a, b = (str(each) if numeric else SERVICES.get(each, str(each)) for each in ports)
            ends = f"IP {source}.{a} > {destination}.{b}: "
            if datagram.is_fragment:
                return f"{ends}first fragment, length {size}"
            if datagram.protocol == ipv4.TCP:
                return ends + _tcp(tcp.decode(datagram.payload, datagram.source, datagram.destination))
            return (
                f"{ends}UDP, length {len(udp.decode(datagram.payload, datagram.source, datagram.destination).payload)}"
            )
    except Malformed as error:
        return f"IP {source} > {destination}: malformed ({error}), length {size}"
    return f"IP {source} > {destination}: ip-proto-{datagram.protocol}, length {size}"


def _icmp(datagram: IPv4) -> str:
    if datagram.is_fragment:
        return "ICMP, first fragment"
    message = icmp.decode(datagram.payload)
    if isinstance(message, Echo):
        return (
            f"ICMP echo {'reply' if message.is_reply else 'request'}, id {message.identifier}, seq {message.sequence}"
        )
    if isinstance(message, Unreachable):
        about = socket.inet_ntoa(message.original[16:20]) if len(message.original) >= ipv4.HEADER.size else "?"
        if message.code is UnreachableCode.FRAGMENTATION_NEEDED:
            return f"ICMP {about} unreachable - need to frag (mtu {message.next_mtu})"
        return f"ICMP {about} unreachable - {UNREACHABLE.get(message.code, f'code {int(message.code)}')}"
    if isinstance(message, TimeExceeded):
        return f"ICMP {'ip reassembly time exceeded' if message.in_reassembly else 'time exceeded in-transit'}"
    return f"ICMP type-{message.type} code-{message.code}"


def _tcp(segment: Segment) -> str:
    flags = "".join(letter for flag, letter in _LETTERS if segment.flags & flag) or "none"
    size = len(segment.payload)
    text = f"Flags [{flags}]"
    if size or segment.flags & (Flag.SYN | Flag.FIN | Flag.RST):
        end = (segment.sequence + size) & 0xFFFFFFFF
        text += f", seq {segment.sequence}" + (f":{end}" if size else "")
    if segment.flags & Flag.ACK:
        text += f", ack {segment.acknowledgment}"
    text += f", win {segment.window}"
    if segment.maximum_segment_size is not None:
        text += f", options [mss {segment.maximum_segment_size}]"
    text += f", length {size}"
    said = _application(segment) if size else ""
    return f"{text}: {said}" if said else text


def _application(segment: Segment) -> str:
    """Messages that begin where the segment begins; of others nothing can be said without the stream before it."""
    reader: Callable[[bytes], list[str]] | None = None
    if modbus.PORT in (segment.source_port, segment.destination_port):
        reader = _requests if segment.destination_port == modbus.PORT else _responses
    elif _MQTT_PORT in (segment.source_port, segment.destination_port):
        reader = _mqtt
    if reader is None:
        return ""
    said: list[str] = []
    try:
        said = reader(segment.payload)
    except Malformed:
        return ""
    return "; ".join(each[:_LONGEST_MESSAGE] for each in said[:_MOST_MESSAGES])


def _requests(data: bytes) -> list[str]:
    return [f"Modbus #{adu.transaction} unit {adu.unit} {adu.pdu}" for adu in modbus.RequestDecoder().feed(data)]


def _responses(data: bytes) -> list[str]:
    return [f"Modbus #{adu.transaction} unit {adu.unit} {adu.pdu}" for adu in modbus.ResponseDecoder().feed(data)]


def _mqtt(data: bytes) -> list[str]:
    said: list[str] = []
    for packet in mqtt.Decoder().feed(data):
        name = type(packet).__name__.upper()
        if isinstance(packet, mqtt.Publish):
            retained = ", retain" if packet.retain else ""
            name += f" {packet.topic!r} (q{int(packet.qos)}{retained}, {len(packet.payload)} bytes)"
        elif isinstance(packet, mqtt.Connect):
            name += f" {packet.client_id!r}"
        said.append(f"MQTT {name}")
    return said
