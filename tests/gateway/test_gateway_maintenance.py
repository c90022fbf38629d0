"""Looking after the gateway through its own port: backup and restore, saving, restarting a driver."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
from gateway_kit import Room, modbus_device, tell
from pydantic import ValidationError

from gateway.config import GatewayConfig


def login(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


USER = login("admin", "m")


def config(room: Room, address: int = 40001, **more: Any) -> dict[str, Any]:
    tags = [{"name": "level", "address": address, "type": "u16"}]
    south = [modbus_device("plc", room.address("plc-1"), tags)]
    return {"site": "works", "south": south, "maintenance": {"password": "m"}, **more}


async def ask(
    room: Room, method: str, path: str, document: Any = None, *, user: dict[str, str] | None = USER, port: int = 8088
) -> tuple[int, Any]:
    async def fetch() -> tuple[int, Any]:
        data = document if isinstance(document, bytes) else None if document is None else json.dumps(document).encode()
        url = f"http://{room.address('gw')}:{port}{path}"
        async with (
            aiohttp.ClientSession(headers=user, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, url, data=data) as answer,
        ):
            return answer.status, await answer.json()

    return await room.hosts["ear"].spawn(fetch())


def test_a_backup_brings_back_what_was_changed() -> None:
    async def story(room: Room) -> None:
        await room.modbus_server("plc-1", [7, 8, 9])
        gateway = await room.switch_on("gw", "gw-edge", config(room))
        status, backup = await ask(room, "GET", "/backup")
        assert (status, backup["model"]) == (200, "Lab EG-200")
        await room.switch_on("gw", "gw-edge", config(room, 40002, site="elsewhere"))
        assert gateway.config.site == "elsewhere"
        assert await ask(room, "POST", "/restore", backup) == (200, {"restored": True})
        assert gateway.config.site == "works"
        await asyncio.sleep(2)
        _, shown = await ask(room, "GET", "/status")
        assert shown["south"]["plc"]["tags"]["level"]["value"] == 7
        assert shown["saved"] is True
        assert any("restored" in line for line in gateway.logs["gateway"].tail(10))

    tell(story)


def test_what_is_no_whole_backup_of_this_model_changes_nothing() -> None:
    async def story(room: Room) -> None:
        gateway = await room.switch_on("gw", "gw-edge", config(room))
        _, backup = await ask(room, "GET", "/backup")
        wrong: list[tuple[Any, str]] = [
            (b"", "no backup"),
            (b"{", "no backup"),
            (b"[" * 100_000, "no backup"),
            ([], "no backup"),
            ({**backup, "model": "Other"}, "another model"),
            ({**backup, "configuration": {**backup["configuration"], "site": "x"}}, "damaged"),
            ({**backup, "sha256": 7}, "damaged"),
        ]
        for document, why in wrong:
            status, said = await ask(room, "POST", "/restore", document)
            assert status == 400
            assert why in said["error"]
        assert gateway.config.site == "works"
        assert (await ask(room, "POST", "/restore", backup))[0] == 200

    tell(story)


def test_nobody_gets_in_without_the_password() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("gw", "gw-edge", config(room))
        for user in (None, login("admin", "x"), login("root", "m")):
            for method, path in (("GET", "/status"), ("GET", "/backup"), ("POST", "/restore"), ("POST", "/save")):
                assert (await ask(room, method, path, user=user))[0] == 401

    tell(story)


def test_what_runs_is_saved_when_somebody_says_so() -> None:
    async def story(room: Room) -> None:
        gateway = await room.switch_on("gw", "gw-edge", config(room))
        await room.switch_on("gw", "gw-edge", config(room, 40003, saved=False))
        assert (await ask(room, "GET", "/status"))[1]["saved"] is False
        assert (await ask(room, "POST", "/save"))[0] == 200
        assert gateway.boots_with == gateway.config

    tell(story)


def test_a_driver_begins_anew_and_the_others_do_not_notice() -> None:
    async def story(room: Room) -> None:
        await room.modbus_server("plc-1", [7, 8, 9])
        await room.modbus_server("plc-2", [1, 2, 3])
        said = config(room)
        said["south"].append(modbus_device("other", room.address("plc-2"), said["south"][0]["groups"][0]["tags"]))
        gateway = await room.switch_on("gw", "gw-edge", said)
        await asyncio.sleep(10)
        assert await ask(room, "POST", "/devices/plc/restart") == (200, {"restarted": "plc"})
        await asyncio.sleep(3)
        south: Any = gateway.status()["south"]
        assert south["plc"]["tags"]["level"]["value"] == 7
        assert south["plc"]["requests"] < 6 < south["other"]["requests"]
        status, answer = await ask(room, "POST", "/devices/nothing/restart")
        assert (status, "nothing" in answer["error"]) == (404, True)

    tell(story, plcs=2)


def test_the_port_and_the_password_can_change_through_the_port_itself() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("gw", "gw-edge", config(room, maintenance={"password": "m", "port": 9000}))
        _, elsewhere = await ask(room, "GET", "/backup", port=9000)
        await room.switch_on("gw", "gw-edge", config(room, maintenance={"password": "n"}))
        assert (await ask(room, "GET", "/status"))[0] == 401
        user = login("admin", "n")
        assert (await ask(room, "POST", "/restore", elsewhere, user=user))[0] == 200
        assert (await ask(room, "GET", "/status", port=9000))[0] == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(room, "GET", "/status")

    tell(story)


def test_maintenance_needs_a_password() -> None:
    with pytest.raises(ValidationError, match="password"):
        GatewayConfig.model_validate({"maintenance": {}})
