"""Tasks that end when told to and never die in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


def supervised(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run something that should end only by being cancelled; the loop's exception handler hears of anything else."""
    task = asyncio.create_task(work)
    task.add_done_callback(_complain)
    return task


async def cancel(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks and wait until all of them have ended."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": "a task of the gateway failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
