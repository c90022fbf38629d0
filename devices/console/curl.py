"""`curl`: HTTP requests, with curl's flags, messages and exit statuses."""

from __future__ import annotations

import base64
import codecs
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urlsplit

from devices.console import tls, words
from devices.console.arguments import Arguments, BadValue, Options, decimal
from devices.console.process import OK, USAGE, Failure, Process
from lab.text import Text

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

METHOD = Text(zh="方法，如 PUT", en="method such as PUT")
DATA = Text(zh="POST 的数据；@文件 取文件夹中的文件；可多次", en="data to POST; @FILE from the folder; may be repeated")
HEADER = Text(zh="请求头，如 'Accept: text/plain'，可多次", en="header such as 'Accept: text/plain'; may be repeated")
INCLUDE = Text(zh="同时显示应答头", en="show the headers of the answer too")
HEAD = Text(zh="只要头（HEAD）", en="headers only (HEAD)")
OUTPUT = Text(zh="存入文件夹中的文件", en="write to a file in the folder")
USER = Text(zh="用户名:口令（Basic 认证）", en="USER:PASSWORD for Basic authentication")
FOLLOW = Text(zh="跟随重定向", en="follow redirects")
FAIL = Text(zh="4xx、5xx 时失败，不显示内容", en="fail on 4xx and 5xx and show nothing")
VERBOSE = Text(zh="同时显示请求", en="show the request too")
SILENT = Text(zh="不显示错误", en="no error messages")
MOST_TIME = Text(zh="总共最多多少秒，默认 60", en="seconds it may take, 60 by default")
CONNECT_TIME = Text(zh="连接最多多少秒，默认 10", en="seconds connecting may take, 10 by default")
URL = Text(zh="地址，如 http://iot.lab:8080/api", en="such as http://iot.lab:8080/api")
NO_COLON = Text(zh="{value!r} 不是“名称: 值”", en="{value!r} is no NAME: VALUE")
BAD_URL = Text(zh="(3) 地址 {url!r} 不对", en="(3) {url!r} is no URL")
NOT_RESOLVED = Text(zh="(6) 无法解析主机 {host}：{why}", en="(6) Could not resolve host: {host} ({why})")
NOT_CONNECTED = Text(zh="(7) 无法连接 {host}:{port}：{why}", en="(7) Failed to connect to {host} port {port}: {why}")
HTTP_ERROR = Text(zh="(22) 服务器答复 {code}", en="(22) The requested URL returned error: {code}")
BINARY = Text(
    zh="(23) 内容是二进制，会弄乱屏幕；请用 -o 文件名",
    en="(23) Binary output can mess up your terminal; use -o FILE",
)
TIMED_OUT = Text(zh="(28) 超时", en="(28) Operation timed out")
REDIRECTS = Text(zh="(47) 重定向太多", en="(47) Maximum redirects followed")
EMPTY = Text(zh="(52) 服务器没有答复就关闭了连接", en="(52) Empty reply from server")
BROKEN = Text(zh="(56) 接收失败：{why}", en="(56) Recv failure: {why}")
NOT_HTTP = Text(zh="(1) 答复不是 HTTP：{why}", en="(1) This is no HTTP: {why}")
BAD_REQUEST = Text(zh="(43) 不能这样请求：{why}", en="(43) This cannot be asked: {why}")
TLS_TROUBLE = Text(zh="({code}) {why}", en="({code}) {why}")
TOO_LARGE = Text(zh="(63) 内容超过 {most} MB", en="(63) more than {most} MB")

_CHUNK: Final = 65536
_LARGEST: Final = 64 << 20
_MOST_REDIRECTS: Final = 10
_USER_AGENT: Final = "curl/8 (iiotlab)"
_FORM: Final = "application/x-www-form-urlencoded"


def _header(value: str) -> tuple[str, str]:
    name, colon, rest = value.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise BadValue(NO_COLON, value=value)
    return name, rest.strip()


