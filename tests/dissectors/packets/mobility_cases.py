# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility Headers: checksums, status names, options, authenticators."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from scapy.layers.inet6 import IPv6

from tests.dissectors.packets.case import Case
from tests.dissectors.packets.forge import (
    ACKNOWLEDGEMENT,
    CARE_OF,
    CARE_OF_IPV4,
    HOME_ADDRESS,
    HOME_ADDRESS_IPV4,
    HOME_AGENT,
    HOME_AGENT_IPV4,
    NAI,
    REVOCATION,
    SWITCH,
    UPDATE,
    acknowledgement,
    authenticated,
    frame,
    from_home_agent,
    in_ipv4,
    in_udp,
    inner,
    mobility,
    name,
    padding,
    to_home_agent,
    update,
)

GOOD, BAD, UNCHECKED = ["1"], ["0"], ["2"]
ALTERNATE = padding(2) + bytes([3, 16]) + CARE_OF.packed  # at 8n+6 behind an option of 8 octets
ASK_IPV4 = bytes([29, 6, 0x80, 0, 0, 0, 0, 0])


def ipv4_acknowledgement(status: int) -> bytes:
    return bytes([30, 6, status, 0x80]) + HOME_ADDRESS_IPV4.packed


def revocation(answer: bool, value: int) -> bytes:
    body = struct.pack("!BBHH", 2 if answer else 1, value, 0x1234, 0)
    ends = (HOME_ADDRESS, HOME_AGENT) if answer else (HOME_AGENT, HOME_ADDRESS)
    header = mobility(REVOCATION, body, *ends)
    return to_home_agent(header) if answer else from_home_agent(header)


CHECKSUMS = Case(
    "checksum over the home address",
    [
        to_home_agent(update(ASK_IPV4, ALTERNATE)),
        to_home_agent(update(ASK_IPV4, ALTERNATE, damage=1)),
        from_home_agent(acknowledgement()),
        in_udp(inner(HOME_ADDRESS, HOME_AGENT, update(ASK_IPV4))),
        in_ipv4(update(ASK_IPV4)),
        frame(bytes(IPv6(src=str(CARE_OF), dst=str(HOME_AGENT), nh=41) / inner(HOME_ADDRESS, HOME_AGENT, update()))),
    ],
    {
        1: {"dsmip.mh.checksum.status": GOOD},
        2: {
            "dsmip.mh.checksum.status": BAD,
            "dsmip.mh.checksum.expected": ["0x11b7"],
            "dsmip.expert.mh.checksum.bad": ["Checksum 0x11b8, 0x11b7 would be right (RFC 6275 6.1.1)"],
        },
        3: {"dsmip.mh.checksum.status": GOOD},
        4: {"dsmip.mh.checksum.status": GOOD},
        5: {"dsmip.mh.checksum.status": UNCHECKED},
        6: {"dsmip.mh.checksum.status": GOOD},
    },
)

CUT = Case(
    "a capture that cuts every frame",
    CHECKSUMS.frames[:4] * 80,  # more than Lua survives when a read beyond the capture leaks its stack
    {
        number: {"dsmip.mh.checksum.status": UNCHECKED, "mip6.bu.seqnr": ["1"]}
        if number % 4 != 3  # short enough to be there as a whole
        else {"dsmip.mh.checksum.status": GOOD}
        for number in range(1, 321)
    },
    snaplen=96,
)

STATUSES = (0, 1, 128, 135, 143, 144, 145, 146, 147, 148, 179, 180, 200)
ACKNOWLEDGEMENTS = Case(
    "status of a Binding Acknowledgement",
    [from_home_agent(acknowledgement(status=status)) for status in STATUSES],
    {number: {"dsmip.ba.status": [str(status)]} for number, status in enumerate(STATUSES, 1)},
)

IPV4_STATUSES = (0, 128, 129, 130, 131, 132, 133)
IPV4_ACKNOWLEDGEMENTS = Case(
    "status of the IPv4 Address Acknowledgement option",
    [from_home_agent(acknowledgement(ipv4_acknowledgement(status))) for status in IPV4_STATUSES],
    {number: {"dsmip.ipv4.status": [str(status)]} for number, status in enumerate(IPV4_STATUSES, 1)},
)

