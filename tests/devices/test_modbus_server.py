"""The Modbus TCP server on real sockets, among strangers."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from device_kit import Lab, in_lab
from pymodbus.client import AsyncModbusTcpClient

from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from lab.wire import modbus
from lab.wire.modbus import Adu, Request


def make_unit(name: str = "LW-1") -> ModbusUnit:
    """Holding registers 0-199 show their address, input registers 0-9 twice theirs; 0-9 and coil 0 can be written."""
    tables = Registers()
    for address in range(200):
        tables.holding_registers.number(address, "u16", writable=address < 10).write(address)
    for address in range(10):
        tables.input_registers.number(address, "u16").write(2 * address)
    tables.coils.bit(0, writable=True)
    return ModbusUnit(tables, Identity("Lab Works", name, "V1"))


@asynccontextmanager
async def serving(server: ModbusServer) -> AsyncIterator[int]:
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


class Client:
    """Sends bytes as it pleases."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def receive(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """All there is until the server hangs up; empty also where it reset the connection."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


def ask(transaction: int, request: Request, unit: int = 7) -> bytes:
    return Adu(transaction, unit, request).encode()


def read(transaction: int, address: int = 0, quantity: int = 1) -> bytes:
    return ask(transaction, modbus.ReadHoldingRegisters(address, quantity))


def answer(transaction: int, *values: int) -> bytes:
    return Adu(transaction, 7, modbus.RegistersRead(3, values)).encode()


@pytest.mark.parametrize("count", [2, 16, 500])
async def test_every_pipelined_request_is_answered_in_order(count: int) -> None:
    async with serving(ModbusServer({7: make_unit()})) as port, connected(port) as client:
        client.writer.write(b"".join(read(number, number % 200) for number in range(count)))
        expected = b"".join(answer(number, number % 200) for number in range(count))
        assert await client.receive(len(expected)) == expected


async def test_a_request_may_come_byte_by_byte() -> None:
    async with serving(ModbusServer({7: make_unit()})) as port, connected(port) as client:
        for byte in read(1) + read(2)[:7]:
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
        assert await client.receive(11) == answer(1, 0)
        client.writer.write(read(2)[7:])
        assert await client.receive(11) == answer(2, 0)


async def test_a_stream_that_is_not_modbus_is_answered_so_far_and_hung_up() -> None:
    async with serving(ModbusServer({7: make_unit()})) as port, connected(port) as client:
        client.writer.write(read(1) + b"GET / HTTP/1.1\r\n\r\n" + read(2))
        assert await client.rest() == answer(1, 0)


async def test_a_request_for_another_unit_gets_silence_as_on_a_serial_line() -> None:
    async with serving(ModbusServer({7: make_unit()})) as port, connected(port) as client:
        client.writer.write(ask(1, modbus.ReadHoldingRegisters(0, 1), unit=8) + read(2))
        assert await client.receive(11) == answer(2, 0)


async def test_or_the_exception_of_a_gateway() -> None:
    async with serving(ModbusServer({7: make_unit()}, strangers="gateway")) as port, connected(port) as client:
        client.writer.write(ask(1, modbus.ReadHoldingRegisters(0, 1), unit=8))
        assert await client.receive(9) == bytes.fromhex("0001 0000 0003 08 83 0b")


async def test_one_unit_may_have_several_ids() -> None:
    async with serving(ModbusServer(dict.fromkeys((0, 7, 255), make_unit()))) as port, connected(port) as client:
        for unit in (0, 7, 255):
            client.writer.write(ask(1, modbus.ReadHoldingRegisters(5, 1), unit=unit))
            assert await client.receive(11) == Adu(1, unit, modbus.RegistersRead(3, (5,))).encode()


async def test_a_broadcast_writes_to_every_unit_and_nobody_answers() -> None:
    units = {7: make_unit(), 8: make_unit()}
    async with serving(ModbusServer(units, broadcast=True)) as port, connected(port) as client:
        client.writer.write(ask(1, modbus.WriteSingleRegister(1, 77), unit=0))
        client.writer.write(ask(2, modbus.ReadHoldingRegisters(1, 1), unit=0) + read(3, 1))
        assert await client.receive(11) == answer(3, 77)
        assert units[8].registers.holding_registers.values[1] == 77


async def test_two_devices_in_one_process_keep_their_identities_apart() -> None:
    servers = [ModbusServer({7: make_unit(name)}) for name in ("LW-1", "LW-2")]
    async with serving(servers[0]) as first, serving(servers[1]) as second:
        codes = []
        for port in (first, second):
            async with AsyncModbusTcpClient("127.0.0.1", port=port) as client:
                response = await client.read_device_information(read_code=1, object_id=0, device_id=7)
                codes.append(response.information[1])
        assert codes == [b"LW-1", b"LW-2"]


async def test_one_connection_too_many_is_cut_and_the_others_go_on() -> None:
    server = ModbusServer({7: make_unit()}, max_connections=2)
    async with serving(server) as port, connected(port) as one, connected(port) as two:
        for client in (one, two):
            client.writer.write(read(1))
            await client.receive(11)
        async with connected(port) as three:
            assert await three.rest() == b""
        two.writer.close()
        await two.writer.wait_closed()
        one.writer.write(read(2))
        assert await one.receive(11) == answer(2, 0)


