# SPDX-License-Identifier: GPL-2.0-or-later
"""Reassembly of fragments, bounded in number, size and time (RFC 8200 4.5, RFC 5722, RFC 791)."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Hashable

from ..wire.ip import IPV6_HEADER, Ipv4Packet, Ipv6Packet, with_header_checksum

REASSEMBLY_TIMEOUT = 60.0
"""Seconds (RFC 8200 4.5)."""
MOST_PENDING = 256
"""Packets under reassembly; the oldest makes room."""
LARGEST_PACKET = 65535
MOST_PIECES = 128


class _Pending:
    __slots__ = ("expires", "first", "pieces", "total")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.first = b""
        self.pieces: dict[int, bytes] = {}
        self.total: int | None = None


class Reassembler:
    """Collects fragments; ``counters`` tell what was given up and why."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._pending: OrderedDict[Hashable, _Pending] = OrderedDict()

    def next_timer(self) -> float | None:
        """When the oldest incomplete packet is given up."""
        return next(iter(self._pending.values())).expires if self._pending else None

    def handle_timer(self, now: float) -> None:
        """Give up what has waited too long."""
        while self._pending and next(iter(self._pending.values())).expires <= now:
            self._pending.popitem(last=False)
            self._counters["fragment-timeout"] += 1

    def add_ipv6(self, packet: Ipv6Packet, now: float) -> bytes | None:
        """Take a fragment; the whole packet when this one completes it."""
        assert packet.fragment
        identification, offset, more = packet.fragment
        if more and len(packet.payload) % 8:
            self._counters["fragment-malformed"] += 1
            return None
        key = (packet.source, packet.destination, identification)
        pending = self._collect(key, packet.payload, offset, more, now)
        if pending is not None and offset == 0:
            pending.first = packet.unfragmentable
        payload = self._complete(key)
        if payload is None or pending is None:
            return None
        front = bytearray(pending.first)
        struct.pack_into("!H", front, 4, len(front) - IPV6_HEADER + len(payload))
        return bytes(front) + payload

    def add_ipv4(self, packet: Ipv4Packet, now: float) -> bytes | None:
        """Take a fragment; the whole packet when this one completes it."""
        if packet.more_fragments and len(packet.payload) % 8:
            self._counters["fragment-malformed"] += 1
            return None
        key = (packet.source, packet.destination, packet.protocol, packet.identification)
        pending = self._collect(key, packet.payload, packet.offset, packet.more_fragments, now)
        if pending is not None and packet.offset == 0:
            pending.first = packet.header
        payload = self._complete(key)
        if payload is None or pending is None:
            return None
        front = bytearray(pending.first)
        struct.pack_into("!HHH", front, 2, len(front) + len(payload), packet.identification, 0)
        return with_header_checksum(front) + payload

    def _collect(self, key: Hashable, data: bytes, offset: int, more: bool, now: float) -> _Pending | None:
        self.handle_timer(now)
        pending = self._pending.get(key)
        if pending is None:
            if len(self._pending) >= MOST_PENDING:
                self._pending.popitem(last=False)
                self._counters["fragment-crowded-out"] += 1
            pending = self._pending[key] = _Pending(now + REASSEMBLY_TIMEOUT)
        end = offset + len(data)
        if pending.pieces.get(offset) == data:
            return pending  # an exact repetition is harmless
        overlap = any(offset < begin + len(piece) and begin < end for begin, piece in pending.pieces.items())
        beyond = pending.total is not None and (end > pending.total or not more)
        if overlap or beyond or not data or end > LARGEST_PACKET or len(pending.pieces) >= MOST_PIECES:
            del self._pending[key]  # RFC 5722: an overlap condemns the whole packet
            self._counters["fragment-overlap" if overlap or beyond else "fragment-malformed"] += 1
            return None
        pending.pieces[offset] = data
        if not more:
            pending.total = end
        return pending

    def _complete(self, key: Hashable) -> bytes | None:
        pending = self._pending.get(key)
        if pending is None or pending.total is None or not pending.first:
            return None
        if sum(len(piece) for piece in pending.pieces.values()) != pending.total:
            return None
        del self._pending[key]
        return b"".join(pending.pieces[offset] for offset in sorted(pending.pieces))
