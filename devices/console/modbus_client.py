"""One connection to a Modbus TCP server, on pymodbus's client, with reasons in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse

from devices.console import words
from devices.console.modbus_values import Table
from devices.console.process import Failure, Process
from lab.network.pymodbus_connection import answered, connect
from lab.text import Text

NO_ANSWER = Text(
    zh="单元 {unit} 在 {seconds:g} 秒内没有（可理解的）应答",
    en="no answer, or none that makes sense, from unit {unit} within {seconds:g} s",
)
REFUSED = Text(
    zh="设备以异常 {code}（{name}）拒绝：{meaning}", en="the device refused with exception {code}, {name}: {meaning}"
)
NAMES: Final[Mapping[int, Text]] = {
    1: Text(zh="非法功能码", en="illegal function"),
    2: Text(zh="非法数据地址", en="illegal data address"),
    3: Text(zh="非法数据值", en="illegal data value"),
    4: Text(zh="从站设备故障", en="server device failure"),
    5: Text(zh="确认", en="acknowledge"),
    6: Text(zh="从站忙", en="server device busy"),
    8: Text(zh="存储器奇偶校验错", en="memory parity error"),
    10: Text(zh="网关路径不可用", en="gateway path unavailable"),
    11: Text(zh="网关目标设备无应答", en="gateway target device failed to respond"),
}
"""Modbus Application Protocol V1.1b3, section 7; the same below."""
MEANINGS: Final[Mapping[int, Text]] = {
    1: Text(zh="设备不支持这个功能码，或这个表不可写", en="it does not know this function, or does not allow it"),
    2: Text(
        zh="这些地址中有设备没有的；检查表、起始地址（手册编号减一）和数量",
        en="some of these addresses do not exist there; look at table, first address (a manual counts from 1) and count",
    ),
    3: Text(zh="值或数量超出设备所允许的范围", en="a value or a count is outside what it takes"),
    4: Text(zh="设备执行时出错", en="it failed while doing it"),
    5: Text(zh="设备已接受，需较长时间", en="it has accepted and needs time"),
    6: Text(zh="设备正忙，稍后再试", en="it is busy, try again later"),
    8: Text(zh="设备的存储器有错", en="its memory has an error"),
    10: Text(zh="网关没有到这个单元的通道；检查单元号", en="the gateway has no way to this unit; look at the unit id"),
    11: Text(
        zh="网关后的设备没有应答；检查单元号和串行线路",
        en="nobody answers behind the gateway; look at unit id and serial line",
    ),
}
UNKNOWN_NAME = Text(zh="未知异常", en="an unknown exception")
UNKNOWN_MEANING = Text(zh="规范中没有这个代码", en="no specification has this code")
WRONG_ANSWER = Text(zh="应答与请求不符", en="the answer does not fit the request")


class Refused(Failure):
    """The server answered with an exception."""

    def __init__(self, process: Process, code: int) -> None:
        name, meaning = NAMES.get(code, UNKNOWN_NAME), MEANINGS.get(code, UNKNOWN_MEANING)
        super().__init__(REFUSED, code=code, name=process.say(name), meaning=process.say(meaning))
        self.code = code


class Silent(Failure):
    """The server did not answer in time."""


class ModbusClient:
    """Connects when it must, asks one thing at a time."""

    def __init__(self, process: Process, host: str, port: int, *, timeout: float, rtu: bool) -> None:
        self._process, self._host, self._port, self._timeout = process, host, port, timeout
        self._framer = FramerType.RTU if rtu else FramerType.SOCKET
        self._client: AsyncModbusTcpClient | None = None

    async def connect(self) -> AsyncModbusTcpClient:
        """Raises Failure."""
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        client = self._client = AsyncModbusTcpClient(
            self._host, port=self._port, framer=self._framer, timeout=self._timeout, retries=0, reconnect_delay=0
        )
        try:
            await connect(client)
        except OSError as error:
            why = self._process.why(error)
            raise Failure(words.CONNECTING_FAILED, host=self._host, port=self._port, why=why) from None
        return client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def ask(self, unit: int, request: Callable[[AsyncModbusTcpClient], Any]) -> Any:
        """The response; raises Refused, Silent or Failure."""
        client = await self.connect()
        try:
            response = await answered(request(client))
        except (ModbusException, ConnectionError):
            # A late answer must not be taken for that of a later request, so the connection goes too.
            self.close()
            raise Silent(NO_ANSWER, unit=unit, seconds=self._timeout) from None
        if isinstance(response, ExceptionResponse):
            raise Refused(self._process, response.exception_code)
        return response

    async def read(self, table: Table, offset: int, count: int, unit: int) -> Sequence[int] | Sequence[bool]:
        """Registers as unsigned words, or bits; raises as `ask`, and Failure for an answer of the wrong size."""
        function: dict[Table, Any] = {
            "coil": AsyncModbusTcpClient.read_coils,
            "discrete": AsyncModbusTcpClient.read_discrete_inputs,
            "holding": AsyncModbusTcpClient.read_holding_registers,
            "input": AsyncModbusTcpClient.read_input_registers,
        }
        response = await self.ask(unit, lambda client: function[table](client, offset, count=count, device_id=unit))
        is_bits = table in ("coil", "discrete")
        values: Sequence[Any] = response.bits[:count] if is_bits else response.registers
        if len(values) != count:
            raise Failure(WRONG_ANSWER)
        return values
