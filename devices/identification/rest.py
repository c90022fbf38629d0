"""The Handle System's REST API, and what operators of a node need: health, metrics, logs, backups.

Handle.Net technical manual (version 9), chapter 14. Administration needs HTTPS and a credential.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from devices.identification.failure import Failure, failure
from devices.identification.health import health, metrics
from devices.identification.records import Selection
from devices.identification.service import Service, now_ms
from devices.web.reasons import Reason, Refused
from devices.web.requests import body_of, document_of, json_answer, language_of
from lab import clock
from lab.text import Text
from lab.wire.handles import Code, Handle, HandleValue, Reference, decode_value, http_status
from lab.wire.malformed import Malformed

NEEDS_HTTPS: Final = Text(zh="管理操作必须使用 HTTPS", en="administration needs HTTPS")
BAD_HANDLE: Final = Text(zh="无效的标识：{why}", en="invalid handle: {why}")
BAD_VALUE: Final = Text(zh="无效的值：{why}", en="invalid value: {why}")
BAD_REQUEST: Final = Text(zh="无效的请求：{why}", en="invalid request: {why}")
NO_SUCH_PATH: Final = Text(zh="没有路径 {path}", en="there is no path {path}")
RECURSIVE: Final = Text(zh="递归节点没有自己的标识", en="a recursive node has no handles of its own")
INTERNAL: Final = Text(zh="节点内部错误", en="the node itself has failed")
WRITTEN: Final = Text(zh="{who} 写入 {handle}", en="{who} wrote {handle}")
DELETED: Final = Text(zh="{who} 删除 {handle}", en="{who} deleted {handle}")
NOT_DONE: Final = Text(zh="{who} 未能 {method} {handle}：{why}", en="{who} could not {method} {handle}: {why}")
BACKED_UP: Final = Text(zh="{who} 下载备份（{size} 字节）", en="{who} took a backup ({size} bytes)")
RESTORED: Final = Text(zh="{who} 恢复了备份", en="{who} restored a backup")

MAX_BODY: Final = 1 << 20
MAX_BACKUP: Final = 256 << 20
_MOST_PAGE: Final = 10_000
_MOST_LINES: Final = 10_000
# RFC 3652, section 2.2.2.1.
_RESOLUTION, _CREATE, _DELETE, _ADD, _REMOVE, _LIST = 1, 100, 101, 102, 103, 105

Work = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """The routes, and what is behind them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def application(self) -> web.Application:
        made = web.Application(client_max_size=MAX_BACKUP, middlewares=[self._failures])
        made.router.add_get("/api/handles/{handle:.+}", self._resolve)
        made.router.add_put("/api/handles/{handle:.+}", self._write)
        made.router.add_delete("/api/handles/{handle:.+}", self._delete)
        made.router.add_get("/api/handles", self._list)
        made.router.add_get("/health", self._health)
        made.router.add_get("/metrics", self._metrics)
        made.router.add_get("/api/logs/{log:queries|audit}", self._logs)
        made.router.add_get("/api/backup", self._back_up)
        made.router.add_post("/api/restore", self._restore)
        return made

    # -- resolution ------------------------------------------------------------------------------------------------

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        text = request.match_info["handle"]
        is_remembered = None
        code = Code.ERROR
        try:
            handle = _handle(text)
            who = self._who(request)
            found = await self._service.resolve(
                handle,
                Selection(request.query.getall("type", ()), _indices(request) or ()),
                who,
                public_only=_flag(request, "publicOnly"),
                is_authoritative=_flag(request, "auth") or False,
                via=_via(request),
            )
            code, is_remembered = found.code, found.is_remembered if self._service.resolver is not None else None
            if code != Code.SUCCESS:
                return self._complaint(request, code, found.reason, text, is_resolution=True)
            values = [each.value.encode(each.timestamp) for each in found.values]
            return json_answer({"responseCode": int(code), "handle": text, "values": values})
        except Failure as error:
            code = error.code
            raise
        finally:
            self._service.codes[code] += 1
            remembered = "-" if is_remembered is None else "hit" if is_remembered else "miss"
            self._note(request, _RESOLUTION, code, began, text, remembered)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        prefix = request.query.get("prefix", "")
        page, size = _number(request, "page", 0), _number(request, "pageSize", _MOST_PAGE)
        code = Code.ERROR
        try:
            self._check_administration(request)
            who = self._who(request)
            total, handles = self._service.records.handles(prefix, who, page * size, min(size, _MOST_PAGE))
            code = Code.SUCCESS
        except Failure as error:
            code = error.code
            raise
        finally:
            self._note(request, _LIST, code, began, prefix, "-")
        said = {"responseCode": 1, "prefix": prefix, "totalCount": total, "page": page, "pageSize": size}
        return json_answer({**said, "handles": handles})

    # -- administration --------------------------------------------------------------------------------------------

    async def _write(self, request: web.Request) -> web.StreamResponse:
        overwrite = _flag(request, "overwrite")
        asked = request.query.getall("index", [])
        indices = None if "various" in asked else _indices(request)

        async def work(handle: Handle, who: Reference | None) -> bool:
            values = _values(document_of(await body_of(request, MAX_BODY)))
            records = self._service.records
            if asked:
                return records.put(handle, values, who, indices, overwrite=overwrite is not False)
            return records.write(handle, values, who, overwrite=overwrite is not False)

        return await self._administer(request, _ADD if asked else _CREATE, WRITTEN, work)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        indices = _indices(request)

        async def work(handle: Handle, who: Reference | None) -> bool:
            if indices is None:
                self._service.records.delete(handle, who)
            else:
                self._service.records.remove(handle, indices, who)
            return False

        return await self._administer(request, _DELETE if indices is None else _REMOVE, DELETED, work)

    async def _administer(
        self,
        request: web.Request,
        operation: int,
        done: Text,
        work: Callable[[Handle, Reference | None], Awaitable[bool]],
    ) -> web.StreamResponse:
        """Do something to a record, and write down who did it, or who could not and why."""
        began = asyncio.get_running_loop().time()
        text = request.match_info["handle"]
        who: Reference | None = None
        code, why = Code.ERROR, ""
        try:
            handle = _handle(text)
            self._check_administration(request)
            who = self._who(request)
            is_new = await work(handle, who)
            code = Code.SUCCESS
        except Failure as error:
            code, why = error.code, str(error.reason)
            raise
        except Refused as error:
            code, why = Code.PROTOCOL_ERROR, str(error.reason)
            raise
        finally:
            self._note(request, operation, code, began, text, "-")
            named = who or request.remote
            if code == Code.SUCCESS:
                self._service.log(done.say(who=named, handle=text))
            else:
                self._service.log(NOT_DONE.say(who=named, method=request.method, handle=text[:255], why=why))
        return json_answer({"responseCode": 1, "handle": text}, http_status(1, is_resolution=False, is_new=is_new))

    # -- operation -------------------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.StreamResponse:
        said = health(self._service)
        return json_answer(said, 200 if said["status"] == "ok" else 503)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=metrics(self._service), content_type="text/plain", charset="utf-8")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        self._node_admin(request)
        service = self._service
        log = service.queries if request.match_info["log"] == "queries" else service.audit
        return json_answer({"items": list(log.tail(min(_number(request, "limit", 100), _MOST_LINES)))})

    async def _back_up(self, request: web.Request) -> web.StreamResponse:
        who = self._node_admin(request)
        content = self._service.store.backup()
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        self._service.log(BACKED_UP.say(who=who, size=len(content)))
        name = f"{self._service.host.name}-{clock.now():%Y%m%dT%H%M%SZ}.sqlite"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "ETag": tag}
        return web.Response(body=content, content_type="application/vnd.sqlite3", headers=headers)

    async def _restore(self, request: web.Request) -> web.StreamResponse:
        who = self._node_admin(request)
        self._service.records.check_primary()
        self._service.store.restore(await body_of(request, MAX_BACKUP))
        self._service.log(RESTORED.say(who=who))
        return json_answer({"responseCode": 1, "handles": self._service.store.count()})

    # -- what all of them do ---------------------------------------------------------------------------------------

    def _who(self, request: web.Request) -> Reference | None:
        header = request.headers.get("Authorization", "")
        if header and not request.secure:
            raise failure(Code.AUTHENTICATION_ERROR, NEEDS_HTTPS)
        return self._service.authority.authenticate(header)

    def _node_admin(self, request: web.Request) -> Reference:
        self._check_administration(request)
        return self._service.authority.allow_node(self._who(request))

    def _check_administration(self, request: web.Request) -> None:
        if self._service.resolver is not None:
            raise failure(Code.SERVER_NOT_RESPONSIBLE, RECURSIVE)
        if not request.secure:
            raise failure(Code.AUTHENTICATION_ERROR, NEEDS_HTTPS)

    def _note(
        self, request: web.Request, operation: int, code: int, began: float, handle: str, remembered: str
    ) -> None:
        """One line of the query log, in the form of the reference implementation's access.log."""
        took = round((asyncio.get_running_loop().time() - began) * 1000)
        at = f"{clock.now():%Y-%m-%d %H:%M:%S}.{now_ms() % 1000:03d}Z"
        protocol = "HTTPS" if request.secure else "HTTP"
        name = handle[:255].replace('"', "%22").replace(" ", "%20")
        self._service.queries.add(
            f'{request.remote} {protocol}:HDL "{at}" {operation} {int(code)} {took}ms {name} {remembered}'
        )

    @web.middleware
    async def _failures(self, request: web.Request, handler: Work) -> web.StreamResponse:
        text = request.match_info.get("handle", "")
        try:
            return await handler(request)
        except Failure as error:
            return self._complaint(request, error.code, error.reason, text)
        except Refused as error:
            return self._complaint(request, Code.PROTOCOL_ERROR, error.reason, text)
        except web.HTTPMethodNotAllowed as error:
            reason = Reason("wrong-method", BAD_REQUEST, {"why": request.method})
            headers = {"Allow": ", ".join(sorted(error.allowed_methods))}
            return self._complaint(request, Code.OPERATION_NOT_SUPPORTED, reason, text, status=405, headers=headers)
        except web.HTTPNotFound:
            reason = Reason("not-found", NO_SUCH_PATH, {"path": request.path[:200]})
            return self._complaint(request, Code.PROTOCOL_ERROR, reason, text, status=404)
        except web.HTTPException:
            raise
        except Exception as error:
            # Our own mistake: whoever owns the plant hears of it, and whoever asked is not left waiting.
            context = {"message": f"{request.method} {request.path} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return self._complaint(request, Code.ERROR, Reason("internal", INTERNAL), text)

    def _complaint(
        self,
        request: web.Request,
        code: int,
        reason: Reason | None,
        handle: str,
        *,
        is_resolution: bool = False,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        status = status or http_status(code, is_resolution=is_resolution or request.method == "GET")
        said: dict[str, Any] = {"responseCode": int(code)}
        if handle:
            said["handle"] = handle
        if reason is not None:
            said["message"] = reason.say(language_of(request))
        if status == 401:
            headers = {"WWW-Authenticate": 'Basic realm="handle"', **(headers or {})}  # RFC 9110, section 11.6.1
        return json_answer(said, status, headers)


def _handle(text: str) -> Handle:
    try:
        return Handle.parse(text)
    except Malformed as error:
        raise failure(Code.INVALID_HANDLE, BAD_HANDLE, why=error) from None


def _values(document: Any) -> list[HandleValue]:
    """One value, a list of them, or `{values: […]}`; raises Failure."""
    if isinstance(document, dict):
        document = document.get("values", [document] if "index" in document else None)
    if not isinstance(document, list):
        raise failure(Code.INVALID_VALUE, BAD_VALUE, why="values: [{index, type, data}, …]")
    try:
        return [decode_value(each) for each in document]
    except Malformed as error:
        raise failure(Code.INVALID_VALUE, BAD_VALUE, why=error) from None


def _indices(request: web.Request) -> Sequence[int] | None:
    asked = request.query.getall("index", [])
    for text in asked:
        if not (text.isascii() and text.isdecimal() and len(text) <= 10) and text != "various":
            raise failure(Code.PROTOCOL_ERROR, BAD_REQUEST, why=f"index={text[:40]}")
    return [int(text) for text in asked if text != "various"] or None


def _flag(request: web.Request, name: str) -> bool | None:
    """`?name=true`, `?name=false`, `?name`, or None where it is not there."""
    text = request.query.get(name)
    if text is None:
        return None
    if text.lower() not in ("", "true", "false"):
        raise failure(Code.PROTOCOL_ERROR, BAD_REQUEST, why=f"{name}={text[:40]}")
    return text.lower() != "false"


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise failure(Code.PROTOCOL_ERROR, BAD_REQUEST, why=f"{name}={text[:40]}")
    return int(text)


def _via(request: web.Request) -> list[str]:
    """The recursive nodes that the question has come through (RFC 9110, section 7.6.3)."""
    received = ",".join(request.headers.getall("Via", []))
    return [each.split()[-1] for each in received.split(",")[:20] if each.strip()]
