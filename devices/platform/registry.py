"""Products and devices: who is who, behind which gateway, and what becomes of strangers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from devices.platform.things import Device, Product
from devices.web.reasons import Reason, Refused, refusal, shown
from lab.model.document import KnownValueError
from lab.text import Text

NO_PRODUCT: Final = Text(zh="设备 {device}：没有产品 {product}", en="device {device}: there is no product {product}")
NO_GATEWAY: Final = Text(zh="设备 {device}：没有网关 {gateway}", en="device {device}: there is no gateway {gateway}")
CYCLE: Final = Text(
    zh="设备 {device} 的上级网关成环：{path}", en="the gateways above device {device} form a cycle: {path}"
)
SAME_NAME: Final = Text(
    zh="设备 {device} 和 {other} 在同一网关下同名（{name}）",
    en="the devices {device} and {other} have the same name ({name}) behind the same gateway",
)
SAME_TOKEN: Final = Text(zh="设备 {device} 和 {other} 凭证相同", en="the devices {device} and {other} share a token")

UNKNOWN: Final = Text(zh="未注册的设备 {device}", en="the device {device} is not registered")
UNKNOWN_BEHIND: Final = Text(
    zh="网关 {gateway} 下没有注册设备 {device}", en="no device {device} is registered behind the gateway {gateway}"
)
ELSEWHERE: Final = Text(
    zh="设备 {device} 注册在网关 {right} 下，报文却来自 {gateway}",
    en="the device {device} is registered behind {right}, but this came from {gateway}",
)
AMBIGUOUS: Final = Text(zh="有多台设备叫 {device}", en="more than one device is called {device}")
WRONG_SITE: Final = Text(
    zh="设备 {device} 属于站点 {right}，报文却来自 {site}",
    en="the device {device} is at {right}, but this came from {site}",
)
WRONG_PRODUCT: Final = Text(
    zh="设备 {device} 属于产品 {right}，报文却写 {product}",
    en="the device {device} is a {right}, but this says {product}",
)
DISABLED: Final = Text(zh="设备 {device} 已停用", en="the device {device} is disabled")
FULL: Final = Text(zh="设备数已达上限 {limit}", en="there are {limit} devices, the most there may be")
NO_SUCH_TOKEN: Final = Text(zh="没有设备使用这个凭证", en="no device has this token")


@dataclass(frozen=True, slots=True)
class Address:
    """How a message names a device; what it does not say is None."""

    device: str
    gateway: str | None = None
    site: str | None = None
    product: str | None = None


Names = dict[tuple[str | None, str], str]
"""Device by the gateway's id and its name there."""


def consistent(products: Mapping[str, Product], devices: Mapping[str, Device]) -> Names:
    """Raises KnownValueError for the first contradiction."""
    names: Names = {}
    tokens: dict[str, str] = {}
    rooted: set[str] = set()
    for device in devices.values():
        if device.product not in products:
            raise KnownValueError(
                NO_PRODUCT, wrong=device.product, known=products, device=device.id, product=device.product
            )
        if device.gateway is not None and device.gateway not in devices:
            raise KnownValueError(
                NO_GATEWAY, wrong=device.gateway, known=devices, device=device.id, gateway=device.gateway
            )
        other = names.setdefault((device.gateway, device.called), device.id)
        if other != device.id:
            raise KnownValueError(SAME_NAME, device=device.id, other=other, name=device.called)
        if device.token is not None and (other := tokens.setdefault(device.token, device.id)) != device.id:
            raise KnownValueError(SAME_TOKEN, device=device.id, other=other)
    for device in devices.values():
        _ends_somewhere(device, devices, rooted)
    return names


def _ends_somewhere(device: Device, devices: Mapping[str, Device], rooted: set[str]) -> None:
    path: dict[str, None] = {}
    each: Device | None = device
    while each is not None and each.id not in rooted:
        if each.id in path:
            raise KnownValueError(CYCLE, device=device.id, path=shown(" → ".join((*path, each.id)), 200))
        path[each.id] = None
        each = devices[each.gateway] if each.gateway is not None else None
    rooted.update(path)


