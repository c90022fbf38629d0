"""MQTT topic names and filters: MQTT 3.1.1, section 4.7."""

from __future__ import annotations


def is_topic_name(topic: str) -> bool:
    """Whether one may publish to it."""
    return bool(topic) and not any(character in topic for character in "+#\0")


def is_topic_filter(text: str) -> bool:
    """Whether one may subscribe to it."""
    levels = text.split("/")
    return (
        bool(text)
        and "\0" not in text
        and all("+" not in level or level == "+" for level in levels)
        and all("#" not in level or (level == "#" and last == len(levels)) for last, level in enumerate(levels, 1))
    )


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message to this topic goes to this filter."""
    # MQTT-4.7.2-1: a filter beginning with a wildcard does not match topics beginning with $.
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    return _covers(topic_filter.split("/"), topic.split("/"))


def covers(topic_filter: str, narrower: str) -> bool:
    """Whether everything a second filter matches is matched by the first, too."""
    if narrower.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    return _covers(topic_filter.split("/"), narrower.split("/"))


def _covers(wide: list[str], narrow: list[str]) -> bool:
    for index, level in enumerate(wide):
        if level == "#":
            return True
        if index == len(narrow):
            return False
        if narrow[index] == "#" or (level != "+" and level != narrow[index]):
            return False
    # "a/#" also matches "a" itself, so here it is wider than "a".
    return len(wide) == len(narrow)
