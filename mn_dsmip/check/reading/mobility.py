# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a Mobility Header from its octets (RFC 6275 6.1 and the RFCs that add options to it).

Wireshark's own dissector is not used (see `columns.py`). Nothing that a packet holds raises: octets that are missing,
or options that reach beyond the header, make the message malformed, and what could be read stays.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from

from mn_dsmip.check.model import MOBILITY_KINDS, Value
from mn_dsmip.check.numbers import MOBILITY, MOBILITY_OPTIONS
from mn_dsmip.check.reading.octets import address, domain_name, packed, prefix, readable

Fields = dict[str, Value]
HEADER = 6  # octets before the message data
FIXED_PARTS = {0: 8, 1: 16, 2: 16, 3: 24, 4: 24, 5: 12, 6: 12, 7: 24, 12: 8, 16: 12}  # options begin there
BU_FLAGS = {  # RFC 6275 6.1.7, RFC 3963 4.1, RFC 5555 3.1.3, RFC 5648 4.2
    0x8000: "acknowledge",
    0x4000: "home_registration",
    0x2000: "link_local",
    0x1000: "key_management",
    0x0800: "map_registration",
    0x0400: "mobile_router",
    0x0200: "proxy",
    0x0100: "force_udp",
    0x0080: "tlv_header",
    0x0040: "overwrite",  # RFC 6602 gives the bit to bulk registration of PMIPv6; on S2c it is RFC 5648's O
}
BA_FLAGS = {0x80: "key_management", 0x40: "mobile_router"}
INDICATION = 1  # RFC 5846 5: B.R. type of a Binding Revocation Indication; 2 is its acknowledgement
REVOCATION_FLAGS = {0x8000: "proxy_binding", 0x4000: "ipv4_only", 0x2000: "global_revocation"}
MN_HA = 1  # subtype of RFC 4285's authentication option
PAD1, PADN = 0, 1
# Per kind, every field that its fixed part gives; `fields.py` publishes them.
FIXED_FIELDS = {
    "binding_update": (*BU_FLAGS.values(), "sequence", "lifetime"),
    "binding_acknowledgement": (*BA_FLAGS.values(), "status", "sequence", "lifetime", "nat_detection"),
    "binding_error": ("status", "unknown_home_address"),
    "home_agent_switch": ("home_agent_addresses",),
    "binding_revocation": (
        "indication", "revocation_type", "trigger", "status", "sequence", *REVOCATION_FLAGS.values()
    ),
}  # fmt: skip
OPTION_FIELDS = """
    refresh_advice alternate_care_of_address mobile_network_prefixes mn_id mn_id_subtype authentication_spi
    authentication_subtype authentication_subtypes authenticator message_id dns_update_name dns_update_status
    dns_update_remove service_selection home_network_prefixes ipv4_home_address ipv4_prefix_length
    ipv4_prefix_request ipv4_status nat_refresh nat_force_udp ipv4_care_of_address binding_ids binding_id_statuses
    binding_id_home binding_id_addresses flow_ids
"""


def mobility_header(data: bytes, source: str, destination: str) -> tuple[str, Fields]:
    """Kind and fields of a Mobility Header between these two ends, the home address being one of them.

    `checksum_correct` is missing when octets are; `octets` is then empty.
    """
    if len(data) < HEADER:
        return "mobility", {"mh_type": 0, "header_length": 0, "octets": "", "options": (), "malformed": True}
    number, size = data[2], 8 * (data[1] + 1)
    whole = len(data) >= size
    data = data[:size]
    kind = MOBILITY_KINDS.get(number, "mobility")
    fields: Fields = {"mh_type": number, "header_length": data[1], "octets": data.hex() if whole else ""}
    ends = packed(source) + packed(destination)
    if whole and len(ends) == 32:
        fields["checksum_correct"] = checksum_correct(data, ends)
    fixed = FIXED_PARTS.get(number, len(data))
    if len(data) < fixed or not whole:
        fields["malformed"] = True
    if len(data) >= fixed and kind in _FIXED:
        fixed = _FIXED[kind](data, fields)
    fields["options"] = _options(data, fixed, fields)
    return kind, fields


