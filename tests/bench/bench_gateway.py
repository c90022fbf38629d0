"""Our gateway beside Node-RED and thingsboard-gateway: the same Modbus server, broker and listener, in one run.

    python tests/bench/bench_gateway.py [--seconds 20] [--only ours,node-red,thingsboard] [--load 1000x1.0 10000x1.0 4000x0.1]

Peers are used where they are found: Node-RED with node-red-contrib-modbus in the folder that IIOTLAB_NODE_RED names (the
one with node_modules), thingsboard-gateway with the Python that IIOTLAB_TB_PYTHON names. mosquitto has to be there.

Every register that the server shows is its own clock in milliseconds, so each value tells when it was read: its age is
known where it arrives. CPU is that of the gateway's process (with its children), memory its resident set.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import psutil

FIELD_PORT: Final = 15602
BROKER_PORT: Final = 18893
TAGS_PER_GROUP: Final = 100
GROUPS_PER_DEVICE: Final = 10
_WARM_UP: Final = 8.0
_SELF: Final = str(Path(__file__).resolve())
_ASKED: Final = "v1/devices/me/rpc/request/"
_HEADER: Final = struct.Struct("!HHHB")
_WRAP: Final = 1 << 16


def stamp() -> int:
    """Milliseconds on a clock that all processes of this computer share, as a register holds them."""
    return time.monotonic_ns() // 1_000_000 % _WRAP


# -- the field: one Modbus server ------------------------------------------------------------------------------------


class Field(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        answers = bytearray()
        while len(self._received) >= 12:
            transaction, _, length, unit = _HEADER.unpack_from(self._received)
            count = int.from_bytes(self._received[10:12], "big")
            answers += _HEADER.pack(transaction, 0, 3 + 2 * count, unit) + bytes((3, 2 * count))
            answers += stamp().to_bytes(2, "big") * count
            self._received = self._received[6 + length :]
        self._transport.write(answers)  # type: ignore[attr-defined]


async def field() -> None:
    server = await asyncio.get_running_loop().create_server(Field, "127.0.0.1", FIELD_PORT)
    async with server:
        await server.serve_forever()


# -- the listener: how much arrives, and how old it is -----------------------------------------------------------------


def listen(seconds: float) -> None:
    """Count for so many seconds after the warm-up."""
    import paho.mqtt.client as paho

    points = messages = 0
    ages: list[int] = []
    begins = time.monotonic() + _WARM_UP
    ends = begins + seconds

    def heard(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        nonlocal points, messages
        now = stamp()
        if message.topic.startswith(_ASKED):
            # thingsboard-gateway sends nothing before it knows how much it may send.
            limits = {"rateLimits": {}, "gatewayRateLimits": {}, "maxPayloadSize": 65536, "maxInflightMessages": 1000}
            client.publish(message.topic.replace("request", "response"), json.dumps(limits), 1)
            return
        if not begins <= time.monotonic() < ends:
            return
        for values in _values(json.loads(message.payload)):
            messages += 1
            points += len(values)
            numbers = list(values.values())
            ages.extend((now - int(number)) % _WRAP for number in (numbers[0], numbers[-1]))

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "bench-listener")
    client.on_message = heard
    client.connect("127.0.0.1", BROKER_PORT)
    client.subscribe("v1/#", 1)
    while time.monotonic() < ends:
        client.loop(0.1)
    ages.sort()
    share = [ages[int(len(ages) * each)] if ages else None for each in (0.5, 0.95)]
    print(json.dumps({"points": points, "messages": messages, "p50": share[0], "p95": share[1]}))


def _values(said: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(said, dict) and "values" in said:
        yield said["values"]
    elif isinstance(said, dict):
        for telemetry in said.values():
            if isinstance(telemetry, list):
                yield from (each["values"] for each in telemetry if isinstance(each, dict) and "values" in each)


# -- the gateways ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    tags: int
    period: float

    @classmethod
    def parse(cls, text: str) -> Load:
        tags, period = text.split("x")
        return cls(int(tags), float(period))

    def groups(self) -> Iterator[tuple[int, int, int]]:
        """Device, group, and first address: a device has ten groups of a hundred tags."""
        for number in range(self.tags // TAGS_PER_GROUP):
            device, group = divmod(number, GROUPS_PER_DEVICE)
            yield device, group, group * TAGS_PER_GROUP

    @property
    def devices(self) -> int:
        return -(-self.tags // (TAGS_PER_GROUP * GROUPS_PER_DEVICE))


def ours(load: Load, folder: Path) -> list[str]:
    south: list[dict[str, Any]] = [
        {
            "name": f"d{device}",
            "driver": "modbus-tcp",
            "connection": {"host": "127.0.0.1", "port": FIELD_PORT, "unit": device + 1},
            "groups": [],
        }
        for device in range(load.devices)
    ]
    for device, group, first in load.groups():
        tags = [
            {"name": f"t{first + number}", "table": "holding", "address": first + number, "type": "u16"}
            for number in range(TAGS_PER_GROUP)
        ]
        south[device]["groups"].append({"name": f"g{group}", "period_ms": round(load.period * 1000), "tags": tags})
    config = {"gateway": "gw", "south": south, "north": [{"host": "127.0.0.1", "port": BROKER_PORT}]}
    (folder / "ours.json").write_text(json.dumps(config))
    return [sys.executable, _SELF, "gateway", str(folder / "ours.json")]


async def gateway(said: str, folder: Path) -> None:
    from random import Random

    from gateway.config import GatewayConfig
    from gateway.edge import GatewayAppliance
    from lab.network.disk import Disk

    config = GatewayConfig.model_validate(json.loads(said))
    disk = Disk()
    disk.folder = folder / "disk"
    host: Any = SimpleNamespace(name="gw", random=Random(1), disk=disk)
    appliance = GatewayAppliance(host, config, lambda point, value: None)
    await appliance.start()
    await asyncio.Event().wait()


def node_red(load: Load, folder: Path) -> list[str] | None:
    home = os.environ.get("IIOTLAB_NODE_RED")
    if not home:
        return None
    nodes: list[dict[str, Any]] = [
        {"id": "tab", "type": "tab", "label": "bench"},
        {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(BROKER_PORT), "clientid": "node-red",
         "autoConnect": True, "protocolVersion": "4", "keepalive": "60", "cleansession": True},
    ]  # fmt: skip
    nodes += [
            {"id": f"c{device}", "type": "modbus-client", "name": "", "clienttype": "tcp", "bufferCommands": True,
             "stateLogEnabled": False, "queueLogEnabled": False, "tcpHost": "127.0.0.1", "tcpPort": str(FIELD_PORT),
             "tcpType": "DEFAULT", "unit_id": str(device + 1), "commandDelay": "1", "clientTimeout": "1000",
             "reconnectOnTimeout": True, "reconnectTimeout": "2000", "parallelUnitIdsAllowed": True}
        for device in range(load.devices)
    ]  # fmt: skip
    milliseconds = round(load.period * 1000)
    for device, group, first in load.groups():
        name = f"{device}-{group}"
        code = (
            "const values = {}, q = {};"
            f"msg.payload.forEach((value, i) => {{ values['t' + ({first} + i)] = value; q['t' + ({first} + i)] = 'good'; }});"
            f"return {{topic: 'v1/plant/gw/d{device}/telemetry', payload: JSON.stringify({{ts: Date.now(), values, q}})}};"
        )
        nodes += [
            {"id": f"r{name}", "type": "modbus-read", "z": "tab", "name": "", "topic": "", "showStatusActivities": False,
             "logIOActivities": False, "showErrors": False, "unitid": str(device + 1), "dataType": "HoldingRegister",
             "adr": str(first), "quantity": str(TAGS_PER_GROUP), "rate": str(milliseconds), "rateUnit": "ms",
             "delayOnStart": False, "server": f"c{device}", "useIOFile": False, "wires": [[f"f{name}"], []]},
            {"id": f"f{name}", "type": "function", "z": "tab", "name": "", "func": code, "outputs": 1, "wires": [[f"m{name}"]]},
            {"id": f"m{name}", "type": "mqtt out", "z": "tab", "name": "", "topic": "", "qos": "1", "retain": "false",
             "broker": "broker", "wires": []},
        ]  # fmt: skip
    place = folder / "node-red"
    place.mkdir()
    (place / "flows.json").write_text(json.dumps(nodes))
    (place / "settings.js").write_text(
        "module.exports = {flowFile: 'flows.json', uiPort: 18899, uiHost: '127.0.0.1', disableEditor: true,"
        " httpAdminRoot: false, nodesDir: [], logging: {console: {level: 'warn'}}, telemetry: {enabled: false}};"
    )
    (place / "node_modules").symlink_to(Path(home) / "node_modules")
    (place / "package.json").write_text('{"name":"bench","dependencies":{"node-red-contrib-modbus":"*"}}')
    return [
        "node",
        str(Path(home) / "node_modules/node-red/red.js"),
        "-u",
        str(place),
        "-s",
        str(place / "settings.js"),
    ]


def thingsboard(load: Load, folder: Path) -> list[str] | None:
    python = os.environ.get("IIOTLAB_TB_PYTHON")
    if not python:
        return None
    place = folder / "thingsboard"
    (place / "data").mkdir(parents=True)
    slaves = []
    for device in range(load.devices):
        series = [
            {
                "tag": f"t{first + number}",
                "type": "16uint",
                "functionCode": 3,
                "objectsCount": 1,
                "address": first + number,
            }
            for of, _, first in load.groups()
            if of == device
            for number in range(TAGS_PER_GROUP)
        ]
        slaves.append(
            {"host": "127.0.0.1", "port": FIELD_PORT, "type": "tcp", "method": "socket", "timeout": 5, "byteOrder": "BIG",
             "wordOrder": "BIG", "retries": True, "retryOnEmpty": True, "retryOnInvalid": True, "unitId": device + 1,
             "pollPeriod": round(load.period * 1000), "deviceName": f"d{device}", "deviceType": "default",
             "connectAttemptTimeMs": 2000, "connectAttemptCount": 5, "waitAfterFailedAttemptsMs": 2000,
             "attributes": [], "timeseries": series, "attributeUpdates": [], "rpc": []}
        )  # fmt: skip
    (place / "modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}))
    (place / "tb_gateway.json").write_text(
        json.dumps(
            {
                "thingsboard": {
                    "host": "127.0.0.1", "port": BROKER_PORT, "remoteShell": False, "remoteConfiguration": False,
                    "statistics": {"enable": False}, "deviceFiltering": {"enable": False},
                    "maxPayloadSizeBytes": 60000, "minPackSendDelayMS": 10, "minPackSizeToSend": 100,
                    "checkConnectorsConfigurationInSeconds": 3600, "handleDeviceRenaming": False,
                    "security": {"type": "accessToken", "accessToken": "bench"}, "qos": 1,
                    "reportStrategy": {"type": "ON_RECEIVED"},
                },
                "storage": {"type": "memory", "read_records_count": 1000, "max_records_count": 1000000},
                "grpc": {"enabled": False},
                "connectors": [
                    {"type": "modbus", "name": "modbus", "configuration": "modbus.json"},
                ],
            }
        )
    )  # fmt: skip
    (place / "logs.json").write_text(json.dumps({"version": 1, "disable_existing_loggers": True, "loggers": {}}))
    start = (
        "import sys; from thingsboard_gateway.tb_gateway import TBGatewayService;"
        f"TBGatewayService({str(place / 'tb_gateway.json')!r})"
    )
    return [python, "-c", start]


GATEWAYS: Final = {"ours": ours, "node-red": node_red, "thingsboard": thingsboard}


# -- the run -----------------------------------------------------------------------------------------------------------


@contextmanager
def running(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def broker(folder: Path) -> Iterator[None]:
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    conf = folder / "mosquitto.conf"
    conf.write_text(f"listener {BROKER_PORT} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with running(program, "-c", str(conf)):
        time.sleep(0.5)
        yield


def burnt(process: psutil.Process) -> float:
    """CPU seconds of a process and its children."""
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))


def measure(name: str, load: Load, seconds: float) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        command = GATEWAYS[name](load, folder)
        if command is None:
            return None
        with broker(folder), running(sys.executable, _SELF, "field"):
            time.sleep(0.5)
            with (
                running(sys.executable, _SELF, "listen", str(seconds), stdout=subprocess.PIPE) as listener,
                running(*command, stdout=subprocess.DEVNULL, cwd=folder) as process,
            ):
                watched = psutil.Process(process.pid)
                time.sleep(_WARM_UP)
                before = burnt(watched)
                told, _ = listener.communicate()
                cpu = burnt(watched) - before
                memory = sum(each.memory_info().rss for each in (watched, *watched.children(recursive=True)))
        figures: dict[str, Any] = json.loads(told)
    per_second = figures["points"] / seconds
    return {
        "offered": load.tags / load.period,
        "points_per_s": per_second,
        "cpu_percent": 100 * cpu / seconds,
        "cpu_ms_per_1000": 1e6 * cpu / figures["points"] if figures["points"] else 0.0,
        "p50": figures["p50"],
        "p95": figures["p95"],
        "memory_mb": memory / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default=",".join(GATEWAYS))
    parser.add_argument(
        "--load", nargs="+", type=Load.parse, default=[Load(1000, 1.0), Load(10_000, 1.0), Load(4000, 0.1)]
    )
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    columns = ("points/s", "of offer", "CPU %", "ms/1000", "p50 ms", "p95 ms", "MB")
    print(f"{'load':>14} {'gateway':12}", *(f"{column:>9}" for column in columns))
    for load in options.load:
        costs: dict[str, float] = {}
        for name in options.only.split(","):
            rounds = [each for _ in range(options.rounds) if (each := measure(name, load, options.seconds)) is not None]
            if not rounds:
                print(f"{load.tags}@{load.period:g}s".rjust(14), f"{name:12} not found")
                continue
            m = {key: statistics.median(each[key] or 0 for each in rounds) for key in rounds[0]}
            costs[name] = m["cpu_ms_per_1000"]
            shown = (
                f"{m['points_per_s']:9.0f}",
                f"{m['points_per_s'] / m['offered']:9.3f}",
                f"{m['cpu_percent']:9.1f}",
                f"{m['cpu_ms_per_1000']:9.2f}",
                f"{m['p50']:9.0f}",
                f"{m['p95']:9.0f}",
                f"{m['memory_mb']:9.0f}",
            )
            print(f"{load.tags}@{load.period:g}s".rjust(14), f"{name:12}", *shown, flush=True)
        for peer in costs.keys() - {"ours"}:
            if "ours" in costs and costs[peer]:
                print(f"{'':14} CPU per point, ours ÷ {peer}: {costs['ours'] / costs[peer]:.3f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["field"]:
            asyncio.run(field())
        case ["listen", seconds]:
            listen(float(seconds))
        case ["gateway", path]:
            asyncio.run(gateway(Path(path).read_text(), Path(path).parent))
        case _:
            main()
