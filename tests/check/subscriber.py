# SPDX-License-Identifier: GPL-2.0-or-later
"""The UE of the published vectors, and others like it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from tests.check.seal import IkeKeys, Key

SK_EI = bytes.fromhex("29fdc3fe42057175b0f057f164eb73abe4500357")
SK_ER = bytes.fromhex("dcf51f78102da6bbf2bdb944c796a49e035fdba6")
KEYMAT = bytes.fromhex("0c1b939becde9cc7a8b43aec67157c72c579acc6f1bf5bc3f9e189fd39656de8556298bbf226e293")


@dataclass(frozen=True)
class Subscriber:
    """One UE and what its home agent gives it."""

    care_of: IPv6Address
    home_agent: IPv6Address
    prefix: IPv6Network
    home_address: IPv6Address
    home_address4: IPv4Address
    dns_server: IPv6Address
    correspondent: IPv6Address
    correspondent4: IPv4Address
    imsi: str = "001010123456789"
    apn: str = "internet"
    spi_i: bytes = bytes.fromhex("1122334455667788")
    spi_r: bytes = bytes.fromhex("99aabbccddeeff00")
    # ESP SPIs: (receiver UE, receiver HA) of the SA of IKE_AUTH, then of the one for the home address
    first_spis: tuple[int, int] = (0xC0000001, 0xD0000001)
    spis: tuple[int, int] = (0xC0000002, 0xD0000002)
    lifetime: int = 900  # units of 4 s
    granted: int = 900
    overwrite: bool = False

    def numbered(self, index: int) -> Subscriber:
        """Another UE on the same link, with everything of its own."""
        return replace(
            self,
            care_of=self.care_of + index,
            prefix=IPv6Network((int(self.prefix.network_address) + (index << 64), 64)),
            home_address=self.home_address + (index << 64),
            home_address4=self.home_address4 + index,
            imsi=str(int(self.imsi) + index).zfill(15),
            spi_i=bytes([index]) + self.spi_i[1:],
            spi_r=bytes([index]) + self.spi_r[1:],
            first_spis=(self.first_spis[0] + 16 * index, self.first_spis[1] + 16 * index),
            spis=(self.spis[0] + 16 * index, self.spis[1] + 16 * index),
        )

    @property
    def ike_keys(self) -> IkeKeys:
        return IkeKeys(Key(_varied(SK_EI, self.spi_i)), Key(_varied(SK_ER, self.spi_i)))

    def esp_keys(self, spis: tuple[int, int]) -> tuple[Key, Key]:
        """Keys UE to HA and HA to UE of one pair of SAs."""
        salt = self.spi_i if spis == self.spis else self.spi_i[::-1]
        return Key(_varied(KEYMAT[:20], salt)), Key(_varied(KEYMAT[20:], salt))


PUBLISHED = Subscriber(
    care_of=IPv6Address("2001:db8:f:1::10"),
    home_agent=IPv6Address("2001:db8:aaaa::1"),
    prefix=IPv6Network("2001:db8:1:1::/64"),
    home_address=IPv6Address("2001:db8:1:1::100"),
    home_address4=IPv4Address("10.45.0.2"),
    dns_server=IPv6Address("2001:db8:f::53"),
    correspondent=IPv6Address("2001:db8:c::2"),
    correspondent4=IPv4Address("203.0.113.80"),
)


def _varied(key: bytes, salt: bytes) -> bytes:
    """The published key for the published UE, another of the same length for others."""
    if salt == bytes.fromhex("1122334455667788"):
        return key
    return hashlib.sha256(key + salt).digest()[: len(key)]
