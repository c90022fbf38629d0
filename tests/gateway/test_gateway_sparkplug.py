"""Sparkplug B 3.0, assertion by assertion: the names of the tests are the identifiers of the specification."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from gateway_kit import Room, modbus_device, north, tell
from hypothesis import given
from hypothesis import strategies as st
from test_gateway_north import Scripted

from gateway.config import GatewayConfig
from gateway.formats.config import SparkplugOptions
from gateway.formats.format import Names, Publication
from gateway.formats.sparkplug import Sparkplug
from gateway.samples import Reason, Report, Value, bad, good
from gateway.store.log import Entry
from lab.clock import EPOCH_NS, plant_clock
from lab.text import Text
from lab.wire import mqtt
from lab.wire.mqtt import Connect, Disconnect, Publish, Subscribe
from lab.wire.sparkplug import (
    BD_SEQ,
    REBIRTH,
    DataType,
    Metric,
    Payload,
    State,
    Topic,
    decode,
    meaning,
    parse_topic,
    state_topic,
    wire_value,
)

MS = 1_000_000
NAMES = Names("plant", "gw")
GONE = Reason(Text(zh="断了", en="gone"))


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    token = plant_clock.set(lambda: EPOCH_NS)
    yield
    plant_clock.reset(token)


def report(device: str = "boiler", group: str = "g", at: int = EPOCH_NS, **values: Value | None) -> Report:
    samples = {name: bad(GONE, at) if value is None else good(value, at) for name, value in values.items()}
    return Report(device, group, at, samples)


def node(**options: Any) -> Sparkplug:
    return Sparkplug(SparkplugOptions(**options), NAMES, obeys=True)


def session(*reports: Report, made: Sparkplug | None = None) -> list[tuple[Topic, Payload, Publication]]:
    """Everything an edge node publishes, from its will to its farewell."""
    made = made or node()
    said = [made.will(), *made.connected()]
    for each in reports:
        said += made.direct(each) or ()
    said += made.farewell()
    return [read(each) for each in said]


def read(publication: Publication) -> tuple[Topic, Payload, Publication]:
    topic = parse_topic(publication.topic)
    assert topic is not None
    return topic, decode(publication.payload), publication


def values(payload: Payload, types: dict[int, tuple[str, int]] | None = None) -> dict[str, Any]:
    """What metrics say by name; `types` of a birth help where data have only aliases."""
    found: dict[str, Any] = {}
    for metric in payload.metrics:
        name, datatype = metric.name, metric.datatype
        if name is None or datatype is None:
            assert types is not None
            assert metric.alias is not None
            name, datatype = types[metric.alias]
        found[name] = None if metric.value is None else meaning(datatype, metric.value)
    return found


def types_of(birth: Payload) -> dict[int, tuple[str, int]]:
    return {m.alias: (m.name or "", m.datatype or 0) for m in birth.metrics if m.alias is not None}


def command(made: Sparkplug, verb: str, device: str | None, *metrics: Metric, retained: bool = False) -> Any:
    topic = str(Topic("plant", verb, "gw", device))
    return made.hear(topic, Payload(1, metrics).encode(), retained)


def alive(*reports: Report, **options: Any) -> Sparkplug:
    made = node(**options)
    made.will()
    made.connected()
    for each in reports:
        made.direct(each)
    return made


TWO = (report(level=1, hot=True), report(level=2, hot=False), report("pump", speed=1.5), report(level=3, hot=False))


def test_tck_id_topics_nbirth_topic_and_its_sisters() -> None:
    topics = [str(topic) for topic, _, _ in session(*TWO)]
    assert topics == [
        "spBv1.0/plant/NDEATH/gw",  # the will
        "spBv1.0/plant/NBIRTH/gw",
        "spBv1.0/plant/DBIRTH/gw/boiler",
        "spBv1.0/plant/DDATA/gw/boiler",
        "spBv1.0/plant/DBIRTH/gw/pump",
        "spBv1.0/plant/DDATA/gw/boiler",
        "spBv1.0/plant/NDEATH/gw",  # the farewell
    ]


def test_tck_id_topics_nbirth_mqtt_qos_0_and_not_retained_and_so_with_all_data() -> None:
    for topic, _, message in session(*TWO):
        # tck-id-payloads-ndeath-will-message-qos and -retain
        assert (message.qos, message.retain) == (1 if topic.verb == "NDEATH" else 0, False)


def test_tck_id_topics_nbirth_seq_num_is_0() -> None:
    assert [payload.seq for topic, payload, _ in session(*TWO) if topic.verb == "NBIRTH"] == [0]


def test_tck_id_payloads_sequence_num_incrementing_from_255_to_0() -> None:
    said = session(*(report(level=n) for n in range(600)))
    numbers = [payload.seq for topic, payload, _ in said if topic.verb != "NDEATH"]
    assert len(numbers) > 512
    assert all(later == ((earlier or 0) + 1) % 256 for earlier, later in pairwise(numbers))


def test_tck_id_payloads_ndeath_seq_is_not_there() -> None:
    assert all(payload.seq is None for topic, payload, _ in session(*TWO) if topic.verb == "NDEATH")


def test_tck_id_topics_ndeath_payload_has_bdseq_only() -> None:
    for topic, payload, _ in session(*TWO):
        if topic.verb == "NDEATH":
            assert values(payload) == {BD_SEQ: 0}
            assert payload.metrics[0].datatype == DataType.INT64


def test_tck_id_topics_nbirth_bdseq_matching_the_will() -> None:
    will, birth, *_ = session()
    assert values(will[1])[BD_SEQ] == values(birth[1])[BD_SEQ]


def test_tck_id_topics_nbirth_bdseq_increment_from_0_and_after_255_again() -> None:
    made = node()
    found = [values(decode(made.will().payload))[BD_SEQ] for _ in range(258)]
    assert found == [*range(256), 0, 1]


def test_tck_id_topics_nbirth_rebirth_metric_is_boolean_and_false() -> None:
    birth = next(payload for topic, payload, _ in session() if topic.verb == "NBIRTH")
    metric = birth.metric(REBIRTH)
    assert metric is not None
    assert (metric.datatype, values(birth)[REBIRTH]) == (DataType.BOOLEAN, False)


def test_tck_id_operational_behavior_data_commands_rebirth_name_aliases() -> None:
    birth = next(payload for topic, payload, _ in session() if topic.verb == "NBIRTH")
    assert {metric.name: metric.alias for metric in birth.metrics} == {BD_SEQ: 0, REBIRTH: None}


def test_tck_id_topics_nbirth_timestamp_and_its_sisters_are_when_the_message_was_sent() -> None:
    assert all(payload.timestamp == EPOCH_NS // MS for _, payload, _ in session(*TWO))


def test_tck_id_payloads_name_birth_data_requirement_every_metric_has_its_time() -> None:
    for _, payload, _ in session(report(at=EPOCH_NS - 5 * MS, level=1), report(at=EPOCH_NS - 2 * MS, level=2)):
        assert all(metric.timestamp is not None for metric in payload.metrics)
    *_, data, _ = session(report(level=1), report(at=EPOCH_NS - 2 * MS, level=2))
    assert data[1].metrics[0].timestamp == (EPOCH_NS - 2 * MS) // MS, "when it was acquired, not when it was sent"


def test_tck_id_topics_dbirth_metrics_name_datatype_and_current_value() -> None:
    (birth,) = [p for t, p, _ in session(report(a=1, b=1.5, c=True, d="x", e=None)) if t.verb == "DBIRTH"]
    assert values(birth) == {"a": 1, "b": 1.5, "c": True, "d": "x", "e": None}
    assert [m.datatype for m in birth.metrics] == [
        DataType.INT64, DataType.DOUBLE, DataType.BOOLEAN, DataType.STRING, DataType.DOUBLE,
    ]  # fmt: skip


def test_tck_id_operational_behavior_data_publish_dbirth_values_null_is_said_and_has_no_value() -> None:
    (birth,) = [p for t, p, _ in session(report(a=1, e=None)) if t.verb == "DBIRTH"]
    assert [(m.is_null, m.value is None) for m in birth.metrics] == [(False, False), (True, True)]


def test_tck_id_payloads_alias_uniqueness_across_the_node() -> None:
    births = [p for t, p, _ in session(*TWO) if t.verb in ("NBIRTH", "DBIRTH")]
    aliases = [m.alias for p in births for m in p.metrics if m.alias is not None]
    assert len(aliases) == len(set(aliases)) == 4


def test_tck_id_payloads_alias_birth_requirement_both_name_and_alias() -> None:
    births = [p for t, p, _ in session(*TWO) if t.verb == "DBIRTH"]
    assert all(m.name is not None and m.alias is not None for p in births for m in p.metrics)


def test_tck_id_payloads_alias_data_cmd_requirement_only_the_alias() -> None:
    data = [p for t, p, _ in session(*TWO) if t.verb == "DDATA"]
    assert all(m.name is None and m.alias is not None for p in data for m in p.metrics)


def test_tck_id_payloads_name_requirement_without_aliases_the_name() -> None:
    said = session(*TWO, made=node(aliases=False))
    assert all(m.name is not None and m.alias is None for _, p, _ in said for m in p.metrics)


def test_tck_id_payloads_metric_datatype_not_req_in_data() -> None:
    data = [p for t, p, _ in session(*TWO) if t.verb == "DDATA"]
    assert all(m.datatype is None for p in data for m in p.metrics)


def test_tck_id_topics_ddata_payload_says_what_was_measured() -> None:
    said = session(*TWO)
    types = types_of(next(p for t, p, _ in said if t.verb == "DBIRTH"))
    assert [values(p, types) for t, p, _ in said if t.verb == "DDATA"] == [
        {"level": 2, "hot": False},
        {"level": 3, "hot": False},
    ]


def test_tck_id_operational_behavior_data_publish_dbirth_a_new_metric_is_born_before_it_is_reported() -> None:
    said = session(report(level=1), report(group="slow", energy=5.0), report(level=2))
    verbs = [(t.verb, sorted(values(p)) if t.verb == "DBIRTH" else None) for t, p, _ in said[2:-1]]
    assert verbs == [("DBIRTH", ["level"]), ("DBIRTH", ["energy", "level"]), ("DDATA", None)]


def test_tck_id_payloads_metric_datatype_req_a_type_that_changes_is_born_anew() -> None:
    said = session(report(level=None, b=1), report(level="full", b=1))
    assert [t.verb for t, _, _ in said[2:-1]] == ["DBIRTH", "DBIRTH"]
    assert said[3][1].metrics[0].datatype == DataType.STRING


def test_tck_id_payloads_propertyset_quality_value_value() -> None:
    said = session(report(a=1.0, b=1.0), report(a=1.0, b=None))
    birth, data = said[2][1], said[3][1]
    assert all(m.properties and m.properties["Quality"].value == (wire_value(3, 192)) for m in birth.metrics)
    fine, spoilt = data.metrics
    assert fine.properties is None
    assert spoilt.is_null
    assert spoilt.properties
    assert spoilt.properties["Quality"].value == wire_value(3, 0)


def test_tck_id_operational_behavior_device_ddeath_when_the_device_is_lost() -> None:
    said = session(report(a=1), report(a=None), report(a=None), report(a=2), report(a=3))
    assert [t.verb for t, _, _ in said[2:-1]] == ["DBIRTH", "DDEATH", "DBIRTH", "DDATA"]
    death = said[3][1]
    # tck-id-payloads-ddeath-seq, -seq-inc and -timestamp
    assert (death.metrics, death.seq, death.timestamp) == ((), 2, EPOCH_NS // MS)


def test_tck_id_topics_ddeath_mqtt_one_dead_group_is_no_dead_device() -> None:
    said = session(report(a=1), report(group="other", b=2), report(a=None))
    assert [t.verb for t, _, _ in said[2:-1]] == ["DBIRTH", "DBIRTH", "DDATA"]


def test_tck_id_operational_behavior_data_commands_rebirth_action_2_all_births_with_the_same_bdseq() -> None:
    made = alive(*TWO)
    ask = Metric(name=REBIRTH, datatype=DataType.BOOLEAN, value=wire_value(DataType.BOOLEAN, True))
    births = [read(each) for each in command(made, "NCMD", None, ask).publish]
    assert [(t.verb, t.device) for t, _, _ in births] == [("NBIRTH", None), ("DBIRTH", "boiler"), ("DBIRTH", "pump")]
    assert [p.seq for _, p, _ in births] == [0, 1, 2]
    assert values(births[0][1])[BD_SEQ] == 0, "tck-id-operational-behavior-data-commands-rebirth-action-3"
    assert values(births[1][1]) == {"level": 3, "hot": False}, "the current values"


def test_tck_id_operational_behavior_data_commands_ncmd_rebirth_value_must_be_true() -> None:
    made = alive(*TWO)
    no = Metric(name=REBIRTH, datatype=DataType.BOOLEAN, value=wire_value(DataType.BOOLEAN, False))
    assert not command(made, "NCMD", None, no).publish
    yes = Metric(name=REBIRTH, datatype=DataType.BOOLEAN, value=wire_value(DataType.BOOLEAN, True))
    assert not command(made, "NCMD", None, yes, retained=True).publish, "tck-id-topics-ncmd-mqtt"


def test_tck_id_operational_behavior_data_commands_dcmd_metric_name_by_name_or_alias() -> None:
    made = alive(*TWO)
    by_name = Metric(name="level", datatype=DataType.INT64, value=wire_value(DataType.INT64, -7))
    by_alias = Metric(alias=2, value=wire_value(DataType.BOOLEAN, True))
    (done,) = command(made, "DCMD", "boiler", by_name, by_alias).commands
    assert (done.device, done.values) == ("boiler", {"level": -7, "hot": True})
    assert done.answer({}) is None


def test_tck_id_operational_behavior_data_commands_dcmd_metric_value_must_be_compatible() -> None:
    made = alive(*TWO)
    wrong = Metric(name="level", value=wire_value(DataType.STRING, "full"))
    heard = command(made, "DCMD", "boiler", wrong)
    assert not heard.commands
    assert "string_value" in str(heard.complaint)
    unknown = Metric(name="nosuch", datatype=DataType.INT64, value=wire_value(DataType.INT64, 1))
    assert "no metric of its birth" in str(command(made, "DCMD", "boiler", unknown).complaint)


def test_tck_id_topics_dcmd_topic_commands_have_to_be_enabled() -> None:
    made = Sparkplug(SparkplugOptions(), NAMES, obeys=False)
    heard = command(made, "DCMD", "boiler", Metric(name="a", value=wire_value(DataType.INT64, 1)))
    assert not heard.commands
    assert "not enabled" in str(heard.complaint)


def test_tck_id_message_flow_edge_node_birth_publish_phid_wait() -> None:
    made = node(primary_host="scada")
    assert state_topic("scada") in made.filters
    made.will()
    assert not made.connected()
    assert not made.is_ready
    assert not made.hear(state_topic("scada"), State(False, 10).encode(), True).publish
    births = made.hear(state_topic("scada"), State(True, 20).encode(), False).publish
    assert [parse_topic(each.topic) for each in births] == [Topic("plant", "NBIRTH", "gw")]
    assert made.is_ready


def test_tck_id_operational_behavior_edge_node_termination_host_offline() -> None:
    made = alive(primary_host="scada")
    made.hear(state_topic("scada"), State(True, 20).encode(), False)
    # tck-id-operational-behavior-edge-node-termination-host-offline-timestamp
    assert made.hear(state_topic("scada"), State(False, 19).encode(), False).leave is None
    assert made.is_ready
    assert "scada" in str(made.hear(state_topic("scada"), State(False, 20).encode(), False).leave)
    assert not made.is_ready


def test_tck_id_payloads_state_birth_payload_what_is_no_state_changes_nothing() -> None:
    made = alive(primary_host="scada")
    assert "STATE" in str(made.hear(state_topic("scada"), b"ONLINE", True).complaint)
    assert not made.is_ready


@given(st.text(max_size=30), st.binary(max_size=60))
def test_whatever_is_heard_does_no_harm(tail: str, payload: bytes) -> None:
    made = alive(report(a=1), primary_host="scada")
    for topic in (f"spBv1.0/{tail}", "spBv1.0/plant/NCMD/gw", "spBv1.0/plant/DCMD/gw/boiler", state_topic("scada")):
        made.hear(topic, payload, False)


# -- stored and sent later ---------------------------------------------------------------------------------------------


def stored(made: Sparkplug, *reports: Report, at: int = EPOCH_NS) -> list[Entry]:
    return [Entry(made.form, topic, payload, at) for each in reports for topic, payload in made.kept(each)]


def test_tck_id_operational_behavior_data_publish_dbirth_order_what_had_to_wait_is_historical() -> None:
    made = node()
    old = EPOCH_NS - 60_000 * MS
    entries = stored(made, report(at=old, a=1), report(at=old + MS, a=2), at=old)
    made.will()
    said = [read(each) for each in made.connected()]
    types = types_of(said[1][1])
    assert [t.verb for t, _, _ in said] == ["NBIRTH", "DBIRTH"]
    data = [read(each) for entry in entries for each in made.going(entry)]
    assert [values(p, types) for _, p, _ in data] == [{"a": 1}, {"a": 2}]
    assert [p.metrics[0].timestamp for _, p, _ in data] == [old // MS, old // MS + 1]
    assert all(m.is_historical for _, p, _ in data for m in p.metrics)
    assert [p.seq for _, p, _ in data] == [2, 3]
    (now,) = made.direct(report(a=3)) or ()
    assert not decode(now.payload).metrics[0].is_historical


def test_tck_id_topics_dbirth_metric_reqs_what_another_run_stored_is_born_first() -> None:
    entries = stored(node(), report(a=1, b="x"))
    again = node()
    again.will()
    again.connected()
    said = [read(each) for each in again.going(entries[0])]
    assert [t.verb for t, _, _ in said] == ["DBIRTH", "DDATA"]
    assert values(said[1][1], types_of(said[0][1])) == {"a": 1, "b": "x"}


def test_spoilt_entries_are_of_no_use() -> None:
    assert node().going(Entry(1, "boiler/g", b"\xff", EPOCH_NS)) == ()


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(max_size=5),
)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.none() | numbers, min_size=1), max_size=12), st.booleans())
def test_tck_id_payloads_ddata_order_a_host_understands_every_message(
    told: list[dict[str, Any]], aliases: bool
) -> None:
    """A host that knows only births follows every value; every message is the successor of the one before."""
    made = node(aliases=aliases)
    made.will()
    said = [read(each) for each in made.connected()]
    seen: dict[str, Any] = {}
    known: dict[Any, tuple[str, int]] = {}
    for one in told:
        new = [read(each) for each in made.direct(report(**one)) or ()]
        said += new
        for topic, payload, _ in new:
            if topic.verb == "DBIRTH":
                known = {key: (m.name or "", m.datatype or 0) for m in payload.metrics for key in (m.alias, m.name)}
                seen = values(payload)
            elif topic.verb == "DDATA":
                for m in payload.metrics:
                    name, datatype = known[m.alias if aliases else m.name]
                    seen[name] = None if m.value is None else meaning(datatype, m.value)
            else:
                seen = {}
        if any(value is not None for value in one.values()):
            assert {name: seen[name] for name in one} == one
    assert [payload.seq for _, payload, _ in said] == [n % 256 for n in range(len(said))]


# -- through a broker --------------------------------------------------------------------------------------------------


def through_a_broker(version: str, **sparkplug: Any) -> list[mqtt.Packet]:
    async def story(room: Room) -> list[mqtt.Packet]:
        broker = Scripted()
        await room.hosts["broker"].spawn(asyncio.start_server(broker.serve, "0.0.0.0", 1883))
        await room.modbus_server("plc-1", list(range(8)))
        south = [modbus_device("plc", room.address("plc-1"), [{"name": "level", "address": 40001, "type": "u16"}])]
        config = {
            "site": "plant",
            "south": south,
            "north": north(room.address("broker"), format="sparkplug", version=version, sparkplug=sparkplug),
        }
        await room.switch_on("gw", "gw-edge", config)
        await asyncio.sleep(3)
        broker.cut()
        await asyncio.sleep(3)
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await asyncio.sleep(1)
        return broker.packets

    return tell(story)


@pytest.fixture(scope="module")
def old() -> list[mqtt.Packet]:
    return through_a_broker("3.1.1")


def test_tck_id_principles_persistence_clean_session_311(old: list[mqtt.Packet]) -> None:
    connects = [each for each in old if isinstance(each, Connect)]
    assert len(connects) == 2
    assert all(each.clean_start for each in connects)


def test_tck_id_payloads_ndeath_will_message(old: list[mqtt.Packet]) -> None:
    wills = [each.will for each in old if isinstance(each, Connect)]
    assert [will and (will.topic, will.qos, will.retain) for will in wills] == [
        ("spBv1.0/plant/NDEATH/gw", 1, False)
    ] * 2
    assert [values(decode(will.payload))[BD_SEQ] for will in wills if will] == [0, 1]


def test_tck_id_message_flow_edge_node_ncmd_subscribe(old: list[mqtt.Packet]) -> None:
    subscribes = [each for each in old if isinstance(each, Subscribe)]
    # … and tck-id-message-flow-device-dcmd-subscribe
    wanted = {"spBv1.0/plant/NCMD/gw", "spBv1.0/plant/DCMD/gw/+"}
    assert all({each.filter for each in one.subscriptions} == wanted for one in subscribes)
    assert all(each.qos == 1 for one in subscribes for each in one.subscriptions)


def test_tck_id_principles_birth_certificates_order(old: list[mqtt.Packet]) -> None:
    verbs = [each.topic.split("/")[2] for each in old if isinstance(each, Publish)]
    births = [index for index, verb in enumerate(verbs) if verb == "NBIRTH"]
    assert len(births) == 2
    assert births[0] == 0
    assert verbs[births[1] + 1] == "DBIRTH", "tck-id-payloads-dbirth-order"
    kinds = [type(each).__name__ for each in old[:3]]
    assert kinds == ["Connect", "Subscribe", "Publish"]


def test_tck_id_payloads_ndeath_will_message_publisher_disconnect_mqtt311(old: list[mqtt.Packet]) -> None:
    *_, death, disconnect = old
    assert isinstance(death, Publish)
    assert isinstance(disconnect, Disconnect)
    assert death.topic == "spBv1.0/plant/NDEATH/gw"
    assert values(decode(death.payload))[BD_SEQ] == 1, "tck-id-payloads-ndeath-bdseq: that of this session"


def test_tck_id_payloads_ndeath_will_message_publisher_disconnect_mqtt50_and_clean_start() -> None:
    packets = through_a_broker("5")
    disconnect = packets[-1]
    assert isinstance(disconnect, Disconnect)
    assert disconnect.reason == 0x04
    for connect in packets:
        if isinstance(connect, Connect):
            # tck-id-principles-persistence-clean-session-50
            assert connect.clean_start
            assert connect.properties.session_expiry_interval in (None, 0)


@pytest.mark.parametrize("options", [{"will": None}, {"qos": 1}, {"retain": True}, {"clean_session": False}])
def test_what_sparkplug_decides_cannot_be_told(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Sparkplug B itself decides"):
        GatewayConfig.model_validate({"interfaces": {}, "north": north("b", format="sparkplug", **options)})


def test_tck_id_topic_structure_namespace_valid_group_id() -> None:
    for key in ("group", "node", "primary_host"):
        with pytest.raises(ValueError, match="cannot be a name"):
            SparkplugOptions.model_validate({key: "a/b"})
