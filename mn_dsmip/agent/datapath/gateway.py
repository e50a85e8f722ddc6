# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway's data path: one TUN device into which the kernel forwards all that is for the home agent.

The home agent's addresses and the pools are routes into the device and nobody's addresses, so the kernel forwards what
comes for them, whole and without a look inside, and has nothing to answer. It counts down hop limits on the way.
"""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from ...engine.base import Datagram, Effect, IPAddress, Side
from ...engine.effects import AddRoute, RemoveRoute
from ..errors import EnvironmentProblem
from .base import Deliver
from .rtnetlink import RT_TABLE_MAIN, Rtnetlink, family_of
from .sysctl import Sysctls
from .tun import LARGEST_PACKET, Tun

DEVICE_MTU = LARGEST_PACKET
"""Octets: no packet is too big for the device, so that it is the engine, which knows the tunnels' MTUs, that reports
Packet Too Big, and never the kernel."""


class GatewayDatapath:
    """Packets for the home agent's addresses and for ``prefixes``, the pools of home prefixes and IPv4 addresses."""

    def __init__(
        self,
        device: str,
        home_agent: IPv6Address,
        ipv4_home_agent: IPv4Address | None,
        prefixes: Iterable[IPv6Network | IPv4Network],
        node_name: str,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._device, self._node_name = device, node_name
        self._own: list[IPAddress] = [home_agent, *([ipv4_home_agent] if ipv4_home_agent else [])]
        self._prefixes = [*map(ip_network, self._own), *prefixes]
        self._cleanup = ExitStack()

    def open(self, loop: AbstractEventLoop, deliver: Deliver) -> None:
        """Set everything up; ``EnvironmentProblem`` says what the machine lacks, and then nothing is left behind."""
        self._deliver = deliver
        with ExitStack() as opened:
            self._netlink = Rtnetlink()
            opened.callback(self._netlink.close)
            self._tun = Tun(self._device, self.counters)
            opened.callback(self._tun.close)
            self._index = socket.if_nametoindex(self._device)
            sysctls = Sysctls()
            opened.callback(sysctls.restore)
            self._let_forward(sysctls)
            self._netlink.set_mtu(self._index, DEVICE_MTU)
            self._netlink.bring_up(self._index)
            for prefix in self._prefixes:
                self._netlink.add_route(prefix, self._index, RT_TABLE_MAIN)
            for address in self._own:
                self._answer_neighbours(address, sysctls, opened)
            loop.add_reader(self._tun, self._receive)
            opened.callback(loop.remove_reader, self._tun)
            self._cleanup = opened.pop_all()

    def _let_forward(self, sysctls: Sysctls) -> None:
        """Between all interfaces, both families; what turns back into the device it came from needs no redirect."""
        sysctls.write("ipv6/conf/all/forwarding", 1)
        sysctls.write("ipv4/ip_forward", 1)
        for each in ("all", self._device):
            sysctls.write(f"ipv4/conf/{each}/send_redirects", 0)
        self._free_sources(sysctls)

    def _free_sources(self, sysctls: Sysctls) -> None:
        """Let packets with any source come out of the device: errors that the engine reports may have a dummy one.

        Of the device's own check and that of `all` the stricter one counts, so `all` goes to the others one by one.
        """
        everywhere = sysctls.read("ipv4/conf/all/rp_filter")
        for each in sysctls.names("ipv4/conf"):
            own = sysctls.read(f"ipv4/conf/{each}/rp_filter")
            free = each in ("all", self._device)
            sysctls.write(f"ipv4/conf/{each}/rp_filter", 0 if free else max(own, everywhere))

    def _answer_neighbours(self, address: IPAddress, sysctls: Sysctls, opened: ExitStack) -> None:
        """Where the home agent's address lies in the prefix of a link, its neighbours ask for it."""
        for each in self._netlink.addresses(family_of(address)):
            name = socket.if_indextoname(each.interface)
            if each.address == address:
                raise EnvironmentProblem(
                    f"the home agent's address {address} is an address of this machine (on {name}): "
                    "take it away, the agent answers for it"
                )
            link = ip_network((each.address, each.prefix_length), strict=False)
            if address not in link or link.prefixlen == link.max_prefixlen or each.interface == self._index:
                continue
            if address.version == 6:
                sysctls.write(f"ipv6/conf/{name}/proxy_ndp", 1)
                sysctls.write(f"ipv6/neigh/{name}/proxy_delay", 0)  # nobody else answers that we should wait for
            self._netlink.add_proxy(each.interface, address)
            opened.callback(self._netlink.remove_proxy, each.interface, address)

    # --- packets

    def _receive(self) -> None:
        packets = self._tun.receive()
        if packets:
            self._deliver([Datagram(Side.ACCESS, packet) for packet in packets])

    def send(self, datagrams: list[Datagram]) -> None:
        """Let the kernel forward packets; one that it does not take is counted and dropped."""
        send = self._tun.send
        for _, packet in datagrams:
            send(packet)

    def carry_out(self, effect: Effect) -> None:
        """Routes into the device; other effects are nothing to the kernel. ``EnvironmentProblem`` when it refuses."""
        if isinstance(effect, AddRoute):
            self._netlink.add_route(effect.prefix, self._index, RT_TABLE_MAIN)
        elif isinstance(effect, RemoveRoute):
            self._netlink.remove_route(effect.prefix, self._index, RT_TABLE_MAIN)

    def close(self) -> None:
        """Remove everything that was set up."""
        self._cleanup.close()
