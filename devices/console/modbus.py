"""`modbus`: read, write, scan and identify Modbus TCP servers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from devices.console.arguments import Arguments, BadValue, Options, decimal, port, whole
from devices.console.modbus_values import (
    FORMS,
    ORDERS,
    TABLES,
    Address,
    Table,
    address,
    decode,
    encode,
    encode_bit,
    reference,
    words_of,
)
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from lab.text import Text

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

    from devices.console.modbus_client import ModbusClient

READ = Text(zh="读线圈或寄存器", en="read coils or registers")
WRITE = Text(zh="写线圈或保持寄存器", en="write coils or holding registers")
SCAN = Text(zh="找出可读的地址，或应答的单元", en="find addresses that can be read, or units that answer")
IDENTIFY = Text(zh="设备标识（功能码 43/14）", en="device identification (function 43/14)")
HOST = Text(zh="主机名或地址", en="name or address of a host")
ADDRESS = Text(zh="40001、400001，或从 0 起的地址", en="40001, 400001, or counted from 0")
VALUES = Text(zh="值；线圈用 0/1/on/off", en="values; 0/1/on/off for coils")
TABLE = Text(
    zh="表；有 -t 时地址从 0 起，默认 holding", en="table, holding by default; with -t the address counts from 0"
)
COUNT = Text(zh="几个值，默认 1", en="how many values, 1 by default")
FORM = Text(zh="类型，默认 u16", en="type, u16 by default")
ORDER = Text(zh="多寄存器数的字节顺序，默认 ABCD", en="order of bytes of long numbers, ABCD by default")
SCALE = Text(zh="一步的值，如 0.1", en="what one step is worth, such as 0.1")
UNIT = Text(zh="单元号，默认 1", en="unit id, 1 by default")
PORT = Text(zh="TCP 端口，默认 502", en="TCP port, 502 by default")
TIMEOUT = Text(zh="等应答多少秒，默认 2", en="seconds to wait for an answer, 2 by default")
RTU = Text(zh="TCP 上的 RTU 帧（透明串口服务器）", en="RTU frames over TCP, for transparent serial servers")
INTERVAL = Text(zh="每隔多少秒再读一次", en="read again every so many seconds")
TIMES = Text(zh="读几次；有 -i 而不写则直到 Ctrl-C", en="how many times; with -i and without it until Ctrl-C")
MULTIPLE = Text(zh="单个值也用功能码 15/16", en="function 15 or 16 also for a single value")
RANGE = Text(zh="从 0 起的地址范围，默认 0-127", en="range of addresses counted from 0, 0-127 by default")
UNITS = Text(zh="改为找单元，如 1-10", en="find units instead, such as 1-10")
RATE = Text(zh="每秒最多请求数，默认 50，最多 200", en="requests a second, 50 by default, 200 at most")
READ_ONLY = Text(zh="{table} 只读，不能写", en="{table} can only be read")
TOO_MANY = Text(
    zh="一次最多 {most} 个{what}，这里要 {count}", en="{most} {what} are the most of one request, here are {count}"
)
BITS = Text(zh="位", en="bits")
REGISTERS = Text(zh="寄存器", en="registers")
WRITTEN = Text(
    zh="已写 {table} {offset}（{reference}）：{values}", en="{table} {offset} ({reference}) written: {values}"
)
NOT_A_RANGE = Text(zh="{value!r} 不是范围，如 0-99", en="{value!r} is no range such as 0-99")
READABLE = Text(zh="{table} 可读的地址：{count} 个", en="{table}: addresses that can be read: {count}")
REFUSES_FUNCTION = Text(zh="{table}：设备不支持这个功能码", en="{table}: the device does not know this function")
ANSWERS = Text(zh="单元 {unit}：有应答", en="unit {unit}: answers")
ANSWERS_SO = Text(zh="单元 {unit}：有应答，异常 {code}", en="unit {unit}: answers with exception {code}")
NO_ROUTE = Text(
    zh="单元 {unit}：网关说没有（异常 {code}）", en="unit {unit}: not there, says the gateway with exception {code}"
)
UNITS_FOUND = Text(zh="应答的单元：{units}", en="units that answer: {units}")
NONE = Text(zh="无", en="none")

_MOST_BITS: Final = 2000
_MOST_REGISTERS: Final = 125
_MOST_BITS_WRITTEN: Final = 1968
_MOST_REGISTERS_WRITTEN: Final = 123
_WIDEST_RANGE: Final = 10_000
_ILLEGAL_FUNCTION: Final = 1
_ILLEGAL_ADDRESS: Final = 2
_GATEWAY: Final = (10, 11)
_OBJECTS: Final = (
    "VendorName",
    "ProductCode",
    "MajorMinorRevision",
    "VendorUrl",
    "ProductName",
    "ModelName",
    "UserApplicationName",
)
"""Modbus Application Protocol V1.1b3, section 6.21."""
_MOST_OBJECTS: Final = 512
_REGULAR: Final = 2
"""Read device id code: the objects 0 to 6 that a device has."""


def arguments(parser: Arguments) -> None:
    parser.examples(
        "modbus read plc-1 30001 -c 4",
        "modbus read plc-1 -t input 4 --type f32 --order CDAB",
        "modbus write plc-1 40101 8.5 --type i16 --scale 0.01",
        "modbus scan plc-1 -t holding -r 0-200",
        "modbus scan gw-1 --units 1-32",
        "modbus identify plc-1",
    )
    each = parser.command("read", READ)
    _where(each)
    each.flag("address", type=address, metavar="ADDRESS", help=ADDRESS)
    _what(each)
    each.flag("-c", "--count", type=whole(1, _MOST_BITS), default=1, metavar="N", help=COUNT)
    each.flag("-i", "--interval", type=decimal(0.05, 3600), metavar="S", help=INTERVAL)
    each.flag("-n", "--times", type=whole(1, 1_000_000), metavar="N", help=TIMES)
    each = parser.command("write", WRITE)
    _where(each)
    each.flag("address", type=address, metavar="ADDRESS", help=ADDRESS)
    each.flag("values", nargs="+", metavar="VALUE", help=VALUES)
    _what(each)
    each.flag("-m", "--multiple", action="store_true", help=MULTIPLE)
    each = parser.command("scan", SCAN)
    _where(each)
    each.flag("-t", "--table", choices=TABLES, default="holding", help=TABLE)
    each.flag("-r", "--range", type=_range(0xFFFF), default=range(128), metavar="A-B", help=RANGE)
    each.flag("--units", type=_range(255), metavar="A-B", help=UNITS)
    each.flag("--rate", type=decimal(0.1, 200), default=50.0, metavar="N", help=RATE)
    each = parser.command("identify", IDENTIFY)
    _where(each)


def _where(parser: Arguments) -> None:
    parser.flag("host", metavar="HOST", help=HOST)
    parser.flag("-u", "--unit", type=whole(0, 255), default=1, metavar="N", help=UNIT)
    parser.flag("-p", "--port", type=port, default=502, metavar="PORT", help=PORT)
    parser.flag("--timeout", type=decimal(0.01, 600), default=2.0, metavar="S", help=TIMEOUT)
    parser.flag("--rtu", action="store_true", help=RTU)


def _what(parser: Arguments) -> None:
    parser.flag("-t", "--table", choices=TABLES, help=TABLE)
    parser.flag("--type", dest="form", choices=FORMS, default="u16", help=FORM)
    parser.flag("--order", type=str.upper, choices=ORDERS, default="ABCD", help=ORDER)
    parser.flag("--scale", type=decimal(1e-9, 1e9), default=1.0, metavar="X", help=SCALE)


def _range(highest: int) -> Any:
    def convert(value: str) -> range:
        first, dash, last = value.partition("-")
        try:
            low, high = int(first), int(last) if dash else int(first)
        except ValueError:
            raise BadValue(NOT_A_RANGE, value=value) from None
        if not 0 <= low <= high <= highest or high - low >= _WIDEST_RANGE:
            raise BadValue(NOT_A_RANGE, value=value)
        return range(low, high + 1)

    return convert


async def run(process: Process, options: Options) -> int:
    # Its import alone takes 0.1 s.
    from devices.console.modbus_client import ModbusClient

    await process.resolve(options.host)
    client = ModbusClient(process, options.host, options.port, timeout=options.timeout, rtu=options.rtu)
    try:
        if options.command == "read":
            return await _read(process, options, client)
        if options.command == "write":
            return await _write(process, options, client)
        if options.command == "identify":
            return await _identify(process, options, client)
        if options.units is not None:
            return await _scan_units(process, options, client)
        return await _scan(process, options, client)
    finally:
        client.close()


def _chosen(options: Options) -> tuple[Table, int]:
    """With -t an address counts from zero, whatever it looks like."""
    where: Address = options.address
    if options.table is None:
        return where.table or "holding", where.offset
    return options.table, where.written if where.written <= 0xFFFF else where.offset


def _check(process: Process, table: Table, count: int, most_bits: int, most_registers: int) -> None:
    bits = table in ("coil", "discrete")
    most = most_bits if bits else most_registers
    if count > most:
        raise Failure(TOO_MANY, USAGE, most=most, what=process.say(BITS if bits else REGISTERS), count=count)


async def _read(process: Process, options: Options, client: ModbusClient) -> int:
    table, offset = _chosen(options)
    bits = table in ("coil", "discrete")
    size = 1 if bits else words_of(options.form)
    count = options.count * size
    _check(process, table, count, _MOST_BITS, _MOST_REGISTERS)
    began, number = process.now(), 0
    times = options.times or (None if options.interval else 1)
    status = OK
    while True:
        number += 1
        try:
            read = await client.read(table, offset, count, options.unit)
        except Failure as failure:
            if times == 1:
                raise
            process.complain(failure.text, **failure.facts)
            status = failure.status
        else:
            values: Sequence[Any]
            values = [int(bit) for bit in read] if bits else decode(read, options.form, options.order, options.scale)
            for place, value in enumerate(values):
                at = offset + place * size
                process.print(f"{table} {at} ({reference(table, at)}): {value}")
        if number == times:
            return status
        await process.until(began + number * (options.interval or 1.0))


async def _write(process: Process, options: Options, client: ModbusClient) -> int:
    table, offset = _chosen(options)
    if table not in ("coil", "holding"):
        raise Failure(READ_ONLY, USAGE, table=table)
    try:
        if table == "coil":
            raw: list[Any] = [encode_bit(value) for value in options.values]
        else:
            raw = [w for value in options.values for w in encode(value, options.form, options.order, options.scale)]
    except BadValue as error:
        raise Failure(error.text, USAGE, **error.facts) from None
    _check(process, table, len(raw), _MOST_BITS_WRITTEN, _MOST_REGISTERS_WRITTEN)
    unit = options.unit
    if len(raw) == 1 and not options.multiple:
        if table == "coil":
            await client.ask(unit, lambda modbus: modbus.write_coil(offset, raw[0], device_id=unit))
        else:
            await client.ask(unit, lambda modbus: modbus.write_register(offset, raw[0], device_id=unit))
    elif table == "coil":
        await client.ask(unit, lambda modbus: modbus.write_coils(offset, raw, device_id=unit))
    else:
        await client.ask(unit, lambda modbus: modbus.write_registers(offset, raw, device_id=unit))
    number = reference(table, offset)
    process.tell(WRITTEN, table=table, offset=offset, reference=number, values=" ".join(options.values))
    return OK


async def _scan(process: Process, options: Options, client: ModbusClient) -> int:
    """Address by address: a block with one hole in it would be refused as a whole."""
    from devices.console.modbus_client import Refused

    found = 0
    began = process.now()
    try:
        for number, offset in enumerate(options.range):
            await process.until(began + number / options.rate)
            try:
                (value,) = await client.read(options.table, offset, 1, options.unit)
            except Refused as refused:
                if refused.code == _ILLEGAL_FUNCTION:
                    process.complain(REFUSES_FUNCTION, table=options.table)
                    return FAILED
                if refused.code != _ILLEGAL_ADDRESS:
                    raise
                continue
            found += 1
            process.print(f"{options.table} {offset} ({reference(options.table, offset)}): {int(value)}")
    finally:
        process.tell(READABLE, table=options.table, count=found)
    return OK if found else FAILED


async def _scan_units(process: Process, options: Options, client: ModbusClient) -> int:
    from devices.console.modbus_client import Refused, Silent

    found: list[int] = []
    began = process.now()
    try:
        for number, unit in enumerate(options.units):
            await process.until(began + number / options.rate)
            try:
                await client.read(options.table, 0, 1, unit)
                process.tell(ANSWERS, unit=unit)
            except Silent:
                continue
            except Refused as refused:
                if refused.code in _GATEWAY:
                    process.tell(NO_ROUTE, unit=unit, code=refused.code)
                    continue
                process.tell(ANSWERS_SO, unit=unit, code=refused.code)
            found.append(unit)
    finally:
        process.tell(UNITS_FOUND, units=", ".join(map(str, found)) or process.say(NONE))
    return OK if found else FAILED


async def _identify(process: Process, options: Options, client: ModbusClient) -> int:
    unit = options.unit
    objects: dict[int, bytes] = {}
    following = 0
    while len(objects) < _MOST_OBJECTS:
        ask = partial(_read_identification, unit=unit, first=following)
        answer = await client.ask(unit, ask)
        before = len(objects)
        objects |= answer.information
        if not answer.more_follows or len(objects) == before:
            break
        following = answer.next_object_id
    for number, value in sorted(objects.items()):
        name = _OBJECTS[number] if number < len(_OBJECTS) else f"0x{number:02X}"
        said = value if isinstance(value, bytes) else b"; ".join(value)
        process.print(f"{name}: {said.decode(errors='replace')}")
    return OK


def _read_identification(client: AsyncModbusTcpClient, *, unit: int, first: int) -> Any:
    return client.read_device_information(read_code=_REGULAR, object_id=first, device_id=unit)
