"""The scenarios of the catalogue prove themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_kit import Draft

from scenarios.catalogue import catalogue
from scenarios.lint import findings
from scenarios.prove import prove

FOLDERS = sorted(catalogue().values())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_scenario_holds_for_several_seeds(folder: Path) -> None:
    for proof in prove([folder], range(1, 4), processes=1):
        broken = {row.marked.job.variant: [what.say(**facts) for what, facts in row.complaints] for row in proof.rows}
        assert {variant: said for variant, said in broken.items() if said} == {}
        assert proof.never_lost == ()
        right = [row.marked for row in proof.rows if row.marked.job.kind == "right"]
        assert [marked.earned for marked in right] == [100.0] * len(right)
        assert len(right) >= 2
        assert len(proof.rows) - len(right) - 1 >= 4


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_there_is_nothing_to_say_against_a_scenario(folder: Path) -> None:
    assert list(map(str, findings(folder))) == []


def test_the_whole_catalogue_is_proven_in_time() -> None:
    assert all(proof.holds for proof in prove(FOLDERS))


def test_processes_come_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.prove._WORTH_A_PROCESS", 1)
    folder = Draft(tmp_path).folder
    told: list[tuple[int, int]] = []
    proofs = prove([folder], (1, 2), processes=2, progress=lambda what, done, total: told.append((done, total)))
    assert all(proof.holds for proof in proofs)
    assert told == [(done, 12) for done in range(1, 13)]
