"""Marks for people: as text for a terminal, as JSON for programs, as one HTML page to print. Pure functions of data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from grading.score import CheckResult, Score, TaskResult
from grading.verdict import Outcome
from lab.text import Text, spoken

TITLE = Text(zh="成绩报告", en="Report")
SCORE = Text(zh="得分", en="Score")
OF = Text(zh="{earned} / {points} 分", en="{earned} of {points} points")
OPEN_POINTS = Text(zh="另有 {points} 分未能判定", en="{points} points undecided")
EARNED = Text(zh="得分", en="earned")
CHECK = Text(zh="检查项", en="Check")
SEEN = Text(zh="看到的情况", en="What was seen")
FRAMES = Text(zh="依据的报文", en="The frames it rests on")
GATED = Text(zh="因“{gate}”未通过而扣分", en="reduced because “{gate}” did not pass")
NUMBER, TIME = Text(zh="编号", en="No."), Text(zh="时间", en="Time")
FROM, TO = Text(zh="从", en="From"), Text(zh="到", en="To")
MEANING = Text(zh="内容", en="Meaning")
OUTCOMES: Final = {
    Outcome.PASSED: Text(zh="通过", en="passed"),
    Outcome.FAILED: Text(zh="未通过", en="failed"),
    Outcome.UNDECIDED: Text(zh="未判定", en="undecided"),
}
MARKS: Final = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.UNDECIDED: "?"}
_BAR: Final = 20


@dataclass(frozen=True, slots=True)
class FrameLine:
    """One frame in a line."""

    number: int
    at: float
    """Seconds since the run began."""
    source: str
    target: str
    summary: str


@dataclass(frozen=True, slots=True)
class Report:
    """A score, with what a reader wants to know about the attempt."""

    title: Text
    """Of the scenario."""
    score: Score
    facts: Sequence[tuple[Text, str]] = ()
    """About the attempt: what and its value, in the order of reading."""
    frames: Mapping[str, Sequence[FrameLine]] = field(default_factory=dict)
    """Those that a check's verdict rests on, by the check's id; each phase of an attempt numbers its own."""


def points(value: float) -> str:
    """Marks without a needless decimal."""
    return f"{value:g}"


def as_text(report: Report) -> str:
    """For a terminal, in the language now spoken."""
    score = report.score
    lines = [report.title.say(), ""]
    lines += [f"{what.say()}: {value}" for what, value in report.facts]
    for task in score.tasks:
        lines += ["", f"{task.title.say()}  [{task.item}]  {points(task.earned)}/{points(task.points)}"]
        for check in task.checks:
            lines.append(
                f"  {MARKS[check.verdict.outcome]} {check.title.say()}  {points(check.earned)}/{points(check.points)}"
            )
            lines += [f"      {why}" for why in _why(report, check)]
    full = round(_BAR * score.earned / score.points) if score.points else 0
    total = OF.say(earned=points(score.earned), points=points(score.points))
    lines += ["", f"{'█' * full}{'░' * (_BAR - full)}  {SCORE.say()}: {total}"]
    if score.undecided:
        lines.append(OPEN_POINTS.say(points=points(score.undecided)))
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> str:
    """For programs; sentences in both languages."""
    return json.dumps(as_data(report), ensure_ascii=False, indent=1, default=str) + "\n"


def as_data(report: Report) -> dict[str, Any]:
    """What `as_json` writes, as plain data."""
    score = report.score
    return {
        "title": report.title.both(),
        "facts": [{"what": what.both(), "value": value} for what, value in report.facts],
        "earned": score.earned,
        "points": score.points,
        "undecided": score.undecided,
        "tasks": [_task_data(report, task) for task in score.tasks],
    }


def _task_data(report: Report, task: TaskResult) -> dict[str, Any]:
    return {
        "id": task.id,
        "item": task.item,
        "title": task.title.both(),
        "earned": task.earned,
        "points": task.points,
        "checks": [
            {
                "id": check.id,
                "title": check.title.both(),
                "outcome": check.verdict.outcome.value,
                "earned": check.earned,
                "points": check.points,
                "undecided": check.undecided,
                "reason": check.verdict.reason,
                "sentence": check.sentence.both(),
                "facts": dict(check.verdict.facts),
                "gated_by": check.gated_by,
                "frames": list(check.verdict.frames),
            }
            for check in task.checks
        ],
    }


def as_html(report: Report) -> str:
    """One page that needs nothing else, in the language now spoken; prints well."""
    score = report.score
    total = OF.say(earned=points(score.earned), points=points(score.points))
    degrees = round(360 * score.earned / score.points) if score.points else 0
    undecided = f"<p class=open>{_e(OPEN_POINTS.say(points=points(score.undecided)))}</p>" if score.undecided else ""
    facts = "".join(f"<dt>{_e(what.say())}</dt><dd>{_e(value)}</dd>" for what, value in report.facts)
    tasks = "".join(_task_html(report, task) for task in score.tasks)
    return f"""<!doctype html>
