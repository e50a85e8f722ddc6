# SPDX-License-Identifier: GPL-2.0-or-later
"""Which fields mean the same in every trace, and which are of one trace only: for drafts and comparisons."""

from __future__ import annotations

from mn_dsmip.check.flow.match import fold
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session

# Fields whose values are of one trace, by what they hold: equal values of one group are tied to each other.
GROUPS = {
    "address": """
        addresses home_agent_addresses redirect_to redirected_from ts_i ts_r home_address alternate_care_of_address
        ipv4_home_address ipv4_care_of_address binding_id_addresses unknown_home_address inner_source inner_destination
    """,
    "prefix": "prefixes autonomous_prefixes home_prefixes home_network_prefixes mobile_network_prefixes",
    "IKE SPI": "spi_i spi_r",
    "ESP SPI": "spi spis deleted_spis",
    "name": "name client_fqdn id_i id_r mn_id service_selection home_network_id",
}
GROUP_OF = {field: group for group, fields in GROUPS.items() for field in fields.split()}
# Numbers of requests, which their answers repeat.
NUMBERS = ("message_id", "id", "sequence", "transaction_id", "icmp_id", "icmp_sequence")
# What neither a draft nor a comparison looks at: it follows from other fields, or from chance.
_IGNORED = """
    source destination octets header_length authenticator esp_sequence end_source end_destination from_initiator
    encrypted home_prefix_lifetimes cfg_dns_servers dns_servers source_port destination_port dh_group eap_identity
    authentication_spi authentication_subtypes binding_id_addresses id_i_type srv_targets dh_groups encryption
    quoted_source quoted_destination quoted_ports tcp_sequence tcp_ports size mh_type icmp_type malformed
    bad_udp_checksum protocol home_network_ids home_agent_names refresh_advice suites ts_i_ports ts_r_ports
    outer_source outer_destination
"""
IGNORED = frozenset(_IGNORED.split())
# Lists of words, of which the order means nothing.
LISTS = frozenset({"payloads", "notify", "options", "cfg_attributes", "eap_attributes", "requested_options"})
PAUSED = ("keepalive", "plain", "icmpv6_error", "icmp_error")  # kinds that belong to no step
NOWHERE = "0000000000000000"  # the responder's SPI before there is one


def telling(session: Session) -> list[Message]:
    """The messages that make up a flow: signalling without repetitions, and the first ping of each kind.

    Of periodic Router Advertisements the first one counts, when it comes before everything else.
    """
    lost = {one.frame for one in session.abandoned}
    kept, seen = list[Message](), set[object]()
    for message in fold(session)[0]:
        if message.frame in lost or message.kind in PAUSED:
            continue
        if message.kind == "router_advertisement" and kept:
            continue
        if message.kind == "tunnelled":
            what = message.get("icmp"), message.get("inner_version")
            if what in seen or what[0] not in ("echo_request", "echo_reply"):
                continue
            seen.add(what)
        kept.append(message)
    return kept


def role_of(session: Session, address: str) -> str:
    """`ue`, `ha`, or nothing for anybody else."""
    if session.is_ha(address):
        return "ha"
    return "ue" if session.is_ue(address) else ""


def is_answer(message: Message) -> bool:
    """Whether a message repeats the number of another one."""
    answers = message.kind == "binding_acknowledgement" or message.get("icmp") == "echo_reply"
    revoked = message.kind == "binding_revocation" and message.get("indication") is False
    return message.flag("response") or answers or revoked or message.get("msg_type") == "reply"


def name_of(message: Message) -> str:
    """The message as a step's name says it."""
    kind = message.kind.replace("_", "-")
    if message.kind == "dns":
        kind = f"dns-{message.get('type')}".lower()
    if message.kind == "tunnelled":
        return f"{str(message.get('icmp')).replace('_', '-')}-in-tunnel"
    if message.kind == "dhcpv6":
        return f"dhcpv6-{message.get('msg_type')}"
    if message.kind == "binding_update" and message.get("lifetime") == 0:
        return "deregistration"
    if message.get("response") is not None:
        return f"{kind}-{'response' if message.flag('response') else 'request'}"
    return kind


def values(value: Value | None) -> tuple[Value, ...]:
    """A field's values, without those that stand for none."""
    found = value if isinstance(value, tuple) else () if value is None else (value,)
    return tuple(one for one in found if one not in ("", NOWHERE, "0.0.0.0", "::", "::/0"))
