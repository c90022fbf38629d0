"""What a Modbus device answers: one request in, one response out, no sockets.

Modbus Application Protocol V1.1b3. Functions 20, 21 and 24 (files and queues) and 43/13 are refused, as a small
controller refuses them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from devices.registers import BitTable, Registers, WordTable
from lab.wire import modbus
from lab.wire.modbus import DeviceIdAccess, DeviceObject, Diagnostic, ExceptionCode, Request, Response

_ROOM_FOR_OBJECTS: Final = modbus.MAX_PDU - 7
_LAST_BASIC_OBJECT, _LAST_REGULAR_OBJECT = 2, 6
_ANY_WORD: Final = range(0x10000)
MAX_REGISTERS: Final = 125
"""In one request, where the device does not allow less."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device says it is in function 43/14."""

    vendor_name: str
    product_code: str
    revision: str
    """MajorMinorRevision, such as `V2.11`."""
    vendor_url: str = ""
    product_name: str = ""
    model_name: str = ""
    user_application_name: str = ""

    def objects(self) -> tuple[DeviceObject, ...]:
        """In order of id: the three basic ones, and of the others those that say something."""
        basic = (self.vendor_name, self.product_code, self.revision)
        regular = (self.vendor_url, self.product_name, self.model_name, self.user_application_name)
        numbered = enumerate((*basic, *regular))
        told = tuple(DeviceObject(number, text.encode()) for number, text in numbered if text or number < len(basic))
        for each in told:
            if len(each.value) > _ROOM_FOR_OBJECTS - 2:
                raise ValueError(f"object {each.id} of the identity does not fit into a response")
        return told


class Traffic:
    """What a device remembers of its conversations, for functions 8, 11 and 12; counters roll over at 65536."""

    def __init__(self) -> None:
        self.log: deque[int] = deque(maxlen=64)
        """Event bytes (section 6.10), the latest first."""
        self.listen_only = False
        self.clear()

    def clear(self) -> None:
        self.messages = 0
        self.refused = 0
        self.unanswered = 0
        self.busy = 0
        self.completed = 0

    def received(self, *, broadcast: bool) -> None:
        self.messages += 1
        self.log.appendleft(0x80 | 0x40 * broadcast | 0x20 * self.listen_only)

    def answered(self, response: Response) -> None:
        if not isinstance(response, modbus.ExceptionResponse):
            self.completed += response.function not in (11, 12)
            self.log.appendleft(0x40)
            return
        self.refused += 1
        if response.code == ExceptionCode.SERVER_DEVICE_FAILURE:
            self.log.appendleft(0x42)
        elif response.code in (ExceptionCode.ACKNOWLEDGE, ExceptionCode.SERVER_DEVICE_BUSY):
            self.busy += 1
            self.log.appendleft(0x44)
        else:
            self.log.appendleft(0x41)

    def listen(self) -> None:
        """Go silent until communications are restarted."""
        self.listen_only = True
        self.unanswered += 1
        self.log.appendleft(0x04)

    def restart(self, *, forget: bool) -> None:
        self.clear()
        self.listen_only = False
        if forget:
            self.log.clear()
        self.log.appendleft(0x00)

    def counter(self, sub_function: int) -> int:
        counts = {
            Diagnostic.RETURN_BUS_MESSAGE_COUNT: self.messages,
            Diagnostic.RETURN_BUS_EXCEPTION_ERROR_COUNT: self.refused,
            Diagnostic.RETURN_SERVER_MESSAGE_COUNT: self.messages,
            Diagnostic.RETURN_SERVER_NO_RESPONSE_COUNT: self.unanswered,
            Diagnostic.RETURN_SERVER_BUSY_COUNT: self.busy,
        }
        return counts.get(Diagnostic(sub_function), 0) & 0xFFFF


