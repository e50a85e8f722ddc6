# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep of long runs of user data only their ends, so that a session's memory does not grow with its traffic.

A run is what comes between two messages of signalling in one session and is alike: kind, both outer addresses and
ports, the UE's end inside, protocol, echo or TCP flag. Of each run the first and the last `EDGE` messages stay, the
others are counted. That is what flows and rules need: that there was data before, between or after steps, the first
packet that should not be there, a request with its reply at either end, and the exact place where a run begins and
ends. ESP that does not open may be signalling: there only consecutive sequence numbers make a run, so that gaps and
repeated numbers stay visible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from mn_dsmip.check.model import Message

EDGE = 4  # messages kept at each end of a run
MAX_RUNS = 256  # different ones between two messages of signalling; a scan of ports makes no more
_PORTS = ("udp", "source_port", "destination_port")
ALIKE = {
    "plain": ("protocol", "icmp", "icmp_type", "tcp", "protected", *_PORTS),
    "tunnelled": ("inner_version", "protocol", "icmp", "icmp_type", "tcp", "protected", *_PORTS),
    "keepalive": _PORTS,
    "icmpv6_error": ("icmp_type", "icmp_code", "quoted_headers", "quoted_ports"),
    "icmp_error": ("icmp_type", "icmp_code", "quoted_headers", "quoted_ports"),
    "esp": ("spi", "next_header", "home_address", *_PORTS),
}


class _Run:
    __slots__ = ("count", "latest", "sequence")

    def __init__(self) -> None:
        self.count = 0
        self.sequence: object = None  # of the last ESP packet
        self.latest: deque[Message] = deque(maxlen=EDGE)


class Thinner:
    """Takes a session's user data between two messages of signalling, and hands on what stays of it."""

    __slots__ = ("_runs", "kept", "left_out")

    def __init__(self, kept: list[Message], left_out: dict[int, int]) -> None:
        self.kept = kept
        self.left_out = left_out
        self._runs: dict[tuple[object, ...], _Run] = {}

    def add(self, message: Message, inner: str) -> None:
        """Take one message of a kind in `ALIKE`; `inner` is the UE's address inside the tunnel, if there is one."""
        get = message.fields.get
        kind = message.kind
        alike = [get(name) for name in ALIKE[kind]]
        key = (kind, message.source, message.destination, inner, message.hidden, *alike)
        run = self._runs.get(key)
        if run is None:
            if len(self._runs) >= MAX_RUNS:
                self.left_out[0] = self.left_out.get(0, 0) + 1
                return
            run = self._runs[key] = _Run()
        if kind == "esp":
            sequence = get("esp_sequence")
            if isinstance(run.sequence, int) and sequence != run.sequence + 1:
                self._close(run)
                run = self._runs[key] = _Run()
            run.sequence = sequence
        run.count += 1
        if run.count <= EDGE:
            self.kept.append(message)
        else:
            run.latest.append(message)

    def flush(self) -> None:
        """Signalling follows, or the end: all runs are over."""
        if self._runs:
            for run in self._runs.values():
                self._close(run)
            self._runs.clear()

    def pending(self) -> Iterator[Message]:
        """The latest messages of the runs that go on."""
        for run in self._runs.values():
            yield from run.latest

    def _close(self, run: _Run) -> None:
        missing = run.count - EDGE - len(run.latest)
        if missing > 0:
            self.left_out[run.latest[0].frame] = missing
        self.kept.extend(run.latest)
