"""The types of AutoID in an address space, and one reader of them: OPC 30010 sections 6.1, 6.5 and 7.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.common.manage_nodes import create_encoding
from asyncua.common.node import Node

from devices.rfid.opcua_types import (
    AUTOID,
    DEVICE_STATUS,
    DI,
    ENUMERATIONS,
    OPERATION_STATUS,
    OWN,
    STRINGS,
    STRUCTURES,
    Enumeration,
    Structure,
    autoid,
    di,
    standard,
)

_IDS: Final = ua.ObjectIds
_TYPE: Final = ua.VariantType
SCAN_EVENT: Final = autoid(1006)
READER_TYPE: Final = autoid(1003)
DEVICE_SET: Final = di(5001)


@dataclass(frozen=True, slots=True)
class Member:
    """A variable of the reader type, and of every reader."""

    number: int
    """Node id in the type."""
    name: str
    kind: ua.VariantType
    data_type: ua.NodeId | None = None
    """Where it is not the built-in one."""
    is_property: bool = False
    is_mandatory: bool = False
    rank: int = -1


DEVICE_MEMBERS: Final = (
    Member(6193, "AutoIdModelVersion", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6026, "DeviceInfo", _TYPE.String, is_property=True),
    Member(6124, "DeviceName", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6127, "DeviceLocationName", _TYPE.String, is_property=True),
    Member(6030, "DeviceStatus", _TYPE.Int32, autoid(DEVICE_STATUS.number), is_mandatory=True),
    Member(6099, "ScanActive", _TYPE.Boolean),
    Member(6055, "LastScanData", _TYPE.String),
    Member(6096, "LastScanTimestamp", _TYPE.DateTime, standard(_IDS.UtcTime)),
)
"""Of AutoIdDeviceType."""
READER_MEMBERS: Final = (
    Member(6048, "AntennaNames", _TYPE.ExtensionObject, autoid(3011), is_property=True, rank=1),
    Member(6097, "LastScanAntenna", _TYPE.Int32),
    Member(6098, "LastScanRSSI", _TYPE.Int32),
)
"""Of RfidReaderDeviceType."""
PARAMETERS: Final = (
    Member(6126, "EnableAntennas", _TYPE.UInt32),
    Member(6141, "RfPower", _TYPE.SByte),
)
"""Of its RuntimeParameters."""
NAMEPLATE: Final = (
    Member(6003, "Manufacturer", _TYPE.LocalizedText, is_property=True, is_mandatory=True),
    Member(6004, "Model", _TYPE.LocalizedText, is_property=True, is_mandatory=True),
    Member(6008, "HardwareRevision", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6007, "SoftwareRevision", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6006, "DeviceRevision", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6005, "DeviceManual", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6001, "SerialNumber", _TYPE.String, is_property=True, is_mandatory=True),
    Member(6002, "RevisionCounter", _TYPE.Int32, is_property=True, is_mandatory=True),
)
"""Of DI's DeviceType (OPC 10000-100 section 5.6)."""


@dataclass(frozen=True, slots=True)
class _Method:
    number: int
    name: str
    inputs: tuple[tuple[int, str, ua.NodeId, int], ...] = ()
    """Node id of the property, then name, type and rank of the argument."""
    outputs: tuple[tuple[int, str, ua.NodeId, int], ...] = ()


_STATUS: Final = autoid(OPERATION_STATUS.number)
_ABSTRACT_SCAN: Final = _Method(
    7008,
    "Scan",
    ((6050, "Settings", autoid(3010), -1),),
    ((6001, "Results", autoid(3001), 1), (0, "Status", _STATUS, -1)),
)
SCAN: Final = _Method(
    7013,
    "Scan",
    ((6052, "Settings", autoid(3010), -1),),
    ((6043, "Results", autoid(3007), 1), (0, "Status", _STATUS, -1)),
)
SCAN_START: Final = _Method(
    7009, "ScanStart", ((6051, "Settings", autoid(3010), -1),), ((6208, "Status", _STATUS, -1),)
)
SCAN_STOP: Final = _Method(7010, "ScanStop")


