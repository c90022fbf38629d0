"""The format a destination is configured for."""

from __future__ import annotations

from typing import Any

from gateway.formats.alink import Alink
from gateway.formats.config import SparkplugOptions
from gateway.formats.format import Format, Names
from gateway.formats.plain import Tags, Templated, Values
from gateway.formats.sparkplug import Sparkplug
from gateway.formats.thingsboard import ThingsBoard

DATA_TOPIC = "v1/{site}/{gateway}/{device}/telemetry"


def format_for(config: Any, names: Names) -> Format:
    """By the `format` of an MQTT destination."""
    topic = config.topic or DATA_TOPIC
    obeys = config.commands is not None
    if config.format == "thingsboard":
        return ThingsBoard(config.qos, obeys)
    if config.format == "alink":
        return Alink(config.alink.product_key, config.qos, obeys)
    if config.format == "sparkplug":
        return Sparkplug(config.sparkplug or SparkplugOptions(), names, obeys)
    if config.format == "template":
        return Templated(names, topic, config.commands, config.template)
    return (Tags if config.format == "tags" else Values)(names, topic, config.commands)
