"""The work phase as a proof needs it: the plant as it begins, somebody's deeds in it, then the files changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from grading import events
from grading.stimulus import Probe
from lab.clock import EPOCH_NS
from lab.model.document import parse
from lab.wire import modbus
from scenarios import folder
from scenarios.assembly import Plant
from scenarios.faults import Injector
from scenarios.format import WriteFile
from scenarios.marking import Work
from scenarios.recorded import RecordedPlant
from scenarios.scenario import Instance
from scenarios.stimuli import converse

_A_WHILE: Final = 5.0
"""Plant seconds to look around before, and to look at what came of it after."""


def rehearse(instance: Instance, files: Mapping[str, str], deeds: Sequence[WriteFile]) -> tuple[Work, str]:
    """Records of a work phase that ends with these files, and our failure if we failed."""
    start = folder.read_folder(instance, instance.start)
    recorded = RecordedPlant(instance)

    async def story(plant: Plant) -> None:
        await plant.boot(start)
        faults = Injector(plant, recorded.note)
        faults.schedule(instance.definition.faults)
        await asyncio.sleep(_A_WHILE)
        for deed in deeds:
            await plant.network.hosts[deed.source].spawn(_write(deed))
        for name, text in files.items():
            if text != instance.start.get(name):
                await _apply(instance, plant, name, text)
                recorded.note(events.CONFIGURATION_APPLIED, {"file": name})
        await asyncio.sleep(_A_WHILE)
        faults.close()
        recorded.note("HandedIn", {})

    return Work(recorded.run(story), EPOCH_NS), recorded.failure


async def _apply(instance: Instance, plant: Plant, name: str, text: str) -> None:
    host = folder.owner_of(name)
    if name == folder.WIRING:
        plant.rewire(folder.read_wiring(instance, parse(text, name)))
    elif host is not None:
        await plant.configure(host, folder.read_config(instance, host, parse(text, name)))


async def _write(deed: WriteFile) -> None:
    probe = Probe("deed", "tcp", deed.source, str(deed.write), modbus.PORT, deed.unit)
    try:
        await converse(probe, modbus.WriteSingleRegister(deed.register_, deed.value))
    except (OSError, TimeoutError):
        pass  # whoever cannot get through has not written
