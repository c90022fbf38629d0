"""A client's connection: it takes no more than it can chew, and what cannot be understood ends it with an answer.

asyncua alone would gather a message of 4 GB, or answers that nobody fetches, and keep a connection whose channel it
could not open. OPC 10000-6 section 7.1.5: a server sends an Error message, and closes.
"""

from __future__ import annotations

from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import uatcp_to_binary

from devices.opcua.sessions import Internals

LIMITS: Final = TransportLimits(
    max_recv_buffer=65_535, max_send_buffer=65_535, max_chunk_count=64, max_message_size=4_194_240
)


class Listener(BinaryServer):
    """Makes our connections."""

    def _make_protocol(self) -> OPCUAProtocol:
        return Connection(
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


class Connection(OPCUAProtocol):
    """See the module."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = Processor(self.iserver, transport, self.limits)
            self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > LIMITS.max_recv_buffer and self.transport is not None:
            self.transport.abort()

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        try:
            return await super()._process_one_msg(header, buf)
        except (ServiceError, ua.UaStatusCodeError) as error:
            self._end(error.code)
        except Exception:
            # Whatever asyncua makes of bytes that are no message: the client is at fault.
            self._end(StatusCodes.BadDecodingError)
        return False

    def _end(self, code: int) -> None:
        transport = self.transport
        if transport is not None and not transport.is_closing():
            status = ua.StatusCode(ua.UInt32(code))
            kind: Any = ua.MessageType.Error
            transport.write(uatcp_to_binary(kind, ua.ErrorMessage(status, ua.String(status.name))))
            transport.close()

    def pause_writing(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


class Processor(UaProcessor):
    """Opens channels to those whose certificates are trusted."""

    iserver: Internals

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        if algohdr.SenderCertificate:
            # Its signature has been verified by now: who sends the certificate has its key.
            self.iserver.trust.check(algohdr.SenderCertificate)
        super().open_secure_channel(algohdr, seqhdr, body)

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        if typeid == _CREATE_SESSION and self.session is not None:
            raise ServiceError(StatusCodes.BadTooManySessions)
        self.iserver.channel_certificate = self._connection.security_policy.peer_certificate or None
        return await super()._process_message(typeid, requesthdr, seqhdr, body)


_CREATE_SESSION: Final = ua.NodeId(ua.Int32(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary))
