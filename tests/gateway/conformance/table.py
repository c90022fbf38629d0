"""Statement | ours | mosquitto: `python tests/gateway/conformance/table.py` examines both and prints the table."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

WORDS = {"passed": "yes", "failed": "NO", "skipped": "-", "xfailed": "no"}


class Results:
    """What became of each statement at each broker."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and not (report.when == "setup" and report.skipped):
            return
        found = re.fullmatch(r"test_mqtt_(.+)\[(.+)\]", report.nodeid.split("::")[-1])
        if found:
            outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            self.of[found[1]][found[2]] = WORDS[outcome]


def numbered(statement: str) -> tuple[str, str]:
    """`3_1_0_1_the_first …` as its number and its words."""
    found = re.match(r"((?:\d+_)+)(.*)", statement)
    assert found is not None
    number = found[1].strip("_").split("_")
    name = ".".join(number[:3]) + ("-" + number[3] if len(number) > 3 else "")
    return (f"MQTT-{name}" if len(number) > 3 else name), found[2].replace("_", " ")


def main() -> int:
    results = Results()
    code = pytest.main(["-q", "--no-header", "--tb=line", str(Path(__file__).parent)], plugins=[results])
    brokers = sorted({broker for outcome in results.of.values() for broker in outcome}, reverse=True)
    print("| statement | what | " + " | ".join(brokers) + " |")
    print("|---|---|" + "---|" * len(brokers))
    for statement, outcome in results.of.items():
        number, words = numbered(statement)
        print(f"| {number} | {words} | " + " | ".join(outcome.get(broker, "-") for broker in brokers) + " |")
    numbers = {numbered(statement)[0] for statement in results.of}
    print(f"\n{len(results.of)} tests of {len(numbers)} statements")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
