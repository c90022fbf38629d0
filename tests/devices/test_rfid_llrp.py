"""The reader's LLRP server: who may be its client, what ROSpecs do and when, and what is refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from device_kit import Lab
from hypothesis import given, settings
from hypothesis import strategies as st
from rfid_kit import CARTON, at_dock, cartons, pallet

from lab.clock import EPOCH_NS
from lab.network.published import publish
from lab.wire.llrp import FrameDecoder, Message, StatusCode, decode, encode
from lab.wire.llrp import messages as m
from lab.wire.llrp.configuration import (
    EventsAndReports,
    EventState,
    EventStates,
    Keepalive,
    KeepaliveTrigger,
    Notification,
)
from lab.wire.llrp.fields import Bits
from lab.wire.llrp.parameters import GpiTrigger
from lab.wire.llrp.reports import ConnectionAttempt, EpcData, EpcOf96, RoSpecEventType, TagReport
from lab.wire.llrp.specs import (
    AiSpec,
    AiStop,
    AiStopTrigger,
    AntennaConfiguration,
    InventoryCommand,
    InventorySpec,
    Observation,
    Periodic,
    ReportContent,
    ReportTrigger,
    RfTransmitter,
    RoBoundary,
    RoReport,
    RoSpec,
    RoSpecState,
    RoStart,
    RoStop,
    Selected,
    Singulation,
    StartTrigger,
    StopTrigger,
    TagFilter,
    TagMask,
    TagObservation,
)

T = TypeVar("T")

QUIET = {"trigger": "command"}
STANDING = [{**pallet("P", "dock-3", 0.0, cartons(1), stays=1e6), "speed": 5.0}]
"""At dock 3 from the first second on."""
THERE = 2.0
EVERYTHING = Selected(sum(Selected))


class Client:
    """Says what it is told to, and sorts what it hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.decoder = FrameDecoder()
        self.heard: list[Message] = []
        self.answers: asyncio.Queue[tuple[int, Message]] = asyncio.Queue()
        self.number = 0
        self.acknowledges = True
        self.task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while data := await self.reader.read(65536):
            for frame in self.decoder.feed(data):
                message = decode(frame)
                if isinstance(message, m.KeepaliveMessage) and self.acknowledges:
                    self.writer.write(encode(m.KeepaliveAck(), 0))
                if isinstance(message, m.RoAccessReport | m.ReaderEventNotification | m.KeepaliveMessage):
                    self.heard.append(message)
                else:
                    self.answers.put_nowait((frame.id, message))

    async def ask(self, request: Message) -> Any:
        self.number += 1
        self.writer.write(encode(request, self.number))
        number, answer = await asyncio.wait_for(self.answers.get(), 10)
        assert number == self.number
        return answer

    async def do(self, *requests: Message) -> None:
        for request in requests:
            answer = await self.ask(request)
            assert answer.status.code == StatusCode.M_SUCCESS, answer

    def reports(self) -> list[TagReport]:
        return [tag for message in self.heard if isinstance(message, m.RoAccessReport) for tag in message.tags]

    def events(self) -> list[Any]:
        return [message.event for message in self.heard if isinstance(message, m.ReaderEventNotification)]

    async def leave(self) -> None:
        self.writer.close()
        await self.task


async def connect() -> Client:
    return Client(*await asyncio.open_connection("10.0.0.1", 5084))


def as_client(deed: Callable[[Lab, Client], Awaitable[T]], **config: Any) -> T:
    async def story(lab: Lab) -> T:
        async def visit() -> T:
            await lab.until(THERE)
            client = await connect()
            result = await deed(lab, client)
            await client.leave()
            return result

        return await lab.from_pc(visit)

    return at_dock(story, **{"reader": QUIET, "pallets": STANDING, **config})


def rospec(
    number: int = 1,
    *,
    priority: int = 0,
    start: RoStart = RoStart(StartTrigger.NULL),  # noqa: B008
    stop: RoStop = RoStop(StopTrigger.NULL),  # noqa: B008
    ends: AiStop = AiStop(AiStopTrigger.NULL),  # noqa: B008
    report: RoReport | None = None,
    antennas: tuple[int, ...] = (0,),
    power: int = 0,
    filters: tuple[TagFilter, ...] = (),
    session: int = 0,
) -> RoSpec:
    transmitter = RfTransmitter(0, 1, power) if power else None
    command = InventoryCommand(False, filters, singulation=Singulation(session, 24, 0))
    inventory = InventorySpec(7, 1, (AntennaConfiguration(0, transmitter=transmitter, inventory=(command,)),))
    specs = (AiSpec(antennas, ends, (inventory,)),)
    return RoSpec(number, priority, RoSpecState.DISABLED, RoBoundary(start, stop), specs, report)


