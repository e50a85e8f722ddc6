# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about IKEv2 and the security associations it makes, and about packets that are damaged."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS, MOBILITY
from mn_dsmip.check.rules.rule import Check, check, rule, unseen
from mn_dsmip.check.session import DAMAGED, Session, within

HOME_PREFIX_LENGTH = "/64"


@rule("I5", "TS 23.402 6.3, RFC 5026 8.2", "one home network prefix for each IKE SA", sees="ike")
def one_home_prefix(session: Session) -> Iterator[Check]:
    """The home agent assigns exactly one IPv6 home prefix to a PDN connection, in the last answer of IKE_AUTH."""
    final = session.established
    if final is None or final.hidden or final.get("errors") or "REDIRECT" in final.items("notify"):
        return
    if "USE_ASSIGNED_HoA" in final.items("notify"):
        return  # RFC 5026 5.3.2: an address instead of a prefix
    prefixes = final.items("home_prefixes")
    yield check(final, "home_prefixes", "exactly one", prefixes, holds=len(prefixes) == 1)


@rule("HNP-64", "TS 23.402 6.3", "the home network prefix is a /64", severity="warning", sees="ike")
def home_prefix_length(session: Session) -> Iterator[Check]:
    """An address is autoconfigured from a prefix of 64 bits; another length leaves the UE without a home address."""
    for message in session.of("ike_auth"):
        for prefix in message.items("home_prefixes"):
            fits = str(prefix).endswith(HOME_PREFIX_LENGTH)
            yield check(message, "home_prefixes", f"a prefix of length {HOME_PREFIX_LENGTH[1:]}", prefix, holds=fits)


@rule("SA-HNP", "RFC 4877 7.3, TS 24.303 5.1.3.1", "selectors of the UE stay inside its home prefix", sees="ike")
def selectors_in_prefix(session: Session) -> Iterator[Check]:
    """A home agent refuses a child SA for somebody else's home address; otherwise one UE could move another."""
    if not session.home_prefixes:
        return
    answers = {message.frame: message for message in session.messages}
    for child in session.children:
        for selector in child.ue_selectors:
            first = selector.split("/")[0].split("-")[0]
            inside = any(within(first, prefix) for prefix in session.home_prefixes)
            wanted = f"inside {', '.join(session.home_prefixes)}"
            yield check(answers[child.frame], "ts_i", wanted, selector, holds=inside)


@rule("SA-TRANSPORT", "RFC 4877 4.1, 7.3", "the SA for the Mobility Header is in transport mode", sees="ike")
def transport_mode(session: Session) -> Iterator[Check]:
    """Without USE_TRANSPORT_MODE in the answer the SA is a tunnel and the home address option has no place in it."""
    answers = {message.frame: message for message in session.messages}
    for child in session.children:
        if child.protocols and all(protocol == MOBILITY for protocol in child.protocols):
            message = answers[child.frame]
            yield check(message, "notify", "USE_TRANSPORT_MODE", message.items("notify"), holds=child.transport)


@rule("IKE-REPEAT", "RFC 7296 2.1", "a repeated IKE message is the same octet by octet")
def identical_repetitions(session: Session) -> Iterator[Check]:
    """A request keeps its message id when it is sent again, and so does its answer; only IKE_SA_INIT may be changed,
    after a COOKIE or INVALID_KE_PAYLOAD."""
    first: dict[tuple[object, ...], Message] = {}
    for message in session.messages:
        if not message.is_ike or message.kind == "ike_sa_init":
            continue
        key = tuple(message.get(name) for name in ("spi_i", "message_id", "from_initiator", "response"))
        earlier = first.setdefault(key, message)
        if earlier is not message:
            same = earlier.content == message.content
            expected = f"the octets of frame {earlier.frame}"
            yield check(message, "message_id", expected, "other octets" if not same else "the same", holds=same)


@rule("IKE-ID", "RFC 7296 2.2", "requests count their message ids up by one")
def message_ids(session: Session) -> Iterator[Check]:
    """Both sides number their own requests, from 0 with IKE_SA_INIT; with a window of one nothing is left out."""
    used: dict[tuple[str, bool], list[int]] = {}
    for message in session.messages:
        if not message.is_ike or message.flag("response"):
            continue
        numbers = used.setdefault((message.text("spi_i"), message.flag("from_initiator")), [])
        number = message.number("message_id")
        if number in numbers:
            continue  # sent again: rule IKE-REPEAT
        if numbers:
            yield check(message, "message_id", numbers[-1] + 1, number, holds=number == numbers[-1] + 1)
        numbers.append(number)


@rule("I14", "TS 23.402 4.5.2", "no REDIRECT once a binding exists", sees="ike")
def no_late_redirect(session: Session) -> Iterator[Check]:
    """The home agent can be changed only before the UE has registered with it."""
    accepted = next((one for one in session.of("binding_acknowledgement") if _accepts(one)), None)
    for message in session.messages:
        if accepted is not None and message.is_ike and message.flag("response") and message.frame > accepted.frame:
            redirected = "REDIRECT" in message.items("notify")
            yield check(message, "notify", "no REDIRECT", message.items("notify"), holds=not redirected)


def _accepts(message: Message) -> bool:
    return message.number("status") < FIRST_REJECTING_STATUS


@rule("INTEGRITY", "RFC 7296 3.14, RFC 4303 3.4.4", "every protected packet passes its integrity check")
def integrity(session: Session) -> Iterator[Check]:
    """Other packets of the same SA open with the key, so this one was changed on its way or built wrongly."""
    for message in session.messages:
        if message.flag("encrypted") or message.flag("protected") or message.hidden:
            if message.hidden and message.hidden != DAMAGED:
                yield unseen(message.hidden)
            else:
                damaged = message.hidden == DAMAGED
                yield check(message, "icv", "correct", "wrong" if damaged else "correct", holds=not damaged)


@rule("MALFORMED", "RFC 7296 3, RFC 6275 6", "every message can be parsed")
def well_formed(session: Session) -> Iterator[Check]:
    """Wireshark calls the message malformed: a length or a field in it does not fit."""
    for message in session.messages:
        if not message.hidden and message.kind not in ("plain", "tunnelled"):
            bad = message.flag("malformed")
            yield check(message, "malformed", "a well-formed message", "malformed" if bad else "yes", holds=not bad)


@rule("UDP-CHECKSUM", "RFC 8200 8.1", "UDP checksums are correct", severity="warning")
def udp_checksums(session: Session) -> Iterator[Check]:
    """A wrong one is either damage or a capture taken before the network card filled the checksum in (offloading)."""
    for message in session.messages:
        if message.is_ike or message.kind == "dns":
            bad = message.flag("bad_udp_checksum")
            yield check(message, "udp checksum", "correct", "wrong" if bad else "correct", holds=not bad)
