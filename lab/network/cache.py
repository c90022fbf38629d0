"""Files that cost time to make and nothing to lose, kept for this user between runs."""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

_logger = logging.getLogger(__name__)


def cache_directory() -> Path:
    """IIOTLAB_CACHE, or where this system keeps a user's caches."""
    if chosen := os.environ.get("IIOTLAB_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "iiotlab" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "iiotlab"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iiotlab"


def read_cached(name: str) -> bytes | None:
    """The file, or None where it is missing, is not a plain file, or others could have written it."""
    path = cache_directory() / name
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            # Windows gives a user's profile to that user alone, and has no such bits.
            if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
                _logger.warning("%s is not used: it belongs to, or can be written by, somebody else", path)
                return None
            return file.read()
    except OSError:
        return None


def write_cached(name: str, data: bytes) -> None:
    """Put the file there in one piece, for this user only; a cache that cannot be written is done without."""
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f"{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, directory / name)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        _logger.warning("cannot keep %s in %s: %s", name, directory, error.strerror)
