# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole IPv6 packets of a care-of address: a packet socket to read them, a raw socket to send them."""

from __future__ import annotations

import socket
import sys
from collections import Counter
from ipaddress import IPv6Address

from ...wire.ip import ICMPV6, IPV6_HEADER, UDP, transport_sum
from ..errors import EnvironmentProblem
from . import bpf
from .base import BATCH, word_of
from .tun import LARGEST_PACKET, NEED_ROOT

ETH_P_IPV6 = 0x86DD
SOL_PACKET, PACKET_AUXDATA = 263, 8
TP_STATUS_CSUMNOTREADY = 8
IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE = 23, 3
RECEIVE_BUFFER = 4 << 20
"""Octets, for bursts while the agent is busy."""
_AUXILIARY = socket.CMSG_SPACE(20)
_STATUS = 0 if sys.byteorder == "little" else 3
"""The octet with the lowest bits of ``tp_status`` in a ``struct tpacket_auxdata``."""
_CHECKSUMS = {UDP: 6, ICMPV6: 2}
"""Where a protocol has its checksum."""
_MOST_DESTINATIONS = 1024

Address = tuple[str, int, int, int]


class PacketSocket:
    """Reads what ``listen_at`` says, and sends through ``interface`` whatever the routes of applications are.

    The kernel's routes and neighbours on that interface find the next hop. The raw socket takes packets up to the
    interface's MTU and does not heed path MTUs, because the engine does (IPV6_PMTUDISC_PROBE).
    """

    def __init__(self, interface: str, counters: Counter[str]) -> None:
        self._counters = counters
        self._destinations: dict[bytes, Address] = {}
        try:
            self._reader = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        except PermissionError:
            raise EnvironmentProblem(NEED_ROOT) from None
        self._writer = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
        bpf.attach(self._reader, bpf.nothing_filter())
        self._reader.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._reader.bind((interface, ETH_P_IPV6))
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        self._writer.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE)

    def fileno(self) -> int:
        """What becomes readable when packets are there."""
        return self._reader.fileno()

    def listen_at(self, care_of: IPv6Address | None) -> None:
        """Receive at this address from now on."""
        program = bpf.nothing_filter() if care_of is None else bpf.care_of_filter(care_of)
        bpf.attach(self._reader, program)

    def receive(self) -> list[bytes]:
        """What is there to read, up to a batch."""
        receive, packets = self._reader.recvmsg, []
        try:
            for _ in range(BATCH):
                packet, auxiliary, _, _ = receive(LARGEST_PACKET, _AUXILIARY)
                if auxiliary and auxiliary[0][2][_STATUS] & TP_STATUS_CSUMNOTREADY:
                    packet = self._complete(packet)
                packets.append(packet)
        except BlockingIOError:
            pass
        except OSError as problem:
            self._counters[f"receive-{word_of(problem)}"] += 1
        return packets

    def _complete(self, packet: bytes) -> bytes:
        """``packet`` with the checksum that its sender, on this very machine, left to its network card."""
        position = _CHECKSUMS.get(packet[6])
        if position is None:
            self._counters["receive-checksum-unknown"] += 1
            return packet
        payload = bytearray(packet[IPV6_HEADER:])
        payload[position : position + 2] = b"\0\0"
        checksum = transport_sum(packet[8:24], packet[24:40], packet[6], bytes(payload)) or 0xFFFF
        payload[position : position + 2] = checksum.to_bytes(2, "big")
        return packet[:IPV6_HEADER] + payload

    def send(self, packet: bytes) -> None:
        """Send a whole packet; one that the kernel does not take is counted."""
        key = packet[24:40]
        destination = self._destinations.get(key)
        if destination is None:
            destination = self._remember(key)
        try:
            self._writer.sendto(packet, destination)
        except OSError as problem:
            self._counters[f"send-{word_of(problem)}"] += 1

    def _remember(self, key: bytes) -> Address:
        """The destination as the socket wants it; its text is costly to make."""
        if len(self._destinations) >= _MOST_DESTINATIONS:
            self._destinations.clear()
        return self._destinations.setdefault(key, (str(IPv6Address(key)), 0, 0, 0))

    def close(self) -> None:
        """Close both sockets."""
        self._reader.close()
        self._writer.close()
