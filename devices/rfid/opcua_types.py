"""Data types of OPC UA for AutoID devices (OPC 30010 sections 9.1 to 9.4), with the node ids of its namespace.

asyncua keeps what it can decode by node id, for all servers of a process together; so the index of the namespace is the
same in every reader.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.common.structures104 import make_enum, make_structure

from devices.rfid.settings import DeviceStatus

DI_URI: Final = "http://opcfoundation.org/UA/DI/"
AUTOID_URI: Final = "http://opcfoundation.org/UA/AutoID/"
OWN, DI, AUTOID = 2, 3, 4
"""Indices of the namespaces: the reader's own objects, device integration, AutoID."""
_IDS: Final = ua.ObjectIds


def standard(number: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number), ua.Int16(0))


def di(number: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number), ua.Int16(DI))


def autoid(number: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number), ua.Int16(AUTOID))


@dataclass(frozen=True, slots=True)
class Enumeration:
    number: int
    values: int
    """Node id of its property EnumValues."""
    name: str
    members: tuple[tuple[str, int], ...]

    def definition(self) -> ua.EnumDefinition:
        """The value of its attribute DataTypeDefinition."""
        return ua.EnumDefinition(
            Fields=[
                ua.EnumField(Name=ua.String(name), Value=ua.Int64(value), DisplayName=ua.LocalizedText(name))
                for name, value in self.members
            ]
        )


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: ua.NodeId
    is_array: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    number: int
    encoding: int
    """Node id of its binary encoding."""
    name: str
    fields: tuple[Field, ...]
    """Inherited ones first."""
    base: ua.NodeId = standard(_IDS.Structure)  # noqa: RUF009
    is_union: bool = False
    is_abstract: bool = False

    def definition(self) -> ua.StructureDefinition:
        """The value of its attribute DataTypeDefinition."""
        kind = ua.StructureType.Structure
        if self.is_union:
            kind = ua.StructureType.Union
        elif any(each.is_optional for each in self.fields):
            kind = ua.StructureType.StructureWithOptionalFields
        fields = [
            ua.StructureField(
                Name=ua.String(each.name),
                DataType=each.type,
                ValueRank=ua.Int32(1 if each.is_array else -1),
                IsOptional=each.is_optional,
            )
            for each in self.fields
        ]
        return ua.StructureDefinition(
            DefaultEncodingId=autoid(self.encoding), BaseDataType=self.base, StructureType=kind, Fields=fields
        )


_OPERATIONS: Final = (
    "SUCCESS MISC_ERROR_TOTAL MISC_ERROR_PARTIAL PERMISSON_ERROR PASSWORD_ERROR REGION_NOT_FOUND_ERROR "
    "OP_NOT_POSSIBLE_ERROR OUT_OF_RANGE_ERROR NO_IDENTIFIER MULTIPLE_IDENTIFIERS READ_ERROR DECODING_ERROR MATCH_ERROR "
    "CODE_NOT_SUPPORTED WRITE_ERROR NOT_SUPPORTED_BY_DEVICE NOT_SUPPORTED_BY_TAG DEVICE_NOT_READY INVALID_CONFIGURATION "
    "RF_COMMUNICATION_ERROR DEVICE_FAULT TAG_HAS_LOW_BATTERY"
)
"""In the order of their values; the missing letter is the specification's."""

DEVICE_STATUS: Final = Enumeration(
    3003, 6029, "DeviceStatusEnumeration", tuple((each.name.capitalize(), each.value) for each in DeviceStatus)
)
LOCATION_TYPE: Final = Enumeration(
    3009, 6040, "LocationTypeEnumeration", (("NMEA", 0), ("LOCAL", 1), ("WGS84", 2), ("NAME", 3))
)
OPERATION_STATUS: Final = Enumeration(
    3013,
    6201,
    "AutoIdOperationStatusEnumeration",
    tuple((name, value) for value, name in enumerate(_OPERATIONS.split())),
)
ENUMERATIONS: Final = (DEVICE_STATUS, LOCATION_TYPE, OPERATION_STATUS)

NMEA, LOCATION_NAME, CODE_TYPE = 3012, 3021, 3031
STRINGS: Final[Mapping[int, str]] = {
    NMEA: "NmeaCoordinateString",
    LOCATION_NAME: "LocationName",
    CODE_TYPE: "CodeTypeDataType",
}
"""Subtypes of String."""

