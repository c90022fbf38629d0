"""Thing models: the properties, events and services that the devices of a product have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from devices.web.reasons import Reason, Refused, refusal, shown
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

NOT_AN_ID: Final = Text(
    zh="{name!r} 不能作标识：须为 1–64 个可见字符，且不含空白和 / + #",
    en="{name!r} cannot be an identifier: 1 to 64 visible characters without blanks, / + and #",
)
MIN_ABOVE_MAX: Final = Text(zh="min {low:g} 大于 max {high:g}", en="min {low:g} is above max {high:g}")
NOT_FOR_TYPE: Final = Text(zh="类型 {type} 没有 {key}", en="the type {type} has no {key}")
NEEDS: Final = Text(zh="类型 {type} 需要 {key}", en="the type {type} needs {key}")
NESTED: Final = Text(zh="结构体的成员不能再是结构体", en="a field of a struct cannot be a struct itself")

NOT_OF_TYPE: Final = Text(zh="{name}：应为 {type}，实际是 {value}", en="{name}: expected {type}, found {value}")
NOT_FINITE: Final = Text(zh="{name}：不是有限的数（{value}）", en="{name}: not a finite number ({value})")
TOO_BIG: Final = Text(zh="{name}：{value} 超出 64 位整数", en="{name}: {value} does not fit in 64 bits")
OUT_OF_RANGE: Final = Text(
    zh="{name}：{value} 超出范围 {low} … {high}", en="{name}: {value} is outside of {low} … {high}"
)
NOT_A_STEP: Final = Text(
    zh="{name}：{value} 不是步长 {step:g} 的整数倍", en="{name}: {value} is not on the step {step:g}"
)
NOT_IN_ENUM: Final = Text(zh="{name}：{value} 不在枚举之中（{known}）", en="{name}: {value} is none of {known}")
TOO_LONG: Final = Text(
    zh="{name}：文本有 {length} 个字符，上限 {limit}", en="{name}: a text of {length} characters, the limit is {limit}"
)
UNKNOWN_FIELD: Final = Text(zh="{name}：结构体没有成员 {field}", en="{name}: the struct has no field {field}")
MISSING_FIELD: Final = Text(zh="{name}：缺少成员 {field}", en="{name}: the field {field} is missing")
UNKNOWN_INPUT: Final = Text(zh="{service} 没有参数 {field}", en="{service} has no parameter {field}")
MISSING_INPUT: Final = Text(zh="{service} 缺少参数 {field}", en="{service} needs the parameter {field}")

Value = float | int | bool | str | dict[str, Any]
"""What a property can hold; a struct is a mapping of plain values."""
TypeName = Literal["int", "float", "double", "bool", "enum", "text", "struct"]

MAX_MEMBERS: Final = 500
"""Properties, events, services, fields or parameters, each."""
MAX_TEXT: Final = 10_240
INT64: Final = range(-(2**63), 2**63)


def _identifier(value: str) -> str:
    if not 1 <= len(value) <= 64 or any(c in "/+#" or c.isspace() or not c.isprintable() for c in value):
        raise KnownValueError(NOT_AN_ID, name=value[:70])
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
"""May become one level of a topic."""
Title = Annotated[str, Field(max_length=200)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

_HAS_LIMITS: Final = ("int", "float", "double")


class Datum(Strict):
    """One value: its type, and what it may be."""

    type: TypeName = Field(description="数据类型。 Data type.")
    name: Title = Field("", description="显示名称。 Display name.")
    unit: str = Field("", max_length=20, description="单位。 Unit.")
    min: Finite | None = Field(None, description="下限。 Lower limit.")
    max: Finite | None = Field(None, description="上限。 Upper limit.")
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="步长，只检查写入的值。 Step, of which only written values are checked."
    )
    enum: dict[int, Title] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="枚举值及其含义。 Values of an enumeration."
    )
    length: int = Field(2048, ge=1, le=MAX_TEXT, description="文本最大长度。 Longest text, in characters.")
    fields: dict[Identifier, Datum] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="结构体成员。 Fields of a struct."
    )

    @model_validator(mode="after")
    def _fits_its_type(self) -> Datum:
        for key, types in (("min", _HAS_LIMITS), ("max", _HAS_LIMITS), ("step", _HAS_LIMITS)):
            if getattr(self, key) is not None and self.type not in types:
                raise KnownValueError(NOT_FOR_TYPE, type=self.type, key=key)
        for key, wanted in (("enum", "enum"), ("fields", "struct")):
            if getattr(self, key) and self.type != wanted:
                raise KnownValueError(NOT_FOR_TYPE, type=self.type, key=key)
            if not getattr(self, key) and self.type == wanted:
                raise KnownValueError(NEEDS, type=self.type, key=key)
        if any(each.type == "struct" for each in self.fields.values()):
            raise KnownValueError(NESTED)
        if self.min is not None and self.max is not None and self.min > self.max:
            raise KnownValueError(MIN_ABOVE_MAX, low=self.min, high=self.max)
        return self

    def check(self, name: str, value: Any, *, written: bool = False) -> Value:
        """The value as it is kept; raises Refused. A value to be written to a device must also be on its step."""
        match self.type:
            case "bool":
                if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
                    return bool(value)
            case "text":
                if isinstance(value, str):
                    return self._text(name, value)
            case "struct":
                if isinstance(value, dict):
                    return self._struct(name, value, written=written)
            case "enum":
                if isinstance(value, int) and not isinstance(value, bool):
                    if value not in self.enum:
                        known = ", ".join(map(str, self.enum))
                        raise refusal("not-in-enum", NOT_IN_ENUM, name=name, value=shown(value), known=shown(known))
                    return value
            case _:
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    return self._number(name, value, written=written)
        raise refusal("wrong-type", NOT_OF_TYPE, name=name, type=self.type, value=shown(value))

    def _number(self, name: str, value: float | int, *, written: bool) -> float | int:
        if isinstance(value, float) and not math.isfinite(value):
            raise refusal("not-finite", NOT_FINITE, name=name, value=value)
        if isinstance(value, int) and value not in INT64:
            raise refusal("too-big", TOO_BIG, name=name, value=shown(value))
        if self.type == "int" and isinstance(value, float):
            if not value.is_integer() or int(value) not in INT64:
                raise refusal("wrong-type", NOT_OF_TYPE, name=name, type=self.type, value=value)
            value = int(value)
        if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            low = "-∞" if self.min is None else f"{self.min:g}"
            high = "∞" if self.max is None else f"{self.max:g}"
            raise refusal("out-of-range", OUT_OF_RANGE, name=name, value=value, low=low, high=high)
        if written and self.step is not None:
            steps = (value - (self.min or 0.0)) / self.step
            if not math.isclose(steps, round(steps), abs_tol=1e-6):
                raise refusal("not-a-step", NOT_A_STEP, name=name, value=value, step=self.step)
        return value

    def _text(self, name: str, value: str) -> str:
        if len(value) > self.length:
            raise refusal("too-long", TOO_LONG, name=name, length=len(value), limit=self.length)
        return storable(name, value)

    def _struct(self, name: str, value: Mapping[str, Any], *, written: bool) -> dict[str, Any]:
        for key in value:
            if key not in self.fields:
                raise refusal("unknown-field", UNKNOWN_FIELD, name=name, field=shown(key))
        for key in self.fields:
            if key not in value:
                raise refusal("missing-field", MISSING_FIELD, name=name, field=key)
        return {key: each.check(f"{name}.{key}", value[key], written=written) for key, each in self.fields.items()}


def storable(name: str, value: str) -> str:
    """JSON can say half a surrogate pair, which no file can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(
            Reason("wrong-type", NOT_OF_TYPE, {"name": name, "type": "text", "value": shown(value)})
        ) from None
    return value


