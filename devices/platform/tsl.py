"""Thing models as JSON in the style of Alibaba Cloud's TSL (Thing Specification Language), out and in.

Numbers in `specs` are texts there; both are read. What we have no place for (`unitName`, `schema`, `extendConfig` …)
is left out on import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from devices.platform.model import Datum, Event, Property, Service, ThingModel
from devices.web.reasons import refusal, shown
from devices.web.validation import first_complaint
from lab.text import Text

NOT_TSL: Final = Text(zh="TSL：{where} 应为{expected}", en="TSL: {where} should be {expected}")
TWICE: Final = Text(zh="TSL：{where} 中 {name} 出现两次", en="TSL: {name} comes twice in {where}")
INVALID: Final = Text(zh="TSL：{why}", en="TSL: {why}")
NO_NUMBER: Final = Text(zh="TSL：{where} 的 {key} 不是数：{value}", en="TSL: {key} of {where} is no number: {value}")
A_LIST: Final = Text(zh="列表", en="a list")
AN_OBJECT: Final = Text(zh="对象", en="an object")
A_TEXT: Final = Text(zh="文本", en="a text")

_WORDS: Final[Mapping[str, str]] = {"int32": "int", "long": "int", "string": "text"}
"""Names that other platforms give to the same types."""


def to_tsl(product: str, model: ThingModel) -> dict[str, Any]:
    return {
        "profile": {"productKey": product},
        "properties": [
            {
                **_member(identifier, each),
                "accessMode": each.access,
                "required": each.required,
            }
            for identifier, each in model.properties.items()
        ],
        "events": [
            {
                "identifier": identifier,
                "name": each.name,
                "type": each.level,
                "method": f"thing.event.{identifier}.post",
                "outputData": [_member(name, datum) for name, datum in each.outputs.items()],
            }
            for identifier, each in model.events.items()
        ],
        "services": [
            {
                "identifier": identifier,
                "name": each.name,
                "callType": "sync",
                "method": f"thing.service.{identifier}",
                "inputData": [_member(name, datum) for name, datum in each.inputs.items()],
                "outputData": [_member(name, datum) for name, datum in each.outputs.items()],
            }
            for identifier, each in model.services.items()
        ],
    }


def from_tsl(document: Any) -> ThingModel:
    """Raises Refused, naming the first thing that is wrong."""
    root = _object(document, "/")
    try:
        return ThingModel(
            properties={
                name: Property(
                    **_datum(each, name), access=each.get("accessMode", "r"), required=each.get("required", False)
                )
                for name, each in _members(root, "properties")
            },
            events={
                name: Event(
                    name=each.get("name", ""), level=each.get("type", "info"), outputs=_data(each, "outputData")
                )
                for name, each in _members(root, "events")
            },
            services={
                name: Service(
                    name=each.get("name", ""), inputs=_data(each, "inputData"), outputs=_data(each, "outputData")
                )
                for name, each in _members(root, "services")
            },
        )
    except ValidationError as error:
        raise refusal("bad-tsl", INVALID, why=first_complaint(error)) from None


def _member(identifier: str, datum: Datum) -> dict[str, Any]:
    return {"identifier": identifier, "name": datum.name, "dataType": _data_type(datum)}


def _data_type(datum: Datum) -> dict[str, Any]:
    specs: Any
    match datum.type:
        case "bool":
            specs = {"0": "false", "1": "true"}
        case "enum":
            specs = {str(value): title for value, title in datum.enum.items()}
        case "text":
            specs = {"length": str(datum.length)}
        case "struct":
            specs = [_member(name, each) for name, each in datum.fields.items()]
        case _:
            limits = {"min": datum.min, "max": datum.max, "step": datum.step}
            specs = {name: f"{limit!r}" for name, limit in limits.items() if limit is not None}
            if datum.unit:
                specs["unit"] = datum.unit
    return {"type": datum.type, "specs": specs}


def _data(owner: Mapping[str, Any], key: str) -> dict[str, Datum]:
    return {name: Datum(**_datum(each, name)) for name, each in _members(owner, key)}


def _datum(member: Mapping[str, Any], name: str) -> dict[str, Any]:
    data_type = _object(member.get("dataType"), f"{name}.dataType")
    kind = data_type.get("type")
    kind = _WORDS.get(kind, kind) if isinstance(kind, str) else kind
    made: dict[str, Any] = {"type": kind, "name": member.get("name", "")}
    specs = data_type.get("specs", {})
    if kind == "struct":
        made["fields"] = _data({"specs": specs}, "specs")
        return made
    specs = _object(specs, f"{name}.specs")
    if kind == "enum":
        made["enum"] = {_whole(value, name): title for value, title in specs.items()}
    elif kind == "text" and "length" in specs:
        made["length"] = _whole(specs["length"], name)
    elif kind in ("int", "float", "double"):
        for key in ("min", "max", "step"):
            if specs.get(key) not in (None, ""):
                made[key] = _number(specs[key], key, name)
        made["unit"] = specs.get("unit") or ""
    return made


def _members(owner: Mapping[str, Any], key: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    listed = owner.get(key)
    if listed is None:
        return
    if not isinstance(listed, list):
        raise refusal("bad-tsl", NOT_TSL, where=key, expected=A_LIST)
    seen: set[str] = set()
    for each in listed:
        member = _object(each, key)
        name = member.get("identifier")
        if not isinstance(name, str):
            raise refusal("bad-tsl", NOT_TSL, where=f"{key}.identifier", expected=A_TEXT)
        if name in seen:
            raise refusal("bad-tsl", TWICE, where=key, name=shown(name))
        seen.add(name)
        yield name, member


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise refusal("bad-tsl", NOT_TSL, where=where, expected=AN_OBJECT)
    return value


def _number(value: Any, key: str, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise refusal("bad-tsl", NO_NUMBER, where=where, key=key, value=shown(value)) from None


def _whole(value: Any, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise refusal("bad-tsl", NO_NUMBER, where=where, key="specs", value=shown(value)) from None
