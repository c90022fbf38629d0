"""The Handle System: identifiers, the values of their records, and what servers answer over HTTP.

RFC 3650 to 3652, and the JSON of Handle.Net's technical manual (version 9, chapter 14). A record is a set of values, each
at an index of its own; administrators, too, are values of records, and are named `index:handle`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final

from lab.wire.malformed import Malformed

NAMING_AUTHORITY: Final = "0.NA"
"""The prefix of the handles that describe prefixes."""
RESERVED_INDEX: Final = 1001
"""Where the business API of an enterprise node keeps the template of a record."""

_MOST_CHARACTERS: Final = 255
_MOST_DATA: Final = 64 << 10
_MOST_TTL: Final = 2**31 - 1
_MOST_INDEX: Final = 2**31 - 1
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f]")
_PERMISSIONS: Final = re.compile("[01]{4}")
_ADMIN_PERMISSIONS: Final = re.compile("[01]{1,13}")
_FORMATS: Final = ("string", "base64", "hex", "admin", "vlist", "site", "key")


class Code(IntEnum):
    """Response codes (RFC 3652, section 3.2; the names are those of the reference implementation)."""

    SUCCESS = 1
    ERROR = 2
    SERVER_TOO_BUSY = 3
    PROTOCOL_ERROR = 4
    OPERATION_NOT_SUPPORTED = 5
    RECURSION_COUNT_TOO_HIGH = 6
    HANDLE_NOT_FOUND = 100
    HANDLE_ALREADY_EXISTS = 101
    INVALID_HANDLE = 102
    VALUES_NOT_FOUND = 200
    VALUE_ALREADY_EXISTS = 201
    INVALID_VALUE = 202
    SERVER_NOT_RESPONSIBLE = 301
    INVALID_ADMIN = 400
    INSUFFICIENT_PERMISSIONS = 401
    AUTHENTICATION_NEEDED = 402
    AUTHENTICATION_FAILED = 403
    INVALID_CREDENTIAL = 404
    AUTHENTICATION_ERROR = 406


def http_status(code: int, *, is_resolution: bool, is_new: bool = False) -> int:
    """The status with which a response code travels; `is_new` for what has just been made."""
    if code == Code.SUCCESS:
        return 201 if is_new else 200
    if code == Code.VALUES_NOT_FOUND:
        return 200 if is_resolution else 400
    return _STATUS.get(code) or (403 if 400 <= code <= 499 else 500 if code < 100 else 400)


_STATUS: Final[Mapping[int, int]] = {
    Code.SERVER_TOO_BUSY: 503,
    Code.PROTOCOL_ERROR: 400,
    Code.OPERATION_NOT_SUPPORTED: 403,
    Code.HANDLE_NOT_FOUND: 404,
    Code.HANDLE_ALREADY_EXISTS: 409,
    Code.VALUE_ALREADY_EXISTS: 409,
    Code.AUTHENTICATION_NEEDED: 401,
    Code.AUTHENTICATION_FAILED: 401,
}


class Permission(IntFlag):
    """What the administrator of a record may do (RFC 3651, section 3.2.1); written as a binary number."""

    ADD_HANDLE = 0x001
    DELETE_HANDLE = 0x002
    ADD_DERIVED_PREFIX = 0x004
    DELETE_DERIVED_PREFIX = 0x008
    MODIFY_VALUE = 0x010
    REMOVE_VALUE = 0x020
    ADD_VALUE = 0x040
    MODIFY_ADMIN = 0x080
    REMOVE_ADMIN = 0x100
    ADD_ADMIN = 0x200
    READ_VALUE = 0x400
    LIST_HANDLES = 0x800


ALL_PERMISSIONS: Final = ~Permission(0)


@dataclass(frozen=True, slots=True)
class Handle:
    """`prefix/suffix`; ASCII letters of either case are the same."""

    prefix: str
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Handle:
        """Raises Malformed."""
        prefix, slash, suffix = text.partition("/")
        if not (slash and prefix and suffix):
            raise Malformed(f"a handle is prefix/suffix, {text[:80]!r} is not")
        if len(text) > _MOST_CHARACTERS:
            raise Malformed(f"a handle has at most {_MOST_CHARACTERS} characters, this has {len(text)}")
        if _FORBIDDEN.search(text):
            raise Malformed(f"a handle has no spaces and no control characters, {text[:80]!r} has")
        if any(not segment for segment in prefix.split(".")):
            raise Malformed(f"the prefix {prefix[:80]!r} has an empty segment")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Malformed("a handle is Unicode text") from None
        return cls(prefix, suffix)

    @property
    def key(self) -> str:
        """The same for all the ways in which this handle can be written (RFC 3651, section 2)."""
        return _upper(str(self))

    @property
    def authority(self) -> Handle:
        """The handle that describes this one's prefix."""
        return Handle(NAMING_AUTHORITY, self.prefix)

    @property
    def is_of_a_prefix(self) -> bool:
        return self.prefix.upper() == NAMING_AUTHORITY

    def __str__(self) -> str:
        return f"{self.prefix}/{self.suffix}"


