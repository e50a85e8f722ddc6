# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about Binding Updates and Acknowledgements: the invariants I1 to I11 and the tables of TS 24.303 Annex A."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import BU_ACKNOWLEDGEMENT_STATUS_SEQUENCE, FIRST_REJECTING_STATUS, LIFETIME_UNIT
from mn_dsmip.check.rules.rule import Check, check, rule, unseen
from mn_dsmip.check.session import Session, within

HALF_SEQUENCE_SPACE = 1 << 15  # RFC 6275 9.5.1: up to half the space ahead is newer
SEQUENCE_SPACE = 1 << 16
MAX_UPDATE_RATE = 3  # messages of one type per second (RFC 6275 12)
LATEST = 10  # sequence numbers that a finding lists
ROUTE_OPTIMISATION = ("home_test_init", "care_of_test_init", "home_test", "care_of_test")
IPV4_HOST = 32


@rule("I1", "TS 24.303 4.1, RFC 4877 4.1", "no mobility signalling before IKEv2 is done", sees="ike")
def ike_before_mobility(session: Session) -> Iterator[Check]:
    """The SAs that protect Binding Updates come out of IKE_AUTH; signalling before it cannot be protected."""
    if not any(session.of("ike_sa_init", "ike_auth")):
        yield unseen("the capture does not show how this UE's IKE SA came up")
        return
    done = session.established
    for message in session.messages:
        if message.is_mobility or message.kind == "esp":
            after = done is not None and message.frame > done.frame
            when = f"after frame {done.frame}, which completes IKE_AUTH" if done else "after IKE_AUTH is complete"
            yield check(message, "frame", when, message.frame, holds=after)


@rule("I2", "RFC 6275 9.5.4, 11.7.3", "an acknowledgement carries the number of an update", sees="mobility", whole=True)
def acknowledged_sequence(session: Session) -> Iterator[Check]:
    """The UE ignores an acknowledgement of an update that it did not send; only status 135 carries another number."""
    sent: dict[int, None] = {}
    for message in session.of("binding_update", "binding_acknowledgement"):
        number = message.number("sequence")
        if message.kind == "binding_update":
            sent.pop(number, None)
            sent[number] = None
        elif message.number("status") != BU_ACKNOWLEDGEMENT_STATUS_SEQUENCE:
            known = number in sent
            latest = "" if known else ", ".join(map(str, list(sent)[-LATEST:])) or "there is none"
            yield check(message, "sequence", f"that of a Binding Update sent before ({latest})", number, holds=known)


@rule("I3", "RFC 6275 9.5.1, 11.7.1", "every update has a newer sequence number", sees="mobility")
def newer_sequence(session: Session) -> Iterator[Check]:
    """Also a repeated update takes a new number. After status 135 the UE goes on from the number it was told."""
    last: dict[str, int] = {}
    told: dict[str, int] = {}
    seen: set[str] = set()
    for message in session.of("binding_update", "binding_acknowledgement"):
        if message.content in seen:
            continue  # the very same ESP packet: rule ESP-REPLAY tells of it
        seen |= {message.content} - {""}
        home_address, number = message.text("home_address"), message.number("sequence")
        if message.kind == "binding_acknowledgement":
            if message.number("status") == BU_ACKNOWLEDGEMENT_STATUS_SEQUENCE:
                told[home_address] = number
            continue
        if home_address in told:
            wanted = (told.pop(home_address) + 1) % SEQUENCE_SPACE
            yield check(message, "sequence", f"{wanted}, after status 135", number, holds=number == wanted)
        elif home_address in last:
            newer = 0 < (number - last[home_address]) % SEQUENCE_SPACE < HALF_SEQUENCE_SPACE
            yield check(message, "sequence", f"newer than {last[home_address]}", number, holds=newer)
        last[home_address] = number


@rule("I4", "RFC 6275 10.3.1", "a binding is granted for no longer than asked", sees="mobility")
def granted_lifetime(session: Session) -> Iterator[Check]:
    """Units of 4 s. The lifetime of a refusing acknowledgement means nothing and is not looked at."""
    for answer in _accepting(session):
        update = session.update_of(answer)
        if update is not None:
            asked, granted = update.number("lifetime"), answer.number("lifetime")
            expected = f"at most {asked} ({asked * LIFETIME_UNIT} s), as asked in frame {update.frame}"
            yield check(answer, "lifetime", expected, granted, holds=granted <= asked)


@rule("BA-HNP-LIFETIME", "RFC 6275 10.3.1", "a binding does not outlive the home prefix", sees="mobility")
def lifetime_of_prefix(session: Session) -> Iterator[Check]:
    """The home prefix was given for a limited time; the binding must end with it."""
    valid = session.home_prefix_lifetime
    for answer in _accepting(session):
        if valid is not None:
            seconds = answer.number("lifetime") * LIFETIME_UNIT
            yield check(answer, "lifetime", f"at most {valid} s", f"{seconds} s", holds=seconds <= valid)


