"""Stateless access lists, as routers have them: each packet is judged alone, and what no entry names is denied."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.network.firewall.content import Spans, parse_span
from lab.network.firewall.policy import PORTS_NEED_TCP_OR_UDP, PROTOCOLS
from lab.network.firewall.rules import is_in, masked
from lab.wire import ipv4
from lab.wire.ipv4 import IPv4

_EVERYWHERE: Final = IPv4Network("0.0.0.0/0")


def _listed(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


class AclEntry(Strict):
    """`{action: permit, protocol: tcp, source: 10.1.0.0/16, ports: [502]}`"""

    action: Literal["permit", "deny"]
    protocol: Literal["ip", "tcp", "udp", "icmp"] = "ip"
    source: IPv4Network = _EVERYWHERE
    destination: IPv4Network = _EVERYWHERE
    ports: Annotated[Spans, BeforeValidator(_listed)] = ()
    """Of the destination."""

    @model_validator(mode="after")
    def _ports_where_there_are_some(self) -> AclEntry:
        if self.ports and self.protocol not in ("tcp", "udp"):
            raise KnownValueError(PORTS_NEED_TCP_OR_UDP)
        return self


class AccessList:
    """Entries made ready; the first that fits decides."""

    def __init__(self, entries: Sequence[AclEntry]) -> None:
        self._entries = [
            (
                entry.action == "permit",
                PROTOCOLS.get(entry.protocol),
                masked((entry.source,)),
                masked((entry.destination,)),
                tuple(parse_span(span) for span in entry.ports),
            )
            for entry in entries
        ]

    def permits(self, datagram: IPv4) -> bool:
        source, destination = (int.from_bytes(each, "big") for each in (datagram.source, datagram.destination))
        port = int.from_bytes(datagram.payload[2:4], "big")
        for permitted, protocol, sources, destinations, spans in self._entries:
            if (
                (protocol is None or protocol == datagram.protocol)
                and is_in(source, sources)
                and is_in(destination, destinations)
                and (not spans or self._is_port_in(datagram, port, spans))
            ):
                return permitted
        return False

    @staticmethod
    def _is_port_in(datagram: IPv4, port: int, spans: tuple[tuple[int, int], ...]) -> bool:
        is_complete = datagram.protocol in (ipv4.TCP, ipv4.UDP) and len(datagram.payload) >= 4
        return is_complete and any(first <= port <= last for first, last in spans)
