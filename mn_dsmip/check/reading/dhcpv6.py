# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a DHCPv6 message from its octets: tshark does not show what RFC 6610 puts there to find a home agent."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Value
from mn_dsmip.check.numbers import DHCPV6_MESSAGES, DHCPV6_OPTIONS
from mn_dsmip.check.reading.octets import address, domain_name, prefix

Fields = dict[str, Value]
CLIENT_HEADER, RELAY_HEADER = 4, 34  # octets before the options (RFC 8415 8, 9)
RELAY_MESSAGES = (12, 13)
MAX_DEPTH = 4  # relays within relays, containers within containers
REQUESTED, RELAY_MESSAGE, RELAY_SUPPLIED = 6, 9, 66
CLIENT_FQDN = 39
NETWORK_ID, VISITED, IDENTIFIED, UNRESTRICTED, PREFIX, HOME_AGENT, HOME_AGENT_NAME = 49, 50, 69, 70, 71, 72, 73
CONTAINERS = (VISITED, IDENTIFIED, UNRESTRICTED, RELAY_SUPPLIED)
PREFIX_SIZE = 17
NAT64 = bytes.fromhex("0064ff9b0000000000000000")  # RFC 6610 3.5: an IPv4 address in RFC 6052's well-known prefix
DHCPV6_FIELDS = """
    msg_type relayed transaction_id options requested_options client_fqdn home_network_id home_network_ids home_prefixes
    home_agent_addresses home_agent_names identified visited unrestricted uncontained source_port destination_port
"""


def dhcpv6_message(data: bytes) -> Fields:
    """The innermost message's type and options, and everything of RFC 6610, in its containers or beside them.

    `uncontained` tells of home agents or prefixes that stand in no container, which a client must discard. An option
    that reaches beyond its message makes it malformed.
    """
    fields: Fields = {"msg_type": "", "relayed": False, "transaction_id": 0, "options": ()}
    found: dict[str, list[Value]] = {
        name: [] for name in ("home_network_ids", "home_prefixes", "home_agent_addresses", "home_agent_names")
    }
    _message(data, fields, found, 0)
    for name, values in found.items():
        fields[name] = tuple(values)
    fields["home_network_id"] = found["home_network_ids"][0] if found["home_network_ids"] else ""
    options = fields["options"]
    for number, name in ((IDENTIFIED, "identified"), (VISITED, "visited"), (UNRESTRICTED, "unrestricted")):
        fields[name] = isinstance(options, tuple) and DHCPV6_OPTIONS[number] in options
    return fields


def _message(data: bytes, fields: Fields, found: dict[str, list[Value]], depth: int) -> None:
    start = RELAY_HEADER if data[:1] and data[0] in RELAY_MESSAGES else CLIENT_HEADER
    if len(data) < start or depth > MAX_DEPTH:
        fields["malformed"] = True
        return
    fields["msg_type"] = DHCPV6_MESSAGES.get(data[0], data[0])
    if start == CLIENT_HEADER:
        fields["transaction_id"] = int.from_bytes(data[1:4], "big")
    names: list[Value] = []
    for number, value in _options(data[start:], fields):
        names.append(DHCPV6_OPTIONS.get(number, number))
        if number == RELAY_MESSAGE and start == RELAY_HEADER:
            fields["relayed"] = True
            _message(value, fields, found, depth + 1)
            return
        _option(number, value, fields, found, depth)
        if number in (PREFIX, HOME_AGENT, HOME_AGENT_NAME):
            fields["uncontained"] = True
    fields["options"] = tuple(names)


def _options(data: bytes, fields: Fields) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        number, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 4 + size > len(data):
            fields["malformed"] = True
            return
        yield number, data[at + 4 : at + 4 + size]
        at += 4 + size


def _option(number: int, value: bytes, fields: Fields, found: dict[str, list[Value]], depth: int) -> None:
    if number in CONTAINERS and depth <= MAX_DEPTH:
        for inner, content in _options(value, fields):
            _option(inner, content, fields, found, depth + 1)
    elif number == REQUESTED:
        codes = [int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2)]
        fields["requested_options"] = tuple([DHCPV6_OPTIONS.get(code, code) for code in codes])
    elif number == NETWORK_ID:
        found["home_network_ids"] += _name(value, 0, fields)
    elif number == HOME_AGENT_NAME:
        found["home_agent_names"] += _name(value, 0, fields)
    elif number == CLIENT_FQDN:
        fields["client_fqdn"] = "".join(str(name) for name in _name(value, 1, fields))
    elif number == PREFIX and len(value) == PREFIX_SIZE:
        found["home_prefixes"].append(prefix(value[1:], value[0]))
    elif number == HOME_AGENT and len(value) == 16:
        found["home_agent_addresses"].append(address(value[12:] if value.startswith(NAT64) else value))
    elif number in (PREFIX, HOME_AGENT):
        fields["malformed"] = True


def _name(value: bytes, start: int, fields: Fields) -> list[Value]:
    try:
        return [domain_name(value, start)[0]]
    except ValueError:
        fields["malformed"] = True
        return []
