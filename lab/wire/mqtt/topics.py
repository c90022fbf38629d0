"""Topic names and topic filters (MQTT 3.1.1 and 5, section 4.7)."""

from __future__ import annotations

from lab.wire.malformed import Malformed
from lab.wire.mqtt.primitives import text

_SHARED = "$share/"


def topic_name(data: bytes) -> str:
    """What a message is published to; raises Malformed."""
    topic = text(data)
    if "+" in topic or "#" in topic:
        raise Malformed(f"topic name {topic!r} contains a wildcard [MQTT-3.3.2-2]")
    if not topic:
        raise Malformed("a topic name is empty [MQTT-4.7.3-1]")
    return topic


def topic_filter(data: bytes) -> str:
    """What a client subscribes to; raises Malformed."""
    filter_ = text(data)
    if not filter_:
        raise Malformed("a topic filter is empty [MQTT-4.7.3-1]")
    if "+" in filter_ or "#" in filter_:
        *above, last = filter_.split("/")
        if any("#" in level for level in above) or ("#" in last and last != "#"):
            raise Malformed(f"'#' is not the last level of topic filter {filter_!r} [MQTT-4.7.1-2]")
        if any("+" in level and level != "+" for level in (*above, last)):
            raise Malformed(f"'+' is not a whole level in topic filter {filter_!r} [MQTT-4.7.1-3]")
    return filter_


def is_shared(filter_: str) -> bool:
    """Whether a filter of MQTT 5 means a shared subscription (section 4.8.2)."""
    return filter_.startswith(_SHARED)


def check_shared(filter_: str) -> None:
    """Raise Malformed unless a shared subscription names its group and a filter."""
    _, group, *rest = filter_.split("/", 2)
    if not group or "+" in group or "#" in group or not rest or not rest[0]:
        raise Malformed(f"{filter_!r} does not name a group and a filter [MQTT-4.8.2-1, MQTT-4.8.2-2]")


def matches(filter_: str, topic: str) -> bool:
    """Whether a subscription to this valid filter, shared or not, gets messages published to this topic."""
    if is_shared(filter_):
        filter_ = filter_.split("/", 2)[2]
    wanted, given = filter_.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in ("+", "#"):
        return False  # MQTT-4.7.2-1: wildcards do not reach the topics a server keeps for itself
    for depth, level in enumerate(wanted):
        if level == "#":
            return True
        if depth == len(given) or level not in ("+", given[depth]):
            return False
    return len(wanted) == len(given)
