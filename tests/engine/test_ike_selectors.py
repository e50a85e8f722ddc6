# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic selectors: narrowing (RFC 7296 2.9) compared with counting, Mobility Header types, SPIs of ESP."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.engine.ike.child import covers, mobility_selector, narrow, new_esp_spi
from mn_dsmip.wire.ikev2_payloads import TrafficSelector

BASE = int(IPv6Address("2001:db8::"))
PROTOCOLS, PORTS, ADDRESSES = (0, 58, 135), range(4), range(4)


def selector(protocol: int, ports: tuple[int, int], addresses: tuple[int, int]) -> TrafficSelector:
    low, high = (IPv6Address(BASE + each) for each in addresses)
    return TrafficSelector(protocol, *ports, low, high)


_pairs = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda pair: (min(pair), max(pair)))
selectors = st.lists(st.builds(selector, st.sampled_from(PROTOCOLS), _pairs, _pairs), max_size=3)


def points(chosen: Iterable[TrafficSelector]) -> set[tuple[int, int, int]]:
    """All traffic that selectors of this small world let through; protocol 0 is every protocol."""
    return {
        point
        for each in chosen
        for point in product((58, 135, 17), PORTS, ADDRESSES)
        if each.protocol in (0, point[0])
        and each.start_port <= point[1] <= each.end_port
        and int(each.start) <= BASE + point[2] <= int(each.end)
    }


@given(selectors, selectors)
def test_narrowing_is_what_both_let_through(asked: list[TrafficSelector], allowed: list[TrafficSelector]) -> None:
    both = narrow(asked, allowed)
    assert points(both) == points(asked) & points(allowed)
    assert covers(asked, both) and covers(allowed, both)
    assert len(set(both)) == len(both)


@given(selectors, selectors)
def test_what_is_covered_lets_nothing_more_through(outer: list[TrafficSelector], inner: list[TrafficSelector]) -> None:
    if covers(outer, inner):
        assert points(inner) <= points(outer)
    elif len(outer) == 1:
        assert points(inner) - points(outer)


def test_address_families_do_not_mix() -> None:
    four = TrafficSelector(0, 0, 65535, IPv4Address(0), IPv4Address(2**32 - 1))
    six = TrafficSelector(0, 0, 65535, IPv6Address(0), IPv6Address(2**128 - 1))
    assert narrow([four], [six]) == narrow([six], [four]) == ()
    assert narrow([four, six], [six, four]) == (four, six)
    assert not covers([six], [four])


def test_opaque_ports_meet_any_and_themselves() -> None:
    """RFC 7296 3.13.1: OPAQUE is start 65535, end 0, and ANY includes it."""
    home = IPv6Address("2001:db8:1:1::100")
    opaque = TrafficSelector(135, 65535, 0, home, home)
    update = TrafficSelector(135, 0x500, 0x500, home, home)
    assert narrow([opaque], [mobility_selector(home)]) == narrow([mobility_selector(home)], [opaque]) == (opaque,)
    assert narrow([opaque], [opaque]) == (opaque,)
    assert narrow([opaque], [update]) == narrow([update], [opaque]) == ()
    assert covers([mobility_selector(home)], [opaque]) and not covers([opaque], [mobility_selector(home)])


def test_every_mobility_header_type_is_meant() -> None:
    """RFC 4877 7.1 codes a type as type * 256; RFC 5846 6.1 wants Binding Revocation (16) on the same SA."""
    home = IPv6Address("2001:db8:1:1::100")
    all_types = mobility_selector(home)
    for kind in (0, 5, 6, 7, 12, 16, 255):
        assert covers([all_types], [TrafficSelector(135, kind << 8, kind << 8, home, home)])
    assert mobility_selector(home, home + 1).end == home + 1


@pytest.mark.parametrize("reserved", ["00000000", "00000001", "000000ff"])
def test_reserved_spis_are_not_used(reserved: str) -> None:
    """RFC 4303 2.1."""
    thrown = [bytes.fromhex(reserved), bytes.fromhex("00000100"), bytes.fromhex("ffffffff")]
    assert new_esp_spi(lambda length: thrown.pop(0)) == bytes.fromhex("00000100")
    assert len(thrown) == 1
