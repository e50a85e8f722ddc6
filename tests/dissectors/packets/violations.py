# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture in which much goes wrong, for looking at: two UEs, and remarks of every severity.

    python -m tests.dissectors.packets.violations FOLDER     FOLDER/trace.pcap, its keys in FOLDER/wireshark

ESP has NULL encryption and no authentication, IKEv2 no keys: who opens it needs nothing but the two tables.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from ipaddress import IPv6Address
from pathlib import Path

from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

from tests.dissectors.packets import forge
from tests.dissectors.packets.signalling import HOME_AGENT, IDENTITY_I, IKE_AUTH, Ue

IDENTITY_R, CONFIGURATION, SECURITY_ASSOCIATION, CREATE_CHILD_SA = 36, 47, 33, 36
ESP, DESTINATION_OPTIONS, ROUTING = 50, 60, 43
NOT_HOME_SUBNET = 132
FIRST = Ue(b"\x01" * 8)
SECOND = Ue(
    b"\x02" * 8, IPv6Address("2001:db8:f:1::77"), home_address=IPv6Address("2001:db8:1:7::100"), spi_r=b"\x88" * 8
)
SPIS = {FIRST.spi: (b"\xaa\0\0\1", b"\xcc\0\0\1"), SECOND.spi: (b"\xbb\0\0\2", b"\xdd\0\0\2")}  # to the HA, to the UE

TABLES = {
    "ikev2_decryption_table": [ue.keys.removeprefix("uat:ikev2_decryption_table:") for ue in (FIRST, SECOND)],
    "esp_sa": [f'"IPv6","*","*","0x{spi.hex()}","NULL","","NULL",""' for pair in SPIS.values() for spi in pair],
}
OPTIONS = ["-o", "esp.enable_encryption_decode:TRUE"]
OPTIONS += [word for table, lines in TABLES.items() for line in lines for word in ("-o", f"uat:{table}:{line}")]
"""What tshark decrypts the capture with."""


def trace() -> list[tuple[float, bytes]]:
    """Times in seconds and frames."""
    first, second = FIRST, SECOND
    _sent.clear()
    alternate = bytes(2) + bytes([3, 16])
    return [
        *_set_up(first, 0.0, 1, "2001:db8:1:1::"),
        (0.030, _update(first, 1, alternate + first.address.packed)),
        (0.034, _answer(first, 1, lifetime=901)),  # more than was asked for
        *_set_up(second, 1.0, 2, "2001:db8:9:9::"),
        (1.030, _update(second, 1, alternate + second.address.packed)),  # outside that prefix
        (1.034, _answer(second, 1, status=NOT_HOME_SUBNET, lifetime=0)),
        (1.800, _update(second, 2, alternate + second.address.packed, spi=SPIS[first.spi][0])),  # not its own SA
        (5.000, _update(first, 2, alternate + first.address.packed)),
        (5.004, _answer(first, 7)),  # to no Binding Update
        (5.008, _answer(first, 2)),
        (6.000, first.update(3)),  # without ESP
        (6.004, _answer(first, 3)),
        (7.000, _update(first, 4, b"")),  # no Alternate Care-of Address
        (7.004, _answer(first, 4)),
        (9.000, _update(first, 5, alternate + first.address.packed, lifetime=0)),
        (9.004, _answer(first, 5, lifetime=0)),
        (9.500, _ping(first)),  # after the detach
    ]


def write(folder: Path) -> Path:
    """The capture in `folder`, with the tables that Wireshark decrypts it with beside it; where the capture is."""
    keys = folder / "wireshark"
    keys.mkdir(parents=True, exist_ok=True)
    for table, lines in TABLES.items():
        (keys / table).write_text("".join(f"{line}\n" for line in lines))
    packets = trace()
    return forge.write(folder / "trace.pcap", [octets for _, octets in packets], times=[time for time, _ in packets])


