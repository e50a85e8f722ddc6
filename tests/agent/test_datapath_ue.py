# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE's data path on a real link: what arrives, what leaves, what applications see; the kernel keeps quiet."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6

from mn_dsmip.agent.datapath import firewall
from mn_dsmip.agent.datapath.ue import UeDatapath
from mn_dsmip.agent.errors import EnvironmentProblem
from mn_dsmip.engine.base import Datagram, Side
from mn_dsmip.engine.effects import AddAddress, AddRoute, RemoveAddress, RemoveRoute, SetMtu
from mn_dsmip.wire.ip import parse_udp
from tests.agent.datapath_network import PATIENCE, Inbox, Namespace, Wire, link, namespaces
from tests.agent.datapath_packets import (
    ELSEWHERE,
    FRAGMENT,
    HOME_ADDRESS,
    agents_packets,
    bodies,
    errors,
    fragments_of,
    kernels_packets,
)

pytestmark = pytest.mark.root

ROUTER, CARE_OF, OTHER = "2001:db8:a::1", "2001:db8:a::100", "2001:db8:a::101"
HOME4, ELSEWHERE4 = "10.45.0.2", "192.0.2.1"
ICMPV6 = 58
ATTACHED = [
    SetMtu(1460),
    AddAddress(IPv6Address(HOME_ADDRESS), 64),
    AddAddress(IPv4Address(HOME4), 32),
    AddRoute(IPv6Network("::/0")),
    AddRoute(IPv4Network("0.0.0.0/0")),
]
DETACHED = [
    RemoveRoute(IPv6Network("::/0")),
    RemoveRoute(IPv4Network("0.0.0.0/0")),
    RemoveAddress(IPv6Address(HOME_ADDRESS), 64),
    RemoveAddress(IPv4Address(HOME4), 32),
]


class Access:
    """A UE and its access router; the router's end is ours."""

    def __init__(self, ue: Namespace, router: Namespace) -> None:
        self.ue, self.router = ue, router
        ue.run("echo 0 >/proc/sys/net/ipv6/conf/default/accept_ra", "echo 0 >/proc/sys/net/ipv6/icmp/ratelimit")
        link(ue, "u0", router, "r0")
        router.run(f"ip address add {ROUTER}/64 dev r0 nodad")
        ue.run(
            f"ip address add {CARE_OF}/64 dev u0 nodad",
            f"ip address add {OTHER}/64 dev u0 nodad preferred_lft 0",
            f"ip route add default via {ROUTER} metric 1024",
        )
        self.wire = Wire(router, "r0", ue, "u0")
        self.inbox = Inbox(ue)
        self.datapath = UeDatapath("u0", "dsmip0", "ue1", self.inbox.on_access, dns_wanted=False)

    def open(self) -> None:
        with self.ue:
            self.datapath.open(self.inbox.loop, self.inbox.deliver)
        self.inbox.until(lambda: self.inbox.accesses)

    def carry_out(self, *effects: AddAddress | AddRoute | RemoveAddress | RemoveRoute | SetMtu) -> None:
        for effect in effects:
            self.datapath.carry_out(effect)

    def settle(self, number: int) -> list[bytes]:
        """All that the UE's kernel sent until now: it answers an echo request, and answers come in order."""
        request = IPv6(src=ROUTER, dst=CARE_OF) / ICMPv6EchoRequest(id=number)
        self.wire.send(bytes(request))
        identifier = struct.pack("!H", number)
        self.wire.await_packet(lambda packet: packet[6] == ICMPV6 and packet[40] == 129 and packet[44:46] == identifier)
        return self.wire.seen

    def state(self) -> str:
        """All of the UE's network configuration that a data path may touch."""
        return self.ue.run(
            "ip address show dev u0 scope global; ip -o link; ip -6 rule; ip -4 rule",
            "ip -6 route show table all | grep -v fe80; ip -4 route show table all",
            "nft list ruleset 2>/dev/null || :; ip6tables-legacy-save -t raw | grep -v '^#' | sed 's/\\[.*//'",
        )

    def close_datapath(self) -> None:
        with self.ue:
            self.datapath.close()

    def close(self) -> None:
        self.close_datapath()
        self.wire.close()
        self.inbox.close()


@pytest.fixture
def access() -> Iterator[Access]:
    with namespaces(2) as (ue, router):
        found = Access(ue, router)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(params=["preferred", "ip6tables"])
