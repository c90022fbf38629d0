"""snmp: the lab's agent is asked in v2c and v3, with wrong secrets, and by nobody's agent."""

from __future__ import annotations

import pytest
from console_kit import Console, Site, console_at, garbage_at, tell
from hypothesis import given, settings
from hypothesis import strategies as st
from snmp_kit import agent_on

from devices.console.arguments import BadValue
from devices.console.oids import name_of, oid

READER = "-u reader -A maplesyrup -X sugarcane"


def at_agent(site: Site) -> Console:
    agent_on(site)
    return console_at(site)


@pytest.mark.parametrize("who", ["-c public", READER, "-u writer -a SHA-256 -A auth-writer -X priv-writer"])
def test_values_are_read_by_name_and_number(who: str) -> None:
    async def story(site: Site) -> None:
        at = at_agent(site)
        said = await at.run(f"snmp get {who} 10.0.0.2 sysName.0 1.3.6.1.2.1.1.2.0 1.3.6.1.2.1.1.3.0")
        assert at.status == 0
        assert said.splitlines()[:2] == ["sysName.0 = STRING: switch", "sysObjectID.0 = OID: .1.3.6.1.4.1.32473.2.4"]
        assert "sysUpTime.0 = Timeticks: (" in said
        walked = await at.run(f"snmp walk {who} 10.0.0.2 ifOperStatus")
        assert walked.splitlines() == [
            f"ifOperStatus.{n} = INTEGER: {state}" for n, state in enumerate((1, 1, 2, 1), 1)
        ]
        assert "Hex-STRING: 02 00 00 00 00 AA" in await at.run(f"snmp walk {who} 10.0.0.2 dot1dTpFdbTable")

    tell(story)


def test_a_walk_ends_where_its_tree_ends() -> None:
    async def story(site: Site) -> None:
        at = at_agent(site)
        everything = await at.run("snmp walk 10.0.0.2 1.3.6.1")
        assert at.status == 0
        assert everything.startswith("sysDescr.0 = ")
        assert len(everything.splitlines()) > 100
        assert len((await at.run("snmp walk --most 7 10.0.0.2 1.3.6.1")).splitlines()) == 7
        assert await at.run("snmp walk 10.0.0.2 sysName.0") == "sysName.0 = STRING: switch\n"
        assert len((await at.run("snmp bulk -Cn 1 -Cr 3 10.0.0.2 sysName ifDescr")).splitlines()) == 4
        assert await at.run("snmp next 10.0.0.2 ifDescr.2") == "ifDescr.3 = STRING: p3\n"

    tell(story)


def test_what_is_not_there_is_no_error_of_the_network() -> None:
    async def story(site: Site) -> None:
        at = at_agent(site)
        said = await at.run("snmp get 10.0.0.2 1.3.6.1.9.9.9 sysName.0")
        assert said.startswith(".1.3.6.1.9.9.9 = No Such Object")
        assert "sysName.0 = " in said
        assert "No Such Object" in await at.run("snmp get 10.0.0.2 ifDescr.99")
        assert at.status == 1

    tell(story)


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("-c wrong", "No Response"),
        ("-u nobody -A maplesyrup -X sugarcane", "Unknown user name"),
        ("-u reader -A wrongsyrup -X sugarcane", "Authentication failure"),
        ("-u reader -A maplesyrup -X wrongcane", "No Response"),
        ("-u reader -A maplesyrup", "the agent refuses: authorization"),
        ("-u reader", "the agent refuses: authorization"),
        ("-u reader -A short -X sugarcane", "8 to 64 characters"),
        ("-u reader -l authPriv -A maplesyrup", "authPriv needs -A, -X"),
        ("-v 3", "needs a user"),
    ],
)
def test_a_wrong_secret_is_told_as_far_as_the_agent_tells(who: str, why: str) -> None:
    async def story(site: Site) -> None:
        at = at_agent(site)
        assert why in await at.run(f"snmp get {who} 10.0.0.2 sysName.0")
        assert at.status in (1, 2)

    tell(story)


def test_nobody_answers_or_nothing_listens() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        site.host("switch", "10.0.0.2/24")
        assert "Connection refused" in await at.run("snmp get 10.0.0.2 sysName.0")
        began = site.loop.time()
        assert "No Response" in await at.run("snmp get -t 2 -r 1 10.0.0.77 sysName.0")
        assert site.loop.time() - began == pytest.approx(4.0, abs=0.1)
        assert at.status == 1

    tell(story)


def test_names_and_numbers_are_the_same() -> None:
    assert oid("SNMPv2-MIB::sysDescr.0") == oid(".1.3.6.1.2.1.1.1.0") == (1, 3, 6, 1, 2, 1, 1, 1, 0)
    assert name_of(oid("ifDescr.2")) == "ifDescr.2"
    assert name_of((1, 3, 6, 1, 9)) == ".1.3.6.1.9"


@given(st.text(alphabet="0123456789.ifDescrsy-:", max_size=30))
def test_any_text_is_an_identifier_or_refused(text: str) -> None:
    try:
        arcs = oid(text)
    except BadValue:
        return
    assert oid(name_of(arcs)) == arcs


@settings(max_examples=60)
@given(st.binary(max_size=60), st.sampled_from(["get", f"get {READER}", "walk"]))
def test_nonsense_from_an_agent_is_survived(answer: bytes, what: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await garbage_at(site.host("switch", "10.0.0.2/24"), 161, answer)
        assert "No Response" in await at.run(f"snmp {what} -t 0.2 10.0.0.2 sysName.0")

    tell(story)
