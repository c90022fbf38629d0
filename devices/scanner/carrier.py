"""Optical carriers as images: printed by zxing-cpp, worn by dirt and stretch, read by zxing-cpp."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from random import Random
from typing import Final, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text
from lab.wire import gs1
from lab.wire.malformed import Malformed

Symbology = Literal["ean-13", "code-128", "gs1-128", "qr", "gs1-qr", "data-matrix", "gs1-data-matrix"]
SYMBOLOGIES: Final[tuple[Symbology, ...]] = get_args(Symbology)

_FORMATS: Final[Mapping[Symbology, str]] = {
    "ean-13": "EAN13",
    "code-128": "Code128",
    "gs1-128": "Code128",
    "qr": "QRCode",
    "gs1-qr": "QRCode",
    "data-matrix": "DataMatrix",
    "gs1-data-matrix": "DataMatrix",
}
_OF_AIM: Final[Mapping[str, Symbology]] = {
    "]E0": "ean-13",
    "]C0": "code-128",
    "]C1": "gs1-128",
    "]Q1": "qr",
    "]Q3": "gs1-qr",
    "]d1": "data-matrix",
    "]d2": "gs1-data-matrix",
}
"""By AIM symbology identifier (ISO/IEC 15424)."""
_MODULE: Final = 3
"""Pixels of the narrowest bar or of a module."""
_MAX_CACHED: Final = 256

NOT_PRINTABLE = Text(zh="{text!r} 不能印成 {symbology}：{why}", en="{text!r} cannot be printed as {symbology}: {why}")


class Carrier(Strict):
    """Something printed on a label."""

    symbology: Symbology = Field(description="码制。 Symbology.")
    text: str = Field(
        min_length=1,
        max_length=500,
        description="内容；GS1 码写成 (01)…(21)…。 Content; GS1 carriers as (01)…(21)….",
    )
    dirt: float = Field(0.0, ge=0, le=1, description="污损的面积比例。 Share of its area that is spoilt.")
    turned: Literal[0, 90, 180, 270] = Field(0, description="转过的角度。 Degrees by which it is turned.")

    @model_validator(mode="after")
    def _can_be_printed(self) -> Carrier:
        try:
            self.content()
        except Malformed as error:
            raise KnownValueError(NOT_PRINTABLE, text=self.text[:50], symbology=self.symbology, why=error) from None
        return self

    def content(self) -> str:
        """What the symbol holds, as its printer wants it; raises Malformed."""
        if self.symbology.startswith("gs1-"):
            return gs1.brackets(gs1.parse(self.text))
        if self.symbology == "ean-13":
            if len(self.text) not in (12, 13) or not (self.text.isascii() and self.text.isdecimal()):
                raise Malformed("EAN-13 has 12 digits and a check digit")
            if self.text[12:] not in ("", gs1.check_digit(self.text[:12])):
                raise Malformed(f"the check digit should be {gs1.check_digit(self.text[:12])}")
        elif self.symbology == "code-128" and not (self.text.isascii() and len(self.text) <= 80):
            raise Malformed("Code 128 has ASCII characters only, and not more than 80 are practical")
        return self.text


class Picture(NamedTuple):
    """Grey pixels, row by row, 0 black to 255 white."""

    pixels: bytes
    width: int
    height: int


class Reading(NamedTuple):
    """What a camera made of a picture."""

    aim: str
    """Symbology identifier, such as `]C1`."""
    text: str
    """With GS (0x1D) where a GS1 symbol has FNC1 as a separator."""

    @property
    def symbology(self) -> Symbology | None:
        return _OF_AIM.get(self.aim)


@lru_cache(_MAX_CACHED)
def printed(symbology: Symbology, content: str) -> Picture:
    """A clean label; raises Malformed for what its symbol cannot hold."""
    import zxingcpp

    form = getattr(zxingcpp.BarcodeFormat, _FORMATS[symbology])
    try:
        symbol = zxingcpp.create_barcode(content, form, **({"gs1": True} if symbology.startswith("gs1-") else {}))
        image = memoryview(symbol.to_image(scale=_MODULE))  # type: ignore[arg-type]  # a buffer from 3.12 on, says typeshed
    except (ValueError, RuntimeError) as error:
        raise Malformed(str(error)) from None
    height, width = image.shape or (0, 0)
    return Picture(image.tobytes(), width, height)


def picture(carrier: Carrier, random: Random) -> Picture:
    """What a camera sees of a carrier: turned as it lies, with blots where it is dirty."""
    seen = printed(carrier.symbology, carrier.content())
    for _ in range(carrier.turned // 90):
        rows = [seen.pixels[at : at + seen.width] for at in range(0, len(seen.pixels), seen.width)]
        seen = Picture(b"".join(bytes(column) for column in zip(*reversed(rows), strict=True)), seen.height, seen.width)
    return _soiled(seen, carrier.dirt, random) if carrier.dirt else seen


def _soiled(clean: Picture, share: float, random: Random) -> Picture:
    """Grey rectangles until so much of the area has gone."""
    pixels = bytearray(clean.pixels)
    spoilt, wanted = 0, share * len(pixels)
    while spoilt < wanted:
        width, height = min(clean.width, 4 * _MODULE), min(clean.height, 4 * _MODULE)
        left, top = random.randrange(clean.width - width + 1), random.randrange(clean.height - height + 1)
        blot = random.choice((0, 255))
        for row in range(top, top + height):
            start = row * clean.width + left
            pixels[start : start + width] = bytes([blot]) * width
        spoilt += width * height
    return Picture(bytes(pixels), clean.width, clean.height)


def read(seen: Picture, enabled: Collection[Symbology]) -> Reading | None:
    """The symbol in a picture, None where there is none that can be read or is wanted."""
    reading = _read(seen)
    return reading if reading is not None and reading.symbology in enabled else None


@lru_cache(_MAX_CACHED)
def _read(seen: Picture) -> Reading | None:
    import zxingcpp

    image = memoryview(seen.pixels).cast("B", (seen.height, seen.width))
    found = zxingcpp.read_barcodes(image, text_mode=zxingcpp.TextMode.Plain)
    return Reading(found[0].symbology_identifier, found[0].text) if found else None
