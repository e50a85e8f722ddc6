# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbering and routing of topologies of other shapes."""

from __future__ import annotations

from typing import Any

from mn_dsmip.nodes import UE, Ipv6Topo, PdnGw, Router


class Line(Ipv6Topo):
    """a - r1 - r2 - r3 - b, with a gateway behind r3."""

    def build(self, **_: Any) -> None:
        for name in ("r1", "r2", "r3"):
            self.addHost(name, cls=Router)
        self.addHost("a")
        self.addHost("b")
        self.addHost("g", cls=PdnGw, address="2001:db8:f::1", home="2001:db8:8000::/33")
        self.addLink("a", "r1", prefix="2001:db8:1::/64", ipv4="192.0.2.0/30")
        self.addLink("r1", "r2", prefix="2001:db8:2::/64")
        self.addLink("r2", "r3", prefix="2001:db8:3::/64")
        self.addLink("r3", "b", prefix="2001:db8:4::/64")
        self.addLink("r3", "g", prefix="2001:db8:5::/64")


class Tree(Ipv6Topo):
    """Two linked switches are one segment; a second link between the same nodes is one of its own."""

    def build(self, **_: Any) -> None:
        self.addSwitch("s1", prefix="2001:db8:1::/64")
        self.addSwitch("s2")
        self.addHost("r", cls=Router)
        self.addHost("h")
        self.addHost("u", cls=UE)
        self.addLink("r", "s1")
        self.addLink("h", "s2")
        self.addLink("u", "s2")
        self.addLink("s1", "s2")
        self.addLink("r", "h", prefix="2001:db8:9::/64")


def test_routes_lead_through_all_routers() -> None:
    line = Line()
    routes = dict(line.nodeInfo("r1")["routes"])
    assert routes == dict.fromkeys(
        ["2001:db8:3::/64", "2001:db8:4::/64", "2001:db8:5::/64", "2001:db8:f::1/128", "2001:db8:8000::/33"],
        "2001:db8:2::2",
    )
    assert dict(line.nodeInfo("r3")["routes"])["2001:db8:8000::/33"] == "2001:db8:5::2"
    assert dict(line.nodeInfo("g")["routes"])["2001:db8:1::/64"] == "2001:db8:5::1"
    assert line.nodeInfo("b")["routes"] == [("::/0", "2001:db8:4::1")]


def test_a_family_without_a_way_gets_no_route() -> None:
    assert [route for route in Line().nodeInfo("b")["routes"] if "." in route[0]] == []


def test_linked_switches_are_one_segment() -> None:
    tree = Tree()
    assert tree.nodeInfo("r")["addresses"] == {"r-eth0": ["2001:db8:1::1/64"], "r-eth1": ["2001:db8:9::1/64"]}
    assert tree.nodeInfo("h")["addresses"] == {"h-eth0": ["2001:db8:1::2/64"], "h-eth1": ["2001:db8:9::2/64"]}
    assert "addresses" not in tree.nodeInfo("u")
