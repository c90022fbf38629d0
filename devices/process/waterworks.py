"""The last stage of a waterworks: filters, chlorine, a clear-well, and the pumps that deliver."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import ClassVar, Final

from devices.process.process import Process, approach, clamp

PUMPS: Final = range(1, 5)
AREA: Final = 60.0
"""m² of the clear-well."""
LEVEL: Final = 280.0
"""cm at which the inlet valve holds it."""
OVERFLOW: Final = 450.0
DRY, REFILLED = 40.0, 100.0
"""cm at which the pumps are switched off before they draw air, and on again."""
FILTERS: Final = 1100.0
"""m³/h that the filters let through at most; they clear best at half of it."""
PER_PUMP: Final = 420.0
"""m³/h of one pump alone at 50 Hz."""
LIFTS_FROM: Final = 22.0
"""Hz from which a pump's head is more than that of the town."""
MOST_CHLORINE: Final = 4.0
"""mg/L that the dosing pump can add to the flow."""
DECAY: Final = 0.08
"""Share of its chlorine that standing water loses in an hour."""


class Waterworks(Process):
    points: ClassVar[tuple[str, ...]] = (
        "turbidity",
        "clear_well_level",
        "residual_chlorine",
        "ph",
        "flow",
        "dosing_setpoint",
        "pump_frequency",
        "pump_1",
        "pump_2",
        "pump_3",
        "pump_4",
        "dosing_enable",
    )
    setpoints: ClassVar[tuple[str, ...]] = (
        "dosing_setpoint",
        "pump_frequency",
        "pump_1",
        "pump_2",
        "pump_3",
        "pump_4",
        "dosing_enable",
    )
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {
        "turbidity": (0.0, 1.0),
        "clear_well_level": (100.0, 420.0),
        "residual_chlorine": (0.30, 0.80),
        "ph": (6.5, 8.5),
        "flow": (150.0, 1500.0),
        "dosing_setpoint": (0.30, 0.80),
    }
    """GB 5749: turbidity up to 1 NTU, pH 6.5 to 8.5; below the least flow the upper storeys have no water."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.turbidity = random.uniform(0.22, 0.32)
        """NTU behind the filters."""
        self.clear_well_level = LEVEL + random.uniform(-4.0, 4.0)
        """cm"""
        self.residual_chlorine = random.uniform(0.52, 0.58)
        """mg/L of free chlorine in what is delivered."""
        self.ph = random.uniform(7.15, 7.35)
        self.flow = 540.0
        """m³/h delivered."""
        self.dosing_setpoint = 0.55
        """mg/L of free chlorine that the controller doses for."""
        self.pump_frequency = 42.0
        """Hz of the inverter that all running pumps share."""
        self.pump_1, self.pump_2, self.pump_3, self.pump_4 = True, True, False, False
        self.dosing_enable = True
        self._demand = random.uniform(0.30, 0.45)
        """mg/L of chlorine that the raw water uses up at once."""
        self._trim = self._demand
        """mg/L that the controller has learned to add to its set-point."""
        self._is_dry = False
        self._inflow = self.flow
        self._raw_ph = self.ph
        self._dirt = self.turbidity
        """NTU behind filters at half their load."""

    def advance(self, dt: float) -> None:
        left = dt
        while left > 0.0:  # a chlorine control loop does not become unstable because a computer slept
            step = min(left, 10.0)
            self._deliver(step)
            self._fill(step)
            self._chlorinate(step)
            left -= step
        self._dirt = clamp(self.wander(self._dirt, 0.27, 0.03, dt, 1800.0), 0.1, 0.45)
        load = self._inflow / FILTERS
        murky = self._dirt * (1.0 + 8.0 * max(load - 0.6, 0.0))
        self.turbidity = clamp(self.wander(approach(self.turbidity, murky, dt, 300.0), murky, 0.01, dt, 120.0), 0.0, 20)
        self._raw_ph = clamp(self.wander(self._raw_ph, 7.25, 0.06, dt, 3600.0), 6.8, 7.8)
        # Hypochlorite makes water a little alkaline.
        basic = self._raw_ph + 0.15 * (self.residual_chlorine - 0.5)
        self.ph = clamp(approach(self.ph, basic, dt, 600.0), 0.0, 14.0)

    def _deliver(self, dt: float) -> None:
        running = sum(bool(getattr(self, f"pump_{pump}")) for pump in PUMPS) if self.controlled else 0
        frequency = clamp(self.pump_frequency, 0.0, 50.0)
        self._is_dry = self.clear_well_level <= (REFILLED if self._is_dry else DRY)
        if self._is_dry:
            running = 0
        lift = max(frequency - LIFTS_FROM, 0.0) / (50.0 - LIFTS_FROM)
        # Each pump more pushes against what the others have put into the main already.
        wanted = PER_PUMP * lift * running / (1.0 + 0.06 * max(running - 1, 0))
        flow = approach(self.flow, wanted, dt, 8.0)
        self.flow = max(flow * (1.0 + self.random.gauss(0.0, 0.003)), 0.0)

    def _fill(self, dt: float) -> None:
        # The inlet valve is moved by the controller; without power a spring closes it.
        missing = LEVEL - self.clear_well_level
        wanted = clamp(self.flow + 12.0 * missing, 0.0, FILTERS) if self.controlled else 0.0
        self._inflow = approach(self._inflow, wanted, dt, 20.0)
        risen = (self._inflow - self.flow) / 3600.0 * dt / AREA * 100.0
        self.clear_well_level = clamp(self.clear_well_level + risen, 0.0, OVERFLOW)

    def _chlorinate(self, dt: float) -> None:
        self._demand = clamp(self.wander(self._demand, 0.38, 0.02, dt, 1200.0), 0.2, 0.6)
        dosed = 0.0
        if self.controlled and self.dosing_enable:
            wanted = clamp(self.dosing_setpoint, 0.0, 2.0)
            error = wanted - self.residual_chlorine
            self._trim = clamp(self._trim + 0.0004 * error * dt, 0.2, 0.7)
            dosed = clamp(wanted + self._trim + 1.5 * error, 0.0, MOST_CHLORINE) if wanted else 0.0
        arriving = max(dosed - self._demand, 0.0)
        volume = max(AREA * self.clear_well_level / 100.0, 10.0)
        turnover = self._inflow / 3600.0 / volume
        mixed = self.residual_chlorine + (arriving - self.residual_chlorine) * min(turnover * dt, 1.0)
        self.residual_chlorine = max(mixed * (1.0 - DECAY * dt / 3600.0), 0.0)
