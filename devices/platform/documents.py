"""What REST takes and gives, as models: requests are checked against them and the OpenAPI document is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from devices.platform.config import Role
from devices.platform.model import Identifier
from devices.platform.rules import Severity
from devices.platform.things import Device, Product
from devices.web.credentials import PasswordHash
from lab.model.plant import Strict

Milliseconds = Annotated[int, Field(ge=0, le=2**53, description="Unix 时间，毫秒。 Milliseconds since the Unix epoch.")]
Limit = Annotated[int, Field(ge=1, le=1000, description="最多返回条数。 Entries at most.")]
Offset = Annotated[int, Field(ge=0, le=10**9, description="跳过的条数。 Entries to skip.")]


class Given(BaseModel):
    """Base of everything that REST gives."""

    model_config = ConfigDict(extra="forbid")


class Error(Given):
    """Why a request was not granted."""

    code: str
    message: str


class Page(Strict):
    """Which part of a list."""

    limit: Limit = 100
    offset: Offset = 0


class Paged(Given):
    """A part of a list."""

    total: int
    limit: int
    offset: int


class LoginRequest(Strict):
    user: str = Field(max_length=100)
    password: str = Field(max_length=200)


class Login(Given):
    token: str
    expires: Milliseconds
    user: str
    role: Role


class Me(Given):
    user: str
    role: Role
    expires: Milliseconds


class UserRequest(Strict):
    name: Identifier
    role: Role = "viewer"
    password: str = Field(min_length=8, max_length=200)


class UserChange(Strict):
    role: Role
    password: str | None = Field(None, min_length=8, max_length=200)
    password_hash: PasswordHash | None = None


class UserView(Given):
    name: str
    role: Role
    declared: bool = Field(description="是否在配置文件中声明。 Whether the configuration file declares it.")


class Users(Given):
    items: list[UserView]


class ProductView(Product):
    declared: bool


class Products(Given):
    items: list[ProductView]


class DeviceView(Device):
    declared: bool
    online: bool | None
    seen_at: Milliseconds | None
    format: str | None = Field(description="报文格式。 Format it speaks.")
    alarms: int = Field(description="未恢复的报警数。 Alarms that are not over.")


class Devices(Paged):
    items: list[DeviceView]


class DeviceQuery(Page):
    product: Identifier | None = None
    gateway: Identifier | None = None
    search: str | None = Field(None, max_length=64, description="标识或名称包含的文字。 Part of identifier or name.")


class DeviceImport(Strict):
    devices: list[Device] = Field(min_length=1, max_length=10_000)


class Imported(Given):
    imported: int


class Credentials(Given):
    device: str
    token: str


class PointView(Given):
    at: Milliseconds
    value: float | int | bool | str | dict[str, Any] | None
    quality: Literal["good", "uncertain", "bad"]


class LatestValue(PointView):
    property: str
    name: str
    unit: str
    label: str = Field(description="枚举值的含义。 What a value of an enumeration means.")
    writable: bool


class Latest(Given):
    device: str
    values: list[LatestValue]
    attributes: dict[str, Any]


class HistoryQuery(Strict):
    property: str = Field(min_length=1, max_length=64)
    start: Milliseconds = 0
    end: Milliseconds | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    offset: Offset = 0
    order: Literal["asc", "desc"] = "asc"


class History(Paged):
    items: list[PointView]


class AggregateQuery(Strict):
    property: str = Field(min_length=1, max_length=64)
    start: Milliseconds
    end: Milliseconds | None = None
    interval: Annotated[int, Field(ge=1, le=10**12, description="毫秒。 Milliseconds.")]


class BucketView(Given):
    start: Milliseconds
    count: int
    avg: float
    min: float
    max: float
    sum: float


class Aggregates(Given):
    interval: int
    items: list[BucketView]


class EventView(Given):
    id: int
    at: Milliseconds
    event: str
    level: str
    data: dict[str, Any]


class Events(Paged):
    items: list[EventView]


class TracedReason(Given):
    item: str
    code: str
    message: str


class TracedMessage(Given):
    at: Milliseconds
    direction: Literal["up", "down"]
    topic: str
    payload: str
    size: int
    format: str
    outcome: Literal["accepted", "partly", "rejected"]
    accepted: int
    reasons: list[TracedReason]


class TraceView(Given):
    items: list[TracedMessage]


class CallRequest(Strict):
    service: Identifier
    params: dict[str, Any] = Field(default_factory=dict, max_length=500)
    timeout: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 10.0


class WriteRequest(Strict):
    values: dict[str, Any] = Field(min_length=1, max_length=500)
    timeout: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 10.0


class CallView(Given):
    id: str
    device: str
    method: str
    params: dict[str, Any]
    by: str
    at: Milliseconds
    state: Literal["waiting", "sent", "succeeded", "failed", "timeout"]
    answer: Any
    answered_at: Milliseconds | None


class CallsView(Given):
    items: list[CallView]


class RuleList(Given):
    items: list[dict[str, Any]]


class AlarmQuery(Page):
    open: bool | None = Field(None, description="true 未恢复，false 已恢复。 Whether it is not over.")
    device: Identifier | None = None
    severity: Severity | None = None


class AlarmView(Given):
    id: int
    rule: str
    device: str
    property: str
    severity: Severity
    message: str
    raised_at: Milliseconds
    raised_value: str
    cleared_at: Milliseconds | None
    cleared_by: str | None
    acknowledged_at: Milliseconds | None
    acknowledged_by: str | None
    assignee: str | None


class Alarms(Paged):
    items: list[AlarmView]


class Assignment(Strict):
    assignee: Identifier | None


class Restored(Given):
    devices: int
    products: int


class Health(Given):
    status: Literal["ok", "degraded"]
    database: bool
    broker: bool | None = Field(description="null 为未配置。 null where none is configured.")
    time: Milliseconds


class Lines(Given):
    items: list[str]


class Taken(Given):
    accepted: int
    reasons: list[TracedReason]


class Done(Given):
    done: Literal[True] = True
