"""An identification node at work: its sockets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devices.identification.business import Business
from devices.identification.config import IdnNodeConfig
from devices.identification.rest import Rest
from devices.identification.service import Service
from devices.web.site import Site
from lab.network.host import Host
from lab.network.logbook import Log


class Running:
    """From start to stop."""

    def __init__(self, host: Host, config: IdnNodeConfig, file: Path | None, logs: Mapping[str, Log[Any]]) -> None:
        self.service = Service(host, config, file, logs)
        self._sites: list[Site] = []
        self._business: Business | None = None

    async def start(self) -> None:
        config = self.service.config
        try:
            site = Site(Rest(self.service).application())
            self._sites.append(site)
            await site.open(config.port)
            if config.https is not None:
                from lab.network.tls_server import server_context  # cryptography takes its time to load

                certificate, key = config.https.certificate, config.https.key
                await site.open(config.https.port, server_context(certificate, key, None, client_certificate="none"))
            if config.business is not None:
                self._business = Business(self.service, config.business)
                business = Site(self._business.application())
                self._sites.append(business)
                await business.open(config.business.port)
            if self.service.follower is not None:
                self.service.follower.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        for site in self._sites:
            await site.close()
        self._sites.clear()
        if self._business is not None:
            await self._business.stop()
        await self.service.stop()

    def status(self) -> Mapping[str, object]:
        service = self.service
        config, resolver = service.config, service.resolver
        shown: dict[str, object] = {
            "role": config.role,
            "version": config.version,
            "resolutions": sum(service.codes.values()),
            "found": service.codes[1],
            "database bytes": service.store.size,
        }
        if (follower := service.follower) is not None:
            shown |= {"synchronised": follower.synchronised or "-", "last error": str(follower.trouble or "")}
        if resolver is None:
            return shown | {"prefixes": ", ".join(config.prefixes), "handles": service.store.count()}
        return shown | {
            "cached": len(resolver.cache),
            "cache hits": resolver.cache.hits,
            "last error": str(resolver.last_trouble or ""),
        }
