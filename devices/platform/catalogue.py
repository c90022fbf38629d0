"""Products, devices, rules and users: what the file declares, and what REST has added to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from devices.platform.alarm_desk import AlarmDesk
from devices.platform.config import PlatformConfig, Role, User
from devices.platform.registry import FULL, Registry, consistent
from devices.platform.rules import Rule
from devices.platform.store import Store
from devices.platform.things import Device, Product
from devices.web.accounts import Accounts
from devices.web.reasons import Reason, Refused, refusal
from devices.web.validation import first_complaint
from lab.model.document import KnownValueError
from lab.text import Text

DECLARED: Final = Text(
    zh="{id} 在平台的配置文件中声明，只能在那里修改",
    en="{id} is declared in the platform's configuration file; change it there",
)
UNKNOWN: Final = Text(zh="没有 {id}", en="there is no {id}")
EXISTS: Final = Text(zh="{id} 已存在", en="{id} exists already")
LEFT_OUT: Final = Text(
    zh="{kind} {id} 与配置文件不符，未启用：{why}", en="{kind} {id} does not fit the configuration: {why}"
)
NO_PRODUCT: Final = Text(zh="规则 {id}：没有产品 {name}", en="rule {id}: there is no product {name}")
NO_DEVICE: Final = Text(zh="规则 {id}：没有设备 {name}", en="rule {id}: there is no device {name}")
NO_ADMIN: Final = Text(zh="至少要有一个 admin 用户", en="at least one user must be admin")

_ADAPTERS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "product": TypeAdapter(Product),
    "device": TypeAdapter(Device),
    "rule": TypeAdapter(Rule),
    "user": TypeAdapter(User),
}
KINDS: Final = tuple(_ADAPTERS)


class Catalogue:
    """One place where each of these can be changed; a change that contradicts anything changes nothing."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        accounts: Accounts[Role],
        desk: AlarmDesk,
        complain: Callable[[str], None],
    ) -> None:
        self._store, self._registry, self._accounts, self._desk = store, registry, accounts, desk
        self._complain = complain
        self._declared: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._added: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

    def declare(self, config: PlatformConfig) -> None:
        """Take on what a file declares, and from the database what REST has added, as far as it fits."""
        self._declared = {
            "product": {each.id: each for each in config.products},
            "device": {each.id: each for each in config.devices},
            "rule": {each.id: each for each in config.rules},
            "user": dict(config.users),
        }
        self._added = {kind: self._kept(kind) for kind in KINDS}
        self._leave_out_what_does_not_fit()
        self._registry.replace(self.all("product"), self.all("device"))
        self._watch_over()
        self._accounts.replace(self.all("user"))

    def _kept(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for identifier, document in self._store.entities(kind).items():
            try:
                found[identifier] = _ADAPTERS[kind].validate_python(document)
            except ValidationError as error:
                self._complain(LEFT_OUT.say(kind=kind, id=identifier, why=first_complaint(error)))
        return found

    def _leave_out_what_does_not_fit(self) -> None:
        while self._added["device"] and len(self.all("device")) > self._registry.limit:
            gone, _ = self._added["device"].popitem()
            self._complain(LEFT_OUT.say(kind="device", id=gone, why=FULL.say(limit=self._registry.limit)))
        while True:
            try:
                consistent(self.all("product"), self.all("device"))
            except KnownValueError as error:
                culprits = [error.facts.get("device"), error.facts.get("other")]
                gone = next(each for each in culprits if each in self._added["device"])
                del self._added["device"][str(gone)]
                self._complain(LEFT_OUT.say(kind="device", id=gone, why=error))
            else:
                return

    def all(self, kind: str) -> dict[str, Any]:
        """By identifier; the file comes before what REST added."""
        return {**self._added[kind], **self._declared[kind]}

    def get(self, kind: str, identifier: str) -> Any:
        """Raises Refused."""
        for each in (self._declared, self._added):
            if identifier in each[kind]:
                return each[kind][identifier]
        raise refusal(f"unknown-{kind}", UNKNOWN, id=identifier)

    def is_declared(self, kind: str, identifier: str) -> bool:
        return identifier in self._declared[kind]

    def create(self, kind: str, identifier: str, entity: BaseModel) -> None:
        """Raises Refused, too where it exists."""
        if identifier in self._declared[kind] or identifier in self._added[kind]:
            raise refusal("exists", EXISTS, id=identifier)
        self.put(kind, [(identifier, entity)])

    def put(self, kind: str, entities: Iterable[tuple[str, BaseModel]]) -> None:
        """Add or replace, all of them or none; raises Refused."""
        entities = list(entities)
        for identifier, _ in entities:
            self._changeable(kind, identifier)
        self._change(kind, {**self._added[kind], **dict(entities)})
        self._store.put_entities(kind, ((name, each.model_dump(mode="json")) for name, each in entities))

    def delete(self, kind: str, identifier: str) -> None:
        """Raises Refused."""
        self.get(kind, identifier)
        self._changeable(kind, identifier)
        self._change(kind, {name: each for name, each in self._added[kind].items() if name != identifier})
        self._store.delete_entity(kind, identifier)

    def newcomer(self, device: Device) -> None:
        """A stranger that the registry has just taken in."""
        self._added["device"][device.id] = device
        self._store.put_entities("device", [(device.id, device.model_dump(mode="json"))])
        self._watch_newcomer(device)

    def _changeable(self, kind: str, identifier: str) -> None:
        if identifier in self._declared[kind]:
            raise refusal("declared", DECLARED, id=identifier)

    def _change(self, kind: str, added: dict[str, Any]) -> None:
        wanted = {**added, **self._declared[kind]}
        match kind:
            case "product":
                self._registry.replace(wanted, self._registry.devices)
            case "device":
                self._registry.replace(self._registry.products, wanted)
            case "rule":
                for rule in added.values():
                    self._refers_to_something(rule)
            case _:
                if not any(user.role == "admin" for user in wanted.values()):
                    raise refusal("no-admin", NO_ADMIN)
                self._accounts.replace(wanted)
        self._added[kind] = added
        if kind != "user":
            self._watch_over()

    def _refers_to_something(self, rule: Rule) -> None:
        if rule.product is not None and rule.product not in self._registry.products:
            raise Refused(Reason("unknown-product", NO_PRODUCT, {"id": rule.id, "name": rule.product}))
        if rule.device is not None and rule.device not in self._registry.devices:
            raise Refused(Reason("unknown-device", NO_DEVICE, {"id": rule.id, "name": rule.device}))

    def _watch_over(self) -> None:
        self._desk.watch_over(self.all("rule").values(), self._registry.devices)

    def _watch_newcomer(self, device: Device) -> None:
        self._desk.device_added(device)