<html lang="{"zh-CN" if spoken() == "zh" else "en"}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{_e(report.title.say())} · {_e(TITLE.say())}</title><style>{_STYLE}</style></head>
<body><header><div><h1>{_e(report.title.say())}</h1><p>{_e(TITLE.say())}</p><dl>{facts}</dl></div>
<div class=dial style="--part:{degrees}deg" role="img" aria-label="{_e(total)}"><div><b>{points(score.earned)}</b>
<span>/ {points(score.points)}</span></div></div></header>{undecided}
{tasks}
</body></html>
"""


def _task_html(report: Report, task: TaskResult) -> str:
    share = round(100 * task.earned / task.points) if task.points else 0
    rows = "".join(_check_html(report, check) for check in task.checks)
    return f"""<section><h2>{_e(task.title.say())} <small>{_e(task.item)}</small>
<span class=points>{points(task.earned)} / {points(task.points)}</span></h2>
<div class=bar><i style="width:{share}%"></i></div>
<table><thead><tr><th></th><th>{_e(CHECK.say())}</th><th>{_e(SEEN.say())}</th>
<th class=n>{_e(EARNED.say())}</th></tr></thead>
<tbody>{rows}</tbody></table></section>
"""


def _check_html(report: Report, check: CheckResult) -> str:
    outcome = check.verdict.outcome
    lines = report.frames.get(check.id, ())
    frames = ""
    if lines:
        head = "".join(f"<th>{_e(name.say())}</th>" for name in (NUMBER, TIME, FROM, TO, MEANING))
        body = "".join(
            f"<tr><td class=n>{line.number}</td><td class=n>{line.at:.6f}</td><td>{_e(line.source)}</td>"
            f"<td>{_e(line.target)}</td><td>{_e(line.summary)}</td></tr>"
            for line in lines
        )
        summary = f"<summary>{_e(FRAMES.say())} ({len(lines)})</summary>"
        frames = f"<details>{summary}<table class=frames><tr>{head}</tr>{body}</table></details>"
    why = "<br>".join(_e(sentence) for sentence in _why(report, check))
    return f"""<tr class={outcome.value}><td class=mark title="{_e(OUTCOMES[outcome].say())}">{MARKS[outcome]}</td>
<td>{_e(check.title.say())}</td><td>{why}{frames}</td>
<td class=n>{points(check.earned)} / {points(check.points)}</td></tr>
"""


def _why(report: Report, check: CheckResult) -> list[str]:
    sentences = [check.sentence.say()] if check.sentence.say() else []
    if check.gated_by:
        gate = report.score.checks()[check.gated_by].title.say()
        sentences.append(GATED.say(gate=gate))
    return sentences


def _e(text: str) -> str:
    return escape(text)


_STYLE: Final = """
:root{--ink:#1d2733;--soft:#667485;--line:#d9e0e7;--paper:#fff;--good:#16794a;--bad:#b3261e;--open:#8a6100;--key:#1f5fa8}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#98a5b3;--line:#33404d;--paper:#161c22;--good:#5cc48f;
--bad:#f28b82;--open:#e0b04c;--key:#7db4f0}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,"Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;color:var(--ink);
background:var(--paper);max-width:62rem;margin:0 auto;padding:2rem 1.25rem}
header{display:flex;justify-content:space-between;gap:2rem;align-items:center;border-bottom:2px solid var(--ink);
padding-bottom:1rem}
h1{font-size:1.6rem;margin:0}header p{margin:.1rem 0 .8rem;color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0;font-size:.9rem}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
.dial{flex:none;width:8rem;height:8rem;border-radius:50%;display:grid;place-items:center;
background:conic-gradient(var(--key) var(--part),var(--line) 0)}
.dial>div{width:6.4rem;height:6.4rem;border-radius:50%;background:var(--paper);display:grid;place-content:center;
text-align:center}.dial b{font-size:1.9rem;line-height:1}.dial span{color:var(--soft)}
.open{color:var(--open)}
section{margin:1.8rem 0;break-inside:avoid}
h2{font-size:1.1rem;margin:0 0 .3rem;display:flex;gap:.7rem;align-items:baseline}
h2 small{color:var(--soft);font-weight:400}h2 .points{margin-left:auto;font-variant-numeric:tabular-nums}
.bar{height:4px;background:var(--line);border-radius:2px;overflow:hidden}
.bar i{display:block;height:100%;background:var(--key)}
table{width:100%;border-collapse:collapse;margin-top:.5rem}th{font-weight:600;text-align:left;color:var(--soft);
font-size:.8rem}td,th{padding:.4rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.mark{font-weight:700;width:1.6rem}
.passed .mark{color:var(--good)}.failed .mark{color:var(--bad)}.undecided .mark{color:var(--open)}
details{margin-top:.3rem}summary{cursor:pointer;color:var(--key);font-size:.85rem}
.frames{font:12px/1.4 ui-monospace,Menlo,Consolas,"Noto Sans Mono CJK SC",monospace}
.frames td,.frames th{padding:.15rem .4rem}
@media print{body{padding:0;max-width:none}details:not([open])>*{display:none}}
@media(max-width:40rem){header{flex-direction:column;align-items:flex-start}}
"""
