# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's netlink messages and a socket for requests: just what addresses, routes and rules need.

A library would bring much more than these few messages, and its own event loop (netlink(7), rtnetlink(7)).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1

ANSWER_TIMEOUT = 5.0
"""Seconds; the kernel answers within the system call, so this only bounds what should not happen."""
_LARGEST = 1 << 16
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ATTRIBUTE_TYPE = 0x3FFF


class Message(NamedTuple):
    """A netlink message without its header."""

    kind: int
    body: bytes


def build_attributes(attributes: Mapping[int, bytes]) -> bytes:
    """Attributes by number, each padded to four octets."""
    return b"".join(
        _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in attributes.items()
    )


def parse_attributes(data: bytes) -> dict[int, bytes]:
    """The attributes that follow a message's fixed part."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_TYPE] = data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]
    return found


def parse_messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            break
        yield Message(kind, data[_HEADER.size : length])
        data = data[length + -length % 4 :]


def listener(*groups: int) -> socket.socket:
    """A socket that does not block and hears what the kernel announces to ``groups``."""
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    found.setblocking(False)
    found.bind((0, 0))
    for group in groups:
        found.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    return found


class Netlink:
    """A socket for requests, each answered before the call returns."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(ANSWER_TIMEOUT)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket; what was requested stays."""
        self._socket.close()

    def request(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Let the kernel do something; ``OSError`` with the kernel's reason."""
        for _ in self._exchange(kind, body, flags | NLM_F_ACK):
            pass

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """Everything of a kind that the kernel has."""
        return list(self._exchange(kind, body, NLM_F_DUMP))

    def _exchange(self, kind: int, body: bytes, flags: int) -> Iterator[Message]:
        self._sequence += 1
        sequence = self._sequence
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, sequence, 0) + body)
        while True:
            data = self._socket.recv(_LARGEST)
            if _HEADER.unpack_from(data)[3] != sequence:  # the rest of an answer that nobody wanted any more
                continue
            for message in parse_messages(data):
                if message.kind == NLMSG_DONE:
                    return
                if message.kind == NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", message.body)
                    if number:
                        raise OSError(-number, os.strerror(-number))
                    return
                yield message
