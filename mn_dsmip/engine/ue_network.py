# SPDX-License-Identifier: GPL-2.0-or-later
"""The UE's packets: what comes to its care-of address, what its applications send, and what leaves."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address

from ..crypto.esp import EspError
from ..wire.ip import ESP, IPIP, IPV6_HEADER, IPV6_IN
from ..wire.mobility import BindingUpdate
from .base import Datagram, Random, Side, UdpDatagram
from .mip.packet import MobilityPacket
from .protection import EspDatabase, open_mobility, seal_mobility
from .stack import PathError, Stack
from .tunnel import Tunnel, inner_destination, inner_source, is_inner, is_tunnelled, may_travel, take_congestion
from .tunnel_errors import TunnelErrors, quoted_inner


class UeNetwork:
    """One care-of address and, once registered, one tunnel; packets to send gather in ``out``."""

    def __init__(self, random: Random, counters: Counter[str]) -> None:
        self.counters = counters
        self.out: list[Datagram] = []
        self.database = EspDatabase(random)
        self.stack = Stack(random, counters, echo=False)
        self.errors = TunnelErrors(counters)
        self.care_of: IPv6Address | None = None
        self.tunnel: Tunnel | None = None
        self.sequence: int | None = None
        """Of the last Binding Update; kept beyond a binding, as the home agent keeps it (RFC 6275 10.3.2, 11.7.1)."""
        self._own = b""

    def use_care_of(self, address: IPv6Address | None, link_mtu: int) -> None:
        """Receive at ``address`` from now on."""
        self.care_of = address
        self._own = address.packed if address else b""
        self.stack.link_mtu = link_mtu

    def tunnel_mtu(self, now: float) -> int:
        """Octets of an inner packet that need no outer fragments."""
        assert self.tunnel
        return self.stack.path_mtu(self.tunnel.home_agent, now) - IPV6_HEADER

    # --- out

    def send_udp(self, datagrams: list[UdpDatagram], now: float) -> None:
        """Send IKE messages and DNS queries."""
        for each in datagrams:
            self._leave(self.stack.send_udp(each, now))

    def send_mobility(self, session: bytes, packets: list[MobilityPacket], now: float) -> None:
        """Send mobility messages through the SA of their home address."""
        for each in packets:
            if isinstance(each.message, BindingUpdate):
                self.sequence = each.message.sequence
            pair = self.database.outbound(session, each.home_address, each.home_agent, each.message.number)
            if pair is None:
                self.counters["mh-without-sa"] += 1
                continue
            try:
                packet = seal_mobility(pair, each, from_mobile_node=True)
            except EspError as refused:
                self.counters[refused.reason] += 1
                continue
            self._leave(self.stack.send(packet, now))

    def _leave(self, packets: list[bytes]) -> None:
        self.out += [Datagram(Side.ACCESS, packet) for packet in packets]

    def receive_home(self, packet: bytes, now: float) -> None:
        """An application's packet: into the tunnel, or an error back to it."""
        tunnel = self.tunnel
        if tunnel is None:
            self.counters["home-not-registered"] += 1
            return
        if not is_inner(packet, IPV6_IN if packet[:1] and packet[0] >> 4 == 6 else IPIP) or not may_travel(packet):
            self.counters["home-not-tunnelled"] += 1  # the kernel's own router solicitations and listener reports
            return
        if not tunnel.holds(packet, inner_source(packet)):
            self.counters["home-source"] += 1
            return
        admitted, error = self.errors.admit(packet, self.tunnel_mtu(now), tunnel.home_agent, now)
        if admitted:
            self._leave(self.stack.send(tunnel.wrap_up(packet), now))
        elif error:
            self.out.append(Datagram(Side.HOME, error))

    # --- in

    def receive_access(self, packet: bytes, now: float) -> UdpDatagram | MobilityPacket | None:
        """A packet to the care-of address; what is left to do with it, if anything."""
        if is_tunnelled(packet) and packet[24:40] == self._own:
            self._decapsulate(packet[8:24], packet[6], packet[IPV6_HEADER:], (packet[0] << 4 | packet[1] >> 4) & 0xFF)
            return None
        received = self.stack.receive(packet, self._own, now)
        if isinstance(received, UdpDatagram) or received is None:
            return received
        if isinstance(received, PathError):
            self._relay(received, now)
            return None
        if received.protocol == ESP:
            opened = open_mobility(self.database, received, True, self.counters)
            return opened[1] if opened else None
        self._decapsulate(received.source, received.protocol, received.payload, received.traffic_class)
        return None

    def _decapsulate(self, outer_source: bytes, protocol: int, inner: bytes, traffic_class: int) -> None:
        """Only the home agent may tunnel to us, and only to our home addresses (RFC 6275 11.3.3)."""
        tunnel = self.tunnel
        if tunnel is None or outer_source != tunnel.home_agent:
            self.counters["tunnel-source"] += 1
        elif not is_inner(inner, protocol):
            self.counters["tunnel-malformed"] += 1
        elif not tunnel.holds(inner, inner_destination(inner)):
            self.counters["tunnel-inner-destination"] += 1
        else:
            marked = take_congestion(inner, traffic_class)
            if marked is None:
                self.counters["tunnel-congestion"] += 1
            else:
                tunnel.packets_down += 1
                self.out.append(Datagram(Side.HOME, marked))

    def _relay(self, error: PathError, now: float) -> None:
        """An error about a tunnelled packet is the business of the inner source (RFC 2473 8)."""
        inner, tunnel = quoted_inner(error.quoted), self.tunnel
        if inner is None:
            return
        if tunnel is None or error.quoted[24:40] != tunnel.home_agent or not tunnel.holds(inner, inner_source(inner)):
            self.counters["icmp-not-ours"] += 1
            return
        answer = self.errors.relay(error, inner, self.tunnel_mtu(now), tunnel.home_agent, now)
        if answer:
            self.out.append(Datagram(Side.HOME, answer))
