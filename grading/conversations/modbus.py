"""Modbus TCP: which registers were read and written, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grading.conversations.conversation import Conversation, Decoder
from grading.observations import (
    FunctionUsed,
    IdentificationRead,
    ModbusException,
    ModbusUnanswered,
    RegistersRead,
    RegistersWritten,
    Table,
)
from lab.wire import modbus
from lab.wire.modbus import Adu, IllegalPdu
from lab.wire.modbus.packing import unpack_words

if TYPE_CHECKING:
    from grading.flows import Flow

PATIENCE = 5.0
"""Seconds without an answer after which a request counts as unanswered."""
MAX_PENDING = 256
"""Requests of one connection that wait for an answer; then the oldest counts as unanswered."""

_TABLES: Mapping[int, Table] = {
    # Of reading functions.
    1: "coil",
    2: "discrete",
    3: "holding",
    4: "input",
    23: "holding",
}

_REGISTERS: Mapping[int, Table] = {3: "holding", 4: "input"}
_MOST_REGISTERS = 125
_HEADER = modbus.HEADER.size
_LENGTH_ENDS = 6

Pending = tuple[Adu[Any] | bytes, float, tuple[int, ...]]
"""A request, when it was asked and in which frames; one that reads registers as it came, decoded only if need be."""


class ModbusConversation(Conversation):
    """Pairs answers with requests by transaction, as pipelining clients do.

    Captures are full of registers being read, one whole message to a segment: these go a shorter way. A side that has
    once split or joined messages is left to its decoder.
    """

    protocol = "modbus"

    __slots__ = ("_client_is_whole", "_has_gap", "_late", "_pending", "_server_is_whole")

    def __init__(self, flow: Flow) -> None:
        self._pending: dict[int, Pending] = {}
        """By transaction."""
        self._late: dict[int, Pending] = {}
        """Those that have been reported as unanswered, for an answer may come all the same."""
        self._has_gap = False
        self._client_is_whole = self._server_is_whole = True
        super().__init__(flow)

    def decoder(self, by_client: bool) -> Decoder:
        return modbus.RequestDecoder() if by_client else modbus.ResponseDecoder()

    def client_said(self, data: bytes, at: float, number: int) -> None:
        if not self._client_is_whole or not _is_whole(data):
            self._client_is_whole = False
            super().client_said(data, at, number)
        elif len(data) == 12 and data[7] in _REGISTERS and 0 < (data[10] << 8 | data[11]) <= _MOST_REGISTERS:
            self._ask(data[0] << 8 | data[1], (data, at, (number,)))
        else:
            self.client_message(_request(data), at, (number,))

    def server_said(self, data: bytes, at: float, number: int) -> None:
        if not self._server_is_whole or not _is_whole(data):
            self._server_is_whole = False
            super().server_said(data, at, number)
            return
        asked = self._pending.get(data[0] << 8 | data[1])
        if asked is not None:
            request = asked[0]
            # The same unit and function, and as many registers as were asked for.
            if type(request) is bytes and request[6:8] == data[6:8] and len(data) == 9 + data[8]:
                quantity = request[10] << 8 | request[11]
                if data[8] == 2 * quantity:
                    del self._pending[data[0] << 8 | data[1]]
                    flow = self.flow
                    flow.emit(
                        RegistersRead(
                            at,
                            flow.client,
                            flow.server,
                            flow.server_address,
                            (*asked[2], number),
                            data[6],
                            _REGISTERS[data[7]],
                            request[8] << 8 | request[9],
                            unpack_words(data, 9, quantity),
                            asked[1],
                            data[7],
                        )
                    )
                    return
        transaction, _, _, unit = modbus.HEADER.unpack_from(data)
        self.server_message(Adu(transaction, unit, modbus.decode_response(data[_HEADER:])), at, (number,))

    def client_message(self, message: Adu[modbus.Request], at: float, frames: tuple[int, ...]) -> None:
        self._ask(message.transaction, (message, at, frames))
        if type(message.pdu) is IllegalPdu:
            self.complain(True, message.pdu.reason, at, frames)

    def _ask(self, transaction: int, asked: Pending) -> None:
        pending = self._pending
        if transaction in pending:
            self._unanswered(pending.pop(transaction), asked[1])
        elif len(pending) >= MAX_PENDING:
            self._unanswered(pending.pop(next(iter(pending))), asked[1])
        if self._late:
            self._late.pop(transaction, None)
        pending[transaction] = asked

    def server_message(self, message: Adu[modbus.Response], at: float, frames: tuple[int, ...]) -> None:
        answer = message.pdu
        asked = self._pending.get(message.transaction) or self._late.get(message.transaction)
        flow = self.flow
        adu = _understood(asked[0]) if asked is not None else None
        if asked is None or adu is None or adu.unit != message.unit:
            self._unasked(message, at, frames, f"transaction {message.transaction} answers no request")
            return
        if self._pending.pop(message.transaction, None) is None:
            del self._late[message.transaction]
        _, asked_at, asked_frames = asked
        request = adu.pdu
        frames = asked_frames + frames
        if type(request) is IllegalPdu and type(answer) is not modbus.ExceptionResponse:
            self._unasked(message, at, frames, f"transaction {message.transaction} answers an illegal request")
        elif type(answer) is modbus.RegistersRead and request.function == answer.function:
            values = answer.values
            if answer.function == 23:
                written = len(request.values)
                self._written(adu.unit, 23, request.write_address, written, request.values, at, asked_at, frames)
                address, quantity = request.read_address, request.read_quantity
            else:
                address, quantity = request.address, request.quantity
            if len(values) == quantity:
                flow.emit(
                    RegistersRead(
                        at,
                        flow.client,
                        flow.server,
                        flow.server_address,
                        frames,
                        adu.unit,
                        _TABLES[answer.function],
                        address,
                        values,
                        asked_at,
                        answer.function,
                    )
                )
            else:
                self.complain(False, f"{len(values)} registers answer a request for {quantity}", at, frames)
        else:
            self._other(adu.unit, request, answer, at, asked_at, frames)

    def _other(
        self, unit: int, request: Any, answer: modbus.Response, at: float, asked_at: float, frames: tuple[int, ...]
    ) -> None:
        """An answer that is not a read register, to a request that was seen."""
        flow = self.flow
        where = (at, flow.client, flow.server, flow.server_address, frames)
        if isinstance(answer, modbus.ExceptionResponse):
            address, quantity = _range(request)
            flow.emit(ModbusException(*where, unit, answer.function, answer.code, address, quantity, asked_at))
        elif isinstance(answer, IllegalPdu):
            self.complain(False, answer.reason, at, frames)
        elif answer.function != request.function:
            self.complain(False, f"function {answer.function} answers function {request.function}", at, frames)
        elif isinstance(answer, modbus.BitsRead):
            bits = answer.values[: request.quantity]
            if len(answer.values) != (request.quantity + 7) // 8 * 8:
                self.complain(False, f"{len(answer.values)} bits answer a request for {request.quantity}", at, frames)
            else:
                table = _TABLES[answer.function]
                flow.emit(RegistersRead(*where, unit, table, request.address, bits, asked_at, answer.function))
        elif isinstance(answer, modbus.DeviceIdentification):
            objects = tuple((each.id, each.value) for each in answer.objects)
            flow.emit(IdentificationRead(*where, unit, objects, asked_at))
        elif answer.function in (15, 16):
            values = request.values
            self._written(unit, answer.function, request.address, len(values), values, at, asked_at, frames)
        elif not self._confirmed(unit, answer, at, asked_at, frames):
            sub_function = answer.sub_function if isinstance(answer, modbus.DiagnosticsAnswer) else 0
            flow.emit(FunctionUsed(*where, unit, answer.function, sub_function, asked_at))

    def _unasked(self, message: Adu[modbus.Response], at: float, frames: tuple[int, ...], reason: str) -> None:
        """An answer to nothing that was understood; a confirmed write still is one."""
        answer = message.pdu
        if isinstance(answer, (modbus.CoilsWritten, modbus.RegistersWritten)):
            self._written(message.unit, answer.function, answer.address, answer.quantity, (), at, at, frames)
        elif not self._confirmed(message.unit, answer, at, at, frames) and not self._has_gap:
            self.complain(False, reason, at, frames)

    def _confirmed(
        self, unit: int, answer: modbus.Response, at: float, asked_at: float, frames: tuple[int, ...]
    ) -> bool:
        """Whether the answer itself says what has been written, and if so, tell it."""
        if isinstance(answer, (modbus.CoilWritten, modbus.RegisterWritten)):
            values: tuple[int, ...] = (answer.value,)
        elif isinstance(answer, modbus.RegisterMasked):
            values = (answer.and_mask, answer.or_mask)
        else:
            return False
        self._written(unit, answer.function, answer.address, 1, values, at, asked_at, frames)
        return True

    def _written(
        self,
        unit: int,
        function: int,
        address: int,
        quantity: int,
        values: tuple[int, ...],
        at: float,
        asked_at: float,
        frames: tuple[int, ...],
    ) -> None:
        flow = self.flow
        table: Table = "coil" if function in (5, 15) else "holding"
        flow.emit(
            RegistersWritten(
                at,
                flow.client,
                flow.server,
                flow.server_address,
                frames,
                unit,
                table,
                address,
                quantity,
                values,
                asked_at,
                function,
            )
        )

    def _unanswered(self, pending: Pending, at: float) -> None:
        request, asked_at, frames = pending
        adu = _understood(request)
        flow = self.flow
        address, quantity = _range(adu.pdu)
        flow.emit(
            ModbusUnanswered(
                at,
                flow.client,
                flow.server,
                flow.server_address,
                frames,
                adu.unit,
                adu.pdu.function,
                address,
                quantity,
                asked_at,
            )
        )

    def lost(self, by_client: bool) -> None:
        self._has_gap = True
        super().lost(by_client)

    def sweep(self, now: float) -> None:
        pending = self._pending
        while pending:
            transaction = next(iter(pending))
            oldest = pending[transaction]
            if now - oldest[1] < PATIENCE:
                return
            del pending[transaction]
            self._unanswered(oldest, oldest[1] + PATIENCE)
            if len(self._late) >= MAX_PENDING:
                del self._late[next(iter(self._late))]
            self._late[transaction] = oldest

    def ended(self, at: float) -> None:
        pending, self._pending = self._pending, {}
        self._late.clear()
        for each in pending.values():
            self._unanswered(each, at)


def _is_whole(data: bytes) -> bool:
    """Whether a segment is one message, neither more nor less."""
    size = len(data)
    if not _HEADER < size <= _HEADER + modbus.MAX_PDU:
        return False
    return data[2:4] == b"\0\0" and size == _LENGTH_ENDS + (data[4] << 8 | data[5])


def _request(data: bytes) -> Adu[modbus.Request]:
    """A whole request."""
    transaction, _, _, unit = modbus.HEADER.unpack_from(data)
    return Adu(transaction, unit, modbus.decode_request(data[_HEADER:]))


def _understood(request: Adu[Any] | bytes) -> Adu[Any]:
    return _request(request) if isinstance(request, bytes) else request


def _range(request: Any) -> tuple[int, int]:
    """The address and quantity a request is about, of function 23 those it writes; 0, 0 where there are none."""
    if isinstance(request, modbus.ReadWriteMultipleRegisters):
        return request.write_address, len(request.values)
    if isinstance(request, IllegalPdu):
        # Refused or not, it says where it wanted to go: functions with an address have it first.
        has_address = request.function in (*_TABLES, 5, 6, 15, 16, 22) and len(request.body) >= 2
        return (int.from_bytes(request.body[:2], "big"), 1) if has_address else (0, 0)
    address = getattr(request, "address", None)
    if address is None:
        return 0, 0
    values = getattr(request, "values", None)
    return address, len(values) if values is not None else getattr(request, "quantity", 1)