class Registry:
    """What is registered now."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.products: Mapping[str, Product] = {}
        self.devices: dict[str, Device] = {}
        self._names: Names = {}
        self._named: dict[str, list[str]] = {}
        """Devices by their name alone, for messages that do not name a gateway."""
        self._tokens: dict[str, str] = {}

    def replace(self, products: Mapping[str, Product], devices: Mapping[str, Device]) -> None:
        """All of it at once, or nothing: raises Refused."""
        if len(devices) > self.limit:
            raise refusal("too-many-devices", FULL, limit=self.limit)
        try:
            self._names = consistent(products, devices)
        except KnownValueError as error:
            raise Refused(Reason("inconsistent", error.what, error.facts)) from None
        self.products, self.devices = dict(products), dict(devices)
        self._named, self._tokens = {}, {}
        for device in devices.values():
            self._index(device)

    def add_stranger(self, device: Device) -> None:
        """A new device that `provisioned` made."""
        if len(self.devices) >= self.limit:
            raise refusal("too-many-devices", FULL, limit=self.limit)
        self.devices[device.id] = device
        self._names[device.gateway, device.called] = device.id
        self._index(device)

    def _index(self, device: Device) -> None:
        self._named.setdefault(device.called, []).append(device.id)
        if device.token is not None:
            self._tokens[device.token] = device.id

    def children(self, device: str) -> Iterable[Device]:
        return (each for each in self.devices.values() if each.gateway == device)

    def by_token(self, token: str) -> Device:
        """Raises Refused."""
        if token not in self._tokens:
            raise refusal("unknown-token", NO_SUCH_TOKEN)
        return self._enabled(self.devices[self._tokens[token]])

    def find(self, address: Address) -> Device:
        """The device a message speaks of; raises Refused, with code `unknown-device` for a stranger."""
        device = self._named_by(address)
        if address.site is not None and device.site is not None and device.site != address.site:
            raise refusal("wrong-site", WRONG_SITE, device=device.id, right=device.site, site=shown(address.site))
        if address.product is not None and device.product != address.product:
            raise refusal(
                "wrong-product", WRONG_PRODUCT, device=device.id, right=device.product, product=shown(address.product)
            )
        return self._enabled(device)

    def _named_by(self, address: Address) -> Device:
        named = self._named.get(address.device, [])
        if address.gateway is None:
            if len(named) > 1:
                raise refusal("ambiguous-device", AMBIGUOUS, device=address.device)
            if not named:
                raise refusal("unknown-device", UNKNOWN, device=shown(address.device))
            return self.devices[named[0]]
        gateway = self.gateway(address.gateway)
        found = self._names.get((gateway, address.device))
        if found is not None:
            return self.devices[found]
        # A device that is registered without a gateway may be behind any.
        free = self._names.get((None, address.device))
        if free is not None:
            return self.devices[free]
        for each in named:
            right = self.devices[each].gateway
            raise refusal("wrong-gateway", ELSEWHERE, device=each, right=right, gateway=shown(address.gateway))
        raise refusal("unknown-device", UNKNOWN_BEHIND, device=shown(address.device), gateway=shown(address.gateway))

    def gateway(self, called: str) -> str | None:
        """The id of the gateway of this name, None where nobody or more than one is called so."""
        named = self._named.get(called, [])
        return named[0] if len(named) == 1 else None

    def _enabled(self, device: Device) -> Device:
        if not device.enabled:
            raise refusal("device-disabled", DISABLED, device=device.id)
        return device

    def provisioned(self, address: Address) -> Device | None:
        """The device that a stranger becomes by the first product that takes it in; None where none does."""
        for product in self.products.values():
            if address.product not in (None, product.id):
                continue
            rule = product.provision
            behind = address.gateway or ""
            if any(fnmatchcase(address.device, each) for each in rule.devices) and any(
                fnmatchcase(behind, each) for each in rule.gateways
            ):
                return self._newcomer(product, address)
        return None

    def _newcomer(self, product: Product, address: Address) -> Device | None:
        gateway = self.gateway(address.gateway) if address.gateway is not None else None
        if address.gateway is not None and gateway is None:
            return None  # two gateways that nobody knows may each have a device of this name
        identifier = address.device
        if identifier in self.devices and address.gateway is not None:
            identifier = f"{address.gateway}.{address.device}"
        if identifier in self.devices or (gateway, address.device) in self._names:
            return None
        try:
            return Device(id=identifier, product=product.id, gateway=gateway, address=address.device, site=address.site)
        except ValueError:
            return None
