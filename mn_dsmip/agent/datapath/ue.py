# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE's data path: its care-of address is the kernel's, its home addresses live on a TUN device.

The kernel keeps addresses, neighbours and routes of the access. Our packets pass it by: a packet socket
reads them before the kernel's copy is dropped, a raw socket sends them whole.
"""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv6Address

from ...engine.base import Datagram, Effect, Side
from ...engine.ue_states import Access
from ..errors import EnvironmentProblem
from .access import AccessWatch
from .base import Deliver
from .firewall import open_firewall
from .home import HomeNetwork
from .packet_socket import PacketSocket
from .rtnetlink import Rtnetlink
from .tun import Tun


class UeDatapath:
    """Packets of the care-of address and of the home addresses; ``on_access`` hears of the access as it comes and goes.

    ``dns_wanted``: wait for the router's DNS servers, and ask for them when its advertisement came too early.
    """

    def __init__(
        self,
        interface: str,
        device: str,
        node_name: str,
        on_access: Callable[[Access | None], None],
        dns_wanted: bool = True,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._interface, self._device, self._node_name = interface, device, node_name
        self._on_access = on_access
        self._dns_wanted = dns_wanted
        self._access: Access | None = None
        self._cleanup = ExitStack()

    def open(self, loop: AbstractEventLoop, deliver: Deliver) -> None:
        """Set everything up; ``EnvironmentProblem`` says what the machine lacks, and then nothing is left behind."""
        self._deliver = deliver
        with ExitStack() as opened:
            _demand_interface(self._interface)
            netlink = Rtnetlink()
            opened.callback(netlink.close)
            self._tun = Tun(self._device, self.counters)
            opened.callback(self._tun.close)
            self._packets = PacketSocket(self._interface, self.counters)
            opened.callback(self._packets.close)
            self._firewall = open_firewall(self._interface, self._node_name)
            opened.callback(self._firewall.close)
            index = socket.if_nametoindex(self._device)
            self._home = HomeNetwork(netlink, index)
            opened.callback(self._home.close)
            netlink.bring_up(index)
            for source, receive in ((self._tun, self._receive_home), (self._packets, self._receive_access)):
                loop.add_reader(source, receive)
                opened.callback(loop.remove_reader, source)
            watch = AccessWatch(self._interface, self._dns_wanted, self._use, netlink, self.counters)
            watch.open(loop)
            opened.callback(watch.close)
            self._cleanup = opened.pop_all()

    def _use(self, access: Access | None) -> None:
        """Move to another care-of address, or none, before the engine hears of it."""
        before, self._access = self._access, access
        care_of = access.care_of if access else None
        if care_of != (before.care_of if before else None):
            self._packets.listen_at(care_of)
            if care_of is not None:
                self._protect(care_of)
        self._on_access(access)

    def _protect(self, care_of: IPv6Address) -> None:
        try:
            self._firewall.protect(care_of)
        except EnvironmentProblem:  # it worked when we began; the kernel will answer some packets of ours
            self.counters["firewall-refused"] += 1

    # --- packets

    def _receive_home(self) -> None:
        packets = self._tun.receive()
        if packets:
            self._deliver([Datagram(Side.HOME, packet) for packet in packets])

    def _receive_access(self) -> None:
        packets = self._packets.receive()
        if packets:
            self._deliver([Datagram(Side.ACCESS, packet) for packet in packets])

    def send(self, datagrams: list[Datagram]) -> None:
        """Send to the access, or give to applications; what the kernel does not take is counted and dropped."""
        to_access, to_home = self._packets.send, self._tun.send
        for side, packet in datagrams:
            if side is Side.ACCESS:
                to_access(packet)
            else:
                to_home(packet)

    def carry_out(self, effect: Effect) -> None:
        """Home addresses, their routes and their MTU; ``EnvironmentProblem`` when the kernel refuses."""
        self._home.carry_out(effect)

    def close(self) -> None:
        """Remove everything that was set up."""
        self._cleanup.close()


def _demand_interface(name: str) -> None:
    names = [each for _, each in socket.if_nameindex()]
    if name not in names:
        raise EnvironmentProblem(
            f"there is no interface {name} (`access: interface:`); there are {', '.join(names) or 'none'}"
        )
