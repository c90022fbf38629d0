"""Ports by number and by the names they go by (IANA's registry, and what stands on a plant's floor)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from devices.console.arguments import BadValue
from lab.text import Text

NOT_PORTS = Text(
    zh="{value!r} 不是端口表，例如 22,80,500-510 或 - （全部）",
    en="{value!r} is no list of ports such as 22,80,500-510 or -",
)

SERVICES: Final[Mapping[int, str]] = {
    7: "echo",
    20: "ftp-data",
    21: "ftp",
    22: "ssh",
    23: "telnet",
    25: "smtp",
    53: "domain",
    67: "dhcps",
    69: "tftp",
    80: "http",
    102: "iso-tsap",
    110: "pop3",
    111: "rpcbind",
    123: "ntp",
    135: "msrpc",
    139: "netbios-ssn",
    143: "imap",
    161: "snmp",
    162: "snmptrap",
    443: "https",
    445: "microsoft-ds",
    502: "modbus",
    514: "syslog",
    554: "rtsp",
    631: "ipp",
    789: "redlion-crimson",
    802: "mbap-s",
    993: "imaps",
    1080: "socks",
    1433: "ms-sql-s",
    1521: "oracle",
    1883: "mqtt",
    1911: "fox",
    1962: "pcworx",
    2222: "ethernet-ip-io",
    2404: "iec-104",
    2455: "codesys",
    2575: "hl7",
    3128: "squid-http",
    3306: "mysql",
    3389: "ms-wbt-server",
    4000: "emerson-roc",
    4840: "opcua-tcp",
    4843: "opcua-tls",
    5001: "iperf",
    5020: "modbus-alt",
    5060: "sip",
    5094: "hart-ip",
    5201: "iperf3",
    5432: "postgresql",
    5671: "amqps",
    5672: "amqp",
    5683: "coap",
    5900: "vnc",
    6379: "redis",
    8000: "http-alt",
    8080: "http-proxy",
    8086: "influxdb",
    8443: "https-alt",
    8883: "secure-mqtt",
    9092: "kafka",
    9200: "elasticsearch",
    9600: "omron-fins",
    18245: "ge-srtp",
    20000: "dnp3",
    34962: "profinet-rt",
    34963: "profinet-rtm",
    34964: "profinet-cm",
    44818: "ethernet-ip",
    47808: "bacnet",
    51820: "wireguard",
}
"""What is scanned where nobody says which ports."""
_BY_NAME: Final = {name: number for number, name in SERVICES.items()}


def service(port: int) -> str:
    return SERVICES.get(port, "unknown")


def one(value: str) -> int:
    """A type for argparse: a port by number or name."""
    listed = several(value)
    if len(listed) != 1:
        raise BadValue(NOT_PORTS, value=value)
    return listed[0]


def several(value: str) -> list[int]:
    """A type for argparse: `22,80,500-510`, names among them, or `-` for all."""
    ports: dict[int, None] = {}
    for part in value.split(","):
        if part in _BY_NAME:
            ports[_BY_NAME[part]] = None
            continue
        first, dash, last = part.partition("-")
        try:
            low = int(first) if first or not dash else 1
            high = (int(last) if last else 65535) if dash else low
        except ValueError:
            raise BadValue(NOT_PORTS, value=value) from None
        if not 1 <= low <= high <= 65535:
            raise BadValue(NOT_PORTS, value=value)
        ports.update(dict.fromkeys(range(low, high + 1)))
    return list(ports)
