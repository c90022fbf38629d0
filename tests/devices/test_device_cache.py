"""The user's cache: for this user only, in one piece, and never a reason to fail."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from lab.network.cache import cache_directory, read_cached, write_cached

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IIOTLAB_CACHE", str(tmp_path / "deep" / "cache"))
    return cache_directory()


def test_what_was_written_is_read(cache: Path) -> None:
    assert read_cached("thing") is None
    write_cached("thing", b"one")
    write_cached("thing", b"two")
    assert read_cached("thing") == b"two"
    assert [path.name for path in cache.iterdir()] == ["thing"]


@posix_only
def test_it_is_for_this_user_only(cache: Path) -> None:
    write_cached("thing", b"data")
    assert (cache / "thing").stat().st_mode & 0o777 == 0o600
    assert cache.stat().st_mode & 0o777 == 0o700


@posix_only
def test_a_file_that_others_may_write_is_not_believed(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cached("thing", b"data")
    (cache / "thing").chmod(0o620)
    with caplog.at_level(logging.WARNING):
        assert read_cached("thing") is None
    assert "somebody else" in caplog.text


@posix_only
def test_a_file_of_another_user_is_not_believed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cached("thing", b"data")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert read_cached("thing") is None


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"a file where the directory should be")
    with caplog.at_level(logging.WARNING):
        write_cached("thing", b"data")
    assert "cannot keep thing" in caplog.text
    assert read_cached("thing") is None


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/iiotlab"),
        ("linux", {}, "/home/me/.cache/iiotlab"),
        ("darwin", {"XDG_CACHE_HOME": "/x/cache"}, "/home/me/Library/Caches/iiotlab"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/iiotlab/Cache"),
        ("win32", {}, "/home/me/AppData/Local/iiotlab/Cache"),
    ],
)
def test_it_lies_where_this_system_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("IIOTLAB_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache_directory() == Path(expected)
