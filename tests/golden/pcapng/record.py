"""Makes foreign.pcapng and merged.pcapng anew: captures written by dumpcap, editcap and mergecap, as tshark reads them.

Needs root, dumpcap, editcap, mergecap, tshark and ping.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
FIELDS = ("frame.number", "frame.time_epoch", "frame.interface_name", "frame.cap_len", "frame.encap_type")


def capture(path: Path, interface: str, *options: str) -> None:
    """Two pings over loopback: eight packets, all of them seen before dumpcap is asked to stop."""
    dumpcap = subprocess.Popen(
        ["dumpcap", "-q", "-i", interface, "-f", "icmp", "-c", "4", "-w", str(path), *options], stderr=subprocess.PIPE
    )
    assert dumpcap.stderr is not None
    while b"File:" not in dumpcap.stderr.readline():
        pass
    subprocess.run(["ping", "-c", "2", "-i", "0.2", "-s", "21", "127.0.0.1"], check=True, stdout=subprocess.DEVNULL)
    dumpcap.wait(10)


def describe(path: Path) -> None:
    command = ["tshark", "-r", str(path), "-T", "fields", "-E", "separator=|", *(w for f in FIELDS for w in ("-e", f))]
    lines = subprocess.check_output(command, text=True).splitlines()
    rows = [dict(zip(FIELDS, line.split("|"), strict=True)) for line in lines]
    path.with_suffix(".json").write_text(json.dumps(rows, indent=0) + "\n")


def main() -> None:
    foreign, cooked, classic, merged = (
        HERE / name for name in ("foreign.pcapng", "c", "classic.pcap", "merged.pcapng")
    )
    capture(foreign, "lo", "--capture-comment", "回环 loopback", "-s", "50")
    capture(cooked, "any")
    subprocess.run(["editcap", "-F", "nsecpcap", str(foreign), str(classic)], check=True)
    # With bare names, for mergecap writes them into the file.
    parts = [path.name for path in (foreign, cooked, classic)]
    subprocess.run(["mergecap", "-w", merged.name, *parts], check=True, cwd=HERE)
    cooked.unlink()
    describe(foreign)
    describe(merged)


if __name__ == "__main__":
    main()
