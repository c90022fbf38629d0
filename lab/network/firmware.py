"""Firmware: images as their makers publish them, and why a device does not take one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from lab.model.plant import Strict
from lab.text import Text

NO_IMAGE: Final = Text(zh="没有固件映像 {version}", en="there is no firmware image {version}")
WRONG_MODEL: Final = Text(
    zh="固件 {version} 属于 {model}，不适用于本机", en="firmware {version} is for {model}, not for this device"
)
WRONG_CHECKSUM: Final = Text(zh="固件 {version} 校验和不符", en="the checksum of firmware {version} is wrong")


class FirmwareImage(Strict):
    """An image as its maker publishes it."""

    model: str = Field(description="适用的设备，如 gw-edge。 The kind of device it is for, such as gw-edge.")
    payload: str = Field(max_length=100_000, description="映像内容。 What is in it.")
    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] = Field(
        description="payload 的 SHA-256，传坏的映像对不上。 Of the payload; what was damaged on its way does not match."
    )


class Flaw(NamedTuple):
    """Why firmware cannot be installed, as a sentence and its facts."""

    what: Text
    facts: Mapping[str, object]

    def __str__(self) -> str:
        return self.what.say(**self.facts)


def flaw_of(version: str, images: Mapping[str, FirmwareImage], kind: str) -> Flaw | None:
    """Why this firmware cannot be installed on a device of this kind; None where it can."""
    image = images.get(version)
    if image is None:
        return Flaw(NO_IMAGE, {"version": version})
    if image.model != kind:
        return Flaw(WRONG_MODEL, {"version": version, "model": image.model})
    if hashlib.sha256(image.payload.encode()).hexdigest() != image.sha256.lower():
        return Flaw(WRONG_CHECKSUM, {"version": version})
    return None
