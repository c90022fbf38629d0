"""`opcua`: endpoints, browse, read, write, subscribe and call."""

from __future__ import annotations

import re
from typing import Any, Final

from devices.console.arguments import Arguments, BadValue, Options, decimal, whole
from devices.console.process import OK, Process
from lab.text import Text

ENDPOINTS = Text(zh="列出端点和安全策略", en="list endpoints and their security")
BROWSE = Text(zh="浏览节点", en="list nodes")
READ = Text(zh="读节点", en="read nodes")
WRITE = Text(zh="写变量", en="write a variable")
SUBSCRIBE = Text(zh="订阅变化", en="be told of changes")
CALL = Text(zh="调用方法", en="call a method")
SERVER = Text(zh="如 opc.tcp://cnc-1:4840，可只写主机", en="such as opc.tcp://cnc-1:4840; the host alone will do")
NODE = Text(zh="节点，如 ns=2;s=CNC01.State；默认 Objects", en="node such as ns=2;s=CNC01.State; Objects by default")
NODES = Text(zh="节点，如 ns=2;s=CNC01.State", en="nodes such as ns=2;s=CNC01.State")
OBJECT = Text(zh="方法所属的对象", en="the object that has the method")
METHOD = Text(zh="方法的节点", en="node of the method")
ARGUMENTS = Text(zh="参数", en="arguments")
VALUE = Text(zh="值", en="the value")
TYPE = Text(zh="类型，默认取变量的类型", en="type, by default the variable's own")
ATTRIBUTE = Text(zh="属性，默认 Value", en="attribute, Value by default")
DEPTH = Text(zh="几层，默认 2", en="levels, 2 by default")
MOST = Text(zh="最多多少个节点，默认 200", en="nodes at most, 200 by default")
INTERVAL = Text(zh="采样和发布间隔，毫秒，默认 500", en="sampling and publishing interval, ms, 500 by default")
COUNT = Text(zh="多少次变化后停止；不写则直到 Ctrl-C", en="stop after so many changes; without it at Ctrl-C")
PATIENCE = Text(zh="几秒后停止", en="stop after so many seconds")
USER = Text(zh="用户名；不写则匿名", en="user; anonymous without one")
PASSWORD = Text(zh="口令", en="password")
POLICY = Text(zh="安全策略，默认 None", en="security policy, None by default")
MODE = Text(zh="有策略时，默认 SignAndEncrypt", en="with a policy, SignAndEncrypt by default")
TIMEOUT = Text(zh="等应答多少秒，默认 4", en="seconds to wait for an answer, 4 by default")
NOT_A_NODE = Text(
    zh="{value!r} 不是节点标识，如 ns=2;s=CNC01.State 或 i=2258",
    en="{value!r} is no node identifier such as ns=2;s=CNC01.State or i=2258",
)
NOT_A_SERVER = Text(
    zh="{value!r} 不是端点，如 opc.tcp://10.20.10.13:4840",
    en="{value!r} is no endpoint such as opc.tcp://10.20.10.13:4840",
)

