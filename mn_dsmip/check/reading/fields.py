# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of message with every field it may have: the one list that flow files are checked against.

A field that a message does not have is one that its packet does not have, or that could not be seen.
"""

from __future__ import annotations

from mn_dsmip.check.model import IKE_KINDS, MOBILITY_KINDS
from mn_dsmip.check.reading.dhcpv6 import DHCPV6_FIELDS
from mn_dsmip.check.reading.dns import DNS_FIELDS
from mn_dsmip.check.reading.icmp import ADVERTISEMENT_FIELDS, DISCOVERY_FIELDS, ERROR_FIELDS
from mn_dsmip.check.reading.ike import IKE_FIELDS
from mn_dsmip.check.reading.mobility import FIXED_FIELDS, OPTION_FIELDS


def _words(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


_EVERY = _words("source destination outer_source outer_destination malformed bad_udp_checksum")
_OUTER = _words("udp outer_version source_port destination_port")  # RFC 5555's encapsulation
_ESP = _words("spi esp_sequence end_source end_destination home_address")
_IKE = _EVERY | _words(IKE_FIELDS)
_MOBILITY = (
    _EVERY
    | _OUTER
    | _ESP
    | _words(OPTION_FIELDS)
    | _words("protected mh_type header_length octets checksum_correct home_address_option type2_routing options")
)
_DATA = (
    _EVERY
    | _OUTER
    | _words("protected route_optimised protocol icmp_type icmp icmp_id icmp_sequence tcp tcp_ports tcp_sequence")
)
_ERROR = _EVERY | _words(ERROR_FIELDS)
_DISCOVERY = _EVERY | _OUTER | _words(DISCOVERY_FIELDS)

FIELDS: dict[str, frozenset[str]] = {
    "router_advertisement": _EVERY | _words(ADVERTISEMENT_FIELDS),
    "dns": _EVERY | _words(DNS_FIELDS),
    "dhcpv6": _EVERY | _words(DHCPV6_FIELDS),
    "home_agent_discovery": _DISCOVERY,
    "mobile_prefix": _DISCOVERY,
    "keepalive": _EVERY | _words("udp size source_port destination_port"),
    **dict.fromkeys([*IKE_KINDS.values(), "ike_other"], _IKE),
    **{kind: _MOBILITY.union(FIXED_FIELDS.get(kind, ())) for kind in [*MOBILITY_KINDS.values(), "mobility"]},
    "esp": _EVERY | _OUTER | _ESP | _words("protected next_header"),
    "tunnelled": _DATA | _words("inner_source inner_destination inner_version"),
    "plain": _DATA,
    "icmpv6_error": _ERROR,
    "icmp_error": _ERROR,
}
