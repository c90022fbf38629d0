"""Checks of Modbus traffic: `modbus.read`, `modbus.no_write`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, StrictInt, model_validator

from grading.checks.check import Check, Context, HostName
from grading.checks.rhythm import SENTENCES, UNTIMELY, Periodic, Rhythm
from grading.observations import (
    ModbusException,
    ModbusUnanswered,
    Observation,
    RegistersRead,
    RegistersWritten,
    Table,
)
from grading.verdict import Verdict, failed, passed
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text
from lab.wire.modbus import FUNCTIONS, ExceptionCode

QUIET: Final = 60.0
"""Seconds without an exception before traffic counts as clean."""
PARTLY: Final = 0.3
"""The most that reading only some of the registers is worth."""

WRITES: Final[Mapping[int, Table]] = {5: "coil", 6: "holding", 15: "coil", 16: "holding", 22: "holding", 23: "holding"}
"""The functions that write, and what."""
TABLES: Final[Mapping[str, Text]] = {
    "holding": Text(zh="保持寄存器", en="holding registers"),
    "input": Text(zh="输入寄存器", en="input registers"),
    "coil": Text(zh="线圈", en="coils"),
    "discrete": Text(zh="离散输入", en="discrete inputs"),
}
EXCEPTIONS: Final = {int(code): code.name for code in ExceptionCode}
TOO_FAR = Text(zh="地址加数量超过 65536", en="address and quantity go beyond 65536")

Unit = Annotated[StrictInt, Field(ge=0, le=255, description="单元标识。 Unit id.")]
Address = Annotated[StrictInt, Field(ge=0, le=65535, description="起始地址，从 0 起。 First address, zero-based.")]
Quantity = Annotated[StrictInt, Field(ge=1, le=65536, description="数量。 How many.")]


class ModbusReadParams(Periodic):
    """Which registers are to be read, by whom and how often."""

    client: Annotated[HostName, Field(description="谁来读。 Who is to read.")]
    server: Annotated[HostName, Field(description="读谁。 Whom.")]
    unit: Unit
    table: Annotated[Table, Field(description="哪张表。 Which table.")]
    address: Address
    quantity: Quantity

    @model_validator(mode="after")
    def _within_the_table(self) -> ModbusReadParams:
        if self.address + self.quantity > 0x10000:
            raise KnownValueError(TOO_FAR)
        return self


class ModbusRead(Check[ModbusReadParams]):
    """The registers are read at the right distance, whatever the blocks, and nothing is refused."""

    name = "modbus.read"
    Params = ModbusReadParams
    wants = (RegistersRead, ModbusException, ModbusUnanswered)
    words = TABLES
    sentences: ClassVar[Mapping[str, Text]] = {
        **SENTENCES,
        "never-read": Text(zh="还没有看到 {client} 读 {server}", en="{client} has not been seen to read {server}"),
        "unanswered": Text(
            zh="{client} 的请求没有得到 {server} 的应答", en="{server} does not answer the requests of {client}"
        ),
        "exceptions": Text(
            zh="{server} 最近用异常 {code} 拒绝了功能码 {function}（地址 {address}，数量 {quantity}）",
            en="{server} lately refused function {function} with exception {code} "
            "(address {address}, quantity {quantity})",
        ),
        "wrong-unit": Text(zh="读的是单元 {seen}，应为 {expected}", en="unit {seen} is read, it should be {expected}"),
        "wrong-table": Text(zh="读的是{seen}，应为{expected}", en="{seen} are read, it should be {expected}"),
        "wrong-range": Text(
            zh="读的地址是 {seen}，应包括 {expected}", en="addresses {seen} are read, they should include {expected}"
        ),
        "partly-read": Text(
            zh="应读 {expected} 个地址，读到 {seen} 个，缺少地址 {missing}",
            en="{seen} of {expected} addresses are read; {missing} is missing",
        ),
    }

    def __init__(self, id_: str, params: ModbusReadParams, context: Context) -> None:
        super().__init__(id_, params, context)
        self._whole = (1 << params.quantity) - 1
        self._scans = Rhythm(params.window)
        self._reset()

    def _reset(self) -> None:
        self._scans.clear()
        self._covered = 0
        """Addresses read since the last complete scan, one bit for each."""
        self._ever = 0
        """Addresses read at all."""
        self._frames: tuple[int, ...] = ()
        """Of the last complete scan."""
        self._astray: RegistersRead | None = None
        """The last read of something else."""
        self._refused: ModbusException | None = None
        self._silent: ModbusUnanswered | None = None

    def begin(self, at: float) -> None:
        super().begin(at)
        self._reset()

    def observe(self, observation: Observation) -> None:
        params = self.params
        if observation.client != params.client or observation.server != params.server:
            return
        if self.since is None or observation.at < self.since:
            return
        if isinstance(observation, RegistersRead):
            self._read(observation)
        elif isinstance(observation, ModbusException):
            self._refused = observation
        elif isinstance(observation, ModbusUnanswered):
            self._silent = observation

    def _read(self, read: RegistersRead) -> None:
        params = self.params
        start = max(read.address, params.address) - params.address
        end = min(read.address + len(read.values), params.address + params.quantity) - params.address
        if read.unit != params.unit or read.table != params.table or start >= end:
            self._astray = read
            return
        bits = (1 << end) - (1 << start)
        self._covered |= bits
        if self._covered == self._whole:
            self._scans.beat(read.asked_at)
            self._frames = read.frames
            self._covered = 0
            self._ever = self._whole
        else:
            self._ever |= bits

    def judge(self, since: float, now: float) -> Verdict:
        params = self.params
        refused = self._refused
        if not self._scans.count:
            return self._never()
        facts = {"unit": params.unit, "table": params.table, "address": params.address, "quantity": params.quantity}
        complaint = self._scans.complaint(params, now)
        if complaint is not None:
            reason, seen = complaint
            share = UNTIMELY if reason in ("too-slow", "too-fast", "gaps") else 0.0
            return failed(reason, share=share, frames=self._frames, **facts, **seen)
        if refused is not None and now - refused.at <= QUIET:
            return failed("exceptions", share=UNTIMELY, frames=refused.frames, **_refusal(refused))
        return passed(frames=self._frames, **facts, scans=self._scans.count, mean=self._scans.mean)

    def _never(self) -> Verdict:
        """No complete scan: the nearest thing that was seen says why."""
        params = self.params
        if self._ever:
            missing = next(bit for bit in range(params.quantity) if not self._ever >> bit & 1)
            seen = self._ever.bit_count()
            return failed(
                "partly-read",
                share=PARTLY * seen / params.quantity,
                seen=seen,
                expected=params.quantity,
                missing=params.address + missing,
            )
        if self._refused is not None:
            return failed("exceptions", frames=self._refused.frames, **_refusal(self._refused))
        if self._astray is not None:
            return self._went_astray(self._astray)
        if self._silent is not None:
            frames = self._silent.frames
            return failed("unanswered", frames=frames, client=params.client, server=params.server)
        return failed("never-read", client=params.client, server=params.server)

    def _went_astray(self, read: RegistersRead) -> Verdict:
        params = self.params
        if read.unit != params.unit:
            return failed("wrong-unit", frames=read.frames, seen=read.unit, expected=params.unit)
        if read.table != params.table:
            return failed("wrong-table", frames=read.frames, seen=read.table, expected=params.table)
        ranges = (read.address, len(read.values)), (params.address, params.quantity)
        seen, expected = (f"{first}–{first + count - 1}" for first, count in ranges)
        return failed("wrong-range", frames=read.frames, seen=seen, expected=expected)


def _refusal(exception: ModbusException) -> dict[str, Any]:
    return {
        "server": exception.server,
        "unit": exception.unit,
        "function": exception.function,
        "code": exception.code,
        "meaning": EXCEPTIONS.get(exception.code, ""),
        "address": exception.address,
        "quantity": exception.quantity,
    }


class ProtectedRange(Strict):
    """Registers nobody may write."""

    table: Annotated[Table, Field(description="哪张表：holding 或 coil。 Which table: holding or coil.")]
    address: Address
    quantity: Quantity


class ModbusNoWriteParams(Strict):
    """What must not be written."""

    server: Annotated[HostName, Field(description="受保护的设备。 The device protected.")]
    unit: Annotated[Unit | None, Field(description="单元标识；缺省为全部。 Unit id; all of them by default.")] = None
    ranges: list[ProtectedRange] = Field(
        default_factory=list, description="受保护的地址；缺省为全部。 What is protected; everything by default."
    )
    except_by: list[HostName] = Field(default_factory=list, description="允许写的主机。 Hosts that may write.")


class ModbusNoWrite(Check[ModbusNoWriteParams]):
    """Nobody tries to write what is protected, whether the device takes it or not."""

    name = "modbus.no_write"
    Params = ModbusNoWriteParams
    wants = (RegistersRead, RegistersWritten, ModbusException, ModbusUnanswered)
    is_negative = True
    proven = frozenset({"written"})
    sentences: ClassVar[Mapping[str, Text]] = {
        "written": Text(
            zh="{client} 用功能码 {function}（{meaning}）写了单元 {unit} 的地址 {address}，共 {times} 次",
            en="{client} wrote to address {address} of unit {unit} with function {function} ({meaning}), "
            "{times} times in all",
        ),
        "nothing-seen": Text(
            zh="还没有人与 {server} 通信，无法说明没有写操作",
            en="nobody has talked to {server} yet, so that nothing is shown",
        ),
    }

    def __init__(self, id_: str, params: ModbusNoWriteParams, context: Context) -> None:
        super().__init__(id_, params, context)
        self._frames: tuple[int, ...] = ()
        self._first: dict[str, Any] = {}
        """The first offence."""
        self._times = 0
        self._has_traffic = False

    def begin(self, at: float) -> None:
        """A change of configuration excuses nothing; what is before an acceptance run settles does not count."""
        if self.since is None:
            super().begin(at)

    def observe(self, observation: Observation) -> None:
        if self.since is None or observation.at < self.since or observation.server != self.params.server:
            return
        self._has_traffic = True
        if isinstance(observation, RegistersWritten):
            self._written(observation, observation.table, observation.quantity)
        elif isinstance(observation, (ModbusException, ModbusUnanswered)) and observation.function in WRITES:
            self._written(observation, WRITES[observation.function], max(observation.quantity, 1))

    def _written(
        self, write: RegistersWritten | ModbusException | ModbusUnanswered, table: Table, quantity: int
    ) -> None:
        params = self.params
        if write.client in params.except_by or params.unit not in (None, write.unit):
            return
        if params.ranges and not any(
            each.table == table
            and each.address < write.address + quantity
            and write.address < each.address + each.quantity
            for each in params.ranges
        ):
            return
        self._times += 1
        if not self._first:
            self._frames = write.frames
            self._first = {
                "client": write.client,
                "server": write.server,
                "unit": write.unit,
                "function": write.function,
                "meaning": FUNCTIONS.get(write.function, ""),
                "address": write.address,
                "quantity": quantity,
                "at": write.at,
            }

    def judge(self, since: float, now: float) -> Verdict:
        if self._first:
            return failed("written", frames=self._frames, **self._first, times=self._times)
        if not self._has_traffic:
            return failed("nothing-seen", server=self.params.server)
        return passed(server=self.params.server)