@rule("I6", "TS 24.303 5.1.2.2, RFC 5026 5.3.2", "the home address lies in the home prefix", sees="ike mobility")
def home_address_in_prefix(session: Session) -> Iterator[Check]:
    """The UE forms its home address from the prefix that IKE handed out; the home agent forwards nothing else to it."""
    updates = list(session.of("binding_update"))
    if updates and not session.home_prefixes:
        yield unseen("the capture shows no home prefix handed out to this UE")
        return
    for update in updates:
        inside = any(within(update.text("home_address"), prefix) for prefix in session.home_prefixes)
        wanted = f"in {', '.join(session.home_prefixes)}"
        yield check(update, "home_address", wanted, update.get("home_address"), holds=inside)


@rule("I7", "RFC 5555 3.2.1, 4.5", "an IPv4 acknowledgement only for an IPv4 home address", sees="mobility")
def ipv4_acknowledgement(session: Session) -> Iterator[Check]:
    """Option 30 answers option 29: it cannot come unasked."""
    for answer in session.of("binding_acknowledgement"):
        update = session.update_of(answer)
        if update is not None and "IPV4_ADDRESS_ACKNOWLEDGEMENT" in answer.items("options"):
            asked = "IPV4_HOME_ADDRESS" in update.items("options")
            expected = f"no option 30: frame {update.frame} has no option 29" if not asked else "option 30"
            yield check(answer, "options", expected, answer.items("options"), holds=asked)


@rule("I8", "RFC 5555 4.2", "what came in UDP is answered in UDP, with option 31", sees="mobility")
def answered_in_udp(session: Session) -> Iterator[Check]:
    """In IPv4 access the acknowledgement goes back to the port it was asked from and tells whether there is a NAT.
    Over IPv6 there is nothing to tell."""
    for answer in session.of("binding_acknowledgement"):
        update = session.update_of(answer)
        if update is None:
            continue
        has = "NAT_DETECTION" in answer.items("options")
        if not update.flag("udp"):
            yield check(answer, "options", "without NAT_DETECTION", answer.items("options"), holds=not has)
            continue
        asked = (update.get("source_port"), update.get("destination_port"))
        given = (answer.get("destination_port"), answer.get("source_port"))
        yield check(answer, "ports", f"back to {asked[0]} from {asked[1]}", _ports(given), holds=asked == given)
        yield check(answer, "options", "with NAT_DETECTION", answer.items("options"), holds=has)


def _ports(pair: tuple[object, object]) -> str:
    return f"back to {pair[0]} from {pair[1]}" if pair[0] else "no UDP"


@rule("I9", "RFC 6275 6.1.7, 9.5.4, RFC 4877 4.3", "home and care-of address where they belong", sees="mobility")
def ipv6_access(session: Session) -> Iterator[Check]:
    """Over IPv6 an update carries the home address in its option and the care-of address in option 3 or 35, because
    ESP does not protect the IPv6 header; the acknowledgement comes with a type 2 routing header. Not so at home."""
    for message in session.of("binding_update", "binding_acknowledgement"):
        at_home = message.text("home_address") in (message.source, message.destination)
        if message.flag("udp") or at_home:
            continue
        if message.kind == "binding_acknowledgement":
            has = message.flag("type2_routing")
            yield check(message, "type2_routing", True, has, holds=has)
            continue
        has = message.flag("home_address_option")
        yield check(message, "home_address_option", True, has, holds=has)
        if "BINDING_IDENTIFIER" not in message.items("options"):
            given = message.get("alternate_care_of_address")
            expected = f"{message.source}, the care-of address"
            yield check(message, "alternate_care_of_address", expected, given, holds=given == message.source)


@rule("I10", "RFC 5555 4.4.2", "over IPv4 the care-of address travels in option 32", sees="mobility")
def ipv4_access(session: Session) -> Iterator[Check]:
    """In IPv4 access the inner source is the home address itself: no home address option, no option 3."""
    for update in session.of("binding_update"):
        if update.flag("udp"):
            options = update.items("options")
            right = "ALTERNATE_CARE_OF_ADDRESS" not in options and not update.flag("home_address_option")
            right = right and bool({"IPV4_CARE_OF_ADDRESS", "BINDING_IDENTIFIER"} & set(options))
            yield check(update, "options", "IPV4_CARE_OF_ADDRESS, no home address option", options, holds=right)


