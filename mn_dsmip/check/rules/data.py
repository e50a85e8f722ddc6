# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about user data, ESP sequence numbers and what a kernel must not say on the agents' behalf."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS, ICMPV6_ERRORS
from mn_dsmip.check.rules.rule import Check, check, rule, unseen
from mn_dsmip.check.session import Session, within

# What the agents handle themselves: headers and UDP ports. Packet Too Big (2) is a router's business, always welcome.
OWN_HEADERS = {4: "IPv4", 41: "IPv6", 43: "routing header", 50: "ESP", 60: "destination options", 135: "mobility"}
OWN_PORTS = {53: "DNS", 500: "IKE", 4500: "IKE", 4191: "DSMIPv6"}
PACKET_TOO_BIG, FRAGMENTATION_NEEDED = 2, (3, 4)  # ICMPv6's type; ICMPv4's type and code
ICMPV4_ERRORS = {3: "destination unreachable", 11: "time exceeded", 12: "parameter problem"}


@rule("I12", "TS 24.303 4.1, RFC 6275 11.3.1", "no data of the home address outside the tunnel while bound")
def data_in_tunnel(session: Session) -> Iterator[Check]:
    """Away from home, packets with the home address go through the home agent; outside the tunnel they would be
    dropped on their way, or answered past it."""
    for message in session.of("plain", "tunnelled"):
        if _while_bound(session, message):
            outside = message.kind == "plain" and _is_home(session, message.source)
            text = f"{message.source} to {message.destination}, {'outside' if outside else 'inside'} the tunnel"
            yield check(message, "source", "home addresses inside the tunnel only", text, holds=not outside)


@rule("I13", "TS 24.303 5.4, RFC 6275 10.3.2", "no tunnelled data after the de-registration", sees="mobility")
def no_data_after_detach(session: Session) -> Iterator[Check]:
    """With the acknowledgement of lifetime 0, or of a revocation, the binding is gone on both sides."""
    ended: Message | None = None
    for message in session.messages:
        if _ends_binding(session, message):
            ended = message
            yield check(message, "lifetime", "the end of the binding", "reached", holds=True)
        elif message.kind == "binding_acknowledgement" and message.number("lifetime"):
            ended = None
        elif message.kind == "tunnelled" and ended is not None:
            expected = f"nothing in the tunnel after frame {ended.frame}"
            text = f"{message.get('inner_source')} to {message.get('inner_destination')}"
            yield check(message, "inner_source", expected, text, holds=False)


def _ends_binding(session: Session, message: Message) -> bool:
    if message.kind == "binding_acknowledgement" and message.number("status") < FIRST_REJECTING_STATUS:
        update = session.update_of(message)
        return update is not None and update.number("lifetime") == 0
    return message.kind == "binding_revocation" and not message.flag("indication") and message.number("status") == 0


@rule("DATA-EARLY", "TS 24.303 5.1.2.4", "no tunnelled data before the registration", sees="mobility", whole=True)
def no_data_before_binding(session: Session) -> Iterator[Check]:
    """Only an accepted Binding Acknowledgement lets the UE use the home address."""
    if not session.bound and not any(message.is_ike for message in session.messages):
        if any(session.of("tunnelled")):
            yield unseen("the capture shows no registration of this UE")
        return
    first = session.bound[0][0].frame if session.bound else None
    for message in session.of("tunnelled"):
        after = first is not None and message.frame > first
        expected = f"after frame {first}, which accepts the binding" if first else "after an accepted registration"
        yield check(message, "frame", expected, message.frame, holds=after)


@rule("TUNNEL-ENDS", "RFC 6275 10.4.5", "the tunnel carries only its own UE's packets", sees="ike mobility", whole=True)
def tunnel_ends(session: Session) -> Iterator[Check]:
    """Between care-of address and home agent outside; inside, one end is in the home prefix or the IPv4 home address.
    Otherwise a UE could send with anybody's address."""
    care_of = session.care_of_addresses
    for message in session.of("tunnelled"):
        up = message.source in care_of
        far = message.destination if up else message.source
        ends = f"{message.source} and {message.destination}"
        outer = session.is_ha(far) and (up or message.destination in care_of)
        yield check(message, "source", "between care-of address and home agent", ends, holds=outer)
        inner = message.text("inner_source" if up else "inner_destination")
        name = "inner_source" if up else "inner_destination"
        known = session.home_prefixes if message.get("inner_version") == 6 else sorted(session.ipv4_home_addresses)
        if known:
            yield check(message, name, f"in {', '.join(known)}", inner, holds=_is_home(session, inner))