BRA_STATUSES = (0, 1, 128, 129, 130, 131, 132, 133, 134, 135)
REVOCATIONS = Case(
    "status of a Binding Revocation Acknowledgement",
    [revocation(False, 1), *(revocation(True, status) for status in BRA_STATUSES)],
    {
        1: {"dsmip.mh.checksum.status": GOOD},
        **{
            number: {"dsmip.mh.checksum.status": GOOD, "dsmip.bra.status": [str(status)]}
            for number, status in enumerate(BRA_STATUSES, 2)
        },
    },
)

BID = padding(2) + bytes([35, 20, 0, 1, 0, 7]) + CARE_OF.packed  # at 8n+2... behind an option of 8 octets and PadN
OVERWRITE = Case(
    "flag 0x0040",
    [
        to_home_agent(update(ASK_IPV4, padding(6), BID[2:], flags=0xD440)),
        to_home_agent(update(ASK_IPV4, ALTERNATE, flags=0xD440)),
        to_home_agent(update(flags=0xC240)),
        to_home_agent(update(flags=0xD400)),
    ],
    {
        1: {"dsmip.bu.overwrite": ["O (overwrite, RFC 5648)"], "dsmip.bid.priority": ["7"]},
        2: {"dsmip.bu.overwrite": ["O (overwrite, RFC 5648) without a Binding Identifier, or B (bulk, RFC 6602)"]},
        3: {"dsmip.bu.overwrite": ["B (bulk binding update, RFC 6602)"]},
        4: {},
    },
)

KEY, OTHER_KEY = bytes(range(16)), bytes(16)
NAI_OPTION = bytes([8, 1 + len(NAI), 1]) + NAI
STAMP = bytes([10, 8]) + struct.pack("!II", 3976214400, 0x80000000)  # 2026-01-01 00:00:00.5
# Alternate CoA at 8n+6 behind the identifier (offset 69 of the header) and the timestamp at 8n+2.
SIGNED = struct.pack("!HHH", 7, 0xC400, 900) + NAI_OPTION
SIGNED += padding((2 - 6 - len(SIGNED)) % 8) + STAMP
ALTERNATE_BEHIND = padding((6 - 6 - len(SIGNED)) % 8) + bytes([3, 16]) + CARE_OF.packed
IPV4_BEHIND = padding((0 - 6 - len(SIGNED)) % 4) + bytes([32, 6, 0, 0]) + CARE_OF_IPV4.packed
ANSWER = struct.pack("!BBHH", 0, 0x40, 7, 900) + NAI_OPTION
MAPPED = IPv6Address(f"::ffff:{CARE_OF_IPV4}").packed


def signed(**changes: object) -> bytes:
    return authenticated(UPDATE, SIGNED + ALTERNATE_BEHIND, KEY, CARE_OF.packed, **changes)  # type: ignore[arg-type]


