"""One connection to the LLRP server: frames in, answers out, and no more than the client can read."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from lab.wire import llrp
from lab.wire.llrp import Message, StatusCode
from lab.wire.llrp import messages as say
from lab.wire.llrp.parameters import LlrpStatus

_PATIENCE: Final = 5.0
"""Seconds for which somebody may go on talking nonsense."""


class Face(Protocol):
    """Whom the client talks to."""

    def arrived(self, client: Connection) -> bool: ...

    def left(self, client: Connection) -> None: ...

    def caught_up(self) -> None: ...

    def answer(self, frame: llrp.Frame) -> Message | None: ...


class Connection(asyncio.Protocol):
    """A client; while it does not read, it is not read, and reports wait."""

    _transport: asyncio.Transport

    def __init__(self, face: Face) -> None:
        self._face = face
        self._decoder = llrp.FrameDecoder()
        self._is_deaf = False
        self.is_paused = False
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._face.arrived(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._face.left(self)
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        try:
            for frame in self._decoder.feed(data):
                if self._transport.is_closing():
                    return
                answer = self._face.answer(frame)
                if answer is not None:
                    self.send(answer, frame.id)
                if isinstance(answer, say.CloseConnectionResponse):
                    self._transport.close()
        except llrp.Unframed as unframed:
            status = LlrpStatus(StatusCode.M_FIELD_ERROR, str(unframed))
            self.send(say.ErrorMessage(status), unframed.message)
            self._hang_up()

    def send(self, message: Message, number: int) -> None:
        self._transport.write(llrp.encode(message, number))

    def _hang_up(self) -> None:
        """Close this side first: a reset, for what is still coming in, would overtake the reason."""
        self._is_deaf = True
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_PATIENCE, self._transport.abort)

    def close(self) -> None:
        self._transport.close()

    def pause_writing(self) -> None:
        self.is_paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._face.caught_up()
