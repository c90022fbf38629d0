"""Making, changing and deleting records over HTTPS; who may do it, what is refused, what is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectorError
from identification_kit import ADMIN, NODES, RING, SECRET, Plant, admin_record, enterprise, https, ring, tell
from pydantic import ValidationError

from devices.identification.config import IdnNodeConfig

URL = {"index": 1, "type": "URL", "data": {"format": "string", "value": "http://10.0.0.4/x"}}
NAME = {"index": 3, "type": "NAME", "data": "轴承"}
GUEST = "300:88.900.C/GUEST"


def guest(permissions: str) -> list[dict[str, Any]]:
    """A record that GUEST administers, with these permissions, and GUEST."""
    admin = {"format": "admin", "value": {"handle": "88.900.C/GUEST", "index": 300, "permissions": permissions}}
    values = [URL, NAME, {"index": 100, "type": "HS_ADMIN", "data": admin}]
    return [admin_record(), admin_record("88.900.C/GUEST", "guest"), {"handle": "88.900.C/G", "values": values}]


def test_a_record_is_made_replaced_and_deleted() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        made = await plant.put("88.900.C/N1", {"values": [URL, NAME]})
        assert (made.status, made.body) == (201, {"responseCode": 1, "handle": "88.900.C/N1"})
        assert (await plant.get("ent", "88.900.C/N1")).values == {1: "http://10.0.0.4/x", 3: "轴承"}
        again = await plant.put("88.900.C/N1", [NAME], "?overwrite=false")
        assert (again.status, again.code) == (409, 101)
        replaced = await plant.put("88.900.C/N1", [NAME], "?overwrite=true")
        assert (replaced.status, replaced.code) == (200, 1)
        assert (await plant.get("ent", "88.900.C/N1")).values == {3: "轴承"}
        gone = await plant.ask("DELETE", "ent", "/api/handles/88.900.C/N1", by=ADMIN)
        assert (gone.status, gone.code) == (200, 1)
        assert (await plant.get("ent", "88.900.C/N1")).code == 100
        twice = await plant.ask("DELETE", "ent", "/api/handles/88.900.C/N1", by=ADMIN)
        assert (twice.status, twice.code) == (404, 100)
        audit = plant.log("ent", "audit")
        assert f"{ADMIN} wrote 88.900.C/N1" in audit[2]
        assert "could not PUT 88.900.C/N1" in audit[3]
        assert f"{ADMIN} deleted 88.900.C/N1" in audit[5]

    tell(story)


def test_single_values_are_added_changed_and_removed() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        await plant.put("88.900.C/N1", [URL])
        await asyncio.sleep(60)
        added = await plant.put("88.900.C/N1", [NAME], "?index=various")
        assert (added.status, added.code) == (201, 1)
        body = (await plant.get("ent", "88.900.C/N1")).body["values"]
        assert [each["timestamp"][11:16] for each in body] == ["00:00", "00:01"], "each value has a time of its own"
        changed = await plant.put("88.900.C/N1", [{**URL, "data": "y"}], "?index=1")
        assert (changed.status, changed.code) == (200, 1)
        refused = await plant.put("88.900.C/N1", [URL], "?index=1&overwrite=false")
        assert (refused.status, refused.code) == (409, 201)
        other = await plant.put("88.900.C/N1", [NAME], "?index=1")
        assert (other.status, other.code) == (400, 202)
        absent = await plant.put("88.900.C/N2", [NAME], "?index=various")
        assert (absent.status, absent.code) == (404, 100)
        removed = await plant.ask("DELETE", "ent", "/api/handles/88.900.C/N1?index=3", by=ADMIN)
        assert (removed.status, removed.code) == (200, 1)
        assert (await plant.get("ent", "88.900.C/N1")).values == {1: "y"}
        nothing = await plant.ask("DELETE", "ent", "/api/handles/88.900.C/N1?index=3", by=ADMIN)
        assert (nothing.status, nothing.code) == (400, 200), "values not found is an error where nothing is resolved"

    tell(story)


def test_who_they_are_must_be_proven_and_over_https() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        for options, status, code in (
            ({"by": None, "port": 8443}, 401, 402),
            ({"secret": "wrong"}, 401, 403),
            ({"by": "300:88.900.C/NOBODY"}, 403, 404),
            ({"by": "301:88.900.C/ADMIN"}, 403, 404),
            ({"port": 8000}, 403, 406),
            ({"by": None, "port": 8443, "headers": {"Authorization": "Basic !!!"}}, 403, 406),
            ({"by": None, "port": 8443, "headers": {"Authorization": "Bearer x"}}, 403, 406),
        ):
            answer = await plant.put("88.900.C/N1", [URL], **options)  # type: ignore[arg-type]
            assert (answer.status, answer.code) == (status, code), (options, answer)
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        assert (await plant.get("ent", "88.900.C/N1")).code == 100
        assert SECRET not in "".join(plant.log("ent", "audit"))

    tell(story)


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        ("000000000000", set()),
        ("000000010000", {"change"}),
        ("000000100000", {"remove"}),
        ("000001000000", {"add"}),
        ("000010000000", {"change admin"}),
        ("000100000000", {"remove admin"}),
        ("001000000000", {"add admin"}),
        ("000000000010", {"delete"}),
        ("011111110011", {"change", "remove", "add", "change admin", "remove admin", "add admin", "delete"}),
    ],
)
def test_an_administrator_may_do_what_the_record_says_and_no_more(permissions: str, allowed: set[str]) -> None:
    admin = {"format": "admin", "value": {"handle": "88.900.C/GUEST", "index": 300, "permissions": "111111111111"}}
    path = "/api/handles/88.900.C/G"
    deeds: dict[str, tuple[str, str, Any]] = {
        "change": ("PUT", "?index=1", [{**URL, "data": "new"}]),
        "remove": ("DELETE", "?index=3", None),
        "add": ("PUT", "?index=various", [{**URL, "index": 9}]),
        "change admin": ("PUT", "?index=100", [{"index": 100, "type": "HS_ADMIN", "data": admin}]),
        "remove admin": ("DELETE", "?index=100", None),
        "add admin": ("PUT", "?index=101", [{"index": 101, "type": "HS_ADMIN", "data": admin}]),
        "delete": ("DELETE", "", None),
    }

    async def story(plant: Plant) -> None:
        done = set()
        for deed, (method, query, document) in deeds.items():
            await plant.switch_on("ent", **enterprise(handles=guest(permissions)))
            answer = await plant.ask(method, "ent", path + query, document, by=GUEST, secret="guest")
            if answer.code == 1:
                done.add(deed)
            else:
                expected = 401 if permissions.strip("0") else 400
                assert (answer.status, answer.code) == (403, expected)
            await plant.switch_off("ent")
            plant.hosts["ent"].disk.files.clear()
        assert done == allowed

    tell(story)


def test_a_group_of_administrators_counts_for_all_its_members_even_when_it_contains_itself() -> None:
    group = {
        "format": "vlist",
        "value": [{"handle": "88.900.C/GROUP", "index": 200}, {"handle": "88.900.C/GUEST", "index": 0}],
    }
    records = guest("011111110011")
    records[2]["values"][2]["data"]["value"] |= {"handle": "88.900.C/GROUP", "index": 200}
    records.append({"handle": "88.900.C/GROUP", "values": [{"index": 200, "type": "HS_VLIST", "data": group}]})
    records.append(admin_record("88.900.C/STRANGER", "stranger"))

    async def story(plant: Plant) -> None:
        await plant.switch_on("ent", **enterprise(handles=records))
        mine = {"by": GUEST, "secret": "guest"}
        assert (await plant.put("88.900.C/G", [NAME], "?index=3", **mine)).code == 1
        stranger = {"by": "300:88.900.C/STRANGER", "secret": "stranger"}
        assert (await plant.put("88.900.C/G", [NAME], "?index=3", **stranger)).code == 400
        # Administering one record makes nobody an administrator of the prefix.
        assert (await plant.put("88.900.C/NEW", [URL], **mine)).code == 400

    tell(story)


def test_values_that_are_not_public_are_told_to_those_who_may_read_them() -> None:
    async def story(plant: Plant) -> None:
        records = guest("010000000000")
        records[2]["values"].append({"index": 5, "type": "REPORT", "data": "secret", "permissions": "1100"})
        await plant.switch_on("ent", **enterprise(handles=records))
        assert set((await plant.get("ent", "88.900.C/G")).values) == {1, 3, 100}
        hidden = await plant.get("ent", "88.900.C/G", "?index=5")
        assert (hidden.status, hidden.code) == (200, 200)
        asked = await plant.get("ent", "88.900.C/G", "?publicOnly=false")
        assert (asked.status, asked.code) == (401, 402)
        reader = await plant.get("ent", "88.900.C/G", by=GUEST, secret="guest")
        assert reader.values[5] == "secret"
        assert [each["permissions"] for each in reader.body["values"] if each["index"] == 5] == ["1100"]
        # A secret key is not public, whoever forgot to say so.
        assert 300 not in (await plant.get("ent", "88.900.C/ADMIN")).values
        assert 300 in (await plant.get("ent", "88.900.C/ADMIN", by=ADMIN)).values

    tell(story)


def test_an_old_version_shows_everything_until_it_is_upgraded() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent", **enterprise(version="3.1.2"))
        await plant.put("88.900.C/N1", [URL])
        leak = await plant.get("ent", "88.900.C/ADMIN", "?publicOnly=false")
        assert leak.values[300] == SECRET, "training advisory IDN-SA-2026-01"
        await plant.switch_on("ent", **enterprise(version="3.1.4"))
        with pytest.raises(ClientConnectorError):
            await plant.get("ent", RING)
        assert plant.nodes["ent"].status() == {"state": "installing 3.1.4"}
        await asyncio.sleep(21)
        assert (await plant.get("ent", "88.900.C/ADMIN", "?publicOnly=false")).code == 402
        assert (await plant.get("ent", "88.900.C/N1")).code == 1, "what was registered is still there"
        assert ("version", "3.1.4") in plant.truth
        assert (await plant.ask("GET", "ent", "/health")).body["version"] == "3.1.4"

    tell(story)


def test_handles_are_listed_page_by_page_for_those_who_may() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        for number in range(5):
            await plant.put(f"88.900.C/a{number}", [URL])
        listed = await plant.ask("GET", "ent", "/api/handles?prefix=88.900.c&page=1&pageSize=3", by=ADMIN)
        assert listed.body["totalCount"] == 7
        assert listed.body["handles"] == ["88.900.C/a3", "88.900.C/a4", "88.900.C/ADMIN"]
        assert (await plant.ask("GET", "ent", "/api/handles?prefix=88.900.C", port=8443)).code == 402
        assert (await plant.ask("GET", "ent", "/api/handles?prefix=88.900.D", by=ADMIN)).code == 301
        assert (await plant.ask("GET", "ent", "/api/handles?prefix=88.900.C&page=x", by=ADMIN)).code == 4

    tell(story)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 4),
        (b"{", 4),
        (b"\xff", 4),
        (b"[" * 100_000, 4),
        (b"null", 202),
        (b"[]", 202),
        (b'{"values": 3}', 202),
        (b'[{"index": 0, "type": "URL", "data": "x"}]', 202),
        (b'[{"index": true, "type": "URL", "data": "x"}]', 202),
        (b'[{"index": 99999999999, "type": "URL", "data": "x"}]', 202),
        (b'[{"index": 1, "type": "", "data": "x"}]', 202),
        (b'[{"index": 1, "type": "URL", "data": 7}]', 202),
        (b'[{"index": 1, "type": "URL", "data": "x", "ttl": -1}]', 202),
        (b'[{"index": 1, "type": "URL", "data": "x", "permissions": "rw"}]', 202),
        (b'[{"index": 1, "type": "URL", "data": {"format": "xml", "value": "x"}}]', 202),
        (b'[{"index": 1, "type": "URL", "data": {"format": "hex", "value": "xyz"}}]', 202),
        (b'[{"index": 1, "type": "URL", "data": "\\ud800"}]', 202),
        (b'[{"index": 1, "type": "HS_SITE", "data": "x"}]', 202),
        (b'[{"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": {"servers": [7]}}}]', 202),
        (b'[{"index": 1, "type": "HS_ADMIN", "data": {"format": "admin", "value": {"handle": "x", "index": 1}}}]', 202),
        (b'[{"index": 1, "type": "A", "data": "x"}, {"index": 1, "type": "B", "data": "y"}]', 202),
    ],
)  # fmt: skip
def test_what_cannot_be_a_record_is_refused_with_a_sentence_in_both_languages(body: bytes, code: int) -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        said = set()
        for language in ("zh", "en"):
            headers = {"Accept-Language": language}
            answer = await plant.ask(
                "PUT", "ent", "/api/handles/88.900.C/N", data=body or b" ", by=ADMIN, headers=headers
            )
            assert (answer.status, answer.code) == (400, code)
            said.add(answer.body["message"])
        assert len(said) == 2
        assert (await plant.get("ent", "88.900.C/N")).code == 100

    tell(story)


def test_too_much_is_refused() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        long = await plant.put("88.900.C/" + "x" * 300, [URL])
        assert (long.status, long.code) == (400, 102)
        large = await plant.ask("PUT", "ent", "/api/handles/88.900.C/N", data=b" " * (2 << 20), by=ADMIN)
        assert (large.status, large.code) == (400, 4)
        await asyncio.sleep(11)  # for so long the server reads on, so that the client can read why
        many = [{**URL, "index": index} for index in range(1, 502)]
        assert (await plant.put("88.900.C/N", many)).code == 202
        assert (await plant.put("88.900.C/N", many[:500])).code == 1
        assert (await plant.put("88.900.C/N", many[500:], "?index=various")).code == 202
        quoted = "88.900.C/'; DROP TABLE handle_values; -- %_"
        assert (await plant.put(quoted, [URL])).code == 102, "a space"
        assert (await plant.put(quoted.replace(" ", ""), [URL])).code == 1
        assert (await plant.get("ent", quoted.replace(" ", ""))).code == 1
        assert (await plant.get("ent", RING)).code == 1

    tell(story)


def test_a_full_disk_stops_registration_and_not_resolution() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        disk = plant.hosts["ent"].disk
        disk.take(disk.free)
        full = await plant.put("88.900.C/N1", [URL])
        assert (full.status, full.code, full.body["message"]) == (500, 2, "the disk is full")
        assert (await plant.get("ent", RING)).code == 1
        health = await plant.ask("GET", "ent", "/health")
        assert (health.status, health.body["troubles"]) == (503, ["disk full"])

    tell(story)


def test_an_expired_certificate_is_seen_in_the_health() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        assert (await plant.ask("GET", "ent", "/health")).body["status"] == "ok"
        await asyncio.sleep(31 * 86_400)
        health = await plant.ask("GET", "ent", "/health")
        assert health.body["troubles"] == ["certificate"]
        assert "expired" in health.body["certificate"]

    tell(story, patience=40 * 86_400)


def test_records_outlast_a_restart_and_delivered_ones_do_not_come_back(tmp_path: Path) -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        await plant.put("88.900.C/N1", [URL])
        await plant.ask("DELETE", "ent", f"/api/handles/{RING}", by=ADMIN)
        await plant.switch_off("ent")
        await plant.switch_on("ent")
        assert (await plant.get("ent", "88.900.C/N1")).code == 1
        assert (await plant.get("ent", RING)).code == 100
        # What the file says anew is written.
        await plant.switch_on("ent", **enterprise(handles=[admin_record(), ring(ttl=7)]))
        assert (await plant.get("ent", RING)).body["values"][0]["ttl"] == 7

    tell(story, folder=tmp_path)
    tell(story)


def test_a_backup_restores_what_was_and_nothing_else_does() -> None:
    async def story(plant: Plant) -> None:
        await plant.switch_on("ent")
        backup = await plant.ask("GET", "ent", "/api/backup", by=ADMIN)
        assert backup.body.startswith(b"SQLite format 3")
        await plant.ask("DELETE", "ent", f"/api/handles/{RING}", by=ADMIN)
        for wrong in (b"no", backup.body[:100], backup.body.replace(b'"URL"', b'"\x00RL"'), b"x" * 5000):
            refused = await plant.ask("POST", "ent", "/api/restore", data=wrong, by=ADMIN)
            assert refused.status == 400, refused
        assert (await plant.get("ent", RING)).code == 100
        restored = await plant.ask("POST", "ent", "/api/restore", data=backup.body, by=ADMIN)
        assert restored.body == {"responseCode": 1, "handles": 2}
        assert (await plant.get("ent", RING)).code == 1
        for method, path in (("GET", "/api/backup"), ("POST", "/api/restore"), ("GET", "/api/logs/audit")):
            assert (await plant.ask(method, "ent", path, port=8443, data=b"x")).status == 401
            assert (await plant.ask(method, "ent", path, data=b"x")).status == 403
        audit = await plant.ask("GET", "ent", "/api/logs/audit?limit=2", by=ADMIN)
        assert "restored a backup" in audit.body["items"][-1]

    tell(story)


def test_paths_and_methods_that_do_not_exist_are_said_so() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        assert (await plant.ask("GET", "ent", "/nothing")).status == 404
        assert (await plant.ask("POST", "ent", "/api/handles/88.900.C/X", data=b"x")).status == 405
        on_recursive = await plant.ask("PUT", "rec", "/api/handles/88.900.C/X", [URL])
        assert (on_recursive.status, on_recursive.code) == (400, 301)
        assert (await plant.ask("GET", "ent", "/api/handles/88.900.C/X?index=a")).code == 4
        assert (await plant.ask("GET", "ent", "/api/handles/88.900.C/X?auth=perhaps")).code == 4

    tell(story)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"role": "recursive"}, "needs root"),
        ({"role": "recursive", "root": {"host": "a"}, "prefixes": ["88"]}, "prefixes"),
        ({"role": "top"}, "needs prefixes"),
        ({"role": "top", "prefixes": ["88"], "root": {"host": "a"}}, "root"),
        ({"role": "top", "prefixes": ["88"], "business": {}}, "business"),
        ({"role": "top", "prefixes": ["8/8/"], "port": 70000}, "port"),
        ({"role": "top", "prefixes": ["88..9"]}, "empty segment"),
        ({"role": "top", "prefixes": ["88"], "admins": ["88/ADMIN"]}, "index:handle"),
        ({"role": "enterprise", "prefixes": ["88"], "business": {"port": 8000}}, "8000"),
        ({"role": "enterprise", "prefixes": ["88"], "handles": [{"handle": "x", "values": [URL]}]}, "prefix/suffix"),
        ({"role": "enterprise", "prefixes": ["88"], "handles": [{"handle": "88/x", "values": [URL, URL]}]}, "twice"),
        ({"role": "enterprise", "prefixes": ["88"], "https": {**https(), "key": "x"}}, "key"),
        ({"role": "enterprise", "prefixes": ["88"], "version": "9"}, "version"),
        ({**NODES["rec"](), "chache": {}}, "chache"),
    ],
)
def test_a_wrong_configuration_is_told_in_words(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        IdnNodeConfig.model_validate(wrong)
