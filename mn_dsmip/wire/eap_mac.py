# SPDX-License-Identifier: GPL-2.0-or-later
"""Where AT_MAC is in an EAP-AKA packet (RFC 4187 10.15)."""

from __future__ import annotations

from collections.abc import Callable

from .codec import WireError
from .eap import MAC_LENGTH, Mac


def with_mac(packet: bytes, mac: Callable[[bytes], bytes]) -> bytes:
    """``packet``, built with an empty AT_MAC, with ``mac(packet)`` written into it (RFC 4187 10.15)."""
    place = mac_offset(packet)
    if place is None:
        raise ValueError("the packet has no AT_MAC")
    return packet[:place] + mac(packet)[:MAC_LENGTH] + packet[place + MAC_LENGTH :]


def without_mac(packet: bytes) -> tuple[bytes, bytes]:
    """``packet`` with zeros for its AT_MAC, and that AT_MAC; ``WireError`` when there is none."""
    place = mac_offset(packet)
    if place is None:
        raise WireError("AT_MAC is missing")
    end = place + MAC_LENGTH
    return packet[:place] + bytes(MAC_LENGTH) + packet[end:], packet[place:end]


def mac_offset(packet: bytes) -> int | None:
    """Where the 16 octets of AT_MAC begin; the attributes must have been read before."""
    position = 8
    while position < len(packet):
        if packet[position] == Mac.number:
            return position + 4
        position += 4 * packet[position + 1]
    return None
