"""What was seen to happen in the plant, one class for each kind of event.

Every observation rests on frames. `client` is the host that spoke first (sent the SYN, the datagram, the echo or ARP
request), `server` the one that was spoken to; both are named by the cable the frames were on, not by their addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Table = Literal["holding", "input", "coil", "discrete"]
RequestKind = Literal["tcp", "udp", "ping"]


@dataclass(frozen=True, slots=True)
class Observation:
    at: float
    """Seconds since the run began, of the frame that completed it, where the client's cable begins."""
    client: str
    server: str
    """Empty where the first frame was never seen to arrive at a host."""
    server_address: str
    """The IPv4 address the client used; empty where there is none."""
    frames: tuple[int, ...]
    """Numbers of the frames it rests on; of a long message the first few and the last."""


# -- reaching one another ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestLeft(Observation):
    """A host sent a SYN, an echo request or the first datagram of an exchange; repetitions do not count."""

    kind: RequestKind
    port: int
    """Of the server; 0 for a ping."""


@dataclass(frozen=True, slots=True)
class RequestArrived(Observation):
    """The same came out of the last cable, at `server`."""

    kind: RequestKind
    port: int
    left_at: float


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Observation):
    """The server accepted: its SYN, ACK came back."""

    port: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Observation):
    """An RST answered the SYN."""

    port: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class ConnectionTimedOut(Observation):
    """Nothing answered the SYN within `flows.PATIENCE`."""

    port: int
    asked_at: float
    attempts: int
    """SYNs sent."""


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Observation):
    """Both sides said FIN, or one said RST."""

    port: int
    opened_at: float
    by_client: bool
    """Who began to close."""
    was_reset: bool


@dataclass(frozen=True, slots=True)
class DatagramAnswered(Observation):
    """A UDP datagram came back from where one had been sent to; only the first of an exchange."""

    port: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class DatagramUnanswered(Observation):
    port: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class PingAnswered(Observation):
    asked_at: float


@dataclass(frozen=True, slots=True)
class PingUnanswered(Observation):
    asked_at: float


@dataclass(frozen=True, slots=True)
class Unreachable(Observation):
    """An ICMP destination unreachable or time exceeded came back to the client."""

    reporter: str
    """The address that said so."""
    code: int
    """Of destination unreachable, `lab.wire.icmp.UnreachableCode`; -1 for time exceeded."""
    kind: RequestKind | Literal["other"]
    port: int
    """What the client's packet was for; 0 for a ping."""


@dataclass(frozen=True, slots=True)
class ArpAnswered(Observation):
    """`server` said which MAC `server_address` has."""

    mac: bytes


@dataclass(frozen=True, slots=True)
class ArpUnanswered(Observation):
    """Nobody has `server_address`, or nobody on this network."""

    asked_at: float


@dataclass(frozen=True, slots=True)
class AddressConflict(Observation):
    """`client` claimed `server_address`, which `server` had claimed shortly before with another MAC."""

    macs: tuple[bytes, bytes]
    """The earlier claim's and the later's."""


# -- Modbus ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegistersRead(Observation):
    """A client asked for registers or bits and the device answered."""

    unit: int
    table: Table
    address: int
    """Zero-based, as on the wire: the register a manual calls 40001 is 0."""
    values: tuple[int, ...]
    """Of bits, False and True."""
    asked_at: float
    function: int


@dataclass(frozen=True, slots=True)
class RegistersWritten(Observation):
    """A device confirmed that it has taken over values."""

    unit: int
    table: Table
    address: int
    quantity: int
    """Registers or bits."""
    values: tuple[int, ...]
    """For function 22 the AND mask and the OR mask; empty where only the confirmation was seen."""
    asked_at: float
    function: int


@dataclass(frozen=True, slots=True)
class ModbusException(Observation):
    """A device refused; address and quantity are what was asked for, 0 where the function has none."""

    unit: int
    function: int
    code: int
    """`lab.wire.modbus.ExceptionCode`."""
    address: int
    quantity: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class ModbusUnanswered(Observation):
    """No answer within `conversations.modbus.PATIENCE`, or the connection ended before it came."""

    unit: int
    function: int
    address: int
    quantity: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class IdentificationRead(Observation):
    """A device said who it is (function 43/14)."""

    unit: int
    objects: tuple[tuple[int, bytes], ...]
    asked_at: float


@dataclass(frozen=True, slots=True)
class FunctionUsed(Observation):
    """A device answered one of the other functions."""

    unit: int
    function: int
    sub_function: int
    """Of function 8; 0 otherwise."""
    asked_at: float


# -- OPC UA ------------------------------------------------------------------------------------------------------------

UserKind = Literal["anonymous", "user-name", "certificate", "issued-token"]