def report(trigger: ReportTrigger, tags: int, selected: Selected = EVERYTHING) -> RoReport:
    return RoReport(trigger, tags, ReportContent(selected))


IMMEDIATELY = RoStart(StartTrigger.IMMEDIATE)
ONE_BY_ONE = report(ReportTrigger.N_TAGS_OR_END_OF_RO_SPEC, 1)


def epc(tag: TagReport) -> str:
    assert isinstance(tag.epc, EpcOf96)
    return tag.epc.epc.hex().upper()


def test_an_inventory_from_connection_to_goodbye() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        capabilities = await client.ask(m.GetReaderCapabilities())
        powers = capabilities.regulatory.uhf.powers
        assert (powers[0].power, powers[-1].power, len(powers)) == (1000, 3300, 47)
        assert capabilities.device.antennas == 4
        await client.do(m.DeleteRoSpec(0), m.AddRoSpec(rospec(report=ONE_BY_ONE)), m.EnableRoSpec(1))
        assert not client.reports()
        await client.do(m.StartRoSpec(1))
        await asyncio.sleep(1)
        await client.do(m.StopRoSpec(1), m.DisableRoSpec(1), m.DeleteRoSpec(1))
        assert {epc(tag) for tag in client.reports()} == set(cartons(1))
        assert (await client.ask(m.CloseConnection())).status.code == StatusCode.M_SUCCESS
        await client.task
        assert client.events()[0].connection.status == ConnectionAttempt.SUCCESS

    as_client(deed)


def test_a_seed_gives_the_same_frames() -> None:
    def frames() -> list[tuple[int, bytes]]:
        seen: list[tuple[int, bytes]] = []

        async def deed(lab: Lab, client: Client) -> None:
            lab.network.taps.append(lambda tap, at, data: seen.append((at, data)))
            await client.do(m.AddRoSpec(rospec(start=IMMEDIATELY, report=ONE_BY_ONE)), m.EnableRoSpec(1))
            await asyncio.sleep(2)

        as_client(deed)
        return seen

    first = frames()
    assert len(first) > 100
    assert first == frames()


def test_times_of_a_report_are_the_plants() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        await client.do(m.AddRoSpec(rospec(start=IMMEDIATELY, report=ONE_BY_ONE)), m.EnableRoSpec(1))
        await asyncio.sleep(1)
        await client.do(m.DeleteRoSpec(1))
        since = [tag.first_seen.microseconds / 1e6 - EPOCH_NS / 1e9 for tag in client.reports()]  # type: ignore[union-attr]
        assert min(since) >= THERE
        assert max(since) < THERE + 1.1
        assert all(tag.antenna is not None and -80 < tag.rssi.dbm < -20 for tag in client.reports())  # type: ignore[union-attr]
        event = client.events()[0]
        assert event.time.microseconds / 1e6 - EPOCH_NS / 1e9 == pytest.approx(THERE, abs=0.1)

    as_client(deed)


def test_what_is_seen_of_a_tag_adds_up_until_it_is_reported() -> None:
    wanted = Selected.SEEN_COUNT | Selected.FIRST_SEEN | Selected.LAST_SEEN

    async def deed(lab: Lab, client: Client) -> None:
        at_end = report(ReportTrigger.N_TAGS_OR_END_OF_RO_SPEC, 0, wanted)
        spec = rospec(stop=RoStop(StopTrigger.DURATION, 3000), report=at_end)
        await client.do(m.AddRoSpec(spec), m.EnableRoSpec(1), m.StartRoSpec(1))
        await asyncio.sleep(2.9)
        assert not client.reports()
        await asyncio.sleep(0.5)
        tags = client.reports()
        assert sorted(epc(tag) for tag in tags) == cartons(1)
        assert all(tag.antenna is None and tag.rssi is None and tag.ro_spec is None for tag in tags)
        assert all(tag.count.count > 3 for tag in tags)  # type: ignore[union-attr]
        assert all(tag.first_seen.microseconds < tag.last_seen.microseconds for tag in tags)  # type: ignore[union-attr]

    as_client(deed)


