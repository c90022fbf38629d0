"""Which driver a device needs."""

from __future__ import annotations

from random import Random
from typing import Final

from gateway.config import DeviceConfig
from gateway.driver import Driver
from gateway.identification.config import RfidDevice, ScannerDevice
from gateway.modbus.config import ModbusDevice, ModbusLineDevice
from gateway.serial_ports import SerialPorts

LINE_PAUSE_MS: Final = 20
"""More than 3.5 characters at 2400 baud and up: a transparent serial server keeps no silence of its own."""


def driver_for(config: DeviceConfig, gateway: str, random: Random, ports: SerialPorts) -> Driver:
    """Its library is loaded only now, as asyncua alone takes a second and 70 MiB."""
    match config:
        case ModbusDevice():
            from gateway.modbus.driver import ModbusDriver
            from gateway.modbus.network_channel import NetworkChannel

            is_rtu = config.driver == "modbus-rtu-tcp"
            channel = NetworkChannel(config.connection, rtu=is_rtu)
            pause_ms = config.connection.pause_ms
            channel.pause = (LINE_PAUSE_MS if pause_ms is None and is_rtu else pause_ms or 0) / 1000
            return ModbusDriver(config, channel, random)
        case ModbusLineDevice():
            from gateway.modbus.driver import ModbusDriver
            from gateway.modbus.line_channel import LineChannel

            return ModbusDriver(config, LineChannel(ports, config.connection.serial), random)
        case RfidDevice():
            from gateway.identification.rfid import RfidDriver
            from gateway.modbus.network_channel import NetworkChannel

            return RfidDriver(config, NetworkChannel(config.connection, rtu=False))
        case ScannerDevice():
            from gateway.identification.scanner import ScannerDriver

            return ScannerDriver(config)
        case _:
            from gateway.opcua.driver import OpcUaDriver

            return OpcUaDriver(config.connection, gateway)
