# SPDX-License-Identifier: GPL-2.0-or-later
"""What the dissector must say of packets built octet by octet: one readable table for each case.

`expected` maps the number of a frame to the fields that must stand there, with all their values as `tshark -T fields`
prints them; every field named anywhere in a case is absent wherever it is not named.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from tests.dissectors.packets.forge import (
    ACKNOWLEDGEMENT,
    CARE_OF,
    CARE_OF_IPV4,
    CONFIGURATION,
    EAP,
    HOME_ADDRESS,
    HOME_ADDRESS_IPV4,
    HOME_AGENT,
    HOME_AGENT_IPV4,
    NAI,
    NULL_KEYS,
    REVOCATION,
    SELECTORS_I,
    SWITCH,
    UPDATE,
    acknowledgement,
    attribute,
    authenticated,
    dhcpv6,
    eap_aka,
    from_home_agent,
    ike,
    in_udp,
    inner,
    mobility,
    name,
    option,
    padding,
    selector,
    to_home_agent,
    update,
)

Fields = dict[str, list[str]]


@dataclass(frozen=True)
class Case:
    """Frames, what they are read with, and what must be read."""

    name: str
    frames: list[bytes]
    expected: dict[int, Fields]
    ike_keys: str = ""
    auth_keys: str = ""
    snaplen: int = 262144
    options: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[str]:
        """Every field named in the case."""
        return sorted({name for fields in self.expected.values() for name in fields})


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
    },
)

CUT = Case(
    "a capture that cuts every frame",
    CHECKSUMS.frames * 80,  # more than Lua survives when a read beyond the capture leaks its stack
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

PING = bytes.fromhex("45000021000140004001f45b0a2d0002cb0071500800b6200001000164736d6970")
KEEPALIVES = [b"", b"\xff", b"\x00", b"\x45" * 30, b"\x60" * 10, b"hello world, this is text of more than forty octets"]
ENCAPSULATED = Case(
    "UDP encapsulation",
    [
        in_udp(inner(HOME_ADDRESS, HOME_AGENT, update(ASK_IPV4))),
        in_udp(PING),
        in_udp(inner(HOME_ADDRESS, HOME_AGENT, update(ASK_IPV4)), source_port=40000, zero_checksum=True),
        *(in_udp(octets) for octets in KEEPALIVES),
    ],
    {
        1: {"dsmip_udp": ["dsmip_udp"], "mip6.mhtype": ["5"], "dsmip.mh.checksum.status": GOOD},
        2: {"dsmip_udp": ["dsmip_udp"], "icmp.type": ["8"]},
        3: {"dsmip_udp": ["dsmip_udp"], "mip6.mhtype": ["5"], "dsmip.mh.checksum.status": GOOD},
        **{number: {} for number in range(4, 4 + len(KEEPALIVES))},
    },
)
MOVED = Case(
    "UDP encapsulation on another port",
    [in_udp(PING), in_udp(PING, port=14191)],
    {1: {}, 2: {"dsmip_udp": ["dsmip_udp"], "icmp.type": ["8"]}},
    options=["-o", "dsmip_udp.port:14191"],
)
DECODED_AS = Case(
    "UDP encapsulation and a user's own Decode As",
    [in_udp(PING)],
    {1: {"ip.src": [str(CARE_OF_IPV4), str(HOME_ADDRESS_IPV4)]}},
    options=["-d", "udp.port==4191,ip"],
)

NETWORK = "internet.ha-apn.mnc001.mcc001.pub.3gppnetwork.org"
PREFIX = bytes([64]) + IPv6Address("2001:db8:1:1::").packed
TRANSLATED = IPv6Address("64:ff9b::c000:201")
IDENTIFIED = option(
    69,
    option(49, name(NETWORK))
    + option(71, PREFIX)
    + option(72, HOME_AGENT.packed)
    + option(72, TRANSLATED.packed)
    + option(73, name("ha1.example.com")),
)
REQUEST, REPLY = b"\x0b\xab\xcd\xef", b"\x07\xab\xcd\xef"
ANSWERED: Fields = {
    "dsmip.dhcpv6.option": ["69", "49", "71", "72", "72", "73"],
    "dsmip.dhcpv6.home_network": [NETWORK],
    "dsmip.dhcpv6.home_prefix": ["2001:db8:1:1::"],
    "dsmip.dhcpv6.home_prefix.length": ["64"],
    "dsmip.dhcpv6.home_agent": [str(HOME_AGENT), str(TRANSLATED)],
    "dsmip.dhcpv6.home_agent_ipv4": [str(HOME_AGENT_IPV4)],
    "dsmip.dhcpv6.home_agent_name": ["ha1.example.com"],
}
RELAYED = b"\x0d\x00" + bytes(32) + option(9, REPLY + IDENTIFIED)
DISCOVERY = Case(
    "DHCPv6 discovery of a home network",
    [
        dhcpv6(REQUEST + option(6, bytes.fromhex("00450031004700480049")) + option(49, name(NETWORK))),
        dhcpv6(REPLY + IDENTIFIED, reply=True),
        dhcpv6(RELAYED, reply=True),
        dhcpv6(REPLY + option(50, option(72, HOME_AGENT.packed)) + option(70, option(49, name("example"))), reply=True),
        dhcpv6(REPLY + option(72, HOME_AGENT.packed), reply=True),
        dhcpv6(REPLY + option(69, option(71, PREFIX[:9])), reply=True),
    ],
    {
        1: {"dsmip.dhcpv6.option": ["49"], "dsmip.dhcpv6.home_network": [NETWORK]},
        2: ANSWERED,
        3: ANSWERED,
        4: {
            "dsmip.dhcpv6.option": ["50", "72", "70", "49"],
            "dsmip.dhcpv6.home_agent": [str(HOME_AGENT)],
            "dsmip.dhcpv6.home_network": ["example"],
        },
        5: {
            "dsmip.dhcpv6.option": ["72"],
            "dsmip.dhcpv6.home_agent": [str(HOME_AGENT)],
            "dsmip.expert.dhcpv6.outside": [
                "MIP6_HAA (home agent address) outside options 50, 69 and 70: clients discard it (RFC 6610 4.1.2)"
            ],
        },
        6: {
            "dsmip.dhcpv6.option": ["69", "71"],
            "dsmip.expert.dhcpv6.malformed": ["MIP6_HNP (home network prefix): not 17 octets"],
        },
    },
)


def configuration(kind: int, value: bytes, *, request: bool = False) -> tuple[int, bytes]:
    body = bytes([1 if request else 2, 0, 0, 0]) + struct.pack("!HH", kind, len(value)) + value
    return CONFIGURATION, body


HOME_PREFIX = struct.pack("!I", 86400) + IPv6Address("2001:db8:1:1::").packed + bytes([64])
CONFIGURED = Case(
    "IKEv2 configuration and traffic selectors",
    [
        ike(configuration(16, b"", request=True), (SELECTORS_I, selector(135, 0, 65535, HOME_ADDRESS))),
        ike(configuration(16, HOME_PREFIX), (SELECTORS_I, selector(135, 0x0500, 0x0500, HOME_ADDRESS)), response=True),
        ike(configuration(19, HOME_AGENT.packed), response=True),
        ike(configuration(19, HOME_AGENT.packed + HOME_AGENT_IPV4.packed), response=True),
        ike(configuration(16, bytes(4)), (SELECTORS_I, selector(17, 500, 500, HOME_ADDRESS)), response=True),
        ike((SELECTORS_I, selector(135, 0x1000, 0x1000, HOME_ADDRESS)), exchange=36),
    ],
    {
        1: {"dsmip.ts.mh": ["any MH type"]},
        2: {
            "dsmip.cfg.home_prefix": ["2001:db8:1:1::"],
            "dsmip.cfg.home_prefix.length": ["64"],
            "dsmip.cfg.home_prefix.lifetime": ["86400"],
            "dsmip.ts.mh": ["BU"],
        },
        3: {"dsmip.cfg.home_agent": [str(HOME_AGENT)]},
        4: {"dsmip.cfg.home_agent": [str(HOME_AGENT)], "dsmip.cfg.home_agent_ipv4": [str(HOME_AGENT_IPV4)]},
        5: {
            "dsmip.expert.cfg.malformed": [
                "Configuration attribute 16 of 4 octets: neither 0 nor 21 octets (RFC 5026 8.2)"
            ]
        },
        6: {"dsmip.ts.mh": ["BRI/BRA"]},
    },
    ike_keys=NULL_KEYS,
)

RAND, AUTN, MAC, RES, AUTS = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)), bytes(8), bytes(range(14))
COUNTED = struct.pack("!H", len(NAI)) + NAI
EAP_FRAMES = [
    eap_aka(1, 1, attribute(1, b"\0\0" + RAND), attribute(2, b"\0\0" + AUTN), attribute(11, b"\0\0" + MAC)),
    eap_aka(2, 1, attribute(3, struct.pack("!H", 64) + RES), attribute(11, b"\0\0" + MAC)),
    eap_aka(2, 4, attribute(4, AUTS)),
    eap_aka(2, 5, attribute(14, COUNTED)),
    eap_aka(1, 12, attribute(12, struct.pack("!H", 1031))),
    eap_aka(2, 14, attribute(22, struct.pack("!H", 0))),
    eap_aka(1, 1, attribute(24, b"\0\1"), attribute(23, b"\0\4WLAN"), attribute(134, b"\0\0"), method=50),
    eap_aka(1, 1, attribute(3, struct.pack("!H", 999) + RES), attribute(136, b"\x80\0")),
    eap_aka(1, 5, attribute(134, b"\0\0" + RAND + bytes(4))),
    eap_aka(1, 13, attribute(129, b"\0\0" + RAND), attribute(130, b"\0\0" + MAC), attribute(19, b"\0\3")),
]
EAP_AKA = Case(
    "EAP-AKA attributes",
    [ike((EAP, packet), response=packet[0] == 1) for packet in EAP_FRAMES],
    {
        1: {"dsmip.eap.rand": [RAND.hex()], "dsmip.eap.autn": [AUTN.hex()], "dsmip.eap.mac": [MAC.hex()]},
        2: {"dsmip.eap.res": [RES.hex()], "dsmip.eap.mac": [MAC.hex()]},
        3: {"dsmip.eap.auts": [AUTS.hex()]},
        4: {"dsmip.eap.identity": [NAI.decode()]},
        5: {"dsmip.eap.notification": ["1031"]},
        6: {"dsmip.eap.client_error": ["0"]},
        7: {"dsmip.eap.kdf": ["1"], "dsmip.eap.kdf_input": ["WLAN"]},
        8: {
            "dsmip.eap.bidding": ["0x8000"],
            "dsmip.expert.eap.malformed": ["EAP-AKA attribute 3: an odd length"],
        },
        9: {"dsmip.eap.checkcode": [RAND.hex() + "00000000"]},
        10: {"dsmip.eap.iv": [RAND.hex()], "dsmip.eap.encrypted": [MAC.hex()], "dsmip.eap.counter": ["3"]},
    },
    ike_keys=NULL_KEYS,
)

CASES = [
    CHECKSUMS,
    CUT,
    ACKNOWLEDGEMENTS,
    IPV4_ACKNOWLEDGEMENTS,
    REVOCATIONS,
    OVERWRITE,
    AUTHENTICATED,
    WRONG_KEY,
    BROKEN_KEYS,
    NO_KEYS,
    OTHERS,
    ENCAPSULATED,
    MOVED,
    DECODED_AS,
    DISCOVERY,
    CONFIGURED,
    EAP_AKA,
]
