"""The sockets of a site: an application of aiohttp, behind a port or several."""

from __future__ import annotations

import ssl
from typing import Final

from aiohttp import web

_FAREWELL: Final = 1.0
"""Seconds that requests under way have when the site closes."""


class Site:
    """Serves from `open` to `close`."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_FAREWELL, handle_signals=False)

    async def open(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen at one more port of every address of the host; raises OSError."""
        if self._runner.server is None:
            await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", port, ssl_context=tls).start()

    async def close(self) -> None:
        await self._runner.cleanup()
