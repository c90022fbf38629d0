"""The gateway's own port for those who look after it: status, backup and restore, saving, restarting a driver.

HTTP with Basic authentication. A backup is the saved configuration with a digest over it; it restores only where it is
whole, of this model, and still valid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import Field, ValidationError

from gateway.fields import PortNumber
from lab.clock import now
from lab.model.plant import Strict
from lab.text import Text

if TYPE_CHECKING:
    from aiohttp import web

PLEASE_LOG_IN: Final = Text(zh="用户名或口令错误", en="wrong user name or password")
NO_DEVICE: Final = Text(zh="没有设备 {name}", en="there is no device {name}")
NOT_JSON: Final = Text(zh="请求体不是 JSON 备份", en="the body is no backup in JSON")
OTHER_MODEL: Final = Text(zh="备份来自 {model}，不是本机型", en="the backup is of {model}, another model")
DAMAGED: Final = Text(zh="备份已损坏：摘要不符", en="the backup is damaged: its digest does not match")
NOT_VALID: Final = Text(zh="备份中的配置无效：{why}", en="the configuration in the backup is not valid: {why}")
BUSY: Final = Text(zh="网关正在重启", en="the gateway is restarting")

_MOST: Final = 4 << 20
_FAREWELL: Final = 1.0


class MaintenanceConfig(Strict):
    """Who may look after the gateway, and where."""

    port: PortNumber = Field(8088, description="TCP 端口。 TCP port.")
    username: str = Field("admin", min_length=1, max_length=100, description="用户名。 User name.")
    password: str = Field(min_length=1, max_length=200, description="口令。 Password.")


class Refused(Exception):
    """Something cannot be done; the sentence says why."""


class Maintained(Protocol):
    """What a gateway does for those who look after it."""

    def status(self) -> Mapping[str, object]: ...
    def backup(self) -> Mapping[str, Any]: ...
    async def restore(self, configuration: Any) -> None:
        """Raises ValidationError, and Refused."""

    def save(self) -> None: ...
    async def restart_device(self, name: str) -> None:
        """Raises KeyError."""


class Maintenance:
    """Serves from start to stop."""

    def __init__(self, config: MaintenanceConfig, model: str, gateway: Maintained) -> None:
        self.config = config
        self._model = model
        self._gateway = gateway
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        # Its import takes a fifth of a second.
        import aiohttp.helpers
        from aiohttp import web

        from lab.network.containment import contain

        contain(aiohttp.helpers)  # the Date of an answer is the plant's
        logging.getLogger("aiohttp").addHandler(logging.NullHandler())
        app = web.Application(client_max_size=_MOST)
        for method, path, work in (
            ("GET", "/status", self._status),
            ("GET", "/backup", self._back_up),
            ("POST", "/restore", self._restore),
            ("POST", "/save", self._save),
            ("POST", "/devices/{name}/restart", self._restart_device),
        ):
            app.router.add_route(method, path, self._guarded(work))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_FAREWELL, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", self.config.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _guarded(self, work: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[Any]]:
        from aiohttp import web

        async def handle(request: web.Request) -> web.Response:
            if not self._knows(request.headers.get("Authorization", "")):
                headers = {"WWW-Authenticate": 'Basic realm="gateway"'}
                return web.json_response({"error": str(PLEASE_LOG_IN)}, status=401, headers=headers)
            try:
                return web.json_response(await work(request), dumps=_dumps)
            except KeyError as error:
                return web.json_response({"error": NO_DEVICE.say(name=str(error.args[0])[:100])}, status=404)
            except Refused as error:
                return web.json_response({"error": str(error)}, status=400)

        return handle

    def _knows(self, header: str) -> bool:
        scheme, _, credentials = header.partition(" ")
        try:
            said = base64.b64decode(credentials.strip(), validate=True)
        except binascii.Error:
            return False
        right = f"{self.config.username}:{self.config.password}".encode()
        return scheme.lower() == "basic" and hmac.compare_digest(said, right)

    async def _status(self, request: web.Request) -> Any:
        return self._gateway.status()

    async def _back_up(self, request: web.Request) -> Any:
        configuration = self._gateway.backup()
        return {
            "model": self._model,
            "made": now().isoformat(timespec="seconds"),
            "sha256": _digest(configuration),
            "configuration": configuration,
        }

    async def _restore(self, request: web.Request) -> Any:
        try:
            document = json.loads(await request.read())
        except (ValueError, RecursionError):
            raise Refused(NOT_JSON.say()) from None
        if not isinstance(document, dict) or not isinstance(document.get("configuration"), dict):
            raise Refused(NOT_JSON.say())
        if document.get("model") != self._model:
            raise Refused(OTHER_MODEL.say(model=str(document.get("model"))[:100]))
        if document.get("sha256") != _digest(document["configuration"]):
            raise Refused(DAMAGED.say())
        try:
            await self._gateway.restore(document["configuration"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "/"
            raise Refused(NOT_VALID.say(why=f"{where}: {first['msg']}"[:300])) from None
        return {"restored": True}

    async def _save(self, request: web.Request) -> Any:
        self._gateway.save()
        return {"saved": True}

    async def _restart_device(self, request: web.Request) -> Any:
        await self._gateway.restart_device(request.match_info["name"])
        return {"restarted": request.match_info["name"]}


def _digest(configuration: Any) -> str:
    text = json.dumps(configuration, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _dumps(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, default=str)
