"""The standard address space comes out of its cache as asyncua would build it, and nothing else comes out."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import time
import zlib
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeManagementService
from asyncua.server.standard_address_space import standard_address_space
from hypothesis import given
from hypothesis import strategies as st

from devices.opcua import nodes as opcua_nodes
from devices.opcua.nodes import LazyNodes, cache_name, load_node, pack, standard_nodes, unpack

SERVER_STATUS = ua.NodeId(2256)


async def test_every_node_is_the_one_asyncua_builds() -> None:
    space = AddressSpace()
    standard_address_space.fill_address_space(NodeManagementService(space))
    lazy = LazyNodes(await standard_nodes())
    assert set(lazy) == set(space._nodes)
    for key, node in space._nodes.items():
        other = lazy[key]
        assert other.nodeid == node.nodeid
        assert other.references == node.references
        assert other.attributes.keys() == node.attributes.keys()
        for attribute, value in node.attributes.items():
            ours, theirs = other.attributes[attribute].value, value.value
            assert ours is not None
            assert theirs is not None
            assert (ours.Value, ours.StatusCode) == (theirs.Value, theirs.StatusCode)


async def test_two_servers_do_not_share_a_node() -> None:
    blobs = await standard_nodes()
    one, two = LazyNodes(blobs), LazyNodes(blobs)
    assert one[SERVER_STATUS] is one[SERVER_STATUS]
    assert one[SERVER_STATUS] is not two[SERVER_STATUS]


async def test_nodes_can_be_added_and_deleted_touched_or_not() -> None:
    lazy = LazyNodes(await standard_nodes())
    count = len(lazy)
    mine = ua.NodeId("mine", 2)
    lazy[mine] = lazy[SERVER_STATUS]
    assert (mine in lazy, len(lazy)) == (True, count + 1)
    untouched = ua.NodeId(2257)
    for key in (mine, SERVER_STATUS, untouched):
        del lazy[key]
        assert key not in lazy
        assert lazy.get(key) is None
        with pytest.raises(KeyError):
            del lazy[key]
    assert len(lazy) == count - 2
    assert ua.NodeId(2256, 2) not in lazy
    assert "2256" not in lazy


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process that has loaded nothing yet, with an empty cache; building is replaced by something quick."""
    monkeypatch.setenv("IIOTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(opcua_nodes, "_loaded", None)
    monkeypatch.setattr(opcua_nodes, "_build", lambda: {2256: b"built"})
    return tmp_path / cache_name()


def test_what_was_built_is_kept_for_the_next_process(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(standard_nodes()) == {2256: b"built"}
    monkeypatch.setattr(opcua_nodes, "_loaded", None)
    monkeypatch.setattr(opcua_nodes, "_build", lambda: pytest.fail("built again"))
    assert asyncio.run(standard_nodes()) == {2256: b"built"}
    fresh.unlink()
    assert asyncio.run(standard_nodes()) == {2256: b"built"}, "a process loads it once"


@pytest.mark.parametrize("damage", [b"", b"garbage", b"iiotlab opcua nodes 1\n", None])
def test_a_damaged_cache_is_built_again(fresh: Path, damage: bytes | None) -> None:
    whole = pack({2256: b"stale"})
    fresh.write_bytes(whole[:-1] + b"!" if damage is None else damage)
    fresh.chmod(0o600)
    assert asyncio.run(standard_nodes()) == {2256: b"built"}
    assert unpack(fresh.read_bytes()) == {2256: b"built"}


def test_servers_that_start_together_build_once(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    def build() -> dict[int, bytes]:
        built.append(1)
        time.sleep(0.05)  # long enough for the others to come too
        return {2256: b"built"}

    async def together() -> list[object]:
        return list(await asyncio.gather(*(standard_nodes() for _ in range(3))))

    monkeypatch.setattr(opcua_nodes, "_build", build)
    assert asyncio.run(together()) == [{2256: b"built"}] * 3
    assert len(built) == 1


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.binary(max_size=20), max_size=20))
def test_a_cache_file_comes_back_as_it_was(blobs: dict[int, bytes]) -> None:
    assert unpack(pack(blobs)) == blobs


@given(st.binary(max_size=200))
def test_any_other_file_is_no_cache(data: bytes) -> None:
    assert unpack(data) is None
    assert unpack(pack({1: b"abc"}) + data) is None or not data


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch exploited",)


def test_a_blob_cannot_name_what_is_no_part_of_a_node() -> None:
    with pytest.raises(pickle.UnpicklingError, match="no part of a node"):
        load_node(zlib.compress(pickle.dumps(Exploit())))


def test_the_file_is_the_users_alone(fresh: Path) -> None:
    asyncio.run(standard_nodes())
    assert fresh.is_file()
    if sys.platform != "win32":
        assert fresh.stat().st_mode & 0o077 == 0
