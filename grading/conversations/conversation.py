"""What every reader of a conversation has in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from grading.observations import MalformedMessage
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from grading.flows import Flow

_FIRST_FRAMES = 4


class Decoder(Protocol):
    """What all decoders of `lab.wire` can do."""

    def feed(self, data: bytes, /) -> Iterable[Any]: ...


class Conversation:
    """Reads what both sides of one flow say, and tells what happened.

    After a gap or a broken rule a side is read afresh from every segment on until one makes sense again: nobody
    becomes invisible by saying one wrong thing.
    """

    protocol: ClassVar[str]

    __slots__ = ("_begun", "_client", "_is_told", "_server", "flow")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._client: Decoder = self.decoder(True)
        self._server: Decoder = self.decoder(False)
        self._begun: dict[bool, tuple[int, ...]] = {True: (), False: ()}
        """Frames of a message whose end is still to come; of a long one the first few. By whether the client sends."""
        self._is_told: set[bool] = set()
        """Whose broken rules have been reported."""

    # -- what a protocol adds --------------------------------------------------------------------------------------

    def decoder(self, by_client: bool) -> Decoder:
        """A fresh decoder for one side."""
        raise NotImplementedError

    def client_message(self, message: Any, at: float, frames: tuple[int, ...]) -> None:
        raise NotImplementedError

    def server_message(self, message: Any, at: float, frames: tuple[int, ...]) -> None:
        raise NotImplementedError

    def ended(self, at: float) -> None:
        """Nothing more will be said."""

    def sweep(self, now: float) -> None:
        """About a second has passed."""

    # -- what a flow calls -----------------------------------------------------------------------------------------

    def client_said(self, data: bytes, at: float, number: int) -> None:
        begun = self._begun[True]
        frames = (*begun, number) if begun else (number,)
        if len(begun) < _FIRST_FRAMES:
            self._begun[True] = frames
        try:
            for message in self._client.feed(data):
                self._begun[True] = ()
                self.client_message(message, at, frames)
        except Malformed as malformed:
            self._break(True, str(malformed), at, frames)

    def server_said(self, data: bytes, at: float, number: int) -> None:
        begun = self._begun[False]
        frames = (*begun, number) if begun else (number,)
        if len(begun) < _FIRST_FRAMES:
            self._begun[False] = frames
        try:
            for message in self._server.feed(data):
                self._begun[False] = ()
                self.server_message(message, at, frames)
        except Malformed as malformed:
            self._break(False, str(malformed), at, frames)

    def lost(self, by_client: bool) -> None:
        """Bytes of one side are missing, or made no sense."""
        self._begun[by_client] = ()
        if by_client:
            self.flow.from_client.said = self._client_resumes
        else:
            self.flow.from_server.said = self._server_resumes

    # -- finding the thread again ----------------------------------------------------------------------------------

    def _client_resumes(self, data: bytes, at: float, number: int) -> None:
        self._client = self.decoder(True)
        self.flow.from_client.said = self.client_said
        self.client_said(data, at, number)

    def _server_resumes(self, data: bytes, at: float, number: int) -> None:
        self._server = self.decoder(False)
        self.flow.from_server.said = self.server_said
        self.server_said(data, at, number)

    def _break(self, by_client: bool, reason: str, at: float, frames: tuple[int, ...]) -> None:
        self.lost(by_client)
        self.complain(by_client, reason, at, frames)

    def complain(self, by_client: bool, reason: str, at: float, frames: tuple[int, ...]) -> None:
        """Report a broken rule, the first time it happens on this side."""
        if by_client not in self._is_told:
            self._is_told.add(by_client)
            flow = self.flow
            flow.emit(
                MalformedMessage(
                    at, flow.client, flow.server, flow.server_address, frames, self.protocol, reason, by_client
                )
            )


class Deaf(Conversation):
    """Understands nothing: of this flow only its beginning and end are known."""

    protocol = ""

    __slots__ = ()

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def client_said(self, data: bytes, at: float, number: int) -> None:
        pass

    def server_said(self, data: bytes, at: float, number: int) -> None:
        pass

    def lost(self, by_client: bool) -> None:
        pass