_INT32, _DOUBLE, _STRING = standard(_IDS.Int32), standard(_IDS.Double), standard(_IDS.String)
_UINT16, _UTC_TIME, _UNION = standard(_IDS.UInt16), standard(_IDS.UtcTime), standard(_IDS.Union)

_SCAN_RESULT: Final = (
    Field("CodeType", autoid(CODE_TYPE)),
    Field("ScanData", autoid(3020)),
    Field("Timestamp", _UTC_TIME),
    Field("Location", autoid(3008), is_optional=True),
)
STRUCTURES: Final = (
    Structure(3011, 5017, "AntennaNameIdPair", (Field("AntennaId", _INT32), Field("AntennaName", _STRING))),
    Structure(
        3019,
        5028,
        "LocalCoordinate",
        (
            Field("X", _DOUBLE),
            Field("Y", _DOUBLE),
            Field("Z", _DOUBLE),
            Field("Timestamp", _UTC_TIME),
            Field("DilutionOfPrecision", _DOUBLE),
            Field("UsefulPrecision", _INT32),
        ),
    ),
    Structure(
        3027,
        5046,
        "WGS84Coordinate",
        (
            Field("N/S Hemisphere", _STRING),
            Field("Latitude", _DOUBLE),
            Field("E/W Hemisphere", _STRING),
            Field("Longitude", _DOUBLE),
            Field("Altitude", _DOUBLE),
            Field("Timestamp", _UTC_TIME),
            Field("DilutionOfPrecision", _DOUBLE),
            Field("UsefulPrecisionLatLon", _INT32),
            Field("UsefulPrecisionAlt", _INT32),
        ),
    ),
    Structure(
        3008,
        5013,
        "Location",
        (
            Field("NMEA", autoid(NMEA)),
            Field("Local", autoid(3019)),
            Field("WGS84", autoid(3027)),
            Field("Name", autoid(LOCATION_NAME)),
        ),
        base=_UNION,
        is_union=True,
    ),
    Structure(
        3024,
        5036,
        "ScanDataEpc",
        (
            Field("PC", _UINT16),
            Field("UId", standard(_IDS.ByteString)),
            Field("XPC_W1", _UINT16),
            Field("XPC_W2", _UINT16),
        ),
    ),
    Structure(
        3020,
        5030,
        "ScanData",
        (
            Field("ByteString", standard(_IDS.ByteString)),
            Field("String", _STRING),
            Field("Epc", autoid(3024)),
            Field("Custom", standard(_IDS.BaseDataType)),
        ),
        base=_UNION,
        is_union=True,
    ),
    Structure(
        3006,
        5009,
        "RfidSighting",
        (
            Field("Antenna", _INT32),
            Field("Strength", _INT32),
            Field("Timestamp", _UTC_TIME),
            Field("CurrentPowerLevel", _INT32),
        ),
    ),
    Structure(3001, 5002, "ScanResult", _SCAN_RESULT, is_abstract=True),
    Structure(
        3007,
        5011,
        "RfidScanResult",
        (*_SCAN_RESULT, Field("Sighting", autoid(3006), is_array=True)),
        base=autoid(3001),
    ),
    Structure(
        3010,
        5015,
        "ScanSettings",
        (
            Field("Duration", standard(_IDS.Duration)),
            Field("Cycles", _INT32),
            Field("DataAvailable", standard(_IDS.Boolean)),
            Field("LocationType", autoid(3009), is_optional=True),
        ),
    ),
)
"""Each behind those it is made of."""


@functools.cache
def classes() -> Mapping[str, Any]:
    """The classes by which asyncua reads and writes the structures, by name."""
    for each in ENUMERATIONS:
        made_enum = make_enum(each.name, each.definition(), option_set=False)
        ua.uatypes.register_enum(each.name, autoid(each.number), made_enum[each.name])
    for number, name in STRINGS.items():
        ua.uatypes.basetype_by_datatype[autoid(number)] = name
        setattr(ua, name, ua.String)
    made: dict[str, Any] = {}
    for structure in STRUCTURES:
        definition = structure.definition()
        made.update(make_structure(autoid(structure.number), structure.name, definition))
        ua.register_extension_object(
            structure.name, autoid(structure.encoding), made[structure.name], autoid(structure.number)
        )
    return made
