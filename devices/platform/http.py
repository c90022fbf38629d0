"""HTTP: a route knows who may ask, what is asked for and what is answered; the rest is the same for all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from devices.platform.accounts import allow
from devices.platform.config import Role
from devices.web.accounts import Session
from devices.web.reasons import Reason, Refused
from devices.web.requests import body_of, document_of, json_answer, language_of
from devices.web.validation import checked, first_complaint
from lab.text import Language, Text

if TYPE_CHECKING:
    from devices.platform.service import Service

NOT_FOUND: Final = Text(zh="没有路径 {path}", en="there is no path {path}")
WRONG_METHOD: Final = Text(zh="{path} 没有方法 {method}", en="{path} has no method {method}")
INTERNAL: Final = Text(zh="平台内部错误", en="the platform itself has failed")

MAX_BODY: Final = 4 << 20
MAX_BACKUP: Final = 256 << 20
SERVER: Final = "iiotlab platform"

_STATUS: Final[Mapping[str, int]] = {
    "not-logged-in": 401,
    "login-expired": 401,
    "wrong-login": 401,
    "unknown-token": 401,
    "forbidden": 403,
    "not-found": 404,
    "wrong-method": 405,
    "too-large": 413,
    "locked": 429,
    "too-many-calls": 429,
    "exists": 409,
    "declared": 409,
    "inconsistent": 409,
    "already-acknowledged": 409,
    "already-cleared": 409,
    "no-admin": 409,
    "too-many-devices": 409,
    "no-way": 409,
    "device-disabled": 409,
    "internal": 500,
    "broker-away": 503,
    "disk-full": 507,
}
_UNKNOWN: Final = ("unknown-product", "unknown-device", "unknown-rule", "unknown-user", "unknown-alarm")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, and by whom."""

    path: Mapping[str, str]
    query: Any
    """An instance of the route's `query`."""
    body: Any
    """An instance of the route's `body`."""
    raw: bytes
    session: Session[Role]
    """Of nobody, where the route is open to everybody."""
    token: str
    language: Language


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is not JSON."""

    content: bytes
    content_type: str
    name: str | None = None


Answer = Callable[["Service", Ask], Awaitable[Any]]
NOBODY: Final[Session[Role]] = Session("", "viewer", 0)


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table of routes."""

    method: str
    path: str
    answer: Answer
    summary: Text
    role: Role | None = "viewer"
    """Who may ask, at least; None for everybody."""
    tag: str = "platform"
    query: type[BaseModel] | None = None
    body: Any = None
    """A model, or bytes for anything at all, or None."""
    returns: Any = None
    """A model; None where it is a file, of `content_type`."""
    content_type: str = "application/json"
    status: int = 200
    max_body: int = MAX_BODY
    errors: Sequence[int] = field(default_factory=tuple)


def application(service: Service, routes: Sequence[Route]) -> web.Application:
    made = web.Application(client_max_size=MAX_BACKUP)
    for route in routes:
        made.router.add_route(route.method, route.path, _handler(service, route))
    made.middlewares.append(_failures)
    made.on_response_prepare.append(_headers)
    return made


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    headers["Server"] = SERVER
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'"
    headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def _failures(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        reason = Reason("wrong-method", WRONG_METHOD, {"path": request.path[:200], "method": request.method})
        return _complaint(reason, language_of(request), {"Allow": ", ".join(sorted(error.allowed_methods))})
    except web.HTTPNotFound:
        return _complaint(Reason("not-found", NOT_FOUND, {"path": request.path[:200]}), language_of(request))
    except web.HTTPException:
        raise
    except Exception as error:
        # Our own mistake: whoever owns the plant hears of it, and whoever asked is not left waiting.
        context = {"message": f"{request.method} {request.path} failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        return _complaint(Reason("internal", INTERNAL), language_of(request))


def _handler(service: Service, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        language = language_of(request)
        try:
            answer = await route.answer(service, await _asked(service, route, request, language))
        except Refused as error:
            return _complaint(error.reason, language)
        if isinstance(answer, File):
            headers = {} if answer.name is None else {"Content-Disposition": f'attachment; filename="{answer.name}"'}
            kind, _, charset = answer.content_type.partition("; charset=")
            return web.Response(
                body=answer.content, content_type=kind, charset=charset or None, headers=headers, status=route.status
            )
        return web.Response(body=_json(answer), content_type="application/json", status=route.status)

    return handle


async def _asked(service: Service, route: Route, request: web.Request, language: Language) -> Ask:
    """Raises Refused. Who may not ask is told so before anything else is looked at."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    session = NOBODY
    if route.role is not None:
        session = service.accounts.session(token.strip() if scheme.lower() == "bearer" else None)
        allow(session, route.role)
    query = checked(route.query, request.query, from_text=True) if route.query is not None else None
    raw = await body_of(request, route.max_body) if route.body is not None else b""
    body = None
    if route.body is not None and route.body is not bytes:
        body = _checked_body(route.body, raw)
    return Ask(request.match_info, query, body, raw, session, token.strip(), language)


def _checked_body(model: Any, raw: bytes) -> Any:
    document = document_of(raw)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return checked(model, document)
    return checked_by(model, document)


def checked_by(model: Any, document: Any) -> Any:
    """The same as `checked` for what is no model by itself, a union for one."""
    try:
        return TypeAdapter(model).validate_python(document)
    except ValidationError as error:
        raise Refused(first_complaint(error)) from None


def status_of(code: str) -> int:
    return 404 if code in _UNKNOWN else _STATUS.get(code, 400)


def _complaint(reason: Reason, language: Language, headers: Mapping[str, str] | None = None) -> web.Response:
    status = status_of(reason.code)
    headers = dict(headers or {})
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 11.6.1
    return json_answer({"code": reason.code, "message": reason.say(language)}, status, headers)


def _json(answer: Any) -> bytes:
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(mode="json")
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_model).encode()


def _model(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value))
