"""What devices and gateways say reaches the platform, in each of the formats, or is refused with a reason."""

from __future__ import annotations

import asyncio

from platform_kit import EPOCH_MS, TOPIC, Room, tell


def test_values_of_a_gateway_are_latest_values_and_history() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        ts = room.now_ms
        await room.say(client, TOPIC, {"ts": ts, "values": {"pressure": 1.5, "flame": True}, "q": {"pressure": "good"}})
        await room.say(client, TOPIC, {"ts": ts + 500, "values": {"pressure": None}, "q": {"pressure": "bad"}})
        assert await room.latest() == {"pressure": None, "flame": True}
        history = await room.get("/api/devices/boiler-1/history?property=pressure")
        assert history["items"] == [
            {"at": ts, "value": 1.5, "quality": "good"},
            {"at": ts + 500, "value": None, "quality": "bad"},
        ]
        await client.disconnect()

    tell(story)
