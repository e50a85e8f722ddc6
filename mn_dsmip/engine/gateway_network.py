# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway's packets: the tunnels of all bindings, found by prefix or IPv4 home address, and what leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address

from ..crypto.esp import EspError
from ..wire.ip import ESP, IPIP, IPV6_HEADER, IPV6_IN, Ipv6Packet
from .base import Datagram, Random, Side, UdpDatagram
from .ike.session import Session
from .mip.events import Binding
from .protection import EspDatabase, EspPair
from .stack import PathError, Stack
from .tunnel import Tunnel, inner_destination, inner_source, is_inner, is_tunnelled, may_travel, take_congestion
from .tunnel_errors import TunnelErrors, quoted_inner
from .user_plane import Ends, UserPlane


class GatewayNetwork:
    """One home agent address ``own`` and a tunnel for each binding; packets to send gather in ``out``.

    ``session_of`` tells where IKE reaches a session's peer: there go ESP tunnels of peers without a binding.
    """

    def __init__(
        self,
        own: bytes,
        ipv4_reporter: bytes,
        random: Random,
        counters: Counter[str],
        link_mtu: int,
        session_of: Callable[[bytes], Session],
    ) -> None:
        self.counters = counters
        self.out: list[Datagram] = []
        self.database = EspDatabase(random)
        self.user_plane = UserPlane(self.database, counters)
        self.stack = Stack(random, counters, link_mtu)
        self._session_of = session_of
        self._own = own
        self._errors = TunnelErrors(counters, ipv4_reporter)
        self._by_prefix: dict[bytes, Tunnel] = {}
        self._by_ipv4: dict[bytes, Tunnel] = {}

    # --- bindings

    def bind(self, binding: Binding) -> None:
        """Forward for ``binding`` from now on, as it says; it replaces the tunnel of the same home address."""
        assert isinstance(binding.care_of_address, IPv6Address)
        tunnel = Tunnel(
            binding.care_of_address, binding.home_agent, binding.home_address, binding.home_prefix,
            binding.mobile_router, binding.ipv4_home_address,
        )  # fmt: skip
        old = self.tunnel_of(binding.home_address)
        if old is not None:
            tunnel.take_counts(old)
            self._by_ipv4.pop(old.ipv4, None)
        self._by_prefix[binding.home_address.packed[:8]] = tunnel
        if tunnel.ipv4:
            self._by_ipv4[tunnel.ipv4] = tunnel

    def unbind(self, binding: Binding) -> None:
        """Forward no longer, unless another home address of the prefix has taken over."""
        tunnel = self.tunnel_of(binding.home_address)
        if tunnel is not None and tunnel.home_address == binding.home_address.packed:
            del self._by_prefix[tunnel.home_address[:8]]
            self._by_ipv4.pop(tunnel.ipv4, None)

    def tunnel_of(self, home_address: IPv6Address) -> Tunnel | None:
        """The tunnel of the home prefix that ``home_address`` is in."""
        return self._by_prefix.get(home_address.packed[:8])

    # --- packets

    def receive(self, packet: bytes, now: float) -> UdpDatagram | Ipv6Packet | None:
        """Forward user traffic; UDP and ESP for the gateway itself are returned."""
        if packet[24:40] != self._own or packet[0] >> 4 != 6:
            self._encapsulate(packet, now)
            return None
        if is_tunnelled(packet):
            traffic_class = (packet[0] << 4 | packet[1] >> 4) & 0xFF
            self._decapsulate(packet[8:24], packet[6], packet[IPV6_HEADER:], traffic_class)
            return None
        received = self.stack.receive(packet, self._own, now)
        self.leave(self.stack.answers())
        if isinstance(received, PathError):
            self._relay(received, now)
        elif isinstance(received, Ipv6Packet) and received.protocol != ESP:
            self._decapsulate(received.source, received.protocol, received.payload, received.traffic_class)
        else:
            return received
        return None

    def leave(self, packets: Iterable[bytes]) -> None:
        """Send packets of the gateway's own address."""
        self.out += [Datagram(Side.ACCESS, packet) for packet in packets]

    def _give_back(self, error: bytes | None) -> None:
        if error is not None:
            self.out.append(Datagram(Side.HOME, error))

    def _encapsulate(self, packet: bytes, now: float) -> None:
        """A packet that the kernel routed to us because it is for a home address."""
        version = packet[0] >> 4 if packet else 0
        if not is_inner(packet, IPV6_IN if version == 6 else IPIP) or not may_travel(packet):
            self.counters["home-not-tunnelled"] += 1  # the kernel's own listener reports and solicitations
            return
        tunnel = self._by_prefix.get(packet[24:32]) if version == 6 else self._by_ipv4.get(packet[16:20])
        pair = self.user_plane.outbound(packet)
        if pair is not None:
            self._seal(pair, tunnel, packet, now)
        elif tunnel is None or not tunnel.holds(packet, inner_destination(packet)):
            self.counters["home-not-bound"] += 1
            self._give_back(self._errors.unreachable(packet, self._own, now))
        elif self._admit(packet, self._tunnel_mtu(tunnel, now), now):
            self.leave(self.stack.send(tunnel.wrap_down(packet), now))

    def _admit(self, packet: bytes, mtu: int, now: float) -> bool:
        """Whether an inner packet may go on; if not, its source hears why."""
        admitted, error = self._errors.admit(packet, mtu, self._own, now)
        if not admitted:
            self._give_back(error)
        return admitted

    def _seal(self, pair: EspPair, tunnel: Tunnel | None, packet: bytes, now: float) -> None:
        """Through a user-plane child SA: to the care-of address, or to where IKE reaches a peer without a binding."""
        session = self._session_of(pair.session)
        path = session.path
        peer = tunnel.care_of if tunnel else path.remote.packed
        in_udp = session.esp_in_udp and peer == path.remote.packed
        ends = Ends(self._own, peer, (path.local_port, path.remote_port) if in_udp else None)
        if self._admit(packet, self.stack.path_mtu(peer, now) - ends.overhead(pair), now):
            try:
                self.leave(self.stack.send(self.user_plane.seal(pair, packet, ends), now))
            except EspError as refused:
                self.counters[refused.reason] += 1

    def open(self, pair: EspPair, sealed: bytes, traffic_class: int) -> None:
        """Forward what a user-plane child SA brings."""
        inner = self.user_plane.open(pair, sealed, traffic_class)
        if inner is not None:
            self.out.append(Datagram(Side.HOME, inner))

    def _tunnel_mtu(self, tunnel: Tunnel, now: float) -> int:
        return self.stack.path_mtu(tunnel.care_of, now) - IPV6_HEADER

    def _decapsulate(self, outer_source: bytes, protocol: int, inner: bytes, traffic_class: int) -> None:
        """Only inner sources of the UE whose care-of address sent the packet get through (RFC 6275 10.4.5)."""
        if not is_inner(inner, protocol):
            self.counters["tunnel-malformed"] += 1
            return
        if not may_travel(inner):
            self.counters["tunnel-not-forwarded"] += 1
            return
        tunnel = self._by_prefix.get(inner[8:16]) if protocol == IPV6_IN else self._by_ipv4.get(inner[12:16])
        if tunnel is None or not tunnel.holds(inner, inner_source(inner)):
            self.counters["tunnel-inner-source"] += 1
        elif tunnel.care_of != outer_source:
            self.counters["tunnel-source"] += 1
        elif self.user_plane.protects_source(inner):
            self.counters["tunnel-unprotected"] += 1
        elif (marked := take_congestion(inner, traffic_class)) is None:
            self.counters["tunnel-congestion"] += 1
        else:
            tunnel.packets_up += 1
            self.out.append(Datagram(Side.HOME, marked))

    def _relay(self, error: PathError, now: float) -> None:
        """An error about a tunnelled packet is the business of the inner source (RFC 2473 8)."""
        inner = quoted_inner(error.quoted)
        if inner is None:
            return
        ipv6 = inner[0] >> 4 == 6
        tunnel = self._by_prefix.get(inner[24:32]) if ipv6 else self._by_ipv4.get(inner[16:20])
        if tunnel is None or tunnel.care_of != error.quoted[24:40]:
            self.counters["icmp-not-ours"] += 1
            return
        self._give_back(self._errors.relay(error, inner, self._tunnel_mtu(tunnel, now), self._own, now))
