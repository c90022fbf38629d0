"""All routes there are."""

from __future__ import annotations

from typing import Any, Final

from devices.platform import openapi
from devices.platform.http import Ask, Route
from devices.platform.routes import alarms, data, devices, operation, page, people, products
from devices.platform.service import Service
from lab.text import Text


async def get_openapi(service: Service, ask: Ask) -> Any:
    return openapi.document(ROUTES, service.config.title, ask.language)


ROUTES: Final[tuple[Route, ...]] = (
    *people.ROUTES,
    *products.ROUTES,
    *devices.ROUTES,
    *data.ROUTES,
    *alarms.ROUTES,
    *operation.ROUTES,
    Route("GET", "/openapi.json", get_openapi, Text(zh="接口说明", en="Description of this interface"), None, "page"),
    *page.ROUTES,
)
