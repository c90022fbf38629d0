"""A standby node: what it takes over, what it refuses, and how it becomes the primary."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from identification_kit import ADMIN, RING, SECRET, Plant, address, delegation, enterprise, https, ring, site, tell

URL = {"index": 1, "type": "URL", "data": "http://10.0.0.4/x"}


def follows(**more: Any) -> dict[str, Any]:
    trust = {"ca": https()["certificate"]}
    return {"host": address("ent"), "user": ADMIN, "secret": SECRET, "every_s": 30, "tls": trust, **more}


def standby(**more: Any) -> dict[str, Any]:
    return {**enterprise(), "handles": [], "https": None, "follows": follows(**more)}


def test_a_standby_has_what_its_primary_has_and_changes_nothing_itself() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        await plant.switch_on("ent-b", **{**standby(), "https": https()})
        await asyncio.sleep(1)
        assert (await plant.get("ent-b", RING)).code == 1
        await plant.put("88.900.C/N1", [URL])
        assert (await plant.get("ent-b", "88.900.C/N1")).code == 100
        await asyncio.sleep(31)
        assert (await plant.get("ent-b", "88.900.C/N1")).code == 1
        # What has not changed is not sent again, and nobody writes it down.
        before = len(plant.log("ent", "audit"))
        await asyncio.sleep(300)
        assert len(plant.log("ent", "audit")) == before
        for method, document in (("PUT", [URL]), ("DELETE", None)):
            refused = await plant.ask(method, "ent-b", "/api/handles/88.900.C/N1", document, by=ADMIN)
            assert (refused.status, refused.code) == (403, 5)
        health = await plant.ask("GET", "ent-b", "/health")
        assert (health.status, health.body["synchronisation"]) == (200, "ok")

    tell(story)


def test_when_the_primary_fails_the_standby_is_switched_to_without_a_gap_in_what_is_resolved() -> None:
    async def story(plant: Plant) -> None:
        both = delegation("88.900.C", "ent", ttl=30)
        both["values"].append({"index": 2, "type": "HS_SITE", "data": site("ent-b", primary=False), "ttl": 30})
        await plant.chain(sec={"handles": [both]}, ent={"handles": [*enterprise()["handles"][:1], ring(ttl=0)]})
        await plant.switch_on("ent-b", **standby())
        await asyncio.sleep(5)
        await plant.switch_off("ent")
        found = [(await plant.get("rec", RING)).code for _ in range(20)]
        assert found == [1] * 20
        await asyncio.sleep(31)
        health = await plant.ask("GET", "ent-b", "/health")
        assert health.body["troubles"] == ["synchronisation"]
        assert f"{address('ent')}:8443" in health.body["synchronisation"]
        # Without the key it is a primary, with all it had.
        await plant.switch_on("ent-b", **{**enterprise(), "handles": []})
        assert (await plant.get("ent-b", RING)).code == 1
        made = await plant.ask("PUT", "ent-b", "/api/handles/88.900.C/N2", [URL], by=ADMIN)
        assert made.code == 1

    tell(story)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"secret": "wrong"}, "HTTP 401"),
        ({"port": 8000}, "not TLS"),
        ({"port": 9}, "10.0.0.4:9"),
        ({"tls": {"ca": https(days=29)["certificate"]}}, "not issued by"),
    ],
)
def test_what_keeps_it_from_synchronising_is_told_and_costs_nothing_else(wrong: dict[str, Any], why: str) -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        await plant.switch_on("ent-b", **standby(**wrong))
        await asyncio.sleep(100)
        assert why in str(plant.nodes["ent-b"].status()["last error"])
        assert sum(why in line for line in plant.log("ent-b", "audit")) == 1, "said once"
        assert (await plant.get("ent-b", RING)).code == 100

    tell(story)
