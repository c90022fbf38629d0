"""From the recursive node down the tree of prefixes, and what is remembered on the way."""

from __future__ import annotations

import asyncio
import json

from identification_kit import (
    ADMIN,
    NODES,
    RING,
    SECRET,
    Plant,
    address,
    admin_record,
    delegation,
    enterprise,
    https,
    ring,
    site,
    tell,
)

from devices import console
from lab.model.frame import Port


def test_an_identifier_is_resolved_down_the_tree_of_its_prefix() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        answer = await plant.get("rec", RING)
        assert answer.status == 200
        assert answer.code == 1
        assert answer.body["handle"] == RING
        assert answer.values == {1: "http://10.0.0.4/b6205", 2: "88.901.7/HEAT.5512"}
        assert answer.body["values"][0]["ttl"] == 300
        assert answer.body["values"][0]["timestamp"] == "2026-01-01T00:00:00Z"
        # Every node has heard its own question and nothing else.
        assert [line.split()[-2] for line in plant.log("top")] == ["0.NA/88.900"]
        assert [line.split()[-2] for line in plant.log("sec")] == ["0.NA/88.900.C"]
        assert [line.split()[-2] for line in plant.log("ent")] == [RING]
        assert plant.log("ent")[0].startswith(f'{address("rec")} HTTP:HDL "2026-01-01 00:00:00.')

    tell(story)


def test_letters_of_either_case_are_the_same_identifier() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        answer = await plant.get("rec", RING.lower())
        assert (answer.code, answer.body["handle"]) == (1, RING.lower())

    tell(story)


def test_only_the_values_asked_for_are_told() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        for node in ("rec", "ent"):
            assert set((await plant.get(node, RING, "?type=URL")).values) == {1}
            assert set((await plant.get(node, RING, "?index=2")).values) == {2}
            assert set((await plant.get(node, RING, "?type=URL&index=2")).values) == {1, 2}
            none = await plant.get(node, RING, "?type=EMAIL")
            # No value of this kind is an answer, not an error: HTTP says 200 and the code says 200, not 1.
            assert (none.status, none.code) == (200, 200)
        assert set((await plant.get("sec", "0.NA/88.900.C", "?type=HS_SITE.")).values) == {1}

    tell(story)


def test_what_does_not_exist_is_told_apart_from_what_is_not_delegated_and_what_lives_elsewhere() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        missing = await plant.get("rec", "88.900.C/NOTHING")
        assert (missing.status, missing.code) == (404, 100)
        undelegated = await plant.get("rec", "88.900.D/X")
        assert (undelegated.status, undelegated.code) == (404, 100)
        assert "88.900.D" in undelegated.body["message"]
        elsewhere = await plant.get("ent", "88.900.D/X")
        assert (elsewhere.status, elsewhere.code) == (400, 301)
        foreign = await plant.get("rec", "10.1000/1")
        assert (foreign.status, foreign.code) == (400, 301)
        nonsense = await plant.get("rec", "no-slash")
        assert (nonsense.status, nonsense.code) == (400, 102)
        chinese = await plant.ask("GET", "rec", "/api/handles/no-slash", headers={"Accept-Language": "zh-CN"})
        assert chinese.body["message"].startswith("无效的标识")

    tell(story)


def test_answers_are_remembered_as_long_as_their_source_says_and_no_longer() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        await plant.get("rec", RING)
        await plant.get("rec", RING)
        assert [line.split()[-1] for line in plant.log("rec")] == ["miss", "hit"]
        assert len(plant.log("ent")) == 1
        await plant.put(RING, {"values": ring(data="http://10.0.0.4/new")["values"]})
        assert (await plant.get("rec", RING)).values[1].endswith("b6205"), "five minutes may be remembered"
        fresh = await plant.get("rec", RING, "?auth=true")
        assert fresh.values[1].endswith("new"), "an authoritative question goes past what is remembered"
        assert (await plant.get("rec", RING)).values[1].endswith("new")
        asked = len(plant.log("sec"))
        await asyncio.sleep(301)
        await plant.get("rec", RING)
        assert len(plant.log("ent")) == 4  # two resolutions, one write, and this
        assert len(plant.log("sec")) == asked, "the delegation is good for ten minutes"

    tell(story)