def test_reports_that_nobody_triggers_wait_until_they_are_fetched() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        spec = rospec(report=report(ReportTrigger.NONE, 0))
        await client.do(m.AddRoSpec(spec), m.EnableRoSpec(1), m.StartRoSpec(1))
        await asyncio.sleep(1)
        await client.do(m.StopRoSpec(1))
        assert not client.reports()
        client.writer.write(encode(m.GetReport(), 9))
        await asyncio.sleep(0.5)
        assert {epc(tag) for tag in client.reports()} == set(cartons(1))

    as_client(deed)


def ai_spec_ends(ends: AiStop) -> tuple[float, int]:
    """After how long, and with how many tags, one AISpec with this stop trigger is over."""

    async def deed(lab: Lab, client: Client) -> tuple[float, int]:
        events = EventStates((EventState(Notification.AI_SPEC_WITH_DETAILS, True),))
        spec = rospec(ends=ends, report=report(ReportTrigger.N_TAGS_OR_END_OF_AI_SPEC, 0, Selected(0)))
        await client.do(m.SetReaderConfig(events=events), m.AddRoSpec(spec), m.EnableRoSpec(1))
        began = (lab.loop.wall_ns() - EPOCH_NS) / 1e9
        await client.do(m.StartRoSpec(1))
        await asyncio.sleep(10)
        (event,) = [event for event in client.events() if event.ai_spec]
        (spec_now,) = (await client.ask(m.GetRoSpecs())).specs
        assert spec_now.state == RoSpecState.INACTIVE
        return event.time.microseconds / 1e6 - EPOCH_NS / 1e9 - began, len(client.reports())

    return as_client(deed)


def observed(trigger: Observation, **other: int) -> AiStop:
    values = {"tags": 0, "attempts": 0, "quiet": 0, "timeout": 5000, **other}
    return AiStop(AiStopTrigger.TAG_OBSERVATION, observation=TagObservation(trigger, 0, **values))


def test_an_ai_spec_ends_when_its_trigger_says() -> None:
    assert ai_spec_ends(AiStop(AiStopTrigger.DURATION, 700)) == (pytest.approx(0.7, abs=0.05), 24)
    seconds, tags = ai_spec_ends(observed(Observation.N_TAGS, tags=10))
    assert seconds < 0.5
    assert 10 <= tags <= 24
    seconds, tags = ai_spec_ends(observed(Observation.NO_MORE_NEW_TAGS, quiet=800))
    assert 0.8 < seconds < 2.0
    assert tags == 24
    assert ai_spec_ends(observed(Observation.N_TAGS, tags=99))[0] == pytest.approx(5.0, abs=0.05)
    assert ai_spec_ends(observed(Observation.N_ATTEMPTS, attempts=2))[0] < 1.0


def test_an_immediate_ro_spec_begins_anew_and_a_periodic_one_keeps_its_time() -> None:
    async def starts(client: Client, start: RoStart) -> list[float]:
        events = EventStates((EventState(Notification.RO_SPEC, True),))
        spec = rospec(start=start, stop=RoStop(StopTrigger.DURATION, 500))
        await client.do(m.SetReaderConfig(events=events), m.AddRoSpec(spec), m.EnableRoSpec(1))
        await asyncio.sleep(6.2)
        await client.do(m.DeleteRoSpec(1))
        seen = [event for event in client.events() if event.ro_spec is not None]
        client.heard.clear()
        assert [event.ro_spec.event for event in seen[:2]] == [RoSpecEventType.START, RoSpecEventType.END]
        return [each.time.microseconds / 1e6 for each in seen if each.ro_spec.event == RoSpecEventType.START]

    async def deed(lab: Lab, client: Client) -> None:
        immediate = await starts(client, IMMEDIATELY)
        assert len(immediate) == 13
        periodic = await starts(client, RoStart(StartTrigger.PERIODIC, periodic=Periodic(1000, 2000)))
        assert len(periodic) == 3
        assert periodic[2] - periodic[1] == pytest.approx(2.0)

    as_client(deed)