def same_prefix(one: str, other: str) -> bool:
    return _upper(one) == _upper(other)


def ancestors(prefix: str) -> list[str]:
    """The prefix and those that it is derived from, the shortest first: 88, 88.900, 88.900.C."""
    segments = prefix.split(".")
    return [".".join(segments[:count]) for count in range(1, len(segments) + 1)]


def _upper(text: str) -> str:
    return "".join(each.upper() if each.isascii() else each for each in text)


@dataclass(frozen=True, slots=True)
class Reference:
    """An administrator: the value at `index` of the record of `handle`; index 0 is any."""

    index: int
    handle: Handle

    @classmethod
    def parse(cls, text: str) -> Reference:
        """`index:handle`; raises Malformed."""
        index, colon, handle = text.partition(":")
        if not colon or not index.isascii() or not index.isdecimal() or len(index) > 10:
            raise Malformed(f"an administrator is index:handle, {text[:80]!r} is not")
        return cls(int(index), Handle.parse(handle))

    def covers(self, other: Reference) -> bool:
        return self.handle.key == other.handle.key and self.index in (0, other.index)

    def __str__(self) -> str:
        return f"{self.index}:{self.handle}"


@dataclass(frozen=True, slots=True)
class HandleValue:
    """One value of a record."""

    index: int
    type: str
    format: str
    data: Any
    """Text, or for `admin`, `vlist`, `site` and `key` what their JSON says."""
    ttl: int = 86_400
    """Seconds for which it may be remembered."""
    permissions: str = "1110"
    """Read and write of administrators, read and write of everybody, as 0 and 1."""

    @property
    def is_public(self) -> bool:
        return self.permissions[2] == "1"

    @property
    def is_admin(self) -> bool:
        return self.type.upper() == "HS_ADMIN"

    @property
    def text(self) -> str:
        return self.data if isinstance(self.data, str) else ""

    def encode(self, timestamp: str) -> dict[str, Any]:
        """As JSON; `timestamp` is ISO 8601. Permissions are told where they are not the usual ones."""
        said: dict[str, Any] = {
            "index": self.index,
            "type": self.type,
            "data": {"format": self.format, "value": self.data},
            "ttl": self.ttl,
            "timestamp": timestamp,
        }
        return said if self.permissions == "1110" else {**said, "permissions": self.permissions}


def decode_value(document: Any) -> HandleValue:
    """A value as JSON says it; what the server gives, such as `timestamp`, is ignored. Raises Malformed."""
    if not isinstance(document, Mapping):
        raise Malformed("a value is an object with index, type and data")
    kind = document.get("type")
    index = _whole(document.get("index"), 1, _MOST_INDEX, "index is a whole number from 1")
    where = f"value {index}"
    if not isinstance(kind, str) or not 0 < len(kind) <= 128 or _FORBIDDEN.search(kind):
        raise Malformed(f"{where}: type is a word, not {_short(kind)}")
    ttl = _whole(document.get("ttl", 86_400), 0, _MOST_TTL, f"{where}: ttl is a whole number of seconds")
    # What everybody can read is no secret.
    usual = "1100" if isinstance(kind, str) and kind.upper() == "HS_SECKEY" else "1110"
    permissions = document.get("permissions", usual)
    if not isinstance(permissions, str) or not _PERMISSIONS.fullmatch(permissions):
        raise Malformed(f"{where}: permissions are four digits 0 or 1, not {_short(permissions)}")
    data = document.get("data")
    form, content = "string", data
    if isinstance(data, Mapping):
        form, content = data.get("format", "string"), data.get("value")
    if form not in _FORMATS:
        raise Malformed(f"{where}: format is one of {', '.join(_FORMATS)}, not {_short(form)}")
    try:
        content = _checked(form, content)
    except Malformed as error:
        raise Malformed(f"{where}: {error}") from None
    # The types that servers rely on have formats of their own.
    expected = {"HS_ADMIN": "admin", "HS_VLIST": "vlist", "HS_SITE": "site", "HS_SITE.PREFIX": "site"}.get(kind.upper())
    if expected is not None and form != expected:
        raise Malformed(f"{where}: the format of {kind} is {expected}, not {form}")
    return HandleValue(index, kind, form, content, ttl, permissions)


