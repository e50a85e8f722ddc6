# SPDX-License-Identifier: GPL-2.0-or-later
"""What a UE learns of its access, from Router Advertisements made by hand at the other end of the link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, IPv6Network

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from mn_dsmip.agent.datapath import access as access_module
from mn_dsmip.agent.datapath.ue import UeDatapath
from mn_dsmip.engine.ue_states import Access
from tests.agent.datapath_network import PATIENCE, Inbox, Namespace, Wire, link, namespaces
from tests.agent.datapath_packets import agents_packets

pytestmark = pytest.mark.root

ROUTER, ALL_NODES, ALL_NODES_MAC = "fe80::1", "ff02::1", bytes.fromhex("333300000001")
PREFIX, OTHER_PREFIX = IPv6Network("2001:db8:a::/64"), IPv6Network("2001:db8:b::/64")
DNS, OTHER_DNS = "2001:db8:53::1", "2001:db8:53::2"


def solicits(packet: bytes) -> bool:
    return ICMPv6ND_RS in IPv6(packet)


class Link:
    """A UE's access interface, and the router's end of it."""

    def __init__(self, ue: Namespace, router: Namespace) -> None:
        self.ue = ue
        router.run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")  # nothing but what we send by hand
        ue.run("echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitations")  # the kernel's own
        link(ue, "u0", router, "r0")
        self.wire = Wire(router, "r0", ue, "u0")
        self.inbox = Inbox(ue)
        self.datapath: UeDatapath | None = None

    def open(self, dns_wanted: bool = True) -> None:
        self.datapath = UeDatapath("u0", "dsmip0", "ue1", self.inbox.on_access, dns_wanted)
        with self.ue:
            self.datapath.open(self.inbox.loop, self.inbox.deliver)

    def advertise(
        self, prefix: IPv6Network = PREFIX, dns: tuple[str, ...] = (), lifetime: int = 600, mtu: int | None = None
    ) -> None:
        options = ICMPv6NDOptPrefixInfo(prefix=str(prefix.network_address), prefixlen=64, L=1, A=1)
        if dns:
            options /= ICMPv6NDOptRDNSS(dns=list(dns), lifetime=lifetime)
        if mtu:
            options /= ICMPv6NDOptMTU(mtu=mtu)
        options /= ICMPv6NDOptSrcLLAddr(lladdr=self.wire.own.hex(":"))
        packet = IPv6(src=ROUTER, dst=ALL_NODES, hlim=255) / ICMPv6ND_RA(routerlifetime=600) / options
        self.wire.send(bytes(packet), destination=ALL_NODES_MAC)

    def care_of(self, prefix: IPv6Network = PREFIX) -> IPv6Address:
        """What the kernel forms of a prefix: RFC 4291 appendix A."""
        octets = self.wire.peer
        identifier = bytes((octets[0] ^ 2,)) + octets[1:3] + b"\xff\xfe" + octets[3:]
        return IPv6Address(prefix.network_address.packed[:8] + identifier)

    def access(self, *dns: str, mtu: int = 1500) -> Access:
        return Access(self.care_of(), tuple(map(IPv6Address, dns)), (PREFIX,), mtu)

    def await_kernel(self, condition: Callable[[str], bool]) -> None:
        """Wait until the interface's addresses are as wanted, without the data path's help."""
        for _ in range(int(PATIENCE * 10)):
            if condition(self.ue.run("ip -6 address show dev u0 scope global")):
                return
            self.inbox.run_for(0.1)
        raise AssertionError(self.ue.run("ip -6 address show dev u0"))

    def close(self) -> None:
        if self.datapath is not None:
            with self.ue:
                self.datapath.close()
        self.wire.close()
        self.inbox.close()


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    monkeypatch.setattr(access_module, "DNS_WAIT", 3.0)
    monkeypatch.setattr(access_module, "RTR_SOLICITATION_INTERVAL", 0.5)
    with namespaces(2) as (ue, router):
        found = Link(ue, router)
        try:
            yield found
        finally:
            found.close()


def test_an_advertisement_becomes_an_access_after_duplicate_address_detection(cable: Link) -> None:
    cable.open()
    cable.advertise(dns=(DNS, OTHER_DNS), mtu=1400)
    cable.wire.await_packet(lambda each: ICMPv6ND_NS in IPv6(each) and IPv6(each).tgt == str(cable.care_of()))
    cable.inbox.run_for(0.1)
    assert cable.inbox.accesses == []  # the address is tentative for a second
    cable.inbox.until(lambda: cable.inbox.accesses)
    assert cable.inbox.accesses == [cable.access(DNS, OTHER_DNS, mtu=1400)]
    packet = agents_packets(DNS, str(cable.care_of()))["dns answer"]
    cable.wire.send(packet)
    cable.inbox.until(lambda: cable.inbox.packets() == [packet])


@pytest.mark.parametrize("permanent", [False, True])
def test_an_address_that_somebody_has_is_no_care_of_address(cable: Link, permanent: bool) -> None:
    cable.open(dns_wanted=False)
    if permanent:
        cable.ue.run(f"ip address add {cable.care_of()}/64 dev u0")
    else:
        cable.advertise()
    cable.wire.await_packet(lambda each: ICMPv6ND_NS in IPv6(each) and IPv6(each).tgt == str(cable.care_of()))
    theirs = ICMPv6ND_NA(tgt=str(cable.care_of()), R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:07")
    answer = IPv6(src=str(cable.care_of()), dst=ALL_NODES, hlim=255) / theirs
    cable.wire.send(bytes(answer), destination=ALL_NODES_MAC)
    cable.await_kernel(lambda text: ("dadfailed" in text) if permanent else (str(cable.care_of()) not in text))
    assert cable.inbox.accesses == []
    cable.advertise(OTHER_PREFIX)
    cable.inbox.until(lambda: cable.inbox.accesses)
    assert [each.care_of for each in cable.inbox.accesses] == [cable.care_of(OTHER_PREFIX)]


def test_dns_servers_advertised_before_our_time_are_asked_for(cable: Link) -> None:
    cable.advertise(dns=(DNS,))
    cable.await_kernel(lambda text: str(cable.care_of()) in text and "tentative" not in text)
    cable.wire.collect()
    cable.wire.seen.clear()
    cable.open()
    cable.inbox.run_for(0.1)
    asked = IPv6(cable.wire.await_packet(solicits))
    assert (asked.dst, asked.hlim, asked[ICMPv6NDOptSrcLLAddr].lladdr) == ("ff02::2", 255, cable.wire.peer.hex(":"))
    assert IPv6Address(asked.src).is_link_local or IPv6Address(asked.src) == cable.care_of()
    again = IPv6(bytes(asked))
    del again[ICMPv6ND_RS].cksum
    assert IPv6(bytes(again)).cksum == asked.cksum
    assert cable.inbox.accesses == []
    cable.advertise(dns=(DNS,))
    cable.inbox.until(lambda: cable.inbox.accesses)
    assert cable.inbox.accesses == [cable.access(DNS)]


def test_a_router_without_dns_servers_is_asked_three_times_and_then_no_more(cable: Link) -> None:
    cable.advertise()
    cable.await_kernel(lambda text: str(cable.care_of()) in text and "tentative" not in text)
    cable.wire.collect()
    cable.wire.seen.clear()
    cable.open()
    cable.inbox.until(lambda: cable.inbox.accesses)
    assert cable.inbox.accesses == [cable.access()]
    assert len([each for each in cable.wire.collect() if solicits(each)]) == 3
    cable.advertise(dns=(DNS,))  # it learns: so do we
    cable.inbox.until(lambda: cable.inbox.accesses[1:])
    assert cable.inbox.accesses[1:] == [cable.access(DNS)]


def test_nobody_is_asked_when_dns_servers_are_not_wanted(cable: Link) -> None:
    cable.advertise()
    cable.await_kernel(lambda text: str(cable.care_of()) in text and "tentative" not in text)
    cable.wire.collect()
    cable.wire.seen.clear()
    cable.open(dns_wanted=False)
    cable.inbox.until(lambda: cable.inbox.accesses)
    assert cable.inbox.accesses == [cable.access()]
    assert not any(map(solicits, cable.wire.collect()))


def test_servers_end_with_their_lifetime_or_at_once(cable: Link) -> None:
    cable.open()
    cable.advertise(dns=(DNS,), lifetime=0xFFFFFFFF)
    cable.inbox.until(lambda: cable.inbox.accesses)
    cable.advertise(dns=(OTHER_DNS,), lifetime=2)
    cable.inbox.until(lambda: len(cable.inbox.accesses) == 3)  # it comes, and after two seconds it goes
    cable.advertise(dns=(DNS,), lifetime=0)
    cable.inbox.until(lambda: len(cable.inbox.accesses) == 4)
    assert cable.inbox.accesses == [
        cable.access(DNS), cable.access(DNS, OTHER_DNS), cable.access(DNS), cable.access()
    ]  # fmt: skip


def test_more_servers_than_anybody_needs_are_not_kept(cable: Link) -> None:
    cable.open()
    cable.advertise(dns=(DNS,), lifetime=300)
    cable.inbox.until(lambda: cable.inbox.accesses)
    others = tuple(f"2001:db8:53::{number:x}" for number in range(0x100, 0x100 + access_module.MOST_SERVERS))
    cable.advertise(dns=others, lifetime=600)
    cable.inbox.until(lambda: cable.inbox.accesses[1:])
    assert cable.inbox.accesses == [cable.access(DNS), cable.access(*others)]


def test_a_care_of_address_is_kept_while_it_may_be_used(cable: Link) -> None:
    cable.open(dns_wanted=False)
    cable.advertise()
    cable.inbox.until(lambda: cable.inbox.accesses)
    cable.advertise(OTHER_PREFIX)
    cable.await_kernel(lambda text: str(cable.care_of(OTHER_PREFIX)) in text and "tentative" not in text)
    cable.inbox.until(lambda: cable.inbox.accesses[-1].prefixes == (PREFIX, OTHER_PREFIX))
    assert {each.care_of for each in cable.inbox.accesses} == {cable.care_of()}
    cable.ue.run(f"ip address change {cable.care_of()}/64 dev u0 preferred_lft 0 valid_lft 1000")
    cable.inbox.until(lambda: cable.inbox.accesses[-1].care_of == cable.care_of(OTHER_PREFIX))


def test_another_mtu_is_news(cable: Link) -> None:
    cable.open(dns_wanted=False)
    cable.advertise()
    cable.inbox.until(lambda: cable.inbox.accesses)
    cable.ue.run("ip link set u0 mtu 1300")
    cable.inbox.until(lambda: cable.inbox.accesses[1:])
    assert cable.inbox.accesses == [cable.access(), cable.access(mtu=1300)]


@pytest.mark.parametrize(
    "command", ["ip -6 address flush dev u0 scope global", "ip link set u0 down", "ip link del u0"]
)
def test_the_end_of_an_access_is_announced(cable: Link, command: str) -> None:
    cable.open(dns_wanted=False)
    cable.advertise()
    cable.inbox.until(lambda: cable.inbox.accesses)
    care_of = str(cable.care_of())
    cable.ue.run(command)
    cable.inbox.until(lambda: cable.inbox.accesses[-1] is None)
    assert len(cable.inbox.accesses) == 2
    if "flush" in command:
        cable.wire.send(agents_packets(DNS, care_of)["esp"])
        cable.advertise()
        cable.inbox.until(lambda: cable.inbox.accesses[2:])
        assert cable.inbox.accesses[2] == cable.access()
        assert cable.inbox.datagrams == []  # what came for nobody is nobody's


def test_the_last_solicitation_can_still_be_answered() -> None:
    """Each of them, or its answer, may be lost (RFC 4861 6.3.7)."""
    last = (access_module.MAX_RTR_SOLICITATIONS - 1) * access_module.RTR_SOLICITATION_INTERVAL
    assert last + access_module.MAX_RTR_SOLICITATION_DELAY <= access_module.DNS_WAIT
