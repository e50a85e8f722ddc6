# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged copies of the reference captures: what the checker finds in each, what the dissector remarks, and where."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from tests.check.damage import (
    ETHERNET,
    Damaged,
    Payloads,
    blank_option,
    set_lifetime,
    set_sequence,
    set_status,
)
from tests.check.mutation.campaign import damaged
from tests.check.mutation.layers import Keys, parse
from tests.dissectors.packets import forge

Damage = Callable[[Path, Path], Path]
"""Writes a damaged copy of the case in the first folder into the second file."""

UPDATE, ACKNOWLEDGEMENT, BINDING_ERROR = 5, 6, 7
IPV4_ADDRESS_ACKNOWLEDGEMENT, OUT_OF_WINDOW, NO_BINDING = 30, 135, 1
CONFIGURATION, EAP = 47, 48


class Agreed(NamedTuple):
    """A damaged copy of a case: what the checker calls it (a rule or a step), and what the dissector does, where."""

    case: str
    damage: Damage
    rule: str
    expert: str
    at: int


class Unjudged(NamedTuple):
    """What the dissector points out, and why it is nothing wrong to the checker, which passes it."""

    case: str
    damage: Damage
    why: str
    expert: str
    at: int


def mutant(frame: int, name: str) -> Damage:
    """One field, option or payload of a frame is wrong."""
    return lambda folder, file: damaged(folder, frame, name, file)


def whole(change: Callable[[Damaged], None]) -> Damage:
    """Frames are moved, dropped, repeated, or opened and sealed again."""

    def damage(folder: Path, file: Path) -> Path:
        trace = Damaged.load(folder / "trace.pcapng", folder / "wireshark")
        change(trace)
        return trace.save(file)

    return damage


def later(frame: int, seconds: float) -> Damage:
    """A silence before a frame."""

    def change(trace: Damaged) -> None:
        for record in trace.records:
            record.time += seconds if record.number >= frame else 0

    return whole(change)


def payload(frame: int, kind: int, edit: Callable[[bytes], bytes]) -> Damage:
    """The body of a payload of an IKE message is changed."""

    def payloads(found: Payloads) -> Payloads:
        return [(one, edit(body) if one == kind else body) for one, body in found]

    return whole(lambda trace: trace.edit_ike(frame, payloads))


def dhcpv6(frame: int, edit: Callable[[bytes], bytes]) -> Damage:
    """A DHCPv6 message is changed."""

    def change(trace: Damaged) -> None:
        record = trace.frame(frame)
        packet = parse(record.data[ETHERNET:], Keys({}, {}))
        message = packet.layer("dhcpv6")
        message.data = bytearray(edit(bytes(message.data)))
        record.data = record.data[:ETHERNET] + packet.build()

    return whole(change)


def binding_error(trace: Damaged) -> None:
    """The home agent of the case `attach` knows no binding any more (RFC 6275 9.3.3)."""
    body = bytes([NO_BINDING, 0]) + forge.HOME_ADDRESS.packed
    header = forge.mobility(BINDING_ERROR, body, forge.HOME_AGENT, forge.CARE_OF)
    packet = IPv6(src=str(forge.HOME_AGENT), dst=str(forge.CARE_OF), nh=forge.MOBILITY_HEADER) / Raw(header)
    trace.insert(17, bytes(packet))


def renumbered(told: int) -> Damage:
    """The home agent of the case `attach` still remembers a later sequence number, and tells it with status 135
    (RFC 6275 9.5.1, 10.3.2): `told` ahead of the one that the UE goes on with."""

    def change(trace: Damaged) -> None:
        first, refusal, update, answer = 16, 17, -16, -17
        trace.repeat(first)
        trace.repeat(refusal)
        trace.move(update, refusal)
        trace.move(answer, update)
        numbers: list[int] = []
        trace.edit_mobility(update, lambda it: numbers.extend(struct.unpack_from("!H", it, 6)), esp_sequence=2)
        trace.edit_mobility(answer, esp_sequence=2)
        trace.edit_mobility(first, set_sequence(UPDATE, (numbers[0] - 300) % 0x10000))
        trace.edit_mobility(refusal, blank_option(IPV4_ADDRESS_ACKNOWLEDGEMENT))
        trace.edit_mobility(refusal, set_status(OUT_OF_WINDOW))
        trace.edit_mobility(refusal, set_sequence(ACKNOWLEDGEMENT, (numbers[0] + told) % 0x10000))
        trace.edit_mobility(refusal, set_lifetime(0))

    return whole(change)


def _short_prefix(body: bytes) -> bytes:
    at = body.index(b"\0\x10\0\x15")  # MIP6_HOME_PREFIX of 21 octets
    return body[:at] + b"\0\x10\0\x14" + body[at + 4 : at + 24] + body[at + 25 :]


def _uncontained(message: bytes) -> bytes:
    at = message.index(b"\0\x45")  # OPTION_MIP6_IDINF or _UDINF: what is in it comes to stand beside it
    return message[:at] + message[at + 4 :]


