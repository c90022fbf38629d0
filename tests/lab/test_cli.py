"""The command line as somebody at a prompt meets it: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

import scenarios
from lab.cli import main
from lab.seat.handin import hand_in
from lab.text import speak, spoken
from scenarios.rehearsal import rehearse
from scenarios.scenario import Scenario, find

TEMPLATE = Path(scenarios.__file__).parent / "template"
ROOT = TEMPLATE.parents[1]


@pytest.fixture(autouse=True)
def english_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("IIOTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IIOTLAB_LANG", "en")
    before = spoken()
    yield None
    speak(before)


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sealed evidence of the reference solution of first-poll."""
    folder = tmp_path_factory.mktemp("evidence")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IIOTLAB_HOME", str(folder / "home"))
        instance = Scenario.load(find("first-poll")).instantiate(3)
        work, _ = rehearse(instance, instance.reference.files, ())
        return hand_in(instance, folder, instance.reference.files, {}, work, lambda *_: None).bundle_path


def iiotlab(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab.cli", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """The same in this process, which is quicker."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


# -- bad input: one clear message, a code that is not zero, never a traceback --------------------------------------------


def copy(folder: Path) -> Path:
    shutil.copytree(TEMPLATE, folder / "tiny")
    edit(folder / "tiny" / "scenario.yaml", "id: new-scenario", "id: tiny")
    return folder / "tiny"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def with_(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "scenario.yaml", old, new)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_("minutes:", "minuets:"), "tiny/scenario.yaml:6: unknown key 'minuets'; did you mean 'minutes'?"),
        (with_("minutes: 5\n", ""), "tiny/scenario.yaml:3: missing key 'minutes'"),
        (with_("minutes: 5", "minutes: five"), "tiny/scenario.yaml:6: expected a whole number, found 'five'"),
        (with_("minutes: 5", "minutes: 5\nminutes: 5"), "tiny/scenario.yaml:7: duplicate key 'minutes'"),
        (with_("{settle: 2, duration: 5}", "&a {settle: *a}"), "refers to a node that contains it"),
        (with_("from: ws-1, to: plc-1", "from: ws-9, to: plc-1"), "'ws-9'; did you mean 'ws-1'?; known: plc-1, ws-1"),
        (lambda folder: (folder / "brief.en.md").unlink(), "tiny/brief.en.md: the brief in English is missing"),
    ],
    ids=["typo", "missing key", "wrong type", "duplicate", "cycle", "unknown host", "no English"],
)
def test_a_bad_scenario_is_one_clear_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], message: str
) -> None:
    folder = copy(tmp_path)
    spoil(folder)
    ended = iiotlab("run", folder, "--headless")
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr + ended.stdout
    assert said(capsys, "prove", folder) == (2, "", ended.stderr)
    code, out, _ = said(capsys, "lint", folder)
    assert code == 1
    assert message in out


def truncated(evidence: Path, target: Path) -> str:
    with ZipFile(evidence) as archive:
        data = archive.read("acceptance/capture.pcapng")
    target.write_bytes(data[:-7])
    return "the file is cut off"


def foreign(evidence: Path, target: Path) -> str:
    target.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(40))
    return "not a pcapng file but a classic pcap file"


def empty(evidence: Path, target: Path) -> str:
    target.write_bytes(b"")
    return "empty"


