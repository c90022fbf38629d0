"""What a trainee writes about a reader of transponders or a scanner of bar codes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.fields import Aging, HostName, Milliseconds, Name, PortNumber, Redialling, Reported, ReportMode
from gateway.identification.epcis import Business
from lab.model.plant import Strict

Repeat = Annotated[int, Field(ge=0, le=86_400_000)]
_REPEAT = (
    "同一标识消失这么多毫秒后再现才算新的事件；0 为每次都算。 "
    "The same identifier is an event again when it has been away for so many ms; 0 makes every reading one."
)


class SeenTag(Reported):
    """One of the values that such a device has, all passed on when they change."""

    name: str
    unit: str = ""
    report: ReportMode | None = "change"


class SeenGroup(Strict):
    """All of them."""

    name: str = "reads"
    period_ms: int
    tags: list[SeenTag]


class RfidConnection(Redialling):
    """How to reach the reader."""

    host: HostName = Field(description="设备地址或主机名。 Address or name of the device.")
    port: PortNumber = Field(502, description="TCP 端口。 TCP port.")
    unit: int = Field(255, ge=0, le=255, description="单元标识。 Unit identifier.")
    timeout_ms: Milliseconds = Field(1000, description="等待应答的时间，毫秒。 How long to wait for an answer, in ms.")


class RfidDevice(Aging):
    """A UHF reader that shows StoredPC and EPC from register 0x4000 on (Modbus TCP)."""

    name: Name = Field(description="设备名，主题的一级。 Name of the device, one level of its topic.")
    driver: Literal["rfid"] = Field(description="协议。 The protocol.")
    connection: RfidConnection = Field(description="连接参数。 How to connect.")
    period_ms: Milliseconds = Field(
        100,
        description="轮询周期，毫秒；应短于读写器保持标识的时间。 Poll period, shorter than the reader holds a reading.",
    )
    repeat_after_ms: Repeat = Field(5000, description=_REPEAT)
    business: Business = Field(
        default_factory=Business, description="事件的业务含义。 What an event means to the business."
    )

    @property
    def groups(self) -> list[SeenGroup]:
        tags = [SeenTag(name="epc"), SeenTag(name="status")]
        return [SeenGroup(period_ms=self.period_ms, tags=tags)]


class ScannerConnection(Redialling):
    """How to reach the scanner, which listens."""

    host: HostName = Field(description="设备地址或主机名。 Address or name of the device.")
    port: PortNumber = Field(2001, description="TCP 端口。 TCP port.")
    silence_ms: Milliseconds | None = Field(
        None,
        description="扫码器有心跳时：沉默这么久就重新连接，毫秒。 "
        "For scanners with a heartbeat: reconnect after so long a silence, in ms.",
    )


class ScannerDevice(Aging):
    """A scanner that sends AIM identifier, text, CR and LF."""

    name: Name = Field(description="设备名，主题的一级。 Name of the device, one level of its topic.")
    driver: Literal["scanner"] = Field(description="协议。 The protocol.")
    connection: ScannerConnection = Field(description="连接参数。 How to connect.")
    encoding: Literal["utf-8", "gbk", "latin-1"] = Field("utf-8", description="文本的编码。 Encoding of the text.")
    no_read: str = Field(
        "NOREAD",
        max_length=100,
        description="没读到时扫码器发送的文字，不算标识。 What it sends when it has read nothing.",
    )
    repeat_after_ms: Repeat = Field(0, description=_REPEAT)
    business: Business = Field(
        default_factory=Business, description="事件的业务含义。 What an event means to the business."
    )

    @property
    def groups(self) -> list[SeenGroup]:
        tags = [SeenTag(name="code", report="period"), SeenTag(name="symbology", report="period")]
        return [SeenGroup(period_ms=1000, tags=tags)]
