"""Running a platform: health, metrics, audit log, backup."""

from __future__ import annotations

from typing import Any, Final

from devices.platform.documents import Health, Lines, Page, Restored
from devices.platform.http import MAX_BACKUP, Ask, File, Route
from devices.platform.service import Service, now_ms
from lab import clock
from lab.text import Text

BACKED_UP: Final = Text(zh="{by} 下载备份（{size} 字节）", en="{by} took a backup ({size} bytes)")
RESTORED: Final = Text(zh="{by} 恢复了备份", en="{by} restored a backup")

SQLITE: Final = "application/vnd.sqlite3"
_MOST_LINES: Final = 10_000


async def health(service: Service, ask: Ask) -> Any:
    is_sound = service.store.is_sound()
    broker = service.link.is_connected if service.link is not None else None
    status = "ok" if is_sound and broker is not False else "degraded"
    return Health(status=status, database=is_sound, broker=broker, time=now_ms())


async def metrics(service: Service, ask: Ask) -> Any:
    return File(_metrics(service).encode(), "text/plain; charset=utf-8")


def _metrics(service: Service) -> str:
    """Prometheus' text format."""
    hub = service.hub
    lines = []
    for name, kind, value in (
        ("platform_messages_total", "counter", hub.counts["messages"]),
        ("platform_values_total", "counter", hub.counts["values"]),
        ("platform_write_failures_total", "counter", hub.counts["write failures"]),
        ("platform_values_lost_total", "counter", service.store.lost),
        ("platform_devices", "gauge", len(service.registry.devices)),
        ("platform_alarms_open", "gauge", sum(1 for _ in service.desk.raised)),
        ("platform_database_bytes", "gauge", service.store.size),
        ("platform_broker_connected", "gauge", int(service.link is not None and service.link.is_connected)),
        ("platform_uptime_seconds", "gauge", (now_ms() - service.began) / 1000),
    ):
        lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
    lines.append("# TYPE platform_refused_total counter")
    lines += [f'platform_refused_total{{code="{code}"}} {count}' for code, count in sorted(hub.refusals.items())]
    return "\n".join(lines) + "\n"


async def audit_log(service: Service, ask: Ask) -> Any:
    query: Page = ask.query
    lines = list(reversed(service.audit.tail(_MOST_LINES)))
    return Lines(items=lines[query.offset : query.offset + query.limit])


async def download_backup(service: Service, ask: Ask) -> Any:
    content = service.store.backup()
    service.log(BACKED_UP.say(by=ask.session.user, size=len(content)))
    return File(content, SQLITE, f"platform-{clock.now():%Y%m%dT%H%M%SZ}.sqlite")


async def restore_backup(service: Service, ask: Ask) -> Any:
    service.restore(ask.raw)
    service.log(RESTORED.say(by=ask.session.user))
    return Restored(devices=len(service.registry.devices), products=len(service.registry.products))


_TAG: Final = "operation"
ROUTES: Final = (
    Route("GET", "/health", health, Text(zh="健康状态", en="Health"), None, _TAG, returns=Health),
    Route(
        "GET",
        "/metrics",
        metrics,
        Text(zh="指标（Prometheus 格式）", en="Metrics in Prometheus' format"),
        None,
        _TAG,
        content_type="text/plain",
    ),
    Route(
        "GET",
        "/api/audit",
        audit_log,
        Text(zh="审计日志，最新在前", en="The audit log, newest first"),
        "admin",
        _TAG,
        query=Page,
        returns=Lines,
    ),
    Route(
        "GET",
        "/api/backup",
        download_backup,
        Text(zh="下载备份", en="Download a backup"),
        "admin",
        _TAG,
        content_type=SQLITE,
    ),
    Route(
        "POST",
        "/api/restore",
        restore_backup,
        Text(zh="恢复备份", en="Restore a backup"),
        "admin",
        _TAG,
        body=bytes,
        returns=Restored,
        max_body=MAX_BACKUP,
    ),
)