@pytest.mark.parametrize("spoil", [truncated, foreign, empty])
def test_a_bad_capture_is_one_clear_message(tmp_path: Path, evidence: Path, spoil: Callable[[Path, Path], str]) -> None:
    capture = tmp_path / "run.pcapng"
    message = spoil(evidence, capture)
    ended = iiotlab("grade", capture, "--scenario", "first-poll")
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_changed_byte_in_the_evidence_is_named(tmp_path: Path, evidence: Path) -> None:
    spoilt = tmp_path / "spoilt.zip"
    with ZipFile(evidence) as good, ZipFile(spoilt, "w") as bad:
        for info in good.infolist():
            data = good.read(info)
            if info.filename == "acceptance/truth.jsonl":
                data = data.replace(b"0.8", b"0.9", 1)
            bad.writestr(info, data)
    for command in ("grade", "replay"):
        ended = iiotlab(command, spoilt)
        assert ended.returncode == 1
        assert ended.stderr.strip().endswith("member acceptance/truth.jsonl was changed after sealing")
        assert not ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "there is no 'frobnicate'; known: list, run"),
        (["gade", "x.zip"], "there is no 'gade'; did you mean 'grade'?"),
        (["run"], "the following arguments are required: ID"),
        (["run", "frist-poll"], "there is no scenario 'frist-poll'; did you mean 'first-poll'?; known: first-poll"),
        (["run", "first-poll"], "there is no terminal here for the workbench; use --headless"),
        (["run", "first-poll", "--seed", "-1"], "invalid number value: '-1'"),
        (["prove"], "which scenario?"),
        (["grade", "nowhere.zip"], "nowhere.zip: No such file or directory"),
        (["grade", str(TEMPLATE / "brief.en.md")], "is not an evidence file: not a zip file, or cut off"),
        (["check", str(TEMPLATE)], "is not the folder of an attempt"),
        (["new", "Not An Id"], "lower-case letters, digits and hyphens"),
        (["new", str(TEMPLATE)], "exists already"),
        (["lint", "nowhere"], "there is no scenario 'nowhere'"),
    ],
)
def test_wrong_usage_is_one_clear_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, out, err = said(capsys, *arguments)
    assert code == 2
    assert message in err
    assert not out


