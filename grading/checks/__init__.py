"""The catalogue of checks: questions that scenarios put to the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grading.checks.challenge import Challenge
from grading.checks.check import Check, Context, Phase, hosts_of
from grading.checks.fidelity import Fidelity
from grading.checks.modbus import ModbusNoWrite, ModbusRead
from grading.checks.mqtt import MqttPub, MqttSession
from grading.checks.net import NetBlocked, NetReach
from grading.checks.opcua import OpcUaSub

CHECKS: Mapping[str, type[Check[Any]]] = {
    check.name: check
    for check in (
        ModbusRead,
        ModbusNoWrite,
        OpcUaSub,
        MqttSession,
        MqttPub,
        Fidelity,
        Challenge,
        NetReach,
        NetBlocked,
    )
}
"""By the name a scenario uses."""

__all__ = ["CHECKS", "Check", "Context", "Phase", "hosts_of"]
