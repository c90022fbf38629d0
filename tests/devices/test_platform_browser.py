"""The page in a browser of somebody else's making, through a published port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from platform_kit import EPOCH_MS, PASSWORD, TOPIC, Room, live

from lab.network.published import publish

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 40.0
HIGH = {"id": "high", "kind": "threshold", "property": "pressure", "create": {"op": ">", "value": 2}, "message": "高压"}
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "about:blank",
)

pytestmark = [pytest.mark.foreign, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


class Page:
    """A tab, by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[Any] = []

    async def command(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(message["params"])
            if message.get("id") == number:
                return message["result"]

    async def run(self, code: str) -> Any:
        done = await self.command("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait, in the page, until an expression is true."""
        wait = "new Promise(done => { const look = () => (%s) ? done(true) : setTimeout(look, 30); look(); })"
        async with asyncio.timeout(PATIENCE):
            await self.run(wait % condition)


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert CHROMIUM is not None
    program = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield program
    finally:
        program.terminate()
        program.wait(PATIENCE)


@contextlib.asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Page]:
    """The first tab of the browser whose files are in this folder."""
    port_file = folder / "DevToolsActivePort"
    async with asyncio.timeout(PATIENCE):
        while not port_file.exists() or "\n" not in port_file.read_text():  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.1)
    port = int(port_file.read_text().split()[0])
    async with aiohttp.ClientSession() as session:
        tabs = await (await session.get(f"http://127.0.0.1:{port}/json")).json(content_type=None)
        address = next(each["webSocketDebuggerUrl"] for each in tabs if each["type"] == "page")
        async with session.ws_connect(address, max_msg_size=0) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.command(f"{domain}.enable")
            yield page


async def visit(room: Room, folder: Path, port: int) -> None:
    async with tab(folder) as page:
        await page.command("Page.navigate", url=f"http://127.0.0.1:{port}/")
        await page.until(
            "document.querySelector('#login button')?.textContent && !document.querySelector('#login').hidden"
        )
        await page.run("localStorage.setItem('language', 'en')")
        await page.command("Page.reload")
        await page.until("document.querySelector('#login [type=submit]')?.textContent === 'Log in'")
        fill = "for (const [k, v] of Object.entries({fields})) document.querySelector(`[name=${k}]`).value = v;"
        log_in = fill.replace("{fields}", json.dumps({"user": "op", "password": "wrong"}))
        await page.run(log_in + "document.querySelector('#login').requestSubmit()")
        await page.until("document.querySelector('#login .trouble').textContent.includes('wrong user name')")
        page.complaints.clear()  # the browser notes the 401 itself
        await page.run(log_in.replace("wrong", PASSWORD) + "document.querySelector('#login').requestSubmit()")
        await page.until("document.querySelector('.tile .value')?.textContent.startsWith('2.5')")
        await page.until("document.querySelector('svg.chart[role=img]')")
        await page.until("document.querySelector('.message .tag.partly')")
        await page.run("document.querySelector('[data-view=alarms]').click()")
        await page.until("document.querySelector('#alarm-rows')?.textContent.includes('高压')")
        await page.run("document.querySelector('#alarm-rows button').click()")
        await page.until("document.querySelector('#alarm-rows')?.textContent.includes('Acknowledged by op')")
        await page.run("document.querySelector('header [data-language]').click()")
        await page.until("document.querySelector('#alarm-rows')?.textContent.includes('op 已确认')")
        # What a device says is shown as text, whatever it says.
        assert await page.run("document.querySelectorAll('main script, main img').length") == 0
        assert page.complaints == []


def test_somebody_logs_in_looks_and_acknowledges(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[HIGH])
        client = await room.client()
        said = {"pressure": 2.5, "level": "<img src=x onerror=alert(1)>"}
        await room.say(client, TOPIC, {"values": said})
        published = await publish(room.hosts["pc"], 0, room.address("platform"), 80)
        with browser(tmp_path):
            await asyncio.get_running_loop().create_task(visit(room, tmp_path, published.port), context=Context())
        published.close()
        (alarm,) = (await room.get("/api/alarms"))["items"]
        assert alarm["acknowledged_by"] == "op"
        assert alarm["raised_at"] > EPOCH_MS
        await client.disconnect()

    live(story)
