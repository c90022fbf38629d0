"""The visible list of console programs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from lab.text import Text

if TYPE_CHECKING:
    from devices.console.arguments import Arguments, Options
    from devices.console.process import Process


class Program(NamedTuple):
    """Lives in the module of its name, which has `arguments` and `run` and is imported when it is first used."""

    name: str
    about: Text

    def arguments(self, parser: Arguments) -> None:
        """Say what it takes."""
        cast("Callable[[Arguments], None]", self._module.arguments)(parser)

    async def run(self, process: Process, options: Options) -> int:
        """Do it, and its exit status; raises Failure."""
        return await cast("Callable[[Process, Options], Coroutine[Any, Any, int]]", self._module.run)(process, options)

    @property
    def _module(self) -> Any:
        return import_module(f"devices.console.{self.name}")


_ALL: Final = (
    Program("ping", Text(zh="测试能否到达一台主机", en="find out whether a host can be reached")),
    Program("traceroute", Text(zh="列出途经的路由器", en="list the routers on the way to a host")),
    Program("arp", Text(zh="查看或删除 ARP 表项", en="show or delete entries of the ARP table")),
    Program("ip", Text(zh="查看网口、地址、路由和邻居", en="show links, addresses, routes and neighbours")),
    Program("nslookup", Text(zh="查询域名", en="ask a name server")),
    Program("nc", Text(zh="收发 TCP 或 UDP 数据，测试端口", en="send and receive over TCP or UDP, try ports")),
    Program("portscan", Text(zh="扫描端口", en="find open ports")),
    Program("iperf", Text(zh="测量吞吐量、抖动和丢包", en="measure throughput, jitter and loss")),
    Program("modbus", Text(zh="Modbus 读、写、扫描、识别", en="read, write, scan and identify Modbus devices")),
    Program(
        "opcua", Text(zh="OPC UA 浏览、读、写、订阅、调用", en="browse, read, write, subscribe and call over OPC UA")
    ),
    Program("mqtt", Text(zh="MQTT 发布和订阅", en="publish and subscribe over MQTT")),
    Program("snmp", Text(zh="SNMP 读取", en="read over SNMP")),
    Program("curl", Text(zh="HTTP 请求", en="make HTTP requests")),
    Program("tcpdump", Text(zh="抓包", en="watch frames")),
    Program("tail", Text(zh="查看主机日志", en="show the end of a log of this host")),
    Program("hostname", Text(zh="本机名称", en="show the name of this host")),
    Program("date", Text(zh="本机时间", en="show what this host's clock says")),
)
PROGRAMS: Final = MappingProxyType({program.name: program for program in _ALL})
