# SPDX-License-Identifier: GPL-2.0-or-later
"""What inner sources are told: sizes, limits, errors from inside the tunnel, and how many errors at most."""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
)

from mn_dsmip.engine.stack import PathError
from mn_dsmip.engine.tunnel_errors import ERRORS_PER_SECOND, IPV4_REPORTER, TunnelErrors, quoted_inner
from mn_dsmip.wire.icmpv6 import IcmpV6
from mn_dsmip.wire.ip import internet_sum, transport_sum

HOME, FAR = "2001:db8:1:1::100", "2001:db8:c::80"
HOME4, FAR4 = "10.45.0.2", "203.0.113.80"
REPORTER = IPv6Address("2001:db8:aaaa::1").packed
OUTER = IPv6(src="2001:db8:f:1::10", dst="2001:db8:aaaa::1")
VECTORS = {
    each["name"]: bytes.fromhex(each["packet"])
    for each in json.loads((Path(__file__).parent.parent / "vectors/mobility.json").read_text())["tunnels"]
}


def errors() -> tuple[TunnelErrors, Counter[str]]:
    counters: Counter[str] = Counter()
    return TunnelErrors(counters), counters


def ipv6(size: int) -> bytes:
    return bytes(IPv6(src=HOME, dst=FAR) / UDP() / bytes(size - 48))


def ipv4(size: int, flags: str | int) -> bytes:
    return bytes(IP(src=HOME4, dst=FAR4, flags=flags) / UDP() / bytes(size - 28))


def read(error: bytes | None) -> IPv6 | IP:
    """``error`` by scapy, after its checksums have been found right."""
    assert error is not None
    if error[0] >> 4 == 6:
        assert transport_sum(error[8:24], error[24:40], 58, error[40:]) == 0
        return IPv6(error)
    assert internet_sum(error[:20]) == internet_sum(error[20:]) == 0
    return IP(error)


# a tunnel over a path of 1500 takes 1460 octets, over one of 1280 takes 1240 (RFC 2473 7.1)
@pytest.mark.parametrize(
    ("size", "mtu", "told"), [(1460, 1460, None), (1461, 1460, 1460), (1280, 1240, None), (1281, 1240, 1280)]
)
def test_sizes_over_ipv6(size: int, mtu: int, told: int | None) -> None:
    maker, counters = errors()
    admitted, error = maker.admit(ipv6(size), mtu, REPORTER, 0.0)
    assert admitted is (told is None)
    if told is None:
        assert error is None and not counters
        return
    packet = read(error)
    assert (packet.src, packet.dst, packet[ICMPv6PacketTooBig].mtu) == ("2001:db8:aaaa::1", HOME, told)
    assert len(packet) == 1280 and bytes(packet)[48:] == ipv6(size)[:1232], "as much as the minimum MTU allows"
    assert counters == {"inner-too-big": 1}


@pytest.mark.parametrize(("size", "flags", "told"), [(1460, "DF", None), (1461, "DF", 1460), (1461, 0, None)])
def test_sizes_over_ipv4(size: int, flags: str | int, told: int | None) -> None:
    maker, counters = errors()
    admitted, error = maker.admit(ipv4(size, flags), 1460, REPORTER, 0.0)
    assert admitted is (told is None)
    if told is None:
        assert error is None and not counters
        return
    packet = read(error)
    assert (packet.src, packet.dst) == ("192.0.0.8", HOME4)
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu) == (3, 4, told)
    assert len(packet) == 576 and bytes(packet)[28:] == ipv4(size, flags)[:548]


def nested(limit: int, size: int = 200) -> bytes:
    options = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=bytes((limit,)))])
    return bytes(IPv6(src=HOME, dst=FAR) / options / IPv6() / bytes(size - 88))


def test_a_packet_that_may_enter_no_tunnel() -> None:
    """RFC 2473 4.1.1 (b): Parameter Problem, code 0, pointing at the limit."""
    maker, counters = errors()
    admitted, error = maker.admit(nested(0), 1460, REPORTER, 0.0)
    assert not admitted and counters == {"inner-encapsulation-limit": 1}
    problem = read(error)[ICMPv6ParamProblem]
    assert (problem.code, problem.ptr) == (0, 44) and nested(0)[44] == 0
    assert maker.admit(nested(1), 1460, REPORTER, 0.0) == (True, None)


def test_the_limit_option_of_the_outer_header_takes_room() -> None:
    maker, _ = errors()
    assert maker.admit(nested(3, 1452), 1460, REPORTER, 0.0) == (True, None)
    admitted, error = maker.admit(nested(3, 1453), 1460, REPORTER, 0.0)
    assert not admitted and read(error)[ICMPv6PacketTooBig].mtu == 1452


