"""The asking end of SNMP: v2c, and v3 with the User-based Security Model (RFC 3414 section 4: discovery)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from devices.console.process import Failure, Process
from devices.snmp import messages
from devices.snmp.config import User
from devices.snmp.device import Oid
from devices.snmp.messages import AUTHENTICATED, ENCRYPTED, REPORTABLE, Community, Operation, Pdu, Scoped, Secured
from devices.snmp.mib import ErrorStatus
from devices.snmp.usm import Insecure, Usm
from lab.text import Text
from lab.wire.malformed import Malformed

NO_RESPONSE = Text(
    zh="{host} 没有应答（团体名或用户不对时代理也不应答）",
    en="Timeout: No Response from {host} (nor do agents answer a wrong community)",
)
NO_RESPONSE_BECAUSE = Text(zh="{host} 没有应答：{why}", en="No Response from {host}: {why}")
REFUSED = Text(zh="代理拒绝：{error}，第 {index} 个对象", en="the agent refuses: {error}, object {index}")
REPORTS: Final = {
    1: Text(zh="代理不支持这个安全级别", en="Unsupported security level"),
    2: Text(zh="不在时间窗内", en="Not in time window"),
    3: Text(zh="未知用户名", en="Unknown user name"),
    4: Text(zh="未知引擎", en="Unknown engine ID"),
    5: Text(zh="认证失败（口令或算法不对）", en="Authentication failure (incorrect password, community or key)"),
    6: Text(zh="解密失败（加密口令不对）", en="Decryption error"),
}
"""By the last number but one of what a REPORT counts (RFC 3414 section 5: usmStats)."""
OTHER_REPORT = Text(zh="代理报告 {oid}", en="the agent reports {oid}")

_USM_STATISTICS: Final = (1, 3, 6, 1, 6, 3, 15, 1, 1)
_NOT_IN_WINDOW: Final = 2
_LARGEST: Final = 65_507


class Credentials(NamedTuple):
    """With a community v2c, with a user v3."""

    community: str
    user: str | None = None
    auth: Any = "sha"
    auth_password: str | None = None
    priv_password: str | None = None

    @property
    def flags(self) -> int:
        authenticated = AUTHENTICATED if self.auth_password is not None else 0
        return REPORTABLE | authenticated | (ENCRYPTED if self.priv_password is not None else 0)


class _Engine(NamedTuple):
    """What is known of the agent's."""

    usm: Usm
    boots: int
    time: int
    at: float
    """When that was so."""


