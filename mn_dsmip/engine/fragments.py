# SPDX-License-Identifier: GPL-2.0-or-later
"""Reassembly of fragments, bounded in number, size and time (RFC 8200 4.5, RFC 5722, RFC 6946, RFC 791)."""

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
"""Octets that a length field can tell: of an IPv4 packet, of an IPv6 payload."""
MOST_PIECES = 128


class _Pending:
    """The pieces of one packet by their offset; they never overlap nor reach beyond ``total`` once that is known."""

    __slots__ = ("expires", "front", "pieces", "total")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.front = b""
        self.pieces: dict[int, bytes] = {}
        self.total: int | None = None

    def contradicts(self, begin: int, end: int, last: bool) -> bool:
        """Whether a piece from ``begin`` to ``end`` overlaps another, or denies where the packet ends."""
        if self.total is not None and (last or end > self.total):
            return True
        return any(
            (begin < at + len(piece) and at < end) or (last and at + len(piece) > end)
            for at, piece in self.pieces.items()
        )


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
        front, payload = packet.unfragmentable, packet.payload
        if offset or more:  # the only fragment of a packet stands alone, whatever else has its number (RFC 6946 4)
            key = (packet.source, packet.destination, identification)
            complete = self._collect(key, front, payload, offset, more, now)
            if complete is None:
                return None
            front, payload = complete
        length = len(front) - IPV6_HEADER + len(payload)
        if length > LARGEST_PACKET:
            self._counters["fragment-malformed"] += 1
            return None
        return front[:4] + struct.pack("!H", length) + front[6:] + payload

    def add_ipv4(self, packet: Ipv4Packet, now: float) -> bytes | None:
        """Take a fragment; the whole packet when this one completes it."""
        key = (packet.source, packet.destination, packet.protocol, packet.identification)
        complete = self._collect(key, packet.header, packet.payload, packet.offset, packet.more_fragments, now)
        if complete is None:
            return None
        header, payload = complete
        length = len(header) + len(payload)
        if length > LARGEST_PACKET:
            self._counters["fragment-malformed"] += 1
            return None
        front = bytearray(header)
        struct.pack_into("!HHH", front, 2, length, packet.identification, 0)
        return with_header_checksum(front) + payload

    def _collect(
        self, key: Hashable, front: bytes, data: bytes, offset: int, more: bool, now: float
    ) -> tuple[bytes, bytes] | None:
        """Keep one piece; the headers of the first one and the whole payload when nothing is missing any more."""
        self.handle_timer(now)
        end = offset + len(data)
        if not data or end > LARGEST_PACKET or (more and len(data) % 8):
            self._counters["fragment-malformed"] += 1
            return None
        pending = self._pending.get(key) or self._begin(key, now)
        if pending.pieces.get(offset) == data:
            return None  # an exact repetition is harmless
        contradiction = pending.contradicts(offset, end, not more)
        if contradiction or len(pending.pieces) >= MOST_PIECES:
            del self._pending[key]  # RFC 5722 4: an overlap condemns the whole packet
            self._counters["fragment-overlap" if contradiction else "fragment-malformed"] += 1
            return None
        pending.pieces[offset] = data
        if not offset:
            pending.front = front
        if not more:
            pending.total = end
        if sum(len(piece) for piece in pending.pieces.values()) != pending.total:
            return None
        del self._pending[key]
        return pending.front, b"".join(pending.pieces[at] for at in sorted(pending.pieces))

    def _begin(self, key: Hashable, now: float) -> _Pending:
        if len(self._pending) >= MOST_PENDING:
            self._pending.popitem(last=False)
            self._counters["fragment-crowded-out"] += 1
        pending = self._pending[key] = _Pending(now + REASSEMBLY_TIMEOUT)
        return pending
