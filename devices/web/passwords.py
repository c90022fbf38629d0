"""Passwords as they are kept: PBKDF2 with SHA-256, written as Django writes it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from random import Random
from typing import Final

_ITERATIONS: Final = 20_000
"""Ten milliseconds of a computer of today; a server of the open internet takes thirty times as many."""
_FORM: Final = re.compile(r"pbkdf2_sha256\$([1-9][0-9]{2,5})\$([A-Za-z0-9./=+_-]{8,64})\$([A-Za-z0-9+/=]{44})")


def is_hash(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def hashed(password: str, random: Random, iterations: int = _ITERATIONS) -> str:
    salt = f"{random.getrandbits(96):024x}"
    return f"pbkdf2_sha256${iterations}${salt}${_digest(password, salt, iterations)}"


def matches(password: str, kept: str) -> bool:
    """`kept` is a hash that `is_hash` has seen."""
    _, iterations, salt, digest = kept.split("$")
    return hmac.compare_digest(_digest(password, salt, int(iterations)), digest)


def _digest(password: str, salt: str, iterations: int) -> str:
    raw = hashlib.pbkdf2_hmac("sha256", password.encode(errors="surrogatepass"), salt.encode(), iterations)
    return base64.b64encode(raw).decode()
