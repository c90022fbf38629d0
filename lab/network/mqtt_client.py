"""gmqtt's client on the plant's network: on the plant's clock, silent, and kept from reconnecting by itself."""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from gmqtt import Client
from gmqtt.mqtt import connection, handler, protocol
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError

from lab.network.containment import contain
from lab.text import Text
from lab.wire.mqtt.reasons import why_refused

# Keep-alive looks at the time of the latest packets.
contain(connection, handler, protocol)
# Whoever uses the client says what goes wrong; without a handler Python would print it over the screen.
logging.getLogger("gmqtt").addHandler(logging.NullHandler())

NO_CONNACK = Text(zh="{host}:{port} 没有应答 CONNECT", en="{host}:{port} did not answer CONNECT")
CLOSED = Text(
    zh="{host}:{port} 未应答 CONNECT 就关闭了连接",
    en="{host}:{port} closed the connection instead of answering CONNECT",
)
REFUSED = Text(zh="{host}:{port} 拒绝登录：{why}（{code}）", en="{host}:{port} refused CONNECT: {why} ({code})")

_NEVER_RECONNECT: Final = {"reconnect_retries": -2}  # -1 is for ever, and 0 still once
_UNACCEPTABLE_VERSION: Final = 1
_FAILED: Final = 0x80


class NotAccepted(Exception):
    """There was a connection, and no good CONNACK on it; `facts` may hold texts."""

    def __init__(self, what: Text, facts: Mapping[str, object]) -> None:
        self.what, self.facts = what, facts
        super().__init__(what.say(**facts))


def make_client(client_id: str, **options: Any) -> Client:
    """A client that does only what it is told."""
    # gmqtt counts the characters of a text where MQTT counts bytes.
    client = Client(client_id.encode(), **options)
    client.set_config(_NEVER_RECONNECT)
    packets = client._package_handler
    handle = packets._handle_packet

    def handle_or_hang_up(command: int, packet: bytes) -> None:
        """gmqtt's reader would die of a malformed packet, and the connection stay open with nobody reading."""
        try:
            handle(command, packet)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error):
            made = transport(client)
            if made is not None:
                made.abort()

    packets._handle_packet = handle_or_hang_up  # type: ignore[method-assign]
    return client


def transport(client: Client) -> asyncio.Transport | None:
    made = client._connection
    return None if made is None else made._transport


def why_lost(client: Client) -> BaseException | None:
    """What ended the connection, where that was more than its end."""
    made = client._connection
    closed = None if made is None else made._protocol.closed
    if closed is None or not closed.done() or closed.cancelled():
        return None
    error: BaseException | None = closed.exception()
    return error


async def connect(
    client: Client,
    down: asyncio.Event,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None,
    keep_alive: int,
    is_five: bool,
    patience: float,
) -> None:
    """CONNECT and be accepted; `down` is set by the client's on_disconnect. Raises NotAccepted or OSError."""
    where = {"host": host, "port": port}
    version = MQTTv50 if is_five else MQTTv311
    before = client._connection
    accepted = asyncio.create_task(
        client.connect(host, port, ssl=tls or False, keepalive=keep_alive, version=version),
    )
    # gmqtt waits for a CONNACK even where the connection has gone.
    gone = asyncio.create_task(down.wait())
    try:
        async with asyncio.timeout(patience):
            await asyncio.wait((accepted, gone), return_when=asyncio.FIRST_COMPLETED)
        if not accepted.done():
            if isinstance(error := why_lost(client), ssl.SSLError):
                raise error
            if is_five and client._connection_state.protocol_version != MQTTv50:
                # gmqtt took a broker's "not MQTT 5" as a call to fall back, which nobody asked for.
                facts = {**where, "why": why_refused(_UNACCEPTABLE_VERSION), "code": _UNACCEPTABLE_VERSION}
                raise NotAccepted(REFUSED, facts)
            raise NotAccepted(CLOSED, where)
        accepted.result()
    except MQTTConnectError as error:
        if (made := transport(client)) is not None:
            made.close()
        facts = {**where, "why": why_refused(error._code), "code": error._code}
        raise NotAccepted(REFUSED, facts) from error
    except TimeoutError as error:
        if client._connection is not before:
            raise NotAccepted(NO_CONNACK, where) from error
        raise
    finally:
        accepted.cancel()
        gone.cancel()
        await asyncio.gather(accepted, gone, return_exceptions=True)


def note_refusals(client: Client, note: Callable[[int, int], None]) -> None:
    """Call `note(packet identifier, reason code)` for messages a broker does not take: gmqtt does not look at the
    reason codes of MQTT 5 in acknowledgements. It is called before the message counts as acknowledged."""
    packets = client._package_handler

    def noting(handle: Callable[[int, bytes], None]) -> Callable[[int, bytes], None]:
        def noted(command: int, packet: bytes) -> None:
            if len(packet) > 2 and packet[2] >= _FAILED:
                note(int.from_bytes(packet[:2], "big"), packet[2])
            handle(command, packet)

        return noted

    for name in ("_handle_puback_packet", "_handle_pubrec_packet"):
        setattr(packets, name, noting(getattr(packets, name)))