AUTHENTICATED_FRAMES = [
    to_home_agent(signed()),
    from_home_agent(authenticated(ACKNOWLEDGEMENT, ANSWER, KEY, CARE_OF.packed)),
    to_home_agent(signed(forged=True)),
    to_home_agent(signed(spi=257)),
    to_home_agent(signed(spi=3, subtype=2)),
    in_udp(inner(HOME_ADDRESS, HOME_AGENT, authenticated(UPDATE, SIGNED + IPV4_BEHIND, KEY, MAPPED))),
]
AUTHENTICATED = Case(
    "RFC 4285 with a key",
    AUTHENTICATED_FRAMES,
    {
        1: {
            "dsmip.auth.status": GOOD,
            "dsmip.auth.subtype": ["1"],
            "dsmip.mesg_id.time": ["Jan  1, 2026 00:00:00.500000000 UTC"],
        },
        2: {"dsmip.auth.status": GOOD, "dsmip.auth.subtype": ["1"]},
        3: {
            "dsmip.auth.status": BAD,
            "dsmip.auth.subtype": ["1"],
            "dsmip.mesg_id.time": ["Jan  1, 2026 00:00:00.500000000 UTC"],
            "dsmip.expert.auth.bad": ["Authenticator is wrong: no key and care-of address give this authenticator"],
        },
        4: {
            "dsmip.auth.status": UNCHECKED,
            "dsmip.auth.subtype": ["1"],
            "dsmip.mesg_id.time": ["Jan  1, 2026 00:00:00.500000000 UTC"],
        },
        5: {
            "dsmip.auth.status": GOOD,
            "dsmip.auth.subtype": ["2"],
            "dsmip.mesg_id.time": ["Jan  1, 2026 00:00:00.500000000 UTC"],
        },
        6: {
            "dsmip.auth.status": GOOD,
            "dsmip.auth.subtype": ["1"],
            "dsmip.mesg_id.time": ["Jan  1, 2026 00:00:00.500000000 UTC"],
        },
    },
    auth_keys=f"256 {KEY.hex()} {NAI.decode()}\n256 {OTHER_KEY.hex()} another@example.com\n3 0x{KEY.hex()}\n",
)
WRONG_KEY = Case(
    "RFC 4285 with another key",
    AUTHENTICATED_FRAMES[:2],
    {1: {"dsmip.auth.status": BAD}, 2: {"dsmip.auth.status": BAD}},
    auth_keys=f"256 {OTHER_KEY.hex()}\n",
)
UNSEEN_UPDATE = Case(
    "RFC 4285 answer whose Binding Update was not captured",
    [AUTHENTICATED_FRAMES[1], AUTHENTICATED_FRAMES[0], AUTHENTICATED_FRAMES[1]],
    {1: {"dsmip.auth.status": UNCHECKED}, 2: {"dsmip.auth.status": BAD}, 3: {"dsmip.auth.status": BAD}},
    auth_keys=f"256 {OTHER_KEY.hex()}\n",
)
BROKEN_KEYS = Case(
    "RFC 4285 with a key file that is none",
    AUTHENTICATED_FRAMES[:1],
    {
        1: {
            "dsmip.auth.status": UNCHECKED,
            "dsmip.expert.auth.key_file": ["RFC 4285 keys: {auth_keys}: line 1: not `SPI KEY [IDENTITY]`"],
        }
    },
    auth_keys="nonsense\n",
)
NO_KEYS = Case(
    "RFC 4285 without a key",
    AUTHENTICATED_FRAMES[:2],
    {1: {"dsmip.auth.status": UNCHECKED}, 2: {"dsmip.auth.status": UNCHECKED}},
)

SELECTOR = bytes([1, 0]) + struct.pack("!I4sHH", 0x82800000, HOME_AGENT_IPV4.packed, 80, 443)  # RFC 6088: A, G, I
SUBOPTIONS = bytes([2, 4, 0, 1, 0, 2, 3, len(SELECTOR)]) + SELECTOR
FLOWS = bytes([44, 4, 0, 7, 0, 9, 45, 6 + len(SUBOPTIONS), 0, 7, 0, 10, 0, 131]) + SUBOPTIONS
FLOW = {
    "dsmip.flow_summary.id": ["7", "9"],
    "dsmip.flow.id": ["7"],
    "dsmip.flow.priority": ["10"],
    "dsmip.flow.bid": ["1", "2"],
    "dsmip.flow.selector": ["source 192.0.2.1, source port 80, destination port 443"],
}
DNS_UPDATE = bytes([17, 2 + 17, 129, 0x80]) + name("ue1.example.com")
OTHERS = Case(
    "flows, Home Agent Switch, DNS Update, malformed options",
    [
        to_home_agent(update(FLOWS)),
        from_home_agent(acknowledgement(FLOWS)),
        from_home_agent(mobility(SWITCH, bytes([2, 0]) + HOME_AGENT.packed + CARE_OF.packed, HOME_AGENT, HOME_ADDRESS)),
        from_home_agent(acknowledgement(DNS_UPDATE)),
        to_home_agent(update(bytes([29, 4, 0, 0, 0, 0]))),
        from_home_agent(mobility(22, bytes(10), HOME_AGENT, HOME_ADDRESS)),
    ],
    {
        1: FLOW,
        2: FLOW | {"dsmip.flow.status": ["131"]},
        3: {"dsmip.has.home_agent": [str(HOME_AGENT), str(CARE_OF)]},
        4: {"dsmip.dns_update.name": ["ue1.example.com"]},
        5: {"dsmip.expert.mh.malformed": ["IPv4 Home Address option with 4 octets of data"]},
        6: {},
    },
)
