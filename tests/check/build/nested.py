# SPDX-License-Identifier: GPL-2.0-or-later
"""Untrusted access (F3): everything of S2c inside the UE's ESP tunnel to the ePDG."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from tests.check.build.scene import Access, Scene
from tests.check.packets import ESP, IPV6, esp_proposal, ipv6, selectors
from tests.check.seal import seal_esp
from tests.check.subscriber import Subscriber

OUTER = IPv6Address("2001:db8:e:1::10")
EPDG = IPv6Address("2001:db8:e:ff::1")
HOME_AGENT4 = IPv4Address("192.0.2.1")
INTERNAL_IP6_ADDRESS, HOME_AGENT_ADDRESS = 8, 19
ANY = (IPv6Address(0), IPv6Address(2**128 - 1), 0)


@dataclass
class Nested(Scene):
    """A scene whose packets go through a tunnel once there is one."""

    tunnel: Subscriber | None = None

    def add(self, name: str, packet: bytes, after: float = 0.01) -> None:
        if self.tunnel is None:
            super().add(name, packet, after)
            return
        up = packet[8:24] == self.access.care_of.packed or self.access.home_agent.packed != packet[8:24]
        spis = self.tunnel.first_spis
        spi = spis[1] if up else spis[0]
        self._esp_sequence[spi] = number = self._esp_sequence.get(spi, 0) + 1
        key = self.tunnel.esp_keys(spis)[0 if up else 1]
        ends = (self.tunnel.care_of, self.tunnel.home_agent)
        sealed = seal_esp(key, spi, number, number.to_bytes(8, "big"), packet, IPV6)
        super().add(name, ipv6(*(ends if up else ends[::-1]), ESP, sealed), after)

    def connect_to_epdg(self, inner: IPv6Address, home_agent: IPv6Address) -> None:
        """IKE with the ePDG: it gives an address inside and the home agent's addresses (TS 24.302 8.2.4.1)."""
        attributes = (
            struct.pack("!HH", INTERNAL_IP6_ADDRESS, 0) + struct.pack("!HH", HOME_AGENT_ADDRESS, 16) + bytes(16)
        )
        ends = (selectors(44, *ANY), selectors(45, *ANY))
        asked = ((47, b"\x01\0\0\0" + attributes), esp_proposal(self.subscriber.first_spis[0]), *ends)
        reply = struct.pack("!HH", INTERNAL_IP6_ADDRESS, 17) + inner.packed + b"\x40"
        reply += struct.pack("!HH", HOME_AGENT_ADDRESS, 20) + home_agent.packed + HOME_AGENT4.packed
        narrowed = (selectors(44, inner, inner, 0), selectors(45, *ANY))
        given = ((47, b"\x02\0\0\0" + reply), esp_proposal(self.subscriber.first_spis[1]), *narrowed)
        self.ike_sa_init()
        self.ike_auth_rounds(asked, given)

    def inside(self, subscriber: Subscriber) -> None:
        """From here on everything goes through the tunnel, under the IKE SA with the home agent."""
        self.tunnel = self.subscriber
        self.become(subscriber)
        self.access = Access(subscriber.care_of, subscriber.home_agent)


def untrusted(ue: Subscriber) -> Nested:
    """The whole of F3: the home agent is known from the ePDG, so there is no other discovery."""
    to_epdg = replace(
        ue,
        care_of=OUTER,
        home_agent=EPDG,
        spi_i=bytes.fromhex("3122334455667788"),
        spi_r=bytes.fromhex("b9aabbccddeeff00"),
        first_spis=(0xC0000021, 0xD0000021),
        spis=(0xC0000022, 0xD0000022),
    )
    scene = Nested(to_epdg)
    scene.connect_to_epdg(ue.care_of, ue.home_agent)
    scene.inside(ue)
    scene.ike_sa_init()
    scene.ike_auth()
    scene.create_child_sa()
    scene.register(first=True)
    scene.pings(1)
    return scene
