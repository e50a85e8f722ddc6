# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of several UEs for the dissector's session tests: IKEv2 under the NULL cipher, Mobility Headers, NAT."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from tests.dissectors.packets import forge

HOME_AGENT, HOME_AGENT_IPV4 = forge.HOME_AGENT, forge.HOME_AGENT_IPV4
IDENTITY_I, NOTIFY, SELECTORS_I, SELECTORS_R, SECURITY_ASSOCIATION = 35, 41, 44, 45, 33
IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA = 34, 35, 36


@dataclass
class Ue:
    """A UE at an address (and UDP port), with the SPI of its IKE SA."""

    spi: bytes
    address: IPv6Address | IPv4Address = forge.CARE_OF
    port: int = 500
    home_address: IPv6Address = forge.HOME_ADDRESS
    spi_r: bytes = field(default=b"\x99" * 8)

    @property
    def keys(self) -> str:
        return f'uat:ikev2_decryption_table:{self.spi.hex()},{self.spi_r.hex()},,,"NULL [RFC2410]",,,"NONE [RFC4306]"'

    def _carry(self, payload: bytes, answer: bool, ports: tuple[int, int]) -> bytes:
        sport, dport = reversed(ports) if answer else ports
        if isinstance(self.address, IPv4Address):
            ends = [str(self.address), str(HOME_AGENT_IPV4)]
            src, dst = reversed(ends) if answer else ends
            return forge.frame(bytes(IP(src=src, dst=dst) / UDP(sport=sport, dport=dport) / Raw(payload)))
        ends = [str(self.address), str(HOME_AGENT)]
        src, dst = reversed(ends) if answer else ends
        return forge.frame(bytes(IPv6(src=src, dst=dst) / UDP(sport=sport, dport=dport) / Raw(payload)))

    def _ike(self, header: bytes, answer: bool) -> bytes:
        nat = self.port != 500
        return self._carry((bytes(4) if nat else b"") + header, answer, (self.port, 4500 if nat else 500))

    def init(self, *, answer: bool = False, nonce: bytes = bytes(16)) -> bytes:
        """IKE_SA_INIT with nothing but a nonce."""
        body = struct.pack("!BBH", 0, 0, 4 + len(nonce)) + nonce
        flags = 0x20 if answer else 0x08
        spi_r = self.spi_r if answer else bytes(8)
        header = self.spi + spi_r + struct.pack("!BBBBII", 40, 0x20, IKE_SA_INIT, flags, 0, 28 + len(body))
        return self._ike(header + body, answer)

    def ike(self, exchange: int, number: int, *payloads: tuple[int, bytes], answer: bool = False) -> bytes:
        """A protected message."""
        chain = b""
        kinds = [kind for kind, _ in payloads] + [0]
        for (_, body), following in zip(payloads, kinds[1:], strict=True):
            chain += struct.pack("!BBH", following, 0, 4 + len(body)) + body
        sealed = struct.pack("!BBH", kinds[0], 0, 4 + len(chain) + 1) + chain + b"\0"
        flags = 0x20 if answer else 0x08
        header = self.spi + self.spi_r + struct.pack("!BBBBII", 46, 0x20, exchange, flags, number, 28 + len(sealed))
        return self._ike(header + sealed, answer)

    def child(self, number: int, *, answer: bool = False) -> bytes:
        """CREATE_CHILD_SA for the Mobility Headers of the home address."""
        selectors = (
            (SELECTORS_I, forge.selector(135, 0, 65535, self.home_address)),
            (SELECTORS_R, forge.selector(135, 0, 65535, HOME_AGENT)),
        )
        return self.ike(CREATE_CHILD_SA, number, *selectors, answer=answer)

    def bootstrap(self, identity: bytes) -> list[bytes]:
        """Six frames up to the SA for the home address."""
        return [
            self.init(),
            self.init(answer=True, nonce=b"\1" * 16),
            self.ike(IKE_AUTH, 1, (IDENTITY_I, b"\3\0\0\0" + identity)),
            self.ike(IKE_AUTH, 1, (39, b"\2\0\0\0"), answer=True),
            self.child(2),
            self.child(2, answer=True),
        ]

    def update(self, sequence: int, *, lifetime: int = 900, options: bytes = b"", port: int = 4191) -> bytes:
        """A Binding Update without ESP; in UDP 4191 when the UE is at an IPv4 address."""
        if isinstance(self.address, IPv4Address):
            options = options or bytes([32, 6, 0, 0]) + self.address.packed
        else:
            options = options or bytes(2) + bytes([3, 16]) + self.address.packed
        body = struct.pack("!HHH", sequence, 0xD400, lifetime) + options
        header = forge.mobility(forge.UPDATE, body, self.home_address, HOME_AGENT)
        if isinstance(self.address, IPv4Address):
            packet = forge.inner(self.home_address, HOME_AGENT, header)
            return self._carry(packet, False, (port, 4191))
        option = bytes([135, 2, 1, 2, 0, 0, 0xC9, 16]) + self.home_address.packed
        return forge.frame(bytes(IPv6(src=str(self.address), dst=str(HOME_AGENT), nh=60) / Raw(option + header)))

    def answer(self, sequence: int, *, status: int = 0, lifetime: int = 900, port: int = 4191) -> bytes:
        """A Binding Acknowledgement the same way back."""
        body = struct.pack("!BBHH", status, 0xC0, sequence, lifetime)
        if isinstance(self.address, IPv4Address):
            body += bytes([31, 6, 0, 0]) + struct.pack("!I", 30)
        header = forge.mobility(forge.ACKNOWLEDGEMENT, body, HOME_AGENT, self.home_address)
        if isinstance(self.address, IPv4Address):
            return self._carry(forge.inner(HOME_AGENT, self.home_address, header), True, (port, 4191))
        route = bytes([135, 2, 2, 1, 0, 0, 0, 0]) + self.home_address.packed
        return forge.frame(bytes(IPv6(src=str(HOME_AGENT), dst=str(self.address), nh=43) / Raw(route + header)))
