"""What is wrong with a client's Modbus requests, by a content profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.network.firewall.content import ModbusContent, Spans, parse_span
from lab.wire.modbus import (
    FUNCTIONS,
    HEADER,
    MAX_PDU,
    IllegalPdu,
    MaskWriteRegister,
    ReadCoils,
    ReadDiscreteInputs,
    ReadFifoQueue,
    ReadFileRecord,
    ReadHoldingRegisters,
    ReadInputRegisters,
    ReadWriteMultipleRegisters,
    Request,
    WriteFileRecord,
    WriteMultipleCoils,
    WriteMultipleRegisters,
    WriteSingleCoil,
    WriteSingleRegister,
    decode_request,
)

_BEFORE_LENGTH_COUNTS: Final = 6
_FIXED: Final = {1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 7: 1, 11: 1, 12: 1, 17: 1, 22: 7, 24: 3}
"""Bytes of the PDU, for functions whose requests are always of one length."""
_COUNTED: Final = {15: 5, 16: 5, 20: 1, 21: 1, 23: 9}
"""Where in the PDU stands the number of bytes that follow."""
_REMEMBERED: Final = 1024
_READ_ONLY: Final = frozenset({1, 2, 3, 4, 7, 11, 12, 17, 20, 24, 43})
_READ_TABLES: Final[Mapping[type[Request], str]] = {
    ReadCoils: "coils",
    ReadDiscreteInputs: "discrete",
    ReadInputRegisters: "input",
}
_WHAT_IS_READ: Final = (ReadCoils, ReadDiscreteInputs, ReadHoldingRegisters, ReadInputRegisters)

_Spans = tuple[tuple[int, int], ...]


def _parsed(spans: Spans | None) -> _Spans | None:
    return None if spans is None else _merged([parse_span(span) for span in spans])


def _merged(spans: list[tuple[int, int]]) -> _Spans:
    """In order and joined where they touch, so that a range lies in one of them or not at all inside."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return tuple(joined)


def _covers(spans: _Spans, first: int, last: int) -> bool:
    return any(low <= first and last <= high for low, high in spans)


class _Writable:
    def __init__(self, table: str, addresses: _Spans, values: _Spans | None) -> None:
        self.table, self.addresses, self.values = table, addresses, values


