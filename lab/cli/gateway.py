"""`gateway`: what a configuration of the gateway leads to, before anything runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from unicodedata import east_asian_width

from gateway.config import GatewayConfig
from gateway.modbus.plan_rows import PlanRow, plan_rows
from lab.cli.trouble import Refused
from lab.model.document import load
from lab.text import Text

NO_FILE: Final = Text(
    zh="缺少配置文件；例如 iiotlab gateway plan config/gw-1.yaml",
    en="which file? such as iiotlab gateway plan config/gw-1.yaml",
)
NOTHING: Final = Text(zh="这个文件不产生 Modbus 请求", en="this file leads to no Modbus requests")
TITLES: Final = (
    Text(zh="设备", en="device"),
    Text(zh="组", en="group"),
    Text(zh="周期 ms", en="period ms"),
    Text(zh="站号", en="unit"),
    Text(zh="功能码", en="FC"),
    Text(zh="地址", en="addresses"),
    Text(zh="编号", en="reference"),
    Text(zh="读取/需要", en="read/wanted"),
    Text(zh="变量", en="tags"),
)
TOTAL: Final = Text(
    zh="{requests} 个请求，{rate:.1f} 个/秒，读 {read} 个地址，需要 {wanted} 个",
    en="{requests} requests, {rate:.1f} a second; {read} addresses read, {wanted} wanted",
)
TITLE: Final = Text(zh="工业网关的配置（config/<网关>.yaml）", en="Configuration of the gateway, config/<gateway>.yaml")
_TAGS_SHOWN: Final = 4


def gateway(options: argparse.Namespace) -> int:
    return _schema() if options.do == "schema" else _plan(options)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a gateway's configuration."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **GatewayConfig.model_json_schema(),
        "title": "iiotlab gateway",
        "description": f"{TITLE.zh}。 {TITLE.en}.",
    }


def _schema() -> int:
    print(json.dumps(schema(), ensure_ascii=False, indent=1))
    return 0


def _plan(options: argparse.Namespace) -> int:
    if options.file is None:
        raise Refused(NO_FILE.say())
    config = load(Path(options.file), GatewayConfig, options.file)
    rows = list(plan_rows(config.south))
    if options.json:
        print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1))
        return 0
    if not rows:
        print(NOTHING.say())
        return 0
    _print_table([tuple(title.say() for title in TITLES), *(_cells(row) for row in rows)])
    rate = sum(1000 / row.period_ms for row in rows)
    read, wanted = sum(row.read for row in rows), sum(row.wanted for row in rows)
    print(TOTAL.say(requests=len(rows), rate=rate, read=read, wanted=wanted))
    return 0


def _cells(row: PlanRow) -> tuple[str, ...]:
    more = f" +{len(row.tags) - _TAGS_SHOWN}" if len(row.tags) > _TAGS_SHOWN else ""
    return (
        row.device,
        row.group,
        str(row.period_ms),
        str(row.unit),
        str(row.function),
        f"{row.table} {row.first}–{row.last}",
        row.reference,
        f"{row.read}/{row.wanted}",
        " ".join(row.tags[:_TAGS_SHOWN]) + more,
    )


def _print_table(lines: Sequence[tuple[str, ...]]) -> None:
    widths = [max(_width(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Columns of a terminal; Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
