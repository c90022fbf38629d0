"""What others read: alerts as Suricata's EVE JSON, Modbus as Zeek's modbus.log and ICSNPP's modbus_detailed.log."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from devices.ids.engine import Alert, ModbusMessage
from devices.ids.modbus_keyword import accesses

_CATEGORIES: Final[Mapping[str, str]] = {
    "attempted-recon": "Attempted Information Leak",
    "network-scan": "Detection of a Network Scan",
    "attempted-dos": "Attempted Denial of Service",
    "protocol-command-decode": "Generic Protocol Command Decode",
    "policy-violation": "Potential Corporate Privacy Violation",
    "bad-unknown": "Potentially Bad Traffic",
}
_FUNCTIONS: Final[Mapping[int, str]] = {
    1: "READ_COILS",
    2: "READ_DISCRETE_INPUTS",
    3: "READ_HOLDING_REGISTERS",
    4: "READ_INPUT_REGISTERS",
    5: "WRITE_SINGLE_COIL",
    6: "WRITE_SINGLE_REGISTER",
    7: "READ_EXCEPTION_STATUS",
    8: "DIAGNOSTICS",
    11: "GET_COMM_EVENT_COUNTER",
    12: "GET_COMM_EVENT_LOG",
    15: "WRITE_MULTIPLE_COILS",
    16: "WRITE_MULTIPLE_REGISTERS",
    17: "REPORT_SLAVE_ID",
    20: "READ_FILE_RECORD",
    21: "WRITE_FILE_RECORD",
    22: "MASK_WRITE_REGISTER",
    23: "READ_WRITE_MULTIPLE_REGISTERS",
    24: "READ_FIFO_QUEUE",
    43: "ENCAP_INTERFACE_TRANSPORT",
}
_EXCEPTIONS: Final[Mapping[int, str]] = {
    1: "ILLEGAL_FUNCTION",
    2: "ILLEGAL_DATA_ADDRESS",
    3: "ILLEGAL_DATA_VALUE",
    4: "SLAVE_DEVICE_FAILURE",
    5: "ACKNOWLEDGE",
    6: "SLAVE_DEVICE_BUSY",
    8: "MEMORY_PARITY_ERROR",
    10: "GATEWAY_PATH_UNAVAILABLE",
    11: "GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND",
}
_EXCEPTION: Final = 0x80


def eve(alert: Alert, interface: str) -> dict[str, Any]:
    """One line of eve.json."""
    rule, packet = alert.rule, alert.packet
    line: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(alert.at // 1000 / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000"),
        "in_iface": interface,
        "event_type": "alert",
        "src_ip": socket.inet_ntoa(packet.source),
        "dest_ip": socket.inet_ntoa(packet.target),
        "proto": packet.protocol.upper(),
    }
    if packet.flow is not None:
        line["flow_id"] = packet.flow.number
        line["direction"] = "to_server" if packet.to_server else "to_client"
    if packet.protocol in ("tcp", "udp"):
        line |= {"src_port": packet.source_port, "dest_port": packet.target_port}
    if packet.protocol == "icmp":
        line |= {"icmp_type": packet.icmp_type, "icmp_code": packet.icmp_code}
    if alert.modbus is not None:
        line["app_proto"] = "modbus"
    line["alert"] = {
        "action": "allowed",
        "gid": 1,
        "signature_id": rule.sid,
        "rev": rule.revision,
        "signature": rule.message,
        "category": _CATEGORIES.get(rule.classtype, rule.classtype),
        "severity": rule.priority,
    }
    return line


def modbus_log(message: ModbusMessage, at: int) -> dict[str, Any]:
    """One line of Zeek's modbus.log; `at` in nanoseconds."""
    function = message.pdu[0]
    is_exception = not message.is_request and function & _EXCEPTION
    line = {
        **_who(message, at),
        "tid": message.transaction,
        "unit": message.unit,
        "func": _name(function),
        "pdu_type": "REQ" if message.is_request else "RESP",
    }
    if is_exception:
        code = message.pdu[1] if len(message.pdu) > 1 else 0
        line["exception"] = _EXCEPTIONS.get(code, f"unknown-{code}")
    return line


def modbus_detailed(message: ModbusMessage, at: int) -> list[dict[str, Any]]:
    """The lines of modbus_detailed.log: one for each run of addresses that is read or written."""
    function = message.pdu[0]
    about = message.pdu if message.is_request else message.asked
    base = {
        **_who(message, at),
        "tid": message.transaction,
        "unit": message.unit,
        "func": _name(function),
        "request_response": "REQUEST" if message.is_request else "RESPONSE",
    }
    lines = []
    for access in accesses(about) if about else []:
        line = {**base, "address": access.start, "quantity": access.count}
        values = access.values if access.writes else _read_values(message)
        if values is not None:
            line["values"] = ",".join(map(str, values))
        lines.append(line)
    return lines


def _read_values(message: ModbusMessage) -> list[int] | None:
    """The registers of a response."""
    pdu = message.pdu
    if message.is_request or pdu[0] not in (3, 4, 23) or len(pdu) < 2:
        return None
    data = pdu[2 : 2 + pdu[1]]
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2)]


def _who(message: ModbusMessage, at: int) -> dict[str, Any]:
    client, client_port, server, server_port = message.flow.ends
    return {
        "ts": at / 1e9,
        "uid": f"C{message.flow.number}",
        "id.orig_h": socket.inet_ntoa(client),
        "id.orig_p": client_port,
        "id.resp_h": socket.inet_ntoa(server),
        "id.resp_p": server_port,
    }


def _name(function: int) -> str:
    name = _FUNCTIONS.get(function & ~_EXCEPTION, f"unknown-{function & ~_EXCEPTION}")
    return f"{name}_EXCEPTION" if function & _EXCEPTION else name