def test_the_light_curtain_starts_and_stops_a_ro_spec() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        start = RoStart(StartTrigger.GPI, gpi=GpiTrigger(1, True, 0))
        stop = RoStop(StopTrigger.GPI, 0, GpiTrigger(1, False, 0))
        events = EventStates((EventState(Notification.GPI, True),))
        spec = rospec(start=start, stop=stop, report=ONE_BY_ONE)
        await client.do(m.SetReaderConfig(events=events), m.AddRoSpec(spec), m.EnableRoSpec(1))
        states = []
        for level in (False, True, False):
            lab.device.force("light_curtain", level)
            await asyncio.sleep(1)
            states.append((await client.ask(m.GetRoSpecs())).specs[0].state)
        assert states == [RoSpecState.INACTIVE, RoSpecState.ACTIVE, RoSpecState.INACTIVE]
        assert {epc(tag) for tag in client.reports()} == set(cartons(1))
        assert [event.gpi.level for event in client.events() if event.gpi] == [True, False]

    # No pallet, so that nothing but the story breaks the curtain; the tags are held into the zone.
    async def story(lab: Lab, client: Client) -> None:
        lab.device.force("light_curtain", False)
        lab.device.force("tag", " ".join(cartons(1)))
        await deed(lab, client)

    as_client(story, pallets=[])


def test_who_matters_more_gets_the_radio() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        first, equal, urgent = rospec(1, priority=3), rospec(2, priority=3), rospec(3, priority=1)
        await client.do(*[m.AddRoSpec(each) for each in (first, equal, urgent)], m.EnableRoSpec(0), m.StartRoSpec(1))
        assert (await client.ask(m.StartRoSpec(2))).status.code == StatusCode.A_INVALID
        await client.do(m.StartRoSpec(3))
        states = [spec.state for spec in (await client.ask(m.GetRoSpecs())).specs]
        assert states == [RoSpecState.INACTIVE, RoSpecState.INACTIVE, RoSpecState.ACTIVE]

    as_client(deed)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"power": 1}, 0),  # 10 dBm reach next to nothing
        ({"antennas": (3, 4), "power": 20}, 0),  # 19.5 dBm on the antennas of the other dock
        ({"filters": (TagFilter(0, TagMask(1, 32, Bits(8, b"\x30"))),)}, 24),
        ({"filters": (TagFilter(0, TagMask(1, 32, Bits(8, b"\x31"))),)}, 0),
        ({"filters": (TagFilter(0, TagMask(1, 120, Bits.of(b"\x00\x05"))),)}, 0),  # reaches past the end
        ({"filters": (TagFilter(0, TagMask(1, 112, Bits.of(b"\x00\x05"))),)}, 1),  # serial number 5
    ],
)
def test_power_antennas_and_filters_are_those_of_the_ro_spec(choice: dict[str, Any], expected: int) -> None:
    async def deed(lab: Lab, client: Client) -> None:
        spec = rospec(start=IMMEDIATELY, report=ONE_BY_ONE, **choice)
        await client.do(m.AddRoSpec(spec), m.EnableRoSpec(1))
        await asyncio.sleep(2)
        tags = {epc(tag) for tag in client.reports()}
        assert len(tags) == expected or (expected == 0 and len(tags) <= 1)

    as_client(deed)


def test_the_reader_rests_from_its_own_work_while_a_ro_spec_is_active() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        reader = lab.device.reader  # type: ignore[attr-defined]
        assert reader.status.name == "SCANNING"
        await client.do(m.AddRoSpec(rospec()), m.EnableRoSpec(1), m.StartRoSpec(1))
        assert reader.status.name == "BUSY"
        await client.do(m.DeleteRoSpec(0))
        assert reader.status.name == "SCANNING"

    as_client(deed, reader={"trigger": "continuous"})


def test_there_is_one_client_at_a_time() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        second = await connect()
        await second.task
        (refused,) = second.events()
        assert refused.connection.status == ConnectionAttempt.CLIENT_INITIATED_EXISTS
        assert client.events()[-1].connection.status == ConnectionAttempt.ANOTHER_ATTEMPTED
        await second.leave()
        assert (await client.ask(m.GetRoSpecs())).specs == ()

    as_client(deed)


def test_what_was_read_while_nobody_listened_is_told_to_who_comes_next() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        hold = m.SetReaderConfig(holding=EventsAndReports(True))
        spec = rospec(start=IMMEDIATELY, report=ONE_BY_ONE)
        await client.do(hold, m.AddRoSpec(spec), m.EnableRoSpec(1))
        client.writer.transport.abort()
        await asyncio.sleep(2)
        lab.device.force("tag", CARTON.format(0xABC))
        await asyncio.sleep(1)
        lab.device.force("tag", None)
        again = await connect()
        await asyncio.sleep(1)
        assert not again.reports()
        again.writer.write(encode(m.EnableEventsAndReports(), 1))
        await asyncio.sleep(1)
        assert CARTON.format(0xABC) in {epc(tag) for tag in again.reports()}
        await again.do(m.DeleteRoSpec(0))
        await again.leave()

    async def story(lab: Lab) -> None:
        async def visit() -> None:
            await lab.until(THERE)
            await deed(lab, await connect())

        await lab.from_pc(visit)

    at_dock(story, ends=False, reader=QUIET, pallets=STANDING)


