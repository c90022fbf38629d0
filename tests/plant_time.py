"""Stories on a plant loop of their own; every complaint of the loop fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lab.network.loop import PlantLoop

T = TypeVar("T")


def on_plant_loop(
    story: Callable[[PlantLoop], Awaitable[T]],
    *,
    fast: bool = True,
    patience: float = 7 * 24 * 3600.0,
    afterwards: float = 0.05,
    forgives_cancelled: bool = False,
) -> T:
    """Tell a story, let `afterwards` seconds pass for the last FINs, and end what still runs.

    Python 3.11's streams complain of a handler that was cancelled at the end of the story; that may be forgiven.
    """
    loop = PlantLoop(fast=fast)
    complaints: list[str] = []

    def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not (forgives_cancelled and isinstance(context.get("exception"), asyncio.CancelledError)):
            complaints.append(repr(context))

    loop.set_exception_handler(complain)

    async def main() -> T:
        async with asyncio.timeout(patience):
            result = await story(loop)
            await asyncio.sleep(afterwards)
            return result

    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main())
    finally:
        unfinished = asyncio.all_tasks(loop)
        for task in unfinished:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()
    assert not complaints, complaints
    return result