class _Refused(Exception):
    """A request ends in an exception response with this code."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(code.name)
        self.code = code


class ModbusUnit:
    """One device: its tables, its identity, its counters. `written` is called after a client has changed something."""

    def __init__(
        self,
        registers: Registers,
        identity: Identity,
        *,
        written: Callable[[], None] = lambda: None,
        server_id: int = 1,
        max_registers: int = MAX_REGISTERS,
    ) -> None:
        self.registers = registers
        self.identity = identity
        self.traffic = Traffic()
        self.running = True
        """The run indicator of function 17."""
        self.exception_status = 0
        """Eight bits for function 7."""
        self._objects = identity.objects()
        self._written = written
        self._server_id = server_id
        self._max_registers = max_registers

    def answer(self, request: Request, *, broadcast: bool = False) -> Response | None:
        """The response to a request addressed to this device; None where it stays silent."""
        traffic = self.traffic
        traffic.received(broadcast=broadcast)
        if traffic.listen_only:
            traffic.unanswered += 1
            if isinstance(request, modbus.Diagnostics) and request.sub_function == Diagnostic.RESTART_COMMUNICATIONS:
                traffic.restart(forget=request.data[0] == 0xFF)
            return None
        act = _ACTIONS.get(type(request), _refuse_function)
        try:
            response = act(self, request)
        except _Refused as refused:
            response = modbus.ExceptionResponse(request.function & 0x7F, refused.code)
        if response is None:
            return None
        traffic.answered(response)
        if broadcast:
            traffic.unanswered += 1
            return None
        return response

    def _read_coils(self, request: modbus.ReadCoils) -> Response:
        return modbus.BitsRead(1, _read(self.registers.coils.values, request.address, request.quantity))

    def _read_discrete_inputs(self, request: modbus.ReadDiscreteInputs) -> Response:
        return modbus.BitsRead(2, _read(self.registers.discrete_inputs.values, request.address, request.quantity))

    def _read_holding_registers(self, request: modbus.ReadHoldingRegisters) -> Response:
        return modbus.RegistersRead(3, self._read_words(self.registers.holding_registers, request))

    def _read_input_registers(self, request: modbus.ReadInputRegisters) -> Response:
        return modbus.RegistersRead(4, self._read_words(self.registers.input_registers, request))

    def _read_words(
        self, table: WordTable, request: modbus.ReadHoldingRegisters | modbus.ReadInputRegisters
    ) -> tuple[int, ...]:
        self._check_quantity(request.quantity)
        return _read(table.values, request.address, request.quantity)

    def _check_quantity(self, quantity: int) -> None:
        """What a device does not take at once is no legal quantity for it (the state diagrams of section 6)."""
        if quantity > self._max_registers:
            raise _Refused(ExceptionCode.ILLEGAL_DATA_VALUE)

    def _write_single_coil(self, request: modbus.WriteSingleCoil) -> Response:
        self._write(self.registers.coils, request.address, (request.value,))
        return modbus.CoilWritten(request.address, request.value)

    def _write_single_register(self, request: modbus.WriteSingleRegister) -> Response:
        self._write_words(request.address, (request.value,))
        return modbus.RegisterWritten(request.address, request.value)

    def _write_multiple_coils(self, request: modbus.WriteMultipleCoils) -> Response:
        self._write(self.registers.coils, request.address, request.values)
        return modbus.CoilsWritten(request.address, len(request.values))

    def _write_multiple_registers(self, request: modbus.WriteMultipleRegisters) -> Response:
        self._write_words(request.address, request.values)
        return modbus.RegistersWritten(request.address, len(request.values))

    def _mask_write_register(self, request: modbus.MaskWriteRegister) -> Response:
        (value,) = _read(self.registers.holding_registers.values, request.address, 1)
        masked = value & request.and_mask | request.or_mask & ~request.and_mask & 0xFFFF
        self._write_words(request.address, (masked,))
        return modbus.RegisterMasked(request.address, request.and_mask, request.or_mask)

    def _read_write_multiple_registers(self, request: modbus.ReadWriteMultipleRegisters) -> Response:
        words = self.registers.holding_registers
        self._check_quantity(request.read_quantity)
        _read(words.values, request.read_address, request.read_quantity)  # a request refused has written nothing
        self._write_words(request.write_address, request.values)
        return modbus.RegistersRead(23, _read(words.values, request.read_address, request.read_quantity))

    def _write_words(self, address: int, values: Sequence[int]) -> None:
        words = self.registers.holding_registers
        self._check_quantity(len(values))
        for place, value in enumerate(values, address):
            if place in words.writable and value not in words.limits.get(place, _ANY_WORD):
                raise _Refused(ExceptionCode.ILLEGAL_DATA_VALUE)
        self._write(words, address, values)

    def _write(self, table: BitTable | WordTable, address: int, values: Sequence[Any]) -> None:
        span = range(address, address + len(values))
        if not table.writable.issuperset(span):
            raise _Refused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        table.values.update(zip(span, values, strict=True))
        self._written()

    def _read_exception_status(self, request: modbus.ReadExceptionStatus) -> Response:
        return modbus.ExceptionStatus(self.exception_status)

    def _diagnose(self, request: modbus.Diagnostics) -> Response | None:
        data = request.data
        match request.sub_function:
            case Diagnostic.RESTART_COMMUNICATIONS:
                self.traffic.restart(forget=data[0] == 0xFF)
            case Diagnostic.FORCE_LISTEN_ONLY:
                self.traffic.listen()
                return None
            case Diagnostic.CLEAR_COUNTERS:
                self.traffic.clear()
            case count if Diagnostic.RETURN_BUS_MESSAGE_COUNT <= count <= Diagnostic.RETURN_BUS_CHARACTER_OVERRUN_COUNT:
                data = self.traffic.counter(count).to_bytes(2, "big")
        return modbus.DiagnosticsAnswer(request.sub_function, data)

    def _get_comm_event_counter(self, request: modbus.GetCommEventCounter) -> Response:
        return modbus.CommEventCounter(False, self.traffic.completed & 0xFFFF)

    def _get_comm_event_log(self, request: modbus.GetCommEventLog) -> Response:
        traffic = self.traffic
        return modbus.CommEventLog(False, traffic.completed & 0xFFFF, traffic.messages & 0xFFFF, bytes(traffic.log))

    def _report_server_id(self, request: modbus.ReportServerId) -> Response:
        return modbus.ServerId(
            bytes((self._server_id, 0xFF if self.running else 0)) + self.identity.product_code.encode()
        )

    def _read_device_identification(self, request: modbus.ReadDeviceIdentification) -> Response:
        conformity = 0x81 if self._objects[-1].id <= _LAST_BASIC_OBJECT else 0x82
        if request.access == DeviceIdAccess.SPECIFIC:
            wanted = [each for each in self._objects if each.id == request.object_id]
            if not wanted:
                raise _Refused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
            return modbus.DeviceIdentification(request.access, conformity, tuple(wanted))
        last = _LAST_BASIC_OBJECT if request.access == DeviceIdAccess.BASIC else _LAST_REGULAR_OBJECT
        category = [each for each in self._objects if each.id <= last]
        # Section 6.21: an object id that is not there means: from the beginning.
        known = any(each.id == request.object_id for each in category)
        rest = [each for each in category if not known or each.id >= request.object_id]
        room = _ROOM_FOR_OBJECTS
        sent = []
        while rest and len(rest[0].value) + 2 <= room:
            room -= len(rest[0].value) + 2
            sent.append(rest.pop(0))
        more = rest[0].id if rest else 0
        return modbus.DeviceIdentification(request.access, conformity, tuple(sent), bool(rest), more)

    def _refuse(self, request: modbus.IllegalPdu) -> Response:
        raise _Refused(request.exception or ExceptionCode.ILLEGAL_DATA_VALUE)


def _refuse_function(unit: ModbusUnit, request: Request) -> Response:
    raise _Refused(ExceptionCode.ILLEGAL_FUNCTION)


def _read(values: Mapping[int, Any], address: int, quantity: int) -> tuple[Any, ...]:
    try:
        return tuple(map(values.__getitem__, range(address, address + quantity)))
    except KeyError:
        raise _Refused(ExceptionCode.ILLEGAL_DATA_ADDRESS) from None


_ACTIONS: Final[Mapping[type, Callable[[ModbusUnit, Any], Response | None]]] = {
    modbus.ReadCoils: ModbusUnit._read_coils,
    modbus.ReadDiscreteInputs: ModbusUnit._read_discrete_inputs,
    modbus.ReadHoldingRegisters: ModbusUnit._read_holding_registers,
    modbus.ReadInputRegisters: ModbusUnit._read_input_registers,
    modbus.WriteSingleCoil: ModbusUnit._write_single_coil,
    modbus.WriteSingleRegister: ModbusUnit._write_single_register,
    modbus.WriteMultipleCoils: ModbusUnit._write_multiple_coils,
    modbus.WriteMultipleRegisters: ModbusUnit._write_multiple_registers,
    modbus.MaskWriteRegister: ModbusUnit._mask_write_register,
    modbus.ReadWriteMultipleRegisters: ModbusUnit._read_write_multiple_registers,
    modbus.ReadExceptionStatus: ModbusUnit._read_exception_status,
    modbus.Diagnostics: ModbusUnit._diagnose,
    modbus.GetCommEventCounter: ModbusUnit._get_comm_event_counter,
    modbus.GetCommEventLog: ModbusUnit._get_comm_event_log,
    modbus.ReportServerId: ModbusUnit._report_server_id,
    modbus.ReadDeviceIdentification: ModbusUnit._read_device_identification,
    modbus.IllegalPdu: ModbusUnit._refuse,
}
