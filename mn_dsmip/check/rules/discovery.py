# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about finding the home agent: by DNS, DHCPv6 or the ePDG (TS 24.303 5.1.2.1, RFC 6611)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session

# TS 23.003 21.2.2.2: network identifier, then the operator's three digits each.
HA_APN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.ha-apn\.mnc\d{3}\.mcc\d{3}\.pub\.3gppnetwork\.org")


@rule("HA-APN", "TS 24.303 5.1.2.1.2, TS 23.003 21", "the name looked up is built from the APN")
def home_agent_name(session: Session) -> Iterator[Check]:
    """<APN>.ha-apn.mnc<MNC>.mcc<MCC>.pub.3gppnetwork.org, three digits each; a short MNC gets a 0 in front."""
    for message in session.of("dns"):
        name = message.text("name")
        if not message.flag("response") and "ha-apn" in name:
            yield check(message, "name", "<APN>.ha-apn.mnc<3>.mcc<3>.pub.3gppnetwork.org", name,
                        holds=HA_APN.fullmatch(name) is not None)  # fmt: skip


@rule("HA-BOTH", "TS 24.303 5.1.2.1.2", "both addresses are asked for", severity="note")
def both_addresses(session: Session) -> Iterator[Check]:
    """A home agent has an IPv6 and perhaps an IPv4 address; a UE that moves to IPv4 access needs the latter."""
    asked = [one for one in session.of("dns") if not one.flag("response") and "ha-apn" in one.text("name")]
    if asked:
        types = {one.text("type") for one in asked}
        found = ", ".join(sorted(types))
        yield check(asked[-1], "type", "A and AAAA", found, holds={"A", "AAAA"} <= types)


@rule("HA-FOUND", "TS 24.303 5.1.2.1, 5.1.2.2", "IKE goes to a home agent that was found")
def home_agent_found(session: Session) -> Iterator[Check]:
    """To an address that DNS, DHCPv6 or the ePDG gave, or that another home agent redirected the UE to."""
    known: set[str] = set()
    told = False
    for message in session.messages:
        if message.kind == "dns" and message.flag("response"):
            found = message.items("addresses")
        elif message.kind == "ike_sa_init":
            if message.flag("from_initiator") and told and not message.get("redirected_from"):
                expected = f"one of {', '.join(sorted(known)) or 'none'}"
                holds = message.destination in known
                yield check(message, "destination", expected, message.destination, holds=holds)
            found = (message.text("redirect_to"),)
        else:
            found = (*message.items("home_agent_addresses"), message.text("redirect_to"))
        found = tuple(one for one in found if one)
        known |= {str(one) for one in found}
        told = told or bool(found)


def _asked(message: Message) -> tuple[Value, ...]:
    return message.items("requested_options")


@rule("DHCP-ASKED", "RFC 6611 4.1, RFC 6610 3", "DHCPv6 is asked for the home network by its name")
def dhcpv6_request(session: Session) -> Iterator[Check]:
    """The Information-request names the home network in option 49 and asks for option 69, the identified one."""
    for message in session.of("dhcpv6"):
        if message.get("msg_type") == "information-request" and "MIP6_" in " ".join(map(str, _asked(message))):
            wants = "MIP6_IDINF" in _asked(message)
            yield check(message, "requested_options", "with MIP6_IDINF", _asked(message), holds=wants)
            name = message.get("client_fqdn") or message.get("home_network_id")
            yield check(message, "options", "with the home network's name", name or "missing", holds=bool(name))


@rule("DHCP-CONTAINED", "RFC 6610 3.4, 3.5", "home agents stand inside their home network's option")
def dhcpv6_contained(session: Session) -> Iterator[Check]:
    """Options 71 to 73 outside of 50, 69 or 70 belong to no network, and the UE discards them."""
    for message in session.of("dhcpv6"):
        if message.get("msg_type") == "reply" and message.items("options"):
            loose = message.flag("uncontained")
            yield check(message, "uncontained", False, loose, holds=not loose)


@rule("DNS-ANSWERED", "RFC 5026 5.1.1", "the name server knows the home agent", severity="warning")
def dns_answered(session: Session) -> Iterator[Check]:
    """An error here means another way of discovery, or that there is no home agent for this APN."""
    for message in session.of("dns"):
        if message.flag("response") and "ha-apn" in message.text("name"):
            code = message.number("rcode")
            yield check(message, "rcode", 0, code, holds=code == 0)


@rule("HA-NEXT", "RFC 5026 5.1.2", "after one that is silent the next home agent is tried", severity="warning")
def next_home_agent(session: Session) -> Iterator[Check]:
    """A UE that knows several asks each of them before it asks one again."""
    known: list[str] = []
    asked: dict[str, Message] = {}
    answered: set[str] = set()
    for message in session.messages:
        if message.kind == "dns" and message.flag("response"):
            known += [str(one) for one in message.items("addresses") if str(one) not in known]
        elif message.kind == "ike_sa_init" and message.flag("response"):
            answered.add(message.source)
        elif message.kind == "ike_sa_init":
            same = [one for one in known if (":" in one) == (":" in message.destination)]
            before = asked.get(message.destination)
            again = before is not None and before.text("spi_i") != message.text("spi_i")
            untried = [one for one in same if one not in asked]
            if len(same) > 1 and asked and not answered:
                text = f"one of {', '.join(untried)}" if untried else "any"
                yield check(message, "destination", text, message.destination, holds=not (again and untried))
            asked[message.destination] = message
