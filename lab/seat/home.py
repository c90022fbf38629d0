"""Where an installation keeps what is its own: the key it seals evidence with, and the attempts of its people."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY: Final = "key.pem"


def home() -> Path:
    """The data directory of this user; IIOTLAB_HOME overrides it."""
    if chosen := os.environ.get("IIOTLAB_HOME"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "iiotlab"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "iiotlab"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "iiotlab"


def folder_for(scenario: str, seed: int) -> Path:
    """Where an attempt is worked on unless another folder is named."""
    return home() / "attempts" / f"{scenario}-{seed}"


def installation_key() -> Ed25519PrivateKey:
    """The key that seals evidence here, made when first asked for; raises OSError, and ValueError for a damaged file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = home() / _KEY
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        pem = _make_key(path)
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")
    return key


def _make_key(path: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Complete before it has its name: two programs that start together must end up with one key.
    temporary = path.with_name(f"{_KEY}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes()
