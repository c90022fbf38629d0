"""Modbus TCP, and RTU frames on TCP, on pymodbus's client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse

from gateway.driver import CLOSED_BY_PEER, why_not_connected
from gateway.modbus.address import BIT_TABLES, Table
from gateway.modbus.channel import Answer, Channel, Misfit, Refused, Silent, checked
from gateway.samples import Reason, Unreachable
from lab.network.pymodbus_connection import answered, connect


class Dialled(Protocol):
    """What must be known of a device that is reached by TCP."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def timeout_ms(self) -> int: ...
    @property
    def connect_timeout_ms(self) -> int: ...


class NetworkChannel(Channel):
    """One TCP connection.

    An answer that comes too late is told from a later one by its transaction id. RTU frames have none: there it is
    dropped while nothing is asked, and the unit is left alone for a while, as it should be done anyway.
    """

    def __init__(self, config: Dialled, *, rtu: bool) -> None:
        self._config = config
        self._framer = FramerType.RTU if rtu else FramerType.SOCKET
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False

    async def open(self) -> None:
        config = self._config
        client = self._client = AsyncModbusTcpClient(
            config.host,
            port=config.port,
            framer=self._framer,
            timeout=config.timeout_ms / 1000,
            retries=0,
            reconnect_delay=0,  # never: reconnecting is ours
            trace_connect=self._connection_changed,
        )
        patience = min(config.connect_timeout_ms, config.timeout_ms)
        try:
            await connect(client, patience / 1000)
        except OSError as error:
            raise Unreachable(why_not_connected(error, config.host, config.port, patience)) from None

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, unit: int, table: Table, offset: int, quantity: int, timeout: float) -> Answer:
        request = _READS[table](self._connected(), offset, count=quantity, device_id=unit)
        response = await self._answer(request, timeout)
        values = response.bits if table in BIT_TABLES else response.registers
        return checked(table, quantity, response.function_code, values)

    async def write(
        self, unit: int, function: int, offset: int, values: Sequence[int] | Sequence[bool], timeout: float
    ) -> None:
        client = self._connected()
        request: Awaitable[Any]
        match function:
            case 5:
                request = client.write_coil(offset, bool(values[0]), device_id=unit)
            case 6:
                request = client.write_register(offset, int(values[0]), device_id=unit)
            case 15:
                request = client.write_coils(offset, [bool(value) for value in values], device_id=unit)
            case _:
                request = client.write_registers(offset, [int(value) for value in values], device_id=unit)
        response = await self._answer(request, timeout)
        if response.function_code != function:
            raise Misfit(response.function_code, 0)

    def _connected(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            raise Unreachable(self._closed())
        return self._client

    async def _answer(self, request: Awaitable[Any], timeout: float) -> Any:
        self._asking = True
        try:
            async with asyncio.timeout(timeout):
                response = await answered(request)
        except ConnectionError:  # set by _connection_changed
            raise Unreachable(self._closed()) from None
        except (ModbusException, TimeoutError):
            raise Silent from None
        finally:
            self._asking = False
        if isinstance(response, ExceptionResponse):
            raise Refused(response.exception_code)
        return response

    def _closed(self) -> Reason:
        return Reason(CLOSED_BY_PEER, {"host": self._config.host, "port": self._config.port})

    def _connection_changed(self, connected: bool) -> None:
        if connected:
            return
        self.lost(self._closed())
        # pymodbus would let the pending request wait for its timeout.
        if self._asking and self._client is not None and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(ConnectionResetError())


_READS = {
    "coil": AsyncModbusTcpClient.read_coils,
    "discrete": AsyncModbusTcpClient.read_discrete_inputs,
    "holding": AsyncModbusTcpClient.read_holding_registers,
    "input": AsyncModbusTcpClient.read_input_registers,
}