@dataclass(frozen=True, slots=True)
class ChannelSecured(Observation):
    """A secure channel carried its first message, so that its mode is known."""

    opened_at: float
    """Of the connection, which this tells from others."""
    policy: str
    """The name behind the `#` of its URI, such as `Basic256Sha256`."""
    mode: str
    """`None`, `Sign` or `SignAndEncrypt`."""


@dataclass(frozen=True, slots=True)
class SessionOpened(Observation):
    """A server let a user in (ActivateSession); seen only where the channel is not encrypted."""

    opened_at: float
    """Of the connection, which this tells from others."""
    policy: str
    mode: str
    user_kind: UserKind
    user: str
    """The user's name; empty for the other kinds."""


@dataclass(frozen=True, slots=True)
class ServiceFailed(Observation):
    """A server refused a whole request."""

    service: str
    """The request's name, such as `ActivateSession`."""
    status: str
    """`Bad_UserAccessDenied` and the like."""


@dataclass(frozen=True, slots=True)
class NodeRead(Observation):
    node: str
    """As in `ns=2;s=CNC01.State`."""
    attribute: int
    """`lab.wire.opcua.common.AttributeId`; 13 is the value."""
    value: Any
    """Plain Python; a tuple for an array."""
    status: str
    source_timestamp: int | None
    """Nanoseconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class NodeWritten(Observation):
    """A client wrote, or tried to: see the status."""

    node: str
    attribute: int
    value: Any
    status: str


@dataclass(frozen=True, slots=True)
class MethodCalled(Observation):
    object: str
    method: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    status: str


@dataclass(frozen=True, slots=True)
class MonitoredItem:
    """One node a client wants to hear of."""

    node: str
    attribute: int
    sampling_interval: float
    """As the server revised it, in milliseconds."""
    mode: int
    """`lab.wire.opcua.subscription.MonitoringMode`; 2 reports."""
    status: str


@dataclass(frozen=True, slots=True)
class MonitoredItemsCreated(Observation):
    opened_at: float
    """Of the connection, which this tells from others."""
    subscription: int
    publishing_interval: float
    """As the server revised it, in milliseconds; 0 where its creation was not seen."""
    items: tuple[MonitoredItem, ...]


@dataclass(frozen=True, slots=True)
class DataChanged(Observation):
    """A subscription's notification brought a value."""

    opened_at: float
    """Of the connection, which this tells from others."""
    subscription: int
    node: str
    """Empty where the creation of the monitored item was not seen."""
    value: Any
    status: str
    source_timestamp: int | None
    """Nanoseconds since the Unix epoch."""


# -- MQTT --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MqttWill:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class MqttConnected(Observation):
    """A broker answered CONNECT; a `return_code` other than 0 is a refusal."""

    opened_at: float
    """Of the connection, which this tells from others."""
    client_id: str
    level: int
    """3, 4 (MQTT 3.1.1) or 5."""
    clean_start: bool
    keep_alive: int
    """In seconds; 0: none."""
    user: str
    """Empty for none."""
    has_password: bool
    will: MqttWill | None
    session_present: bool
    return_code: int


@dataclass(frozen=True, slots=True)
class MessagePublished(Observation):
    """A client gave a message to the broker; `at` is when it did, not when it was acknowledged."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    """The client says that this may be a second attempt."""
    acknowledged: bool
    """PUBACK or PUBREC came; always True at QoS 0, where nothing would."""


@dataclass(frozen=True, slots=True)
class MessageDelivered(Observation):
    """The broker, here `server`, gave a message to a subscriber, here `client`."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Subscribed(Observation):
    filters: tuple[tuple[str, int], ...]
    """Each with the QoS granted, or 128 and above: refused."""


@dataclass(frozen=True, slots=True)
class MqttDisconnected(Observation):
    opened_at: float
    """Of the connection, which this tells from others."""
    client_id: str
    was_clean: bool
    """The client said DISCONNECT, so that its will was not published."""


# -- TLS, and what went wrong ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TlsHandshake(Observation):
    """A handshake came to its end, good or bad."""

    port: int
    version: str
    """Such as `TLS 1.3`; empty where the server never said."""
    server_name: str
    alpn: str
    cipher: str
    has_client_certificate: bool | None
    """None where encryption hides it, as in TLS 1.3."""
    is_complete: bool
    """Both sides have gone on to talk behind it."""
    alert: str
    """Who gave up and why, such as `client: unknown_ca`; empty where nobody did."""


@dataclass(frozen=True, slots=True)
class MalformedMessage(Observation):
    """Somebody broke the rules of a protocol; of one connection and direction only the first time."""

    protocol: str
    reason: str
    by_client: bool


@dataclass(frozen=True, slots=True)
class CaptureGap(Observation):
    """Bytes that were received, and acknowledged, are missing in the capture."""

    missing: int
    by_client: bool
    """Whose bytes they were."""