def test_a_capture_needs_its_scenario(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    capture = tmp_path / "run.pcapng"
    capture.write_bytes(b"\n\r\r\n")
    code, _, err = said(capsys, "grade", capture)
    assert code == 2
    assert "say which scenario it is of, with --scenario" in err


# -- what works ----------------------------------------------------------------------------------------------------------


def test_help_is_there_in_both_languages_and_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, english, _ = said(capsys, "--help")
    assert code == 0
    assert "exit codes: 0" in english
    code, chinese, _ = said(capsys, "--lang", "zh", "--help")
    assert "退出码" in chinese
    assert "usage" not in chinese
    commands = ["list", "run", "check", "prove", "grade", "replay", "lint", "new", "demo", "doctor"]
    for command in commands:
        assert command in english
        code, out, _ = said(capsys, command, "--help")
        assert code == 0
        assert f"examples:\n  iiotlab {command}" in out


def test_chinese_is_spoken_where_something_is_wrong_too(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = said(capsys, "--lang=zh", "run")
    assert "错误: 缺少参数 ID" in err
    _, _, err = said(capsys, "grade", "--lang", "zh", "x", "y")
    assert "多余的参数 y" in err


def test_the_list_is_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "list")
    assert code == 0
    assert "first-poll" in out
    assert "First poll: a boiler goes online" in out
    code, out, _ = said(capsys, "list", "--json")
    assert [each["id"] for each in json.loads(out)] == ["first-poll", "who-may-write", "cell-firewall"]


def test_a_list_and_help_load_neither_plant_nor_screen() -> None:
    probe = (
        "import sys; from lab.cli import main; main(['list']); main(['--help']);"
        "print([m for m in ('asyncio','textual','asyncua','pymodbus','grading.checks','cryptography') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, encoding="utf-8", cwd=ROOT, check=True)
    assert ended.stdout.endswith("[]\n")


def test_a_new_scenario_lints_and_proves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "my-plant"
    code, out, _ = said(capsys, "new", folder)
    assert code == 0
    assert f"iiotlab prove {folder}" in out
    assert said(capsys, "lint", folder)[:2] == (0, "1 scenarios, nothing found\n")
    code, out, _ = said(capsys, "prove", folder)
    assert code == 0
    assert "✓ another-address" in out
    assert "proven" in out


def test_a_scenario_that_does_not_hold_is_not_proven(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = copy(tmp_path)
    edit(folder / "wrong/wrong-mask/config/ws-1.yaml", "/28", "/24")
    code, out, _ = said(capsys, "prove", folder)
    assert code == 1
    assert "should lose and does not: plc-answers-modbus, plc-answers-ping" in out
    assert "not proven: tiny, seed 1" in out
    code, out, _ = said(capsys, "prove", folder, "--json")
    assert code == 1
    (proof,) = json.loads(out)
    assert [each["variant"] for each in proof["variants"] if not each["holds"]] == ["wrong-mask"]


def test_what_lint_finds_is_said_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = copy(tmp_path)
    edit(folder / "scenario.yaml", "items: [J-1.1.5]", "items: [J-1.1.5, J-9.9.9]")
    edit(folder / "scenario.yaml", "plant:\n", "plant:\n  # a comment\n")
    edit(folder / "scenario.yaml", "  c: {range", "  idle: {choice: [1]}\n  c: {range")
    code, out, _ = said(capsys, "lint", folder)
    assert code == 1
    assert "tiny/scenario.yaml:8: there is no ability item 'J-9.9.9'" in out
    assert "the parameter idle is not used" in out
    assert "problems found" in out


def test_evidence_gives_its_marks(capsys: pytest.CaptureFixture[str], tmp_path: Path, evidence: Path) -> None:
    code, out, _ = said(capsys, "grade", evidence)
    assert code == 0
    assert "100 of 100 points" in out
    code, out, _ = said(capsys, "grade", evidence, "--json")
    assert json.loads(out)["earned"] == 100
    page = tmp_path / "report.html"
    code, out, _ = said(capsys, "grade", evidence, "--html", page)
    assert code == 0
    assert "First poll" in page.read_text("utf-8")


def test_replayed_evidence_comes_to_the_same_verdicts(capsys: pytest.CaptureFixture[str], evidence: Path) -> None:
    code, out, _ = said(capsys, "replay", evidence)
    assert (code, out) == (0, "replayed: all 7 verdicts are the same\n")
    code, out, _ = said(capsys, "replay", evidence, "--json")
    assert all(row["same"] for row in json.loads(out)["checks"])


def test_a_bare_capture_is_marked_as_far_as_frames_go(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, evidence: Path
) -> None:
    capture = tmp_path / "run.pcapng"
    with ZipFile(evidence) as archive:
        capture.write_bytes(archive.read("acceptance/capture.pcapng"))
    code, out, _ = said(capsys, "grade", capture, "--scenario", "first-poll", "--seed", "3", "--json")
    assert code == 0
    marks = {check["id"]: check["outcome"] for task in json.loads(out)["tasks"] for check in task["checks"]}
    assert marks["gas-flow-is-polled"] == "passed"
    assert marks["secret-values-arrive"] == "undecided"


def test_a_work_folder_is_checked_without_handing_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from lab.seat import Seat, run

    folder = tmp_path / "lab"

    async def begin() -> None:
        await (await Seat.open("first-poll", folder, 3)).close()

    run(begin())
    code, out, _ = said(capsys, "check", folder)
    assert code == 1
    assert "0 of 100 points" in out
    instance = Scenario.load(find("first-poll")).instantiate(3)
    (folder / "config/gw-1.yaml").write_text(instance.reference.files["config/gw-1.yaml"], "utf-8")
    code, out, _ = said(capsys, "check", folder, "--json")
    assert code == 0
    assert json.loads(out)["earned"] == 100
    (folder / "config/gw-1.yaml").write_text("sout: []", "utf-8")
    code, out, err = said(capsys, "check", folder)
    assert (code, out) == (2, "")
    assert "config/gw-1.yaml:1: unknown key 'sout'; did you mean 'south'?" in err


def test_the_demonstration_ends_with_full_marks() -> None:
    ended = iiotlab()
    assert ended.returncode == 0, ended.stderr
    assert "There is no terminal here" in ended.stdout
    assert "100 of 100 points" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process of a Windows console")
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_headless_plant_runs_until_interrupted(tmp_path: Path, signal_: signal.Signals) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "run", "first-poll", "--headless", "--dir", str(tmp_path / "lab")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert started.stdout is not None
    lines = [started.stdout.readline()]
    while "iiotlab check" not in lines[-1]:
        lines.append(started.stdout.readline())
    assert any("published port 127.0.0.1:" in line for line in lines)
    started.send_signal(signal_)
    out, err = started.communicate(timeout=30)
    assert (started.returncode, err) == (0, "")
    assert "Switching the plant off" in out


def test_the_doctor_knows_this_computer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "doctor", "--json")
    findings = {each["what"]: each for each in json.loads(out)}
    assert findings["library asyncua"]["is_well"]
    assert code == (0 if all(each["is_well"] for each in findings.values() if each["is_needed"]) else 1)
