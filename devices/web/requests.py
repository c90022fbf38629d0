"""Requests over HTTP, as far as all of our sites treat them alike."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

import aiohttp.helpers
from aiohttp import web

from devices.web.reasons import refusal
from lab.network.containment import contain
from lab.text import Language, Text, spoken

# The Date of an answer is the plant's.
contain(aiohttp.helpers)
# What goes wrong is answered; without a handler Python would print it over the screen.
logging.getLogger("aiohttp").addHandler(logging.NullHandler())

TOO_LARGE: Final = Text(zh="请求超过 {limit} 字节", en="the request is larger than {limit} bytes")
NOT_JSON: Final = Text(zh="请求体不是 JSON：{why}", en="the body is not JSON: {why}")


async def body_of(request: web.Request, limit: int) -> bytes:
    """Never more than `limit` bytes of it; raises Refused."""
    if (request.content_length or 0) > limit:
        raise refusal("too-large", TOO_LARGE, limit=limit)
    chunks = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        chunks += chunk
        if len(chunks) > limit:
            raise refusal("too-large", TOO_LARGE, limit=limit)
    return bytes(chunks)


def document_of(raw: bytes) -> Any:
    """What a body of JSON says; raises Refused."""
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise refusal("not-json", NOT_JSON, why=why) from None


def language_of(request: web.Request) -> Language:
    """The first of Accept-Language that we speak, by preference; the plant's where it names none."""
    wanted: list[tuple[float, int, Language]] = []
    for place, part in enumerate(request.headers.get("Accept-Language", "").lower().split(",")[:20]):
        tag, _, parameters = part.strip().partition(";")
        if (language := tag[:2]) in ("zh", "en"):
            wanted.append((-_weight(parameters), place, "zh" if language == "zh" else "en"))
    return min(wanted)[2] if wanted else spoken()


def _weight(parameters: str) -> float:
    try:
        return float(parameters.strip().removeprefix("q=")) if parameters else 1.0
    except ValueError:
        return 0.0


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    raw = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return web.Response(body=raw, content_type="application/json", status=status, headers=headers)