class Property(Datum):
    """Something a device has, that it reports and that may be written."""

    access: Literal["r", "rw"] = Field("r", description="r 只读，rw 可写。 r: read, rw: read and written.")
    required: bool = Field(False, description="是否必须上报。 Whether devices must have it.")


class Event(Strict):
    """Something a device tells once."""

    name: Title = Field("", description="显示名称。 Display name.")
    level: Literal["info", "alert", "error"] = Field("info", description="级别。 Level.")
    outputs: dict[Identifier, Datum] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="内容。 What it says."
    )


class Service(Strict):
    """Something a device does when it is asked to."""

    name: Title = Field("", description="显示名称。 Display name.")
    inputs: dict[Identifier, Datum] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="参数。 Parameters."
    )
    outputs: dict[Identifier, Datum] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="结果。 Results."
    )

    def check(self, service: str, parameters: Mapping[str, Any]) -> dict[str, Value]:
        """The parameters as they are sent; raises Refused."""
        return checked_members(service, self.inputs, parameters)


def checked_members(service: str, known: Mapping[str, Datum], given: Mapping[str, Any]) -> dict[str, Value]:
    """Exactly the known members, each as it should be; raises Refused."""
    for key in given:
        if key not in known:
            raise refusal("unknown-parameter", UNKNOWN_INPUT, service=service, field=shown(key))
    for key in known:
        if key not in given:
            raise refusal("missing-parameter", MISSING_INPUT, service=service, field=key)
    return {key: each.check(key, given[key], written=True) for key, each in known.items()}


class ThingModel(Strict):
    """What all devices of a product can say and do."""

    properties: dict[Identifier, Property] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="属性。 Properties."
    )
    events: dict[Identifier, Event] = Field(default_factory=dict, max_length=MAX_MEMBERS, description="事件。 Events.")
    services: dict[Identifier, Service] = Field(
        default_factory=dict, max_length=MAX_MEMBERS, description="服务。 Services."
    )
