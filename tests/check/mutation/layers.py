# SPDX-License-Identifier: GPL-2.0-or-later
"""A captured packet as a list of layers, opened with the keys, and back again with lengths, checksums and ICVs right.

packet = parse(octets, keys)
packet.layer("mh").data[8] ^= 0x04
octets = packet.build()
"""

from __future__ import annotations

import copy
import struct
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from tests.check.damage import Payloads, join_payloads, split_payloads
from tests.check.packets import checksum
from tests.check.seal import IkeKeys, Key, SealError, open_esp, read_esp_table, read_ike_table, seal_esp

IPV4, UDP, IPV6, ROUTING, ESP, ICMPV6, DSTOPTS, MH, ICMP = 4, 17, 41, 43, 50, 58, 60, 135, 1
DNS, IKE, DHCPV6, DSMIP, IKE_NAT = 53, 500, (546, 547), 4191, 4500
HOME_ADDRESS, SK = 0xC9, 46


@dataclass
class Keys:
    """The key folder of a capture."""

    ike: dict[tuple[bytes, bytes], IkeKeys]
    esp: dict[int, Key]

    @classmethod
    def load(cls, folder: Path) -> Keys:
        return cls(read_ike_table(folder / "ikev2_decryption_table"), read_esp_table(folder / "esp_sa"))


@dataclass
class Layer:
    """One header (lengths and checksums are made right when built), or what is behind the last header."""

    kind: str
    data: bytearray
    payloads: Payloads = field(default_factory=list)  # of IKE
    iv: bytes = b""
    next_header: int = 0  # of ESP
    keys: IkeKeys | Key | None = None
    as_it_is: bool = False  # the checksum is not made right


@dataclass
class Packet:
    """The layers from the outermost IP header to the innermost."""

    layers: list[Layer]

    def copy(self) -> Packet:
        return copy.deepcopy(self)

    def layer(self, kind: str) -> Layer:
        return next(one for one in self.layers if one.kind == kind)

    def has(self, kind: str) -> bool:
        return any(one.kind == kind for one in self.layers)

    def build(self) -> bytes:
        octets = b""
        for index in range(len(self.layers) - 1, -1, -1):
            octets = self._built(index, octets)
        return octets

    def ends(self, index: int) -> tuple[bytes, bytes]:
        """Source and destination that a checksum at this layer covers: home addresses stand for care-of addresses."""
        source = destination = b""
        for layer in self.layers[:index]:
            data = bytes(layer.data)
            if layer.kind == "ipv6":
                source, destination = data[8:24], data[24:40]
            elif layer.kind == "ipv4":
                source, destination = data[12:16], data[16:20]
            elif layer.kind == "routing":
                destination = data[8:24]
            elif layer.kind == "dstopts":
                at = data.find(bytes([HOME_ADDRESS, 16]))
                source = data[at + 2 : at + 18] if at >= 0 else source
        return source, destination

    def _built(self, index: int, inner: bytes) -> bytes:
        layer = self.layers[index]
        data = bytearray(layer.data)
        if layer.kind == "ipv6":
            data[4:6] = struct.pack("!H", len(inner))
        elif layer.kind == "ipv4":
            data[2:4] = struct.pack("!H", 20 + len(inner))
            data[10:12] = b"\0\0"
            data[10:12] = struct.pack("!H", checksum(bytes(data)))
        elif layer.kind == "udp":
            data[4:6] = struct.pack("!H", 8 + len(inner))
            self._sum(index, data, inner, 6, UDP)
        elif layer.kind in ("mh", "icmpv6"):
            self._sum(index, data, b"", 4 if layer.kind == "mh" else 2, MH if layer.kind == "mh" else ICMPV6)
        elif layer.kind == "icmp":
            data[2:4] = b"\0\0"
            data[2:4] = struct.pack("!H", checksum(bytes(data)))
        elif layer.kind == "esp":
            assert isinstance(layer.keys, Key)
            spi, sequence = struct.unpack("!II", data)
            return seal_esp(layer.keys, spi, sequence, layer.iv, inner, layer.next_header)
        elif layer.kind == "ike":
            return _ike(layer)
        return bytes(data) + inner

    def _sum(self, index: int, data: bytearray, inner: bytes, at: int, protocol: int) -> None:
        if self.layers[index].as_it_is:
            return
        source, destination = self.ends(index)
        data[at : at + 2] = b"\0\0"
        around = source + destination + struct.pack("!II", len(data) + len(inner), protocol)
        data[at : at + 2] = struct.pack("!H", checksum(around + bytes(data) + inner) or 0xFFFF)


