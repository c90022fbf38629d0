"""A standby node: it takes over the records of another again and again, and changes none by itself."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from devices.identification.config import Follows
from devices.web.reasons import Reason, Refused
from lab.clock import now_ns
from lab.network.tls import client_context, why_not_secure
from lab.text import Text

if TYPE_CHECKING:
    from aiohttp import ClientSession

UNREACHABLE: Final = Text(zh="连接不上 {node}：{why}", en="{node} cannot be reached: {why}")
SILENT: Final = Text(zh="{node} 没有答复", en="{node} does not answer")
SAID: Final = Text(zh="{node} 答复 HTTP {status}", en="{node} answered HTTP {status}")
NOT_TAKEN: Final = Text(zh="{node} 的数据不可用：{why}", en="what {node} sends cannot be used: {why}")
TOO_LARGE: Final = Text(zh="超过 {most} 字节", en="it is larger than {most} bytes")

_PATIENCE: Final = 20.0
_MOST: Final = 256 << 20


class Follower:
    """Asks for a backup every so often; what has not changed is not sent."""

    def __init__(self, config: Follows, take: Callable[[bytes], None], log: Callable[[str], None]) -> None:
        self._config, self._take, self._log = config, take, log
        self._node = f"{config.host}:{config.port}"
        self._tag = ""
        """Of the backup we have (RFC 9110, section 8.8.3)."""
        self._task: asyncio.Task[None] | None = None
        self.synchronised: int | None = None
        """When it was last known to be up to date, in milliseconds since the Unix epoch."""
        self.trouble: Reason | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        import aiohttp  # its import takes a fifth of a second

        connector = aiohttp.TCPConnector(ssl=client_context(self._config.tls), limit=1)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                trouble = await self._synchronise(session)
                if trouble is not None and (self.trouble is None or str(self.trouble) != str(trouble)):
                    self._log(str(trouble))
                self.trouble = trouble
                if trouble is None:
                    self.synchronised = now_ns() // 1_000_000
                await asyncio.sleep(self._config.every_s)

    async def _synchronise(self, session: ClientSession) -> Reason | None:
        """Why it came to nothing; None where we have what the other has."""
        import aiohttp

        config = self._config
        user = f"{quote(config.user, safe='')}:{config.secret}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(user).decode()}", "If-None-Match": self._tag or '""'}
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                session.get(f"https://{self._node}/api/backup", headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status == 304:
                    return None
                if answer.status != 200:
                    return Reason("refused", SAID, {"node": self._node, "status": answer.status})
                raw = bytearray()
                async for chunk in answer.content.iter_chunked(1 << 16):
                    raw += chunk
                    if len(raw) > _MOST:
                        return Reason(
                            "too-large", NOT_TAKEN, {"node": self._node, "why": Reason("", TOO_LARGE, {"most": _MOST})}
                        )
                self._take(bytes(raw))
                self._tag = answer.headers.get("ETag", "")
        except Refused as error:
            return Reason("not-taken", NOT_TAKEN, {"node": self._node, "why": error.reason})
        except TimeoutError:
            return Reason("silent", SILENT, {"node": self._node})
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
            secure = why_not_secure(cause, config.host, config.port, config.tls) if isinstance(cause, OSError) else None
            if secure is not None:
                return Reason("tls", secure.what, secure.facts)
            return Reason("unreachable", UNREACHABLE, {"node": self._node, "why": str(cause)[:200]})
        return None
