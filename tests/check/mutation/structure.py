# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants that are more than one field: a layer taken away, something added to a message, a packet put in between."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv6Address

from tests.check.mutation.layers import MH, Layer, Packet
from tests.check.packets import icmpv6, notify, udp

OTHER6 = bytes.fromhex("20010db80bad00000000000000000bad")
REDIRECT, BU = 16407, 5
PARAMETER_PROBLEM = 4
DNS_PORTS = (40999, 53)


def replaced(packet: Packet) -> Iterator[tuple[str, Packet]]:
    """In place of the packet."""
    if packet.has("esp") and packet.has("mh"):
        yield "esp.stripped", _without_esp(packet)
    if packet.has("mh") and packet.layer("mh").data[2] == BU:
        prefix = b"\x01\x02\0\0\x06\x12\0\x40" + OTHER6
        yield "mh.option_6.added", _longer(packet, prefix)
        yield "mh.option_3.again", _longer(packet, b"\x01\x04" + bytes(4) + b"\x03\x10" + OTHER6)
    if packet.has("mh"):
        yield "mh.option_unknown.added", _longer(packet, b"\xfe\x06" + bytes(6))
    if packet.has("ike") and packet.layer("ike").keys:
        changed = packet.copy()
        changed.layer("ike").payloads.append(notify(REDIRECT, b"\x02\x10" + OTHER6))
        yield "ike.redirect.added", changed


def inserted(packet: Packet) -> Iterator[tuple[str, bytes]]:
    """After the packet."""
    first = packet.layers[0]
    if first.kind == "ipv6" and any(packet.has(kind) for kind in ("esp", "ike", "mh")):
        error = struct.pack("!BBHI", PARAMETER_PROBLEM, 2, 0, 48) + packet.build()
        ends = (IPv6Address(bytes(first.data[24:40])), IPv6Address(bytes(first.data[8:24])))
        yield "packet.icmp_error_after", icmpv6(*ends, error)
    if packet.has("ike"):
        changed = packet.copy()
        changed.layer("ike").payloads.append(notify(40000))
        yield "packet.other_of_this_number_after", changed.build()
    if packet.has("mh"):
        source, destination = packet.ends(len(packet.layers))
        home = IPv6Address(source if packet.layer("mh").data[2] == BU else destination)
        query = udp(home, IPv6Address("2001:db8:c::2"), DNS_PORTS, bytes(12))
        echo = struct.pack("!BBHHH", 128, 0, 0, 7, 7) + b"outside"
        yield "packet.echo_outside_tunnel_after", icmpv6(home, IPv6Address("2001:db8:c::2"), echo)
        yield "packet.query_outside_tunnel_after", query


def _without_esp(packet: Packet) -> Packet:
    """A Mobility Header in the clear: the header before it has to name it."""
    changed = packet.copy()
    at = next(index for index, one in enumerate(changed.layers) if one.kind == "esp")
    before = changed.layers[at - 1]
    before.data[6 if before.kind == "ipv6" else 0] = MH
    del changed.layers[at]
    return changed


def _longer(packet: Packet, options: bytes) -> Packet:
    changed = packet.copy()
    layer: Layer = changed.layer("mh")
    layer.data += options
    layer.data[1] += len(options) // 8
    return changed