def _ike(layer: Layer) -> bytes:
    first, octets = join_payloads(layer.payloads)
    header = bytes(layer.data)
    if isinstance(layer.keys, IkeKeys):
        return layer.keys.seal(header, first, layer.iv, octets)
    return header[:16] + bytes([first]) + header[17:24] + struct.pack("!I", 28 + len(octets)) + octets


def parse(octets: bytes, keys: Keys) -> Packet:
    """From the outermost IP header on; what has no key stays one opaque layer."""
    layers: list[Layer] = []
    _ip(octets, keys, layers)
    return Packet(layers)


def _ip(data: bytes, keys: Keys, layers: list[Layer]) -> None:
    if data[0] >> 4 == 4:
        layers.append(Layer("ipv4", bytearray(data[:20])))
        _upper(data[9], data[20:], keys, layers)
    else:
        layers.append(Layer("ipv6", bytearray(data[:40])))
        _upper(data[6], data[40:], keys, layers)


def _upper(protocol: int, data: bytes, keys: Keys, layers: list[Layer]) -> None:
    while protocol in (DSTOPTS, ROUTING):
        size = 8 * (data[1] + 1)
        layers.append(Layer("dstopts" if protocol == DSTOPTS else "routing", bytearray(data[:size])))
        protocol, data = data[0], data[size:]
    if protocol in (IPV4, IPV6):
        _ip(data, keys, layers)
    elif protocol == UDP:
        layers.append(Layer("udp", bytearray(data[:8])))
        _in_udp(set(struct.unpack_from("!HH", data)), data[8:], keys, layers)
    elif protocol == ESP:
        _esp(data, keys, layers)
    else:
        kind = {MH: "mh", ICMPV6: "icmpv6", ICMP: "icmp"}.get(protocol, "opaque")
        layers.append(Layer(kind, bytearray(data)))


def _in_udp(ports: set[int], data: bytes, keys: Keys, layers: list[Layer]) -> None:
    if DSMIP in ports and len(data) >= 20:
        _ip(data, keys, layers)
    elif IKE_NAT in ports and data[:4] == bytes(4):
        layers.append(Layer("marker", bytearray(4)))
        _open_ike(data[4:], keys, layers)
    elif IKE in ports:
        _open_ike(data, keys, layers)
    elif IKE_NAT in ports and len(data) > 8:
        _esp(data, keys, layers)
    else:
        kind = "dns" if DNS in ports else "dhcpv6" if ports & set(DHCPV6) else "opaque"
        layers.append(Layer(kind, bytearray(data)))


def _esp(data: bytes, keys: Keys, layers: list[Layer]) -> None:
    key = keys.esp.get(int.from_bytes(data[:4], "big"))
    try:
        iv, payload, protocol = open_esp(key, data) if key else (b"", b"", 0)
    except SealError:
        key = None
    if key is None:
        layers.append(Layer("opaque", bytearray(data)))
        return
    layers.append(Layer("esp", bytearray(data[:8]), iv=iv, next_header=protocol, keys=key))
    _upper(protocol, payload, keys, layers)


def _open_ike(data: bytes, keys: Keys, layers: list[Layer]) -> None:
    header, table = bytearray(data[:28]), keys.ike.get((data[:8], data[8:16]))
    if data[16] != SK:
        layers.append(Layer("ike", header, split_payloads(data[16], data[28:])))
    elif table is None:
        layers.append(Layer("opaque", bytearray(data)))
    else:
        first, iv, octets = table.open(data)
        layers.append(Layer("ike", header, split_payloads(first, octets), iv, keys=table))


def shown(address: bytes) -> str:
    return str(ip_address(address))