def test_a_client_that_does_not_read_is_not_served_on() -> None:
    """50,000 requests of 12 bytes would be answered with 13 MB."""
    requests, response = 50_000, answer(0, *range(125))

    async def story(lab: Lab) -> None:
        unit = make_unit()
        server = ModbusServer({7: unit})
        with lab.host.current():
            port = await server.start("10.0.0.1", 1502)
        reader, writer = await lab.from_pc(lambda: asyncio.open_connection("10.0.0.1", port))
        writer.write(read(0, 0, 125) * requests)
        await asyncio.sleep(10)
        served = unit.traffic.messages
        assert 0 < served < 1_000_000 / len(response)
        frames: list[bytes] = []
        lab.network.taps.append(lambda tap, at, data: frames.append(data))
        await asyncio.sleep(60)
        assert len(frames) < 100, "both windows are closed: now and then one end asks the other"
        assert await reader.readexactly(requests * len(response)) == response * requests
        assert unit.traffic.messages == requests
        writer.close()
        await server.stop()

    in_lab("workstation", story)


async def test_stopping_cuts_the_connections() -> None:
    server = ModbusServer({7: make_unit()})
    port = await server.start("127.0.0.1", 0)
    async with connected(port) as client:
        client.writer.write(read(1))
        await client.receive(11)
        assert server.connections == 1
        await server.stop()
        assert server.connections == 0
        assert await client.rest() == b""
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_pymodbus_understands_every_answer() -> None:
    async with (
        serving(ModbusServer({7: make_unit()})) as port,
        AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0) as client,
    ):
        unit = {"device_id": 7}
        assert (await client.read_holding_registers(3, count=4, **unit)).registers == [3, 4, 5, 6]
        assert (await client.read_input_registers(3, count=2, **unit)).registers == [6, 8]
        assert not (await client.write_register(3, 300, **unit)).isError()
        assert not (await client.write_registers(4, [400, 500], **unit)).isError()
        assert not (await client.write_coil(0, True, **unit)).isError()
        assert (await client.read_coils(0, count=1, **unit)).bits[0] is True
        assert not (await client.mask_write_register(address=3, and_mask=0xFF00, or_mask=0x00AA, **unit)).isError()
        mixed = await client.readwrite_registers(read_address=3, read_count=3, write_address=5, values=[9], **unit)
        assert mixed.registers == [300 & 0xFF00 | 0xAA, 400, 9]
        refused = await client.read_holding_registers(199, count=2, **unit)
        assert (refused.function_code, refused.exception_code) == (0x83, 2)
        assert (await client.write_register(50, 1, **unit)).exception_code == 2
        assert (await client.read_fifo_queue(address=0, **unit)).exception_code == 1
        assert (await client.diag_query_data(b"\x12\x34", **unit)).message == b"\x12\x34"
        assert (await client.diag_read_bus_exception_error_count(**unit)).message == 3
        assert (await client.diag_get_comm_event_counter(**unit)).status is True
        assert (await client.report_device_id(**unit)).identifier[:2] == b"\x01\xff"


@pytest.mark.foreign
async def test_mbpoll_reads_and_writes(mbpoll: str) -> None:
    async with serving(ModbusServer({7: make_unit()})) as port:

        async def poll(*arguments: str) -> str:
            command = [mbpoll, "-1", "-0", "-q", "-a", "7", "-p", str(port), *arguments]
            run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
            return run.stdout + run.stderr

        assert "[3]: \t6" in await poll("-t", "3", "-r", "3", "-c", "2", "127.0.0.1")
        assert "Written 2 references" in await poll("-t", "4:float", "-B", "-r", "4", "127.0.0.1", "1.5", "2.25")
        text = await poll("-t", "4:float", "-B", "-r", "4", "-c", "2", "127.0.0.1")
        assert "1.5" in text
        assert "2.25" in text
        assert "Illegal data address" in await poll("-t", "4", "-r", "199", "-c", "2", "127.0.0.1")


NODE = """
const Modbus = require("modbus-serial");
const client = new Modbus();
client.connectTCP("127.0.0.1", {port: PORT}).then(async () => {
  client.setID(7); client.setTimeout(3000);
  const reads = await Promise.all([0, 10, 20, 30, 40].map(at => client.readHoldingRegisters(at, 2)));
  console.log(JSON.stringify(reads.map(read => read.data)));
  client.close(() => process.exit(0));
});
"""


@pytest.mark.foreign
async def test_five_reads_at_once_by_modbus_serial_are_all_answered() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    probe = await asyncio.to_thread(subprocess.run, ["node", "-e", "require('modbus-serial')"], capture_output=True)
    if probe.returncode:
        pytest.skip("the npm package modbus-serial is not installed (NODE_PATH)")
    async with serving(ModbusServer({7: make_unit()})) as port:
        command = ["node", "-e", NODE.replace("PORT", str(port))]
        run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
    assert run.stdout.strip() == "[[0,1],[10,11],[20,21],[30,31],[40,41]]"