class ModbusRules:
    """A content profile made ready; shared by all connections."""

    def __init__(self, content: ModbusContent) -> None:
        self.passed: set[bytes] = set()
        """Requests found right, from the length field on: pollers ask the same again and again."""
        self.checks_format = content.format_check
        self._units = _parsed(content.units)
        self._functions = None if content.functions is None else frozenset(content.functions)
        if content.read_only:
            self._functions = _READ_ONLY & (self._functions or _READ_ONLY)
        self._reads: Mapping[str, _Spans] | None = (
            None if content.reads is None else {table: _parsed(spans) or () for table, spans in content.reads.items()}
        )
        self._writes = (
            None
            if content.writes is None
            else tuple(
                _Writable(each.table, _parsed(each.addresses) or (), _parsed(each.values)) for each in content.writes
            )
        )

    def fault_of_envelope(self, unit: int, function: int) -> str | None:
        """What is wrong with a request whose rest may still be to come."""
        if self._units is not None and not _covers(self._units, unit, unit):
            return f"unit {unit}"
        if self._functions is not None and function not in self._functions:
            return f"function {function} {FUNCTIONS.get(function, '')}".rstrip()
        return None

    def fault_of(self, request: Request) -> str | None:
        """What is wrong with a whole request, its unit and function aside."""
        if isinstance(request, IllegalPdu):
            if self.checks_format or request.function in FUNCTIONS:
                return f"format: function {request.function}: {request.reason}"
            return None
        if isinstance(request, _WHAT_IS_READ):
            return self._fault_of_read(_READ_TABLES.get(type(request), "holding"), request.address, request.quantity)
        match request:
            case ReadFifoQueue(address):
                return self._fault_of_read("holding", address, 1)
            case ReadFileRecord() if self._reads is not None:
                return "read file"
            case WriteFileRecord() if self._writes is not None:
                return "write file"
            case WriteSingleCoil(address, value):
                return self._fault_of_write("coils", address, (int(value),))
            case WriteMultipleCoils(address, values):
                return self._fault_of_write("coils", address, tuple(map(int, values)))
            case WriteSingleRegister(address, value):
                return self._fault_of_write("holding", address, (value,))
            case WriteMultipleRegisters(address, values):
                return self._fault_of_write("holding", address, values)
            case MaskWriteRegister(address, _, _):
                return self._fault_of_mask(address)
            case ReadWriteMultipleRegisters(read_address, read_quantity, write_address, values):
                fault = self._fault_of_read("holding", read_address, read_quantity)
                return fault or self._fault_of_write("holding", write_address, values)
        return None

    def _fault_of_read(self, table: str, address: int, quantity: int) -> str | None:
        last = address + quantity - 1
        if last > 0xFFFF:
            return f"format: {table} {address}-{last} ends beyond 65535"
        if self._reads is not None and not _covers(self._reads.get(table, ()), address, last):
            return f"read {table} {address}-{last}"
        return None

    def _fault_of_write(self, table: str, address: int, values: tuple[int, ...]) -> str | None:
        last = address + len(values) - 1
        if last > 0xFFFF:
            return f"format: {table} {address}-{last} ends beyond 65535"
        if self._writes is None:
            return None
        for at, value in enumerate(values, address):
            there = [each for each in self._writes if each.table == table and _covers(each.addresses, at, at)]
            if not there:
                return f"write {table} {at}"
            if not any(each.values is None or _covers(each.values, value, value) for each in there):
                return f"write {table} {at} value {value}"
        return None

    def _fault_of_mask(self, address: int) -> str | None:
        """The value that comes of a mask is not known here, so it passes only where every value may be written."""
        if self._writes is None:
            return None
        there = [each for each in self._writes if each.table == "holding" and _covers(each.addresses, address, address)]
        if any(each.values is None for each in there):
            return None
        return f"write holding {address} by mask" if there else f"write holding {address}"


class ModbusJudge:
    """Follows the requests of one connection; remembers at most one that is unfinished."""

    def __init__(self, rules: ModbusRules) -> None:
        self._rules = rules
        self._buffer = b""

    def feed(self, data: bytes) -> str | None:
        """What is wrong with these bytes, or None: they may pass, even where they end in the middle of a request."""
        rules = self._rules
        if not self._buffer and data[4:] in rules.passed and data[2:4] == b"\0\0":
            return None
        data = self._buffer + data
        at, size = 0, len(data)
        start = end = 0
        while size - at >= HEADER.size:
            _, protocol, length, unit = HEADER.unpack_from(data, at)
            if protocol != 0:
                return f"format: protocol identifier {protocol}"
            if not 1 < length <= 1 + MAX_PDU:
                return f"format: length {length}"
            start, end = at + HEADER.size, at + _BEFORE_LENGTH_COUNTS + length
            if size == start:
                break
            pdu = data[start : min(end, size)]
            fault = rules.fault_of_envelope(unit, pdu[0]) or (
                _fault_of_length(pdu, length - 1) if rules.checks_format else None
            )
            if fault is None and end <= size:
                fault = rules.fault_of(decode_request(pdu))
            if fault is not None:
                return fault
            if end > size:
                break
            at = end
        self._buffer = data[at:]
        if end == size and at == size and start == HEADER.size and len(rules.passed) < _REMEMBERED:
            rules.passed.add(data[4:])
        return None


def _fault_of_length(pdu: bytes, announced: int) -> str | None:
    """Whether the MBAP header announces as many bytes of PDU as the function has, as far as that can be told."""
    function = pdu[0]
    expected = _FIXED.get(function)
    if expected is None and (at := _COUNTED.get(function)) is not None and len(pdu) > at:
        expected = at + 1 + pdu[at]
    if expected is None or expected == announced:
        return None
    return f"format: length {announced + 1} for function {function}, which has {expected + 1}"
