"""Being told by the operating system that something in a folder has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

_DEBOUNCE_MS = 100
"""Editors write a file in several steps; what comes within this time is told at once."""
_STEP_MS = 20


async def changes(root: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Once to begin with, then whenever the folder or its `config/` has changed, until `stop`; never for its `work/`."""
    from watchfiles import awatch

    folders = [root, *(folder for folder in (root / "config",) if folder.is_dir())]
    watching = awatch(*folders, recursive=False, stop_event=stop, debounce=_DEBOUNCE_MS, step=_STEP_MS)
    first = asyncio.ensure_future(anext(watching, None))
    try:
        await asyncio.sleep(0)  # from here on the watch is set, and nothing that changes is missed
        yield
        while await first is not None:
            yield
            first = asyncio.ensure_future(anext(watching, None))
    finally:
        stop.set()
        await first
        await watching.aclose()
