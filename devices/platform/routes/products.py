"""Products and their thing models."""

from __future__ import annotations

from typing import Any, Final

from devices.platform.documents import Done, Products, ProductView
from devices.platform.http import Ask, Route
from devices.platform.service import Service
from devices.platform.things import Product
from devices.platform.tsl import from_tsl, to_tsl
from devices.web.reasons import refusal
from lab.text import Text

CHANGED: Final = Text(zh="{by} 设置产品 {product}", en="{by} set the product {product}")
DELETED: Final = Text(zh="{by} 删除产品 {product}", en="{by} deleted the product {product}")
OTHER_ID: Final = Text(zh="路径中是 {path}，内容中是 {body}", en="the path says {path}, the body says {body}")


async def list_products(service: Service, ask: Ask) -> Any:
    return Products(items=[_view(service, name) for name in sorted(service.registry.products)])


async def create_product(service: Service, ask: Ask) -> Any:
    product: Product = ask.body
    service.catalogue.create("product", product.id, product)
    service.log(CHANGED.say(by=ask.session.user, product=product.id))
    return _view(service, product.id)


async def get_product(service: Service, ask: Ask) -> Any:
    return _view(service, ask.path["id"])


async def change_product(service: Service, ask: Ask) -> Any:
    product: Product = ask.body
    same_id(ask.path["id"], product.id)
    service.catalogue.get("product", product.id)
    return _put(service, ask, product)


async def delete_product(service: Service, ask: Ask) -> Any:
    service.catalogue.delete("product", ask.path["id"])
    service.log(DELETED.say(by=ask.session.user, product=ask.path["id"]))
    return Done()


async def export_tsl(service: Service, ask: Ask) -> Any:
    product: Product = service.catalogue.get("product", ask.path["id"])
    return to_tsl(product.id, product)


async def import_tsl(service: Service, ask: Ask) -> Any:
    product: Product = service.catalogue.get("product", ask.path["id"])
    model = from_tsl(ask.body)
    parts = {"properties": model.properties, "events": model.events, "services": model.services}
    return _put(service, ask, product.model_copy(update=parts))


def _put(service: Service, ask: Ask, product: Product) -> ProductView:
    service.catalogue.put("product", [(product.id, product)])
    service.log(CHANGED.say(by=ask.session.user, product=product.id))
    return _view(service, product.id)


def _view(service: Service, identifier: str) -> ProductView:
    product: Product = service.catalogue.get("product", identifier)
    is_declared = service.catalogue.is_declared("product", identifier)
    return ProductView.model_construct(**dict(product), declared=is_declared)


def same_id(path: str, body: str) -> None:
    """Raises Refused."""
    if path != body:
        raise refusal("invalid", OTHER_ID, path=path, body=body)


_TAG: Final = "products"
_TSL: Final = dict[str, Any]
ROUTES: Final = (
    Route(
        "GET", "/api/products", list_products, Text(zh="产品列表", en="List products"), "viewer", _TAG, returns=Products
    ),
    Route(
        "POST",
        "/api/products",
        create_product,
        Text(zh="新建产品", en="Create a product"),
        "admin",
        _TAG,
        body=Product,
        returns=ProductView,
        status=201,
        errors=(409,),
    ),
    Route(
        "GET", "/api/products/{id}", get_product, Text(zh="产品", en="A product"), "viewer", _TAG, returns=ProductView
    ),
    Route(
        "PUT",
        "/api/products/{id}",
        change_product,
        Text(zh="修改产品", en="Change a product"),
        "admin",
        _TAG,
        body=Product,
        returns=ProductView,
        errors=(409,),
    ),
    Route(
        "DELETE",
        "/api/products/{id}",
        delete_product,
        Text(zh="删除产品", en="Delete a product"),
        "admin",
        _TAG,
        returns=Done,
        errors=(409,),
    ),
    Route(
        "GET",
        "/api/products/{id}/tsl",
        export_tsl,
        Text(zh="导出物模型（TSL）", en="Export the thing model (TSL)"),
        "viewer",
        _TAG,
        content_type="application/json",
    ),
    Route(
        "PUT",
        "/api/products/{id}/tsl",
        import_tsl,
        Text(zh="导入物模型（TSL）", en="Import a thing model (TSL)"),
        "admin",
        _TAG,
        body=_TSL,
        returns=ProductView,
        errors=(409,),
    ),
)
