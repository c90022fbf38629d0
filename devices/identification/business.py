"""The business API of an enterprise node: tokens, templates, registration. Its answers are `{status, message, data}`.

`status` is 1 where it worked, −1 for whoever is not logged in, −2 where the request makes no sense, with a message, −3
without permission, −4 where the node itself failed. In front of it stands a proxy that answers 504 when the node takes
too long: what was asked for may have been done or not, and whoever asks again learns which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from devices.identification.config import Business as BusinessConfig
from devices.identification.config import BusinessRole, iso
from devices.identification.failure import Failure
from devices.identification.service import Service, now_ms
from devices.identification.store import Stored
from devices.identification.templates import Batch, Registration, Template, admin_value, template_value
from devices.web.accounts import Accounts, Session
from devices.web.reasons import Reason, Refused, refusal
from devices.web.requests import body_of, document_of, json_answer, language_of
from devices.web.validation import checked
from lab.text import Text
from lab.wire.handles import RESERVED_INDEX, Handle, Reference
from lab.wire.malformed import Malformed

DONE: Final = Text(zh="成功", en="done")
NOT_ALLOWED: Final = Text(zh="{user} 的角色 {role} 没有权限", en="{user} has no permission as {role}")
INTERNAL: Final = Text(zh="节点内部错误", en="the node itself has failed")
NO_TEMPLATE: Final = Text(zh="没有模板 {version}", en="there is no template {version}")
NOT_PUBLISHED: Final = Text(zh="模板 {version} 未发布", en="template {version} is not published")
PUBLISHED: Final = Text(zh="模板 {version} 已发布，不能修改", en="template {version} is published and stays as it is")
OTHER_PREFIX: Final = Text(zh="本节点不负责前缀 {prefix}", en="the prefix {prefix} does not live here")
BAD_HANDLE: Final = Text(zh="无效的标识：{why}", en="invalid handle: {why}")
EXISTS: Final = Text(zh="标识已存在：{handle}", en="the handle exists already: {handle}")
NOT_THERE: Final = Text(zh="标识不存在：{handle}", en="there is no handle {handle}")
NOT_REGISTERED: Final = Text(zh="{handle} 不是通过模板注册的", en="{handle} was not registered by a template")
NO_ROOM: Final = Text(zh="磁盘已满", en="the disk is full")
NO_SUCH_PATH: Final = Text(zh="没有路径 {path}", en="there is no path {path}")
LOGGED_IN: Final = Text(zh="{user} 取得令牌", en="{user} took a token")
NOT_LOGGED_IN: Final = Text(zh="{user} 取令牌失败：{why}", en="{user} got no token: {why}")
DID: Final = Text(zh="{user} {what} {handle}", en="{user} {what} {handle}")

MAX_BODY: Final = 4 << 20
_NOT_LOGGED_IN: Final = ("not-logged-in", "login-expired")

_READERS: Final = ("admin", "registrar", "partner", "public")
_WRITERS: Final = ("admin", "registrar")


class TokenRequest(BaseModel):
    """Who wants a token."""

    username: str = Field(max_length=200)
    password: str = Field(max_length=200)


class Publication(BaseModel):
    """Which template is to be published."""

    prefix: str = Field(max_length=100)
    version: str = Field(max_length=64)


class Business:
    """Its routes, and what is behind them."""

    def __init__(self, service: Service, config: BusinessConfig) -> None:
        self._service, self._config = service, config
        self._accounts: Accounts[BusinessRole] = Accounts(service.host.random, now_ms)
        self._accounts.replace(config.users)
        self._storing: set[asyncio.Task[Any]] = set()

    def application(self) -> web.Application:
        made = web.Application(client_max_size=MAX_BODY, middlewares=[self._answers])
        made.router.add_post("/identity/token", self._token)
        made.router.add_get("/snms/api/v5/template", self._templates)
        made.router.add_post("/snms/api/v5/template", self._put_template)
        made.router.add_post("/snms/api/v5/template/publish", self._publish)
        made.router.add_post("/identityv2/data", self._register)
        made.router.add_put("/identityv2/data", self._update)
        made.router.add_delete("/identityv2/data", self._revoke)
        made.router.add_post("/identityv2/data/batchCreate", self._register_many)
        made.router.add_get("/identityv2/data/detail", self._detail)
        return made

    async def stop(self) -> None:
        """What is being stored is stored; whoever waits for it has gone."""
        for task in self._storing:
            task.cancel()
        await asyncio.gather(*self._storing, return_exceptions=True)

    # -- tokens ----------------------------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> Any:
        wanted = checked(TokenRequest, document_of(await body_of(request, MAX_BODY)))
        try:
            token, _ = self._accounts.login(wanted.username, wanted.password, self._config.token_hours)
        except Refused as error:
            self._service.log(NOT_LOGGED_IN.say(user=wanted.username, why=error.reason))
            raise
        self._service.log(LOGGED_IN.say(user=wanted.username))
        return {"token": token, "expiresIn": round(self._config.token_hours * 3600)}

    def _session(self, request: web.Request, *roles: str) -> Session[BusinessRole]:
        """Who asks; raises Refused."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        session = self._accounts.session(token.strip() if scheme.lower() == "bearer" else None)
        if session.role not in roles:
            raise refusal("forbidden", NOT_ALLOWED, user=session.user, role=session.role)
        return session

    # -- templates -------------------------------------------------------------------------------------------------

    async def _templates(self, request: web.Request) -> Any:
        self._session(request, *_WRITERS)
        prefix = request.query.get("prefix")
        return [each for each in self._service.store.templates() if prefix in (None, each["prefix"])]

    async def _put_template(self, request: web.Request) -> Any:
        session = self._session(request, "admin")
        template = checked(Template, document_of(await body_of(request, MAX_BODY)))
        self._check_prefix(template.prefix)
        before = self._find(template.prefix, template.version)
        if before is not None and before.status == "published":
            raise refusal("published", PUBLISHED, version=template.version)
        return await self._keep(session, template.model_copy(update={"status": "draft"}), "template")

    async def _publish(self, request: web.Request) -> Any:
        session = self._session(request, "admin")
        wanted = checked(Publication, document_of(await body_of(request, MAX_BODY)))
        template = self._find(wanted.prefix, wanted.version)
        if template is None:
            raise refusal("no-template", NO_TEMPLATE, version=wanted.version)
        return await self._keep(session, template.model_copy(update={"status": "published"}), "publish")

    async def _keep(self, session: Session[BusinessRole], template: Template, what: str) -> Any:
        def write() -> None:
            self._service.store.put_template(template.prefix, template.version, template.model_dump())
            self._service.log(DID.say(user=session.user, what=what, handle=f"{template.prefix}:{template.version}"))

        await self._stored(write)
        return template.model_dump()

    # -- records ---------------------------------------------------------------------------------------------------

    async def _register(self, request: web.Request) -> Any:
        session = self._session(request, *_WRITERS)
        wanted = checked(Registration, document_of(await body_of(request, MAX_BODY)))
        write = self._registration(session, wanted)
        await self._stored(write)
        return {"handle": wanted.handle}

    async def _register_many(self, request: web.Request) -> Any:
        session = self._session(request, *_WRITERS)
        batch = checked(Batch, document_of(await body_of(request, MAX_BODY)))
        language = language_of(request)
        results: list[dict[str, Any]] = []

        def write_all() -> None:
            for wanted in batch.data:
                try:
                    self._registration(session, wanted)()
                except Refused as error:
                    results.append({"handle": wanted.handle, "status": -2, "message": error.reason.say(language)})
                else:
                    results.append({"handle": wanted.handle, "status": 1, "message": DONE.both()[language]})

        await self._stored(write_all)
        succeeded = sum(each["status"] == 1 for each in results)
        return {"total": len(results), "success": succeeded, "failed": len(results) - succeeded, "results": results}

    def _registration(self, session: Session[BusinessRole], wanted: Registration) -> Callable[[], None]:
        """What makes the record, once everything about it is right; raises Refused."""
        handle = self._handle(wanted.handle)
        template = self._find(handle.prefix, wanted.templateVersion or "")
        if template is None:
            raise refusal("no-template", NO_TEMPLATE, version=wanted.templateVersion or "-")
        if template.status != "published":
            raise refusal("not-published", NOT_PUBLISHED, version=template.version)
        values = [*template.values(wanted.value), template_value(template.version)]
        if admins := self._service.config.admins:
            owner = Reference.parse(admins[0])
            values.append(admin_value(owner.index, owner.handle))

        def write() -> None:
            if self._service.store.has(handle):
                raise refusal("exists", EXISTS, handle=handle)
            if not self._service.has_room():
                raise refusal("no-room", NO_ROOM)
            self._service.store.replace(handle, values, now_ms())
            self._service.log(DID.say(user=session.user, what="register", handle=handle))

        return write

    async def _update(self, request: web.Request) -> Any:
        session = self._session(request, *_WRITERS)
        wanted = checked(Registration, document_of(await body_of(request, MAX_BODY)))
        handle = self._handle(wanted.handle)
        record, template = self._registered(handle)
        values = template.values(wanted.value, is_complete=wanted.overwrite)
        ours = {item.idIndex for item in template.items}
        gone = [
            stored.value.index
            for stored in record
            if wanted.overwrite and stored.value.index in ours and stored.value.index not in {v.index for v in values}
        ]

        def write() -> None:
            if not self._service.store.has(handle):
                raise refusal("not-there", NOT_THERE, handle=handle)
            self._service.store.change(handle, gone, values, now_ms())
            self._service.log(DID.say(user=session.user, what="update", handle=handle))

        await self._stored(write)
        return {"handle": wanted.handle}

    async def _revoke(self, request: web.Request) -> Any:
        session = self._session(request, *_WRITERS)
        handle = self._handle(request.query.get("handle", ""))
        self._registered(handle)

        def write() -> None:
            self._service.store.remove(handle)
            self._service.log(DID.say(user=session.user, what="revoke", handle=handle))

        await self._stored(write)
        return {"handle": str(handle)}

    async def _detail(self, request: web.Request) -> Any:
        session = self._session(request, *_READERS)
        handle = self._handle(request.query.get("handle", ""))
        record, template = self._registered(handle)
        shown = [
            stored.value.encode(iso(stored.at))
            for stored in record
            if stored.value.index == RESERVED_INDEX or template.shows(stored.value.index, session.role)
        ]
        return {"handle": str(handle), "templateVersion": template.version, "value": shown}

    # -- what all of them do ---------------------------------------------------------------------------------------

    def _handle(self, text: str) -> Handle:
        try:
            handle = Handle.parse(text)
        except Malformed as error:
            raise refusal("bad-handle", BAD_HANDLE, why=error) from None
        self._check_prefix(handle.prefix)
        return handle

    def _check_prefix(self, prefix: str) -> None:
        if not self._service.records.is_responsible(Handle(prefix, "x")):
            raise refusal("other-prefix", OTHER_PREFIX, prefix=prefix)

    def _find(self, prefix: str, version: str) -> Template | None:
        for each in self._service.store.templates():
            if each["prefix"].lower() == prefix.lower() and each["version"] == version:
                return Template.model_validate(each)
        return None

    def _registered(self, handle: Handle) -> tuple[list[Stored], Template]:
        """A record and what it was made by; raises Refused."""
        record = self._service.store.record(handle)
        if not record:
            raise refusal("not-there", NOT_THERE, handle=handle)
        version = next((each.value.text for each in record if each.value.index == RESERVED_INDEX), "")
        template = self._find(handle.prefix, version)
        if template is None:
            raise refusal("not-registered", NOT_REGISTERED, handle=handle)
        return record, template

    async def _stored(self, write: Callable[[], None]) -> None:
        """Store something; raises Failure on a standby node.

        It takes as long as the disk does, and goes on when nobody waits any more.
        """
        self._service.records.check_primary()

        async def store() -> None:
            if self._config.storage_delay_s:
                await asyncio.sleep(self._config.storage_delay_s)
            write()

        task = asyncio.create_task(store())
        self._storing.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait([task], timeout=self._config.answer_within_s)
        if not task.done():
            raise web.HTTPGatewayTimeout(
                text="<html><body><h1>504 Gateway Time-out</h1></body></html>", content_type="text/html"
            )
        task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._storing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits is told; nobody else cares

    @web.middleware
    async def _answers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]
    ) -> web.StreamResponse:
        language = language_of(request)
        try:
            data = await handler(request)
        except Refused as error:
            code = error.reason.code
            status = -1 if code in _NOT_LOGGED_IN else -3 if code == "forbidden" else -2
            return json_answer({"status": status, "message": error.reason.say(language), "data": None})
        except Failure as error:
            return json_answer({"status": -2, "message": error.reason.say(language), "data": None})
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            reason = Reason("not-found", NO_SUCH_PATH, {"path": f"{request.method} {request.path[:200]}"})
            return json_answer({"status": -2, "message": reason.say(language), "data": None}, error.status)
        except web.HTTPException:
            raise
        except Exception as error:
            # Our own mistake: whoever owns the plant hears of it, and whoever asked is not left waiting.
            context = {"message": f"{request.method} {request.path} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return json_answer({"status": -4, "message": INTERNAL.both()[language], "data": None})
        return json_answer({"status": 1, "message": DONE.both()[language], "data": data})
