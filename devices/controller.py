"""What makes a device with a process a controller: it runs or is stopped, and its firmware can be replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from devices.modbus_unit import Identity
from devices.process_device import ProcessDevice
from lab.model.plant import HostConfig
from lab.network.appliance import RecordTruth
from lab.network.fabric import Jack
from lab.network.host import Host
from lab.text import Text

Mode = Literal["RUN", "STOP"]
INSTALLING = Text(zh="正在安装固件 {firmware}", en="installing firmware {firmware}")


class ControllerConfig(HostConfig):
    """Each kind says what versions of its firmware there are: `firmware: Literal["V2.3", "V2.4"] = "V2.3"`."""

    mode: Mode = Field(
        default="RUN",
        description="运行或停止；停止时输出回到安全位置，寄存器保持最后的值。"
        "RUN or STOP; stopped, outputs go to their safe position and registers keep their last values.",
    )
    firmware: str = Field(
        default="",
        description="固件版本；改动后设备离线重启并安装。Its firmware; a change is installed in a restart off the network.",
    )


K = TypeVar("K", bound=ControllerConfig)


class Controller(ProcessDevice[K]):
    """A new mode in the configuration wins over what was last chosen elsewhere, at a register, say.

    New firmware is installed by a restart, for the length of which the device has no link and controls nothing. What
    interrupts that leaves the old firmware in place, and at the next start the installation begins again.
    """

    live: ClassVar[frozenset[str]] = frozenset({"mode"})
    reboot: ClassVar[float] = 30.0
    """Seconds that it takes to install firmware and start it."""

    def __init__(self, host: Host, config: K, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._mode: Mode | None = None
        self._asked_for: Mode | None = None
        """By the configuration, when we last looked."""
        self._firmware = config.firmware
        """As delivered, or the last that was installed."""
        self._installing: asyncio.Task[None] | None = None

    @property
    def who(self) -> Identity:
        return replace(self.identity, revision=self._firmware or self.identity.revision)

    @property
    def mode(self) -> Mode:
        return self._mode or self.config.mode

    def equip(self) -> None:
        self.process.controlled = self._mode != "STOP"
        if self.config.mode != self._asked_for:
            self._asked_for = self.config.mode
            self.switch(self.config.mode)

    def switch(self, mode: Mode) -> None:
        """Run or stop, by whatever key, tool or register."""
        if mode == self._mode:
            return
        self._mode = mode
        self.record("mode", mode)
        self.process.controlled = mode == "RUN"
        self.switched()

    async def start(self) -> None:
        if self.config.firmware == self._firmware:
            await super().start()
        else:
            self._catch_up()
            self.process.controlled = False
            self._scan_cycle.start()
            self._installing = asyncio.get_running_loop().create_task(self._install(self.config.firmware))

    async def stop(self) -> None:
        if self._installing is not None:
            self._installing.cancel()
            with suppress(asyncio.CancelledError):
                await self._installing
            self._installing = None
        await super().stop()

    async def _install(self, firmware: str) -> None:
        self._link(up=False)
        try:
            await asyncio.sleep(self.reboot)
        finally:
            self._link(up=True)
        self._firmware = firmware
        self.record("firmware", firmware)
        self._scan_cycle.stop()
        await super().start()

    def _link(self, *, up: bool) -> None:
        for nic in self.host.ports:
            if isinstance(nic.jack, Jack):
                self.host.network.enable(nic.jack.port, up)

    def status(self) -> Mapping[str, object]:
        if self._installing is not None and not self._installing.done():
            return {"state": str(INSTALLING.say(firmware=self.config.firmware))}
        return {"mode": self.mode, "firmware": self.who.revision, **super().status()}