class Model:
    """Puts the nodes in, one after another."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def node(self, node_id: ua.NodeId) -> Node:
        return Node(self._session, node_id)

    async def types(self) -> None:
        """Everything that other nodes are instances of."""
        await self._data_types()
        await self._device_integration()
        await self._device_types()
        await self._event_types()

    async def _data_types(self) -> None:
        string, enumeration = self.node(standard(_IDS.String)), self.node(standard(_IDS.Enumeration))
        for number, name in STRINGS.items():
            await string.add_data_type(autoid(number), _name(name))
        for each in ENUMERATIONS:
            await self._enumeration(enumeration, each)
        for structure in STRUCTURES:
            await self._structure(structure)

    async def _enumeration(self, base: Node, each: Enumeration) -> None:
        node = await base.add_data_type(autoid(each.number), _name(each.name))
        await node.write_data_type_definition(each.definition())
        values = [
            ua.EnumValueType(Value=ua.Int64(value), DisplayName=ua.LocalizedText(name)) for name, value in each.members
        ]
        await node.add_property(
            autoid(each.values), ua.QualifiedName("EnumValues"), values, _TYPE.ExtensionObject, _IDS.EnumValueType
        )

    async def _structure(self, each: Structure) -> None:
        node = await self.node(each.base).add_data_type(autoid(each.number), _name(each.name))
        await node.write_data_type_definition(each.definition())
        if each.is_abstract:
            await _make_abstract(node)
        await create_encoding(node, autoid(each.encoding), ua.QualifiedName("Default Binary"))

    async def _device_integration(self) -> None:
        """As much of OPC 10000-100 as a device of its own needs."""
        objects = self.node(standard(_IDS.BaseObjectType))
        topology = await objects.add_object_type(di(1001), _name("TopologyElementType", DI))
        await _make_abstract(topology)
        device = await topology.add_object_type(di(1002), _name("DeviceType", DI))
        await _make_abstract(device)
        for member in NAMEPLATE:
            await self.member(device, di(member.number), _name(member.name, DI), member, None)
        folder = self.node(standard(_IDS.FolderType))
        await folder.add_object_type(di(1005), _name("FunctionalGroupType", DI))
        await self.node(standard(_IDS.ObjectsFolder)).add_object(DEVICE_SET, _name("DeviceSet", DI))

    async def _device_types(self) -> None:
        device = await self.node(di(1002)).add_object_type(autoid(1001), _name("AutoIdDeviceType"))
        await _make_abstract(device)
        for member in DEVICE_MEMBERS:
            await self.member(device, autoid(member.number), _name(member.name), member, None)
        for method in (_ABSTRACT_SCAN, SCAN_START, SCAN_STOP):
            await self.method(device, autoid(method.number), method, _not_here)
        reader = await device.add_object_type(READER_TYPE, _name("RfidReaderDeviceType"))
        for member in READER_MEMBERS:
            await self.member(reader, autoid(member.number), _name(member.name), member, None)
        await self.method(reader, autoid(SCAN.number), SCAN, _not_here)
        group = await self._object(reader, autoid(5042), _name("RuntimeParameters"), di(1005))
        await group.set_modelling_rule(False)
        for member in PARAMETERS:
            await self.member(group, autoid(member.number), _name(member.name), member, None)

    async def _event_types(self) -> None:
        base = self.node(standard(_IDS.BaseEventType))
        scan = await base.add_object_type(autoid(1004), _name("AutoIdScanEventType"))
        await _make_abstract(scan)
        name = Member(6049, "DeviceName", _TYPE.String, is_property=True, is_mandatory=True)
        await self.member(scan, autoid(6049), _name(name.name), name, None)
        rfid = await scan.add_object_type(SCAN_EVENT, _name("RfidScanEventType"))
        for parent, number, result in ((scan, 6024, 3001), (rfid, 6042, 3007)):
            member = Member(
                number, "ScanResult", _TYPE.ExtensionObject, autoid(result), is_property=True, is_mandatory=True, rank=1
            )
            await self.member(parent, autoid(number), _name(member.name), member, None)
        await self.node(autoid(1001)).add_reference(scan, _IDS.GeneratesEvent, bidirectional=False)
        await self.node(READER_TYPE).add_reference(rfid, _IDS.GeneratesEvent, bidirectional=False)

    async def _object(self, parent: Node, node_id: ua.NodeId, name: ua.QualifiedName, kind: ua.NodeId) -> Node:
        """An object of this type, and nothing in it: asyncua would make children with ids of its own."""
        node = await parent.add_object(node_id, name)
        await node.delete_reference(standard(_IDS.BaseObjectType), _IDS.HasTypeDefinition, bidirectional=False)
        await node.add_reference(kind, _IDS.HasTypeDefinition, bidirectional=False)
        return node

    async def member(
        self, parent: Node, node_id: ua.NodeId, name: ua.QualifiedName, member: Member, value: Any
    ) -> Node:
        """A variable or property, with its modelling rule where it is part of a type."""
        variant = ua.Variant(_empty(member) if value is None else value, member.kind, is_array=member.rank > 0)
        add = parent.add_property if member.is_property else parent.add_variable
        node = await add(node_id, name, variant, member.kind, member.data_type)
        await node.write_attribute(ua.AttributeIds.ValueRank, ua.DataValue(ua.Variant(member.rank, _TYPE.Int32)))
        if node_id.NamespaceIndex != OWN:
            await node.set_modelling_rule(member.is_mandatory)
        return node

    async def method(self, parent: Node, node_id: ua.NodeId, method: _Method, act: Any) -> None:
        """A method with descriptions of its arguments."""
        node = await parent.add_method(node_id, _name(method.name), act)
        is_type = node_id.NamespaceIndex != OWN
        if is_type:
            await node.set_modelling_rule(False)
        for name, arguments in (("InputArguments", method.inputs), ("OutputArguments", method.outputs)):
            if not arguments:
                continue
            place = autoid(arguments[0][0]) if is_type else _own(str(node_id.Identifier) + "." + name)
            described = [ua.Argument(Name=each, DataType=kind, ValueRank=rank) for _, each, kind, rank in arguments]
            held = await node.add_property(
                place, ua.QualifiedName(name), described, _TYPE.ExtensionObject, _IDS.Argument
            )
            if is_type:
                await held.set_modelling_rule(True)

    async def reader(self, name: str, values: Mapping[str, Any], methods: Sequence[tuple[_Method, Any]]) -> Node:
        """One reader in the DeviceSet, whose nodes have ids such as `RD-3.DeviceStatus`."""
        called = ua.QualifiedName(name, ua.UInt16(OWN))
        device = await self._object(self.node(DEVICE_SET), _own(name), called, READER_TYPE)
        for member in NAMEPLATE:
            await self.member(
                device, _own(f"{name}.{member.name}"), _name(member.name, DI), member, values[member.name]
            )
        for member in (*DEVICE_MEMBERS, *READER_MEMBERS):
            await self.member(device, _own(f"{name}.{member.name}"), _name(member.name), member, values[member.name])
        own = _own(f"{name}.RuntimeParameters")
        group = await self._object(device, own, _name("RuntimeParameters"), di(1005))
        for member in PARAMETERS:
            own = _own(f"{name}.{member.name}")
            await self.member(group, own, _name(member.name), member, values[member.name])
        for method, act in methods:
            await self.method(device, _own(f"{name}.{method.name}"), method, act)
        server = self.node(standard(_IDS.Server))
        await server.add_reference(device, _IDS.HasNotifier)
        for notifier in (server, device):
            await notifier.set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        return device


def _own(path: str) -> ua.NodeId:
    return ua.NodeId(ua.String(path), ua.Int16(OWN))


def _name(name: str, namespace: int = AUTOID) -> ua.QualifiedName:
    return ua.QualifiedName(name, ua.UInt16(namespace))


def _empty(member: Member) -> Any:
    if member.rank > 0:
        return []
    empty: Mapping[ua.VariantType, Any] = {
        _TYPE.String: "",
        _TYPE.LocalizedText: ua.LocalizedText(""),
        _TYPE.Boolean: False,
        _TYPE.DateTime: ua.DateTime(1601, 1, 1),
    }
    return empty.get(member.kind, 0)


async def _make_abstract(node: Node) -> None:
    await node.write_attribute(ua.AttributeIds.IsAbstract, ua.DataValue(ua.Variant(True, _TYPE.Boolean)))


async def _not_here(parent: ua.NodeId, *arguments: ua.Variant) -> ua.StatusCode:
    """A type does nothing."""
    return ua.StatusCode(ua.UInt32(ua.StatusCodes.BadMethodInvalid))


EPC_CODE: Final = "EPC"
"""CodeTypeDataType of what tags of EPC Gen2 say (OPC 30010 table 32)."""
