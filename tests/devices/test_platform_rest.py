"""The REST interface and the page: who may do what, what is refused and why, and whether the description is true."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from platform_kit import BOILER, DEVICES, GATEWAY, PASSWORD, TOPIC, Room, tell, user
from pydantic import BaseModel

from devices.platform import openapi
from devices.platform.accounts import RANK
from devices.platform.http import Route
from devices.platform.routes.registry import ROUTES
from lab.text import Language


def fill(path: str) -> str:
    return (
        path.replace("{token}", "no-such-token")
        .replace("{number}", "1")
        .replace("{name}", "eye")
        .replace("{id}", "boiler-1")
    )


def test_every_route_asks_for_its_role_before_anything_else() -> None:
    async def story(room: Room) -> dict[str, list[int]]:
        await room.switch_on("platform", "platform", room.config())
        found = {}
        for route in ROUTES:
            if route.path in ("/api/logout", "/api/login"):
                continue
            statuses = []
            for by in (None, "eye", "op", "root"):
                if by == "root" and route.method != "GET":
                    continue  # what the admin may do is done in other stories
                answer = await room.ask(route.method, fill(route.path), by=by, data=b"{}" if route.body else None)
                statuses.append(answer.status)
            found[f"{route.method} {route.path}"] = statuses
        return found

    found = tell(story)
    for route in ROUTES:
        statuses = found.get(f"{route.method} {route.path}")
        if statuses is None:
            continue
        for status, rank in zip(statuses, (-1, *RANK.values()), strict=False):
            if route.role is None:
                # The devices' own interface asks for their token instead.
                assert status == (401 if "{token}" in route.path else 200), route
            elif rank < 0:
                assert status == 401, route
            elif rank < RANK[route.role]:
                assert status == 403, route
            else:
                assert status not in (401, 403), route
                assert status < 500, route


def test_errors_are_said_in_the_language_that_was_asked_for() -> None:
    async def story(room: Room) -> list[str]:
        await room.switch_on("platform", "platform", room.config())
        wanted = ["zh-CN,zh;q=0.9,en;q=0.8", "en", "fr;q=1, zh;q=0.2, en;q=0.7", "x" * 500]
        answers = [await room.ask("GET", "/api/devices/no", headers={"Accept-Language": each}) for each in wanted]
        assert {(each.status, each.body["code"]) for each in answers} == {(404, "unknown-device")}
        return [each.body["message"] for each in answers]

    assert tell(story) == ["没有 no", "there is no no", "there is no no", "there is no no"]


def test_a_login_is_good_for_its_hours_and_not_longer() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config(token_hours=1))
        await room.get("/api/me", by="eye")
        await asyncio.sleep(3590)
        assert (await room.get("/api/me", by="eye"))["user"] == "eye"
        await asyncio.sleep(15)
        expired = await room.ask("GET", "/api/me", by="eye")
        assert (expired.status, expired.body["code"], expired.headers["WWW-Authenticate"]) == (
            401,
            "login-expired",
            "Bearer",
        )
        room.tokens.clear()
        await room.ask("POST", "/api/logout", by="eye")
        assert (await room.ask("GET", "/api/me", by="eye")).body["code"] == "not-logged-in"

    tell(story)


def test_guessing_passwords_is_slow_and_leaves_a_trace() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        codes = []
        for _ in range(6):
            answer = await room.ask("POST", "/api/login", {"user": "root", "password": "guess"}, by=None)
            codes.append(answer.body["code"])
        assert codes == ["wrong-login"] * 5 + ["locked"]
        right = {"user": "root", "password": PASSWORD}
        assert (await room.ask("POST", "/api/login", right, by=None)).status == 429
        await asyncio.sleep(61)
        assert (await room.ask("POST", "/api/login", right, by=None)).status == 200
        nobody = await room.ask("POST", "/api/login", {"user": "nobody", "password": "x"}, by=None)
        assert (nobody.status, nobody.body["code"]) == (401, "wrong-login")
        assert sum("'root'" in line for line in room.platform.logs["audit"].tail(100)) == 7
        assert PASSWORD not in "".join(room.platform.logs["audit"].tail(100))

    tell(story)


def test_users_are_added_changed_and_deleted_but_the_last_admin_stays() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config(users={"root": user("admin")}))
        made = await room.ask("POST", "/api/users", {"name": "li", "role": "operator", "password": PASSWORD})
        assert (made.status, made.body) == (201, {"name": "li", "role": "operator", "declared": False})
        assert (await room.get("/api/me", by="li"))["role"] == "operator"
        await room.ask("PUT", "/api/users/li", {"role": "viewer"})
        # Whoever has another role now has to log in anew.
        assert (await room.ask("GET", "/api/me", by="li")).status == 401
        assert (await room.ask("POST", "/api/users", {"name": "li", "password": PASSWORD})).body["code"] == "exists"
        assert (await room.ask("POST", "/api/users", {"name": "wu", "password": "short"})).status == 400
        assert (await room.ask("PUT", "/api/users/root", {"role": "viewer"})).body["code"] == "declared"
        assert (await room.ask("DELETE", "/api/users/li")).status == 200
        assert [each["name"] for each in (await room.get("/api/users"))["items"]] == ["root"]

    tell(story)


def test_products_and_devices_come_by_rest_too_and_outlast_a_restart(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        kettle = {"id": "kettle", "properties": {"temp": {"type": "double"}}}
        assert (await room.ask("POST", "/api/products", kettle)).status == 201
        assert (
            await room.ask("POST", "/api/devices", {"id": "k-1", "product": "kettle", "gateway": "gw-1"})
        ).status == 201
        assert (await room.ask("DELETE", "/api/products/kettle")).body["code"] == "inconsistent"
        assert (await room.ask("PUT", "/api/devices/boiler-1", {"id": "boiler-1", "product": "kettle"})).body[
            "code"
        ] == "declared"
        assert (await room.ask("PUT", "/api/devices/k-1", {"id": "k-2", "product": "kettle"})).status == 400
        await room.switch_off("platform")
        room.tokens.clear()
        await room.switch_on("platform", "platform", room.config())
        listed = await room.get("/api/devices?search=K-")
        assert [(each["id"], each["declared"]) for each in listed["items"]] == [("k-1", False)]
        # The file no longer has the gateway: what stood behind it is left out, and said so, and not lost.
        await room.switch_on("platform", "platform", room.config(devices=[]))
        assert (await room.get("/api/devices"))["total"] == 0
        assert any("k-1" in line for line in room.platform.logs["audit"].tail(5))
        await room.switch_on("platform", "platform", room.config())
        assert (await room.get("/api/devices"))["total"] == 3
        assert (await room.ask("DELETE", "/api/devices/k-1")).status == 200
        assert (await room.ask("DELETE", "/api/products/kettle")).status == 200

    tell(story, folder=tmp_path)


def test_an_import_is_all_or_nothing() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        good = [{"id": f"b-{number}", "product": "boiler", "gateway": "gw-1"} for number in range(50)]
        cycle = [{"id": "x", "product": "boiler", "gateway": "y"}, {"id": "y", "product": "boiler", "gateway": "x"}]
        refused = await room.ask("POST", "/api/devices/import", {"devices": [*good, *cycle]})
        assert (refused.status, refused.body["code"]) == (409, "inconsistent")
        assert "x → y → x" in refused.body["message"]
        assert (await room.get("/api/devices"))["total"] == 2
        assert (await room.ask("POST", "/api/devices/import", {"devices": good})).body == {"imported": 50}
        page = await room.get("/api/devices?gateway=gw-1&limit=10&offset=45")
        assert (page["total"], len(page["items"])) == (51, 6)

    tell(story)


def test_thing_models_are_exported_and_imported() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        await room.ask("POST", "/api/products", {"id": "copy"})
        tsl = await room.get("/api/products/boiler/tsl")
        copied = await room.ask("PUT", "/api/products/copy/tsl", tsl)
        original = await room.get("/api/products/boiler")
        assert copied.status == 200
        assert {key: copied.body[key] for key in ("properties", "events", "services")} == {
            key: original[key] for key in ("properties", "events", "services")
        }
        assert (await room.ask("PUT", "/api/products/copy/tsl", {"properties": 5})).body["code"] == "bad-tsl"
        assert (await room.ask("PUT", "/api/products/boiler/tsl", tsl)).body["code"] == "declared"

    tell(story)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/devices", b"{", 400, "not-json"),
        ("POST", "/api/devices", b"\xff", 400, "not-json"),
        ("POST", "/api/devices", b"[" * 100_000, 400, "not-json"),
        ("POST", "/api/devices", b"[]", 400, "invalid"),
        ("POST", "/api/devices", b'{"id":"a"}', 400, "invalid"),
        ("POST", "/api/devices", b'{"id":"a/b","product":"boiler"}', 400, "invalid"),
        ("POST", "/api/devices", b'{"id":"a","product":"boiler","colour":1}', 400, "invalid"),
        ("POST", "/api/devices", b'{"id":"a","product":"x"}', 409, "inconsistent"),
        ("POST", "/api/devices", b'{"id":"' + b"x" * 5_000_000 + b'"}', 413, "too-large"),
        ("POST", "/api/restore", b"not a database", 400, "not-a-backup"),
        ("GET", "/api/devices?limit=0", None, 400, "invalid"),
        ("GET", "/api/devices?limit=many", None, 400, "invalid"),
        ("GET", "/api/devices?colour=red", None, 400, "invalid"),
        ("GET", "/api/devices/boiler-1/history", None, 400, "invalid"),
        ("GET", "/api/devices/boiler-1/history?property=level&start=5&end=5", None, 400, "invalid"),
        ("GET", "/api/devices/boiler-1/aggregates?property=level&start=0&interval=1", None, 400, "too-many"),
        ("GET", "/api/devices/x'--", None, 404, "unknown-device"),
        ("GET", "/api/nothing", None, 404, "not-found"),
        ("PATCH", "/api/devices", None, 405, "wrong-method"),
        ("PUT", "/api/devices/boiler-1/properties", b'{"values":{"pressure":1}}', 400, "read-only"),
        ("PUT", "/api/devices/boiler-1/properties", b'{"values":{"setpoint":0.7}}', 400, "not-a-step"),
        ("PUT", "/api/devices/boiler-1/properties", b'{"values":{"setpoint":NaN}}', 400, "not-finite"),
        ("POST", "/api/devices/boiler-1/rpc", b'{"service":"explode"}', 400, "unknown-service"),
        ("POST", "/api/devices/boiler-1/rpc", b'{"service":"reset","params":{"delay":61}}', 400, "out-of-range"),
        ("POST", "/api/devices/boiler-1/rpc", b'{"service":"reset"}', 400, "missing-parameter"),
        ("POST", "/api/devices/boiler-1/rpc", b'{"service":"reset","params":{"delay":1}}', 503, "broker-away"),
    ],
)
def test_a_wrong_request_gets_one_clear_answer(
    method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        answer = await room.ask(method, path, data=body)
        assert (answer.status, answer.body["code"]) == (status, code)
        assert answer.body["message"]
        assert (await room.get("/health", by=None))["status"] == "ok"

    tell(story)


def test_a_mistake_of_ours_is_answered_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        complaints: list[Any] = []
        room.loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        monkeypatch.setattr(room.service.desk, "page", lambda *_, **__: 1 / 0)
        answer = await room.ask("GET", "/api/alarms")
        assert (answer.status, answer.body["code"]) == (500, "internal")
        assert [type(each) for each in complaints] == [ZeroDivisionError]

    tell(story)


# -- calls -------------------------------------------------------------------------------------------------------------------


async def called(room: Room, hello: tuple[str, Any], ask: str, answer: Any) -> tuple[dict[str, Any], Any]:
    """A device that says hello and answers what it is asked on a topic; what came of the call, and what was asked."""
    await room.with_broker()
    client = await room.client(ask)
    await room.say(client, *hello)
    call = asyncio.ensure_future(
        room.ask("POST", "/api/devices/boiler-1/rpc", {"service": "reset", "params": {"delay": 5}}, by="op")
    )
    await asyncio.sleep(1)
    (asked,) = [document for topic, document in room.heard if topic == ask]
    await room.say(client, *answer(asked))
    done = await call
    await client.disconnect()
    assert done.status == 200, done
    return done.body, asked


PLAIN = (TOPIC, {"values": {"pressure": 1}})


def test_a_device_is_asked_in_the_format_it_speaks() -> None:
    async def plain(room: Room) -> tuple[dict[str, Any], Any]:
        ask = "v1/plant/gw-1/boiler-1/command"
        return await called(room, PLAIN, ask, lambda asked: (f"{ask}/reply", {"id": asked["id"], "result": {"ok": 1}}))

    async def thingsboard(room: Room) -> tuple[dict[str, Any], Any]:
        hello = ("v1/gateway/telemetry", {"boiler-1": [{"pressure": 1}]})

        def answer(asked: Any) -> tuple[str, Any]:
            return "v1/gateway/rpc", {"device": "boiler-1", "id": asked["data"]["id"], "data": {"success": True}}

        return await called(room, hello, "v1/gateway/rpc", answer)

    async def alink(room: Room) -> tuple[dict[str, Any], Any]:
        hello = ("/sys/boiler/boiler-1/thing/event/property/post", {"id": "1", "params": {"pressure": 1}})
        ask = "/sys/boiler/boiler-1/thing/service/reset"
        return await called(
            room, hello, ask, lambda asked: (f"{ask}_reply", {"id": asked["id"], "code": 200, "data": {}})
        )

    for story, sent in (
        (plain, lambda asked: (asked["method"], asked["params"])),
        (thingsboard, lambda asked: (asked["data"]["method"], asked["data"]["params"])),
        (alink, lambda asked: (asked["method"].removeprefix("thing.service."), asked["params"])),
    ):
        done, asked = tell(story)
        assert (done["state"], done["by"], done["params"]) == ("succeeded", "op", {"delay": 5})
        assert sent(asked) == ("reset", {"delay": 5})


def test_a_device_may_refuse_and_may_be_silent() -> None:
    async def refuses(room: Room) -> dict[str, Any]:
        ask = "v1/plant/gw-1/boiler-1/command"
        done, _ = await called(
            room, PLAIN, ask, lambda asked: (ask.replace("command", "reply"), {"id": asked["id"], "error": "hot"})
        )
        return done

    async def is_silent(room: Room) -> dict[str, Any]:
        await room.with_broker()
        began = room.loop.time()
        done = await room.ask(
            "PUT", "/api/devices/boiler-1/properties", {"values": {"setpoint": 1.5}, "timeout": 7}, by="op"
        )
        assert 6.9 < room.loop.time() - began < 7.5
        down = [
            each for each in (await room.get("/api/devices/boiler-1/trace"))["items"] if each["direction"] == "down"
        ]
        assert json.loads(down[0]["payload"])["values"] == {"setpoint": 1.5}
        assert (await room.get("/api/devices/boiler-1/rpc"))["items"] == [done.body]
        return done.body

    assert (tell(refuses)["state"], tell(refuses)["answer"]) == ("failed", "hot")
    assert (tell(is_silent)["state"], tell(is_silent)["answer"]) == (
        "timeout",
        "the device boiler-1 has not answered in 7 s",
    )


def test_an_answer_that_nobody_waits_for_is_refused() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        await room.say(client, "v1/plant/gw-1/boiler-1/reply", {"id": "77", "result": 1})
        (traced,) = (await room.get("/api/devices/boiler-1/trace"))["items"]
        assert traced["reasons"][0]["code"] == "not-asked"
        await client.disconnect()

    tell(story)


# -- operation ---------------------------------------------------------------------------------------------------------------


def test_a_backup_taken_by_rest_restores_devices_values_and_alarms() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        await room.ask("POST", "/api/devices", {"id": "b-2", "product": "boiler", "gateway": "gw-1"})
        await room.say(client, TOPIC, {"values": {"pressure": 1}})
        backup = await room.ask("GET", "/api/backup")
        assert backup.headers["Content-Disposition"].startswith('attachment; filename="platform-20260101T')
        await room.ask("DELETE", "/api/devices/b-2")
        await room.say(client, TOPIC, {"values": {"pressure": 2}})
        restored = await room.ask("POST", "/api/restore", data=backup.body)
        assert (restored.status, restored.body) == (200, {"devices": 3, "products": 2})
        assert await room.latest() == {"pressure": 1}
        await room.say(client, TOPIC, {"values": {"pressure": 3}})
        assert await room.latest() == {"pressure": 3}
        await client.disconnect()

    tell(story)


def test_backups_are_made_by_the_clock_and_the_oldest_go(tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config(retention={"backup_hours": 1, "backups": 3}))
        await asyncio.sleep(5 * 3600 + 60)

    tell(story, folder=tmp_path)
    names = sorted(each.name for each in (tmp_path / "platform").glob("backup-*"))
    assert [name[16:20] for name in names] == ["0300", "0400", "0500"]
    database = sqlite3.connect(tmp_path / "platform" / names[0])
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_history_is_kept_as_long_as_configured() -> None:
    async def story(room: Room) -> list[Any]:
        await room.with_broker(retention={"history_days": 1})
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"level": 1}})
        await asyncio.sleep(20 * 3600)
        await room.say(client, TOPIC, {"values": {"level": 2}})
        await asyncio.sleep(6 * 3600)
        room.tokens.clear()
        history = await room.get("/api/devices/boiler-1/history?property=level")
        await client.disconnect()
        return [each["value"] for each in history["items"]]

    assert tell(story) == [2]


def test_a_full_disk_takes_nothing_and_says_so() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        disk = room.hosts["platform"].disk
        disk.take(disk.free)
        await room.say(client, TOPIC, {"values": {"level": 1}})
        assert (await room.get("/api/devices/boiler-1/trace"))["items"][0]["reasons"][0]["code"] == "disk-full"
        disk.give_back(disk.capacity)
        await room.say(client, TOPIC, {"values": {"level": 2}})
        assert await room.latest() == {"level": 2}
        await client.disconnect()

    tell(story)


def test_metrics_count_what_came() -> None:
    async def story(room: Room) -> str:
        await room.with_broker()
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"level": 1, "pressure": "high"}})
        body: bytes = (await room.ask("GET", "/metrics", by=None)).body
        await client.disconnect()
        return body.decode()

    text = tell(story)
    for line in ("platform_messages_total 1", "platform_values_total 1", 'platform_refused_total{code="wrong-type"} 1'):
        assert line in text.splitlines()


def test_another_port_and_another_user_need_no_restart() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config(port=8080))
        with pytest.raises(OSError, match=r"refused|111"):
            await room.ask("GET", "/health", by=None)
        await room.switch_on("platform", "platform", room.config(port=80))
        await room.get("/api/me", by="eye")
        await room.switch_on("platform", "platform", room.config(users={"root": user("admin")}))
        assert (await room.ask("GET", "/api/me", by="eye")).status == 401

    tell(story)


# -- the description and the page ------------------------------------------------------------------------------------------------


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return found.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_route_is_described_and_every_reference_leads_somewhere(language: Language) -> None:
    document = json.loads(json.dumps(openapi.document(ROUTES, "title", language)))
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert {"title", "version"} <= document["info"].keys()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES}
    identifiers = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(identifiers)) == len(identifiers)
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            assert operation["responses"]
            assert all(each["description"] and each["content"] for each in operation["responses"].values())
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
    for reference in references(document):
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[1] in document["components"]["schemas"], reference


def test_answers_are_what_the_description_promises() -> None:
    async def story(room: Room) -> list[tuple[Route, Any]]:
        rule = {"id": "r", "kind": "threshold", "property": "level", "create": {"op": ">", "value": 0}}
        await room.with_broker(rules=[rule])
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"level": 1, "flame": True, "note": "x", "bad": 1}})
        found = []
        for route in ROUTES:
            if route.method != "GET" or route.returns is None or route.path == "/api/users/{name}":
                continue
            query = {
                "history": "?property=level",
                "aggregates": f"?property=level&start={room.now_ms - 5000}&interval=1000",
            }
            path = fill(route.path.replace("/products/{id}", "/products/boiler"))
            found.append((route, await room.get(path + query.get(path.rsplit("/", 1)[1], ""))))
        await client.disconnect()
        return found

    for route, answer in tell(story):
        assert issubclass(route.returns, BaseModel)
        route.returns.model_validate(answer)
        assert answer.get("items", True) or route.path.endswith(("/events", "/rpc", "/strangers")), route.path


def test_the_page_is_served_whole_and_asks_nobody_else() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        page = await room.ask("GET", "/", by=None)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        # The answer is dated by the plant's clock.
        assert page.headers["Date"].startswith("Thu, 01 Jan 2026 00:00:0")
        for name in re.findall(r'(?:href|src)="([^"#]+)', page.body.decode()):
            part = await room.ask("GET", f"/{name}", by=None)
            assert part.status == 200, name
            assert part.body

    tell(story)


def test_the_page_names_no_other_host_and_runs_no_text_as_code() -> None:
    for part in files("devices.platform.web").iterdir():
        if not part.name.endswith((".html", ".css", ".js", ".svg")):
            continue
        text = part.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|innerHTML|eval\(|document\.write", text), part.name


def test_the_page_says_the_same_in_both_languages() -> None:
    source = files("devices.platform.web").joinpath("words.js").read_text("utf-8")
    zh, en = source.split("  en: {")
    keys = [
        set(re.findall(r"(?:^|[\s{])(\w+): \"", half)) for half in (zh.split("zh: {")[1], en.split("let language")[0])
    ]
    assert keys[0] == keys[1]
    used = set(re.findall(r'data-say="(\w+)"', files("devices.platform.web").joinpath("index.html").read_text("utf-8")))
    used |= set(re.findall(r'\bsay\("(\w+)"', files("devices.platform.web").joinpath("app.js").read_text("utf-8")))
    assert used <= keys[0]


# -- from end to end -----------------------------------------------------------------------------------------------------------


def test_a_value_goes_from_a_boiler_through_a_gateway_to_the_page() -> None:
    async def story(room: Room) -> None:
        await room.with_broker(devices=[*DEVICES], products=[{**BOILER, "undeclared": "keep"}, GATEWAY])
        await room.switch_on("plc-1", "boiler-plc", {})
        tags = [{"name": "pressure", "address": {"table": "input", "offset": 0}, "type": "i16", "scale": 0.01}]
        south = {
            "name": "boiler-1",
            "driver": "modbus-tcp",
            "connection": {"host": room.address("plc-1")},
            "groups": [{"name": "g", "period_ms": 1000, "tags": tags}],
        }
        north = {"name": "platform", "driver": "mqtt", "host": room.address("broker")}
        await room.switch_on("gw-1", "gw-edge", {"south": [south], "north": [north], "gateway": "gw-1"})
        await asyncio.sleep(10)
        assert (await room.get("/api/devices/gw-1"))["online"] is True
        history = await room.get("/api/devices/boiler-1/history?property=pressure")
        assert history["total"] in range(8, 12)
        assert 0 < history["items"][-1]["value"] < 4
        await room.switch_off("gw-1")
        await asyncio.sleep(1)
        assert (await room.get("/api/devices/boiler-1"))["online"] is False

    tell(story)
