"""Marks: shares, gates, and points that nobody has won or lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading.report import FrameLine, Report, as_data, as_html, as_text
from grading.score import Score, score
from grading.verdict import Verdict, failed, passed, undecided
from lab.text import Text, speak


@dataclass(frozen=True)
class Check:
    id: str
    points: float
    gate: str | None = None

    @property
    def name(self) -> Text:
        return Text(zh=f"检查 {self.id}", en=f"check {self.id}")

    def sentence(self, verdict: Verdict) -> Text:
        return Text(zh=f"因为 {verdict.reason}", en=f"because {verdict.reason} <b>")


A_TASK = Text(zh="任务", en="a task")


@dataclass(frozen=True)
class Task:
    checks: tuple[Check, ...]
    id: str = "task"
    item: str = "J-1.2.3"
    name: Text = A_TASK


def marks(*checks: Check, **verdicts: Verdict) -> Score:
    return score([Task(checks)], verdicts)


def test_a_check_earns_the_share_its_verdict_grants() -> None:
    result = marks(Check("a", 60), Check("b", 40), a=passed(), b=failed("half", share=0.5))
    assert (result.earned, result.points, result.is_full) == (80, 100, False)


def test_a_failed_gate_takes_the_points_behind_it_and_is_named() -> None:
    result = marks(Check("a", 50), Check("b", 50, gate="a"), a=failed("no"), b=passed())
    assert result.earned == 0
    assert result.checks()["b"].gated_by == "a"


def test_a_half_open_gate_halves() -> None:
    assert marks(Check("a", 0), Check("b", 50, gate="a"), a=failed("half", share=0.5), b=passed()).earned == 25


def test_gates_may_stand_in_a_row() -> None:
    row = (Check("a", 10), Check("b", 10, gate="a"), Check("c", 10, gate="b"))
    assert marks(*row, a=failed("no"), b=passed(), c=passed()).earned == 0


def test_undecided_points_are_neither_won_nor_lost() -> None:
    result = marks(Check("a", 60), Check("b", 40), a=passed(), b=undecided("our-bug"))
    assert (result.earned, result.undecided) == (60, 40)
    assert not result.is_full


def test_behind_an_undecided_gate_everything_that_would_be_earned_is_undecided() -> None:
    result = marks(Check("a", 60), Check("b", 40, gate="a"), a=undecided("our-bug"), b=passed())
    assert (result.earned, result.undecided) == (0, 100)


def test_a_check_without_a_verdict_is_undecided() -> None:
    assert marks(Check("a", 100)).undecided == 100


shares = st.one_of(st.just(passed()), st.just(undecided("x")), st.floats(0, 1).map(lambda s: failed("x", share=s)))


@given(st.lists(st.tuples(st.floats(0, 50), shares, st.integers(0, 5)), min_size=1, max_size=6))
def test_nobody_earns_more_than_there_is(drawn: list[tuple[float, Verdict, int]]) -> None:
    checks = [
        Check(str(number), points, str(gate) if gate < number else None)
        for number, (points, _, gate) in enumerate(drawn)
    ]
    verdicts = {str(number): verdict for number, (_, verdict, _) in enumerate(drawn)}
    result = score([Task(tuple(checks))], verdicts)
    assert 0 <= result.earned + result.undecided <= result.points + 0.1 * len(drawn)


@pytest.fixture
def report() -> Report:
    verdicts = {"a": passed(frames=(7,)), "b": failed("slow", share=0.5, frames=(9,))}
    marked = score([Task((Check("a", 60), Check("b", 40)))], verdicts)
    line = FrameLine(9, 1.25, "gw-1", "boiler", "Modbus <read>")
    return Report(Text(zh="锅炉", en="Boiler"), marked, [(Text(zh="种子", en="seed"), "7")], {"b": [line]})


@pytest.mark.parametrize(("language", "words"), [("zh", "锅炉 因为 80 种子"), ("en", "Boiler because 80 seed")])
def test_every_form_of_the_report_says_it_in_the_language_spoken(report: Report, language: str, words: str) -> None:
    speak(language)  # type: ignore[arg-type]
    try:
        for text in (as_text(report), as_html(report)):
            assert all(word in text for word in words.split())
    finally:
        speak("en")


def test_html_shows_the_frames_and_lets_no_markup_through(report: Report) -> None:
    page = as_html(report)
    assert "Modbus &lt;read&gt;" in page
    assert "because slow &lt;b&gt;" in page


def test_data_has_both_languages_and_the_facts(report: Report) -> None:
    data = as_data(report)
    assert data["title"] == {"zh": "锅炉", "en": "Boiler"}
    assert data["tasks"][0]["checks"][1]["frames"] == [9]
