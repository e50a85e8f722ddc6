# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of flow files: kinds of messages with their fields, and comparisons.

A second judge of the reading: a message of a capture never has a field that is not listed here (a test compares).
"""

from __future__ import annotations

from mn_dsmip.check.model import IKE_KINDS, MOBILITY_KINDS
from mn_dsmip.check.reading.fields import FIELDS as READ


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANY = _words("source destination malformed bad_udp_checksum udp outer_version source_port destination_port")
_IKE = _ANY | _words(
    """
    spi_i spi_r response from_initiator message_id encrypted payloads notify errors proposals suites sa_protocol spis
    encryption dh_groups dh_group id_i_type id_i id_r_type id_r certificate_encoding auth_method delete deleted_spis
    ts_i ts_i_protocols ts_i_ports ts_r ts_r_protocols ts_r_ports cfg_type cfg_attributes home_prefixes
    home_prefix_lifetimes home_agent_addresses cfg_dns_servers eap_code eap_type eap_subtype eap_identity
    eap_attributes eap_notification cookie nat_detection redirect_to redirect_nonce redirected_from
    """
)
_MOBILITY = _ANY | _words(
    """
    protected mh_type header_length octets checksum_correct home_address home_address_option type2_routing end_source
    end_destination options spi esp_sequence
    """
)
_OPTIONS = _words(
    """
    mn_id service_selection message_id authentication_spi authentication_subtype authenticator binding_ids
    home_network_prefixes ipv4_home_address ipv4_prefix_length
    """
)
_UPDATE = _OPTIONS | _words(
    """
    acknowledge home_registration link_local key_management map_registration mobile_router proxy force_udp tlv_header
    overwrite sequence lifetime alternate_care_of_address ipv4_prefix_request ipv4_care_of_address
    """
)
_ACKNOWLEDGEMENT = _OPTIONS | _words(
    """
    key_management mobile_router status sequence lifetime refresh_advice ipv4_status nat_detection nat_refresh
    nat_force_udp
    """
)
_REVOCATION = _OPTIONS | _words(
    "indication revocation_type trigger status sequence proxy_binding ipv4_only global_revocation"
)
_OWN = {
    "binding_update": _UPDATE,
    "binding_acknowledgement": _ACKNOWLEDGEMENT,
    "binding_revocation": _REVOCATION,
    "binding_error": _words("status"),
    "home_agent_switch": _words("home_agent_addresses"),
}
_DATA = _ANY | _words("protected protocol icmp_type icmp icmp_id icmp_sequence tcp")
_ICMPV6 = _ANY | _words("icmp_type icmp_code response id")

FIELDS: dict[str, frozenset[str]] = {
    "router_advertisement": _ANY | _words("prefixes autonomous_prefixes dns_servers router_lifetime"),
    "dns": _ANY | _words("response id name type rcode addresses"),
    "dhcpv6": _ANY
    | _words("msg_type transaction_id home_network_id home_agent_addresses home_prefixes identified options"),
    **dict.fromkeys([*IKE_KINDS.values(), "ike_other"], _IKE),
    **{kind: _MOBILITY | _OWN.get(kind, frozenset()) for kind in [*MOBILITY_KINDS.values(), "mobility"]},
    "esp": _ANY | _words("spi esp_sequence protected end_source end_destination home_address next_header"),
    "tunnelled": _DATA | _words("inner_source inner_destination inner_version"),
    "plain": _DATA,
    "keepalive": _ANY,
    "home_agent_discovery": _ICMPV6 | _words("addresses"),
    "mobile_prefix": _ICMPV6 | _words("prefixes home_address home_address_option type2_routing protected"),
    "icmpv6_error": _ICMPV6 | _words("quoted_source quoted_destination quoted_headers quoted_ports"),
}

FIELDS = {kind: FIELDS.get(kind, _ANY) | words for kind, words in READ.items()}

# Comparison: what an expectation with it reads like, before the value.
OPERATORS = {
    "is": "",
    "is_not": "not ",
    "lt": "less than ",
    "le": "at most ",
    "gt": "more than ",
    "ge": "at least ",
    "one_of": "one of ",
    "contains": "with ",
    "contains_any": "with one of ",
    "lacks": "without ",
    "in_prefix": "in ",
    "matches": "matching ",
    "count": "exactly this many: ",
    "present": "present: ",
}
SEVERITIES = ("violation", "warning", "note")
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "units": 4.0}  # units: of lifetimes, RFC 6275 6.1.7