def checksum_correct(data: bytes, ends: bytes) -> bool:
    """RFC 6275 6.1.1: over the pseudo-header, with the home address for the care-of one, and the header itself.

    The one's complement sum of 16-bit words is the number that the octets make, modulo 65535.
    """
    whole = ends + len(data).to_bytes(4, "big") + MOBILITY.to_bytes(4, "big") + data
    return int.from_bytes(whole, "big") % 0xFFFF == 0


def _binding_update(data: bytes, fields: Fields) -> int:
    sequence, flags, lifetime = unpack_from("!HHH", data, HEADER)
    for mask, name in BU_FLAGS.items():
        fields[name] = bool(flags & mask)
    fields["sequence"], fields["lifetime"] = sequence, lifetime
    return 12


def _binding_acknowledgement(data: bytes, fields: Fields) -> int:
    status, flags, sequence, lifetime = unpack_from("!BBHH", data, HEADER)
    for mask, name in BA_FLAGS.items():
        fields[name] = bool(flags & mask)
    fields["status"], fields["sequence"], fields["lifetime"] = status, sequence, lifetime
    fields["nat_detection"] = False  # until the option is found
    return 12


def _binding_error(data: bytes, fields: Fields) -> int:
    fields["status"], fields["unknown_home_address"] = data[HEADER], address(data[8:24])
    return 24


def _home_agent_switch(data: bytes, fields: Fields) -> int:
    """RFC 5142 4: the number of addresses, then the addresses."""
    end = 8 + 16 * data[HEADER]
    if end > len(data):
        fields["malformed"], fields["home_agent_addresses"] = True, ()
        return len(data)
    fields["home_agent_addresses"] = tuple(address(data[at : at + 16]) for at in range(8, end, 16))
    return end


def _binding_revocation(data: bytes, fields: Fields) -> int:
    """RFC 5846 5: one octet is the trigger of an indication and the status of an acknowledgement."""
    kind, reason, sequence, flags = unpack_from("!BBHH", data, HEADER)
    fields["indication"], fields["revocation_type"], fields["sequence"] = kind == INDICATION, kind, sequence
    fields["trigger"], fields["status"] = (reason, 0) if kind == INDICATION else (0, reason)
    for mask, name in REVOCATION_FLAGS.items():
        fields[name] = bool(flags & mask)
    return 12


_FIXED: dict[str, Callable[[bytes, Fields], int]] = {
    "binding_update": _binding_update,
    "binding_acknowledgement": _binding_acknowledgement,
    "binding_error": _binding_error,
    "home_agent_switch": _home_agent_switch,
    "binding_revocation": _binding_revocation,
}


def _options(data: bytes, at: int, fields: Fields) -> tuple[Value, ...]:
    """Names of the options in their order, without padding; what they hold goes to the fields."""
    names: list[Value] = []
    end = len(data)
    while at < end:
        kind = data[at]
        if kind == PAD1:
            at += 1
            continue
        after = at + 2 + data[at + 1] if at + 1 < end else end + 1
        if after > end:
            fields["malformed"] = True
            break
        if kind != PADN:
            names.append(MOBILITY_OPTIONS.get(kind, kind))
            reader = _OPTIONS.get(kind)
            if reader and after - at - 2 in reader[0]:
                reader[1](data[at + 2 : after], fields)
        at = after
    return tuple(names)


def _refresh_advice(data: bytes, fields: Fields) -> None:
    fields["refresh_advice"] = int.from_bytes(data, "big")


def _alternate_care_of_address(data: bytes, fields: Fields) -> None:
    fields["alternate_care_of_address"] = address(data)


def _append(fields: Fields, name: str, value: Value) -> None:
    before = fields.get(name)
    fields[name] = (*before, value) if isinstance(before, tuple) else (value,)


def _mobile_network_prefix(data: bytes, fields: Fields) -> None:
    _append(fields, "mobile_network_prefixes", prefix(data[2:18], data[1]))


