"""Object identifiers by number and by the names MIBs give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from devices.console.arguments import BadValue
from devices.snmp.device import Oid
from lab.text import Text

NOT_AN_OID = Text(
    zh="{value!r} 不是对象标识：写 1.3.6.1.2.1.1 这样的编号，或 sysDescr.0、ifTable 这样的名称",
    en="{value!r} is no object identifier such as 1.3.6.1.2.1.1, sysDescr.0 or ifTable",
)

_LONGEST: Final = 128
"""RFC 2578 section 3.5"""
_COLUMNS: Final[Mapping[str, Mapping[int, str]]] = {
    "1.3.6.1.2.1.1": dict(
        enumerate(
            ("sysDescr", "sysObjectID", "sysUpTime", "sysContact", "sysName", "sysLocation", "sysServices"), start=1
        )
    ),
    "1.3.6.1.2.1.2.2.1": {
        1: "ifIndex",
        2: "ifDescr",
        3: "ifType",
        4: "ifMtu",
        5: "ifSpeed",
        6: "ifPhysAddress",
        7: "ifAdminStatus",
        8: "ifOperStatus",
        9: "ifLastChange",
        10: "ifInOctets",
        11: "ifInUcastPkts",
        13: "ifInDiscards",
        14: "ifInErrors",
        16: "ifOutOctets",
        17: "ifOutUcastPkts",
        19: "ifOutDiscards",
        20: "ifOutErrors",
    },
    "1.3.6.1.2.1.31.1.1.1": {
        1: "ifName",
        6: "ifHCInOctets",
        10: "ifHCOutOctets",
        15: "ifHighSpeed",
        17: "ifConnectorPresent",
        18: "ifAlias",
    },
    "1.3.6.1.2.1.17.1": {1: "dot1dBaseBridgeAddress", 2: "dot1dBaseNumPorts", 3: "dot1dBaseType"},
    "1.3.6.1.2.1.17.2": {
        2: "dot1dStpPriority",
        4: "dot1dStpTopChanges",
        5: "dot1dStpDesignatedRoot",
        6: "dot1dStpRootCost",
        7: "dot1dStpRootPort",
    },
    "1.3.6.1.2.1.17.2.15.1": {1: "dot1dStpPort", 3: "dot1dStpPortState", 5: "dot1dStpPortPathCost"},
    "1.3.6.1.2.1.17.4.3.1": {1: "dot1dTpFdbAddress", 2: "dot1dTpFdbPort", 3: "dot1dTpFdbStatus"},
    "1.3.6.1.2.1.17.7.1.2.2.1": {2: "dot1qTpFdbPort", 3: "dot1qTpFdbStatus"},
    "1.3.6.1.2.1.17.7.1.4.3.1": {
        1: "dot1qVlanStaticName",
        2: "dot1qVlanStaticEgressPorts",
        4: "dot1qVlanStaticUntaggedPorts",
        5: "dot1qVlanStaticRowStatus",
    },
    "1.3.6.1.2.1.17.7.1.4.5.1": {1: "dot1qPvid"},
    "1.0.8802.1.1.2.1.4.1.1": {
        5: "lldpRemChassisId",
        7: "lldpRemPortId",
        8: "lldpRemPortDesc",
        9: "lldpRemSysName",
        10: "lldpRemSysDesc",
    },
}
_TREES: Final[Mapping[str, str]] = {
    "mib-2": "1.3.6.1.2.1",
    "system": "1.3.6.1.2.1.1",
    "interfaces": "1.3.6.1.2.1.2",
    "ifNumber": "1.3.6.1.2.1.2.1",
    "ifTable": "1.3.6.1.2.1.2.2",
    "ifXTable": "1.3.6.1.2.1.31.1.1",
    "dot1dBridge": "1.3.6.1.2.1.17",
    "dot1dTpFdbTable": "1.3.6.1.2.1.17.4.3",
    "dot1qTpFdbTable": "1.3.6.1.2.1.17.7.1.2.2",
    "dot1qVlanStaticTable": "1.3.6.1.2.1.17.7.1.4.3",
    "lldpRemTable": "1.0.8802.1.1.2.1.4.1",
    "lldpMIB": "1.0.8802.1.1.2",
}


def _arcs(text: str) -> Oid:
    return tuple(map(int, text.split(".")))


_BY_OID: Final[Mapping[Oid, str]] = {
    **{_arcs(number): name for name, number in _TREES.items() if name == "ifNumber"},
    **{(*_arcs(entry), column): name for entry, columns in _COLUMNS.items() for column, name in columns.items()},
}
_BY_NAME: Final[Mapping[str, Oid]] = {name: _arcs(number) for name, number in _TREES.items()} | {
    name: oid for oid, name in _BY_OID.items()
}


def oid(value: str) -> Oid:
    """A type for argparse."""
    name, dot, rest = value.partition(".")
    known = _BY_NAME.get(name.rpartition("::")[2])
    text = rest if known is not None else value.removeprefix(".")
    parts = text.split(".") if text else []
    if (known is not None and dot and not text) or not all(each.isascii() and each.isdigit() for each in parts):
        raise BadValue(NOT_AN_OID, value=value)
    arcs = (*(known or ()), *(int(each[:11]) for each in parts))
    good = 2 <= len(arcs) <= _LONGEST and max(arcs) < 2**32 and arcs[0] <= 2 and (arcs[0] == 2 or arcs[1] < 40)
    if not good:
        raise BadValue(NOT_AN_OID, value=value)
    return arcs


def name_of(arcs: Oid) -> str:
    """`ifDescr.2`, or the number with a dot before it."""
    for length in range(len(arcs), 6, -1):
        name = _BY_OID.get(arcs[:length])
        if name is not None:
            return ".".join((name, *map(str, arcs[length:])))
    return "." + ".".join(map(str, arcs))
