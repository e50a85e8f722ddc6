# SPDX-License-Identifier: GPL-2.0-or-later
"""APNs that share a network never give the same prefix or address to two subscribers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mn_dsmip.engine.gateway_policy import ApnPools, Leases, PolicyConfig

SHARED = ApnPools(IPv6Network("2001:db8:100::/63"), IPv4Network("10.45.0.0/30"))
APART = ApnPools(IPv6Network("2001:db8:200::/63"), None)


def test_two_apns_with_one_network_and_one_with_its_own() -> None:
    apns = {"internet": SHARED, "ims": SHARED, "bench": APART}
    leases = Leases(PolicyConfig(IPv6Address("2001:db8:aaaa::1"), {}, apns))
    holders = [("001010000000001", "internet"), ("001010000000002", "ims"), ("001010000000003", "ims")]
    prefixes = [leases.prefixes[holder[1]].take(holder) for holder in holders]
    assert prefixes == [IPv6Network("2001:db8:100::/64"), IPv6Network("2001:db8:100:1::/64"), None]
    assert leases.assign(holders[0], None) == IPv4Address("10.45.0.1")
    assert leases.assign(holders[1], None) == IPv4Address("10.45.0.2")
    leases.release(holders[0])
    assert leases.prefixes["ims"].take(holders[2]) == prefixes[0]
    assert leases.prefixes["bench"].take(("001010000000001", "bench")) == IPv6Network("2001:db8:200::/64")
