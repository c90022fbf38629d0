"""`config/<scanner>.yaml`."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field

from devices.scanner.carrier import Carrier, Symbology
from lab.model.plant import HostConfig, Strict

PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Passing(Strict):
    """A carrier that comes by on the belt."""

    carrier: Carrier = Field(description="标签。 The label.")
    at: float = Field(ge=0, le=86_400, description="开机后多少秒经过。 Seconds after power-up.")
    stays: float = Field(1.0, gt=0, le=3600, description="在视野中停留的秒数。 Seconds in view.")


class Sending(Strict):
    """Where readings go when the scanner itself connects."""

    host: IPv4Address = Field(description="接收方地址。 Address of the receiver.")
    port: PortNumber = Field(description="接收方端口。 Its port.")


class ScannerConfig(HostConfig):
    """A fixed or hand-held scanner (device library L11)."""

    symbologies: frozenset[Symbology] = Field(
        frozenset({"ean-13"}), description="允许识读的码制。 Symbologies that are read."
    )
    aim_id: bool = Field(True, description="输出前加 AIM 码制标识。 Put the AIM identifier before the text.")
    prefix: str = Field("", max_length=20, description="前缀。 Text before a reading.")
    suffix: str = Field(
        "\r\n", max_length=20, description="后缀，默认回车换行。 Text behind a reading, CR LF by default."
    )
    no_read: str | None = Field(
        None,
        max_length=20,
        description="读不出时发送的文字；null 为不发。 Said when nothing could be read; null for nothing.",
    )
    trigger: Literal["continuous", "edge", "command"] = Field(
        "continuous",
        description="触发：连续、光电边沿、命令（LON / LOFF）。 Always, when something comes into view, or between LON and LOFF.",
    )
    same_code_ms: int = Field(
        2000, ge=100, le=600_000, description="同一条码再次上报前的毫秒数。 Before the same code is reported again, ms."
    )
    port: PortNumber = Field(2001, description="监听的 TCP 端口。 TCP port it listens on.")
    max_clients: int = Field(2, ge=1, le=16, description="最多同时连接的客户端。 Most clients at once.")
    connect: Sending | None = Field(
        None, description="主动连接的接收方，代替监听。 Connect to a receiver instead of listening."
    )
    belt: list[Passing] = Field(
        default_factory=list, max_length=10_000, description="经过的标签。 Labels that come by."
    )