def _set_up(ue: Ue, start: float, subscriber: int, prefix: str) -> list[tuple[float, bytes]]:
    identity = b"\3\0\0\0" + f"0001010{subscriber:09}@nai.epc.mnc001.mcc001.3gppnetwork.org".encode()
    asked = struct.pack("!HH", 16, 0)
    given = struct.pack("!HHI", 16, 21, 3600) + IPv6Address(prefix).packed + b"\x40"
    frames = [
        ue.init(),
        ue.init(answer=True, nonce=b"\1" * 16),
        ue.ike(IKE_AUTH, 1, (IDENTITY_I, identity), (IDENTITY_R, b"\2\0\0\0internet"),
               (CONFIGURATION, b"\1\0\0\0" + asked)),
        ue.ike(IKE_AUTH, 1, (CONFIGURATION, b"\2\0\0\0" + given), answer=True),
        _child(ue, SPIS[ue.spi][1], answer=False),
        _child(ue, SPIS[ue.spi][0], answer=True),
    ]  # fmt: skip
    return [(start + 0.004 * number, octets) for number, octets in enumerate(frames)]


def _child(ue: Ue, spi: bytes, *, answer: bool) -> bytes:
    """CREATE_CHILD_SA for Mobility Headers: one proposal of ESP with NULL encryption, the sender's SPI in it."""
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + 4 + 8, 1, 3, 4, 1) + spi + struct.pack("!BBHBBH", 0, 0, 8, 1, 0, 11)
    selectors = (
        (44, forge.selector(135, 0, 65535, ue.home_address)),
        (45, forge.selector(135, 0, 65535, HOME_AGENT)),
    )
    return ue.ike(CREATE_CHILD_SA, 2, (SECURITY_ASSOCIATION, proposal), *selectors, answer=answer)


_sent: Counter[bytes] = Counter()
"""ESP packets by SPI."""


def _sealed(spi: bytes, header: bytes) -> bytes:
    _sent[spi] += 1
    padding = -(len(header) + 2) % 4
    return spi + struct.pack("!I", _sent[spi]) + header + bytes(range(1, padding + 1)) + bytes((padding, 135))


def _update(ue: Ue, sequence: int, options: bytes, *, lifetime: int = 900, spi: bytes | None = None) -> bytes:
    """A Binding Update in ESP, by default for an hour; `lifetime` in units of 4 s (RFC 6275 6.1.7)."""
    body = struct.pack("!HHH", sequence, 0xD400, lifetime) + options
    header = forge.mobility(forge.UPDATE, body, ue.home_address, HOME_AGENT)
    sealed = _sealed(spi or SPIS[ue.spi][0], header)
    option = bytes([ESP, 2, 1, 2, 0, 0, 0xC9, 16]) + ue.home_address.packed
    packet = IPv6(src=str(ue.address), dst=str(HOME_AGENT), nh=DESTINATION_OPTIONS) / Raw(option + sealed)
    return forge.frame(bytes(packet))


def _answer(ue: Ue, sequence: int, *, status: int = 0, lifetime: int = 900) -> bytes:
    body = struct.pack("!BBHH", status, 0xC0, sequence, lifetime)
    header = forge.mobility(forge.ACKNOWLEDGEMENT, body, HOME_AGENT, ue.home_address)
    route = bytes([ESP, 2, 2, 1, 0, 0, 0, 0]) + ue.home_address.packed
    sealed = _sealed(SPIS[ue.spi][1], header)
    packet = IPv6(src=str(HOME_AGENT), dst=str(ue.address), nh=ROUTING) / Raw(route + sealed)
    return forge.frame(bytes(packet))


def _ping(ue: Ue) -> bytes:
    """An echo request from the home address, in the tunnel to the home agent (RFC 6275 11.3.1)."""
    inner = IPv6(src=str(ue.home_address), dst="2001:db8:cc::1") / ICMPv6EchoRequest(id=1, seq=1)
    return forge.frame(bytes(IPv6(src=str(ue.address), dst=str(HOME_AGENT)) / inner))


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))}\n")
