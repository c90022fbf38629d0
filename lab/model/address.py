"""Ethernet addresses between people's notation and the wire's six bytes."""

from __future__ import annotations

import hashlib
import re

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4}")


def parse_mac(text: str) -> bytes:
    """Read `02:1a:00:00:00:01` (or with hyphens) as six bytes; raises ValueError."""
    if not _MAC.fullmatch(text):
        raise ValueError(f"{text!r} is not a MAC address such as 02:1a:00:00:00:01")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def format_mac(mac: bytes) -> str:
    return mac.hex(":")


def mac_of(host: str, port: str) -> bytes:
    """The burnt-in address of a port: unicast, locally administered, the same in every run."""
    return b"\x02" + hashlib.sha256(f"{host}/{port}".encode()).digest()[:5]
