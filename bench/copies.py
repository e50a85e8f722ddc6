# SPDX-License-Identifier: GPL-2.0-or-later
"""Any number of sessions out of the captures in captures/: each copy of a capture is of another UE.

A copy has IKE and ESP SPIs, addresses, home network prefix and an IMSI of its own, inside what is encrypted as well:
that is opened with the capture's keys, rewritten, and sealed with the same keys, for which `tables` writes Wireshark's
key tables. Addresses change so that sums over them stay, and so do the checksums of Mobility Headers. Frames keep their
lengths. Not an engine of anything: it knows just as much as the captures need (AES-GCM, no fragments).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.check.damage import read_pcapng

ETHERNET, IPV6, UDP, IKE, GENERIC = 14, 40, 8, 28, 4
HOP, IPIP, UDP_PROTOCOL, IPV6_IN, ROUTING, ESP, ICMP, ICMPV6, OPTIONS = 0, 4, 17, 41, 43, 50, 1, 58, 60
EXTENSIONS, TUNNELS = (HOP, ROUTING, OPTIONS), (IPIP, IPV6_IN)
SK, INITIATOR, IV, SALT = 46, 0x08, 8, 4
ECHO = (128, 129)
IMSI = re.compile(rb"\d{15}(?=@nai)")
# The UEs' addresses in the captures; all others are the network's.
UES = (
    "2001:db8:1:1::100", "2001:db8:f:1::10", "2001:db8:f:2::10", "2001:db8:e:1::10", "fe80::10", "10.45.0.2",
    "198.51.100.10", "203.0.113.5", "198.51.100.1", "2001:db8:100:8000:758c:a367:f0d4:30da",
    "2001:db8:a:0:4486:64ff:feb9:39f6", "fe80::4486:64ff:feb9:39f6",
)  # fmt: skip
HOME_PREFIXES = ("2001:db8:1:1::", "2001:db8:100:8000::")


def moved(address: bytes, number: int) -> bytes:
    """The address with `number` added to one 16-bit word and taken from the last: checksums over it stay."""
    words = list(struct.unpack(f"!{len(address) // 2}H", address))
    one = 0 if len(words) == 2 else 3  # the last word of an IPv6 prefix
    words[one], words[-1] = (words[one] + number) % 0xFFFF, (words[-1] - number) % 0xFFFF
    return struct.pack(f"!{len(words)}H", *words)


@dataclass
class Capture:
    """Frames of one of the captures, and its keys by SPI: of ESP, of IKE (both SPIs) for initiator and responder."""

    frames: list[bytes]
    esp: dict[bytes, bytes] = field(default_factory=dict)
    ike: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)  # those of the IKE table, behind the SPIs


def records(file: Path) -> list[list[str]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.replace('"', "").split(",") for line in lines if line.strip() and not line.startswith("#")]


def load(folder: Path) -> Capture:
    """The capture in `folder`."""
    capture = Capture([octets for _, octets in read_pcapng((folder / "trace.pcapng").read_bytes())])
    for row in records(folder / "wireshark" / "esp_sa"):
        capture.esp[bytes.fromhex(row[3][2:])] = bytes.fromhex(row[5][2:])
    for row in records(folder / "wireshark" / "ikev2_decryption_table"):
        capture.ike[bytes.fromhex(row[0] + row[1])] = bytes.fromhex(row[2]), bytes.fromhex(row[3])
        capture.rows.append(f'{row[2]},{row[3]},"{row[4]}",,,"{row[7]}"')
    return capture


class Copy:
    """A capture as UE `number` would have had it; `keys` lists the ESP keys of all captures."""

    def __init__(self, capture: Capture, number: int, keys: list[bytes]) -> None:
        self.capture, self.number, self.carries_data = capture, number, False
        self._spis = {old: bytes([1 + keys.index(key)]) + number.to_bytes(3, "big") for old, key in capture.esp.items()}
        self._mask = number << 8
        pairs = [(address.packed, moved(address.packed, number)) for address in map(ip_address, UES)]
        for text in HOME_PREFIXES:
            old = ip_address(text).packed
            new = moved(old, number)[:8]
            pairs += [(old[:8] + end, new + end) for end in (bytes(8), b"\xff" * 8)]
        self._clear, self._sealed = pairs, pairs + list(self._spis.items())

    def frames(self) -> Iterator[bytes]:
        """The capture's signalling, as this copy has it; echoes are user data and are left out."""
        for frame in self.capture.frames:
            self.carries_data = False
            packet = self._packet(frame[ETHERNET:])
            if not self.carries_data:
                yield frame[:ETHERNET] + packet

    def rows(self) -> list[str]:
        """Rows of the table of IKE keys."""
        spis = (self._ike_spis(old).hex() for old in self.capture.ike)
        return [f"{spi[:16]},{spi[16:]},{row}" for spi, row in zip(spis, self.capture.rows, strict=True)]

    def _ike_spis(self, old: bytes) -> bytes:
        initiator, responder = struct.unpack("!QQ", old)
        return struct.pack("!QQ", initiator ^ self._mask, responder ^ self._mask if responder else 0)

    def _rewritten(self, octets: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes:
        for old, new in pairs:
            octets = octets.replace(old, new)
        return IMSI.sub(b"%015d" % self.number, octets)

    def _packet(self, packet: bytes) -> bytes:
        """An IP packet; Ethernet's padding may follow."""
        if packet[0] >> 4 == 4:
            at, protocol = 4 * (packet[0] & 15), packet[9]
        else:
            at, protocol = IPV6, packet[6]
            while protocol in EXTENSIONS:
                protocol, at = packet[at], at + 8 * (packet[at + 1] + 1)
        return self._rewritten(packet[:at], self._clear) + self._upper(protocol, packet[at:])

    def _upper(self, protocol: int, data: bytes) -> bytes:
        if protocol in TUNNELS:
            return self._packet(data)
        if protocol == ESP:
            return self._esp(data)
        if protocol == UDP_PROTOCOL:
            return self._udp(data)
        self.carries_data |= protocol == ICMP or (protocol == ICMPV6 and data[0] in ECHO)
        return self._rewritten(data, self._clear)

    def _udp(self, datagram: bytes) -> bytes:
        ports, data = struct.unpack_from("!HH", datagram), datagram[UDP:]
        if 4191 in ports and data[0] >> 4 in (4, 6):
            data = self._packet(data)
        elif 4500 in ports and data[:4] == bytes(4):
            data = bytes(4) + self._ike(data[4:])
        elif 4500 in ports and len(data) > UDP:
            data = self._esp(data)
        else:
            data = self._ike(data) if 500 in ports else self._rewritten(data, self._clear)
        return datagram[:UDP] + data

    def _esp(self, data: bytes) -> bytes:
        old, key = data[:4], self.capture.esp[data[:4]]
        cipher, nonce = AESGCM(key[:-SALT]), key[-SALT:] + data[8 : 8 + IV]
        plain = cipher.decrypt(nonce, data[8 + IV :], data[:8])
        behind = len(plain) - 2 - plain[-2]
        if plain[-1] in TUNNELS:
            plain = self._packet(plain[:behind]) + plain[behind:]
        else:
            plain = self._rewritten(plain, self._sealed)
        head = self._spis[old] + data[4:8]
        return head + data[8 : 8 + IV] + cipher.encrypt(nonce, plain, head)

    def _ike(self, message: bytes) -> bytes:
        if len(message) < IKE:
            return message
        head = self._ike_spis(message[:16]) + message[16:IKE]
        if message[16] != SK:
            return head + self._rewritten(message[IKE:], self._clear)
        key = self.capture.ike[message[:16]][0 if message[19] & INITIATOR else 1]
        at = IKE + GENERIC
        cipher, nonce = AESGCM(key[:-SALT]), key[-SALT:] + message[at : at + IV]
        plain = self._rewritten(cipher.decrypt(nonce, message[at + IV :], message[:at]), self._sealed)
        head += message[IKE:at]
        return head + message[at : at + IV] + cipher.encrypt(nonce, plain, head)


class Copies:
    """As many sessions as are asked for, of all captures in turn; afterwards the key tables of those that there are."""

    def __init__(self, folders: list[Path]) -> None:
        self._captures = [load(folder) for folder in folders]
        self._keys = sorted({key for capture in self._captures for key in capture.esp.values()})
        self._rows: list[str] = []
        self.sessions = 0

    def frames(self) -> Iterator[bytes]:
        """Signalling without end."""
        for capture in cycle(self._captures):
            self.sessions += 1
            copy = Copy(capture, self.sessions, self._keys)
            self._rows += copy.rows()
            yield from copy.frames()

    def tables(self) -> dict[str, str]:
        """Contents of Wireshark's tables by file. The first octet of an ESP SPI tells the key."""
        esp = [
            f'"IPv6","*","*","0x{place:02x}******","AES-GCM with 16 octet ICV [RFC4106]","0x{key.hex()}","NULL",""'
            for place, key in enumerate(self._keys, 1)
        ]
        return {"esp_sa": "\n".join(esp) + "\n", "ikev2_decryption_table": "\n".join(self._rows) + "\n"}
