"""A scenario is a folder; what is wrong with it is said in one line each, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scenario_kit import Draft

from lab.model.document import FileError
from lab.text import Language, speak, spoken
from scenarios.scenario import Scenario, catalogue, find, headline


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Draft(tmp_path)


def complaint(draft: Draft) -> str:
    with pytest.raises(FileError) as caught:
        draft.load()
    return str(caught.value)


def test_the_template_is_sound(draft: Draft) -> None:
    instance = draft.load().instantiate(7)
    c, station = instance.parameters["c"], instance.parameters["station"]
    assert f"10.{c}.10.{station}/24" in instance.brief("en")
    assert f"10.{c}.10.{station}/24" in instance.reference.files["config/ws-1.yaml"]
    assert instance.reference.files["wiring.yaml"] == instance.start["wiring.yaml"]
    assert instance.kinds == {"plc-1": "imm-plc", "ws-1": "workstation", "sw-1": "switch-5"}


def test_two_seeds_give_two_plants_and_the_same_seed_the_same(draft: Draft) -> None:
    scenario = draft.load()
    assert scenario.instantiate(1).texts != scenario.instantiate(2).texts
    assert scenario.instantiate(1).texts == draft.load().instantiate(1).texts


def test_the_digest_knows_every_file(draft: Draft) -> None:
    before = draft.load().digest
    draft.edit("wrong/unplugged/wiring.yaml", "p1", "p2")
    assert draft.load().digest != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("minutes: 5", "minuets: 5", "unknown key 'minuets'; did you mean 'minutes'?"),
        ("parameters:", "paramters:", "unknown key 'paramters'; did you mean 'parameters'?"),
        ("minutes: 5\n", "", "missing key 'minutes'"),
        ("minutes: 5", "minutes: soon", "expected a whole number, found 'soon'"),
        ("minutes: 5", "minutes: 5\nminutes: 6", "duplicate key 'minutes', first on line 6"),
        ("minutes: 5", "minutes: 5:", "is not valid YAML"),
        ("minutes: 5", "minutes:\t5\n\t- x", "is not valid YAML"),
        ("level: junior", "level: junoir", "'junoir' is not one of the allowed values; did you mean 'junior'?"),
        ("station: {range:", "station: {rnage:", "unknown key 'rnage'; did you mean 'range'?"),
        ("compute: station + 1", "compute: other_station + 1", "in a circle: other_station → other_station"),
        ("compute: station + 1", "compute: statoin + 1", "no parameter 'statoin'; did you mean 'station'?"),
        ("{from: 20, to: 219}", "{from: 219, to: 20}", "an empty range: from 219 to 20"),
        ("  c: {range", "  C: {range", "the parameter name 'C' should be lower-case"),
        ("10.${c}.10.11", "10.${cc}.10.11", "there is no parameter 'cc'"),
        ("10.${c}.10.11", "10.300.10.11", "expected an IPv4 address with its mask"),
        ("kind: imm-plc", "kind: im-plc", "there is no kind of device 'im-plc'; did you mean 'imm-plc'?"),
        ("interfaces: {eth0", "interfaces: {eht0", "plc-1 has no port 'eht0'; did you mean 'eth0'?; known: eth0"),
        ("interfaces: {eth0", "intrefaces: {eth0", "unknown key 'intrefaces'; did you mean 'interfaces'?"),
        ("points: 40", "points: 41", "the points of the checks add up to 101, not to 100"),
        ("- id: plc-answers-ping", "- id: plc-answers-modbus", "'plc-answers-modbus' is used twice"),
        (
            "check: net.reach",
            "check: net.raech",
            "'net.raech' is not one of the allowed values; did you mean 'net.reach'?",
        ),
        ("from: ws-1", "from: ws-2", "'ws-2'; did you mean 'ws-1'?"),
        ("task: connect", "task: conect", "there is no task 'conect'; did you mean 'connect'?"),
        ("loses: [plc-answers-ping,", "loses: [plc-answers-pong,", "there is no check 'plc-answers-pong'"),
        ("  reference: {", "  refrence: {", "there is no solution called reference"),
        ("  unplugged:", "  plugged:", "no folder wrong/plugged"),
        (", en: A new scenario}", "}", "missing key 'en'"),
        ("{zh: 新场景, en", "{en", "missing key 'zh'"),
        ("id: tiny", "id: small", "the id 'small' is not the folder's name 'tiny'"),
    ],
)
def test_a_mistake_in_scenario_yaml_is_named_at_its_line(draft: Draft, old: str, new: str, message: str) -> None:
    # What is missing, or wrong as a whole, is complained about where the whole begins.
    nearby = 10 if any(word in message for word in ("points of", "used twice", "missing", "no solution")) else 0
    line = draft.edit("scenario.yaml", old, new)
    said = complaint(draft)
    assert said.startswith("tiny/")
    assert message in said
    mistake = next(each for each in said.splitlines() if message in each)
    assert int(mistake.split(":")[1]) in range(line - nearby, line + nearby + 2)


def test_yaml_that_contains_itself_is_refused(draft: Draft) -> None:
    draft.edit("scenario.yaml", "acceptance: {settle: 2, duration: 5}", "acceptance: &a {settle: *a}")
    assert "refers to a node that contains it" in complaint(draft)


def spoil_wiring(draft: Draft) -> None:
    draft.edit("start/wiring.yaml", "ws-1/eth0, sw-1/p2", "ws-2/eth0, sw-1/p9")


def spoil_start(draft: Draft) -> None:
    draft.edit("start/config/ws-1.yaml", "address:", "adress:")


def add_stray_solution(draft: Draft) -> None:
    draft.write("solutions/forgotten/wiring.yaml", "cables: []")


def add_stray_host(draft: Draft) -> None:
    draft.write("start/config/ws-2.yaml", "interfaces: {}")


def configure_twice(draft: Draft) -> None:
    draft.write("start/config/plc-1.yaml", "interfaces: {}")


def configure_switch(draft: Draft) -> None:
    draft.write("start/config/sw-1.yaml", "interfaces: {}")


def forget_config(draft: Draft) -> None:
    (draft.folder / "start/config/ws-1.yaml").unlink()


def forget_wiring(draft: Draft) -> None:
    (draft.folder / "start/wiring.yaml").unlink()


def replace_what_is_not_there(draft: Draft) -> None:
    draft.write("wrong/unplugged/config/plc-1.yaml", "interfaces: {}")


def forget_english(draft: Draft) -> None:
    (draft.folder / "brief.en.md").unlink()


def empty_chinese(draft: Draft) -> None:
    draft.write("brief.zh.md", " \n")


def not_text(draft: Draft) -> None:
    (draft.folder / "brief.en.md").write_bytes(b"ok\n\xff\xfe")


def empty_everything(draft: Draft) -> None:
    draft.write("scenario.yaml", "")


@pytest.mark.parametrize(
    ("spoil", "messages"),
    [
        (
            spoil_wiring,
            [
                "tiny/start/wiring.yaml:3: there is no device 'ws-2'; did you mean 'ws-1'?; known: plc-1, ws-1, sw-1",
                "tiny/start/wiring.yaml:3: sw-1 has no port 'p9'",
            ],
        ),
        (spoil_start, ["tiny/start/config/ws-1.yaml:2: unknown key 'adress'; did you mean 'address'?"]),
        (add_stray_solution, ["tiny/solutions/forgotten: scenario.yaml says nothing about this folder"]),
        (add_stray_host, ["tiny/start/config/ws-2.yaml: there is no device 'ws-2'; did you mean 'ws-1'?"]),
        (configure_twice, ["plc-1 is configured in more than one place: config, start/config/plc-1.yaml"]),
        (configure_switch, ["sw-1 is an unmanaged switch and has no configuration"]),
        (
            forget_config,
            ["ws-1 has no configuration: give it config, plant/config/ws-1.yaml or start/config/ws-1.yaml"],
        ),
        (forget_wiring, ["nothing says how it is cabled"]),
        (
            replace_what_is_not_there,
            ["tiny/wrong/unplugged/config/plc-1.yaml: replaces a file that start/ does not have"],
        ),
        (forget_english, ["tiny/brief.en.md: the brief in English is missing"]),
        (empty_chinese, ["tiny/brief.zh.md: the brief in Chinese is missing"]),
        (not_text, ["tiny/brief.en.md:2: is not UTF-8 text"]),
        (empty_everything, ["tiny/scenario.yaml:1: expected a mapping"]),
    ],
)
def test_a_mistake_in_the_folder_is_named(draft: Draft, spoil: Callable[[Draft], None], messages: list[str]) -> None:
    spoil(draft)
    said = complaint(draft)
    for message in messages:
        assert message in said


def test_a_folder_without_a_scenario_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is no scenario"):
        Scenario.load(tmp_path)


def test_an_unknown_scenario_is_answered_with_what_there_is() -> None:
    with pytest.raises(FileError, match=r"there is no scenario 'frist-poll'; did you mean 'first-poll'\?"):
        find("frist-poll")


def test_a_scenario_is_found_by_its_id_and_by_its_folder(draft: Draft) -> None:
    assert find("first-poll") == catalogue()["first-poll"]
    assert find(str(draft.folder)) == draft.folder


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_catalogue_has_headlines_in_both_languages(language: Language) -> None:
    before = spoken()
    speak(language)
    try:
        assert len({str(headline(folder).title.text) for folder in catalogue().values()}) == len(catalogue())
    finally:
        speak(before)
