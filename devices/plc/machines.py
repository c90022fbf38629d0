"""What a general controller can be put on, and what of that its variables can stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, get_args

from devices.process.boiler import Boiler
from devices.process.cold_store import ColdStore
from devices.process.compressor import Compressor
from devices.process.feeder import Feeder
from devices.process.injection import InjectionMachine
from devices.process.packaging import PackagingMachine
from devices.process.process import Process
from devices.process.waterworks import Waterworks
from devices.signals.input_card import ANALOG, DIGITAL

Machine = Literal["none", "boiler", "cold-store", "compressor", "feeder", "injection", "packaging", "waterworks"]


class NoMachine(Process):
    """A controller that has nothing but its own inputs."""

    points: ClassVar[tuple[str, ...]] = ()

    def advance(self, dt: float) -> None:
        """Nothing moves."""


MACHINES: Final[Mapping[Machine, type[Process]]] = dict(
    zip(
        get_args(Machine),
        (NoMachine, Boiler, ColdStore, Compressor, Feeder, InjectionMachine, PackagingMachine, Waterworks),
        strict=True,
    )
)
INPUTS: Final = (
    *(name + part for name in ANALOG for part in ("", ".raw", ".status")),
    *(name + part for name in DIGITAL for part in ("", ".count")),
)
"""`ai0` is in the unit of its channel's range, `ai0.raw` what the converter gives, 0 to 27648; `ai0.status` 0 when good."""
