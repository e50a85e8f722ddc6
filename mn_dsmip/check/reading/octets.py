# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts for what stands in octets: addresses, names, prefixes; whatever a peer put there can be printed anywhere."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

IPV4_SIZE, IPV6_SIZE = 4, 16
MAX_LABELS = 128  # a domain name has at most 127 (RFC 1035 2.3.4)
_POINTER = 0xC0


def from_hex(text: str) -> bytes:
    """tshark's hexadecimal digits; nothing for its words for "there is nothing"."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def address(data: bytes) -> str:
    """An address of 4 or 16 octets; nothing for any other length."""
    if len(data) == IPV6_SIZE:
        return inet_ntop(AF_INET6, data)
    return inet_ntop(AF_INET, data) if len(data) == IPV4_SIZE else ""


@lru_cache(maxsize=4096)
def packed(text: str) -> bytes:
    """An address's octets; nothing when it is none."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError:
        return b""


def prefix(data: bytes, length: int) -> str:
    """An IPv6 prefix with the bits behind it set to zero."""
    length = min(length, 128)
    number = int.from_bytes(data, "big") >> (128 - length) << (128 - length)
    return f"{inet_ntop(AF_INET6, number.to_bytes(16, 'big'))}/{length}"


def readable(data: bytes) -> str:
    """Octets as text that can be printed anywhere."""
    return printable(data.decode("ascii", "backslashreplace"))


def printable(text: str) -> str:
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def fingerprint(octets: str) -> str:
    """Equal for equal octets (hexadecimal digits), and short; nothing for none."""
    return hashlib.blake2b(octets.encode("utf-8", "replace"), digest_size=16).hexdigest() if octets else ""


def domain_name(data: bytes, start: int) -> tuple[str, int]:
    """The domain name at an octet, in lower case without a dot at its end, and where the next field begins.

    Compression is followed (RFC 1035 4.1.4); ValueError when the name does not end within the data.
    """
    labels: list[str] = []
    at, after = start, -1
    for _ in range(MAX_LABELS):
        if at >= len(data):
            break
        size = data[at]
        if size == 0:
            return ".".join(labels).lower(), after if after >= 0 else at + 1
        if size & _POINTER == _POINTER:
            if at + 1 >= len(data):
                break
            after = after if after >= 0 else at + 2
            at = (size & ~_POINTER) << 8 | data[at + 1]
            continue
        if size & _POINTER or at + 1 + size > len(data):
            break
        labels.append(readable(data[at + 1 : at + 1 + size]))
        at += 1 + size
    raise ValueError(f"no domain name at octet {start}")
