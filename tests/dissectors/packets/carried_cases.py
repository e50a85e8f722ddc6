# SPDX-License-Identifier: GPL-2.0-or-later
"""What carries or precedes Mobility Headers: UDP encapsulation, DHCPv6, IKEv2, EAP-AKA."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from tests.dissectors.packets.case import Case, Fields
from tests.dissectors.packets.forge import (
    CARE_OF_IPV4,
    CONFIGURATION,
    EAP,
    HOME_ADDRESS,
    HOME_ADDRESS_IPV4,
    HOME_AGENT,
    HOME_AGENT_IPV4,
    NAI,
    NULL_KEYS,
    SELECTORS_I,
    attribute,
    dhcpv6,
    eap_aka,
    ike,
    in_udp,
    inner,
    name,
    option,
    selector,
    update,
)
from tests.dissectors.packets.mobility_cases import ASK_IPV4, GOOD

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
