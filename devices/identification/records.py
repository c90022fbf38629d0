"""The records that a node answers for: looking them up, making, changing and deleting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from devices.identification.authority import Authority
from devices.identification.failure import failure
from devices.identification.store import Store, Stored
from lab.text import Text
from lab.wire.handles import Code, Handle, HandleValue, Permission, Reference, ancestors, same_prefix

ELSEWHERE: Final = Text(zh="本节点不负责前缀 {prefix}", en="the prefix {prefix} does not live here")
NO_HANDLE: Final = Text(zh="没有标识 {handle}", en="there is no handle {handle}")
EXISTS: Final = Text(zh="标识 {handle} 已存在", en="the handle {handle} exists already")
NO_VALUES: Final = Text(zh="{handle} 没有这样的值", en="{handle} has no such values")
VALUE_EXISTS: Final = Text(zh="{handle} 已有序号 {index} 的值", en="{handle} has a value {index} already")
INDEX_TWICE: Final = Text(zh="序号 {index} 用了两次", en="the index {index} is used twice")
NOT_NAMED: Final = Text(
    zh="序号 {index} 不在请求的 index 之中", en="the index {index} is not among those of the request"
)
NOTHING: Final = Text(zh="没有值", en="there are no values")
PRIVATE: Final = Text(zh="{handle} 有不公开的值，需要认证", en="{handle} has values that are not public")
DISK_FULL: Final = Text(zh="磁盘已满", en="the disk is full")
STANDBY: Final = Text(zh="本节点是备节点，只读", en="this is a standby node and changes nothing")
TOO_MANY: Final = Text(zh="一个标识最多 {limit} 个值", en="a handle has at most {limit} values")

MOST_VALUES: Final = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which values of a record are asked for; all of them, or those of any of these types or indices."""

    types: Sequence[str] = ()
    """One that ends with a period means its subtypes, too."""
    indices: Sequence[int] = ()

    def has(self, value: HandleValue) -> bool:
        if not self.types and not self.indices:
            return True
        kind = value.type.upper()
        return value.index in self.indices or any(
            kind == wanted.rstrip(".").upper() or (wanted.endswith(".") and kind.startswith(wanted.upper()))
            for wanted in self.types
        )