def arguments(parser: Arguments) -> None:
    parser.examples(
        "curl http://iot.lab:8080/",
        "curl -i -H 'Accept: application/json' http://10.20.50.10/api/devices",
        "curl -d '{\"on\": true}' -H 'Content-Type: application/json' http://plc-1/api/valve",
        "curl -k -o page.html https://10.20.50.10/",
    )
    parser.flag("-X", "--request", dest="method", metavar="METHOD", help=METHOD)
    parser.flag("-d", "--data", action="append", metavar="DATA", help=DATA)
    parser.flag("-H", "--header", dest="headers", action="append", type=_header, default=[], metavar="H", help=HEADER)
    parser.flag("-i", "--include", action="store_true", help=INCLUDE)
    parser.flag("-I", "--head", action="store_true", help=HEAD)
    parser.flag("-o", "--output", metavar="FILE", help=OUTPUT)
    parser.flag("-u", "--user", metavar="USER:PASSWORD", help=USER)
    parser.flag("-L", "--location", dest="follow", action="store_true", help=FOLLOW)
    parser.flag("-f", "--fail", action="store_true", help=FAIL)
    parser.flag("-v", "--verbose", action="store_true", help=VERBOSE)
    parser.flag("-s", "--silent", action="store_true", help=SILENT)
    parser.flag("-k", "--insecure", action="store_true", help=tls.INSECURE)
    tls.flags(parser)
    parser.flag("-m", "--max-time", dest="most", type=decimal(0.01, 3600), default=60.0, metavar="S", help=MOST_TIME)
    parser.flag(
        "--connect-timeout", dest="connecting", type=decimal(0.01, 3600), default=10.0, metavar="S", help=CONNECT_TIME
    )
    parser.flag("url", metavar="URL", help=URL)


async def run(process: Process, options: Options) -> int:
    try:
        return await _run(process, options)
    except Failure as failure:
        if not options.silent:
            raise
        return failure.status


async def _run(process: Process, options: Options) -> int:
    url = options.url if "://" in options.url else f"http://{options.url}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise Failure(BAD_URL, 3, url=options.url)
    try:
        await process.resolve(host)
    except Failure as failure:
        raise Failure(NOT_RESOLVED, 6, host=host, why=failure.facts["why"]) from None
    # Its import takes a fifth of a second.
    import aiohttp

    context = tls.context(process, options, insecure=options.insecure)
    timeout = aiohttp.ClientTimeout(total=options.most, sock_connect=options.connecting)
    try:
        async with aiohttp.ClientSession(
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(ssl=context, force_close=True),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
        ) as session:
            return await _exchange(process, options, session, url)
    except aiohttp.ClientConnectorCertificateError as error:
        why = process.say(
            tls.UNTRUSTED, why=getattr(error.certificate_error, "verify_message", error.certificate_error)
        )
        raise Failure(TLS_TROUBLE, 60, code=60, why=why) from None
    except aiohttp.ClientConnectorSSLError as error:
        why = process.say(tls.NO_TLS, why=getattr(error.os_error, "reason", None) or process.why(error.os_error))
        raise Failure(TLS_TROUBLE, 35, code=35, why=why) from None
    except aiohttp.ClientConnectorError as error:
        where = {"host": error.host, "port": error.port or port or parts.scheme}
        raise Failure(NOT_CONNECTED, 7, why=process.why(error.os_error), **where) from None
    except aiohttp.ServerDisconnectedError:
        raise Failure(EMPTY, 52) from None
    except aiohttp.TooManyRedirects:
        raise Failure(REDIRECTS, 47) from None
    except aiohttp.ClientResponseError as error:
        raise Failure(NOT_HTTP, 1, why=" ".join(error.message.split())[:200]) from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlRedirectClientError):
        raise Failure(BAD_URL, 3, url=options.url) from None
    except TimeoutError:
        raise Failure(TIMED_OUT, 28) from None
    except (aiohttp.ClientError, OSError) as error:
        raise Failure(BROKEN, 56, why=process.why(error)) from None
    except (ValueError, TypeError) as error:
        # aiohttp's way of refusing what cannot stand in a request.
        raise Failure(BAD_REQUEST, USAGE, why=str(error)[:200]) from None


