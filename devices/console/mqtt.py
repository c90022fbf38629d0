"""`mqtt`: publish and subscribe, with the flags of mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from devices.console import tls
from devices.console.arguments import Arguments, Options, decimal, port, whole
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from lab.text import Text

if TYPE_CHECKING:
    from devices.console.mqtt_client import MqttClient

PUB = Text(zh="发布", en="publish")
SUB = Text(zh="订阅", en="subscribe")
HOST = Text(zh="服务器（broker）名称或地址", en="name or address of the broker")
PORT = Text(zh="TCP 端口，默认 1883，TLS 为 8883", en="TCP port, 1883 by default, 8883 with TLS")
TOPIC = Text(zh="主题", en="topic")
FILTER = Text(zh="主题过滤器，可多次", en="topic filter; may be repeated")
MESSAGE = Text(zh="消息内容", en="the message")
NULL = Text(zh="空消息（与 -r 一起清除保留消息）", en="an empty message, which with -r clears a retained one")
QOS = Text(zh="服务质量，默认 0", en="quality of service, 0 by default")
RETAIN = Text(zh="保留", en="retain")
USER = Text(zh="用户名", en="user")
PASSWORD = Text(zh="口令", en="password")
CLIENT = Text(zh="客户端标识", en="client identifier")
VERSION = Text(zh="协议版本，默认 311", en="protocol version, 311 by default")
KEEP_ALIVE = Text(zh="保活时间，秒，默认 60", en="keep-alive, seconds, 60 by default")
LASTING = Text(zh="不清除会话", en="no clean session")
REPEAT = Text(zh="发几次，默认 1", en="how many times, 1 by default")
DELAY = Text(zh="两次之间多少秒，默认 1", en="seconds between them, 1 by default")
COUNT = Text(zh="收到几条后停止；不写则直到 Ctrl-C", en="stop after so many messages; without it at Ctrl-C")
PATIENCE = Text(zh="几秒后停止", en="stop after so many seconds")
VERBOSE = Text(zh="同时显示主题", en="with topics")
NO_RETAINED = Text(zh="不显示保留消息", en="leave out retained messages")
TLS = Text(zh="用 TLS（--cafile 时不用写）", en="TLS; goes without saying with --cafile")
NEEDS_CA = Text(
    zh="TLS 要用 --cafile 指定信任的 CA，或用 --insecure 不检查",
    en="TLS needs an authority to trust, --cafile, or --insecure to trust anybody",
)
NOTHING_TO_SAY = Text(zh="要写 -m 消息，或 -n", en="a message is needed: -m, or -n for an empty one")
WILDCARD = Text(zh="不能向通配符主题 {topic!r} 发布", en="nobody can publish to {topic!r}, which has a wildcard")
NOT_A_FILTER = Text(zh="{topic!r} 不是主题过滤器", en="{topic!r} is no topic filter")
REFUSED = Text(zh="服务器拒绝订阅 {topic}", en="the broker refuses the subscription to {topic}")
NOT_TAKEN = Text(zh="服务器没有接受消息：{why}", en="the broker did not take the message: {why}")
LOST = Text(zh="连接已断开", en="the connection was lost")

TIMED_OUT: Final = 27
"""As mosquitto_sub has it with -W."""
_ACKNOWLEDGEMENT: Final = 10.0
"""Seconds"""
_LARGEST: Final = 1 << 20


def arguments(parser: Arguments) -> None:
    parser.examples(
        "mqtt pub -h broker -t plant/test -m hello -q 1",
        "mqtt pub -h broker -t plant/test -r -n",
        "mqtt sub -h broker -t 'plant/#' -v -C 10 -W 30",
        "mqtt sub -h iot.lab --cafile ca.pem -u edge -P secret -t '#'",
    )
    each = parser.command("pub", PUB, help_flags=("--help",))
    _where(each)
    each.flag("-t", "--topic", required=True, metavar="TOPIC", help=TOPIC)
    each.flag("-m", "--message", metavar="TEXT", help=MESSAGE)
    each.flag("-n", "--null-message", dest="null", action="store_true", help=NULL)
    each.flag("-r", "--retain", action="store_true", help=RETAIN)
    each.flag("--repeat", type=whole(1, 100_000), default=1, metavar="N", help=REPEAT)
    each.flag("--repeat-delay", dest="delay", type=decimal(0.01, 3600), default=1.0, metavar="S", help=DELAY)
    each = parser.command("sub", SUB, help_flags=("--help",))
    _where(each)
    each.flag("-t", "--topic", dest="topics", action="append", required=True, metavar="FILTER", help=FILTER)
    each.flag("-C", dest="count", type=whole(1, 2**31), metavar="N", help=COUNT)
    each.flag("-W", dest="patience", type=decimal(0.01, 10**6), metavar="S", help=PATIENCE)
    each.flag("-v", "--verbose", action="store_true", help=VERBOSE)
    each.flag("-R", dest="no_retained", action="store_true", help=NO_RETAINED)


def _where(parser: Arguments) -> None:
    parser.flag("-h", "--host", required=True, metavar="HOST", help=HOST)
    parser.flag("-p", "--port", type=port, metavar="PORT", help=PORT)
    parser.flag("-q", "--qos", type=int, choices=(0, 1, 2), default=0, help=QOS)
    parser.flag("-u", "--username", metavar="USER", help=USER)
    parser.flag("-P", "--pw", dest="password", metavar="PASSWORD", help=PASSWORD)
    parser.flag("-i", "--id", dest="client", metavar="ID", help=CLIENT)
    parser.flag("-V", dest="version", choices=("311", "5", "mqttv311", "mqttv5"), default="311", help=VERSION)
    parser.flag("-k", "--keepalive", type=whole(5, 65535), default=60, metavar="S", help=KEEP_ALIVE)
    parser.flag("-c", dest="lasting", action="store_true", help=LASTING)
    parser.flag("--tls", action="store_true", help=TLS)
    parser.flag("--insecure", action="store_true", help=tls.INSECURE)
    tls.flags(parser)


async def run(process: Process, options: Options) -> int:
    # Its import takes a tenth of a second.
    from devices.console.mqtt_client import MqttClient

    _check(options)
    secure = options.tls or options.ca or options.insecure
    if options.tls and not (options.ca or options.insecure):
        raise Failure(NEEDS_CA, USAGE)
    context = tls.context(process, options, insecure=options.insecure) if secure else None
    await process.resolve(options.host)
    client = MqttClient(
        process,
        options.client or f"{options.command}-{process.host.name}-{process.host.random.getrandbits(24):06x}",
        clean=not options.lasting,
        user=(options.username, options.password) if options.username is not None else None,
    )
    try:
        await client.connect(
            options.host,
            options.port or (8883 if secure else 1883),
            context,
            keep_alive=options.keepalive,
            is_five=options.version.endswith("5"),
        )
        return await (_publish if options.command == "pub" else _subscribe)(process, options, client)
    finally:
        await client.close()


def _check(options: Options) -> None:
    from lab.wire.malformed import Malformed
    from lab.wire.mqtt import topics

    if options.command == "pub":
        try:
            topics.topic_name(options.topic.encode())
        except (Malformed, UnicodeError):
            raise Failure(WILDCARD, USAGE, topic=options.topic) from None
        if options.message is None and not options.null:
            raise Failure(NOTHING_TO_SAY, USAGE)
        return
    for topic in options.topics:
        try:
            topics.topic_filter(topic.encode())
        except (Malformed, UnicodeError):
            raise Failure(NOT_A_FILTER, USAGE, topic=topic) from None


async def _publish(process: Process, options: Options, client: MqttClient) -> int:
    payload = b"" if options.null else options.message.encode(errors="replace")[:_LARGEST]
    began = process.now()
    for number in range(options.repeat):
        await process.until(began + number * options.delay)
        client.publish(options.topic, payload, options.qos, options.retain)
        if not await client.acknowledged(_ACKNOWLEDGEMENT):
            raise Failure(LOST if client.down.is_set() else NOT_TAKEN, why=process.why(TimeoutError()))
        if client.refusal is not None:
            raise Failure(NOT_TAKEN, why=client.refusal)
    return OK


async def _subscribe(process: Process, options: Options, client: MqttClient) -> int:
    received = 0
    enough = asyncio.Event()

    def hear(topic: str, payload: bytes, properties: dict[str, Any]) -> None:
        nonlocal received
        if enough.is_set() or (options.no_retained and properties.get("retain")):
            return
        text = payload.decode(errors="replace")
        process.print(f"{topic} {text}" if options.verbose else text)
        received += 1
        if received == options.count:
            enough.set()

    client.hear = hear
    refused = await client.subscribe(options.topics, options.qos, _ACKNOWLEDGEMENT)
    for topic in refused:
        process.complain(REFUSED, topic=topic)
    if len(refused) == len(options.topics):
        return FAILED
    lost, done = (asyncio.create_task(event.wait()) for event in (client.down, enough))
    try:
        await asyncio.wait((lost, done), timeout=options.patience, return_when=asyncio.FIRST_COMPLETED)
        if enough.is_set():
            return OK
        if client.down.is_set():
            raise Failure(LOST)
        return TIMED_OUT
    finally:
        lost.cancel()
        done.cancel()
