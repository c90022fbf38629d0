"""Templates: which values the records of an enterprise have, and who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from devices.web.reasons import refusal
from lab.model.document import KnownValueError
from lab.text import Text
from lab.wire.handles import RESERVED_INDEX, Handle, HandleValue, decode_value
from lab.wire.malformed import Malformed

BACKWARDS: Final = Text(
    zh="minLength {least} 大于 maxLength {most}", en="minLength {least} is more than maxLength {most}"
)
TWICE: Final = Text(zh="idIndex {index} 用了两次", en="idIndex {index} is used twice")
RESERVED: Final = Text(zh="序号 {index} 由系统保留", en="the index {index} is reserved")
NOT_IN_TEMPLATE: Final = Text(zh="模板 {version} 中没有序号 {index}", en="template {version} has no index {index}")
OTHER_TYPE: Final = Text(
    zh="序号 {index} 的类型应为 {expected}，不是 {type}", en="the type of index {index} is {expected}, not {type}"
)
NOT_STRING: Final = Text(zh="序号 {index} 的格式应为 string", en="the format of index {index} is string")
MISSING: Final = Text(zh="缺少必填项 {index}（{type}）", en="the required {index} ({type}) is missing")
LENGTH: Final = Text(
    zh="序号 {index} 的长度 {length} 应在 {least} 到 {most} 之间",
    en="index {index} has {length} characters instead of {least} to {most}",
)
BAD_VALUE: Final = Text(zh="无效的值：{why}", en="invalid value: {why}")

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-\u4e00-\u9fff]{1,64}$")]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Document):
    """One value that records have."""

    idType: Word  # noqa: N815 - the interface's own names, here and below
    idIndex: int = Field(ge=2000, le=2**31 - 1)  # noqa: N815
    name: str = Field("", max_length=100)
    required: bool = False
    minLength: int = Field(0, ge=0, le=65_536)  # noqa: N815
    maxLength: int = Field(1024, ge=1, le=65_536)  # noqa: N815
    visibility: Literal["public", "partner", "owner"] = "public"

    @model_validator(mode="after")
    def _forwards(self) -> Item:
        if self.minLength > self.maxLength:
            raise KnownValueError(BACKWARDS, least=self.minLength, most=self.maxLength)
        return self


class Template(_Document):
    """Only a published one can be used, and it cannot be changed any more."""

    prefix: str = Field(min_length=1, max_length=100)
    version: Word
    name: str = Field("", max_length=100)
    items: list[Item] = Field(min_length=1, max_length=200)
    status: Literal["draft", "published"] = "draft"

    @model_validator(mode="after")
    def _indices_differ(self) -> Template:
        seen: set[int] = set()
        for item in self.items:
            if item.idIndex in seen:
                raise KnownValueError(TWICE, index=item.idIndex)
            seen.add(item.idIndex)
        return self

    def values(self, documents: Sequence[Any], *, is_complete: bool = True) -> list[HandleValue]:
        """Values as somebody registers them, with the permissions of the template; raises Refused."""
        items = {item.idIndex: item for item in self.items}
        found: dict[int, HandleValue] = {}
        for document in documents:
            try:
                value = decode_value(document)
            except Malformed as error:
                raise refusal("invalid", BAD_VALUE, why=error) from None
            item = items.get(value.index)
            if value.index == RESERVED_INDEX:
                raise refusal("reserved", RESERVED, index=value.index)
            if item is None:
                raise refusal("not-in-template", NOT_IN_TEMPLATE, version=self.version, index=value.index)
            if value.index in found:
                raise refusal("twice", TWICE, index=value.index)
            if value.type != item.idType:
                raise refusal("type", OTHER_TYPE, index=value.index, expected=item.idType, type=value.type)
            if value.format != "string":
                raise refusal("format", NOT_STRING, index=value.index)
            if not item.minLength <= len(value.text) <= item.maxLength:
                facts = {"length": len(value.text), "least": item.minLength, "most": item.maxLength}
                raise refusal("length", LENGTH, index=value.index, **facts)
            permissions = "1110" if item.visibility == "public" else "1100"
            found[value.index] = HandleValue(value.index, value.type, "string", value.text, value.ttl, permissions)
        for item in self.items:
            if is_complete and item.required and item.idIndex not in found:
                raise refusal("missing", MISSING, index=item.idIndex, type=item.idType)
        return list(found.values())

    def shows(self, index: int, role: str) -> bool:
        """Whether somebody in this role may see the value at an index."""
        item = next((each for each in self.items if each.idIndex == index), None)
        visibility = "owner" if item is None else item.visibility
        return role in ("admin", "registrar") or visibility == "public" or (role, visibility) == ("partner", "partner")


class Registration(_Document):
    """A record to be made, or values of one to be changed."""

    handle: str = Field(min_length=1, max_length=255)
    templateVersion: Word | None = None  # noqa: N815
    value: list[Any] = Field(max_length=200)
    overwrite: bool = False
    """Of an update: whether values that it does not name are taken out."""


class Batch(_Document):
    """Records to be made, each on its own."""

    data: list[Registration] = Field(min_length=1, max_length=200)


def template_value(version: str) -> HandleValue:
    """By what template a record has been made."""
    return HandleValue(RESERVED_INDEX, "TEMPLATE", "string", version)


def admin_value(index: int, handle: Handle) -> HandleValue:
    """The administrator of a registered record, who may do with it what the reference implementation's default allows."""
    data = {"handle": str(handle), "index": index, "permissions": "011111110011"}
    return HandleValue(100, "HS_ADMIN", "admin", data)
