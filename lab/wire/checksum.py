"""The Internet checksum of IPv4, ICMP, UDP and TCP (RFC 1071)."""

from __future__ import annotations


def ones_complement_sum(data: bytes) -> int:
    """The sum of the 16-bit words of `data`, an odd last byte padded with zero, modulo 65535."""
    # 2**16 is 1 modulo 65535, so the whole number modulo 65535 is the end-around-carry sum of its words.
    number = int.from_bytes(data, "big")
    return (number << 8 if len(data) & 1 else number) % 0xFFFF


def checksum(data: bytes, pseudo: int = 0) -> int:
    """The checksum to write into a header whose checksum field is still zero; `pseudo` is the pseudo-header's sum."""
    return -(ones_complement_sum(data) + pseudo) % 0xFFFF


def is_intact(data: bytes, pseudo: int = 0) -> bool:
    """Whether data with its checksum in place sums up."""
    return (ones_complement_sum(data) + pseudo) % 0xFFFF == 0


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The sum of the IPv4 pseudo-header (RFC 9293 section 3.1): two 4-byte addresses, the protocol and its length."""
    return int.from_bytes(source, "big") % 0xFFFF + int.from_bytes(destination, "big") % 0xFFFF + protocol + length
