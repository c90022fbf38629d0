"""The web page, and the description of the REST interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from devices.platform.http import Ask, File, Route
from devices.platform.service import Service
from lab.text import Text

_TYPES: Final[Mapping[str, str]] = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def _content(name: str) -> bytes:
    return files("devices.platform.web").joinpath(name).read_bytes()


def _serves(name: str) -> Callable[[Service, Ask], Any]:
    async def serve(service: Service, ask: Ask) -> Any:
        return File(_content(name), _TYPES[name])

    serve.__name__ = "get_" + name.replace(".", "_")
    return serve


def _page(path: str, name: str) -> Route:
    kind = _TYPES[name].partition(";")[0]
    return Route("GET", path, _serves(name), Text(zh="网页", en="The web page"), None, "page", content_type=kind)


ROUTES: Final = (_page("/", "index.html"), *(_page(f"/{name}", name) for name in _TYPES if name != "index.html"))
