"""What carries Modbus requests to units: a TCP connection or a serial line, with one request under way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.modbus.address import BIT_TABLES, Table
from gateway.samples import Reason
from lab.text import Text

Answer = Sequence[int] | Sequence[bool]

READ_CODES: Final[Mapping[Table, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}

WRONG_ANSWER = Text(
    zh="设备的应答与请求不符：功能码 {function_code}，{count} 个值",
    en="the answer does not fit the request: function code {function_code}, {count} values",
)
EXCEPTION = Text(
    zh="设备以异常 {code}（{meaning}）拒绝读取 {table} {first}–{last}",
    en="the device refused to read {table} {first} to {last}: exception {code}, {meaning}",
)
WRITE_EXCEPTION = Text(
    zh="设备以异常 {code}（{meaning}）拒绝写入 {table} {first}–{last}",
    en="the device refused to write {table} {first} to {last}: exception {code}, {meaning}",
)
# Modbus Application Protocol V1.1b3, section 7
MEANINGS: Final = {
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
NOBODY_THERE: Final = (10, 11)
"""What a gateway between says of a unit that it cannot reach."""


class Silent(Exception):
    """Nobody answered in time."""


class Misfit(Exception):
    """An answer came that answers something else; `reason` says what."""

    def __init__(self, function_code: int, count: int) -> None:
        self.reason = Reason(WRONG_ANSWER, {"function_code": function_code, "count": count})


class Refused(Exception):
    """The unit answered, but with an exception."""

    def __init__(self, code: int) -> None:
        self.code = code

    def reason(self, table: Table, offset: int, quantity: int, what: Text = EXCEPTION) -> Reason:
        meaning = MEANINGS.get(self.code, UNKNOWN_EXCEPTION)
        facts = {"code": self.code, "meaning": meaning, "table": table, "first": offset, "last": offset + quantity - 1}
        return Reason(what, facts)


class Channel(ABC):
    """Its methods for requests raise Refused, Misfit or Silent, and Unreachable where the connection has gone."""

    can_be_lost = True
    """Whether there is a connection that silence tells something about."""

    pause = 0.0
    """Seconds to leave between an answer and the next request."""

    lost: Callable[[Reason], None]
    """Called when the connection breaks."""

    @abstractmethod
    async def open(self) -> None:
        """Raises Unreachable."""

    @abstractmethod
    async def close(self) -> None:
        """Never raises."""

    @abstractmethod
    async def read(self, unit: int, table: Table, offset: int, quantity: int, timeout: float) -> Answer:
        """Registers as unsigned words, or bits."""

    @abstractmethod
    async def write(
        self, unit: int, function: int, offset: int, values: Sequence[int] | Sequence[bool], timeout: float
    ) -> None:
        """With function code 5, 6, 15 or 16."""


def checked(table: Table, quantity: int, function_code: int, values: Answer) -> Answer:
    """The values of an answer that fits its request; raises Misfit."""
    # Bits come in whole bytes.
    expected = (quantity + 7) // 8 * 8 if table in BIT_TABLES else quantity
    if function_code != READ_CODES[table] or len(values) != expected:
        raise Misfit(function_code, len(values))
    return values