@rule("I11", "TS 24.303 4.1", "no route optimisation", sees="mobility")
def no_route_optimisation(session: Session) -> Iterator[Check]:
    """S2c uses bidirectional tunnelling only: Mobility Header types 1 to 4 never appear."""
    for message in session.messages:
        if message.is_mobility:
            allowed = message.kind not in ROUTE_OPTIMISATION
            yield check(message, "mh_type", "not 1, 2, 3 or 4", message.get("mh_type"), holds=allowed)


@rule("MH-CLEAR", "TS 24.303 4.1, RFC 4877 3", "mobility signalling is protected by ESP")
def protected_signalling(session: Session) -> Iterator[Check]:
    """A home agent that takes a Binding Update in the clear lets anybody take over the UE's traffic."""
    for message in session.messages:
        if message.is_mobility:
            yield check(message, "protected", True, message.flag("protected"), holds=message.flag("protected"))


@rule("MH-SA", "RFC 4877 4.2", "signalling uses the SA of its home address", sees="ike mobility", whole=True)
def right_association(session: Session) -> Iterator[Check]:
    """The SPI must be one that IKE negotiated with this UE, in this direction, for this home address."""
    protected = [one for one in session.messages if one.is_mobility and one.flag("protected")]
    if protected and not session.children and not session.hidden_ike:
        yield unseen("the capture does not show how the SAs were negotiated")
        return
    for message in protected if session.children else ():
        up = message.get("end_source") == message.get("home_address")
        fitting = [one for one in session.children if one.covers(message.text("home_address"))]
        spis = [one.spi_to_ha if up else one.spi_to_ue for one in fitting]
        home_address = message.text("home_address")
        wanted = " or ".join(f"0x{spi:08x}" for spi in spis) or f"an SA for {home_address}: there is none"
        spi = message.number("spi")
        yield check(message, "spi", wanted, f"0x{spi:08x}", holds=spi in spis)


@rule("BU-FLAGS", "TS 24.303 A.2, A.3, A.5", "flags of a Binding Update", sees="mobility")
def update_flags(session: Session) -> Iterator[Check]:
    """A, H and K are set; R too, unless the UE de-registers; F, M, P and T are not."""
    for update in session.of("binding_update"):
        wanted = {"acknowledge": True, "home_registration": True, "key_management": True, "force_udp": False}
        wanted |= {"map_registration": False, "proxy": False, "tlv_header": False}
        if update.number("lifetime"):
            wanted["mobile_router"] = True
        for name, value in wanted.items():
            yield check(update, name, value, update.flag(name), holds=update.flag(name) is value)


@rule("BU-OVERWRITE", "TS 24.303 A.2", "O in a first registration", severity="note", sees="mobility", whole=True)
def overwrite_first(session: Session) -> Iterator[Check]:
    """The table says so, although RFC 5648 gives the flag a meaning only with a binding identifier: both are fine."""
    first = next(session.of("binding_update"), None)
    if first is not None and first.number("lifetime"):
        yield check(first, "overwrite", True, first.flag("overwrite"), holds=first.flag("overwrite"))


@rule("BU-OVERWRITE-REFRESH", "TS 24.303 A.3", "O is not set in a refresh", sees="mobility")
def overwrite_refresh(session: Session) -> Iterator[Check]:
    """A refresh extends the binding that exists; it replaces nothing."""
    for start, end in session.bound:
        last = end.frame if end else float("inf")
        for update in session.new_updates:
            if start.frame < update.frame < last and update.number("lifetime"):
                yield check(update, "overwrite", False, update.flag("overwrite"), holds=not update.flag("overwrite"))


@rule("BU-IPV4", "TS 24.303 A.2, A.3, A.5", "the IPv4 home address option of a Binding Update", sees="mobility")
def ipv4_option(session: Session) -> Iterator[Check]:
    """Length 32, no prefix asked for; the address given by the home agent once there is one (or no option)."""
    given, new = "", {update.frame for update in session.new_updates}
    for message in session.of("binding_update", "binding_acknowledgement"):
        if message.kind == "binding_acknowledgement":
            accepted = message.number("ipv4_status") < FIRST_REJECTING_STATUS
            given = message.text("ipv4_home_address") if accepted and message.number("lifetime") else given
        elif message.get("ipv4_home_address") is not None:
            length = message.number("ipv4_prefix_length")
            yield check(message, "ipv4_prefix_length", IPV4_HOST, length, holds=length == IPV4_HOST)
            asks = message.flag("ipv4_prefix_request")
            yield check(message, "ipv4_prefix_request", False, asks, holds=not asks)
            found = message.text("ipv4_home_address")
            if given and message.frame in new:
                yield check(message, "ipv4_home_address", f"{given}, as registered", found, holds=found == given)