@rule("ESP-REPLAY", "RFC 4303 3.3.3, 3.4.3", "an ESP sequence number is used once")
def esp_replay(session: Session) -> Iterator[Check]:
    """The receiver drops the second packet as a replay; a sender that repeats numbers breaks its own SA."""
    seen: dict[tuple[int, int], int] = {}
    for message in session.messages:
        if message.get("esp_sequence") is None:
            continue
        key = (message.number("spi"), message.number("esp_sequence"))
        if key[1] == 0:
            yield check(message, "esp_sequence", "at least 1: the first packet has 1", 0, holds=False)
        fresh = key not in seen
        expected = "a number not used before" if fresh else f"not again the number of frame {seen[key]}"
        yield check(message, "esp_sequence", expected, key[1], holds=fresh)
        seen.setdefault(key, message.frame)


@rule("ESP-GAP", "RFC 4303 3.3.3", "ESP sequence numbers have no gaps", severity="warning")
def esp_gaps(session: Session) -> Iterator[Check]:
    """A gap means that a packet was lost, or that the capture does not hold it."""
    last: dict[int, int] = {}
    for message in session.messages:
        if message.get("esp_sequence") is None:
            continue
        spi, number = message.number("spi"), message.number("esp_sequence")
        if spi in last and number > last[spi] and message.frame not in session.left_out:
            yield check(message, "esp_sequence", last[spi] + 1, number, holds=number == last[spi] + 1)
        last[spi] = max(number, last.get(spi, 0))


@rule("ICMP-LEAK", "RFC 6275 9.2, 11.3.5", "no kernel answers for the agents with an ICMP error")
def no_kernel_errors(session: Session) -> Iterator[Check]:
    """An error sent by the care-of or the home agent's address about IKE, ESP, mobility or tunnel packets comes from an
    operating system that does not know them; the peer may give up because of it."""
    ends = {*session.home_agents, *session.care_of_addresses}
    for message in session.of("icmpv6_error", "icmp_error"):
        kind, code = message.number("icmp_type"), message.number("icmp_code")
        is_ipv6 = message.kind == "icmpv6_error"
        too_big = kind == PACKET_TOO_BIG if is_ipv6 else (kind, code) == FRAGMENTATION_NEEDED
        about = [OWN_HEADERS[one] for one in message.numbers("quoted_headers") if one in OWN_HEADERS]
        about += [OWN_PORTS[one] for one in message.numbers("quoted_ports") if one in OWN_PORTS]
        leaks = message.source in ends and not too_big and bool(about)
        names = ICMPV6_ERRORS if is_ipv6 else ICMPV4_ERRORS
        text = f"{names.get(kind, kind)} from {message.source} about {', '.join(about) or 'something else'}"
        yield check(message, "icmp_type", "no such error", text, holds=not leaks)


def _is_home(session: Session, address: str) -> bool:
    own = session.home_addresses | session.ipv4_home_addresses
    return address in own or any(within(address, prefix) for prefix in session.home_prefixes)


def _while_bound(session: Session, message: Message) -> bool:
    return any(
        start.frame < message.frame and (end is None or message.frame < end.frame) for start, end in session.bound
    )


@rule("DATA-HEADERS", "TS 24.303 4.1, RFC 6275 6.3, 6.4", "user data carries no mobility headers")
def no_headers_on_data(session: Session) -> Iterator[Check]:
    """Home address option and type 2 routing header on data mean route optimisation, which S2c does not have."""
    for message in session.of("plain", "tunnelled"):
        optimised = message.flag("route_optimised")
        found = "home address option or type 2 routing header" if optimised else "none"
        yield check(message, "route_optimised", "none", found, holds=not optimised)
