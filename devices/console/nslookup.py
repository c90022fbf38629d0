"""`nslookup`: questions to a name server over UDP (RFC 1035), past the host's own cache."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from ipaddress import IPv4Address
from typing import Final

from devices.console.arguments import Arguments, Options, decimal
from devices.console.process import FAILED, OK, Failure, Process
from lab.network.resolver import Exchange, Resolver
from lab.text import Text
from lab.wire import dns
from lab.wire.dns import Dns, Question, Rcode, RecordType

EXAMPLES: Final = ("nslookup iot.lab", "nslookup iot.lab 10.20.50.2", "nslookup 10.20.50.10", "nslookup -type=NS lab")
TYPE = Text(zh="记录类型，默认 A", en="type of record, A by default")
PATIENCE = Text(zh="每次等多少秒，默认 5；共两次", en="seconds to wait for each of two tries, 5 by default")
NAME = Text(zh="名称，或反查的地址", en="name, or an address to find the name of")
SERVER = Text(zh="域名服务器，默认本机所用的", en="name server, by default the one this host uses")
NO_SERVER = Text(
    zh="本机没有域名服务器；请在命令中写一个，或配置 name_servers",
    en="this host has no name server; name one, or configure name_servers",
)
NOT_A_NAME = Text(zh="{name!r} 不是域名", en="{name!r} is no name")
SILENT = Text(
    zh=";; {server}#53 没有应答（{why}）",
    en=";; communications error to {server}#53: {why}\n;; no servers could be reached",
)
NO_REPLY = Text(zh="超时", en="timed out")
NO_ANSWER = Text(zh="非权威应答：", en="Non-authoritative answer:")
CANNOT_FIND = Text(zh="** 服务器找不到 {name}：{rcode}", en="** server can't find {name}: {rcode}")
NOTHING = Text(zh="*** 找不到 {name} 的 {kind} 记录：没有这种记录", en="*** Can't find {name}: No answer ({kind})")

_TRIES: Final = 2


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    kinds = [kind.name for kind in RecordType]
    parser.flag("-type", "-t", dest="kind", type=str.upper, choices=kinds, metavar="TYPE", help=TYPE)
    parser.flag("-timeout", "-w", dest="patience", type=decimal(0.1, 60), default=5.0, metavar="S", help=PATIENCE)
    parser.flag("name", metavar="NAME", help=NAME)
    parser.flag("server", nargs="?", metavar="SERVER", help=SERVER)


async def run(process: Process, options: Options) -> int:
    # The host itself knows only whom to ask.
    resolver = getattr(process.host.resolver, "__self__", None)
    used = resolver if isinstance(resolver, Resolver) else None
    question = _question(options, used.domain if used is not None else "")
    if options.server:
        servers = [await process.resolve(options.server)]
    else:
        servers = [each.packed for each in used.servers] if used is not None else []
    if not servers:
        raise Failure(NO_SERVER)
    for server in servers:
        address = socket.inet_ntoa(server)
        answer = await _ask(process, server, question, options.patience)
        if isinstance(answer, Dns):
            process.print(f"Server:\t\t{address}\nAddress:\t{address}#{dns.PORT}\n")
            return _show(process, question, answer)
        process.tell(SILENT, server=address, why=answer)
    return FAILED


def _question(options: Options, domain: str) -> Question:
    name = options.name.lower().rstrip(".")
    try:
        address = IPv4Address(name)
    except ValueError:
        if not dns.is_name(name):
            raise Failure(NOT_A_NAME, name=options.name) from None
        full = f"{name}.{domain}" if domain and "." not in name else name
        return Question(full, RecordType[options.kind or "A"])
    return Question(dns.reverse_name(address), RecordType[options.kind or "PTR"])


async def _ask(process: Process, server: bytes, question: Question, patience: float) -> Dns | str:
    """The answer, or why there is none."""
    host = process.host
    for _ in range(_TRIES):
        query = Dns(host.random.getrandbits(16), question)
        protocol = Exchange(query, host.network.loop.create_future())
        try:
            transport, _ = host.open_datagrams(partial(_itself, protocol), None, (socket.inet_ntoa(server), dns.PORT))
        except OSError as error:
            return process.why(error)
        try:
            transport.sendto(query.encode())
            async with asyncio.timeout(patience):
                return await protocol.answered
        except TimeoutError:
            continue
        except OSError as error:
            return process.why(error)
        finally:
            transport.close()
    return process.say(NO_REPLY)


def _itself(protocol: Exchange) -> Exchange:
    return protocol


def _show(process: Process, question: Question, answer: Dns) -> int:
    if answer.rcode != Rcode.NOERROR:
        rcode = Rcode(answer.rcode).name if answer.rcode in Rcode._value2member_map_ else str(answer.rcode)
        process.tell(CANNOT_FIND, name=question.name, rcode=rcode)
        return FAILED
    if not answer.answers:
        process.tell(NOTHING, name=question.name, kind=RecordType(question.kind).name)
        return FAILED
    if not answer.is_authoritative:
        process.tell(NO_ANSWER)
    for record in answer.answers:
        if record.kind in (RecordType.A, RecordType.AAAA):
            process.print(f"Name:\t{record.name}\nAddress: {record.value}")
        elif record.kind == RecordType.CNAME:
            process.print(f"{record.name}\tcanonical name = {record.value}.")
        elif record.kind in (RecordType.PTR, RecordType.NS):
            word = "name" if record.kind == RecordType.PTR else "nameserver"
            process.print(f"{record.name}\t{word} = {record.value}.")
        else:
            process.print(f"{record.name}\ttype {record.kind} = {record.value}")
    return OK
