# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases under captures/ that are built from octets, one function each."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from tests.check.build.nested import untrusted
from tests.check.build.scene import Access, Scene, datagram
from tests.check.packets import icmpv6
from tests.check.subscriber import PUBLISHED

UE = replace(PUBLISHED, overwrite=True)  # O in the first registration, as the table of TS 24.303 A.2 has it
HOME_AGENT4 = IPv4Address("192.0.2.1")
IPV4_ACCESS = Access(IPv4Address("198.51.100.10"), HOME_AGENT4)
BEHIND_NAT = Access(IPv4Address("192.168.1.10"), HOME_AGENT4, IPv4Address("203.0.113.5"))
ROUTER, ALL_NODES = IPv6Address("fe80::1"), IPv6Address("ff02::1")
SHARED_KEY = bytes(range(16))  # of the RFC 4285 case


def _up_to_the_sas(scene: Scene) -> None:
    scene.ike_sa_init()
    scene.ike_auth()
    scene.create_child_sa()


def _attached(access: Access | None = None) -> Scene:
    """F1 with pings, over IPv6 with an advertisement and DNS, over IPv4 with DNS."""
    scene = Scene(UE, access=access) if access else Scene(UE)
    if scene.access.version == 6:
        scene.router_advertisement()
        scene.discovery()
    else:
        _discovery4(scene)
    _up_to_the_sas(scene)
    scene.register(first=True)
    scene.pings(1)
    return scene


def _discovery4(scene: Scene) -> None:
    """The same queries to a name server in IPv4; behind a NAT they do not reach the link that is captured."""
    if scene.access.nat:
        return
    at = len(scene.frames)
    scene.discovery()
    for frame in scene.frames[at:]:
        ports = struct.unpack_from("!HH", frame.packet, 40)
        ends = (scene.access.care_of, IPv4Address("198.51.100.53"))
        frame.packet = datagram(*(ends if ports[1] == 53 else ends[::-1]), ports, frame.packet[48:])


def attach() -> Scene:
    return _attached()


def ipv4_access() -> Scene:
    return _attached(IPV4_ACCESS)


def ipv4_access_nat() -> Scene:
    scene = _attached(BEHIND_NAT)
    scene.add("keepalive-4500", scene.between(True, (4500, 4500), b"\xff"), after=20)
    scene.register()  # any BU keeps the NAT's mapping for 4191 alive (RFC 5555 4.3)
    scene.pings(2)
    return scene


def refresh() -> Scene:
    scene = _attached()
    for number in (2, 3):
        scene.register()
        scene.pings(number)
    return scene


def detach() -> Scene:
    scene = _attached()
    scene.deregister()
    scene.delete()
    return scene


def network_detach() -> Scene:
    scene = _attached()
    scene.revoke()
    scene.delete_by_home_agent()
    return scene


def _new_link(scene: Scene, prefix: str, address: str) -> None:
    """A router advertises another prefix; the UE has an address of it."""
    home_agent = scene.subscriber.home_agent
    scene.move(Access(IPv6Address(address), home_agent))
    _advertise(scene, IPv6Network(prefix))


def _advertise(scene: Scene, prefix: IPv6Network) -> None:
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + prefix.network_address.packed
    head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    scene.add("ra-new", icmpv6(ROUTER, ALL_NODES, head + option, 255))


def handover() -> Scene:
    scene = _attached()
    _new_link(scene, "2001:db8:f:2::/64", "2001:db8:f:2::10")
    scene.register()
    scene.address_update()
    scene.pings(2)
    return scene


def handover_to_ipv4() -> Scene:
    scene = _attached()
    scene.move(IPV4_ACCESS)
    scene.register()
    scene.address_update()
    scene.pings(2)
    return scene


def return_home() -> Scene:
    scene = _attached()
    _new_link(scene, str(UE.prefix), str(UE.home_address))
    scene.deregister()
    _plain_pings(scene)
    return scene


