"""`snmp`: get, walk and bulk, with the flags of net-snmp."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final

from devices.console import oids, words
from devices.console.arguments import Arguments, Options, decimal, port, whole
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from devices.snmp.device import Oid
from devices.snmp.mib import Kind, Value
from lab.text import Text

if TYPE_CHECKING:
    from devices.console.snmp_manager import Manager

GET = Text(zh="读对象的值", en="read objects")
NEXT = Text(zh="读其后的对象", en="read what comes after objects")
WALK = Text(zh="读一棵子树", en="read everything below an object")
BULK = Text(zh="一次请求读多个后续对象", en="read many following objects in one request")
VERSION = Text(zh="版本，默认 2c；有 -u 时为 3", en="version, 2c by default, 3 with -u")
COMMUNITY = Text(zh="团体名，默认 public", en="community, public by default")
USER = Text(zh="v3 用户名", en="user of v3")
LEVEL = Text(zh="安全级别，默认由口令决定", en="security level, by default what the passwords allow")
AUTH = Text(zh="认证算法，默认 SHA", en="authentication, SHA by default")
AUTH_PASSWORD = Text(zh="认证口令", en="password for authentication")
PRIV = Text(zh="加密算法", en="encryption")
PRIV_PASSWORD = Text(zh="加密口令", en="password for encryption")
PORT = Text(zh="UDP 端口，默认 161", en="UDP port, 161 by default")
TIMEOUT = Text(zh="每次等多少秒，默认 1", en="seconds to wait for an answer, 1 by default")
RETRIES = Text(zh="重试次数，默认 2", en="how often to ask again, 2 by default")
HOST = Text(zh="主机名或地址", en="name or address of a host")
OIDS = Text(zh="对象，如 sysDescr.0、ifTable、1.3.6.1.2.1", en="such as sysDescr.0, ifTable, 1.3.6.1.2.1")
REPEATERS = Text(zh="前几个对象只读一次", en="so many objects are read only once")
REPETITIONS = Text(zh="每个读几次，默认 10", en="how often the others are, 10 by default")
MOST = Text(zh="最多多少个值，默认 10000", en="values at most, 10000 by default")
SHORT = Text(zh="v3 口令为 8 到 64 个字符", en="passwords of v3 have 8 to 64 characters")
NEEDS_USER = Text(zh="v3 要用 -u 写用户名", en="v3 needs a user, -u")
NEEDS_PASSWORD = Text(zh="{level} 要有 {flags}", en="{level} needs {flags}")
NOTHING = Text(zh="{oid} = 没有这个对象", en="{oid} = No Such Object available on this agent at this OID")
LOOPS = Text(zh="错误：对象没有递增，停止", en="Error: OID not increasing")

_MIB_2: Final = (1, 3, 6, 1, 2, 1)
_LEVELS: Final = ("noAuthNoPriv", "authNoPriv", "authPriv")
_ALGORITHMS: Final = {"SHA": "sha", "SHA1": "sha", "SHA-1": "sha", "SHA256": "sha256", "SHA-256": "sha256"}
_TYPES: Final = {
    Kind.INTEGER: "INTEGER",
    Kind.COUNTER32: "Counter32",
    Kind.COUNTER64: "Counter64",
    Kind.GAUGE: "Gauge32",
}
_AT_A_TIME: Final = 20
_MOST_IN_A_BULK: Final = 1000


def arguments(parser: Arguments) -> None:
    parser.examples(
        "snmp get -c public sw-1 sysName.0 sysUpTime.0",
        "snmp walk sw-1 ifTable",
        "snmp walk -u reader -A maplesyrup -X sugarcane sw-1 system",
        "snmp bulk -Cr 5 sw-1 ifDescr",
    )
    for name, about in (("get", GET), ("next", NEXT), ("walk", WALK), ("bulk", BULK)):
        each = parser.command(name, about)
        _who(each)
        if name == "bulk":
            each.flag("-Cn", dest="once", type=whole(0, 100), default=0, metavar="N", help=REPEATERS)
            each.flag("-Cr", dest="times", type=whole(1, _MOST_IN_A_BULK), default=10, metavar="N", help=REPETITIONS)
        if name == "walk":
            each.flag("--most", type=whole(1, 1_000_000), default=10_000, metavar="N", help=MOST)
        each.flag("host", metavar="HOST", help=HOST)
        many = "*" if name == "walk" else "+"
        each.flag("oids", nargs=many, type=oids.oid, metavar="OID", help=OIDS)


def _who(parser: Arguments) -> None:
    parser.flag("-v", dest="version", choices=("2c", "3"), help=VERSION)
    parser.flag("-c", dest="community", default="public", metavar="NAME", help=COMMUNITY)
    parser.flag("-u", dest="user", metavar="USER", help=USER)
    parser.flag("-l", dest="level", choices=_LEVELS, help=LEVEL)
    parser.flag("-a", dest="auth", type=str.upper, choices=_ALGORITHMS, default="SHA", help=AUTH)
    parser.flag("-A", dest="auth_password", metavar="PASSWORD", help=AUTH_PASSWORD)
    parser.flag("-x", dest="priv", type=str.upper, choices=("AES", "AES128"), default="AES", help=PRIV)
    parser.flag("-X", dest="priv_password", metavar="PASSWORD", help=PRIV_PASSWORD)
    parser.flag("-p", dest="port", type=port, default=161, metavar="PORT", help=PORT)
    parser.flag("-t", dest="timeout", type=decimal(0.05, 600), default=1.0, metavar="S", help=TIMEOUT)
    parser.flag("-r", dest="retries", type=whole(0, 20), default=2, metavar="N", help=RETRIES)


async def run(process: Process, options: Options) -> int:
    # Its import takes a fifth of a second.
    from devices.console.snmp_manager import Credentials, Manager
    from devices.snmp.messages import Operation

    user, auth, priv = _security(options)
    credentials = Credentials(options.community[:255], user, _ALGORITHMS[options.auth], auth, priv)
    address = await process.resolve(options.host)
    try:
        manager = Manager(process, address, options.port, credentials, options.timeout, options.retries)
    except OSError as error:
        raise Failure(words.NO_ADDRESS, name=options.host, why=process.why(error)) from None
    try:
        if options.command == "walk":
            status = OK
            for tree in options.oids or [_MIB_2]:
                status = max(status, await _walk(process, options, manager, tree))
            return status
        if options.command == "bulk":
            answer = await manager.ask(Operation.BULK, options.oids, options.once, options.times)
        else:
            operation = Operation.GET if options.command == "get" else Operation.NEXT
            answer = await manager.ask(operation, options.oids)
        found = False
        for oid, value in answer.bindings:
            found = found or isinstance(value, Value)
            _show(process, oid, value)
        return OK if found else FAILED
    finally:
        manager.close()


def _security(options: Options) -> tuple[str | None, str | None, str | None]:
    """User, password for authentication, password for encryption, each where it is wanted; raises Failure."""
    if options.user is None:
        if options.version == "3" or options.level is not None:
            raise Failure(NEEDS_USER, USAGE)
        return None, None, None
    auth, priv = options.auth_password, options.priv_password
    level = options.level or _LEVELS[2 if priv is not None else 1 if auth is not None else 0]
    needed = {"-A": auth, "-X": priv} if level == "authPriv" else {"-A": auth} if level == "authNoPriv" else {}
    if any(password is None for password in needed.values()):
        raise Failure(NEEDS_PASSWORD, USAGE, level=level, flags=", ".join(needed))
    if not all(8 <= len(password) <= 64 for password in needed.values()):
        raise Failure(SHORT, USAGE)
    if not 1 <= len(options.user) <= 32:
        raise Failure(NEEDS_USER, USAGE)
    return options.user, needed.get("-A"), needed.get("-X")


async def _walk(process: Process, options: Options, manager: Manager, tree: Oid) -> int:
    from devices.snmp.messages import Operation

    at, shown = tree, 0
    while shown < options.most:
        answer = await manager.ask(Operation.BULK, [at], 0, min(_AT_A_TIME, options.most - shown))
        if not answer.bindings:
            return FAILED
        for oid, value in answer.bindings:
            if oid[: len(tree)] != tree or not isinstance(value, Value):
                if shown:
                    return OK
                return await _single(process, manager, tree)
            if oid <= at:
                process.tell(LOOPS)
                return FAILED
            at = oid
            shown += 1
            _show(process, oid, value)
    return OK


async def _single(process: Process, manager: Manager, oid: Oid) -> int:
    """net-snmp: a walk over nothing gets the object itself."""
    from devices.snmp.messages import Operation

    ((oid, value),) = (await manager.ask(Operation.GET, [oid])).bindings or ((oid, None),)
    _show(process, oid, value)
    return OK if isinstance(value, Value) else FAILED


def _show(process: Process, oid: Oid, value: Any) -> None:
    if isinstance(value, Value):
        process.print(f"{oids.name_of(oid)} = {_text(value)}")
    else:
        process.tell(NOTHING, oid=oids.name_of(oid))


def _text(value: Value) -> str:
    data = value.data
    if isinstance(data, bytes):
        if value.kind is Kind.ADDRESS and len(data) == 4:
            return f"IpAddress: {IPv4Address(data)}"
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = "\0"
        return f"STRING: {text}" if all(each.isprintable() for each in text) else f"Hex-STRING: {data.hex(' ').upper()}"
    if isinstance(data, tuple):
        return f"OID: {oids.name_of(data)}"
    if value.kind is Kind.TICKS:
        seconds, hundredths = divmod(data, 100)
        days, rest = divmod(seconds, 86400)
        clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}.{hundredths:02}"
        return f"Timeticks: ({data}) {f'{days} days, ' if days else ''}{clock}"
    return f"{_TYPES[value.kind]}: {data}"
