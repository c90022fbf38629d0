"""A DHCP client for one interface of a host (RFC 2131 section 4.4): the states of figure 5, with its timers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

from lab.network.host import Host
from lab.network.nic import Nic
from lab.wire import dhcp, ipv4, udp
from lab.wire.dhcp import INFINITE, Dhcp, Option, Type
from lab.wire.ethernet import BROADCAST
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

_FIRST_WAIT, _LONGEST_WAIT = 4.0, 64.0
"""RFC 2131 section 4.1: seconds until a message is repeated, doubled each time, a second more or less."""
_REQUEST_TRIES: Final = 4
_RENEWAL_PAUSE: Final = 60.0
"""RFC 2131 section 4.4.5: at least this long between two requests for more time."""
_PROBE_SECONDS: Final = 1.0
_DECLINE_PAUSE: Final = 10.0
"""RFC 2131 section 3.1.5"""
_EVERYBODY: Final = b"\xff" * 4
_NOBODY: Final = bytes(4)
_WANTED: Final = (Option.SUBNET_MASK, Option.ROUTER, Option.DNS, Option.DOMAIN_NAME, Option.NTP)


class ClientState(Enum):
    STOPPED = "stopped"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    REBOOTING = "rebooting"
    PROBING = "probing"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"


@dataclass(frozen=True, slots=True)
class Lease:
    """What a server has granted."""

    interface: IPv4Interface
    router: IPv4Address | None
    dns: tuple[IPv4Address, ...]
    ntp: tuple[IPv4Address, ...]
    domain: str
    server: bytes
    renew_at: float
    """On the loop's clock, as the two that follow; infinity for a lease without end."""
    rebind_at: float
    ends_at: float


