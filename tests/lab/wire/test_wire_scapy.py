"""scapy as a second opinion: what it crafts we read, what we write it reads, checksums included."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.modbus import ModbusADURequest
from scapy.contrib.mqtt import MQTT
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from lab.model.address import format_mac
from lab.wire import arp, ethernet, icmp, ipv4, modbus, mqtt, tcp, udp

A, B = "10.20.10.5", "10.20.10.41"
A4, B4 = socket.inet_aton(A), socket.inet_aton(B)
MAC = "02:1a:00:00:00:01"

payloads = st.binary(max_size=200)
ports = st.integers(1, 65535)


@settings(deadline=None)
@given(ports, ports, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), payloads, st.integers(0, 4095))
def test_a_tagged_segment_scapy_crafts(sport: int, dport: int, seq: int, ack: int, payload: bytes, vid: int) -> None:
    crafted = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=vid) / IP(src=A, dst=B, id=7)
    data = bytes(crafted / TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags="PA", window=1000) / Raw(payload))
    frame = ethernet.decode(data)
    assert (format_mac(frame.source), frame.tags[0].vid) == (MAC, vid)
    datagram = ipv4.decode(frame.payload)
    segment = tcp.decode(datagram.payload, datagram.source, datagram.destination)
    assert (segment.source_port, segment.destination_port) == (sport, dport)
    assert (segment.sequence, segment.acknowledgment, segment.payload) == (seq, ack, payload)
    assert segment.flags == tcp.Flag.PSH | tcp.Flag.ACK


@settings(deadline=None)
@given(ports, ports, st.integers(0, 2**32 - 1), payloads)
def test_a_frame_we_write_has_the_checksums_scapy_computes(sport: int, dport: int, seq: int, payload: bytes) -> None:
    head = ethernet.HEADER.pack(b"\2" * 6, b"\4" * 6, ethernet.IPV4)
    data = tcp.FrameTemplate(head, A4, B4, (sport, dport)).pack(1, seq, 5, int(tcp.Flag.ACK), 100, payload)
    seen = Ether(data)
    wanted = seen.copy()
    del wanted[IP].chksum, wanted[TCP].chksum
    again = Ether(bytes(wanted))
    assert (seen[IP].chksum, seen[TCP].chksum) == (again[IP].chksum, again[TCP].chksum)
    assert (seen[TCP].sport, seen[TCP].dport, seen[TCP].seq) == (sport, dport, seq)


@settings(deadline=None)
@given(ports, ports, payloads)
def test_datagrams_and_pings_agree(sport: int, dport: int, payload: bytes) -> None:
    crafted = bytes(IP(src=A, dst=B) / UDP(sport=sport, dport=dport) / Raw(payload))
    datagram = ipv4.decode(crafted)
    assert udp.decode(datagram.payload, datagram.source, datagram.destination) == udp.Udp(sport, dport, payload)
    ping = icmp.decode(ipv4.decode(bytes(IP(src=A, dst=B) / ICMP(id=3, seq=4) / Raw(payload))).payload)
    assert ping == icmp.Echo(False, 3, 4, payload)


def test_arp_agrees_in_both_directions() -> None:
    crafted = bytes(Ether(src=MAC) / ARP(op=2, hwsrc=MAC, psrc=A, hwdst="02:00:00:00:00:02", pdst=B))
    packet = arp.decode(crafted[14:])
    assert (packet.operation, packet.sender_ip, packet.target_ip) == (arp.Operation.REPLY, A4, B4)
    seen = ARP(packet.encode())
    assert (seen.op, seen.hwsrc, seen.psrc, seen.pdst) == (2, MAC, A, B)


def test_a_modbus_request_we_write_is_one_to_scapy() -> None:
    seen = ModbusADURequest(modbus.Adu(258, 17, modbus.ReadInputRegisters(4, 2)).encode())
    assert (seen.transId, seen.unitId, seen.payload.funcCode) == (258, 17, 4)
    assert (seen.payload.startAddr, seen.payload.quantity) == (4, 2)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publication_we_write_is_one_to_scapy(qos: int) -> None:
    data = mqtt.Publish("v1/plant", b"7.5", qos=qos, packet_id=9 if qos else 0).encode()
    seen = MQTT(data)
    assert (seen.type, seen.QOS, seen.payload.topic, seen.payload.value) == (3, qos, b"v1/plant", b"7.5")
