# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of flow files: kinds of messages with their fields, and comparisons."""

from __future__ import annotations

from mn_dsmip.check.model import IKE_KINDS, MOBILITY_KINDS
from mn_dsmip.check.reading.dissect import BA_FLAGS, BU_FLAGS

_ADDRESSES = frozenset({"source", "destination", "malformed", "bad_udp_checksum"})
_IKE_WORDS = """
    spi_i spi_r response from_initiator message_id encrypted source_port destination_port payloads notify errors
    proposals sa_protocol spis encryption dh_groups dh_group id_i_type id_i id_r_type id_r certificate_encoding
    auth_method delete deleted_spis ts_i ts_i_protocols ts_i_ports ts_r ts_r_protocols ts_r_ports cfg_type
    cfg_attributes home_prefixes home_prefix_lifetimes cfg_dns_servers eap_code eap_type eap_subtype protected
    mh_type header_length octets udp home_address_option type2_routing end_source end_destination options
    home_address source_port destination_port spi esp_sequence udp protected protocol icmp_type icmp icmp_id
    icmp_sequence
"""
_MOBILITY_WORDS = """
    protected mh_type header_length octets udp home_address_option type2_routing end_source end_destination
    options home_address source_port destination_port spi esp_sequence udp protected protocol icmp_type icmp
    icmp_id icmp_sequence
"""
_UPDATE_WORDS = """
    sequence lifetime alternate_care_of_address ipv4_home_address ipv4_prefix_length ipv4_prefix_request
    ipv4_care_of_address
"""
_ACKNOWLEDGEMENT_WORDS = "status sequence lifetime refresh_advice ipv4_home_address ipv4_prefix_length ipv4_status"
_DATA_WORDS = "udp protected protocol icmp_type icmp icmp_id icmp_sequence"
_IKE = _ADDRESSES.union(_IKE_WORDS.split())
_MOBILITY = _ADDRESSES.union(_MOBILITY_WORDS.split())
_DATA = _ADDRESSES.union(_DATA_WORDS.split())
_OWN = {
    "binding_update": frozenset(BU_FLAGS.values()).union(_UPDATE_WORDS.split()),
    "binding_acknowledgement": frozenset(BA_FLAGS.values()).union(_ACKNOWLEDGEMENT_WORDS.split()),
    "binding_revocation": frozenset({"indication", "sequence", "status"}),
}

FIELDS: dict[str, frozenset[str]] = {
    "router_advertisement": _ADDRESSES
    | frozenset({"prefixes", "autonomous_prefixes", "dns_servers", "router_lifetime"}),
    "dns": _ADDRESSES | frozenset({"response", "id", "name", "type", "rcode", "addresses"}),
    **dict.fromkeys([*IKE_KINDS.values(), "ike_other"], _IKE),
    **{kind: _MOBILITY | _OWN.get(kind, frozenset()) for kind in [*MOBILITY_KINDS.values(), "mobility"]},
    "esp": _ADDRESSES
    | frozenset({"spi", "esp_sequence", "end_source", "end_destination", "home_address", "next_header"}),
    "tunnelled": _DATA | frozenset({"inner_source", "inner_destination", "inner_version"}),
    "plain": _DATA,
    "icmpv6_error": _ADDRESSES
    | frozenset({"icmp_type", "icmp_code", "quoted_source", "quoted_destination", "quoted_headers", "quoted_ports"}),
}

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