class DhcpClient:
    """Gets an address for `nic`, keeps it, and gives it back.

    `changed` is called with each new lease and with None where it is lost; address, mask and default route have been
    applied by then, name servers are the caller's business.
    """

    def __init__(self, host: Host, nic: Nic, changed: Callable[[Lease | None], None] | None = None) -> None:
        self.host, self.nic = host, nic
        self.state = ClientState.STOPPED
        self.lease: Lease | None = None
        self._changed = changed
        self._timer = host.alarm(self._time_is_up)
        self._transaction = 0
        self._began = 0.0
        self._tries = 0
        self._offer: Dhcp | None = None
        self._pending: Lease | None = None
        """Granted, and being probed for."""

    # -- what the owner does ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; after a loss of link or power too: whoever had an address asks for it again."""
        self._forget_probe()
        if self._taking_part not in self.host.watchers:
            self.host.watchers.append(self._taking_part)
        if self.lease is not None and self.lease.ends_at > self._now():
            self._begin(ClientState.REBOOTING)
        else:
            self._lose()
            self._begin(ClientState.SELECTING)

    def link_changed(self, up: bool) -> None:
        """RFC 2131 section 3.7: on another link the address may be wrong."""
        if up and self.state is not ClientState.STOPPED:
            self.start()

    def apply_again(self) -> None:
        """The host's configuration was applied anew and took the address away."""
        if self.lease is not None:
            self.host.assign(self.nic, self.lease.interface, self.lease.router)

    def release(self) -> None:
        """Give the address back and stop."""
        if self.lease is not None:
            own = self.lease.interface.ip.packed
            self._new_transaction()
            self._send(Type.RELEASE, {Option.SERVER_IDENTIFIER: self.lease.server}, own, to=self.lease.server)
        self._lose()
        self.stop()

    def stop(self) -> None:
        """Fall silent, without a word to the server; the address stays applied until somebody takes it away."""
        self._forget_probe()
        self.state = ClientState.STOPPED
        self._timer.dispose()
        if self._taking_part in self.host.watchers:
            self.host.watchers.remove(self._taking_part)

    # -- states ----------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self.host.network.loop.time()

    def _begin(self, state: ClientState) -> None:
        self.state = state
        self._tries = 0
        self._offer = None
        self._new_transaction()
        self._ask()

    def _new_transaction(self) -> None:
        self._transaction = self.host.random.getrandbits(32)
        self._began = self._now()

    def _ask(self) -> None:
        """Send what belongs to the state, and set the timer for sending it again."""
        now, lease = self._now(), self.lease
        if self.state is ClientState.SELECTING:
            self._send(Type.DISCOVER, {})
        elif self.state is ClientState.REQUESTING:
            assert self._offer is not None
            server = self._offer.options[Option.SERVER_IDENTIFIER]
            self._send(Type.REQUEST, {Option.REQUESTED_ADDRESS: self._offer.yours, Option.SERVER_IDENTIFIER: server})
        elif lease is not None and self.state is ClientState.REBOOTING:
            self._send(Type.REQUEST, {Option.REQUESTED_ADDRESS: lease.interface.ip.packed})
        elif lease is not None:
            is_renewing = self.state is ClientState.RENEWING
            self._send(Type.REQUEST, {}, lease.interface.ip.packed, to=lease.server if is_renewing else None)
            end = lease.rebind_at if is_renewing else lease.ends_at
            self._timer.start(max(0.0, min(end - now, max(_RENEWAL_PAUSE, (end - now) / 2))))
            return
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**self._tries)
        self._tries = min(self._tries + 1, 16)
        self._timer.start(wait + self.host.random.uniform(-1.0, 1.0))

    def _time_is_up(self) -> None:
        # The loop's clock counts in nanoseconds: what is due now may be one of them ahead.
        now, lease = self._now() + 1e-6, self.lease
        if self.state is ClientState.PROBING:
            self._take()
        elif self.state is ClientState.STOPPED:
            return
        elif lease is not None and now >= lease.ends_at:
            self._lose()
            self._begin(ClientState.SELECTING)
        elif lease is not None and self.state in (ClientState.BOUND, ClientState.RENEWING, ClientState.REBINDING):
            wanted = ClientState.REBINDING if now >= lease.rebind_at else ClientState.RENEWING
            if self.state is wanted:
                self._ask()
            else:
                self._begin(wanted)
        elif self.state is ClientState.REBOOTING and lease is not None and self._tries >= _REQUEST_TRIES:
            self._be_bound(lease)  # RFC 2131 section 3.2: nobody answers, but the lease has not run out
        elif self.state is ClientState.REQUESTING and self._tries >= _REQUEST_TRIES:
            self._begin(ClientState.SELECTING)
        else:
            self._ask()

    def _hear(self, message: Dhcp) -> None:
        state, kind = self.state, message.type
        if kind is Type.OFFER and state is ClientState.SELECTING:
            if message.address(Option.SERVER_IDENTIFIER) is not None and any(message.yours):
                self.state, self._offer, self._tries = ClientState.REQUESTING, message, 0
                self._ask()
        elif state not in (
            ClientState.REQUESTING,
            ClientState.REBOOTING,
            ClientState.RENEWING,
            ClientState.REBINDING,
        ):
            return
        elif kind is Type.NAK:
            self._lose()
            self._begin(ClientState.SELECTING)
        elif kind is Type.ACK and any(message.yours):
            lease = self._lease_from(message)
            if lease is None:
                return
            if self.lease is not None and self.lease.interface.ip == lease.interface.ip:
                self._be_bound(lease)
            else:
                self._probe(lease)

    def _lease_from(self, message: Dhcp) -> Lease | None:
        duration, server = message.number(Option.LEASE_TIME), message.address(Option.SERVER_IDENTIFIER)
        if duration is None or server is None:
            return None
        mask = message.address(Option.SUBNET_MASK) or b"\xff\xff\xff\0"
        try:
            interface = IPv4Interface((message.yours, str(IPv4Address(mask))))
        except ValueError:
            return None
        if duration == INFINITE:
            times = (float("inf"),) * 3
        else:
            renew = message.number(Option.RENEWAL_TIME) or duration // 2
            rebind = message.number(Option.REBINDING_TIME) or duration * 7 // 8
            if not renew <= rebind <= duration:
                renew, rebind = duration // 2, duration * 7 // 8
            # RFC 2131 section 4.4.1: the lease runs from the sending of the request.
            times = (self._began + renew, self._began + rebind, self._began + duration)
        routers = message.addresses(Option.ROUTER)
        return Lease(
            interface,
            routers[0] if routers else None,
            message.addresses(Option.DNS),
            message.addresses(Option.NTP),
            message.text(Option.DOMAIN_NAME),
            server,
            *times,
        )

    def _probe(self, lease: Lease) -> None:
        """RFC 2131 section 4.4.1: the client SHOULD ask whether somebody uses the address already."""
        self.state, self._pending = ClientState.PROBING, lease
        self.nic.neighbours.probe(lease.interface.ip.packed, self._in_use)
        self._timer.start(_PROBE_SECONDS)

    def _forget_probe(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self.nic.neighbours.end_probe(pending.interface.ip.packed)

    def _in_use(self) -> None:
        lease = self._pending
        self._forget_probe()
        if lease is None:
            return
        options: dict[int, bytes] = {
            Option.REQUESTED_ADDRESS: lease.interface.ip.packed,
            Option.SERVER_IDENTIFIER: lease.server,
        }
        self._send(Type.DECLINE, options)
        self.state, self._tries, self._offer = ClientState.SELECTING, 0, None
        self._new_transaction()
        self._timer.start(_DECLINE_PAUSE)

    def _take(self) -> None:
        lease = self._pending
        self._forget_probe()
        if lease is not None:
            self._be_bound(lease)

    def _be_bound(self, lease: Lease) -> None:
        before, self.lease = self.lease, lease
        self.state = ClientState.BOUND
        if self.nic.address != lease.interface.ip.packed or before is None or before.router != lease.router:
            self.host.assign(self.nic, lease.interface, lease.router)
        if lease.renew_at == float("inf"):
            self._timer.stop()
        else:
            self._timer.start(max(0.0, lease.renew_at - self._now()))
        if self._changed is not None:
            self._changed(lease)

    def _lose(self) -> None:
        if self.lease is None:
            return
        self.lease = None
        self.host.assign(self.nic, None)
        if self._changed is not None:
            self._changed(None)

    # -- the wire --------------------------------------------------------------------------------------------------

    def _send(self, kind: Type, extra: Mapping[int, bytes], own: bytes = _NOBODY, *, to: bytes | None = None) -> None:
        options: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes((kind,)), **extra}
        options[Option.CLIENT_IDENTIFIER] = b"\x01" + self.nic.mac
        if kind in (Type.DISCOVER, Type.REQUEST):
            options[Option.HOST_NAME] = self.host.name.encode()[:63]
            options[Option.PARAMETER_REQUEST] = bytes(_WANTED)
        message = Dhcp(
            False,
            self._transaction,
            self.nic.mac,
            options,
            client=own,
            # Without an address a host takes nothing that is not sent to everybody.
            broadcast=own == _NOBODY and kind in (Type.DISCOVER, Type.REQUEST),
            seconds=min(0xFFFF, int(self._now() - self._began)),
        )
        if to is None:
            self.nic.jack.send(message.frame((BROADCAST, self.nic.mac), own, _EVERYBODY))
            return
        datagram = udp.Udp(dhcp.CLIENT_PORT, dhcp.SERVER_PORT, message.encode()).encode(own, to)
        try:
            self.host.send_ip(IPv4(own, to, ipv4.UDP, datagram))
        except OSError:
            return  # no route to the server; at T2 everybody is asked

    def _taking_part(self, datagram: IPv4) -> bool:
        """A watcher of the host: its interface has no address yet, so no socket could be bound to one."""
        if datagram.protocol != ipv4.UDP or self.host.arrived_by is not self.nic:
            return False
        if datagram.payload[2:4] != dhcp.CLIENT_PORT.to_bytes(2, "big"):
            return False
        try:
            message = dhcp.decode(udp.decode(datagram.payload, datagram.source, datagram.destination).payload)
        except Malformed:
            return True
        if message.is_reply and message.mac == self.nic.mac and message.transaction == self._transaction:
            self._hear(message)
        return True
