"""Recursive resolution: from the root down, one prefix segment a step, and then the node that has the record.

A node that has delegated a prefix describes it in the handle `0.NA/<prefix>`, whose HS_SITE values say where handles
under the prefix are, and whose HS_SITE.PREFIX values where the descriptions of prefixes derived from it are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from devices.identification.cache import TtlCache
from devices.identification.config import Address, Cache
from devices.identification.failure import Failure, failure
from devices.web.reasons import Reason
from lab.text import Text
from lab.wire.handles import (
    NAMING_AUTHORITY,
    Code,
    Handle,
    HandleValue,
    Server,
    ancestors,
    decode_value,
    servers_of,
)
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

SAID: Final = Text(zh="{node} 答复 {code}：{why}", en="{node} answered {code}: {why}")
SILENT: Final = Text(zh="{node} 在 {seconds} 秒内没有答复", en="{node} did not answer within {seconds} s")
UNREACHABLE: Final = Text(zh="连接不上 {node}：{why}", en="{node} cannot be reached: {why}")
NONSENSE: Final = Text(zh="{node} 的答复看不懂：{why}", en="{node} answered what cannot be understood: {why}")
NOT_DELEGATED: Final = Text(
    zh="前缀 {prefix} 没有委派（{node} 中没有 HS_SITE）",
    en="the prefix {prefix} is not delegated: no HS_SITE at {node}",
)
NO_PREFIX: Final = Text(zh="前缀 {prefix} 不存在（查询 {node}）", en="there is no prefix {prefix}, says {node}")
LOOP: Final = Text(zh="解析成环：{path}", en="resolution goes round in circles: {path}")

_MOST_ANSWER: Final = 4 << 20
_MOST_HOPS: Final = 8


@dataclass(frozen=True, slots=True)
class Dated:
    """A value with the timestamp its source gave it."""

    value: HandleValue
    timestamp: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the tree of nodes says of a handle: values, or why there are none."""

    code: Code
    values: tuple[Dated, ...] = ()
    reason: Reason | None = None
    is_remembered: bool = False
    """Whether it came out of the cache."""


