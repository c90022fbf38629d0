"""Every kind of device there is, by the name a scenario calls it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from devices.boiler_plc import BoilerPlc
from devices.cnc_plc import CncPlc
from devices.cold_plc import ColdPlc
from devices.fw_ind import FwInd
from devices.gap.gap import Gap
from devices.identification.node import IdnNode
from devices.ids.ids import Ids
from devices.imm_plc import ImmPlc
from devices.outside import Outside
from devices.pack_line import PackLine
from devices.platform.appliance import Platform
from devices.plc.plc import Plc
from devices.rfid.rfid_reader import RfidReader
from devices.router import Router
from devices.rtu_old import RtuOld
from devices.scanner.scanner import Scanner
from devices.serial.comp_plc import CompPlc
from devices.serial.meter import Meter, MeterTcp
from devices.serial.pt100_8 import Pt100
from devices.serial.sersrv import Sersrv
from devices.serial.terminator import Resistor
from devices.serial.th485 import Th485
from devices.serial.vib485 import Vib485
from devices.services.server import Server
from devices.signals.ap_ind import ApInd
from devices.signals.elements import DryContact, Element, ProximityNpn, ProximityPnp
from devices.signals.io_module import IoModule
from devices.signals.psu import PowerSupply
from devices.signals.terminal_block import TerminalBlock
from devices.signals.transmitters import (
    FlowTransmitter,
    HeadTransmitter,
    LevelTransmitter,
    PressureTransmitter,
    ThreeWireTransmitter,
)
from devices.sw_ind import SwInd, SwInd12, SwInd16
from devices.vpn.gateway import VpnGateway
from devices.water_plc import WaterPlc
from devices.workstation import Workstation
from lab.network.appliance import Appliance

_ALL: Final[tuple[type[Appliance[Any]], ...]] = (
    ApInd,
    BoilerPlc,
    CncPlc,
    ColdPlc,
    CompPlc,
    DryContact,
    Element,
    FlowTransmitter,
    FwInd,
    Gap,
    HeadTransmitter,
    IdnNode,
    Ids,
    ImmPlc,
    IoModule,
    LevelTransmitter,
    Meter,
    MeterTcp,
    Outside,
    Platform,
    PackLine,
    Plc,
    PowerSupply,
    PressureTransmitter,
    ProximityNpn,
    ProximityPnp,
    Pt100,
    Resistor,
    RfidReader,
    Router,
    RtuOld,
    Scanner,
    Sersrv,
    Server,
    SwInd,
    SwInd12,
    SwInd16,
    TerminalBlock,
    ThreeWireTransmitter,
    VpnGateway,
    Th485,
    Vib485,
    WaterPlc,
    Workstation,
)

KINDS: Final[Mapping[str, type[Appliance[Any]]]] = MappingProxyType({appliance.kind: appliance for appliance in _ALL})

SWITCHES: Final[Mapping[str, int]] = MappingProxyType({"switch-5": 5, "switch-8": 8, "switch-16": 16})
"""Unmanaged switches, which the network makes itself, and the number of their ports, p1 and up."""
