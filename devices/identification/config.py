"""`config/<node>.yaml` of an identification node: its role, what it answers for, and who may change it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from devices.web.credentials import Credentials
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.network.tls import TlsClient
from lab.text import Text
from lab.wire.handles import Handle, HandleValue, Reference, decode_value
from lab.wire.malformed import Malformed

NOT_A_HANDLE: Final = Text(zh="不是标识：{why}", en="is no handle: {why}")
NOT_AN_ADMIN: Final = Text(zh="不是管理员 index:handle：{why}", en="is no administrator, index:handle: {why}")
NOT_A_VALUE: Final = Text(zh="标识值不合要求：{why}", en="is no value of a handle: {why}")
INDEX_TWICE: Final = Text(zh="序号 {index} 用了两次", en="the index {index} is used twice")
NO_PREFIX: Final = Text(
    zh="角色 {role} 要写 prefixes：本节点负责的前缀", en="the role {role} needs prefixes, those it answers for"
)
NO_ROOT: Final = Text(
    zh="递归节点要写 root：国家顶级节点的地址", en="a recursive node needs root, the national top node"
)
NOT_RECURSIVE: Final = Text(zh="只有递归节点有 {key}", en="only a recursive node has {key}")
OWNS_NOTHING: Final = Text(
    zh="递归节点不负责前缀，没有 {key}", en="a recursive node answers for no prefix and has no {key}"
)
NO_BUSINESS: Final = Text(zh="只有企业节点有 business", en="only an enterprise node has business")
SAME_PORT: Final = Text(zh="端口 {port} 用了两次", en="the port {port} is used twice")

NodeRole = Literal["recursive", "top", "secondary", "enterprise"]
BusinessRole = Literal["admin", "registrar", "partner", "public"]
Version = Literal["3.1.2", "3.1.3", "3.1.4"]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


def _handle(value: str) -> str:
    try:
        return str(Handle.parse(value))
    except Malformed as error:
        raise KnownValueError(NOT_A_HANDLE, why=error) from None


def _prefix(value: str) -> str:
    _handle(f"{value}/x")
    return value


def _admin(value: str) -> str:
    try:
        return str(Reference.parse(value))
    except Malformed as error:
        raise KnownValueError(NOT_AN_ADMIN, why=error) from None


Prefix = Annotated[str, AfterValidator(_prefix)]
Admin = Annotated[str, AfterValidator(_admin)]


class Address(Strict):
    """Where a node answers."""

    host: str = Field(min_length=1, max_length=253, description="地址或主机名。 Address or name.")
    port: PortNumber = Field(8000, description="解析服务的 TCP 端口。 TCP port of its resolution.")


class Https(Strict):
    """Encrypted access, which all administration needs."""

    port: PortNumber = Field(8443, description="HTTPS 端口。 Port for HTTPS.")
    certificate: str = Field(
        description="服务器证书（PEM），后面可接中间证书。 Certificate of the server; intermediate ones may follow."
    )
    key: str = Field(description="服务器私钥（PEM，不加密）。 Private key of the server, not encrypted.")

    @model_validator(mode="after")
    def _fits_together(self) -> Https:
        from lab.network.tls_server import check_credentials  # cryptography takes its time to load

        check_credentials(self.certificate, self.key, None)
        return self


class Follows(Strict):
    """Another node, of which this one is the standby."""

    host: str = Field(min_length=1, max_length=253, description="主节点地址或主机名。 Address or name of the primary.")
    port: PortNumber = Field(8443, description="主节点的 HTTPS 端口。 Its port for HTTPS.")
    user: Admin = Field(description="主节点的管理员 index:handle。 An administrator of the primary.")
    secret: str = Field(min_length=1, max_length=200, description="其密钥。 Their secret key.")
    every_s: float = Field(60, ge=1, le=86_400, description="同步周期，秒。 Seconds between synchronisations.")
    tls: TlsClient = Field(description="信任谁。 Whom to trust.")


class Cache(Strict):
    """What a recursive node remembers."""

    entries: int = Field(10_000, ge=0, le=1_000_000, description="缓存条数，0 为不缓存。 Entries; 0: none.")
    max_ttl_s: int = Field(86_400, ge=0, le=31_536_000, description="最长缓存秒数。 Seconds at most.")
    negative_ttl_s: int = Field(
        60, ge=0, le=86_400, description="“不存在”的缓存秒数。 Seconds for what does not exist."
    )


class Value(Strict):
    """One value of a record."""

    index: int = Field(ge=1, le=2**31 - 1, description="序号。 Index.")
    type: str = Field(description="类型，如 URL、HS_ADMIN、HS_SITE。 Type.")
    data: Any = Field(description="文本，或 {format, value}。 Text, or {format, value}.")
    ttl: int = Field(86_400, ge=0, le=2**31 - 1, description="可缓存的秒数。 Seconds it may be remembered.")
    permissions: str = Field(
        "1110", description="管理员读、写，公众读、写。 Read and write of administrators, then of everybody."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Value:
        self.decoded()
        return self

    def decoded(self) -> HandleValue:
        try:
            return decode_value(self.model_dump(exclude_unset=True))
        except Malformed as error:
            raise KnownValueError(NOT_A_VALUE, why=error) from None


class Record(Strict):
    """A handle that the node is delivered with. A record that REST has changed stays so until this one changes."""

    handle: Annotated[str, AfterValidator(_handle)] = Field(description="标识 前缀/后缀。 Handle, prefix/suffix.")
    values: list[Value] = Field(min_length=1, max_length=500, description="值。 Values.")

    @model_validator(mode="after")
    def _indices_differ(self) -> Record:
        seen: set[int] = set()
        for value in self.values:
            if value.index in seen:
                raise KnownValueError(INDEX_TWICE, index=value.index)
            seen.add(value.index)
        return self


class BusinessUser(Credentials):
    """Somebody who may log in at the business API."""

    role: BusinessRole = Field(
        "registrar",
        description="admin 管理模板，registrar 注册，partner 可看合作方数据，public 只看公开数据。 What they may do.",
    )


class Business(Strict):
    """The business API of an enterprise node."""

    port: PortNumber = Field(3000, description="TCP 端口。 TCP port.")
    token_hours: float = Field(24, gt=0, le=720, description="令牌有效的小时数。 Hours a token is good for.")
    users: dict[str, BusinessUser] = Field(default_factory=dict, max_length=1000, description="用户。 Users by name.")
    answer_within_s: float = Field(
        30, gt=0, le=600, description="代理等待的秒数，超过答复 504。 Seconds until the proxy in front answers 504."
    )
    storage_delay_s: float = Field(
        0, ge=0, le=600, description="存储写入所需的秒数。 Seconds that storing takes, on a slow disk."
    )


class IdnNodeConfig(HostConfig):
    """The configuration of an identification node."""

    role: NodeRole = Field(description="recursive 递归，top 国家顶级，secondary 二级，enterprise 企业。 Role.")
    version: Version = Field(
        "3.1.4", description="软件版本，改动即升级。 Version of its software; a change installs it."
    )
    port: PortNumber = Field(8000, description="解析服务的 HTTP 端口。 Port of resolution over HTTP.")
    https: Https | None = Field(
        None, description="HTTPS；没有则不能管理。 HTTPS, without which nothing can be changed."
    )
    prefixes: list[Prefix] = Field(
        default_factory=list, max_length=1000, description="本节点负责的前缀。 Prefixes it answers for."
    )
    admins: list[Admin] = Field(
        default_factory=list,
        max_length=100,
        description="节点管理员 index:handle，可新建标识、备份。 Administrators of the node, who may make handles.",
    )
    handles: list[Record] = Field(default_factory=list, max_length=10_000, description="出厂标识。 Initial records.")
    follows: Follows | None = Field(
        None,
        description="本节点是它的备节点，只读；删去即转为主节点。 This is its standby, and changes nothing itself.",
    )
    root: Address | None = Field(None, description="国家顶级节点（递归节点用）。 The national top node, if recursive.")
    cache: Cache | None = Field(None, description="缓存（递归节点用）。 What it remembers, if recursive.")
    timeout_s: float = Field(2, gt=0, le=60, description="等待其他节点的秒数。 Seconds it waits for another node.")
    business: Business | None = Field(None, description="企业节点业务接口。 Business API of an enterprise node.")
    answer_delay_s: float = Field(
        0, ge=0, le=600, description="解析前的处理秒数（过载）。 Seconds before it answers, when overloaded."
    )

    @model_validator(mode="after")
    def _fits_its_role(self) -> IdnNodeConfig:
        if self.role == "recursive":
            if self.root is None:
                raise KnownValueError(NO_ROOT)
            for key in ("prefixes", "admins", "handles", "follows"):
                if getattr(self, key):
                    raise KnownValueError(OWNS_NOTHING, key=key)
        else:
            if not self.prefixes:
                raise KnownValueError(NO_PREFIX, role=self.role)
            for key in ("root", "cache"):
                if getattr(self, key) is not None:
                    raise KnownValueError(NOT_RECURSIVE, key=key)
        if self.business is not None and self.role != "enterprise":
            raise KnownValueError(NO_BUSINESS)
        ports = [self.port, *(each.port for each in (self.https, self.business) if each is not None)]
        for port in ports:
            if ports.count(port) > 1:
                raise KnownValueError(SAME_PORT, port=port)
        return self


def iso(ms: int) -> str:
    """Milliseconds since the Unix epoch as handles' timestamps are written."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
