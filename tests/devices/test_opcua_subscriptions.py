"""What subscribers of an OPC UA server are told, and whose subscriptions are whose."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncua import Client, ua
from device_kit import Lab, in_lab
from opcua_kit import USERS, as_user, client_for, refused, watching

OVERFLOW = 0x480


def node(client: Client, name: str) -> Any:
    return client.get_node(f"ns=2;s=CNC01.{name}")


def told_by(lab: Lab, story: Any, user: str = "eng") -> Any:
    return as_user(lab, user, story)


def filtered(kind: ua.DeadbandType, value: float) -> ua.DataChangeFilter:
    return ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=kind, DeadbandValue=value)


async def creep(lab: Lab, point: str, start: float, step: float, steps: int) -> None:
    for number in range(steps):
        lab.device.force(point, start + number * step)
        await asyncio.sleep(0.2)


def test_a_deadband_is_measured_from_what_was_last_told_so_a_creeping_value_is_told_too() -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            lab.device.force("feed_override", 50.0)
            wanted = filtered(ua.DeadbandType.Absolute, 5.0)
            async with watching(client, node(client, "FeedOverride"), Filter=wanted) as (listener, _, _):
                await asyncio.sleep(1)
                await creep(lab, "feed_override", 50.0, 2.0, 11)
                await asyncio.sleep(1)
                assert listener.values == [50.0, 56.0, 62.0, 68.0], "more than five away from the last, each of them"

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


def test_a_percentage_is_of_the_range_of_the_node() -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            low_high = await node(client, "FeedOverride.EURange").read_value()
            assert (low_high.Low, low_high.High) == (0.0, 150.0)
            unit = await node(client, "FeedOverride.EngineeringUnits").read_value()
            assert unit.DisplayName.Text == "%"
            lab.device.force("feed_override", 50.0)
            wanted = filtered(ua.DeadbandType.Percent, 10.0)
            async with watching(client, node(client, "FeedOverride"), Filter=wanted) as (listener, _, _):
                await asyncio.sleep(1)
                await creep(lab, "feed_override", 50.0, 4.0, 10)
                await asyncio.sleep(1)
                assert listener.values == [50.0, 66.0, 82.0], "15 is a tenth of 150"

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


@pytest.mark.parametrize(
    ("name", "wanted", "code"),
    [
        ("Program", filtered(ua.DeadbandType.Absolute, 1.0), "BadFilterNotAllowed"),
        ("PartCount", filtered(ua.DeadbandType.Percent, 1.0), "BadMonitoredItemFilterUnsupported"),
        ("ToolWear", filtered(ua.DeadbandType.Percent, 101.0), "BadDeadbandFilterInvalid"),
        ("ToolWear", filtered(ua.DeadbandType.Absolute, -1.0), "BadDeadbandFilterInvalid"),
        ("ToolWear", filtered(ua.DeadbandType.Absolute, float("nan")), "BadDeadbandFilterInvalid"),
        ("ToolWear", ua.EventFilter(), "BadMonitoredItemFilterUnsupported"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(name: str, wanted: Any, code: str) -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            async with watching(client, node(client, name), Filter=wanted) as (_, _, answer):
                assert answer.StatusCode.name == code

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


def test_between_two_samples_only_the_latest_value_counts() -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            lab.device.force("feed_override", 50.0)
            override = node(client, "FeedOverride")
            async with watching(client, override, SamplingInterval=2000.0) as (listener, _, answer):
                assert answer.RevisedSamplingInterval == 2000.0
                await asyncio.sleep(0.3)
                await creep(lab, "feed_override", 51.0, 1.0, 15)  # three seconds
                await asyncio.sleep(2.5)
                assert listener.values == [50.0, 59.0, 65.0]
            async with watching(client, override, SamplingInterval=0.0) as (listener, _, answer):
                assert answer.RevisedSamplingInterval == 500.0, "what moves with the scan is sampled by the scan"

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


@pytest.mark.parametrize(
    ("size", "oldest", "values", "overflown"),
    [
        # The first value of all is told at once.
        (1, True, [50.0, 60.0], []),
        (3, True, [50.0, 58.0, 59.0, 60.0], [1]),
        (3, False, [50.0, 51.0, 52.0, 60.0], [3]),
        (0, True, [50.0, 60.0], []),
    ],
)
def test_a_queue_that_overflows_says_where_values_are_missing(
    size: int, oldest: bool, values: list[float], overflown: list[int]
) -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            lab.device.force("feed_override", 50.0)
            override = node(client, "FeedOverride")
            wanted = {"QueueSize": size, "DiscardOldest": oldest}
            async with watching(client, override, 5000, **wanted) as (listener, _, answer):
                assert answer.RevisedQueueSize == max(1, size)
                await creep(lab, "feed_override", 51.0, 1.0, 10)
                await asyncio.sleep(4)
                assert listener.values == values
                assert [
                    n for n, each in enumerate(listener.told) if each.StatusCode.value & OVERFLOW == OVERFLOW
                ] == overflown

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


def test_an_item_that_only_samples_tells_when_it_is_asked_to_report() -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            lab.device.force("feed_override", 50.0)
            override, mode = node(client, "FeedOverride"), ua.MonitoringMode
            async with watching(client, override, mode=mode.Sampling) as (listener, subscription, answer):
                await creep(lab, "feed_override", 51.0, 1.0, 2)
                await asyncio.sleep(1)
                assert listener.values == []
                params = ua.SetMonitoringModeParameters(
                    subscription.subscription_id, mode.Reporting, [answer.MonitoredItemId]
                )
                await client.uaclient.set_monitoring_mode(params)
                await asyncio.sleep(1)
                assert listener.values == [50.0, 51.0, 52.0]

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


def test_a_client_that_wants_to_be_told_all_the_time_is_told_often_and_no_more() -> None:
    async def story(lab: Lab) -> None:
        async def watch(client: Client) -> None:
            for wanted in (0.001, 0.0, -5.0, float("nan"), float("inf")):
                params = ua.CreateSubscriptionParameters(wanted, 100, 50, 0, True, 0)
                result = await client.uaclient.create_subscription(params, lambda _: None)
                assert result.RevisedPublishingInterval == 50.0
                assert result.RevisedLifetimeCount >= 150
                await client.uaclient.delete_subscriptions([result.SubscriptionId])

        await told_by(lab, watch)

    in_lab("cnc-plc", story, users=USERS)


def test_nobody_touches_the_subscriptions_of_others() -> None:
    async def story(lab: Lab) -> None:
        async def meddle() -> None:
            async with (
                client_for("eng") as owner,
                client_for("acq") as other,
                watching(owner, node(owner, "State")) as (listener, subscription, answer),
            ):
                number = subscription.subscription_id
                results = await other.uaclient.delete_subscriptions([number])
                assert [each.name for each in results] == ["BadSubscriptionIdInvalid"]
                items = ua.DeleteMonitoredItemsParameters(number, [answer.MonitoredItemId])
                assert await refused(other.uaclient.delete_monitored_items(items)) == "BadSubscriptionIdInvalid"
                mode = ua.SetMonitoringModeParameters(number, ua.MonitoringMode.Disabled, [answer.MonitoredItemId])
                assert await refused(other.uaclient.set_monitoring_mode(mode)) == "BadSubscriptionIdInvalid"
                lab.device.force("state", 3)
                await asyncio.sleep(1)
                assert listener.values[-1] == 3

        await lab.from_pc(meddle)

    in_lab("cnc-plc", story, users=USERS)


def test_only_the_timestamps_asked_for_are_sent() -> None:
    async def story(lab: Lab) -> None:
        async def read(client: Client) -> None:
            wanted = ua.TimestampsToReturn
            for kind, has in (
                (wanted.Both, (True, True)),
                (wanted.Source, (True, False)),
                (wanted.Server, (False, True)),
                (wanted.Neither, (False, False)),
            ):
                item = ua.ReadValueId(NodeId=node(client, "State").nodeid, AttributeId=ua.AttributeIds.Value)
                params = ua.ReadParameters(0.0, kind, [item])
                (value,) = await client.uaclient.read(params)
                assert (value.SourceTimestamp is not None, value.ServerTimestamp is not None) == has
            params = ua.ReadParameters(-1.0, wanted.Both, [item])
            assert await refused(client.uaclient.read(params)) == "BadMaxAgeInvalid"

        await told_by(lab, read)

    in_lab("cnc-plc", story, users=USERS)