def test_what_is_not_there_is_remembered_for_a_minute() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        assert (await plant.get("rec", "88.900.C/NEW")).code == 100
        assert (await plant.put("88.900.C/NEW", [{"index": 1, "type": "URL", "data": "x"}])).status == 201
        assert (await plant.get("rec", "88.900.C/NEW")).code == 100
        await asyncio.sleep(61)
        assert (await plant.get("rec", "88.900.C/NEW")).values == {1: "x"}

    tell(story)


def test_a_ttl_of_zero_is_never_remembered() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain(ent=enterprise(handles=[admin_record(), ring(ttl=0)]))
        await plant.get("rec", RING)
        await plant.get("rec", RING)
        assert len(plant.log("ent")) == 2

    tell(story)


def test_the_same_question_by_many_at_once_is_asked_once() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        answers = await asyncio.gather(*(plant.get("rec", RING) for _ in range(20)))
        assert {each.code for each in answers} == {1}
        assert len(plant.log("ent")) == len(plant.log("top")) == 1

    tell(story)


def test_a_dead_node_costs_its_time_out_and_the_message_names_it() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        plant.network.unplug(Port("ent", "eth0"))
        began = plant.loop.time()
        answer = await plant.get("rec", RING)
        assert (answer.status, answer.code) == (500, 2)
        assert f"{address('ent')}:8000" in answer.body["message"]
        assert 1.9 < plant.loop.time() - began < 2.5
        health = await plant.ask("GET", "rec", "/health")
        assert (health.status, health.body["status"], health.body["troubles"]) == (503, "degraded", ["upstream"])

    tell(story)


def test_where_the_primary_site_is_dead_the_mirror_answers_but_not_with_authority() -> None:
    async def story(plant: Plant) -> None:
        both = delegation("88.900.C", "ent")
        both["values"].append({"index": 2, "type": "HS_SITE", "data": site("ent-b", primary=False), "ttl": 600})
        await plant.chain(sec={"handles": [both]})
        await plant.switch_on("ent-b", **enterprise(https=None))
        await plant.switch_off("ent")
        assert (await plant.get("rec", RING)).code == 1
        assert len(plant.log("ent-b")) == 1
        assert (await plant.get("rec", RING, "?auth=true")).code == 2

    tell(story)


def test_a_delegation_to_a_node_that_has_moved_shows_who_refused() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain(sec={"handles": [delegation("88.900.C", "ent-b")]})
        await plant.switch_on("ent-b", role="enterprise", prefixes=["88.900.X"])
        answer = await plant.get("rec", RING)
        assert (answer.status, answer.code) == (400, 301)
        assert address("ent-b") in answer.body["message"]

    tell(story)


def test_a_delegation_in_a_circle_ends() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain(sec={"handles": [delegation("88.900.C", "rec")]})
        began = plant.loop.time()
        answer = await plant.get("rec", RING)
        assert (answer.status, answer.code) == (500, 6)
        assert "rec → rec" in answer.body["message"]
        assert plant.loop.time() - began < 1

    tell(story)


def test_nonsense_from_another_node_is_a_message_and_not_a_crash() -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{,}",
        b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"responseCode": []}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"responseCode": 999}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n{"responseCode": 1, "values": [7]}',
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"",
    ]

    async def story(plant: Plant) -> None:
        await plant.chain()
        await plant.switch_off("ent")
        said = [b""]

        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said[0])
            writer.close()

        async def serve() -> asyncio.Server:
            return await asyncio.start_server(speak, "0.0.0.0", 8000)

        server: asyncio.Server = await plant.hosts["ent"].spawn(serve())
        for said[0] in answers:
            answer = await plant.get("rec", RING)
            assert (answer.status, answer.code) == (500, 2), (said, answer)
            assert address("ent") in answer.body["message"]
        server.close()
        await asyncio.sleep(3)

    tell(story)


