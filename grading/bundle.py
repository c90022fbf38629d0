"""The evidence of an attempt: one zip file, sealed.

`manifest.json` has the facts and the SHA-256 of every member, `manifest.sig` the Ed25519 signature of the manifest's
bytes with the public key of the installation that sealed it. Members are `work/…`, `acceptance/…`, `frozen/…` and
`submit/…`. The zip is written with fixed dates and in order of names, so that the same evidence is the same file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lab.text import Text

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
FORMAT: Final = 1
_DATE: Final = (1980, 1, 1, 0, 0, 0)
MAX_TOTAL: Final = 1 << 30
"""Bytes of all members together, unpacked."""
MAX_MEMBERS: Final = 2000

NOT_READABLE = Text(zh="无法读取：{reason}", en="cannot be read: {reason}")
NOT_A_BUNDLE = Text(zh="不是证据文件：{reason}", en="is not an evidence file: {reason}")
NOT_A_ZIP = Text(zh="不是 zip 文件，或已被截断", en="not a zip file, or cut off")
NO_MANIFEST = Text(zh="缺少 {member}", en="{member} is missing")
TOO_LARGE = Text(zh="解压后超过 {limit} 字节", en="more than {limit} bytes unpacked")
BAD_NAME = Text(zh="成员名 {member!r} 不允许", en="the member name {member!r} is not allowed")
DAMAGED = Text(zh="成员 {member} 已损坏", en="member {member} is damaged")
CHANGED = Text(zh="成员 {member} 在封存后被改动", en="member {member} was changed after sealing")
ADDED = Text(zh="成员 {member} 是封存后加入的", en="member {member} was added after sealing")
REMOVED = Text(zh="成员 {member} 在封存后被删除", en="member {member} was removed after sealing")
MANIFEST_CHANGED = Text(zh="清单 {member} 在封存后被改动", en="{member} was changed after sealing")
MANIFEST_MALFORMED = Text(zh="清单 {member} 无法理解", en="{member} makes no sense")
FORMAT_UNKNOWN = Text(
    zh="证据格式版本 {found}，本程序支持 {known}", en="evidence format {found}; this program reads format {known}"
)


class BundleError(Exception):
    """Evidence that cannot be relied on; says which part, and why."""

    def __init__(self, file: str, what: Text, **facts: object) -> None:
        self.file, self.what, self.facts = file, what, facts
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.file}: {self.what.say(**self.facts)}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Evidence whose seal is intact."""

    facts: Mapping[str, Any]
    """What whoever sealed it said about the attempt: scenario, digest, seed, versions, times."""
    members: Mapping[str, bytes]
    sealed_by: bytes
    """The 32 bytes of the public key."""

    @property
    def fingerprint(self) -> str:
        """Of the key that sealed it, short enough to read aloud."""
        return hashlib.sha256(self.sealed_by).hexdigest()[:16]

    def folder(self, name: str) -> dict[str, bytes]:
        """The members below `name/`, without that prefix."""
        prefix = name + "/"
        return {member[len(prefix) :]: data for member, data in self.members.items() if member.startswith(prefix)}


def seal(path: Path, members: Mapping[str, bytes], facts: Mapping[str, Any], key: Ed25519PrivateKey) -> None:
    """Write evidence to `path`, by way of a temporary file beside it; raises ValueError for a bad member name."""
    for name in members:
        if not _is_allowed(name) or name in (MANIFEST, SIGNATURE):
            raise ValueError(f"{name!r} cannot be the name of a member")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(members.items())}
    manifest = json.dumps(
        {"format": FORMAT, "facts": facts, "members": digests}, ensure_ascii=False, indent=1, sort_keys=True
    ).encode()
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    signature = {"key": _text(public), "signature": _text(key.sign(manifest))}
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (
            (MANIFEST, manifest),
            (SIGNATURE, json.dumps(signature, sort_keys=True).encode()),
            *sorted(members.items()),
        ):
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(written.getvalue())
    temporary.replace(path)


def open_bundle(path: Path) -> Bundle:
    """Read evidence and check every byte of it against its seal; raises BundleError that names what is wrong."""
    file = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BundleError(file, NOT_READABLE, reason=error.strerror or str(error)) from None
    members = _unpack(file, raw)
    for needed in (MANIFEST, SIGNATURE):
        if needed not in members:
            raise BundleError(file, NOT_A_BUNDLE, reason=NO_MANIFEST.say(member=needed))
    manifest, signature = members.pop(MANIFEST), members.pop(SIGNATURE)
    public = _check_signature(file, manifest, signature)
    facts, digests = _understand(file, manifest)
    for name, digest in digests.items():
        if name not in members:
            raise BundleError(file, REMOVED, member=name)
        if hashlib.sha256(members[name]).hexdigest() != digest:
            raise BundleError(file, CHANGED, member=name)
    for name in members:
        if name not in digests:
            raise BundleError(file, ADDED, member=name)
    return Bundle(facts, members, public)


def _unpack(file: str, raw: bytes) -> dict[str, bytes]:
    try:
        archive = zipfile.ZipFile(BytesIO(raw))
        infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, UnicodeDecodeError):
        raise BundleError(file, NOT_A_BUNDLE, reason=NOT_A_ZIP) from None
    if len(infos) > MAX_MEMBERS:
        raise BundleError(file, TOO_LARGE, limit=MAX_TOTAL)
    members: dict[str, bytes] = {}
    room = MAX_TOTAL
    for info in infos:
        if not _is_allowed(info.filename) or info.filename in members:
            raise BundleError(file, BAD_NAME, member=info.filename)
        # A header may lie about sizes: read no more than there is room for, whatever it says.
        try:
            with archive.open(info) as stream:
                data = stream.read(room + 1)
        except Exception:  # zipfile and zlib raise what they like for damaged data
            raise BundleError(file, DAMAGED, member=info.filename) from None
        if len(data) > room:
            raise BundleError(file, TOO_LARGE, limit=MAX_TOTAL)
        room -= len(data)
        members[info.filename] = data
    return members


def _is_allowed(name: str) -> bool:
    parts = name.split("/")
    return bool(name) and all(part not in ("", ".", "..") for part in parts) and not any(c in name for c in "\\:\0")


def _check_signature(file: str, manifest: bytes, signature: bytes) -> bytes:
    try:
        said = json.loads(signature)
        public, sealed = (
            base64.b64decode(said["key"], validate=True),
            base64.b64decode(said["signature"], validate=True),
        )
        key = Ed25519PublicKey.from_public_bytes(public)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(file, MANIFEST_MALFORMED, member=SIGNATURE) from None
    try:
        key.verify(sealed, manifest)
    except InvalidSignature:
        raise BundleError(file, MANIFEST_CHANGED, member=MANIFEST) from None
    return public


def _understand(file: str, manifest: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        said = json.loads(manifest)
        found, facts, digests = said["format"], said["facts"], said["members"]
        sane = isinstance(facts, dict) and all(isinstance(digest, str) for digest in digests.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BundleError(file, MANIFEST_MALFORMED, member=MANIFEST) from None
    if not sane:
        raise BundleError(file, MANIFEST_MALFORMED, member=MANIFEST)
    if found != FORMAT:
        raise BundleError(file, FORMAT_UNKNOWN, found=found, known=FORMAT)
    return facts, digests


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
