# SPDX-License-Identifier: GPL-2.0-or-later
"""Where IKE messages go and come from, and who on the way is behind a NAT (RFC 7296 2.23, RFC 3948 2.2)."""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from ...wire.ikev2_numbers import NotifyType
from ...wire.ikev2_payloads import Notify, Payload
from ..base import IPAddress, UdpDatagram

IKE_PORT, NAT_T_PORT = 500, 4500
KEEPALIVE = b"\xff"
NON_ESP_MARKER = bytes(4)
"""In front of IKE messages on port 4500 (RFC 3948 2.2)."""


def holds_esp(datagram: UdpDatagram) -> bool:
    """Whether a datagram of port 4500 is ESP, neither IKE nor a keepalive (RFC 3948 2.1 to 2.3)."""
    ports = (datagram.source_port, datagram.destination_port)
    return NAT_T_PORT in ports and datagram.payload != KEEPALIVE and not datagram.payload.startswith(NON_ESP_MARKER)


class Path(NamedTuple):
    """Where the peer is, and where we are."""

    local: IPAddress
    local_port: int
    remote: IPAddress
    remote_port: int

    @property
    def floated(self) -> Path:
        """The same on the ports that NATs are traversed with (RFC 7296 2.23)."""
        return self._replace(local_port=NAT_T_PORT, remote_port=NAT_T_PORT)

    def keepalive(self) -> UdpDatagram:
        """One octet that no NAT forgets us after, and that no peer answers (RFC 3948 2.3)."""
        return UdpDatagram(self.local, self.local_port, self.remote, self.remote_port, KEEPALIVE)

    def datagram(self, message: bytes) -> UdpDatagram:
        """``message`` on its way to the peer."""
        if NAT_T_PORT in (self.local_port, self.remote_port):
            message = NON_ESP_MARKER + message
        return UdpDatagram(self.local, self.local_port, self.remote, self.remote_port, message)


def nat_hash(spi_i: bytes, spi_r: bytes, address: IPAddress, port: int) -> bytes:
    """Data of a NAT_DETECTION notify (RFC 7296 2.23)."""
    return hashlib.sha1(spi_i + spi_r + address.packed + struct.pack("!H", port)).digest()


class Nat(NamedTuple):
    """Who is behind a NAT, as the peer's NAT_DETECTION notifies tell (RFC 7296 2.23)."""

    peer: bool
    ourselves: bool


def detect_nat(payloads: tuple[Payload, ...], spi_i: bytes, spi_r: bytes, path: Path) -> Nat | None:
    """Compare the peer's view of the path with ours; ``None`` when it did not tell its own."""
    told = [each for each in payloads if isinstance(each, Notify)]
    sources = [each.data for each in told if each.notify_type == NotifyType.NAT_DETECTION_SOURCE_IP]
    destinations = [each.data for each in told if each.notify_type == NotifyType.NAT_DETECTION_DESTINATION_IP]
    if not sources or not destinations:
        return None
    return Nat(
        nat_hash(spi_i, spi_r, path.remote, path.remote_port) not in sources,
        nat_hash(spi_i, spi_r, path.local, path.local_port) not in destinations,
    )
