"""What the seed decides, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model.document import Document, FileError
from scenarios.parameters import Parameter, Value, draw, settle, substitute

DOCUMENT = Document("tiny/scenario.yaml", {}, {})
SEEDS = st.integers(0, 2**40)


def settled(seed: int = 1, scenario: str = "tiny", **parameters: dict[str, Any]) -> dict[str, Value]:
    models = {name: Parameter.model_validate(each) for name, each in parameters.items()}
    return settle(models, scenario, seed, DOCUMENT)


def complaint(**parameters: dict[str, Any]) -> str:
    with pytest.raises(FileError) as caught:
        settled(**parameters)
    return str(caught.value)


C = {"range": {"from": 20, "to": 219}}


def test_a_seed_gives_these_values_for_ever() -> None:
    # A change of these figures changes every trainee's plant: marks could not be reproduced any more.
    assert [settled(seed, "first-poll", c=C)["c"] for seed in (1, 2, 3, 2**40)] == [216, 155, 97, 139]
    assert settled(1, "first-poll", site={"choice": ["a", "b", "c"]}) == {"site": "b"}


@given(SEEDS)
def test_a_draw_depends_on_its_own_name_only(seed: int) -> None:
    alone = settled(seed, c=C)["c"]
    among_others = settled(seed, a={"choice": [1, 2]}, c=C, z={"text": "${c}"})
    assert among_others["c"] == alone
    assert among_others["z"] == str(alone)


@given(SEEDS, st.integers(-50, 50), st.integers(0, 50), st.integers(1, 7))
def test_a_range_is_kept(seed: int, first: int, width: int, step: int) -> None:
    value = settled(seed, n={"range": {"from": first, "to": first + width, "step": step}})["n"]
    assert value in range(first, first + width + 1, step)


def test_every_value_of_a_small_range_is_drawn() -> None:
    assert {draw("tiny", seed, "n", 10) for seed in range(200)} == set(range(10))


def test_scenarios_with_the_same_seed_draw_differently() -> None:
    assert [draw("a", seed, "n", 1000) for seed in range(5)] != [draw("b", seed, "n", 1000) for seed in range(5)]


def test_values_derive_from_one_another_in_any_order() -> None:
    values = settled(
        reference={"compute": "30001 + address"},
        address={"lookup": "point", "cases": {"oxygen": 3}},
        point={"choice": ["oxygen"]},
        name={"text": "10.0.${address}.1"},
        odd={"compute": "-(address * 7 // 2) % 5 - 1"},
    )
    assert values == {
        "reference": 30004,
        "address": 3,
        "point": "oxygen",
        "name": "10.0.3.1",
        "odd": -(3 * 7 // 2) % 5 - 1,
    }


def test_a_circle_is_named() -> None:
    message = complaint(a={"text": "${b}"}, b={"text": "x${c}"}, c={"compute": "a"})
    assert "a → b → c → a" in message


def test_an_unknown_parameter_is_named_with_what_was_meant() -> None:
    assert "'statoin'; did you mean 'station'?" in complaint(station=C, x={"text": "${statoin}"})
    assert "'statoin'; did you mean 'station'?" in complaint(station=C, x={"compute": "statoin + 1"})
    assert "'statoin'; did you mean 'station'?" in complaint(station=C, x={"lookup": "statoin", "cases": {}})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("__import__('os')", "is not arithmetic"),
        ("c.real", "is not arithmetic"),
        ("2 ** 9", "is not arithmetic"),
        ("1 +", "is not arithmetic"),
        ("True + 1", "is not arithmetic"),
        ("1.5 + 1", "is not arithmetic"),
        ("(" * 500, "is not arithmetic"),
        ("c // 0", "divides by zero"),
        ("9" * 13, "beyond"),
        ("word + 1", "'word' is not a whole number"),
    ],
)
def test_arithmetic_is_of_whole_numbers_and_safe(text: str, what: str) -> None:
    assert what in complaint(c=C, word={"choice": ["x"]}, x={"compute": text})


def test_a_value_without_its_case_is_named() -> None:
    assert "nothing is given for 'b', a value of 'p'" in complaint(
        p={"choice": ["b"]}, x={"lookup": "p", "cases": {"a": 1}}
    )


def test_placeholders_are_filled_wherever_they_stand() -> None:
    assert substitute("a${x}${y}\n$x {x} $", {"x": 1, "y": "z"}, "f") == "a1z\n$x {x} $"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb ${statoin}", "f:2: there is no parameter 'statoin'; did you mean 'station'?; known: station"),
        ("${}", "f:1: '${}' is not of the form ${parameter}"),
        ("${Station}", "f:1: '${Station}' is not of the form ${parameter}"),
        ("x ${station\n}", "f:1: '${station' is not of the form ${parameter}"),
    ],
)
def test_a_placeholder_that_means_nothing_is_complained_about_at_its_line(text: str, message: str) -> None:
    with pytest.raises(FileError) as caught:
        substitute(text, {"station": 1}, "f")
    assert str(caught.value) == message
