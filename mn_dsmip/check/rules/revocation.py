# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about binding revocation, the network's way to detach a UE (TS 24.303 5.4, A.6, RFC 5846)."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session

TRIGGER_UNSPECIFIED = 1  # TS 24.303 A.6: the only one (RFC 5846 5.1)
FLAGS = ("proxy_binding", "ipv4_only", "global_revocation")
LEAST_DELAY = 0.5  # seconds before a BRI is repeated (RFC 5846 11)
CLOCK = 0.95  # of an interval: clocks and captures are not exact


def _pairs(session: Session) -> Iterator[tuple[Message, Message | None]]:
    """Each indication, repetitions left out, with its acknowledgement."""
    answers = [one for one in session.of("binding_revocation") if not one.flag("indication")]
    seen: set[int] = set()
    for message in session.of("binding_revocation"):
        number = message.number("sequence")
        if message.flag("indication") and number not in seen:
            seen.add(number)
            mine = (one for one in answers if one.number("sequence") == number and one.frame > message.frame)
            yield message, next(mine, None)


@rule("BRI-FORM", "TS 24.303 A.6, RFC 5846 5.1", "a revocation has trigger 1 and no flags", sees="mobility")
def indication_form(session: Session) -> Iterator[Check]:
    """On S2c the network says no more than that the connection ends: P, V and G are for Proxy Mobile IPv6."""
    for message in session.of("binding_revocation"):
        if message.flag("indication"):
            trigger = message.number("trigger")
            yield check(message, "trigger", TRIGGER_UNSPECIFIED, trigger, holds=trigger == TRIGGER_UNSPECIFIED)
        set_flags = tuple(name for name in FLAGS if message.flag(name))
        yield check(message, "flags", "none of P, V, G", set_flags or "none", holds=not set_flags)


@rule("BRI-ANSWERED", "RFC 5846 10.1", "a revocation is acknowledged", severity="warning", sees="mobility", whole=True)
def indication_answered(session: Session) -> Iterator[Check]:
    """The UE answers a revocation of a binding that it has; without an answer the home agent asks once more."""
    for indication, answer in _pairs(session):
        found = f"frame {answer.frame}" if answer else "no acknowledgement with that sequence number"
        number = indication.number("sequence")
        yield check(indication, "sequence", f"acknowledged with {number}", found, holds=answer is not None)


@rule("BRA-ASKED", "RFC 5846 5.2, 10.1", "an acknowledgement repeats the number of a revocation", sees="mobility")
def acknowledgement_asked(session: Session) -> Iterator[Check]:
    """The home agent ignores an acknowledgement of a revocation that it did not send."""
    sent: set[int] = set()
    for message in session.of("binding_revocation"):
        number = message.number("sequence")
        if message.flag("indication"):
            sent.add(number)
        else:
            known = ", ".join(map(str, sorted(sent))) or "there is none"
            yield check(message, "sequence", f"that of a revocation ({known})", number, holds=number in sent)


@rule("BRA-STATUS", "TS 24.303 A.6, RFC 5846 5.2", "the UE agrees to be revoked", severity="warning", sees="mobility")
def acknowledgement_status(session: Session) -> Iterator[Check]:
    """Any other status means that UE and home agent do not hold the same binding."""
    for message in session.of("binding_revocation"):
        if not message.flag("indication"):
            status = message.number("status")
            yield check(message, "status", 0, status, holds=status == 0)


@rule("BRI-HEADERS", "RFC 5846 5.1, 10.1, RFC 6275 6.3, 6.4", "revocations travel as updates do", sees="mobility")
def revocation_headers(session: Session) -> Iterator[Check]:
    """Over IPv6 to the care-of address with a type 2 routing header, back with the home address option; over IPv4 in
    UDP between the ports of the latest Binding Update."""
    latest: Message | None = None
    for message in session.of("binding_update", "binding_revocation"):
        if message.kind == "binding_update":
            latest = message
        elif message.flag("udp"):
            yield from _same_ports(message, latest)
        elif message.text("home_address") not in (message.source, message.destination):
            name = "type2_routing" if message.flag("indication") else "home_address_option"
            yield check(message, name, True, message.flag(name), holds=message.flag(name))


def _same_ports(message: Message, latest: Message | None) -> Iterator[Check]:
    if latest is None or not latest.flag("udp"):
        return
    own = (message.get("source_port"), message.get("destination_port"))
    ports = own[::-1] if message.flag("indication") else own
    asked = (latest.get("source_port"), latest.get("destination_port"))
    yield check(message, "ports", f"{asked[0]} and {asked[1]}", f"{ports[0]} and {ports[1]}", holds=ports == asked)


@rule("BRI-REPEAT", "RFC 5846 7.1, 11", "a revocation is not repeated in haste", severity="warning", sees="mobility")
def indication_repeated(session: Session) -> Iterator[Check]:
    """The first repetition comes after a second, or half of one at the least, with the same number."""
    last: dict[int, Message] = {}
    for message in session.of("binding_revocation"):
        if message.flag("indication"):
            before = last.get(message.number("sequence"))
            if before is not None:
                passed = message.time - before.time
                enough = passed >= LEAST_DELAY * CLOCK
                yield check(message, "time", f"at least {LEAST_DELAY} s later", f"{passed:.3f} s", holds=enough)
            last[message.number("sequence")] = message
