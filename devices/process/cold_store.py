"""A cold store with six chilled and six frozen rooms, each group on a refrigeration circuit of its own."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import ClassVar, Final

from devices.process.process import Process, approach, clamp

STORES: Final = range(1, 13)
CHILLED, FROZEN = 3.0, -21.0
"""°C at which rooms 1 to 6, and 7 to 12, are kept."""
OUTSIDE: Final = 28.0
HYSTERESIS: Final = 0.6
"""K above and below, at which a room's valve opens and closes."""
INSULATION: Final = 4 * 3600.0
"""Seconds in which a room without cooling comes two thirds of the way to the weather."""
DEFROST_EVERY, DEFROST_FOR = 6 * 3600.0, 600.0
"""Seconds"""
DEFROST_HEAT: Final = 1.0 / 1800.0
"""K/s that hot gas in its evaporator brings into a room."""


class Circuit:
    """Two compressors, the second of which joins in when there is much to do."""

    def __init__(self, evaporating: float, resting: float, pull: float) -> None:
        self.evaporating, self.resting = evaporating, resting
        """MPa on the suction side at work, and on both sides when all is warm and equal."""
        self.pull = pull
        """K/s by which all compressors cool a room whose valve is open."""


CIRCUITS: Final = (Circuit(0.25, 0.85, 1.0 / 180.0), Circuit(0.06, 0.85, 1.0 / 120.0))
CONDENSING: Final = 1.45
"""MPa on the discharge side at full work."""


class ColdStore(Process):
    points: ClassVar[tuple[str, ...]] = (
        *(f"store_{store}" for store in STORES),
        "suction_1",
        "discharge_1",
        "suction_2",
        "discharge_2",
        "compressor_1",
        "compressor_2",
        "compressor_3",
        "compressor_4",
        "defrost",
        "scan_time",
        "battery_low",
        "io_errors",
        "clock_offset",
    )
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {
        **{f"store_{store}": (0.0, 6.0) for store in STORES[:6]},
        **{f"store_{store}": (-25.0, -15.0) for store in STORES[6:]},
        "discharge_1": (0.0, 1.9),
        "discharge_2": (0.0, 1.9),
    }

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        for store in STORES:
            setattr(self, f"store_{store}", self._kept_at(store) + random.uniform(-0.5, 0.5))
        self.suction_1, self.suction_2 = (circuit.evaporating for circuit in CIRCUITS)
        self.discharge_1 = self.discharge_2 = CONDENSING
        """MPa"""
        self.compressor_1, self.compressor_2, self.compressor_3, self.compressor_4 = True, False, True, False
        self.defrost = False
        self.scan_time = 4.2
        """ms the controller takes for its program."""
        self.battery_low = 0
        """1 when the battery that keeps the controller's memory is empty."""
        self.io_errors = 0
        """Bit 0 for the sensor of store 1, and so on."""
        self.clock_offset = 0
        """Seconds by which the controller's clock is fast."""
        self._valves = dict.fromkeys(STORES, False)
        self._since_defrost = random.uniform(0.0, DEFROST_EVERY - 2 * DEFROST_FOR)
        self._load = {store: random.uniform(0.9, 1.1) for store in STORES}
        """Warmth a room takes in compared with the mean: doors, goods, sun."""

    def advance(self, dt: float) -> None:
        left = dt
        while left > 0.0:
            step = min(left, 10.0)
            self._control(step)
            for number in range(2):
                self._cool(number, step)
            left -= step
        self.scan_time = clamp(self.wander(self.scan_time, 4.2, 0.15, dt, 5.0), 2.0, 100.0)

    def _kept_at(self, store: int) -> float:
        return CHILLED if store in STORES[:6] else FROZEN

    def _control(self, dt: float) -> None:
        self._since_defrost += dt
        if self._since_defrost >= DEFROST_EVERY + DEFROST_FOR:
            self._since_defrost = 0.0
        self.defrost = self.controlled and self._since_defrost >= DEFROST_EVERY
        for store in STORES:
            above = getattr(self, f"store_{store}") - self._kept_at(store)
            is_open = above > HYSTERESIS or (self._valves[store] and above > -HYSTERESIS)
            self._valves[store] = is_open and self.controlled and not self.defrost
        for number in range(2):
            calling = sum(self._valves[store] for store in _rooms(number))
            first, second = _compressors(number)
            setattr(self, first, calling > 0)
            setattr(self, second, calling > 3 or (calling > 1 and getattr(self, second)))

    def _cool(self, number: int, dt: float) -> None:
        circuit, rooms = CIRCUITS[number], _rooms(number)
        first, second = (bool(getattr(self, name)) for name in _compressors(number))
        working = 0.6 * first + 0.4 * second if self.controlled else 0.0
        calling = sum(self._valves[store] for store in rooms)
        # What the compressors move is shared by the rooms that call for it, up to what an evaporator can take.
        share = min(1.0, working * len(rooms) / calling) if calling else 0.0
        for store in rooms:
            temperature = getattr(self, f"store_{store}")
            gain = (OUTSIDE - temperature) / INSULATION * self._load[store]
            if self.defrost:
                gain += DEFROST_HEAT
            if self._valves[store]:
                gain -= circuit.pull * share
            noise = self.random.gauss(0.0, 0.01) * min(dt, 1.0)
            setattr(self, f"store_{store}", clamp(temperature + gain * dt + noise, -60.0, 60.0))
        suction, discharge = f"suction_{number + 1}", f"discharge_{number + 1}"
        low = circuit.evaporating if working else circuit.resting
        high = CONDENSING * (0.9 + 0.1 * working) if working else circuit.resting
        setattr(self, suction, approach(getattr(self, suction), low, dt, 90.0))
        setattr(self, discharge, approach(getattr(self, discharge), high, dt, 120.0))


def _rooms(number: int) -> range:
    return STORES[:6] if number == 0 else STORES[6:]


def _compressors(number: int) -> tuple[str, str]:
    return f"compressor_{2 * number + 1}", f"compressor_{2 * number + 2}"
