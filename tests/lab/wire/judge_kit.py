"""Frames as tshark reads them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from scapy.utils import PcapWriter


def dissect(tshark: str, folder: Path, frames: Sequence[bytes], *fields: str) -> list[list[str]]:
    """The named fields of every frame; fails where tshark finds one malformed or something to warn of."""
    path = folder / "frames.pcap"
    with PcapWriter(str(path), linktype=1) as writer:
        for frame in frames:
            writer.write(frame)
    command = [tshark, "-r", str(path), "-T", "fields", "-E", "separator=|", "-E", "occurrence=a"]
    names = ("_ws.malformed", "_ws.expert.message", *fields)
    command += [word for name in names for word in ("-e", name)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    rows = [line.split("|") for line in done.stdout.splitlines()]
    assert len(rows) == len(frames)
    for row in rows:
        assert row[:2] == ["", ""], row
    return [row[2:] for row in rows]