def test_a_slow_node_is_given_up_and_answers_a_patient_one() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain(ent={"answer_delay_s": 5})
        assert (await plant.get("rec", RING)).code == 2
        await plant.switch_on("rec", **{**NODES["rec"](), "timeout_s": 10})
        assert (await plant.get("rec", RING)).code == 1

    tell(story)


def test_metrics_count_what_was_asked() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        await plant.get("rec", RING)
        await plant.get("rec", RING)
        await plant.get("rec", "88.900.C/NOTHING")
        text = (await plant.ask("GET", "rec", "/metrics")).body.decode()
        assert 'idn_resolutions_total{code="1"} 2' in text
        assert 'idn_resolutions_total{code="100"} 1' in text
        assert "idn_cache_hits_total 3" in text, "the record once, both delegations once more"
        assert plant.nodes["rec"].status()["resolutions"] == 3
        assert json.dumps(dict(plant.nodes["ent"].status()))

    tell(story)


def test_somebody_at_a_console_registers_and_resolves_with_curl() -> None:
    async def story(plant: Plant) -> None:
        await plant.chain()
        pc = plant.hosts["pc"]

        async def run(line: str) -> str:
            said: list[str] = []
            status = await pc.spawn(console.run(pc, line, said.append, context=console.Context()))
            assert status == 0, said
            return "\n".join(said)

        value = '[{"index": 1, "type": "URL", "data": "http://10.0.0.4/valve"}]'
        user = f"{ADMIN.replace(':', '%3A')}:{SECRET}"
        made = await run(f"curl -k -u {user} -X PUT -d '{value}' https://10.0.0.4:8443/api/handles/88.900.C/VALVE")
        assert json.loads(made)["responseCode"] == 1
        found = await run("curl http://10.0.0.1:8000/api/handles/88.900.C/VALVE?type=URL")
        assert json.loads(found)["values"][0]["data"]["value"] == "http://10.0.0.4/valve"
        assert "degraded" not in await run("curl http://10.0.0.4:8000/health")

    tell(story)


def test_a_new_enterprise_is_found_once_its_prefix_is_delegated() -> None:
    async def story(plant: Plant) -> None:
        operator = admin_record("88.900/ADMIN", "operator")
        secondary = {
            "https": https(),
            "admins": ["300:88.900/ADMIN"],
            "handles": [delegation("88.900.C", "ent"), operator],
        }
        await plant.chain(sec=secondary)
        valve = {"handle": "88.900.D/VALVE", "values": [{"index": 1, "type": "URL", "data": "x"}]}
        await plant.switch_on("ent-b", role="enterprise", prefixes=["88.900.D"], handles=[valve])
        assert (await plant.get("ent-b", "88.900.D/VALVE")).code == 1, "it resolves locally"
        assert (await plant.get("rec", "88.900.D/VALVE")).code == 100, "and nowhere else"
        said = delegation("88.900.D", "ent-b")["values"]
        path = "/api/handles/0.NA/88.900.D"
        stranger = await plant.ask("PUT", "sec", path, said, by="300:88.900/ADMIN", secret="wrong")
        assert stranger.code == 403
        assert (await plant.ask("PUT", "sec", path, said, by="300:88.900/ADMIN", secret="operator")).status == 201
        await asyncio.sleep(61)  # that there is no such prefix is forgotten after a minute
        assert (await plant.get("rec", "88.900.D/VALVE")).code == 1
        # To a new address: whoever remembers the old one finds nobody there until that is forgotten.
        await plant.switch_off("ent-b")
        await plant.switch_on("ent", **{**enterprise(), "prefixes": ["88.900.C", "88.900.D"], "handles": [valve]})
        moved = delegation("88.900.D", "ent")["values"]
        await plant.ask("PUT", "sec", path, moved, by="300:88.900/ADMIN", secret="operator")
        await asyncio.sleep(86_400)
        assert (await plant.get("rec", "88.900.D/VALVE", "?auth=true")).code == 1
        assert (await plant.get("rec", "88.900.D/VALVE")).code == 1

    tell(story)
