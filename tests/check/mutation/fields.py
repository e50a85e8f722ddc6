# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way to make one field of a packet wrong: headers, options, flags, numbers, payloads.

Each is a name ("mh.lifetime=0") and an edit of one layer; lengths, checksums and ICVs are made right afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from tests.check.damage import Payloads
from tests.check.mutation.layers import Layer, Packet
from tests.check.mutation.payloads import payload_edits

Edit = Callable[[Layer], None]
Named = Iterator[tuple[str, Edit]]
OTHER6 = bytes.fromhex("20010db80bad00000000000000000bad")
OTHER4 = bytes([10, 99, 99, 99])
BU, BA, REVOCATION = 5, 6, 16
FIXED = {BU: 12, BA: 12, REVOCATION: 12, 0: 8}
BU_FLAGS = {"A": 0x8000, "H": 0x4000, "L": 0x2000, "K": 0x1000, "M": 0x0800, "R": 0x0400, "P": 0x0200}
BU_FLAGS |= {"F": 0x0100, "T": 0x0080, "O": 0x0040, "reserved": 0x0001}
BA_FLAGS = {"K": 0x80, "R": 0x40, "P": 0x20, "reserved": 0x01}
REVOCATION_FLAGS = {"P": 0x8000, "V": 0x4000, "G": 0x2000, "reserved": 0x0001}
SEQUENCES = (0, 0x7777)
OPTION_FIELDS = {  # name, offset from the option's type, wrong values
    2: (("interval", 2, (b"\xff\xff",)),),
    3: (("address", 2, (OTHER6, bytes(16))),),
    8: (("subtype", 2, (b"\x09",)), ("identity", 4, (b"x",))),
    9: (("subtype", 2, (b"\x07",)), ("spi", 3, (bytes(4),)), ("authenticator", 8, (b"\0\0\0\0",))),
    10: (("timestamp", 2, (bytes(8),)),),
    29: (("length", 2, (bytes([24 << 2]),)), ("P", 2, (b"\x82",)), ("address", 4, (OTHER4,))),
    30: (("status", 2, (b"\x81",)), ("length", 3, (bytes([24 << 2]),)), ("address", 4, (OTHER4,))),
    31: (("F", 2, (b"\x80",)), ("refresh", 4, (bytes(4), b"\xff" * 4, struct.pack("!I", 60)))),
    32: (("reserved", 2, (b"\0\1",)), ("address", 4, (OTHER4,))),
}


def field_mutants(packet: Packet) -> Iterator[tuple[str, Packet]]:
    """All of them for one packet."""
    for index, layer in enumerate(packet.layers):
        for name, edit in _edits(layer):
            changed = packet.copy()
            edit(changed.layers[index])
            yield f"{layer.kind}{'' if index == 0 else f'[{index}]'}.{name}", changed


def _edits(layer: Layer) -> Named:
    simple = SIMPLE.get(layer.kind, ())
    for name, at, value in simple:
        if bytes(layer.data[at : at + len(value)]) != value:
            yield f"{name}={value.hex()}", _put(at, value)
    if layer.kind == "mh":
        yield from _mobility(bytes(layer.data))
    elif layer.kind == "esp":
        yield from _esp(layer)
    elif layer.kind == "ike":
        yield from _ike(layer)
    elif layer.kind == "dns":
        yield from _dns(bytes(layer.data))
    elif layer.kind == "dhcpv6":
        yield from _dhcpv6(bytes(layer.data))
    elif layer.kind == "icmpv6" and layer.data[0] == 134:
        yield "autonomous", _flip(4 + layer.data.index(b"\x03\x04") - 1, 0x40)
        yield "prefix", _put(layer.data.index(b"\x03\x04") + 16, OTHER6[:8])
    elif layer.kind == "udp":
        yield "checksum", _wrong_checksum


SIMPLE: dict[str, tuple[tuple[str, int, bytes], ...]] = {
    "ipv6": (("source", 8, OTHER6), ("destination", 24, OTHER6)),
    "ipv4": (("source", 12, OTHER4), ("destination", 16, OTHER4)),
    "udp": (("source_port", 0, b"\x30\x39"), ("destination_port", 2, b"\x30\x39")),
    "dstopts": (("home_address", 8, OTHER6),),
    "routing": (("home_address", 8, OTHER6), ("type", 2, b"\x00")),
    "icmp": (("type", 0, b"\x03"), ("identifier", 4, b"\x77\x77")),
}


def _put(at: int, value: bytes) -> Edit:
    def edit(layer: Layer) -> None:
        layer.data[at : at + len(value)] = value

    return edit


def _flip(at: int, mask: int) -> Edit:
    def edit(layer: Layer) -> None:
        layer.data[at] ^= mask

    return edit


def _wrong_checksum(layer: Layer) -> None:
    layer.as_it_is = True
    layer.data[6] ^= 0x55


