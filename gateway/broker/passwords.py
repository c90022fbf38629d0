"""Passwords as mosquitto 2 stores them: `$7$iterations$salt$hash`, PBKDF2 with SHA-512, salt and hash in base64.

What mosquitto_passwd writes can be copied into a configuration here, and the other way round.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from typing import NamedTuple

PREFIX = "$7$"
ITERATIONS = 101
"""As mosquitto_passwd takes by default."""
MAX_ITERATIONS = 200_000
"""About a tenth of a second, which a login may take and no more."""
_SIZE = 64


class Hashed(NamedTuple):
    iterations: int
    salt: bytes
    digest: bytes


def hash_password(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The form in which a password may stand in a configuration; `salt` is 12 bytes nobody can guess."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, _SIZE)
    return f"{PREFIX}{iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@lru_cache(maxsize=256)
def parse_hash(text: str) -> Hashed:
    """Read that form; raises ValueError."""
    try:
        _, _, iterations, salt, digest = text.split("$")
        found = Hashed(int(iterations), base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if not 1 <= found.iterations <= MAX_ITERATIONS or not found.salt or len(found.digest) != _SIZE:
        raise ValueError(text)
    return found


def is_right(stored: str, given: bytes | None) -> bool:
    """Whether this is the password that is stored, hashed or plain."""
    if not stored.startswith(PREFIX):
        return hmac.compare_digest(stored.encode(), given or b"")
    hashed = parse_hash(stored)
    return hmac.compare_digest(
        hashlib.pbkdf2_hmac("sha512", given or b"", hashed.salt, hashed.iterations, _SIZE), hashed.digest
    )
