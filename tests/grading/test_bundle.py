"""Evidence: sealed once, read anywhere, and every change named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.bundle import BundleError, open_bundle, seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MEMBERS = {"work/capture.pcapng": bytes(range(256)) * 40, "frozen/wiring.yaml": "cables: []\n# 线缆".encode()}
FACTS = {"scenario": "first-poll", "seed": 7}


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.zip"
    seal(path, MEMBERS, FACTS, KEY)
    return path


def rewritten(path: Path, **changes: bytes | None) -> Path:
    """The same zip with members replaced, added or (None) left out; names with __ for / and ., as keywords must."""
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, data in changes.items():
        real = name.replace("__", "/").replace("_DOT_", ".")
        if data is None:
            del members[real]
        else:
            members[real] = data
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_what_was_sealed_is_what_is_read(evidence: Path) -> None:
    bundle = open_bundle(evidence)
    assert dict(bundle.members) == MEMBERS
    assert bundle.facts == FACTS
    assert bundle.folder("frozen") == {"wiring.yaml": MEMBERS["frozen/wiring.yaml"]}


def test_the_same_evidence_is_the_same_file(evidence: Path, tmp_path: Path) -> None:
    seal(tmp_path / "again.zip", dict(reversed(MEMBERS.items())), FACTS, KEY)
    assert (tmp_path / "again.zip").read_bytes() == evidence.read_bytes()


def test_a_changed_byte_is_named(evidence: Path) -> None:
    changed = MEMBERS["work/capture.pcapng"][:-1] + b"x"
    with pytest.raises(BundleError, match=r"work/capture\.pcapng was changed"):
        open_bundle(rewritten(evidence, work__capture_DOT_pcapng=changed))


def test_a_removed_and_an_added_member_are_named(evidence: Path) -> None:
    with pytest.raises(BundleError, match=r"frozen/extra was added"):
        open_bundle(rewritten(evidence, frozen__extra=b""))
    with pytest.raises(BundleError, match=r"frozen/wiring\.yaml was removed"):
        open_bundle(rewritten(evidence, frozen__extra=None, frozen__wiring_DOT_yaml=None))


def test_a_changed_manifest_does_not_carry_the_signature(evidence: Path) -> None:
    with zipfile.ZipFile(evidence) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["facts"]["seed"] = 8
    with pytest.raises(BundleError, match=r"manifest\.json was changed after sealing"):
        open_bundle(rewritten(evidence, manifest_DOT_json=json.dumps(manifest).encode()))


def test_another_key_shows_as_another_fingerprint(evidence: Path, tmp_path: Path) -> None:
    seal(tmp_path / "other.zip", MEMBERS, FACTS, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert open_bundle(evidence).fingerprint != open_bundle(tmp_path / "other.zip").fingerprint


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all", b"\x89PNG\r\n"])
def test_what_is_no_evidence_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BundleError, match="not an evidence file"):
        open_bundle(tmp_path / "x.zip")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        open_bundle(tmp_path / "nowhere.zip")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a//b", "c:\\x", ""])
def test_a_name_that_leaves_the_bundle_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        seal(tmp_path / "x.zip", {name: b""}, FACTS, KEY)
    if name:
        with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
            archive.writestr(name.replace("\\", "/"), b"")
        with pytest.raises(BundleError):
            open_bundle(tmp_path / "y.zip")


def test_a_small_file_that_unpacks_to_a_huge_one_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grading.bundle.MAX_TOTAL", 100_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("work/x", bytes(10_000_000))
    with pytest.raises(BundleError, match="more than 100000 bytes"):
        open_bundle(tmp_path / "bomb.zip")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_whatever_happens_to_the_file_it_is_read_whole_or_refused(position: int, flip: int, cut: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "evidence.zip"
        seal(path, MEMBERS, FACTS, KEY)
        data = bytearray(path.read_bytes())
        at = position % len(data)
        data[at] ^= flip
        path.write_bytes(data[:at] if cut else data)
        try:
            assert dict(open_bundle(path).members) == MEMBERS
        except BundleError as error:
            assert str(path) in str(error)  # noqa: PT017
