"""The OpenAPI 3.1 description of the REST interface, made of the table of routes and the models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from devices.platform.documents import Error
from devices.platform.http import Route
from lab.text import Language, Text

VERSION: Final = "3.1.0"
TITLE: Final = Text(zh="工业互联网平台接口", en="Industrial internet platform API")
_REASONS: Final = {
    400: Text(zh="请求有误", en="The request is wrong"),
    401: Text(zh="未登录", en="Not logged in"),
    403: Text(zh="没有权限", en="Not permitted"),
    404: Text(zh="不存在", en="There is no such thing"),
    409: Text(zh="与现状冲突", en="Contradicts what there is"),
    413: Text(zh="请求过大", en="The request is too large"),
    429: Text(zh="过于频繁", en="Too many"),
    503: Text(zh="代理不可用", en="The broker cannot be reached"),
}
_ALWAYS_TEXT: Final = {"type": "string"}
_REF: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def document(routes: Sequence[Route], title: str, language: Language) -> dict[str, Any]:
    models = _models(routes)
    schemas: dict[str, Any] = {}
    refs: dict[Any, Any] = {}
    if models:
        by_model, definitions = models_json_schema(
            [(model, mode) for model, mode in models], by_alias=True, ref_template=_REF
        )
        schemas = definitions.get("$defs", {})
        refs = {model: schema for (model, _), schema in by_model.items()}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs, schemas, language)
    return {
        "openapi": VERSION,
        "info": {"title": title or _say(TITLE, language), "version": "1"},
        "security": [{"login": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"login": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(routes: Sequence[Route]) -> list[tuple[type[BaseModel], Any]]:
    found: dict[type[BaseModel], Any] = {Error: "serialization"}
    for route in routes:
        for model, mode in ((route.returns, "serialization"), (route.body, "validation")):
            if isinstance(model, type) and issubclass(model, BaseModel):
                found.setdefault(model, mode)
    return list(found.items())


def _operation(route: Route, refs: dict[Any, Any], schemas: dict[str, Any], language: Language) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.answer.__name__,
        "summary": _say(route.summary, language),
        "tags": [route.tag],
        "responses": {str(route.status): _response(route, refs, language)},
    }
    parameters = [*_path_parameters(route), *_query_parameters(route)]
    if parameters:
        made["parameters"] = parameters
    if route.body is bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        made["requestBody"] = {"required": True, "content": content}
    elif route.body is not None:
        schema = refs[route.body] if route.body in refs else _loose(route.body, schemas)
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.role is None:
        made["security"] = []
    else:
        made["x-role"] = route.role
    for status in _errors(route):
        made["responses"][str(status)] = {
            "description": _say(_REASONS[status], language),
            "content": {"application/json": {"schema": refs[Error]}},
        }
    return made


def _errors(route: Route) -> list[int]:
    statuses = set(route.errors)
    if route.role is not None:
        statuses |= {401, 403}
    if route.query is not None or route.body is not None:
        statuses.add(400)
    if route.body is not None:
        statuses.add(413)
    if "{" in route.path:
        statuses.add(404)
    return sorted(statuses)


def _response(route: Route, refs: dict[Any, Any], language: Language) -> dict[str, Any]:
    schema: Any = _ALWAYS_TEXT
    if route.returns is not None:
        schema = refs[route.returns]
    elif route.content_type == "application/json":
        schema = {"type": "object"}
    return {"description": _say(route.summary, language), "content": {route.content_type: {"schema": schema}}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _ALWAYS_TEXT}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": each}
        for name, each in schema["properties"].items()
    ]


def _loose(annotation: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of something that is no model by itself, whose parts become schemas of the document."""
    schema = TypeAdapter(annotation).json_schema(ref_template=_REF)
    for name, each in schema.pop("$defs", {}).items():
        schemas.setdefault(name, each)
    return schema


def _say(text: Text, language: Language) -> str:
    return text.zh if language == "zh" else text.en