class Manager(asyncio.DatagramProtocol):
    """Asks one agent, one thing at a time."""

    def __init__(
        self, process: Process, address: bytes, port: int, credentials: Credentials, timeout: float, retries: int
    ) -> None:
        self._process, self._credentials = process, credentials
        self._timeout, self._retries = timeout, retries
        self._number = process.host.random.getrandbits(30)
        self._waiting: tuple[int, asyncio.Future[Pdu]] | None = None
        self._engine: _Engine | None = None
        self._where = socket.inet_ntoa(address)
        self._transport, _ = process.host.open_datagrams(lambda: self, None, (self._where, port))

    def close(self) -> None:
        self._transport.close()

    async def ask(self, operation: Operation, oids: Sequence[Oid], first: int = 0, second: int = 0) -> Pdu:
        """The response; raises Failure where there is none, or an error in it."""
        pdu = Pdu(operation, 0, [(oid, None) for oid in oids], first, second)
        if self._credentials.user is not None and self._engine is None:
            await self._exchange(Pdu(Operation.GET, 0, ()))
            if self._engine is None:
                raise Failure(NO_RESPONSE, host=self._where)
        answer = await self._exchange(pdu)
        if answer.operation is Operation.REPORT and _reported(answer) == _NOT_IN_WINDOW:
            answer = await self._exchange(pdu)  # now its time is known better
        if answer.operation is Operation.REPORT:
            oid = answer.bindings[0][0] if answer.bindings else ()
            text = REPORTS.get(_reported(answer), OTHER_REPORT)
            raise Failure(text, oid=".".join(map(str, oid)))
        if answer.first:
            known = answer.first in ErrorStatus._value2member_map_
            status = ErrorStatus(answer.first).name if known else str(answer.first)
            raise Failure(REFUSED, error=status.lower().replace("_", " "), index=answer.second)
        return answer

    async def _exchange(self, pdu: Pdu) -> Pdu:
        for _ in range(self._retries + 1):
            self._number = (self._number + 1) % 2**30
            answered: asyncio.Future[Pdu] = self._process.host.network.loop.create_future()
            self._waiting = self._number, answered
            self._transport.sendto(self._packed(pdu._replace(request_id=self._number)))
            try:
                async with asyncio.timeout(self._timeout):
                    return await answered
            except TimeoutError:
                continue
            except OSError as error:
                raise Failure(NO_RESPONSE_BECAUSE, host=self._where, why=self._process.why(error)) from None
            finally:
                self._waiting = None
        raise Failure(NO_RESPONSE, host=self._where)

    def _packed(self, pdu: Pdu) -> bytes:
        who = self._credentials
        if who.user is None:
            return messages.encode_community(Community(who.community.encode(), pdu))
        engine = self._engine
        if engine is None:
            # Who are you? (RFC 3414 section 4)
            scoped = messages.encode_scoped(Scoped(b"", b"", pdu))
            return messages.encode_secured(Secured(pdu.request_id, _LARGEST, REPORTABLE, b"", 0, 0, b"", scoped=scoped))
        seconds = engine.time + int(self._process.now() - engine.at)
        scoped = messages.encode_scoped(Scoped(engine.usm.engine, b"", pdu))
        message = Secured(
            pdu.request_id,
            _LARGEST,
            who.flags,
            engine.usm.engine,
            engine.boots,
            seconds,
            who.user.encode(),
            scoped=scoped,
        )
        return engine.usm.seal(message)

    # -- what comes ------------------------------------------------------------------------------------------------

    def error_received(self, exc: Exception) -> None:
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(exc)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._waiting is None or self._waiting[1].done():
            return
        number, answered = self._waiting
        try:
            pdu = self._understood(data, number)
        except (Malformed, Insecure):
            return  # of somebody else, or a liar
        if pdu is not None:
            answered.set_result(pdu)

    def _understood(self, data: bytes, number: int) -> Pdu | None:
        if self._credentials.user is None:
            if messages.version(data) != messages.V2C:
                return None
            pdu = messages.decode_community(data).pdu
            return pdu if pdu.operation is Operation.RESPONSE and pdu.request_id == number else None
        message = messages.decode_secured(data) if messages.version(data) == messages.V3 else None
        if message is None or message.message_id != number:
            return None
        engine = self._engine
        if engine is None:
            self._learn(message)
            return messages.decode_scoped(message.scoped).pdu if not message.flags & ENCRYPTED else None
        seconds = engine.time + int(self._process.now() - engine.at)
        if message.flags & AUTHENTICATED and (message.boots, message.time) != (engine.boots, seconds):
            # It has proved who it is, or the check below says no.
            engine.usm.check(message, data, message.boots, message.time)
            self._learn(message)
            engine, seconds = self._engine or engine, message.time
        pdu = messages.decode_scoped(engine.usm.check(message, data, engine.boots, seconds)).pdu
        is_report = pdu.operation is Operation.REPORT
        if not is_report and (message.flags ^ self._credentials.flags) & (AUTHENTICATED | ENCRYPTED):
            return None  # an answer in clear to a secret question
        return pdu if is_report or (pdu.operation is Operation.RESPONSE and pdu.request_id == number) else None

    def _learn(self, message: Secured) -> None:
        who = self._credentials
        assert who.user is not None
        auth = who.auth_password or "unauthenticated"
        user = User(user=who.user, auth=who.auth, auth_password=auth, priv_password=who.priv_password or auth)
        salt = self._process.host.random.getrandbits(63)
        usm = self._engine.usm if self._engine is not None else Usm(message.engine, (user,), salt)
        self._engine = _Engine(usm, message.boots, message.time, self._process.now())


def _reported(report: Pdu) -> int:
    """Which of the usmStats a REPORT is about, 0 for another."""
    oid = report.bindings[0][0] if report.bindings else ()
    return oid[-2] if len(oid) == len(_USM_STATISTICS) + 2 and oid[:-2] == _USM_STATISTICS else 0
