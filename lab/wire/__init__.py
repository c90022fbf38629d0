"""The languages of the wire: bytes in, messages out, and back. No I/O, no clock."""
