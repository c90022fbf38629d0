"""The business API of an enterprise node: tokens, templates, registration, and what the proxy in front does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from identification_kit import RING, Answer, Plant, enterprise, tell

USERS = {
    "root": {"role": "admin", "password": "r"},
    "clerk": {"role": "registrar", "password": "c"},
    "partner": {"role": "partner", "password": "p"},
    "public": {"role": "public", "password": "u"},
}
TEMPLATE = {
    "prefix": "88.900.C",
    "version": "V1",
    "items": [
        {"idType": "NAME", "idIndex": 2000, "name": "名称", "required": True, "minLength": 2, "maxLength": 20},
        {"idType": "MODEL", "idIndex": 2001},
        {"idType": "REPORT", "idIndex": 2005, "visibility": "partner"},
        {"idType": "COST", "idIndex": 2006, "visibility": "owner"},
    ],
}
VALVE = "88.900.C/VL.000001.260101.000017"


def value(index: int, kind: str, text: str) -> dict[str, Any]:
    return {"index": index, "type": kind, "data": {"format": "string", "value": text}}


FULL = [
    value(2000, "NAME", "截止阀"),
    value(2001, "MODEL", "J41H"),
    value(2005, "REPORT", "88.902.3/RPT.7"),
    value(2006, "COST", "31.5"),
]


class Desk:
    """Somebody at the business API."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._tokens: dict[str, str] = {}

    async def ask(self, method: str, path: str, document: Any = None, by: str | None = "clerk", **more: Any) -> Answer:
        headers = {}
        if by is not None:
            if by not in self._tokens:
                wanted = {"username": by, "password": USERS[by]["password"]}
                answer = await self.ask("POST", "/identity/token", wanted, by=None)
                self._tokens[by] = answer.body["data"]["token"]
            headers["Authorization"] = f"Bearer {self._tokens[by]}"
        headers |= more.pop("headers", {})
        return await self.plant.ask(method, "ent", path, document, port=3000, headers=headers, **more)

    async def publish(self, template: Any = TEMPLATE) -> None:
        assert (await self.ask("POST", "/snms/api/v5/template", template, by="root")).body["status"] == 1
        which = {"prefix": template["prefix"], "version": template["version"]}
        assert (await self.ask("POST", "/snms/api/v5/template/publish", which, by="root")).body["status"] == 1

    async def register(self, handle: str = VALVE, values: Any = FULL, version: str = "V1", **more: Any) -> Answer:
        said = {"handle": handle, "templateVersion": version, "value": values}
        return await self.ask("POST", "/identityv2/data", said, **more)

    async def detail(self, by: str, handle: str = VALVE) -> Any:
        return (await self.ask("GET", f"/identityv2/data/detail?handle={handle}", by=by)).body


def at_the_desk(story: Any, **business: Any) -> None:
    async def whole(plant: Plant) -> None:
        await plant.chain(ent=enterprise(business={"users": USERS, **business}))
        await story(Desk(plant))

    tell(whole)


def test_what_is_registered_is_resolved_through_the_whole_tree() -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        made = await desk.register()
        assert made.body["status"] == 1, made
        answer = await desk.plant.get("rec", VALVE)
        assert answer.values[2000] == "截止阀"
        assert answer.values[1001] == "V1"
        assert 2005 not in answer.values
        assert 2006 not in answer.values, "the template says that these are not for everybody"
        again = await desk.register()
        assert again.body["status"] == -2
        assert "exists" in again.body["message"]
        assert any("clerk register" in line for line in desk.plant.log("ent", "audit"))

    at_the_desk(story)