def test_a_client_that_does_not_answer_keepalives_is_gone() -> None:
    async def deed(lab: Lab, client: Client) -> float:
        await client.do(m.SetReaderConfig(keepalive=Keepalive(KeepaliveTrigger.PERIODIC, 1000)))
        await asyncio.sleep(10)
        beats = [message for message in client.heard if isinstance(message, m.KeepaliveMessage)]
        assert 9 <= len(beats) <= 10
        began = lab.loop.time()
        client.acknowledges = False
        await client.task
        return lab.loop.time() - began

    assert 3 <= as_client(deed) <= 5


def test_settings_are_told_as_they_were_made() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        before = await client.ask(m.GetReaderConfig())
        assert [each.transmitter.power for each in before.antennas] == [44] * 4  # 31.5 dBm
        assert [each.connected for each in before.properties] == [True] * 4
        antenna = AntennaConfiguration(2, transmitter=RfTransmitter(0, 1, 25))
        await client.do(m.SetReaderConfig(antennas=(antenna,)))
        after = await client.ask(m.GetReaderConfig())
        assert [each.transmitter.power for each in after.antennas] == [44, 25, 44, 44]
        assert after.state != before.state
        await client.do(m.SetReaderConfig(reset=True))
        only = await client.ask(m.GetReaderConfig(requested=m.Configuration.ANTENNA_CONFIGURATION))
        assert [each.transmitter.power for each in only.antennas] == [44] * 4
        assert only.identification is None

    as_client(deed)


WRONG = {
    "a ROSpec without a number": (m.AddRoSpec(rospec(0)), StatusCode.A_INVALID),
    "an antenna that is not there": (m.AddRoSpec(rospec(antennas=(5,))), StatusCode.A_OUT_OF_RANGE),
    "a power level that is not there": (m.AddRoSpec(rospec(power=48)), StatusCode.A_OUT_OF_RANGE),
    "an input that is not there": (
        m.AddRoSpec(rospec(start=RoStart(StartTrigger.GPI, gpi=GpiTrigger(2, True, 0)))), StatusCode.A_OUT_OF_RANGE,
    ),
    "a period without a time": (m.AddRoSpec(rospec(start=RoStart(StartTrigger.PERIODIC))), StatusCode.M_MISSING_PARAMETER),
    "a duration of nothing": (m.AddRoSpec(rospec(ends=AiStop(AiStopTrigger.DURATION))), StatusCode.A_OUT_OF_RANGE),
    "no tag at all": (m.AddRoSpec(rospec(ends=observed(Observation.N_TAGS))), StatusCode.A_OUT_OF_RANGE),
    "a ROSpec that is not there": (m.EnableRoSpec(9), StatusCode.M_FIELD_ERROR),
    "an AccessSpec that is not there": (m.DeleteAccessSpec(9), StatusCode.M_FIELD_ERROR),
    "an extension": (m.CustomMessage(25882, 21, b"\0\0\0\0"), StatusCode.M_UNSUPPORTED_MESSAGE),
    "what only readers say": (m.RoAccessReport(), StatusCode.M_UNSUPPORTED_MESSAGE),
    "a keepalive too fast": (
        m.SetReaderConfig(keepalive=Keepalive(KeepaliveTrigger.PERIODIC, 1)), StatusCode.A_OUT_OF_RANGE,
    ),
}  # fmt: skip


def test_what_the_reader_cannot_do_it_says_and_goes_on() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        for request, code in WRONG.values():
            assert (await client.ask(request)).status.code == code, request
        await client.do(m.AddRoSpec(rospec()))
        assert (await client.ask(m.AddRoSpec(rospec()))).status.code == StatusCode.A_INVALID
        assert (await client.ask(m.StartRoSpec(1))).status.code == StatusCode.A_INVALID

    as_client(deed)


async def raw(lab: Lab, data: bytes) -> list[Any]:
    """All that is said after the greeting to who sends this and then nothing."""

    async def visit() -> list[Any]:
        reader, writer = await asyncio.open_connection("10.0.0.1", 5084)
        writer.write(data)
        await asyncio.sleep(1)
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return [decode(frame) for frame in FrameDecoder().feed(heard)][1:]

    return await lab.from_pc(visit)


