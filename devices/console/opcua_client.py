"""A session with an OPC UA server, on asyncua's client, and reasons in words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from asyncua import Client, ua
from asyncua.common import connection, subscription, ua_utils
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua import uaprotocol_auto, uatypes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from devices.console import words
from devices.console.arguments import Options
from devices.console.process import Failure, Process
from lab.network.containment import contain, wait_for_threads_of_anyio
from lab.network.opcua_identity import application_identity
from lab.text import Text

contain(connection, security_policies, subscription, ua_utils, uaprotocol_auto, uatypes)
wait_for_threads_of_anyio()  # asyncua reads certificates through it
# What goes wrong is said by the program; without a handler Python would print it over the screen.
logging.getLogger("asyncua").addHandler(logging.NullHandler())

STATUS = Text(zh="服务器答复 {status}", en="the server says {status}")
BECAUSE = Text(zh="服务器答复 {status}：{meaning}", en="the server says {status}: {meaning}")
NO_ANSWER = Text(zh="服务器在 {seconds:g} 秒内没有应答", en="no answer from the server within {seconds:g} s")
CLOSED = Text(zh="服务器关闭了连接", en="the server closed the connection")
NOT_UNDERSTOOD = Text(zh="无法理解服务器的答复：{what}", en="cannot make sense of what the server says: {what}")
NO_ENDPOINT = Text(
    zh="服务器没有 {policy}、{mode} 的端点；用 opcua endpoints 查看",
    en="the server has no endpoint with {policy} and {mode}; see opcua endpoints",
)
MEANINGS: Final = {
    "BadUserAccessDenied": Text(zh="这个用户没有权限", en="this user may not do that"),
    "BadIdentityTokenRejected": Text(
        zh="用户名、口令不对，或不允许匿名", en="wrong user or password, or nobody gets in without one"
    ),
    "BadIdentityTokenInvalid": Text(
        zh="服务器不接受这种登录方式", en="the server does not take this way of logging in"
    ),
    "BadNodeIdUnknown": Text(zh="服务器没有这个节点", en="the server has no such node"),
    "BadNodeIdInvalid": Text(zh="节点标识不对", en="this is no node identifier"),
    "BadNotWritable": Text(zh="这个节点只读", en="the node can only be read"),
    "BadNotReadable": Text(zh="这个节点不可读", en="the node cannot be read"),
    "BadTypeMismatch": Text(zh="类型不对；见 --type", en="the type is another one; see --type"),
    "BadOutOfRange": Text(zh="值超出允许的范围", en="the value is outside what the node takes"),
    "BadAttributeIdInvalid": Text(zh="这个节点没有这个属性", en="the node does not have this attribute"),
    "BadMethodInvalid": Text(zh="对象没有这个方法", en="the object does not have this method"),
    "BadArgumentsMissing": Text(zh="参数不够", en="arguments are missing"),
    "BadTooManyArguments": Text(zh="参数太多", en="there are too many arguments"),
    "BadTooManySessions": Text(zh="服务器的会话已满", en="the server has as many sessions as it can take"),
    "BadSecurityPolicyRejected": Text(
        zh="服务器不接受这个安全策略", en="the server does not take this security policy"
    ),
    "BadSecurityChecksFailed": Text(zh="服务器不接受本机的证书", en="the server does not take our certificate"),
    "BadCertificateUntrusted": Text(zh="服务器不信任本机的证书", en="the server does not trust our certificate"),
}

_WATCHDOG: Final = 600.0
"""Seconds between reads of asyncua's own; programs here notice by themselves."""


def url(options: Options) -> str:
    host, port, path = options.server
    return f"opc.tcp://{host}:{port}{path}"


def new_client(process: Process, options: Options) -> Client:
    client = Client(url(options), timeout=options.timeout, watchdog_intervall=_WATCHDOG)
    client.name = client.description = f"console of {process.host.name}"
    client.application_uri = f"urn:iiotlab:console:{process.host.name}"
    return client


@asynccontextmanager
async def session(process: Process, options: Options) -> AsyncIterator[Client]:
    """A client that is connected; raises Failure, also for what goes wrong inside."""
    client = new_client(process, options)
    if options.user is not None:
        client.set_user(options.user)
        client.set_password(options.password or "")
    with explained(process, options):
        try:
            if options.policy != "None":
                await _secure(process, options, client)
            await client.connect()
        except BaseException:
            client.disconnect_socket()
            raise
        try:
            yield client
        finally:
            try:
                async with asyncio.timeout(options.timeout):
                    await client.disconnect()
            except TimeoutError:
                client.disconnect_socket()


async def _secure(process: Process, options: Options, client: Client) -> None:
    identity = await application_identity(client.application_uri, process.host.name, "client")
    policy: Any = getattr(security_policies, f"SecurityPolicy{options.policy}")
    mode = ua.MessageSecurityMode[options.mode]
    endpoints = await client.connect_and_get_server_endpoints()
    if not any(each.SecurityPolicyUri == policy.URI and each.SecurityMode == mode for each in endpoints):
        raise Failure(NO_ENDPOINT, policy=options.policy, mode=options.mode)
    await client.set_security(
        policy, identity.certificate_der, CertProperties(identity.key_pem, extension="pem"), mode=mode
    )


def meaning(process: Process, status: str) -> str:
    """A status code, and what it means where that is known."""
    text = MEANINGS.get(status)
    return (
        process.say(BECAUSE, status=status, meaning=process.say(text)) if text else process.say(STATUS, status=status)
    )


@contextmanager
def explained(process: Process, options: Options) -> Iterator[None]:
    """Inside, whatever asyncua raises becomes a Failure."""
    try:
        yield
    except Failure:
        raise
    except UaStatusCodeError as error:
        raise Failure(_SAID, said=meaning(process, type(error).__name__)) from None
    except TimeoutError:
        raise Failure(NO_ANSWER, seconds=options.timeout) from None
    except OSError as error:
        if type(error) in (ConnectionError, ConnectionResetError):
            raise Failure(CLOSED) from None
        host, port, _ = options.server
        raise Failure(words.CONNECTING_FAILED, host=host, port=port, why=process.why(error)) from None
    except UaError as error:
        raise Failure(NOT_UNDERSTOOD, what=str(error)[:200]) from None
    except Exception as error:  # asyncua lets through whatever its decoder trips over
        raise Failure(NOT_UNDERSTOOD, what=f"{type(error).__name__} {error}".strip()[:200]) from None


_SAID: Final = Text(zh="{said}", en="{said}")