def _plain_pings(scene: Scene) -> None:
    scene.add("ping6-home-request", scene.ping6(9))
    scene.add("ping6-home-reply", scene.pong6(9))


def home_link() -> Scene:
    """Bootstrap at home: the UE's address there is its home address, which it tells in IKE (TS 23.402 6.10)."""
    scene = Scene(replace(UE, care_of=UE.home_address))
    scene.router_advertisement()
    _dhcpv6(scene)
    scene.more_attributes = struct.pack("!HH", 8, 17) + UE.home_address.packed + b"\x40"
    _up_to_the_sas(scene)
    _plain_pings(scene)
    return scene


def _dhcpv6(scene: Scene) -> None:
    """RFC 6610: the identified home network's prefix and home agent, asked for by the HA-APN."""
    server, relay = IPv6Address("fe80::1"), IPv6Address("ff02::1:2")
    client = IPv6Address("fe80::10")
    name = _labels(f"{UE.apn}.ha-apn.mnc001.mcc001.pub.3gppnetwork.org")
    ident = struct.pack("!HH", 1, 10) + bytes.fromhex("00030001020000000001")
    wanted = struct.pack("!7H", 69, 49, 71, 72, 73, 32, 83)
    ask = b"\x0b\xab\xcd\xef" + ident + struct.pack("!HHH", 8, 2, 0) + _option(6, wanted) + _option(49, name)
    scene.add("dhcpv6-request", datagram(client, relay, (546, 547), ask))
    inner = _option(49, name) + _option(71, b"\x40" + UE.prefix.network_address.packed)
    inner += _option(72, UE.home_agent.packed) + _option(72, bytes.fromhex("0064ff9b0000000000000000c0000201"))
    answer = b"\x07\xab\xcd\xef" + _option(2, bytes.fromhex("000300010200000000aa")) + ident + _option(69, inner)
    scene.add("dhcpv6-reply", datagram(server, client, (547, 546), answer))


def _option(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value


def _labels(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def reallocation() -> Scene:
    """F4: the home agent names another one and gives no prefix; the UE begins anew with that one."""
    target = IPv6Address("2001:db8:bbbb::1")
    scene = Scene(UE)
    scene.router_advertisement()
    scene.discovery()
    scene.ike_sa_init()
    scene.ike_auth_redirected(target)
    scene.delete()
    scene.extra_notifies = [(16408, b"\x02\x10" + UE.home_agent.packed)]
    scene.become(
        replace(
            UE,
            home_agent=target,
            spi_i=bytes.fromhex("2122334455667788"),
            spi_r=bytes.fromhex("a9aabbccddeeff00"),
            first_spis=(0xC0000011, 0xD0000011),
            spis=(0xC0000012, 0xD0000012),
        )
    )
    _up_to_the_sas(scene)
    scene.register(first=True)
    scene.pings(1)
    return scene


def rfc4285() -> Scene:
    """F10: no IKE and no ESP; home address and home agent are known beforehand."""
    scene = Scene(UE, shared_key=SHARED_KEY)
    scene.kept = []  # nothing is encrypted
    scene.register_authenticated(first=True)
    scene.pings(1)
    scene.register_authenticated()
    scene.pings(2)
    scene.register_authenticated(lifetime=0)
    return scene


def untrusted_access() -> Scene:
    """F3: an IKE SA with the ePDG, which gives the care-of address and the home agent's; the rest is inside."""
    return untrusted(UE)


CASES: dict[str, Callable[[], Scene]] = {
    "attach": attach,
    "ipv4-access": ipv4_access,
    "ipv4-access-nat": ipv4_access_nat,
    "untrusted-access": untrusted_access,
    "reallocation": reallocation,
    "handover": handover,
    "handover-to-ipv4": handover_to_ipv4,
    "return-home": return_home,
    "refresh": refresh,
    "detach": detach,
    "network-detach": network_detach,
    "rfc4285": rfc4285,
    "home-link": home_link,
}