def _mobility(data: bytes) -> Named:
    kind = data[2]
    yield "payload_protocol", _put(0, b"\x11")
    yield "type", _put(2, b"\x01")
    yield "reserved", _put(3, b"\x01")
    yield "checksum", _bad_mobility_checksum
    yield "header_length", _shorter
    if kind == BU:
        yield from _numbers("sequence", 6, data, SEQUENCES)
        yield from ((f"flag_{name}", _flip16(8, mask)) for name, mask in BU_FLAGS.items())
        yield from _numbers("lifetime", 10, data, (0, 1, 0xFFFF))
    elif kind == BA:
        yield from ((f"status={one}", _put(6, bytes([one]))) for one in (1, 128, 132, 135, 200))
        yield from ((f"flag_{name}", _flip(7, mask)) for name, mask in BA_FLAGS.items())
        yield from _numbers("sequence", 8, data, SEQUENCES)
        yield from _numbers("lifetime", 10, data, (0, 1, 0xFFFF))
    elif kind == REVOCATION:
        yield "revocation_type", _put(6, bytes([3 - data[6]]))
        yield "status", _put(7, b"\x86")
        yield from _numbers("sequence", 8, data, (7,))
        yield from ((f"flag_{name}", _flip16(10, mask)) for name, mask in REVOCATION_FLAGS.items())
    yield from _options(data, FIXED.get(kind, 12))


def _numbers(name: str, at: int, data: bytes, values: tuple[int, ...]) -> Named:
    old = struct.unpack_from("!H", data, at)[0]
    for value in values:
        if value != old:
            yield f"{name}={value}", _put(at, struct.pack("!H", value))


def _flip16(at: int, mask: int) -> Edit:
    def edit(layer: Layer) -> None:
        struct.pack_into("!H", layer.data, at, struct.unpack_from("!H", layer.data, at)[0] ^ mask)

    return edit


def _options(data: bytes, at: int) -> Named:
    while at < len(data):
        kind, size = data[at], data[at + 1] if data[at] else -1
        if kind > 1:
            blank = bytes([1, size]) + bytes(size)
            yield f"option_{kind}.missing", _put(at, blank)
            yield f"option_{kind}.unknown", _put(at, b"\xfe")
            for name, offset, values in OPTION_FIELDS.get(kind, ()):
                for value in values:
                    if data[at + offset : at + offset + len(value)] != value:
                        yield f"option_{kind}.{name}={value.hex()[:8]}", _put(at + offset, value)
        at += 2 + size


def _bad_mobility_checksum(layer: Layer) -> None:
    layer.as_it_is = True
    layer.data[4] ^= 0x55


def _shorter(layer: Layer) -> None:
    layer.data[1] -= 1


def _esp(layer: Layer) -> Named:
    def other_spi(changed: Layer) -> None:
        changed.data[3] ^= 0x77

    yield "spi", other_spi
    yield "sequence_gap", _put(4, struct.pack("!I", 1000))
    yield "sequence_zero", _put(4, bytes(4))
    yield "octet_flipped", _wrong_key


def _wrong_key(layer: Layer) -> None:
    """An octet on the wire is another: with the right key the ICV does not match any more."""
    key = layer.keys
    assert key is not None
    changed = bytearray(key.encryption)  # type: ignore[union-attr]
    changed[0] ^= 0x01
    layer.keys = type(key)(bytes(changed), key.integrity, key.algorithm)  # type: ignore[call-arg,union-attr,arg-type]


def _ike(layer: Layer) -> Named:
    yield "spi_i", _flip(0, 0x80)
    yield "spi_r", _flip(8, 0x80)
    yield "version", _put(17, b"\x30")
    yield "exchange", _put(18, bytes([37 if layer.data[18] != 37 else 36]))
    yield "flag_response", _flip(19, 0x20)
    yield "flag_initiator", _flip(19, 0x08)
    yield "message_id", _flip(23, 0x40)
    for index, (kind, body) in enumerate(layer.payloads):
        name = f"payload_{kind}_{index}"
        yield f"{name}.missing", _payloads(lambda all_, at=index: all_[:at] + all_[at + 1 :])
        yield f"{name}.twice", _payloads(lambda all_, at=index: [*all_[: at + 1], *all_[at:]])
        for text, changed in payload_edits(kind, body):
            put = (kind, changed)
            yield (
                f"{name}.{text}",
                _payloads(lambda all_, at=index, one=put: [*all_[:at], one, *all_[at + 1 :]]),
            )


def _payloads(change: Callable[[Payloads], Payloads]) -> Edit:
    def edit(layer: Layer) -> None:
        layer.payloads = change(layer.payloads)

    return edit


def _dns(data: bytes) -> Named:
    yield "id", _put(0, b"\x77\x77")
    yield "response", _flip(2, 0x80)
    yield "name", _put(13, b"x")
    at = data.find(b"pub")
    yield "suffix", _put(at, b"pup")
    if data[2] & 0x80:
        yield "rcode", _flip(3, 3)
        yield "answer", _put(len(data) - 2, b"\x77\x77")
    yield "type", _put(data.index(b"\x03org\0") + 5, b"\0\x10")


def _dhcpv6(data: bytes) -> Named:
    yield "message_type", _put(0, b"\x0d")
    yield "transaction", _put(1, b"\x77")
    at = 4
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        yield f"option_{kind}.type", _put(at, struct.pack("!H", 250))
        if kind == 69:
            where = data.index(bytes.fromhex("00480010"), at)
            yield "option_72.type", _put(where, struct.pack("!H", 250))
            yield "option_72.address", _put(where + 4, OTHER6)
        elif kind == 49:
            yield "option_49.name", _put(data.index(b"pub", at), b"pup")
        elif kind == 6:
            yield "option_6.list", _put(at + 4, b"\0\xfa")
        at += 4 + size
