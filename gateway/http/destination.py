"""An HTTP server the gateway pushes to: batches, retried with growing pauses until one is acknowledged by a 2xx."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gateway.driver import why_not_connected
from gateway.formats.registry import format_for
from gateway.http.config import HttpDestination
from gateway.north import Destination, Here
from gateway.samples import Reason
from gateway.store.log import Entry
from gateway.tasks import cancel, supervised
from gateway.timing import Backoff
from lab.clock import now_ns
from lab.network.tls import client_context, why_not_secure
from lab.text import Text

if TYPE_CHECKING:
    from aiohttp import ClientSession

ANSWERED = Text(zh="{url} 答复 {code} {phrase}", en="{url} answered {code} {phrase}")
NO_ANSWER = Text(zh="{url} 在 {timeout_ms} ms 内没有答复", en="{url} did not answer within {timeout_ms} ms")
NO_HTTP = Text(zh="{url} 的答复不是 HTTP，或中途断开：{why}", en="{url} answered no HTTP, or broke off: {why}")

RETRIED: Final = (408, 425, 429)
"""Of the 4xx, those that may go better another time: time-out, too early, too many requests."""
_MOST_RETRY_AFTER: Final = 3600.0


class Refused(Exception):
    """The server will never take this."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class NotNow(Exception):
    """The server, or the way to it, may be better another time; `pause` is what it asked for."""

    def __init__(self, reason: Reason, pause: float = 0.0) -> None:
        self.reason, self.pause = reason, pause


class HttpPush(Destination):
    """Pushes reports in the order in which they came, one request after the other."""

    def __init__(self, config: HttpDestination, here: Here) -> None:
        said = SimpleNamespace(format=config.format, template=config.template, topic="{device}", commands=None)
        super().__init__(config, here, format_for(said, here.names), config.batch.max_messages)
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._tls = None if config.tls is None else client_context(config.tls)
        self._backoff = Backoff(here.random, config.reconnect_min_ms / 1000, config.reconnect_max_ms / 1000)
        self._requests = 0
        self._pusher: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._pusher = supervised(self._push())

    async def stop(self) -> None:
        await cancel([self._pusher])
        self._connected_since = None
        self._outbox.close()

    def status(self) -> dict[str, object]:
        return super().status() | {"requests": self._requests}

    async def _push(self) -> None:
        # Its import takes a fifth of a second.
        import aiohttp

        config = self._config
        timeout = aiohttp.ClientTimeout(total=config.timeout_ms / 1000)
        connector = aiohttp.TCPConnector(ssl=self._tls or False, limit=1)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=self._headers()
        ) as session:
            while True:
                if not self._outbox.waiting:
                    self._something_to_send.clear()
                    await self._something_to_send.wait()
                    if config.batch.linger_ms:
                        await asyncio.sleep(config.batch.linger_ms / 1000)
                await self._push_one(session, self._take())

    async def _push_one(self, session: ClientSession, entries: Sequence[Entry]) -> None:
        """One batch, until it is acknowledged or refused for good."""
        if not entries:
            return
        body = self._body(entries)
        while True:
            try:
                await self._request(session, body)
            except NotNow as error:
                self._connected_since = None
                self._last_error = error.reason
                await asyncio.sleep(max(error.pause, self._backoff.pause()))
            except Refused as error:
                self._last_error = error.reason
                self._note_contact()
                if len(entries) > 1:
                    # One bad report should not take its neighbours along.
                    for entry in entries:
                        await self._push_one(session, [entry])
                    return
                self._give_up(error.reason)
                self._outbox.refused(id(entries[0]))
                return
            else:
                self._note_contact()
                for entry in entries:
                    self._outbox.acknowledged(id(entry))
                return

    def _take(self) -> list[Entry]:
        """The next batch, which is in flight from now on."""
        entries: list[Entry] = []
        size = 0
        while (entry := self._outbox.peek()) is not None:
            size += entry.size
            if entries and size > self._config.batch.max_bytes:
                break
            self._outbox.next()
            self._outbox.sent(entry, id(entry))
            entries.append(entry)
        return entries

    def _body(self, entries: Sequence[Entry]) -> bytes:
        if self._config.format == "template":
            return b"\n".join(entry.payload for entry in entries)
        return b"[" + b",".join(entry.payload for entry in entries) + b"]"

    def _headers(self) -> dict[str, str]:
        config = self._config
        kind = "text/plain; charset=utf-8" if config.format == "template" else "application/json"
        headers = {"Content-Type": kind, "User-Agent": "iiotlab-gateway"}
        if config.username is not None:
            both = f"{config.username}:{config.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(both).decode()}"
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token}"
        given = {name.lower() for name in config.headers}
        return {name: text for name, text in headers.items() if name.lower() not in given} | config.headers

    async def _request(self, session: ClientSession, body: bytes) -> None:
        import aiohttp

        config = self._config
        url = {"url": config.url}
        self._requests += 1
        try:
            async with session.request(config.method, config.url, data=body, allow_redirects=False) as response:
                code, phrase = response.status, response.reason or ""
                retry_after = response.headers.get("Retry-After", "")
                async for _ in response.content.iter_chunked(65_536):
                    pass  # the connection is used again only when the answer has been read
        except TimeoutError:
            raise NotNow(Reason(NO_ANSWER, {**url, "timeout_ms": config.timeout_ms})) from None
        except aiohttp.ClientConnectorError as error:
            raise NotNow(self._why(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotNow(Reason(NO_HTTP, {**url, "why": _short(error)})) from None
        answered = Reason(ANSWERED, {**url, "code": code, "phrase": phrase})
        if 200 <= code < 300:
            return
        if 400 <= code < 500 and code not in RETRIED:
            raise Refused(answered)
        raise NotNow(answered, _seconds(retry_after))

    def _why(self, error: Any) -> Reason:
        config = self._config
        parts = urlsplit(config.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        cause: OSError = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
        if config.tls is not None and isinstance(cause, (ssl.SSLError, ConnectionResetError, ConnectionAbortedError)):
            why = why_not_secure(cause, host, port, config.tls)
            if why is not None:
                return Reason(why.what, why.facts)
        return why_not_connected(cause, host, port, config.timeout_ms)

    def _note_contact(self) -> None:
        if self._connected_since is None:
            self._connected_since = now_ns()
            self._connections += 1
        self._backoff.lasted(float("inf"))


def _seconds(retry_after: str) -> float:
    return min(float(retry_after), _MOST_RETRY_AFTER) if retry_after.isdecimal() else 0.0


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
