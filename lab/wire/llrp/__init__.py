"""LLRP 1.0.1 (EPCglobal, 2007): how a reader is told what to do on the air, and how it reports what it read.

A stream that cannot be cut into messages is Unframed; a message whose content breaks the rules is Refused, with the
status code that the reader answers. Extensions of vendors and access to tag memory are left out.
"""

from lab.wire.llrp.frames import HEADER, MAX_MESSAGE, PORT, VERSION, Frame, FrameDecoder, Unframed, decode, encode
from lab.wire.llrp.messages import Message
from lab.wire.llrp.status import Refused, StatusCode
from lab.wire.llrp.structure import layout_of

__all__ = [
    "HEADER",
    "MAX_MESSAGE",
    "PORT",
    "VERSION",
    "Frame",
    "FrameDecoder",
    "Message",
    "Refused",
    "StatusCode",
    "Unframed",
    "decode",
    "encode",
    "layout_of",
]