def test_nobody_lives_there() -> None:
    maker, _ = errors()
    six, four = (read(maker.unreachable(VECTORS[name][40:], REPORTER, 0.0)) for name in ("T1", "T2"))
    assert (six.dst, six[ICMPv6DestUnreach].code) == (HOME, 3)
    assert (four.src, four.dst, four[ICMP].type, four[ICMP].code) == ("192.0.0.8", HOME4, 3, 1)


@pytest.mark.parametrize("kind", [IcmpV6.DESTINATION_UNREACHABLE, IcmpV6.TIME_EXCEEDED, IcmpV6.PARAMETER_PROBLEM])
def test_what_breaks_inside_the_tunnel_is_unreachable_outside(kind: int) -> None:
    """RFC 2473 8.2, 8.3."""
    maker, _ = errors()
    for name, answer in (("T1", ICMPv6DestUnreach), ("T2", ICMP)):
        quoted = VECTORS[name]
        inner = quoted_inner(quoted)
        assert inner == quoted[40:]
        told = read(maker.relay(PathError(kind, None, quoted), inner, 1460, REPORTER, 0.0))
        assert (told[answer].type, told[answer].code) == ((1, 3) if name == "T1" else (3, 1))


@pytest.mark.parametrize(
    ("inner", "mtu", "told"),
    [
        (ipv6(1460), 1400, 1400),
        (ipv6(1460), 1240, 1280),
        (ipv6(1280), 1240, None),  # next time it goes in outer fragments
        (ipv4(1460, "DF"), 1240, 1240),
        (ipv4(1460, 0), 1240, None),
    ],
)
def test_packet_too_big_from_inside_the_tunnel(inner: bytes, mtu: int, told: int | None) -> None:
    """The quotation is cut; the inner packet's own header tells how long it was."""
    maker, _ = errors()
    quoted = bytes(OUTER / inner)[:1232]
    answer = maker.relay(PathError(IcmpV6.PACKET_TOO_BIG, mtu + 40, quoted), inner[:1192], mtu, REPORTER, 0.0)
    if told is None:
        assert answer is None
    elif inner[0] >> 4 == 6:
        assert read(answer)[ICMPv6PacketTooBig].mtu == told
    else:
        assert read(answer)[ICMP].nexthopmtu == told


def test_no_error_about_an_inner_error() -> None:
    maker, _ = errors()
    about = bytes(IPv6(src=HOME, dst=FAR) / ICMPv6TimeExceeded() / ipv6(1400))
    assert maker.unreachable(about, REPORTER, 0.0) is None
    assert maker.admit(about, 1400, REPORTER, 0.0) == (False, None)


@pytest.mark.parametrize(
    "quoted",
    [
        bytes(OUTER / UDP() / bytes(60)),
        VECTORS["T1"][:79],
        VECTORS["T2"][:59],
        VECTORS["T1"][:6] + b"\4" + VECTORS["T1"][7:],
        VECTORS["T2"][:6] + b"\x29" + VECTORS["T2"][7:],
        bytes(OUTER / IPv6ExtHdrDestOpt()),
        VECTORS["T1"][:6] + b"\x3c" + VECTORS["T1"][7:40],
    ],
)
def test_quotations_without_an_inner_packet(quoted: bytes) -> None:
    assert quoted_inner(quoted) is None


def test_the_limit_option_in_a_quotation_is_skipped() -> None:
    options = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=b"\3")])
    assert quoted_inner(bytes(OUTER / options / IPv6(ipv6(100)))) == ipv6(100)


def test_errors_are_limited_in_number() -> None:
    """RFC 4443 2.4 (f)."""
    maker, counters = errors()
    most = int(ERRORS_PER_SECOND)
    told = [maker.unreachable(ipv6(100), REPORTER, 5.0) for _ in range(most + 20)]
    assert None not in told[:most] and told[most:] == [None] * 20
    assert maker.admit(ipv6(1461), 1460, REPORTER, 5.0) == (False, None), "refused all the same"
    assert maker.admit(nested(0), 1460, REPORTER, 5.0) == (False, None)
    assert counters["icmp-rate-limited"] == 22
    told = [maker.unreachable(ipv6(100), REPORTER, 5.0 + 1 / 16) for _ in range(most)]
    assert len([each for each in told if each]) == most // 16


def test_the_reporter_of_a_gateway_with_an_ipv4_address() -> None:
    own = bytes((192, 0, 2, 1))
    told = read(TunnelErrors(Counter(), own).unreachable(ipv4(100, 0), REPORTER, 0.0))
    assert told.src == "192.0.2.1" and own != IPV4_REPORTER