def test_malformed_messages_are_answered_and_overlong_ones_end_the_conversation() -> None:
    async def story(lab: Lab) -> None:
        (error,) = await raw(lab, bytes.fromhex("0414ffffffff0000004d") + bytes(2000))
        assert isinstance(error, m.ErrorMessage)
        assert error.status.code == StatusCode.M_FIELD_ERROR
        (error,) = await raw(lab, bytes.fromhex("05f40000000a00000001"))
        assert error.status.code == StatusCode.M_UNSUPPORTED_MESSAGE
        (error,) = await raw(lab, bytes.fromhex("08140000000a00000001"))
        assert isinstance(error, m.ErrorMessage)
        assert error.status.code == StatusCode.M_UNSUPPORTED_VERSION
        (answer,) = await raw(lab, bytes.fromhex("04140000000a00000001"))
        assert isinstance(answer, m.AddRoSpecResponse)
        assert answer.status.code == StatusCode.M_MISSING_PARAMETER
        assert (await raw(lab, encode(m.GetRoSpecs(), 5)))[0].status.code == StatusCode.M_SUCCESS

    at_dock(story, reader=QUIET)


def test_a_tag_with_another_length_is_reported_bit_by_bit() -> None:
    async def deed(lab: Lab, client: Client) -> None:
        lab.device.force("tag", "ABCD 30340000")
        await client.do(m.AddRoSpec(rospec(start=IMMEDIATELY, report=ONE_BY_ONE)), m.EnableRoSpec(1))
        await asyncio.sleep(1)
        epcs = {tag.epc for tag in client.reports()}
        assert epcs == {EpcData(Bits.of(b"\xab\xcd")), EpcData(Bits.of(bytes.fromhex("30340000")))}

    as_client(deed, pallets=[])


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(range(1, 101)), st.binary(max_size=60)), max_size=5))
def test_no_garbage_stops_the_reader(messages: list[tuple[int, bytes]]) -> None:
    stream = b"".join(
        (1 << 10 | kind).to_bytes(2, "big") + (10 + len(body)).to_bytes(4, "big") + bytes(4) + body
        for kind, body in messages
    )

    async def story(lab: Lab) -> None:
        await raw(lab, stream)
        (answer, *_) = await raw(lab, encode(m.GetReaderCapabilities(), 1))
        assert answer.status.code == StatusCode.M_SUCCESS

    at_dock(story, reader=QUIET)


SLLURP = """
import json, sys, threading, time
from sllurp.llrp import LLRPReaderClient, LLRPReaderConfig
names = ("ROSpecID", "SpecIndex", "InventoryParameterSpecID", "AntennaID", "ChannelIndex", "PeakRSSI",
         "FirstSeenTimestamp", "LastSeenTimestamp", "TagSeenCount", "AccessSpecID")
wanted = ("AntennaID", "PeakRSSI", "LastSeenTimestamp", "TagSeenCount")
reader = LLRPReaderClient("127.0.0.1", int(sys.argv[1]), LLRPReaderConfig({
    "antennas": [1, 2], "tx_power_dbm": 22.0, "report_every_n_tags": 4, "keepalive_interval": 500,
    "tag_content_selector": {"Enable" + name: name in wanted for name in names}}))
seen, enough = {}, threading.Event()
def note(_, tags):
    for tag in tags:
        seen[tag["EPC"].decode()] = (tag["AntennaID"], tag["PeakRSSI"])
    if len(seen) >= 24:
        enough.set()
reader.add_tag_report_callback(note)
reader.connect()
enough.wait(20)
reader.disconnect(timeout=5)
print(json.dumps(seen))
"""


@pytest.mark.foreign
def test_sllurp_takes_an_inventory_of_a_live_dock() -> None:
    pytest.importorskip("sllurp")

    async def story(lab: Lab) -> str:
        door = await publish(lab.pc, 0, "10.0.0.1", 5084)
        command = [sys.executable, "-c", SLLURP, str(door.port)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=40)
        door.close()
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    pallets = [*STANDING, {**pallet("N", "dock-4", 0.0, cartons(500), stays=1e6), "speed": 5.0}]
    seen = json.loads(at_dock(story, fast=False, reader=QUIET, pallets=pallets))
    assert {each.upper() for each in seen} == set(cartons(1)), "dock 3 and nothing of dock 4"
    assert {antenna for antenna, _ in seen.values()} <= {1, 2}