async def _exchange(process: Process, options: Options, session: ClientSession, url: str) -> int:
    data = _data(process, options)
    headers = {"User-Agent": _USER_AGENT, "Accept": "*/*"}
    if data is not None:
        headers["Content-Type"] = _FORM
    if options.user is not None:
        # RFC 7617
        headers["Authorization"] = "Basic " + base64.b64encode(options.user.encode(errors="replace")).decode()
    given = {name.lower() for name, _ in options.headers}
    pairs = [(name, value) for name, value in headers.items() if name.lower() not in given] + options.headers
    method = (options.method or ("HEAD" if options.head else "GET" if data is None else "POST")).upper()
    async with session.request(
        method,
        url,
        data=data,
        headers=pairs,
        allow_redirects=options.follow,
        max_redirects=_MOST_REDIRECTS,
    ) as response:
        if options.verbose:
            info = response.request_info
            process.print(f"> {info.method} {info.url.raw_path_qs} HTTP/1.1")
            for name, value in info.headers.items():
                process.print(f"> {name}: {value}")
            process.print(">")
        if options.fail and response.status >= 400:
            raise Failure(HTTP_ERROR, 22, code=response.status)
        if options.include or options.head or options.verbose:
            mark = "< " if options.verbose else ""
            version = response.version
            number = f"{version.major}.{version.minor}" if version is not None else "1.1"
            process.print(f"{mark}HTTP/{number} {response.status} {response.reason or ''}".rstrip())
            for raw_name, raw_value in response.raw_headers:
                process.print(f"{mark}{raw_name.decode('latin-1')}: {raw_value.decode('latin-1')}")
            process.print(mark.strip())
        if method != "HEAD":
            await _body(process, options, response)
    return OK


def _data(process: Process, options: Options) -> bytes | None:
    if options.data is None:
        return None
    parts: list[bytes] = []
    for each in options.data:
        if not each.startswith("@"):
            parts.append(each.encode(errors="replace"))
            continue
        path = process.file(each[1:])
        try:
            with path.open("rb") as file:
                parts.append(file.read(_LARGEST).replace(b"\r", b"").replace(b"\n", b""))
        except OSError as error:
            raise Failure(words.NO_ADDRESS, 26, name=each[1:], why=process.why(error)) from None
    return b"&".join(parts)


async def _body(process: Process, options: Options, response: ClientResponse) -> None:
    if options.output is None:
        await _show(process, response)
        return
    path = process.file(options.output)
    try:
        with path.open("wb") as file:
            await _save(file, response)
    except IsADirectoryError as error:
        raise Failure(words.CANNOT_WRITE, 23, name=options.output, why=process.why(error)) from None
    except PermissionError as error:
        raise Failure(words.CANNOT_WRITE, 23, name=options.output, why=process.why(error)) from None


async def _save(file: BinaryIO, response: ClientResponse) -> None:
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > _LARGEST:
            raise Failure(TOO_LARGE, 63, most=_LARGEST >> 20)
        file.write(chunk)


async def _show(process: Process, response: ClientResponse) -> None:
    """Line by line, as it comes."""
    decoder: Any = None
    rest = ""
    async for chunk in response.content.iter_chunked(_CHUNK):
        if decoder is None:
            if b"\0" in chunk:
                raise Failure(BINARY, 23)
            decoder = _decoder(response.charset)
        rest += decoder.decode(chunk)
        lines, newline, rest = rest.rpartition("\n")
        process.write(lines + newline)
        if len(rest) > _CHUNK:
            process.write(rest)
            rest = ""
    if decoder is not None:
        process.write(rest + decoder.decode(b"", True))


def _decoder(charset: str | None) -> codecs.IncrementalDecoder:
    try:
        made = codecs.getincrementaldecoder(charset or "utf-8")(errors="replace")
        made.decode(b"")  # some codecs, such as hex, are no encodings of text
    except (LookupError, TypeError, AttributeError, ValueError):
        made = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return made