def _home_network_prefix(data: bytes, fields: Fields) -> None:
    _append(fields, "home_network_prefixes", prefix(data[2:18], data[1]))


def _mobile_node_identifier(data: bytes, fields: Fields) -> None:
    fields["mn_id_subtype"], fields["mn_id"] = data[0], readable(data[1:])


def _authentication(data: bytes, fields: Fields) -> None:
    """RFC 4285 5: of several options the one between mobile node and home agent counts; all of it is kept."""
    subtype = data[0]
    if subtype == MN_HA or "authentication_subtypes" not in fields:
        fields["authentication_subtype"] = subtype
        fields["authentication_spi"] = int.from_bytes(data[1:5], "big")
        fields["authenticator"] = data[5:].hex()
    _append(fields, "authentication_subtypes", subtype)


def _message_id(data: bytes, fields: Fields) -> None:
    fields["message_id"] = int.from_bytes(data, "big")


def _dns_update(data: bytes, fields: Fields) -> None:
    """RFC 5026 8.1; the name is in DNS wire format."""
    fields["dns_update_status"], fields["dns_update_remove"] = data[0], bool(data[1] & 0x80)
    try:
        fields["dns_update_name"] = domain_name(data, 2)[0]
    except ValueError:
        fields["dns_update_name"] = readable(data[2:])


def _service_selection(data: bytes, fields: Fields) -> None:
    fields["service_selection"] = readable(data)


def _ipv4_home_address(data: bytes, fields: Fields) -> None:
    """RFC 5555 3.1.1: prefix length in the upper 6 bits, then P; of several options the first counts."""
    if "ipv4_home_address" not in fields:
        fields["ipv4_prefix_length"], fields["ipv4_prefix_request"] = data[0] >> 2, bool(data[0] & 0x02)
        fields["ipv4_home_address"] = address(data[2:])


def _ipv4_acknowledgement(data: bytes, fields: Fields) -> None:
    if "ipv4_status" not in fields:
        fields["ipv4_status"], fields["ipv4_prefix_length"] = data[0], data[1] >> 2
        fields["ipv4_home_address"] = address(data[2:])


def _nat_detection(data: bytes, fields: Fields) -> None:
    fields["nat_detection"], fields["nat_force_udp"] = True, bool(data[0] & 0x80)
    fields["nat_refresh"] = int.from_bytes(data[2:], "big")


def _ipv4_care_of_address(data: bytes, fields: Fields) -> None:
    fields["ipv4_care_of_address"] = address(data[2:])


def _binding_identifier(data: bytes, fields: Fields) -> None:
    """RFC 5648 4.1 with RFC 6089 4.1."""
    _append(fields, "binding_ids", int.from_bytes(data[:2], "big"))
    _append(fields, "binding_id_statuses", data[2])
    _append(fields, "binding_id_home", bool(data[3] & 0x80))
    if len(data) > 4:
        _append(fields, "binding_id_addresses", address(data[4:]))


def _flow_identification(data: bytes, fields: Fields) -> None:
    _append(fields, "flow_ids", int.from_bytes(data[:2], "big"))


_ANY = range(256)
# Lengths an option may have, and what reads it: RFC 6275 6.2, 3963 4.3, 4283, 4285, 5026, 5149, 5213, 5555, 5648, 6089
_OPTIONS: dict[int, tuple[range | tuple[int, ...], Callable[[bytes, Fields], None]]] = {
    2: ((2,), _refresh_advice),
    3: ((16,), _alternate_care_of_address),
    6: ((18,), _mobile_network_prefix),
    8: (_ANY[1:], _mobile_node_identifier),
    9: (_ANY[5:], _authentication),
    10: ((8,), _message_id),
    17: (_ANY[2:], _dns_update),
    20: (_ANY, _service_selection),
    22: ((18,), _home_network_prefix),
    29: ((6,), _ipv4_home_address),
    30: ((6,), _ipv4_acknowledgement),
    31: ((6,), _nat_detection),
    32: ((6,), _ipv4_care_of_address),
    35: ((4, 8, 20), _binding_identifier),
    45: (_ANY[6:], _flow_identification),
}