def either_firewall(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel offers, and the older one."""
    if request.param == "ip6tables":
        monkeypatch.setattr(firewall, "BACK_ENDS", (firewall.Ip6tables,))


def kernel_errors(packets: list[bytes]) -> list[bytes]:
    return [each for each in packets if each[6] == ICMPV6 and each[40] < 128]


# --- what arrives


@pytest.mark.usefixtures("either_firewall")
def test_the_agents_packets_arrive_whole_and_the_kernel_keeps_quiet(access: Access) -> None:
    access.open()
    packets = [*agents_packets(ROUTER, CARE_OF).values(), *errors(ROUTER, CARE_OF).values()]
    packets += fragments_of(agents_packets(ROUTER, CARE_OF)["ike"] + bytes(2000), 1280)
    access.wire.send(*packets)
    access.inbox.until(lambda: len(access.inbox.datagrams) >= len(packets))
    assert access.inbox.datagrams == [Datagram(Side.ACCESS, each) for each in packets]
    assert kernel_errors(access.settle(1)) == []


def test_without_a_data_path_the_kernel_does_answer(access: Access) -> None:
    """What the test above would see if nothing dropped the kernel's copies."""
    packets = agents_packets(ROUTER, CARE_OF)
    answered = set()
    for number, (name, packet) in enumerate(packets.items(), 1):
        before = len(kernel_errors(access.wire.collect()))
        access.wire.send(packet)
        if len(kernel_errors(access.settle(number))) > before:
            answered.add(name)
    assert answered >= {"ike", "ike beside a NAT", "dns answer", "dns answer, last port"}


@pytest.mark.usefixtures("either_firewall")
def test_the_kernel_keeps_what_is_its_own(access: Access) -> None:
    """Nothing of it is delivered, and the kernel goes on answering: also for its other address."""
    access.open()
    access.wire.send(*kernels_packets(ROUTER, CARE_OF).values(), *agents_packets(ROUTER, OTHER).values())
    access.wire.send(agents_packets(ROUTER, CARE_OF)["esp"])
    access.inbox.until(lambda: access.inbox.datagrams)
    assert access.inbox.packets() == [agents_packets(ROUTER, CARE_OF)["esp"]]
    sent = access.settle(1)
    answers = {(each[8:24], each[40]) for each in sent if each[6] == ICMPV6}
    assert (IPv6Address(OTHER).packed, 1) in answers  # port unreachable for that address's UDP 500
    assert (IPv6Address(CARE_OF).packed, 129) in answers
    assert any(each[6] == 6 for each in sent)  # TCP is refused by the kernel


def test_nothing_of_our_own_comes_back(access: Access) -> None:
    access.open()
    own, last = agents_packets(CARE_OF, ELSEWHERE)["ike"], agents_packets(ROUTER, CARE_OF)["esp"]
    access.datapath.send([Datagram(Side.ACCESS, own)] * 3)
    access.wire.await_packet(lambda each: each == own)
    access.wire.send(last)
    access.inbox.until(lambda: last in access.inbox.packets())
    assert own not in access.inbox.packets()


def test_a_checksum_left_to_the_network_card_is_completed(access: Access) -> None:
    """A host on the same machine hands over UDP without one, because no wire is between."""
    access.router.run("ethtool -K r0 tx on")
    access.open()
    with access.router, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind((ROUTER, 4500))
        sender.sendto(b"answer", (CARE_OF, 4500))
    access.inbox.until(lambda: access.inbox.datagrams)
    (packet,) = access.inbox.packets()
    assert parse_udp(packet[40:], packet[8:24], packet[24:40]) == (4500, 4500, b"answer")


def test_batches_are_bounded_and_lose_nothing(access: Access) -> None:
    access.open()
    sizes: list[int] = []
    deliver = access.inbox.deliver
    access.datapath._deliver = lambda batch: (sizes.append(len(batch)), deliver(batch))[1]
    packet = agents_packets(ROUTER, CARE_OF)["ipv6 in ipv6"]
    numbered = [packet[:7] + bytes((number % 255 + 1,)) + packet[8:] for number in range(300)]
    access.wire.send(*numbered)
    access.inbox.until(lambda: len(access.inbox.datagrams) >= len(numbered))
    assert access.inbox.packets() == numbered
    assert max(sizes) <= 64


# --- what leaves


def test_packets_leave_as_they_are_whatever_the_routes_of_applications(access: Access) -> None:
    access.open()
    access.carry_out(*ATTACHED)
    packets = list(agents_packets(CARE_OF, ELSEWHERE).values())
    access.datapath.send([Datagram(Side.ACCESS, each) for each in packets])
    for packet in packets:
        assert access.wire.await_packet(lambda each, wanted=packet: each == wanted)
    assert access.datapath.counters == {}


def test_fragments_of_the_engine_leave(access: Access) -> None:
    access.open()
    fragments = fragments_of(agents_packets(CARE_OF, ELSEWHERE)["ike"] + bytes(2000), 1500)
    last = agents_packets(CARE_OF, ELSEWHERE)["esp"]
    access.datapath.send([Datagram(Side.ACCESS, each) for each in (*fragments, last)])
    access.wire.await_packet(lambda each: each == last)
    assert bodies([each for each in access.wire.seen if each[6] == FRAGMENT]) == bodies(fragments)


def test_the_engine_alone_heeds_path_mtus(access: Access) -> None:
    """The kernel has heard of a smaller path MTU, from an application's packet, and lets ours pass nevertheless."""
    access.open()
    big = bytes(IPv6(src=CARE_OF, dst=ELSEWHERE) / UDP(sport=500, dport=500) / bytes(1452))
    assert len(big) == 1500
    quoted = IPv6(src=CARE_OF, dst=ELSEWHERE) / ICMPv6EchoRequest(id=1)
    access.wire.send(bytes(IPv6(src=ROUTER, dst=CARE_OF) / ICMPv6PacketTooBig(mtu=1280) / quoted))
    access.inbox.until(lambda: access.inbox.datagrams)
    assert "mtu 1280" in access.ue.run(f"ip -6 route get {ELSEWHERE} from {CARE_OF}")
    access.datapath.send([Datagram(Side.ACCESS, big)])
    assert access.wire.await_packet(lambda each: each == big)


def test_what_the_link_does_not_take_is_counted(access: Access) -> None:
    access.open()
    too_big = bytes(IPv6(src=CARE_OF, dst=ROUTER) / UDP(sport=500, dport=500) / bytes(1453))
    access.datapath.send([Datagram(Side.ACCESS, too_big), Datagram(Side.HOME, b"\x00 is no IP version")])
    assert access.datapath.counters == {"send-emsgsize": 1, "tun-write-einval": 1}


# --- applications


def udp_socket(access: Access, family: socket.AddressFamily, source: str = "") -> socket.socket:
    with access.ue:
        found = socket.socket(family, socket.SOCK_DGRAM)
    found.settimeout(PATIENCE)
    found.bind((source, 7000))
    return found


@pytest.mark.parametrize("bound", ["", HOME_ADDRESS])
def test_applications_use_the_home_address(access: Access, bound: str) -> None:
    """Without being told, and when they say so; what is written back reaches them."""
    access.open()
    access.carry_out(*ATTACHED)
    with udp_socket(access, socket.AF_INET6, bound) as application:
        application.sendto(b"there", (ELSEWHERE, 7))
        access.inbox.until(lambda: access.inbox.datagrams)
        ((side, packet),) = access.inbox.datagrams
        assert side is Side.HOME
        assert (IPv6(packet).src, IPv6(packet).dst, bytes(IPv6(packet)[UDP].payload)) == (
            HOME_ADDRESS, ELSEWHERE, b"there"
        )  # fmt: skip
        answer = IPv6(src=ELSEWHERE, dst=HOME_ADDRESS) / UDP(sport=7, dport=7000) / b"back"
        access.datapath.send([Datagram(Side.HOME, bytes(answer))])
        assert application.recvfrom(100)[0] == b"back"


@pytest.mark.parametrize("bound", ["", HOME4])
def test_applications_use_the_ipv4_home_address(access: Access, bound: str) -> None:
    access.open()
    access.carry_out(*ATTACHED)
    with udp_socket(access, socket.AF_INET, bound) as application:
        application.sendto(b"there", (ELSEWHERE4, 7))
        access.inbox.until(lambda: access.inbox.datagrams)
        ((side, packet),) = access.inbox.datagrams
        assert (side, IP(packet).src, IP(packet).dst) == (Side.HOME, HOME4, ELSEWHERE4)
        answer = IP(src=ELSEWHERE4, dst=HOME4) / UDP(sport=7, dport=7000) / b"back"
        access.datapath.send([Datagram(Side.HOME, bytes(answer))])
        assert application.recvfrom(100)[0] == b"back"


def test_another_address_of_the_home_prefix_is_as_good(access: Access) -> None:
    access.open()
    access.carry_out(*ATTACHED)
    another = "2001:db8:100::abcd"
    access.ue.run(f"ip address add {another}/128 dev dsmip0 nodad")
    with udp_socket(access, socket.AF_INET6, another) as application:
        application.sendto(b"there", (ELSEWHERE, 7))
        application.sendto(b"there", (ROUTER, 7))  # on the access link: from a home address, so into the tunnel
    access.inbox.until(lambda: len(access.inbox.datagrams) == 2)
    assert [(IPv6(each).src, IPv6(each).dst) for each in access.inbox.packets()] == [
        (another, ELSEWHERE),
        (another, ROUTER),
    ]


@pytest.mark.parametrize(("bound", "destination"), [("", ROUTER), (CARE_OF, ELSEWHERE)])
def test_the_care_of_address_stays_usable(access: Access, bound: str, destination: str) -> None:
    """Neighbours are reached directly, and who has bound to the care-of address keeps it, off the link too."""
    access.open()
    access.carry_out(*ATTACHED)
    with udp_socket(access, socket.AF_INET6, bound) as application:
        application.sendto(b"there", (destination, 7))
    packet = access.wire.await_packet(lambda each: each[6] == 17)
    assert (IPv6(packet).src, IPv6(packet).dst) == (CARE_OF, destination)
    assert access.inbox.datagrams == []


def test_the_care_of_address_answers_from_off_the_link(access: Access) -> None:
    access.open()
    access.carry_out(*ATTACHED)
    access.wire.send(bytes(IPv6(src=ELSEWHERE, dst=CARE_OF) / ICMPv6EchoRequest(id=9)))
    packet = access.wire.await_packet(lambda each: each[6] == ICMPV6 and each[40] == 129)
    assert (IPv6(packet).src, IPv6(packet).dst) == (CARE_OF, ELSEWHERE)


def test_the_tunnel_mtu_is_what_applications_get(access: Access) -> None:
    access.open()
    access.carry_out(*ATTACHED)
    assert "mtu 1460" in access.ue.run("ip link show dsmip0")
    with udp_socket(access, socket.AF_INET6) as application:
        application.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO
        application.sendto(bytes(1412), (ELSEWHERE, 7))
        with pytest.raises(OSError, match=os.strerror(errno.EMSGSIZE)):
            application.sendto(bytes(1413), (ELSEWHERE, 7))
    access.carry_out(SetMtu(1000))
    assert "mtu 1280" in access.ue.run("ip link show dsmip0")


def test_the_kernel_says_nothing_by_itself_on_the_home_device(access: Access) -> None:
    access.open()
    access.carry_out(*ATTACHED)
    assert "fe80" not in access.ue.run("ip address show dev dsmip0")
    access.inbox.run_for(1.5)  # longer than a kernel waits with solicitations and reports
    assert access.inbox.datagrams == []


# --- beginning and end


def test_detaching_undoes_attaching(access: Access) -> None:
    access.open()
    before = access.state()
    access.carry_out(*ATTACHED)
    assert HOME_ADDRESS in access.state()
    assert access.state() != before
    access.carry_out(*DETACHED, SetMtu(1500))
    assert access.state() == before
    access.carry_out(*DETACHED)  # what is gone already is no problem
    access.carry_out(*ATTACHED, *ATTACHED[1:])


@pytest.mark.usefixtures("either_firewall")
def test_closing_removes_everything(access: Access) -> None:
    before = access.state()
    access.open()
    access.carry_out(*ATTACHED)
    access.close_datapath()
    assert access.state() == before


@pytest.mark.usefixtures("either_firewall")
def test_what_a_killed_agent_left_is_replaced_and_removed(access: Access) -> None:
    before = access.state()
    agent = os.fork()
    if agent == 0:
        try:
            access.open()
            access.carry_out(*ATTACHED)
        finally:
            os._exit(0)
    os.waitpid(agent, 0)
    assert "24303" in access.state()
    access.open()
    access.carry_out(*ATTACHED)
    access.close_datapath()
    assert access.state() == before


def test_open_fails_without_a_trace(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    before = access.state()
    monkeypatch.setenv("PATH", "/nowhere")
    with access.ue, pytest.raises(EnvironmentProblem) as problem:
        access.datapath.open(access.inbox.loop, access.inbox.deliver)
    monkeypatch.undo()
    assert str(problem.value) == (
        "no firewall keeps the kernel from answering packets of ours: nft is not installed; "
        "ip6tables-legacy is not installed; install nftables (or iptables)"
    )
    assert access.state() == before
