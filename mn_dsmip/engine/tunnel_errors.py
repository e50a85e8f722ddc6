# SPDX-License-Identifier: GPL-2.0-or-later
"""What the source of an inner packet hears when the packet does not get through (RFC 2473 7, 8, RFC 5555 4.1.1)."""

from __future__ import annotations

from collections import Counter

from ..wire.icmpv6 import FRAGMENTATION_NEEDED, IcmpV4, IcmpV6, icmpv4_error, icmpv6_error
from ..wire.ip import DESTINATION_OPTIONS, IPIP, IPV6_HEADER, IPV6_IN, IPV6_MINIMUM_MTU
from .stack import PathError
from .tunnel import EXTENSION_HEADERS, LIMIT_HEADER, encapsulation_limit

ERRORS_PER_SECOND = 1000.0
"""Errors of one agent, on average and at once; RFC 4443 2.4 (f) demands a limit, the figure is ours."""
LARGEST_INNER = 65280
"""Octets of an inner packet that fit one outer packet with whatever a tunnel and ESP add; nobody sends larger ones."""
IPV4_REPORTER = bytes((192, 0, 0, 8))
"""Source of ICMPv4 errors made where no IPv4 address is known: the dummy address of RFC 7600 4.8."""


def quoted_inner(quoted: bytes) -> bytes | None:
    """The inner packet, perhaps cut, of the tunnel packet of ours that an ICMPv6 error quotes."""
    protocol, position = quoted[6], IPV6_HEADER
    if protocol == DESTINATION_OPTIONS and len(quoted) > position:
        protocol, position = quoted[position], position + LIMIT_HEADER
    inner = quoted[position:]
    version, least = {IPV6_IN: (6, IPV6_HEADER), IPIP: (4, 20)}.get(protocol, (0, 0))
    return inner if version and len(inner) >= least and inner[0] >> 4 == version else None


class TunnelErrors:
    """Makes the errors, so many and no more; ``reporter`` is the IPv6 address that they come from."""

    def __init__(self, counters: Counter[str], ipv4_reporter: bytes = IPV4_REPORTER) -> None:
        self._counters = counters
        self._ipv4_reporter = ipv4_reporter
        self._allowance = ERRORS_PER_SECOND
        self._counted = 0.0

    def admit(self, inner: bytes, tunnel_mtu: int, reporter: bytes, now: float) -> tuple[bool, bytes | None]:
        """Whether ``inner`` may enter a tunnel that takes ``tunnel_mtu`` octets, and the error if not.

        What is too big but not reported travels in outer fragments (RFC 2473 7.1, 7.2).
        """
        if inner[0] >> 4 == 6 and inner[6] in EXTENSION_HEADERS and (limit := encapsulation_limit(inner)) is not None:
            if limit[0] == 0:
                self._counters["inner-encapsulation-limit"] += 1
                if not self._allowed(now):
                    return False, None
                return False, icmpv6_error(reporter, IcmpV6.PARAMETER_PROBLEM, 0, limit[1], inner)
            tunnel_mtu -= LIMIT_HEADER
        if len(inner) > LARGEST_INNER:
            self._counters["inner-too-big"] += 1
            return False, self._report_size(inner, min(tunnel_mtu, LARGEST_INNER), reporter, now)
        if len(inner) <= tunnel_mtu or not _too_big(inner, tunnel_mtu):
            return True, None
        self._counters["inner-too-big"] += 1
        return False, self._report_size(inner, tunnel_mtu, reporter, now)

    def unreachable(self, inner: bytes, reporter: bytes, now: float) -> bytes | None:
        """No tunnel leads there, or it failed on the way (RFC 2473 8.2: code 3; 8.3: code 1)."""
        if not self._allowed(now):
            return None
        if inner[0] >> 4 == 6:
            return icmpv6_error(reporter, IcmpV6.DESTINATION_UNREACHABLE, 3, 0, inner)
        return icmpv4_error(self._ipv4_reporter, IcmpV4.DESTINATION_UNREACHABLE, 1, 0, inner)

    def relay(self, error: PathError, inner: bytes, tunnel_mtu: int, reporter: bytes, now: float) -> bytes | None:
        """What to tell about ``inner``, which ``error`` quotes: the error came from inside the tunnel (RFC 2473 8)."""
        if error.kind != IcmpV6.PACKET_TOO_BIG:
            return self.unreachable(inner, reporter, now)
        return self._report_size(inner, tunnel_mtu, reporter, now) if _too_big(inner, tunnel_mtu) else None

    def _report_size(self, inner: bytes, mtu: int, reporter: bytes, now: float) -> bytes | None:
        if not self._allowed(now):
            return None
        if inner[0] >> 4 == 6:
            return icmpv6_error(reporter, IcmpV6.PACKET_TOO_BIG, 0, max(mtu, IPV6_MINIMUM_MTU), inner)
        kind, code = IcmpV4.DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED
        return icmpv4_error(self._ipv4_reporter, kind, code, mtu, inner)

    def _allowed(self, now: float) -> bool:
        """A bucket that fills with time and loses one for each error."""
        gained = (now - self._counted) * ERRORS_PER_SECOND
        self._allowance = min(self._allowance + gained, ERRORS_PER_SECOND)
        self._counted = now
        if self._allowance < 1:
            self._counters["icmp-rate-limited"] += 1
            return False
        self._allowance -= 1
        return True


def _too_big(inner: bytes, mtu: int) -> bool:
    """Whether ``inner``, by its own header, must shrink: IPv6 beyond the minimum MTU, IPv4 with DF."""
    if inner[0] >> 4 == 6:
        return IPV6_HEADER + (inner[4] << 8 | inner[5]) > max(mtu, IPV6_MINIMUM_MTU)
    return (inner[2] << 8 | inner[3]) > mtu and bool(inner[6] & 0x40)