@rule("BU-IMPLICIT", "TS 24.303 4.1", "the home prefix is registered implicitly", sees="mobility")
def implicit_mode(session: Session) -> Iterator[Check]:
    """RFC 3963's implicit mode: R is set and option 6 is left out, the home agent knows the prefix."""
    for update in session.of("binding_update"):
        options = update.items("options")
        yield check(update, "options", "no option 6", options, holds="MOBILE_NETWORK_PREFIX" not in options)


@rule("BA-IPV4", "RFC 5555 4.5", "a request for an IPv4 home address is answered", severity="warning", sees="mobility")
def ipv4_answered(session: Session) -> Iterator[Check]:
    """Option 30 comes with every accepted registration that had option 29, for one address (length 32); a home agent
    that leaves it out does not know RFC 5555."""
    for answer in _accepting(session):
        update = session.update_of(answer)
        if update is None or not update.number("lifetime") or "IPV4_HOME_ADDRESS" not in update.items("options"):
            continue
        has = "IPV4_ADDRESS_ACKNOWLEDGEMENT" in answer.items("options")
        yield check(answer, "options", "with IPV4_ADDRESS_ACKNOWLEDGEMENT", answer.items("options"), holds=has)
        if has and answer.number("ipv4_status") < FIRST_REJECTING_STATUS:
            length = answer.number("ipv4_prefix_length")
            yield check(answer, "ipv4_prefix_length", IPV4_HOST, length, holds=length == IPV4_HOST)


@rule("BA-FLAGS", "RFC 6275 10.3.1, RFC 3963 6.2", "K and R of an acknowledgement follow the update", sees="mobility")
def acknowledgement_flags(session: Session) -> Iterator[Check]:
    """The home agent sets K or R only if the update had it set."""
    for answer in _accepting(session):
        update = session.update_of(answer)
        for name in ("key_management", "mobile_router") if update else ():
            allowed = not answer.flag(name) or (update is not None and update.flag(name))
            yield check(answer, name, "only as in the update", answer.flag(name), holds=allowed)


@rule("BA-ADVICE", "RFC 6275 6.2.4", "refresh advice is shorter than the lifetime", sees="mobility")
def refresh_advice(session: Session) -> Iterator[Check]:
    """Advice to refresh after the binding has ended is none."""
    for answer in _accepting(session):
        if answer.get("refresh_advice") is not None:
            advice, lifetime = answer.number("refresh_advice"), answer.number("lifetime")
            yield check(answer, "refresh_advice", f"less than {lifetime}", advice, holds=advice < lifetime)


@rule("BU-ANSWERED", "RFC 6275 10.3.1", "updates are answered", severity="warning", sees="mobility", whole=True)
def updates_answered(session: Session) -> Iterator[Check]:
    """The home agent always answers a home registration; the UE asks again until it does. The last word is its own."""
    for (update, answer), following in zip(session.exchanges, [*session.exchanges[1:], None], strict=False):
        again = following is not None and bool(following[0].number("lifetime")) == bool(update.number("lifetime"))
        expected = "acknowledged, or sent again"
        text = "neither" if answer is None and not again else expected
        yield check(update, "sequence", expected, text, holds=answer is not None or again)


@rule("BU-RATE", "RFC 6275 11.8", "at most three updates in a second", severity="warning", sees="mobility")
def update_rate(session: Session) -> Iterator[Check]:
    """MAX_UPDATE_RATE bounds the messages of one type to one node, repetitions included."""
    times: list[float] = []
    for update in session.of("binding_update"):
        times = [*(time for time in times if update.time - 1 < time), update.time]
        found = len(times)
        yield check(update, "time", f"{MAX_UPDATE_RATE} within 1 s", found, holds=found <= MAX_UPDATE_RATE)


@rule("REFRESH-LATE", "RFC 6275 11.7.1", "a binding is refreshed before it ends", severity="warning", sees="mobility")
def refreshed_in_time(session: Session) -> Iterator[Check]:
    """After its lifetime the home agent forgets the binding, and packets are lost until the next registration."""
    ends: dict[str, float] = {}
    for update, answer in session.exchanges:
        home_address = update.text("home_address")
        if home_address in ends:
            late = update.time - ends[home_address]
            yield check(update, "time", "before the binding ends", f"{late:+.1f} s", holds=late <= 0)
        if answer is not None and answer.number("status") < FIRST_REJECTING_STATUS:
            ends.pop(home_address, None)
            if answer.number("lifetime"):
                ends[home_address] = update.time + answer.number("lifetime") * LIFETIME_UNIT


def _accepting(session: Session) -> Iterator[Message]:
    answers = session.of("binding_acknowledgement")
    return (one for one in answers if one.number("status") < FIRST_REJECTING_STATUS)
