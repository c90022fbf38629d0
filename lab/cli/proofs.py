"""`prove`: the table of scenarios, variants and checks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any, Final
from unicodedata import east_asian_width

from grading.verdict import Outcome
from lab.cli.progress import Progress
from lab.cli.trouble import NOT_WELL, OK, Refused
from lab.text import Text
from scenarios.catalogue import catalogue, find
from scenarios.prove import NEVER_LOST, Proof, Row
from scenarios.prove import prove as carry_out
from scenarios.scenario import Scenario

WHICH = Text(zh="要证明哪个场景？给出 id，或 --all", en="which scenario? give an id, or --all")
KINDS: Final = {
    "untouched": Text(zh="空手", en="untouched"),
    "right": Text(zh="正解", en="right"),
    "wrong": Text(zh="错解", en="wrong"),
}
TITLE = Text(zh="{scenario}，种子 {seed}", en="{scenario}, seed {seed}")
HOLDS = Text(
    zh="证明成立：{count} 个场景实例，{runs} 次验收", en="proven: {count} scenario instances, {runs} acceptance runs"
)
BROKEN = Text(zh="证明不成立：{which}", en="not proven: {which}")
LEGEND = Text(zh="● 通过  ✗ 未通过  ◐ 部分  ? 未判定", en="● passed  ✗ failed  ◐ partly  ? undecided")


def prove(options: argparse.Namespace) -> int:
    if not options.all and not options.scenarios:
        raise Refused(WHICH.say())
    folders = list(catalogue().values()) if options.all else [find(name) for name in options.scenarios]
    for folder in folders:
        Scenario.load(folder)
    with Progress() as progress:
        proofs = carry_out(folders, range(1, options.seeds + 1), processes=options.jobs, progress=progress.show)
    holds = all(proof.holds for proof in proofs)
    if options.json:
        print(json.dumps([_data(proof) for proof in proofs], ensure_ascii=False, indent=1))
        return OK if holds else NOT_WELL
    for proof in proofs:
        if options.seeds == 1 or not proof.holds:
            print("\n".join(_table(proof)))
            print()
    if holds:
        print(HOLDS.say(count=len(proofs), runs=sum(len(proof.rows) for proof in proofs)))
        return OK
    which = ", ".join(TITLE.say(scenario=proof.scenario, seed=proof.seed) for proof in proofs if not proof.holds)
    print(BROKEN.say(which=which))
    return NOT_WELL


def _table(proof: Proof) -> list[str]:
    checks = list(proof.rows[0].marked.checks)
    width = max(len(row.marked.job.variant) for row in proof.rows)
    lines = [TITLE.say(scenario=proof.scenario, seed=proof.seed)]
    lines += [f"  {number:>2} {check}" for number, check in enumerate(checks, 1)]
    lines.append(" " * (width + 14) + " ".join(f"{number:>2}" for number in range(1, len(checks) + 1)))
    for row in proof.rows:
        job = row.marked.job
        lamps = " ".join(f" {_lamp(row, check)}" for check in checks)
        mark = "✓" if row.holds else "✗"
        lines.append(
            f"{mark} {job.variant:<{width}} {_padded(KINDS[job.kind].say(), 9)} {lamps}  {row.marked.earned:>5g}"
        )
        lines += [f"    {what.say(**facts)}" for what, facts in row.complaints]
    lines += [f"✗ {NEVER_LOST.say(check=check)}" for check in proof.never_lost]
    lines.append(LEGEND.say())
    return lines


def _padded(text: str, cells: int) -> str:
    """Chinese characters take two cells each."""
    return text + " " * (cells - sum(2 if east_asian_width(character) in "WF" else 1 for character in text))


def _lamp(row: Row, check: str) -> str:
    seen = row.marked.checks[check]
    if seen.outcome is Outcome.PASSED:
        return "●"
    if seen.outcome is Outcome.UNDECIDED:
        return "?"
    return "◐" if seen.share else "✗"


def _data(proof: Proof) -> dict[str, Any]:
    rows: Sequence[Row] = proof.rows
    return {
        "scenario": proof.scenario,
        "seed": proof.seed,
        "holds": proof.holds,
        "never_lost": list(proof.never_lost),
        "variants": [
            {
                "variant": row.marked.job.variant,
                "kind": row.marked.job.kind,
                "earned": row.marked.earned,
                "holds": row.holds,
                "complaints": [what.say(**facts) for what, facts in row.complaints],
                "checks": {
                    check: {"outcome": seen.outcome.value, "share": seen.share, "why": seen.sentence.say()}
                    for check, seen in row.marked.checks.items()
                },
            }
            for row in rows
        ],
    }
