"""What a trainee writes about an HTTP server to push to."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.fields import Milliseconds, Name, Reconnecting
from gateway.formats.template import Template
from gateway.mqtt.config import OPTIONS_MISSING, OPTIONS_UNUSED, PASSWORD_ALONE
from gateway.north import Buffer
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.network.tls import TlsClient
from lab.text import Text

BAD_URL = Text(
    zh="地址 {url!r} 不对：应如 http://10.20.50.10:8080/api/data",
    en="{url!r} is no URL like http://10.20.50.10:8080/api/data",
)
TLS_FOR_PLAIN = Text(zh="tls 只用于 https:// 地址", en="tls is for https:// only: this URL is plain HTTP")
NO_TRUST = Text(
    zh="https:// 地址需要 tls（写明信任的 ca，或 verify: false）",
    en="https:// needs tls: the ca to trust, or verify: false",
)
BAD_HEADER = Text(zh="请求头 {name!r} 不能用", en="the header {name!r} cannot be sent")
TWO_AUTHORITIES = Text(zh="username 与 token 只能用一种", en="username or token, not both")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not value.isprintable() or " " in value or parts.username is not None:
        raise KnownValueError(BAD_URL, url=value)
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        # RFC 9110 section 5: a name is a token, and a value has no control characters.
        if not _TOKEN.fullmatch(name) or any(ord(c) < 32 and c != "\t" for c in text) or "\x7f" in text:
            raise KnownValueError(BAD_HEADER, name=name)
    return value


class Batch(Strict):
    """How many reports go in one request."""

    max_messages: int = Field(100, ge=1, le=10_000, description="每个请求最多多少条。 Most reports in a request.")
    max_bytes: int = Field(
        1 << 20, ge=1024, le=64 << 20, description="每个请求最多多少字节（至少一条）。 Most bytes in a request."
    )
    linger_ms: int = Field(
        0, ge=0, le=60_000, description="为凑成一批最多等待的毫秒数。 How long to wait for more to go along, in ms."
    )


class HttpDestination(Reconnecting):
    """A server to push to."""

    name: Name = Field("http", description="名称，也是磁盘缓存的名称。 Name, also of its queue on the disk.")
    driver: Literal["http"] = Field(description="协议。 The protocol.")
    url: Annotated[str, AfterValidator(_url)] = Field(
        max_length=2000, description="接收数据的地址，http:// 或 https://。 Where to push to."
    )
    method: Literal["POST", "PUT"] = Field("POST", description="请求方法。 Method.")
    tls: TlsClient | None = Field(None, description="https:// 所信任的证书等。 Whom to trust, for https://.")
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(
        default_factory=dict, max_length=50, description="附加的请求头。 Headers to add."
    )
    username: str | None = Field(
        None, min_length=1, description="Basic 认证的用户名。 User name for Basic authentication."
    )
    password: str | None = Field(None, description="口令。 Password.")
    token: str | None = Field(
        None, min_length=1, max_length=10_000, pattern=r"^[\x21-\x7e]+$", description="Bearer 令牌。 Bearer token."
    )
    format: Literal["values", "json", "tags", "template"] = Field(
        "values",
        description="每条数据的格式，同 mqtt；请求正文为 JSON 数组，template 则以换行相连。"
        " Format of each report, as for mqtt; a request is a JSON array of them, or with template their lines.",
    )
    template: Template | None = Field(None, description="format: template 的模板。 The template of format: template.")
    batch: Batch = Field(default_factory=Batch, description="批量。 Batches.")
    buffer: Buffer = Field(default_factory=Buffer, description="断线缓存。 Kept until acknowledged.")
    timeout_ms: Milliseconds = Field(
        10_000, description="等待应答的时间，毫秒。 How long to wait for an answer, in ms."
    )

    @model_validator(mode="after")
    def _consistent(self) -> HttpDestination:
        is_secure = self.url.lower().startswith("https://")
        if self.tls is not None and not is_secure:
            raise KnownValueError(TLS_FOR_PLAIN)
        if self.tls is None and is_secure:
            raise KnownValueError(NO_TRUST)
        if self.password is not None and self.username is None:
            raise KnownValueError(PASSWORD_ALONE)
        if self.username is not None and self.token is not None:
            raise KnownValueError(TWO_AUTHORITIES)
        if (self.format == "template") != (self.template is not None):
            missing = self.template is None
            raise KnownValueError(OPTIONS_MISSING if missing else OPTIONS_UNUSED, key="template", format="template")
        return self
