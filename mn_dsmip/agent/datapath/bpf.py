# SPDX-License-Identifier: GPL-2.0-or-later
"""The classic BPF program that lets through, at a UE's packet socket, what the agent has to do with.

The kernel keeps everything else: TCP to the care-of address, neighbour discovery, echo requests.
"""

from __future__ import annotations

import socket
import struct
from array import array
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import NamedTuple

from ...engine.discovery.dns import DNS_PORT, PORTS
from ...engine.ike.session import IKE_PORT, NAT_T_PORT
from ...wire.ip import (
    DESTINATION_OPTIONS,
    ESP,
    FRAGMENT,
    ICMPV6,
    IPIP,
    IPV6_IN,
    MOBILITY_HEADER,
    ROUTING,
    UDP,
)

WHOLE = (ESP, IPV6_IN, IPIP, MOBILITY_HEADER, DESTINATION_OPTIONS, ROUTING, FRAGMENT)
"""Next headers of packets that are taken whatever they hold."""
ICMPV6_ERRORS = range(1, 5)
"""RFC 4443 2.1: unreachable, too big, time exceeded, parameter problem."""

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30  # BPF_LD | BPF_ABS with BPF_W, BPF_H, BPF_B
_IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x15, 0x35, 0x06  # BPF_JMP | BPF_JEQ, BPF_JMP | BPF_JGE, BPF_RET; all with BPF_K
_NEXT_HEADER, _DESTINATION, _PAYLOAD = 6, 24, 40
_EVERYTHING = 0x40000
_SO_ATTACH_FILTER = 26


class Step(NamedTuple):
    """One instruction; jumps name the labels ``take`` and ``drop``, or nothing to go on."""

    code: int
    value: int
    if_true: str = ""
    if_false: str = ""


Instruction = tuple[int, int, int, int]


def care_of_filter(care_of: IPv6Address | None) -> list[Instruction]:
    """A program that begins at the IPv6 header; without a care-of address it lets nothing through."""
    if care_of is None:
        return [(_RETURN, 0, 0, 0)]
    steps: list[Step] = []
    for offset, (word,) in zip(range(_DESTINATION, _PAYLOAD, 4), struct.iter_unpack("!I", care_of.packed), strict=True):
        steps += [Step(_LOAD_WORD, offset), Step(_IF_EQUAL, word, if_false="drop")]
    steps.append(Step(_LOAD_BYTE, _NEXT_HEADER))
    steps += [Step(_IF_EQUAL, each, if_true="take") for each in WHOLE]
    steps += [
        Step(_IF_EQUAL, ICMPV6, if_false="udp"),
        Step(_LOAD_BYTE, _PAYLOAD),
        Step(_IF_AT_LEAST, ICMPV6_ERRORS.stop, if_true="drop"),
        Step(_IF_AT_LEAST, ICMPV6_ERRORS.start, if_true="take", if_false="drop"),
        Step(_IF_EQUAL, UDP, if_false="drop"),
        Step(_LOAD_HALF, _PAYLOAD + 2),
        Step(_IF_EQUAL, IKE_PORT, if_true="take"),
        Step(_IF_EQUAL, NAT_T_PORT, if_true="take"),
        Step(_IF_AT_LEAST, PORTS.start, if_false="drop"),
        Step(_LOAD_HALF, _PAYLOAD),
        Step(_IF_EQUAL, DNS_PORT, if_true="take", if_false="drop"),
    ]
    return _assemble(steps, {"udp": steps.index(Step(_IF_EQUAL, UDP, if_false="drop"))})


def _assemble(steps: Sequence[Step], labels: dict[str, int]) -> list[Instruction]:
    """Turn labels into distances; every program ends with its two verdicts."""
    places = {**labels, "drop": len(steps), "take": len(steps) + 1}
    program = [
        (
            step.code,
            places[step.if_true] - position - 1 if step.if_true else 0,
            places[step.if_false] - position - 1 if step.if_false else 0,
            step.value,
        )
        for position, step in enumerate(steps)
    ]
    return [*program, (_RETURN, 0, 0, 0), (_RETURN, 0, 0, _EVERYTHING)]


def attach(receiver: socket.socket, program: Sequence[Instruction]) -> None:
    """Let only what ``program`` takes reach a socket, from now on."""
    code = array("B", b"".join(struct.pack("=HBBI", *each) for each in program))
    descriptor = struct.pack("@HP", len(program), code.buffer_info()[0])
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