POLICIES: Final = ("None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
ATTRIBUTES: Final = (
    "Value",
    "NodeClass",
    "BrowseName",
    "DisplayName",
    "Description",
    "DataType",
    "ValueRank",
    "AccessLevel",
    "UserAccessLevel",
    "MinimumSamplingInterval",
    "Historizing",
    "Executable",
)
TYPES: Final = (
    "Boolean",
    "SByte",
    "Byte",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float",
    "Double",
    "String",
)
_NODE: Final = re.compile(r"(ns=\d{1,5};|nsu=[^;]+;)?(i=\d{1,10}|s=.+|g=[0-9a-fA-F-]{36}|b=[A-Za-z0-9+/=]+)", re.DOTALL)
_SERVER: Final = re.compile(r"(?:opc\.tcp://)?([A-Za-z0-9_.-]+)(?::(\d{1,5}))?(/[!-~]*)?")
_PORT: Final = 4840


def _node(value: str) -> str:
    if not _NODE.fullmatch(value):
        raise BadValue(NOT_A_NODE, value=value)
    return value


def _server(value: str) -> tuple[str, int, str]:
    match = _SERVER.fullmatch(value)
    if match is None or not 0 < int(match[2] or _PORT) < 65536:
        raise BadValue(NOT_A_SERVER, value=value)
    return match[1], int(match[2] or _PORT), match[3] or ""


def arguments(parser: Arguments) -> None:
    parser.examples(
        "opcua endpoints cnc-1",
        "opcua browse cnc-1 -d 3",
        "opcua read cnc-1 ns=2;s=CNC01.State -u acq -P secret",
        "opcua write cnc-1 ns=2;s=CNC01.FeedOverride 80 -u eng -P secret --policy Basic256Sha256",
        "opcua subscribe cnc-1 ns=2;s=CNC01.SpindleSpeed -i 500 -n 10",
    )
    _who(parser.command("endpoints", ENDPOINTS), with_user=False)
    each = parser.command("browse", BROWSE)
    _who(each)
    each.flag("node", nargs="?", type=_node, default="i=85", metavar="NODE", help=NODE)
    each.flag("-d", "--depth", type=whole(1, 20), default=2, metavar="N", help=DEPTH)
    each.flag("--most", type=whole(1, 10_000), default=200, metavar="N", help=MOST)
    each = parser.command("read", READ)
    _who(each)
    each.flag("nodes", nargs="+", type=_node, metavar="NODE", help=NODES)
    each.flag("-a", "--attribute", choices=ATTRIBUTES, default="Value", help=ATTRIBUTE)
    each = parser.command("write", WRITE)
    _who(each)
    each.flag("node", type=_node, metavar="NODE", help=NODES)
    each.flag("value", metavar="VALUE", help=VALUE)
    each.flag("--type", dest="form", choices=TYPES, help=TYPE)
    each = parser.command("subscribe", SUBSCRIBE)
    _who(each)
    each.flag("nodes", nargs="+", type=_node, metavar="NODE", help=NODES)
    each.flag("-i", "--interval", type=decimal(10, 3_600_000), default=500.0, metavar="MS", help=INTERVAL)
    each.flag("-n", "--count", type=whole(1, 2**31), metavar="N", help=COUNT)
    each.flag("-W", dest="patience", type=decimal(0.01, 10**6), metavar="S", help=PATIENCE)
    each = parser.command("call", CALL)
    _who(each)
    each.flag("object", type=_node, metavar="OBJECT", help=OBJECT)
    each.flag("method", type=_node, metavar="METHOD", help=METHOD)
    each.flag("values", nargs="*", metavar="VALUE", help=ARGUMENTS)


def _who(parser: Arguments, *, with_user: bool = True) -> None:
    parser.flag("server", type=_server, metavar="SERVER", help=SERVER)
    parser.flag("--timeout", type=decimal(0.05, 600), default=4.0, metavar="S", help=TIMEOUT)
    if with_user:
        parser.flag("-u", "--user", metavar="USER", help=USER)
        parser.flag("-P", "--password", metavar="PASSWORD", help=PASSWORD)
        parser.flag("--policy", choices=POLICIES, default="None", help=POLICY)
        parser.flag("--mode", choices=("Sign", "SignAndEncrypt"), default="SignAndEncrypt", help=MODE)


async def run(process: Process, options: Options) -> int:
    await process.resolve(options.server[0])
    # Its import takes a second.
    from devices.console import opcua_client, opcua_deeds

    deeds: dict[str, Any] = {
        "browse": opcua_deeds.browse,
        "read": opcua_deeds.read,
        "write": opcua_deeds.write,
        "subscribe": opcua_deeds.subscribe,
        "call": opcua_deeds.call,
    }
    if options.command == "endpoints":
        await opcua_deeds.endpoints(process, options)
        return OK
    async with opcua_client.session(process, options) as client:
        status: int = await deeds[options.command](process, options, client)
        return status