def permissions_of(admin: HandleValue) -> Permission:
    """What a value of type HS_ADMIN allows."""
    return Permission(int(admin.data["permissions"], 2) & 0xFFF)


def reference_of(document: Mapping[str, Any]) -> Reference:
    """The administrator that `{handle, index}` names."""
    return Reference(int(document["index"]), Handle.parse(document["handle"]))


@dataclass(frozen=True, slots=True)
class Server:
    """Where a site answers over HTTP."""

    address: str
    port: int
    is_primary: bool


def servers_of(site: HandleValue) -> list[Server]:
    """The servers of a value of type HS_SITE that resolve over HTTP, in the order of the record."""
    found = []
    for server in site.data.get("servers", ()):
        for interface in server.get("interfaces", ()):
            if interface.get("query") and interface["protocol"].upper() == "HTTP":
                found.append(Server(server["address"], interface["port"], bool(site.data.get("primarySite"))))
                break
    return found


def _checked(form: str, content: Any) -> Any:
    """What a value says, as it is kept; raises Malformed."""
    if form in ("string", "base64", "hex"):
        if not isinstance(content, str):
            raise Malformed(f"the value of {form} is text, not {_short(content)}")
        if len(content) > _MOST_DATA:
            raise Malformed(f"data has at most {_MOST_DATA} characters, this has {len(content)}")
        try:
            content.encode()
            if form == "base64":
                base64.b64decode(content, validate=True)
            elif form == "hex":
                bytes.fromhex(content)
        except UnicodeEncodeError:
            raise Malformed("data is Unicode text") from None
        except (binascii.Error, ValueError):
            raise Malformed(f"{_short(content)} is not {form}") from None
        return content
    if form == "admin":
        permissions = content.get("permissions") if isinstance(content, Mapping) else None
        if not isinstance(permissions, str) or not _ADMIN_PERMISSIONS.fullmatch(permissions):
            raise Malformed("permissions of an administrator are 0 and 1, such as 011111110011")
        return {**_checked_reference(content), "permissions": permissions}
    if form == "vlist":
        if not isinstance(content, list) or len(content) > 1000:
            raise Malformed("a vlist is a list of at most 1000 {handle, index}")
        return [_checked_reference(each) for each in content]
    if form == "site":
        _check_site(content)
        return content
    if not isinstance(content, Mapping) or len(content) > 20 or not all(map(_is_short_text, content.values())):
        raise Malformed("a key is a JSON Web Key, an object of texts (RFC 7517)")
    return content


def _checked_reference(content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping) or not isinstance(content.get("handle"), str):
        raise Malformed("an administrator is {handle, index}")
    index = _whole(content.get("index"), 0, _MOST_INDEX, "the index of an administrator is a whole number")
    return {"handle": str(Handle.parse(content["handle"])), "index": index}


def _check_site(content: Any) -> None:
    servers = content.get("servers") if isinstance(content, Mapping) else None
    if not isinstance(servers, list) or not 0 < len(servers) <= 20:
        raise Malformed("a site has servers, 1 to 20 of them")
    for server in servers:
        interfaces = server.get("interfaces") if isinstance(server, Mapping) else None
        if not isinstance(interfaces, list) or len(interfaces) > 20 or not _is_address(server.get("address")):
            raise Malformed("a server has an address and a list of interfaces")
        for each in interfaces:
            if not isinstance(each, Mapping) or not isinstance(each.get("protocol"), str):
                raise Malformed("an interface has protocol, port, query and admin")
            if not isinstance(each.get("port"), int) or not 0 < each["port"] < 65536:
                raise Malformed(f"a port is 1 to 65535, not {_short(each.get('port'))}")


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", value) is not None


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 10_000 and value.isascii()


def _whole(value: Any, least: int, most: int, what: str) -> int:
    """A whole number, which clients also write as text; raises Malformed."""
    number = value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 10:
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise Malformed(f"{what}, not {_short(value)}")
    return number


def _short(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, int):
        return repr(value) if value.bit_length() < 128 else "…"
    return repr(value) if value is None or isinstance(value, (bool, float)) else type(value).__name__
