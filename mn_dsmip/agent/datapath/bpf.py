# SPDX-License-Identifier: GPL-2.0-or-later
"""A classic BPF program that lets through what a UE's agent wants of all that arrives (Linux: networking/filter.rst).

It runs on packets that begin with the IPv6 header, as a packet socket of type SOCK_DGRAM has them. Everything else is
the kernel's alone: TCP to the care-of address, neighbour discovery, echo requests.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple

from ...engine.discovery.dns import DNS_PORT, PORTS
from ...engine.ike.path import IKE_PORT, NAT_T_PORT
from ...wire.ip import (
    DESTINATION_OPTIONS,
    ESP,
    FRAGMENT,
    ICMPV6,
    IPIP,
    IPV6_HEADER,
    IPV6_IN,
    MOBILITY_HEADER,
    ROUTING,
    UDP,
)

TUNNEL_HEADERS = (IPV6_IN, IPIP, ESP, MOBILITY_HEADER)
"""Protocols that only the agent understands here."""
EXTENSION_HEADERS = (ROUTING, FRAGMENT, DESTINATION_OPTIONS)
IKE_PORTS = (IKE_PORT, NAT_T_PORT)
ICMPV6_ERRORS = range(1, 5)
"""RFC 4443 3: unreachable, too big, time exceeded, parameter problem."""

SO_ATTACH_FILTER = 26
LOAD_WORD, LOAD_HALF, LOAD_BYTE, RETURN = 0x20, 0x28, 0x30, 0x06
IF_EQUAL, IF_AT_LEAST = 0x15, 0x35
PACKET_TYPE, PACKET_HOST = 0xFFFFF000 + 4, 0
"""SKF_AD_OFF + SKF_AD_PKTTYPE loads whom the frame was for; our own host's are neither its own sendings nor others'."""
NEXT_HEADER, DESTINATION = 6, 24
WHOLE, NOTHING = 0x40000, 0


class Instruction(NamedTuple):
    """One instruction; jumps count from the next one."""

    code: int
    if_true: int
    if_false: int
    operand: int


class Step(NamedTuple):
    """An instruction whose jumps name a label; without one it goes on. ``label`` is what others call this step."""

    code: int
    operand: int
    if_true: str = ""
    if_false: str = ""
    label: str = ""


def care_of_filter(care_of: IPv6Address) -> list[Instruction]:
    """Lets through what is for ``care_of`` and for the agent: signalling, tunnels, their fragments, ICMPv6 errors."""
    steps = [Step(LOAD_WORD, PACKET_TYPE), Step(IF_EQUAL, PACKET_HOST, if_false="drop")]
    for position, word in zip(range(DESTINATION, IPV6_HEADER, 4), struct.unpack("!4I", care_of.packed), strict=True):
        steps += [Step(LOAD_WORD, position), Step(IF_EQUAL, word, if_false="drop")]
    steps += [
        Step(LOAD_BYTE, NEXT_HEADER),
        *(Step(IF_EQUAL, number, "take") for number in (*TUNNEL_HEADERS, *EXTENSION_HEADERS)),
        Step(IF_EQUAL, ICMPV6, "icmpv6"),
        Step(IF_EQUAL, UDP, if_false="drop"),
        Step(LOAD_HALF, IPV6_HEADER + 2),
        *(Step(IF_EQUAL, port, "take") for port in IKE_PORTS),
        Step(IF_AT_LEAST, PORTS.start, if_false="drop"),
        Step(LOAD_HALF, IPV6_HEADER),
        Step(IF_EQUAL, DNS_PORT, "take", "drop"),
        Step(LOAD_BYTE, IPV6_HEADER, label="icmpv6"),
        Step(IF_AT_LEAST, ICMPV6_ERRORS.start, if_false="drop"),
        Step(IF_AT_LEAST, ICMPV6_ERRORS.stop, "drop"),
        Step(RETURN, WHOLE, label="take"),
        Step(RETURN, NOTHING, label="drop"),
    ]
    return _assemble(steps)


def nothing_filter() -> list[Instruction]:
    """Lets nothing through."""
    return _assemble([Step(RETURN, NOTHING)])


def _assemble(steps: list[Step]) -> list[Instruction]:
    places = {step.label: number for number, step in enumerate(steps)}
    return [
        Instruction(
            step.code,
            places[step.if_true] - number - 1 if step.if_true else 0,
            places[step.if_false] - number - 1 if step.if_false else 0,
            step.operand,
        )
        for number, step in enumerate(steps)
    ]


def attach(target: socket.socket, program: Iterable[Instruction]) -> None:
    """Let the socket receive what ``program`` lets through; a former program is replaced at once."""
    code = b"".join(struct.pack("=HBBI", *each) for each in program)
    memory = ctypes.create_string_buffer(code, len(code))
    target.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(code) // 8, ctypes.addressof(memory)))
