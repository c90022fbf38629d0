"""Makes foreign.pcapng and foreign.json anew: Modbus between programs none of which is ours, as tshark reads it.

Needs root, dumpcap, tshark, mbpoll, node with modbus-serial (NODE_PATH), and pymodbus and pyModbusTCP beside Python.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.pdu.file_message import FileRecord
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pyModbusTCP.server import ModbusServer

HERE = Path(__file__).parent
CAPTURE = HERE / "foreign.pcapng"
FIELDS = """
    frame.number tcp.stream tcp.dstport tcp.payload
    mbtcp.trans_id mbtcp.unit_id modbus.func_code modbus.exception_code
    modbus.reference_num modbus.bit_cnt modbus.word_cnt modbus.bitval modbus.regval_uint16 modbus.data
    modbus.read_reference_num modbus.read_word_cnt modbus.write_reference_num modbus.write_word_cnt
    modbus.and_mask modbus.or_mask modbus.diagnostic_code modbus.ev_status modbus.ev_count modbus.ev_msg_count
    modbus.mei modbus.read_device_id modbus.object_id modbus.conformity_level modbus.more_follows
    modbus.next_object_id modbus.num_objects modbus.object_str_value
"""

NODE = """
const Modbus = require("modbus-serial");
const client = new Modbus();
client.connectTCP("127.0.0.1", {port: 502}).then(async () => {
  client.setID(9); client.setTimeout(2000);
  await Promise.all([0, 10, 20, 30, 40].map(at => client.readHoldingRegisters(at, 3)));
  await client.readCoils(0, 11); await client.readDiscreteInputs(3, 9); await client.readInputRegisters(5, 125);
  await client.writeCoils(4, [true, false, true, true, false, true, true, true, true, false, true]);
  await client.writeRegisters(70, [1, 2, 65535]); await client.writeRegister(8, 0x8000); await client.writeCoil(5, 1);
  await client.maskWriteRegister(8, 0xf0f0, 0x0505).catch(() => {});
  await client.readHoldingRegisters(65530, 6).catch(() => {});
  client.close(() => process.exit(0));
});
"""


def tool(*command: str) -> None:
    subprocess.run(command, check=False, timeout=20, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def mbpoll(*arguments: str) -> None:
    tool("mbpoll", "-1", "-0", "-a", "7", *arguments)


def with_mbpoll_and_node() -> None:
    server = ModbusServer("127.0.0.1", 502, no_block=True)
    server.start()
    for at in range(300):
        server.data_bank.set_holding_registers(at, [at * 211 & 0xFFFF])
        server.data_bank.set_input_registers(at, [at * 977 & 0xFFFF])
        server.data_bank.set_coils(at, [at % 3 == 0])
        server.data_bank.set_discrete_inputs(at, [at % 5 < 2])
    for table in "0134":
        for first, count in (("0", "1"), ("5", "8"), ("3", "13"), ("100", "125")):
            mbpoll("-t", table, "-r", first, "-c", count, "127.0.0.1")
    mbpoll("-t", "0", "-r", "9", "127.0.0.1", "1")
    mbpoll("-t", "0", "-r", "9", "127.0.0.1", "0")
    mbpoll("-t", "0", "-r", "2", "127.0.0.1", *"1011010111")
    mbpoll("-t", "4", "-r", "40", "127.0.0.1", "4711")
    mbpoll("-t", "4:float", "-r", "50", "127.0.0.1", "1.5", "-2.25")
    tool("node", "-e", NODE)
    server.stop()


async def with_pymodbus() -> None:
    data = SimData(0, count=200, values=0x55AA, datatype=DataType.REGISTERS)
    identity = ModbusDeviceIdentification(
        info_name={"VendorName": "Foreign Works", "ProductCode": "FW-1", "MajorMinorRevision": "2.11", "ModelName": "M"}
    )
    server = ModbusTcpServer(SimDevice(17, simdata=[data]), identity=identity, address=("127.0.0.1", 502))
    await server.serve_forever(background=True)
    async with AsyncModbusTcpClient("127.0.0.1", port=502, timeout=1, retries=0) as client:
        unit = {"device_id": 17}
        for request in (
            lambda: client.read_exception_status(**unit),
            lambda: client.diag_query_data(b"\x12\x34\x56\x78", **unit),
            lambda: client.diag_restart_communication(True, **unit),
            lambda: client.diag_read_diagnostic_register(**unit),
            lambda: client.diag_change_ascii_input_delimeter(delimiter=0x3B00, **unit),
            lambda: client.diag_clear_counters(**unit),
            lambda: client.diag_read_bus_message_count(**unit),
            lambda: client.diag_read_bus_comm_error_count(**unit),
            lambda: client.diag_read_bus_exception_error_count(**unit),
            lambda: client.diag_read_device_message_count(**unit),
            lambda: client.diag_read_device_no_response_count(**unit),
            lambda: client.diag_read_device_nak_count(**unit),
            lambda: client.diag_read_device_busy_count(**unit),
            lambda: client.diag_read_bus_char_overrun_count(**unit),
            lambda: client.diag_clear_overrun_counter(**unit),
            lambda: client.diag_get_comm_event_counter(**unit),
            lambda: client.diag_get_comm_event_log(**unit),
            lambda: client.report_device_id(**unit),
            lambda: client.read_file_record(
                [FileRecord(4, 1, record_length=2), FileRecord(3, 9, record_length=2)], **unit
            ),
            lambda: client.write_file_record([FileRecord(4, 7, b"\x06\xaf\x04\xbe\x10\x0d")], **unit),
            lambda: client.mask_write_register(address=4, and_mask=0xF2, or_mask=0x25, **unit),
            lambda: client.readwrite_registers(
                read_address=3, read_count=6, write_address=14, values=[255, 254, 253], **unit
            ),
            lambda: client.read_fifo_queue(address=0x4DE, **unit),
            *(
                lambda code=code: client.read_device_information(read_code=code, object_id=0, **unit)
                for code in (1, 2, 3)
            ),
            lambda: client.read_device_information(read_code=4, object_id=1, **unit),
            lambda: client.read_holding_registers(199, count=2, **unit),
        ):
            try:
                await request()
            except Exception as error:
                print("no answer:", error)
    await server.shutdown()


def main() -> None:
    capture = subprocess.Popen(
        ["dumpcap", "-q", "-i", "lo", "-f", "tcp port 502", "-w", str(CAPTURE)], stderr=subprocess.PIPE
    )
    assert capture.stderr is not None
    while b"File:" not in capture.stderr.readline():
        pass
    with_mbpoll_and_node()
    asyncio.run(with_pymodbus())
    subprocess.run(["sleep", "1"], check=True)
    capture.terminate()
    capture.wait()
    command = [
        "tshark",
        "-r",
        str(CAPTURE),
        "-Y",
        "mbtcp",
        "-T",
        "json",
        *(word for field in FIELDS.split() for word in ("-e", field)),
    ]
    layers = [each["_source"]["layers"] for each in json.loads(subprocess.check_output(command))]
    lines = ",\n".join(json.dumps(each) for each in layers)
    (HERE / "foreign.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