AGREED = (
    Agreed("attach", mutant(16, "mh[3].payload_protocol"), "MH-PROTO", "mh.malformed", 16),
    Agreed("attach", mutant(16, "mh[3].checksum"), "MH-CHECKSUM", "mh.checksum.bad", 16),
    Agreed("attach", mutant(16, "mh[3].option_3.missing"), "I9", "option.missing", 16),
    Agreed("attach", mutant(16, "mh[3].type"), "I2", "ba.unsolicited", 17),
    Agreed("attach", mutant(16, "mh[3].lifetime=1"), "I4", "ba.lifetime", 17),
    Agreed("attach", mutant(16, "mh[3].option_29.missing"), "I7", "option.extra", 17),
    Agreed("attach", mutant(16, "mh[3].lifetime=0"), "I13", "after_detach", 18),
    Agreed("attach", mutant(17, "mh[3].sequence=30583"), "I2", "ba.sequence", 17),
    Agreed("attach", mutant(17, "mh[3].status=132"), "registration-acknowledged", "ba.refused", 17),
    Agreed("attach", mutant(17, "mh[3].lifetime=65535"), "I4", "ba.lifetime", 17),
    Agreed("attach", mutant(17, "mh[3].option_30.missing"), "BA-IPV4", "option.missing", 17),
    Agreed("attach", mutant(17, "mh[3].checksum"), "MH-CHECKSUM", "mh.checksum.bad", 17),
    Agreed("refresh", mutant(22, "mh[3].sequence=0"), "I3", "bu.sequence", 22),
    Agreed("attach", renumbered(0), "I3", "bu.sequence", 18),
    Agreed("refresh", mutant(28, "mh[3].lifetime=0"), "I13", "after_detach", 30),
    Agreed("detach", mutant(23, "mh[3].lifetime=1"), "I4", "ba.lifetime", 23),
    Agreed("ipv4-access-nat", mutant(11, "mh[4].option_32.missing"), "I10", "option.missing", 11),
    Agreed("ipv4-access-nat", mutant(11, "mh.option_3.again"), "I10", "option.extra", 11),
    Agreed("ipv4-access-nat", mutant(12, "mh[4].sequence=0"), "I2", "ba.sequence", 12),
    Agreed("attach", mutant(13, "ike[2].payload_47_1.attribute_16.prefix"), "I6", "hoa.outside", 16),
    Agreed("attach", mutant(16, "dstopts[1].home_address=20010db80bad00000000000000000bad"), "I6", "hoa.outside", 16),
    Agreed("attach", mutant(16, "esp.stripped"), "MH-CLEAR", "unprotected", 16),
    Agreed("attach", mutant(17, "esp.stripped"), "MH-CLEAR", "unprotected", 17),
    Agreed("attach", mutant(15, "ike[2].payload_44_3.address"), "MH-SA", "sa.wrong", 16),
    Agreed("attach", whole(lambda it: it.edit_home_address(16, IPv6Address("2001:db8:1:1::101"))),
           "MH-SA", "sa.wrong", 16),
    Agreed("attach", whole(lambda it: it.drop(7)), "ike-sa-init-response", "order", 7),
    Agreed("attach", whole(lambda it: it.move(14, 7)), "IKE-ID", "order", 8),
    Agreed("attach", whole(lambda it: it.move(16, 13)), "early-update", "order", 14),
    Agreed("detach", whole(lambda it: it.move(24, 21)), "ike-delete", "order", 23),
    Agreed("ipv4-access-nat", later(18, 92.5), "NAT-KEEPALIVE", "keepalive.late", 18),  # 112.5 of 110 s
    Agreed("ipv4-access-nat", later(18, 900), "NAT-KEEPALIVE", "keepalive.late", 18),
    Agreed("attach", mutant(7, "ike[2].payload_41_5.error"), "ike-sa-init-response", "ike.error", 7),
    Agreed("attach", mutant(15, "ike[2].payload_41_0.error"), "create-child-sa-response", "ike.error", 15),
    Agreed("attach", mutant(11, "ike[2].payload_48_0.code"), "EAP-FAILURE", "eap.failure", 11),
    Agreed("attach", whole(binding_error), "BE", "binding_error", 18),
    Agreed("attach", whole(lambda it: it.repeat(16)), "ESP-REPLAY", "retransmission", 17),
    Agreed("rfc4285", mutant(1, "mh[2].option_9.authenticator=00000000"), "MNHA-MAC", "auth.bad", 1),
    Agreed("attach", payload(13, CONFIGURATION, _short_prefix), "CFG-SIZES", "cfg.malformed", 13),
    Agreed("home-link", dhcpv6(3, _uncontained), "DHCP-CONTAINED", "dhcpv6.outside", 3),
    Agreed("home-link", dhcpv6(3, lambda it: it.replace(b"\0\x47\0\x11", b"\0\x48\0\x11")),
           "MALFORMED", "dhcpv6.malformed", 3),
)  # fmt: skip

UNJUDGED = (
    Unjudged("attach", renumbered(-1), "the UE goes on from that number, as RFC 6275 11.7.1 asks", "ba.refused", 17),
    Unjudged("attach", whole(lambda it: it.repeat(8)), "a request may be repeated (RFC 7296 2.1)", "retransmission", 9),
    Unjudged("attach", whole(lambda it: it.repeat(15)), "so may its answer (RFC 7296 2.1)", "retransmission", 16),
    Unjudged("attach", payload(9, EAP, lambda it: it[:9] + b"\0" + it[10:]),
             "of EAP-AKA it judges method, order and outcome; attributes are for the peers (RFC 4187 6.3)",
             "eap.malformed", 9),
)  # fmt: skip

UNREMARKED = (
    ("ipv4-access-nat", later(18, 89)),  # 109.02 of 110 s
    ("attach", whole(lambda it: it.move(4, 5))),  # answers of a name server come in any order
)
"""What neither has anything to say about, though it is close to what both speak of."""

APART = {
    "wrong_key": "of keys, not of captures: a test of its own",
    "auth.key_file": "of the dissector's own preference file, which the checker does not read",
}
"""Remarks without a row, and why."""
