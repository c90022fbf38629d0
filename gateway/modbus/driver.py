"""The southbound Modbus TCP connection, on pymodbus's client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from gateway.driver import CLOSED_BY_PEER, Driver, why_not_connected
from gateway.modbus.config import ModbusConnection, ModbusGroup, ModbusTag, Table
from gateway.modbus.plan import Block, poll_plan
from gateway.modbus.registers import decode
from gateway.samples import Reason, Sample, Scale, Unreachable, bad, good
from lab.clock import now_ns
from lab.text import Text

# What goes wrong is shown by status(); without a handler Python would print it over the screen.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

FUNCTION_CODES: Mapping[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}

EXCEPTION = Text(
    zh="设备以异常 {code}（{meaning}）拒绝读取 {table} {first}–{last}",
    en="the device refused to read {table} {first} to {last}: exception {code}, {meaning}",
)
NO_ANSWER = Text(zh="单元 {unit} 在 {timeout_ms} ms 内没有应答", en="no answer from unit {unit} within {timeout_ms} ms")
WRONG_ANSWER = Text(
    zh="设备的应答与请求不符：功能码 {function_code}，{count} 个值",
    en="the answer does not fit the request: function code {function_code}, {count} values",
)
# Modbus Application Protocol V1.1b3, section 7
MEANINGS = {
    1: Text(zh="非法功能码", en="illegal function"),
    2: Text(zh="非法数据地址", en="illegal data address"),
    3: Text(zh="非法数据值", en="illegal data value"),
    4: Text(zh="从站设备故障", en="server device failure"),
    5: Text(zh="确认，处理中", en="acknowledge"),
    6: Text(zh="从站忙", en="server device busy"),
    8: Text(zh="存储器奇偶校验错", en="memory parity error"),
    10: Text(zh="网关路径不可用", en="gateway path unavailable"),
    11: Text(zh="网关目标设备无应答", en="gateway target device failed to respond"),
}
UNKNOWN_EXCEPTION = Text(zh="未知异常", en="unknown exception")

Answer = Sequence[int] | Sequence[bool]


class _Refused(Exception):
    """The device answered, but not with values."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class ModbusDriver(Driver):
    """One TCP connection with one request in flight."""

    def __init__(self, config: ModbusConnection) -> None:
        super().__init__()
        self._config = config
        self._where = {"host": config.host, "port": config.port}
        self._client: AsyncModbusTcpClient | None = None
        self._turn = asyncio.Lock()
        self._asking = False

    async def connect(self) -> None:
        config = self._config
        client = AsyncModbusTcpClient(
            config.host,
            port=config.port,
            timeout=config.timeout_ms / 1000,
            retries=0,
            reconnect_delay=0,  # never: reconnecting is ours
            trace_connect=self._connection_changed,
        )
        # pymodbus tells only whether connecting worked; this is its hook to learn why not.
        create, failure = client.ctx.call_create, TimeoutError()

        async def create_and_remember() -> Any:
            nonlocal failure
            try:
                return await create()
            except OSError as error:
                failure = error  # type: ignore[assignment]
                raise

        client.ctx.call_create = create_and_remember
        self._client = client
        if not await client.connect():
            raise Unreachable(why_not_connected(failure, config.host, config.port, config.timeout_ms))

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def reader(self, group: ModbusGroup) -> ModbusReader:
        return ModbusReader(self, group, self._config)

    async def ask(self, block: Block[ModbusTag]) -> Answer:
        """Read one block; raises _Refused for an exception response and Unreachable where the connection has gone."""
        async with self._turn:
            client = self._client
            if client is None or not self.up.is_set():
                raise Unreachable(self.trouble)
            loop = asyncio.get_running_loop()
            began = loop.time()
            self.requests += 1
            self._asking = True
            try:
                response = await _READS[block.table](
                    client, block.offset, count=block.quantity, device_id=self._config.unit
                )
            except ConnectionError as error:  # set by _connection_changed
                raise Unreachable(self.trouble) from error
            except ModbusException as error:
                # A late answer must not be taken for that of a later request, so the connection goes too.
                facts = {"unit": self._config.unit, "timeout_ms": self._config.timeout_ms}
                self.lose(Reason(NO_ANSWER, facts))
                raise Unreachable(self.trouble) from error
            finally:
                self._asking = False
            self.rtt = loop.time() - began
            return self._values(block, response)

    def _values(self, block: Block[ModbusTag], response: ModbusPDU) -> Answer:
        if isinstance(response, ExceptionResponse):
            self.errors += 1
            code = response.exception_code
            facts = {
                "code": code,
                "meaning": MEANINGS.get(code, UNKNOWN_EXCEPTION),
                "table": block.table,
                "first": block.offset,
                "last": block.offset + block.quantity - 1,
            }
            raise _Refused(Reason(EXCEPTION, facts))
        bits = block.table in ("coil", "discrete")
        values: Answer = response.bits if bits else response.registers
        # Bits come in whole bytes.
        expected = (block.quantity + 7) // 8 * 8 if bits else block.quantity
        if response.function_code != FUNCTION_CODES[block.table] or len(values) != expected:
            self.errors += 1
            raise _Refused(Reason(WRONG_ANSWER, {"function_code": response.function_code, "count": len(values)}))
        return values

    def _connection_changed(self, connected: bool) -> None:
        if connected:
            return
        self.lose(Reason(CLOSED_BY_PEER, self._where))
        # pymodbus would let the pending request wait for its timeout.
        if self._asking and self._client is not None and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(ConnectionResetError())


class ModbusReader:
    """The poll plan of one group, carried out on a connection."""

    def __init__(self, driver: ModbusDriver, group: ModbusGroup, config: ModbusConnection) -> None:
        self._driver = driver
        self._tags = group.tags
        self._blocks = poll_plan(group.tags, config.max_registers, config.max_gap)
        self._scales = {tag.name: Scale(tag.scale, tag.offset) for tag in group.tags}

    async def read(self) -> Mapping[str, Sample]:
        samples: dict[str, Sample] = {}
        for block in self._blocks:
            try:
                values = await self._driver.ask(block)
            except (_Refused, Unreachable) as error:
                at = now_ns()
                samples.update((tag.name, bad(error.reason, at)) for tag in block.tags)
            else:
                at = now_ns()
                for tag in block.tags:
                    samples[tag.name] = good(self._value(block, tag, values), at)
        return {tag.name: samples[tag.name] for tag in self._tags}

    def _value(self, block: Block[ModbusTag], tag: ModbusTag, values: Answer) -> float | int | bool | str:
        first = tag.address.offset - block.offset
        if block.table in ("coil", "discrete"):
            return bool(values[first])
        raw = decode(tag.kind, tag.byte_order, values[first : first + tag.size], bit=tag.bit or 0)
        return self._scales[tag.name](raw)


_READS = {
    "coil": AsyncModbusTcpClient.read_coils,
    "discrete": AsyncModbusTcpClient.read_discrete_inputs,
    "holding": AsyncModbusTcpClient.read_holding_registers,
    "input": AsyncModbusTcpClient.read_input_registers,
}
