"""What is worked on is a folder of files; each is judged by itself, and a bad one says where."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scenario_kit import Draft

from lab.model.document import FileError
from lab.model.frame import Port
from scenarios.folder import cables_of, check_file, read_folder
from scenarios.scenario import Instance


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return Draft(tmp_path_factory.mktemp("folder")).load().instantiate(1)


def test_files_become_the_configuration_of_a_plant(instance: Instance) -> None:
    plant = read_folder(instance, instance.reference.files)
    assert set(cables_of(plant.wiring)) == {
        (Port("plc-1", "eth0"), Port("sw-1", "p1")),
        (Port("sw-1", "p2"), Port("ws-1", "eth0")),
    }
    assert str(plant.hosts["plc-1"].interfaces["eth0"].address.ip).endswith(".10.11")
    assert list(plant.hosts) == ["plc-1", "ws-1"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "config/ws-1.yaml",
            "interfaces: {eth0: {adress: 1}}",
            "config/ws-1.yaml:1: unknown key 'adress'; did you mean 'address'?",
        ),
        (
            "config/ws-1.yaml",
            "interfaces:\n  eth1: {address: 10.1.1.1/24}",
            "config/ws-1.yaml:2: ws-1 has no port 'eth1'",
        ),
        ("config/ws-1.yaml", "interfaces: {eth0: {address: 10.1.1.0/24}}", "the network or broadcast address"),
        ("config/ws-1.yaml", "- a list", "expected a mapping"),
        ("config/ws-1.yaml", "", "config/ws-1.yaml:1: is empty"),
        ("config/ws-1.yaml", "{", "config/ws-1.yaml:1: is not valid YAML"),
        ("config/ws1.yaml", "interfaces: {}", "config/ws1.yaml: there is no device 'ws1'; did you mean 'ws-1'?"),
        ("config/plc-1.yaml", "unit: 7", "the configuration of plc-1 cannot be changed in this scenario"),
        ("config/sw-1.yaml", "x: 1", "sw-1 is an unmanaged switch"),
        ("wiring.yaml", "cables:\n  - [ws-1/eth0, sw-1/p0]", "wiring.yaml:2: sw-1 has no port 'p0'"),
        ("wiring.yaml", "cables: [[plc/eth0, sw-1/p1]]", "there is no device 'plc'; did you mean 'plc-1'?"),
        ("wiring.yaml", "cables: [[ws-1/eth0, sw-1/p1], [plc-1/eth0, sw-1/p1]]", "two cables end in sw-1/p1"),
    ],
)
def test_a_bad_file_says_what_and_where(instance: Instance, name: str, text: str, message: str) -> None:
    assert message in "\n".join(map(str, check_file(instance, name, text)))


@pytest.mark.parametrize(
    "name", ["notes.txt", "config/.ws-1.yaml.swp", "config/ws-1.yaml~", "config/old/ws-1.yaml", "4913"]
)
def test_what_an_editor_leaves_behind_is_no_business_of_the_plant(instance: Instance, name: str) -> None:
    assert check_file(instance, name, "{{{") == ()
    assert read_folder(instance, {**instance.start, name: "{{{"}) == read_folder(instance, instance.start)


def test_a_missing_file_is_said_to_be_missing(instance: Instance) -> None:
    files = {name: text for name, text in instance.start.items() if name != "wiring.yaml"}
    with pytest.raises(FileError, match=r"^wiring\.yaml: the file is missing$"):
        read_folder(instance, files)


def test_the_problems_of_all_files_are_said_at_once(instance: Instance) -> None:
    with pytest.raises(FileError) as caught:
        read_folder(instance, {"config/ws-1.yaml": "x: 1"})
    assert [problem.file for problem in caught.value.problems] == ["config/ws-1.yaml", "wiring.yaml"]


YAML_LIKE = st.text(alphabet=st.sampled_from("abe:{}[]-&*!|>\"'#, \n\t0159./~$"), max_size=80)


@given(YAML_LIKE | st.text(max_size=60), st.sampled_from(["wiring.yaml", "config/ws-1.yaml"]))
def test_whatever_is_written_is_a_plant_or_a_problem(instance: Instance, text: str, name: str) -> None:
    problems = check_file(instance, name, text)
    assert all(str(problem).startswith(name) for problem in problems)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["cables", "interfaces", "eth0", "address", "a", "b"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_whatever_shape_a_file_has_it_is_a_plant_or_a_problem(instance: Instance, data: object) -> None:
    for name in ("wiring.yaml", "config/ws-1.yaml"):
        check_file(instance, name, yaml.safe_dump(data, allow_unicode=True))
