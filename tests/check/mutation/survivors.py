# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants that nobody notices: those that break nothing, with the reason, and the holes that are known.

A pattern is looked for in "kind-of-message layer.field"; the first that fits counts.
"""

from __future__ import annotations

import re

from tests.check.mutation.campaign import Outcome

# What breaks no requirement that a trace shows
EQUIVALENT: tuple[tuple[str, str], ...] = (
    (
        r"^(?!binding|esp).* packet\.repeated",
        "repeating the same octets is allowed: IKE, DNS, user data (RFC 7296 2.1)",
    ),
    (r" packet\.late", "nothing says how soon it must come"),
    (r"^router_advertisement ", "the care-of address may be configured otherwise (RFC 4862)"),
    (r"^dns ", "over IPv6 the query for A and its answer are an extra"),
    (r"^dns packet\.(swapped|last)", "queries and answers may cross"),
    (r"^nothing ", "a packet that the checker has no use for"),
    (r"^keepalive ", "any other packet keeps a NAT's mapping as well (RFC 3948 2.3)"),
    (r"^tunnelled .*(icmp|ipv[46]|packet)", "user data may come from and go to anybody; losing or crossing is normal"),
    (r"^plain ", "user data may go to anybody"),
    (r"^dhcpv6 .*option_(1|2|8)\.", "identifiers and times of DHCPv6 are no matter of S2c"),
    (r"^dhcpv6 (ipv6|udp)", "relays change addresses and ports of DHCPv6"),
    (r"_41(_\d+)?\.twice", "a notification may be repeated"),
    (
        r"ike_sa_init .*_41(_\d+)?\.(missing|type|data|error)",
        "NAT detection and hash algorithms are optional; a NAT changes hashes",
    ),
    (
        r"ike_auth .*_41(_\d+)?\.(missing|type|error)",
        "the SA of IKE_AUTH may have any mode (vectors of S2c use the second one)",
    ),
    (
        r"ike_auth .*_(33|44|45)(_\d+)?\.",
        "the SA of IKE_AUTH is made because RFC 7296 wants one; S2c uses the second one",
    ),
    (r"ike_auth .*_35(_\d+)?\.data", "any user name is one"),
    (r"ike_auth .*_(37|38)(_\d+)?\.", "certificates may be known beforehand, and one message may hold several"),
    (r"ike_auth .*_39(_\d+)?\.method=?$", "any public-key method may sign (RFC 7296 3.8)"),
    (r"attribute_10\.|attribute_8\.", "a name server and an address are hints (RFC 7296 3.15.1)"),
    (r"attribute_16\.lifetime", "at home there is no binding that a short lifetime of the prefix could cut"),
    (r"ike_.*udp.*_port", "a peer's port may be any that a NAT chose (RFC 7296 2.23)"),
    (r"(create_child_sa|informational) .*udp.*_port", "a peer's port may be any that a NAT chose (RFC 7296 2.23)"),
    (
        r"^informational .*packet\.(dropped|last|swapped)",
        "an address update is a SHOULD, DELETE of either side is one too",
    ),
    (r"_42_0\.missing", "an empty INFORMATIONAL is allowed at any time"),
    (r"_44_\d\.port|_45_\d\.port", "selectors may be limited to one type of mobility message (RFC 4877 7.2)"),
    (r"mh.*\.lifetime=(1|65535)$", "any lifetime may be asked for, and a shorter one granted"),
    (r"binding_acknowledgement mh.*\.status=1$", "accepted, prefix discovery necessary: accepted nevertheless"),
    (r"mh.*\.option_2\.", "advice on the refresh is optional (RFC 6275 6.2.4)"),
    (r"mh.*\.option_unknown\.added", "unknown options are skipped (RFC 6275 6.2.1)"),
    (r"mh.*\.option_30\.status", "the home agent may refuse an IPv4 home address; the binding holds (RFC 5555 4.5)"),
    (r"mh.*\.option_31\.(F|refresh)", "the home agent may ask for UDP, and for any time (RFC 5555 3.2.2)"),
    (r"mh.*\.option_29\.(address|missing|unknown)", "an IPv4 home address may be asked for by value, or given up"),
    (r"mh.*\.option_32\.address", "behind a NAT the UE's own address is seen nowhere else"),
    (r"binding_update mh.*\.flag_(L|O)$", "L depends on the interface identifier; O where the table leaves it open"),
    (r"binding_update mh.*\.flag_R$", "RFC 3963 6.2: ignored in a de-registration"),
    (r"esp.*\.sequence_gap", "of the first packet seen: the capture may have begun later"),
    (r"packet\.echo_outside_tunnel", "before the binding is there, or after it"),
    (r"^binding_acknowledgement packet\.repeated", "an answer may be given again; in ESP it is a replay"),
)
# What should be noticed and is not yet
HOLES: tuple[tuple[str, str], ...] = (
    (r"flag_(initiator|response)", "the I and R flags of later exchanges"),
    (r"_(33|34)_\d\.", "a chosen proposal against the one offered, the group against the proposal"),
    (r"_40_\d\.short", "the length of a nonce"),
    (r"_48_\d\.", "identifiers of EAP packets"),
    (r"\.redirect\.added", "REDIRECT in messages where it may not be, before there is a binding"),
    (r"packet\.query_outside_tunnel", "signalling like DNS from the home address outside the tunnel"),
    (r"packet\.icmp_error_after", "an error of a UE that is at home, or of a home agent left behind"),
    (r"packet\.other_of_this_number", "two different IKE_SA_INIT with the same SPI"),
    (r"^tunnelled esp", "user data that does not open in the tunnel to an ePDG"),
    (r"esp.*\.sequence_zero", "ESP sequence number 0"),
    (r"udp.*\.checksum", "UDP checksums of what is not IKE"),
    (r"^tunnelled udp", "ports of user data in UDP 4191 against those of the latest Binding Update"),
    (
        r"ipv[46](\[\d\])?\.(source|destination)",
        "outer addresses of mobility and IKE messages in steps that do not name both",
    ),
    (r"mh.*\.(flag|option|lifetime)", "flags and options of a second registration in flows that do not list them"),
    (r"spi_r|version|message_id|exchange|payload", "headers of IKE messages in steps that do not look at them"),
    (r"packet\.(dropped|swapped|last)|type", "order and presence in steps that do not need them"),
)


def reason(outcome: Outcome) -> str:
    """Why this mutant breaks no requirement that a trace shows; nothing when it should have been noticed."""
    return _found(EQUIVALENT, outcome)


def hole(outcome: Outcome) -> str:
    """What the checker does not look at yet; nothing when nobody knows why this mutant survived."""
    return _found(HOLES, outcome)


def _found(table: tuple[tuple[str, str], ...], outcome: Outcome) -> str:
    text = f"{outcome.kind} {outcome.name}"
    return next((why for pattern, why in table if re.search(pattern, text)), "")