class Records:
    """What a node answers for; every refusal is a Failure."""

    def __init__(
        self,
        store: Store,
        authority: Authority,
        prefixes: Iterable[str],
        now: Callable[[], int],
        has_room: Callable[[], bool],
    ) -> None:
        self._store, self._authority = store, authority
        self._now, self._has_room = now, has_room
        self.prefixes = list(prefixes)
        self.is_standby = False
        self.is_leaky = False
        """Whether `publicOnly=false` shows everything to everybody: training advisory IDN-SA-2026-01."""

    def is_responsible(self, handle: Handle) -> bool:
        """A node answers for its prefixes and for those derived from them, whose descriptions it has."""
        if not handle.is_of_a_prefix:
            return self._has(handle.prefix)
        derived_from = ancestors(handle.suffix)
        return self._has(handle.suffix) or (len(derived_from) > 1 and self._has(derived_from[-2]))

    # -- looking up ------------------------------------------------------------------------------------------------

    def resolve(
        self, handle: Handle, wanted: Selection, who: Reference | None = None, public_only: bool | None = None
    ) -> list[Stored]:
        """The values asked for that may be shown; `public_only` None: only what is public, unless somebody asks."""
        record = self._existing(handle)
        chosen = [stored for stored in record if wanted.has(stored.value)]
        if not chosen:
            raise failure(Code.VALUES_NOT_FOUND, NO_VALUES, handle=handle)
        public = [stored for stored in chosen if stored.value.is_public]
        if len(public) == len(chosen) or public_only is True or (public_only is None and who is None):
            shown = public
        elif who is None and self.is_leaky:
            shown = chosen
        elif who is None:
            raise failure(Code.AUTHENTICATION_NEEDED, PRIVATE, handle=handle)
        elif public_only is None and not self._authority.permissions(who, record) & Permission.READ_VALUE:
            shown = public
        else:
            self._authority.allow(who, handle, record, Permission.READ_VALUE)
            shown = chosen
        if not shown:
            raise failure(Code.VALUES_NOT_FOUND, NO_VALUES, handle=handle)
        return shown

    def handles(self, prefix: str, who: Reference | None, offset: int, limit: int) -> tuple[int, list[str]]:
        if not self._has(prefix):
            raise failure(Code.SERVER_NOT_RESPONSIBLE, ELSEWHERE, prefix=prefix)
        authority = Handle(prefix, "x").authority
        self._authority.allow(who, authority, self._store.record(authority), Permission.LIST_HANDLES)
        return self._store.handles(prefix, offset, limit)

    # -- changing --------------------------------------------------------------------------------------------------

    def write(
        self, handle: Handle, values: Sequence[HandleValue], who: Reference | None, *, overwrite: bool = True
    ) -> bool:
        """Make a record, or replace all of it; says whether anything is new."""
        self._check(handle, values)
        record = self._store.record(handle)
        if record and not overwrite:
            self._allow_making(handle, who)
            raise failure(Code.HANDLE_ALREADY_EXISTS, EXISTS, handle=handle)
        if not record:
            self._allow_making(handle, who)
            self._store.replace(handle, values, self._now())
            return True
        before = {stored.value.index: stored.value for stored in record}
        gone = [value for index, value in before.items() if index not in {each.index for each in values}]
        written = [value for value in values if before.get(value.index) != value]
        needed = _to_write(written, before) | _to_remove(gone)
        self._authority.allow(who, handle, record, needed)
        self._store.change(handle, [value.index for value in gone], written, self._now())
        return any(value.index not in before for value in written)

    def put(
        self,
        handle: Handle,
        values: Sequence[HandleValue],
        who: Reference | None,
        indices: Sequence[int] | None,
        *,
        overwrite: bool = True,
    ) -> bool:
        """Add or replace values of a record, those with these indices or any; says whether anything is new."""
        self._check(handle, values)
        for value in values:
            if indices is not None and value.index not in indices:
                raise failure(Code.INVALID_VALUE, NOT_NAMED, index=value.index)
        record = self._existing(handle)
        before = {stored.value.index: stored.value for stored in record}
        self._authority.allow(who, handle, record, _to_write(values, before))
        if len(before.keys() | {value.index for value in values}) > MOST_VALUES:
            raise failure(Code.INVALID_VALUE, TOO_MANY, limit=MOST_VALUES)
        for value in values:
            if value.index in before and not overwrite:
                raise failure(Code.VALUE_ALREADY_EXISTS, VALUE_EXISTS, handle=handle, index=value.index)
        self._store.change(handle, (), [value for value in values if before.get(value.index) != value], self._now())
        return any(value.index not in before for value in values)

    def delete(self, handle: Handle, who: Reference | None) -> None:
        self.check_primary()
        record = self._existing(handle)
        self._authority.allow(who, handle, record, Permission.DELETE_HANDLE)
        self._store.remove(handle)

    def remove(self, handle: Handle, indices: Sequence[int], who: Reference | None) -> None:
        """Take values out of a record."""
        self.check_primary()
        record = self._existing(handle)
        gone = [stored.value for stored in record if stored.value.index in indices]
        if not gone:
            raise failure(Code.VALUES_NOT_FOUND, NO_VALUES, handle=handle)
        self._authority.allow(who, handle, record, _to_remove(gone))
        self._store.change(handle, [value.index for value in gone], (), self._now())

    # -- what all of them do ---------------------------------------------------------------------------------------

    def check_responsible(self, handle: Handle) -> None:
        if not self.is_responsible(handle):
            raise failure(Code.SERVER_NOT_RESPONSIBLE, ELSEWHERE, prefix=handle.prefix)

    def _has(self, prefix: str) -> bool:
        return any(same_prefix(prefix, ours) for ours in self.prefixes)

    def _existing(self, handle: Handle) -> list[Stored]:
        self.check_responsible(handle)
        record = self._store.record(handle)
        if not record:
            raise failure(Code.HANDLE_NOT_FOUND, NO_HANDLE, handle=handle)
        return record

    def check_primary(self) -> None:
        if self.is_standby:
            raise failure(Code.OPERATION_NOT_SUPPORTED, STANDBY)

    def _check(self, handle: Handle, values: Sequence[HandleValue]) -> None:
        self.check_primary()
        self.check_responsible(handle)
        if not values:
            raise failure(Code.INVALID_VALUE, NOTHING)
        if len(values) > MOST_VALUES:
            raise failure(Code.INVALID_VALUE, TOO_MANY, limit=MOST_VALUES)
        seen: set[int] = set()
        for value in values:
            if value.index in seen:
                raise failure(Code.INVALID_VALUE, INDEX_TWICE, index=value.index)
            seen.add(value.index)
        if not self._has_room():
            raise failure(Code.ERROR, DISK_FULL)

    def _allow_making(self, handle: Handle, who: Reference | None) -> None:
        """Whoever administers the prefix makes handles under it (RFC 3651, section 3.2.1)."""
        needed = Permission.ADD_DERIVED_PREFIX if handle.is_of_a_prefix else Permission.ADD_HANDLE
        above = handle.authority
        if handle.is_of_a_prefix:
            derived_from = ancestors(handle.suffix)
            above = Handle(handle.prefix, derived_from[-2] if len(derived_from) > 1 else handle.suffix)
        self._authority.allow(who, above, self._store.record(above), needed)


def _to_write(values: Iterable[HandleValue], before: dict[int, HandleValue]) -> Permission:
    """What somebody needs to add or change these."""
    needed = Permission(0)
    for value in values:
        old = before.get(value.index)
        is_admin = value.is_admin or (old is not None and old.is_admin)
        if old is None:
            needed |= Permission.ADD_ADMIN if is_admin else Permission.ADD_VALUE
        elif old != value:
            needed |= Permission.MODIFY_ADMIN if is_admin else Permission.MODIFY_VALUE
    return needed


def _to_remove(values: Iterable[HandleValue]) -> Permission:
    needed = Permission(0)
    for value in values:
        needed |= Permission.REMOVE_ADMIN if value.is_admin else Permission.REMOVE_VALUE
    return needed
