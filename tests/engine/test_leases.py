# SPDX-License-Identifier: GPL-2.0-or-later
"""Leases: never to two holders, back to the former holder, static ones apart."""

from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.engine.leases import Pool, address_pool, prefix_pool

A, B, C, D = (("00101000000000" + str(n), "internet") for n in range(1, 5))


def test_a_holder_keeps_its_unit_and_nobody_else_gets_it() -> None:
    pool = prefix_pool(IPv6Network("2001:db8:100::/63"))
    first = pool.take(A)
    assert first == IPv6Network("2001:db8:100::/64")
    assert pool.take(A) == first
    assert pool.take(B) == IPv6Network("2001:db8:100:1::/64")
    assert pool.take(C) is None


def test_a_returning_holder_gets_its_old_unit_while_it_is_free() -> None:
    pool = Pool(range(3))
    first = pool.take(A)
    pool.release(A)
    assert pool.take(B) == 1 and pool.take(A) == first


def test_when_nothing_fresh_is_left_the_longest_released_unit_goes() -> None:
    pool = Pool(range(2))
    assert (pool.take(A), pool.take(B)) == (0, 1)
    pool.release(B)
    pool.release(A)
    assert pool.take(C) == 1
    assert pool.take(B) == 0, "B's own unit is taken, A's is free"
    assert pool.take(A) is None


def test_a_static_unit_is_never_given_out_dynamically() -> None:
    static = IPv6Network("2001:db8:100::/64")
    pool = prefix_pool(IPv6Network("2001:db8:100::/63"), reserved=[static])
    assert pool.take(A) == IPv6Network("2001:db8:100:1::/64")
    assert pool.take(B) is None
    assert pool.take(C, static) == static
    assert pool.take(D, static) is None, "somebody holds it"
    pool.release(C)
    assert pool.take(D, static) == static


def test_what_a_former_process_gave_out_is_remembered() -> None:
    pool = Pool(range(3))
    pool.remember(B, 0)
    assert pool.take(A) == 1
    assert pool.take(B) == 0


def test_an_address_pool_leaves_out_network_and_broadcast() -> None:
    pool = address_pool(IPv4Network("10.45.0.0/30"))
    assert [str(pool.take(who)) for who in (A, B, C)] == ["10.45.0.1", "10.45.0.2", "None"]


def test_a_pool_narrower_than_a_home_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="narrower than the /64"):
        prefix_pool(IPv6Network("2001:db8::/65"))


@given(st.lists(st.tuples(st.sampled_from("tr"), st.integers(0, 5)), max_size=60))
def test_two_holders_never_share_a_unit(steps: list[tuple[str, int]]) -> None:
    pool = Pool(range(4), reserved=[2])
    held: dict[int, int] = {}
    for action, who in steps:
        holder = (str(who), "internet")
        if action == "t":
            unit = pool.take(holder, 2 if who == 5 else None)
            assert unit is None or unit == held.get(who, unit)
            if unit is None:
                assert who not in held
            else:
                held[who] = unit
        else:
            pool.release(holder)
            held.pop(who, None)
        assert len(set(held.values())) == len(held) == len(pool)
