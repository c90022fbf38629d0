"""An SNMP agent: v2c by community, v3 by user, notifications to configured receivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from devices.snmp.config import PORT, Access, SnmpConfig
from devices.snmp.device import ManagedDevice, Oid
from devices.snmp.mib import Binding, ErrorStatus, Kind, Mib, Missing, Value
from devices.snmp.objects import IF_ENTRY, SYSTEM, Identity, Statistics, tables
from lab.network.host import Host
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from devices.snmp.messages import Pdu, Secured

LARGEST: Final = 1472
"""Bytes of a message that fits one Ethernet frame."""
MOST_BINDINGS: Final = 128
"""Variables in one answer to get-bulk, and in any request."""
ENTERPRISE: Final = 32473
"""RFC 5612: a private enterprise number for examples."""
_SNMP_V2: Final = (1, 3, 6, 1, 6, 3)
_TRAPS: Final = (*_SNMP_V2, 1, 1, 5)
COLD_START, LINK_DOWN, LINK_UP, AUTHENTICATION_FAILURE = ((*_TRAPS, number) for number in (1, 3, 4, 5))
_TRAP_OID: Final = (*_SNMP_V2, 1, 1, 4, 1, 0)
_UP_TIME: Final = (*SYSTEM, 3, 0)
_USM_STATISTICS: Final = {
    "unsupported_levels": 1,
    "outside_window": 2,
    "unknown_users": 3,
    "unknown_engines": 4,
    "wrong_digests": 5,
    "decryption_errors": 6,
}
_boots: WeakKeyDictionary[Host, int] = WeakKeyDictionary()
"""How often each agent was started, which it remembers without power (RFC 3414 section 2.2.2)."""


def engine_id(mac: bytes) -> bytes:
    """RFC 3411 section 5, SnmpEngineID: an enterprise number, and format 3, a MAC address."""
    return (0x8000_0000 | ENTERPRISE).to_bytes(4, "big") + b"\3" + mac


class Agent(asyncio.DatagramProtocol):
    """Speaks for `device` on the host it stands on, until `stop`."""

    def __init__(self, host: Host, device: ManagedDevice, config: SnmpConfig) -> None:
        from devices.snmp import messages
        from devices.snmp.usm import Insecure, Usm

        self._messages = messages
        self._insecure = Insecure
        self.host = host
        self.device = device
        self.config = config
        self.statistics = Statistics()
        self.identity = Identity(config.contact, host.name, config.location)
        self.engine = engine_id(host.ports[0].mac)
        self._started = host.network.loop.time()
        random = host.network.random_for(f"snmp/{host.name}")
        self._usm = Usm(self.engine, config.v3, random.getrandbits(63))
        self._notification = random.getrandbits(30)
        self._communities = {each.community.encode(): each.access for each in config.v2c}
        self._mib = Mib(tables(device, self.identity, self.statistics, self.uptime))
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def boots(self) -> int:
        return _boots.get(self.host, 0)

    def uptime(self) -> float:
        """Seconds since the agent started (sysUpTime)."""
        return self.host.network.loop.time() - self._started

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        with self.host.current():
            self.host.open_datagrams(lambda: self, ("0.0.0.0", PORT), None)
        _boots[self.host] = self.boots + 1
        self._started = self.host.network.loop.time()
        self.device.watch(self._link_changed)
        self.notify(COLD_START)

    def stop(self) -> None:
        self.device.watch(None)
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    # -- the socket ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = self.answer(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)

    # -- requests --------------------------------------------------------------------------------------------------

    def answer(self, data: bytes) -> bytes | None:
        """What goes back for a datagram; None where that is nothing."""
        self.statistics.received += 1
        try:
            version = self._messages.version(data)
            if version == self._messages.V2C:
                return self._answer_community(data)
            if version == self._messages.V3:
                return self._answer_secured(data)
        except Malformed:
            self.statistics.parse_errors += 1
            return None
        self.statistics.bad_versions += 1
        return None

    def _answer_community(self, data: bytes) -> bytes | None:
        community, request = self._messages.decode_community(data)
        access = self._communities.get(community)
        if access is None:
            self.statistics.bad_communities += 1
            if self.statistics.authentication_traps:
                self.notify(AUTHENTICATION_FAILURE)
            return None
        if request.operation is self._messages.Operation.SET and access == "read":
            self.statistics.bad_community_uses += 1

        def packed(pdu: Pdu) -> bytes:
            data: bytes = self._messages.encode_community(self._messages.Community(community, pdu))
            return data

        return self._respond(request, access, LARGEST, packed)

    def _answer_secured(self, data: bytes) -> bytes | None:
        messages = self._messages
        message = messages.decode_secured(data)
        boots, seconds = self.boots, int(self.uptime())
        try:
            scoped = messages.decode_scoped(self._usm.check(message, data, boots, seconds))
        except self._insecure as reason:
            return self._report(message, reason.statistic)
        head = messages.Secured(
            message.message_id,
            LARGEST,
            message.flags & ~messages.REPORTABLE,
            self.engine,
            boots,
            seconds,
            message.user,
        )

        def packed(pdu: Pdu) -> bytes:
            inner = messages.encode_scoped(messages.Scoped(self.engine, scoped.context, pdu))
            return self._usm.seal(head._replace(scoped=inner))

        if message.flags & 3 != messages.AUTHENTICATED | messages.ENCRYPTED:
            return packed(messages.refusal(scoped.pdu, ErrorStatus.AUTHORIZATION, 0))
        access = self._usm.access(message.user)
        return self._respond(scoped.pdu, access, min(message.max_size, LARGEST), packed)

    def _report(self, message: Secured, statistic: str) -> bytes | None:
        """RFC 3414 section 3.2: the counter that says what was wrong, unless nobody asked to be told."""
        messages = self._messages
        count = getattr(self.statistics, statistic) + 1
        setattr(self.statistics, statistic, count)
        if not message.flags & messages.REPORTABLE:
            return None
        oid = (*_SNMP_V2, 15, 1, 1, _USM_STATISTICS[statistic], 0)
        pdu = messages.Pdu(messages.Operation.REPORT, 0, [(oid, Value(Kind.COUNTER32, count % 2**32))])
        late = statistic == "outside_window"  # and only that is told to somebody who has proved who he is
        return self._usm.seal(
            messages.Secured(
                message.message_id,
                LARGEST,
                messages.AUTHENTICATED if late else 0,
                self.engine,
                self.boots,
                int(self.uptime()),
                message.user,
                scoped=messages.encode_scoped(messages.Scoped(self.engine, b"", pdu)),
            )
        )

    def _respond(self, request: Pdu, access: Access, room: int, packed: Callable[[Pdu], bytes]) -> bytes | None:
        messages = self._messages
        operations = messages.Operation
        bulk = request.operation is operations.BULK
        if request.operation not in (operations.GET, operations.NEXT, operations.BULK, operations.SET):
            self.statistics.silent_drops += 1
            return None
        if len(request.bindings) > MOST_BINDINGS:
            return self._fit(packed(messages.refusal(request, ErrorStatus.TOO_BIG, 0)), room)
        if request.operation is operations.SET:
            reply = self._set(request, access)
        else:
            reply = messages.answer(request, self._read(request))
        data = packed(reply)
        bindings: Sequence[Any] = reply.bindings
        while len(data) > room and bulk and len(bindings) > 1:
            # RFC 3416 section 4.2.3: as many as there is room for.
            bindings = bindings[: max(len(bindings) * room // len(data) - 1, 1)]
            data = packed(messages.answer(request, bindings))
        if len(data) > room:
            data = packed(messages.refusal(request, ErrorStatus.TOO_BIG, 0))
        return self._fit(data, room)

    def _fit(self, data: bytes, room: int) -> bytes | None:
        if len(data) > room:
            self.statistics.silent_drops += 1
            return None
        return data

    def _read(self, request: Pdu) -> list[Binding]:
        oids = [oid for oid, _ in request.bindings]
        operations = self._messages.Operation
        if request.operation is operations.GET:
            return [(oid, self._mib.get(oid)) for oid in oids]
        if request.operation is operations.NEXT:
            return [self._mib.next(oid) for oid in oids]
        return self._mib.bulk(oids, request.first, request.second, MOST_BINDINGS)

    def _set(self, request: Pdu, access: Access) -> Pdu:
        if access == "read":
            return self._messages.refusal(request, ErrorStatus.NO_ACCESS, 1)
        wanted = [(oid, None if isinstance(value, Missing) else value) for oid, value in request.bindings]
        status, index = self._mib.set(wanted)
        if status is not ErrorStatus.NO_ERROR:
            return self._messages.refusal(request, status, index)
        return self._messages.answer(request, request.bindings)

    # -- notifications ---------------------------------------------------------------------------------------------

    def notify(self, trap: Oid, bindings: Sequence[Binding] = ()) -> None:
        """Send a notification to every receiver (RFC 3416 section 4.2.6)."""
        if self._transport is None or not self.config.traps:
            return
        messages = self._messages
        self._notification = (self._notification + 1) % 2**31
        pdu = messages.Pdu(
            messages.Operation.TRAP,
            self._notification,
            [
                (_UP_TIME, Value(Kind.TICKS, int(self.uptime() * 100) % 2**32)),
                (_TRAP_OID, Value(Kind.OID, trap)),
                *bindings,
            ],
        )
        for receiver in self.config.traps:
            data = messages.encode_community(messages.Community(receiver.community.encode(), pdu))
            self._transport.sendto(data, (str(receiver.host), receiver.port))

    def _link_changed(self, index: int, up: bool) -> None:
        """RFC 2863 section 6: with ifIndex, ifAdminStatus and ifOperStatus."""
        oids = [(*IF_ENTRY, column, index) for column in (1, 7, 8)]
        self.notify(LINK_UP if up else LINK_DOWN, [(oid, self._mib.get(oid)) for oid in oids])