class Resolver:
    """Asks one node after another; the same question by several at a time is asked once."""

    def __init__(self, name: str, root: Address, cache: Cache, timeout: float, now: Callable[[], float]) -> None:
        self._name = name
        self._root = [Server(root.host, root.port, is_primary=True)]
        self._limits = cache
        self._timeout = timeout
        self._session: ClientSession | None = None
        self._asking: dict[tuple[str, bool, str], asyncio.Task[Found]] = {}
        self.cache: TtlCache[Found] = TtlCache(cache.entries, now)
        self.last_trouble: Reason | None = None
        """Of another node, until one answers again."""

    async def resolve(self, handle: Handle, *, is_authoritative: bool = False, via: Sequence[str] = ()) -> Found:
        """All public values of a record; `via` are the recursive nodes that the question has come through."""
        if self._name in via or len(via) >= _MOST_HOPS:
            path = " → ".join((*via, self._name))
            return Found(Code.RECURSION_COUNT_TOO_HIGH, (), Reason("loop", LOOP, {"path": path}))
        key = handle.key, is_authoritative, " ".join(via)
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._resolve(handle, is_authoritative, [*via, self._name]))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def stop(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _resolve(self, handle: Handle, is_authoritative: bool, via: Sequence[str]) -> Found:
        try:
            if not is_authoritative and (kept := self._remembered(handle)) is not None:
                return kept
            return await self._ask(await self._servers(handle, is_authoritative, via), handle, is_authoritative, via)
        except Failure as error:
            return Found(error.code, (), error.reason)

    async def _servers(self, handle: Handle, is_authoritative: bool, via: Sequence[str]) -> list[Server]:
        """The nodes that answer for a handle; raises Failure."""
        servers = self._root
        prefix = handle.suffix if handle.is_of_a_prefix else handle.prefix
        steps = ancestors(prefix)[1:]
        if handle.is_of_a_prefix:
            steps = steps[:-1]  # its description is with the prefix that it is derived from
        for step in steps:
            authority = Handle(NAMING_AUTHORITY, step)
            found = None if is_authoritative else self._remembered(authority)
            if found is None:
                found = await self._ask(servers, authority, is_authoritative, via)
            node = _named(servers)
            if found.code == Code.HANDLE_NOT_FOUND:
                raise failure(Code.HANDLE_NOT_FOUND, NO_PREFIX, prefix=step, node=node)
            if found.code != Code.SUCCESS:
                raise Failure(
                    found.code, found.reason or Reason("error", SAID, {"node": node, "code": found.code, "why": "-"})
                )
            is_last = step == steps[-1] and not handle.is_of_a_prefix
            servers = _sites(found, "HS_SITE" if is_last else "HS_SITE.PREFIX") or _sites(found, "HS_SITE")
            if not servers:
                raise failure(Code.SERVER_NOT_RESPONSIBLE, NOT_DELEGATED, prefix=step, node=node)
        return servers

    async def _ask(
        self, servers: Sequence[Server], handle: Handle, is_authoritative: bool, via: Sequence[str]
    ) -> Found:
        """What the first of these nodes that answers says; raises Failure where none does."""
        trouble: Failure | None = None
        # An authoritative answer is that of a primary site (RFC 3651, section 3.1).
        for server in sorted(servers, key=lambda each: not each.is_primary):
            if is_authoritative and not server.is_primary:
                continue
            try:
                found = await self._fetch(server, handle, via)
            except Failure as error:
                trouble = trouble or error
                continue
            if found.code in (Code.SUCCESS, Code.HANDLE_NOT_FOUND):
                self.cache.put(handle.key, found, self._ttl(found))
            return found
        raise trouble or failure(Code.ERROR, UNREACHABLE, node=_named(servers), why="primarySite")

    def _remembered(self, handle: Handle) -> Found | None:
        kept = self.cache.get(handle.key)
        return None if kept is None else Found(kept.code, kept.values, kept.reason, is_remembered=True)

    def _ttl(self, found: Found) -> float:
        if found.code == Code.HANDLE_NOT_FOUND:
            return self._limits.negative_ttl_s
        return min([self._limits.max_ttl_s, *(each.value.ttl for each in found.values)])

    async def _fetch(self, server: Server, handle: Handle, via: Sequence[str]) -> Found:
        """What a node says; raises Failure where it says nothing that can be used."""
        import aiohttp  # its import takes a fifth of a second

        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        node = f"{server.address}:{server.port}"
        url = f"http://{node}/api/handles/{quote(str(handle), safe='/')}"
        headers = {"Accept": "application/json", "Via": ", ".join(f"1.1 {each}" for each in via)}
        try:
            async with asyncio.timeout(self._timeout):
                async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                    raw = await _body(response)
            found = _decoded(node, json.loads(raw))
        except TimeoutError:
            error = failure(Code.ERROR, SILENT, node=node, seconds=self._timeout)
        except (aiohttp.ClientError, OSError) as cause:
            error = failure(Code.ERROR, UNREACHABLE, node=node, why=_short(cause))
        except (ValueError, RecursionError, Malformed) as cause:
            error = failure(Code.ERROR, NONSENSE, node=node, why=_short(cause))
        else:
            self.last_trouble = None
            return found
        self.last_trouble = error.reason
        raise error


async def _body(response: ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > _MOST_ANSWER:
            raise Malformed(f"the answer is larger than {_MOST_ANSWER} bytes")
    return bytes(raw)


def _decoded(node: str, document: Any) -> Found:
    """Raises Malformed or ValueError."""
    if not isinstance(document, dict) or not isinstance(document.get("responseCode"), int):
        raise Malformed("an answer is an object with responseCode")
    code = Code(document["responseCode"])
    if code != Code.SUCCESS:
        why = str(document.get("message", "-"))[:200]
        return Found(code, (), Reason(code.name, SAID, {"node": node, "code": int(code), "why": why}))
    values = document.get("values")
    if not isinstance(values, list):
        raise Malformed("there are no values in the answer")
    return Found(code, tuple(Dated(decode_value(each), str(each.get("timestamp", ""))[:40]) for each in values))


def _sites(found: Found, kind: str) -> list[Server]:
    return [server for each in found.values if each.value.type.upper() == kind for server in servers_of(each.value)]


def _named(servers: Sequence[Server]) -> str:
    return ", ".join(f"{each.address}:{each.port}" for each in servers)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