def test_each_role_sees_and_does_what_it_may() -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        await desk.register()
        seen = {
            by: {each["index"] for each in (await desk.detail(by))["data"]["value"]} - {1001}
            for by in ("public", "partner", "clerk", "root")
        }
        # Of the owner's: what the node itself has put there, the administrator, and the cost.
        assert seen == {
            "public": {2000, 2001},
            "partner": {2000, 2001, 2005},
            "clerk": {100, 2000, 2001, 2005, 2006},
            "root": {100, 2000, 2001, 2005, 2006},
        }
        for by in ("public", "partner"):
            for method, path, document in (
                ("POST", "/identityv2/data", {"handle": VALVE, "value": []}),
                ("PUT", "/identityv2/data", {"handle": VALVE, "value": []}),
                ("DELETE", f"/identityv2/data?handle={VALVE}", None),
                ("GET", "/snms/api/v5/template", None),
            ):
                assert (await desk.ask(method, path, document, by=by)).body["status"] == -3
        assert (await desk.ask("POST", "/snms/api/v5/template", TEMPLATE, by="clerk")).body["status"] == -3

    at_the_desk(story)


def test_a_token_is_good_for_a_day() -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        nobody = await desk.ask("GET", "/identityv2/data/detail?handle=x/y", by=None)
        assert (nobody.status, nobody.body["status"]) == (200, -1)
        await asyncio.sleep(24 * 3600 - 60)
        assert (await desk.register()).body["status"] == 1
        await asyncio.sleep(120)
        expired = await desk.register("88.900.C/LATE")
        # The clerk's token is younger than the administrator's.
        assert expired.body["status"] == 1
        assert (await desk.ask("GET", "/snms/api/v5/template", by="root")).body["status"] == -1
        wrong = await desk.ask("POST", "/identity/token", {"username": "root", "password": "x"}, by=None)
        assert wrong.body["status"] == -2

    at_the_desk(story)


