"""TLS as an onlooker sees it: which version and names, and whether both sides went through with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grading.conversations.conversation import Conversation, Decoder
from grading.observations import TlsHandshake
from lab.wire import tls

if TYPE_CHECKING:
    from grading.flows import Flow

_TLS_1_3 = 0x0304


class TlsConversation(Conversation):
    """Reports one handshake, once it is over, then looks away."""

    protocol = "tls"

    __slots__ = ("_alert", "_client_certificate", "_client_hello", "_frames", "_is_told_all", "_said", "_server_hello")

    def __init__(self, flow: Flow) -> None:
        self._client_hello: tls.ClientHello | None = None
        self._server_hello: tls.ServerHello | None = None
        self._client_certificate: bool | None = None
        self._alert = ""
        self._frames: tuple[int, ...] = ()
        """Of the two hellos."""
        self._said = False
        """Whether the client has sent something encrypted."""
        self._is_told_all = False
        super().__init__(flow)

    def decoder(self, by_client: bool) -> Decoder:
        return tls.Decoder()

    def client_message(self, message: tls.Message, at: float, frames: tuple[int, ...]) -> None:
        match message:
            case tls.ClientHello():
                self._client_hello = message
                self._frames = frames[:1]
            case tls.Certificate(chain=chain):
                self._client_certificate = bool(chain)
            case tls.Alert():
                self._give_up("client", message, at, frames)
            case tls.ApplicationData() | tls.Encrypted():
                self._said = True

    def server_message(self, message: tls.Message, at: float, frames: tuple[int, ...]) -> None:
        match message:
            case tls.ServerHello() if not message.is_retry_request:
                self._server_hello = message
                self._frames += frames[:1]
                if message.version != _TLS_1_3:
                    self._client_certificate = False  # until it shows one
            case tls.Alert():
                self._give_up("server", message, at, frames)
            case tls.ApplicationData() | tls.Encrypted():
                if self._said:
                    self._tell(at, frames, is_complete=True)

    def _give_up(self, who: str, alert: tls.Alert, at: float, frames: tuple[int, ...]) -> None:
        self._alert = f"{who}: {alert.name}"
        self._tell(at, frames, is_complete=False)

    def ended(self, at: float) -> None:
        if self._client_hello is not None:
            self._tell(at, (), is_complete=False)

    def _tell(self, at: float, frames: tuple[int, ...], *, is_complete: bool) -> None:
        if self._is_told_all:
            return
        self._is_told_all = True
        asked, answered, flow = self._client_hello, self._server_hello, self.flow
        flow.emit(
            TlsHandshake(
                at,
                flow.client,
                flow.server,
                flow.server_address,
                self._frames + frames[-1:],
                flow.port,
                tls.version_name(answered.version) if answered else "",
                (asked.server_name or "") if asked else "",
                (answered.alpn or "") if answered else "",
                tls.cipher_suite_name(answered.cipher_suite) if answered else "",
                self._client_certificate,
                is_complete,
                self._alert,
            )
        )
