"""How a node is, for probes and for people."""

from __future__ import annotations

from typing import Any

from devices.identification.service import Service, now_ms
from lab import clock


def health(service: Service) -> dict[str, Any]:
    """`status` is ok, or degraded where something keeps the node from its work."""
    config, resolver, store = service.config, service.resolver, service.store
    has_database, has_room = store.is_sound(), service.has_room()
    said: dict[str, Any] = {
        "status": "ok",
        "role": config.role,
        "version": config.version,
        "time": now_ms(),
        "uptime_s": (now_ms() - service.began) // 1000,
        "database": has_database,
        "disk_free_bytes": service.host.disk.free,
    }
    troubles = [] if has_database else ["database"]
    if not has_room:
        troubles.append("disk full")
    if resolver is None:
        said |= {"prefixes": list(config.prefixes), "handles": store.count()}
    else:
        said |= {"cache_entries": len(resolver.cache), "upstream": str(resolver.last_trouble or "ok")}
        if resolver.last_trouble is not None:
            troubles.append("upstream")
    if (follower := service.follower) is not None:
        said |= {"synchronised": follower.synchronised, "synchronisation": str(follower.trouble or "ok")}
        if follower.trouble is not None:
            troubles.append("synchronisation")
    if config.https is not None:
        from lab.network.tls_server import warnings

        said["certificate"] = "; ".join(warnings(config.https.certificate, None, clock.now())) or "ok"
        if said["certificate"] != "ok":
            troubles.append("certificate")
    if troubles:
        said |= {"status": "degraded", "troubles": troubles}
    return said


def metrics(service: Service) -> str:
    """Prometheus' text format."""
    lines = ["# TYPE idn_resolutions_total counter"]
    lines += [f'idn_resolutions_total{{code="{code}"}} {count}' for code, count in sorted(service.codes.items())]
    gauges = [
        ("idn_handles", "gauge", service.store.count()),
        ("idn_database_bytes", "gauge", service.store.size),
        ("idn_disk_free_bytes", "gauge", service.host.disk.free),
        ("idn_uptime_seconds", "gauge", (now_ms() - service.began) / 1000),
    ]
    if (resolver := service.resolver) is not None:
        gauges += [
            ("idn_cache_hits_total", "counter", resolver.cache.hits),
            ("idn_cache_misses_total", "counter", resolver.cache.misses),
            ("idn_cache_entries", "gauge", len(resolver.cache)),
        ]
    for name, kind, value in gauges:
        lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
    return "\n".join(lines) + "\n"