def test_a_template_is_used_once_it_is_published_and_stays_as_it_is() -> None:
    async def story(desk: Desk) -> None:
        await desk.ask("POST", "/snms/api/v5/template", TEMPLATE, by="root")
        unpublished = await desk.register()
        assert unpublished.body["status"] == -2
        assert "not published" in unpublished.body["message"]
        assert (await desk.register(version="V9")).body["status"] == -2
        await desk.publish()
        assert (await desk.register()).body["status"] == 1
        changed = await desk.ask("POST", "/snms/api/v5/template", TEMPLATE, by="root")
        assert changed.body["status"] == -2
        listed = (await desk.ask("GET", "/snms/api/v5/template?prefix=88.900.C")).body["data"]
        assert [(each["version"], each["status"]) for each in listed] == [("V1", "published")]
        absent = {"prefix": "88.900.C", "version": "V2"}
        assert (await desk.ask("POST", "/snms/api/v5/template/publish", absent, by="root")).body["status"] == -2

    at_the_desk(story)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "2000"),
        ([value(2001, "MODEL", "x")], "2000"),
        ([value(2000, "NAME", "x")], "1 characters instead of 2 to 20"),
        ([value(2000, "NAME", "x" * 21)], "21 characters"),
        ([value(2000, "TITLE", "valve")], "NAME"),
        ([*FULL, value(2009, "X", "x")], "no index 2009"),
        ([*FULL, FULL[0]], "twice"),
        ([*FULL, value(1001, "TEMPLATE", "V1")], "reserved"),
        ([{"index": 2000, "type": "NAME", "data": {"format": "hex", "value": "abcd"}}], "string"),
        ([7], "invalid value"),
        ("x", "value"),
    ],
)
def test_values_that_do_not_fit_the_template_are_refused(values: Any, why: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        answer = await desk.register(values=values)
        assert (answer.status, answer.body["status"]) == (200, -2)
        assert why in answer.body["message"]
        assert (await desk.plant.get("ent", VALVE)).code == 100
        chinese = await desk.register(values=values, headers={"Accept-Language": "zh"})
        assert chinese.body["message"] != answer.body["message"]

    at_the_desk(story)


def test_a_batch_registers_what_is_right_and_says_what_is_wrong_with_the_rest() -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        entries = [{"handle": f"88.900.C/B{n}", "templateVersion": "V1", "value": FULL} for n in range(3)]
        entries[1]["value"] = []
        entries.append({**entries[0]})
        entries.append({**entries[0], "handle": "88.900.D/B"})
        answer = (await desk.ask("POST", "/identityv2/data/batchCreate", {"data": entries})).body
        assert answer["status"] == 1
        assert (answer["data"]["total"], answer["data"]["success"], answer["data"]["failed"]) == (5, 2, 3)
        assert [each["status"] for each in answer["data"]["results"]] == [1, -2, 1, -2, -2]
        many = {"data": [entries[0]] * 201}
        assert (await desk.ask("POST", "/identityv2/data/batchCreate", many)).body["status"] == -2

    at_the_desk(story)


def test_an_update_changes_what_it_names_and_overwriting_takes_out_the_rest() -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        await desk.register()
        change = {"handle": VALVE, "value": [value(2001, "MODEL", "J41H-16C")]}
        assert (await desk.ask("PUT", "/identityv2/data", change)).body["status"] == 1
        values = {each["index"]: each["data"]["value"] for each in (await desk.detail("root"))["data"]["value"]}
        assert (values[2000], values[2001], values[2006]) == ("截止阀", "J41H-16C", "31.5")
        wipe = {"handle": VALVE, "value": [value(2000, "NAME", "闸阀")], "overwrite": True}
        assert (await desk.ask("PUT", "/identityv2/data", wipe)).body["status"] == 1
        assert {each["index"] for each in (await desk.detail("root"))["data"]["value"]} == {100, 1001, 2000}
        incomplete = {"handle": VALVE, "value": [], "overwrite": True}
        assert (await desk.ask("PUT", "/identityv2/data", incomplete)).body["status"] == -2
        assert (await desk.ask("DELETE", f"/identityv2/data?handle={VALVE}")).body["status"] == 1
        assert (await desk.plant.get("ent", VALVE)).code == 100
        assert (await desk.ask("DELETE", f"/identityv2/data?handle={VALVE}")).body["status"] == -2
        # The ring was there before there were templates.
        assert (await desk.detail("root", RING))["status"] == -2

    at_the_desk(story)


def test_after_a_time_out_the_outcome_is_unknown_and_asking_again_tells() -> None:
    async def story(desk: Desk) -> None:
        lost = await desk.register()
        assert lost.status == 200, "what is refused at once needs no storage"
        template = {**TEMPLATE}
        answer = await desk.ask("POST", "/snms/api/v5/template", template, by="root")
        assert answer.status == 504
        await asyncio.sleep(5)
        which = {"prefix": "88.900.C", "version": "V1"}
        assert (await desk.ask("POST", "/snms/api/v5/template/publish", which, by="root")).status == 504
        await asyncio.sleep(5)
        assert (await desk.register()).status == 504
        assert (await desk.plant.get("ent", VALVE)).code == 100
        await asyncio.sleep(5)
        assert (await desk.plant.get("ent", VALVE)).code == 1, "it was stored after all"
        again = await desk.register()
        assert again.status == 504
        await asyncio.sleep(5)
        assert (await desk.detail("clerk"))["status"] == 1

    at_the_desk(story, answer_within_s=2, storage_delay_s=4)


def test_an_answer_that_comes_in_time_says_that_it_exists() -> None:
    async def story(desk: Desk) -> None:
        await desk.publish()
        assert (await desk.register()).body["status"] == 1
        exists = await desk.register()
        assert (exists.status, exists.body["status"]) == (200, -2)
        assert "exists" in exists.body["message"]

    at_the_desk(story, answer_within_s=5, storage_delay_s=4)


def test_nonsense_is_answered_in_words() -> None:
    async def story(desk: Desk) -> None:
        for data in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"handle": 7}', b'{"handle": "x", "valu": []}'):
            for path in ("/identityv2/data", "/identityv2/data/batchCreate"):
                answer = await desk.ask("POST", path, data=data or b" ")
                assert (answer.status, answer.body["status"]) == (200, -2), (path, data)
                assert answer.body["message"]
        assert (await desk.ask("GET", "/nothing")).status == 404
        assert (await desk.ask("POST", "/identity/token", data=b"{}", by=None)).body["status"] == -2
        handles = ("", "x", "88.900.C/", "88.900.D/x", "88.900.C/" + "y" * 300)
        for handle in handles:
            assert (await desk.detail("root", handle))["status"] == -2

    at_the_desk(story)
