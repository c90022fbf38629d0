"""The standard address space of OPC UA (namespace 0) without its cost.

asyncua builds 6000 nodes for every server, in a second or two and 39 MiB; a small server's clients see some hundred of
them. Here the nodes are made once for each version of asyncua and Python, kept as one file in the user's cache, loaded
once in a process, and turned into objects node by node when a server first touches them, each server its own.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import pickle
import struct
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from asyncua import ua
from asyncua.server import address_space
from asyncua.server.address_space import AddressSpace, NodeData, NodeManagementService

from lab.clock import EPOCH_NS, plant_clock
from lab.network.cache import read_cached, write_cached
from lab.network.containment import contain

contain(address_space)

_MAGIC: Final = b"iiotlab opcua nodes 1\n"
_HEAD: Final = struct.Struct("<II")
"""CRC-32 of all that follows it, number of nodes."""
_ENTRY: Final = struct.Struct("<II")
"""Identifier of a node, length of its blob; the blobs follow the entries in their order."""

_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "asyncua.server.address_space": ("AttributeValue", "NodeData"),
    "asyncua.ua.attribute_ids": ("AttributeIds",),
    "asyncua.ua.uaprotocol_auto": ("EUInformation", "EnumValueType", "NodeClass", "ReferenceDescription"),
    "asyncua.ua.uaprotocol_hand": ("Argument",),
    "asyncua.ua.uatypes": (
        "DataValue",
        "ExpandedNodeId",
        "LocalizedText",
        "NodeId",
        "NodeIdType",
        "NumericNodeId",
        "QualifiedName",
        "StatusCode",
        "Variant",
        "VariantType",
    ),
    "datetime": ("datetime",),
    "dateutil.tz.tz": ("tzutc",),
}
"""All that a node is made of, and so all that a cache file may name: a pickle can then build data and run nothing."""

_loaded: Mapping[int, bytes] | None = None
_making = threading.Lock()


class LazyNodes(MutableMapping[ua.NodeId, NodeData]):
    """The nodes of one server: its own, and those of namespace 0 it has touched; the rest are blobs."""

    def __init__(self, blobs: Mapping[int, bytes]) -> None:
        self._nodes: dict[ua.NodeId, NodeData] = {}
        self._blobs = blobs
        self._deleted: set[int] = set()

    def __getitem__(self, key: ua.NodeId) -> NodeData:
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = load_node(self._blobs[self._untouched(key)])
        return node

    def __setitem__(self, key: ua.NodeId, node: NodeData) -> None:
        self._nodes[key] = node

    def __delitem__(self, key: ua.NodeId) -> None:
        if self._nodes.pop(key, None) is None or key in self:
            self._deleted.add(self._untouched(key))

    def __contains__(self, key: object) -> bool:
        if key in self._nodes:
            return True
        try:
            self._untouched(key)
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[ua.NodeId]:
        yield from tuple(self._nodes)
        for identifier in self._blobs:
            key = ua.NodeId(ua.Int32(identifier))
            if key not in self._nodes and identifier not in self._deleted:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _untouched(self, key: object) -> int:
        """Which blob this key stands for; raises KeyError."""
        if isinstance(key, ua.NodeId) and key.NamespaceIndex == 0:
            identifier = key.Identifier
            if isinstance(identifier, int) and identifier in self._blobs and identifier not in self._deleted:
                return identifier
        raise KeyError(key)


async def standard_nodes() -> Mapping[int, bytes]:
    """The blobs of namespace 0 by identifier; takes two seconds, in a thread, the first time on a computer."""
    blobs = _from_cache()
    return await asyncio.to_thread(_make) if blobs is None else blobs


def load_node(blob: bytes) -> NodeData:
    """A node from its blob; raises pickle.UnpicklingError for one that names anything but parts of nodes."""
    return _NodeUnpickler(io.BytesIO(zlib.decompress(blob))).load()  # type: ignore[no-any-return]


def pack(blobs: Mapping[int, bytes]) -> bytes:
    """The cache file."""
    index = b"".join(_ENTRY.pack(identifier, len(blob)) for identifier, blob in blobs.items())
    body = index + b"".join(blobs.values())
    return _MAGIC + _HEAD.pack(zlib.crc32(body), len(blobs)) + body


def unpack(data: bytes) -> Mapping[int, bytes] | None:
    """The blobs from a cache file, or None where it is damaged."""
    at = len(_MAGIC) + _HEAD.size
    if not data.startswith(_MAGIC) or len(data) < at:
        return None
    checksum, count = _HEAD.unpack_from(data, len(_MAGIC))
    if zlib.crc32(data[at:]) != checksum:
        return None
    end = at + count * _ENTRY.size
    blobs = {}
    start = end
    for identifier, length in _ENTRY.iter_unpack(data[at:end]):
        blobs[identifier] = data[start : start + length]
        start += length
    return blobs


def cache_name() -> str:
    return f"opcua-nodes-{version('asyncua')}-{sys.implementation.cache_tag}.bin"


def _from_cache() -> Mapping[int, bytes] | None:
    global _loaded
    if _loaded is None and (data := read_cached(cache_name())) is not None:
        _loaded = unpack(data)
    return _loaded


def _make() -> Mapping[int, bytes]:
    global _loaded
    with _making:  # several servers may start at once: one makes, the others wait
        if (blobs := _loaded) is None:
            blobs = _loaded = _build()
            write_cached(cache_name(), pack(blobs))
    return blobs


def _build() -> dict[int, bytes]:
    from asyncua.server.standard_address_space import standard_address_space

    # asyncua stamps every attribute with the time it is made: the same nodes should come out on any day.
    token = plant_clock.set(lambda: EPOCH_NS)
    space = AddressSpace()
    standard_address_space.fill_address_space(NodeManagementService(space))
    plant_clock.reset(token)
    return {int(key.Identifier): zlib.compress(pickle.dumps(node, 5)) for key, node in space._nodes.items()}


@cache
def _allowed() -> Mapping[tuple[str, str], Any]:
    return {
        (module, name): getattr(importlib.import_module(module), name)
        for module in _CLASSES
        for name in _CLASSES[module]
    }


class _NodeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _allowed()[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a node") from None
