# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about the reallocation of the home agent by REDIRECT (RFC 5685, TS 23.402 6.10)."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session

MAX_REDIRECTS, REDIRECT_LOOP_DETECT_PERIOD = 5, 300.0  # RFC 5685 7
LEAST_NONCE = 16  # octets (RFC 7296 2.10)


def _redirects(session: Session) -> Iterator[Message]:
    return (one for one in session.messages if one.is_ike and "REDIRECT" in one.items("notify"))


@rule("I15", "RFC 5685 3, 6, 9.2", "REDIRECT has a nonce in IKE_SA_INIT, and there only", sees="ike")
def redirect_nonce(session: Session) -> Iterator[Check]:
    """In the clear the UE's nonce is all that tells the gateway from a stranger; behind the IKE SA it has no place."""
    for message in _redirects(session):
        length = message.number("redirect_nonce")
        if message.kind == "ike_sa_init":
            yield check(message, "redirect_nonce", "the UE's nonce", f"{length} octets", holds=length >= LEAST_NONCE)
        else:
            yield check(message, "redirect_nonce", "no nonce", f"{length} octets", holds=not length)


@rule("REDIRECT-PLACE", "RFC 5685 6", "REDIRECT in the first or the last answer of IKE_AUTH", sees="ike")
def redirect_place(session: Session) -> Iterator[Check]:
    """In between the gateway is not authenticated yet, or the UE is not: a redirection there must be ignored."""
    for message in _redirects(session):
        if message.kind == "ike_auth":
            first_or_last = message.number("message_id") == 1 or message.get("auth_method") == "SHARED_KEY"
            place = f"message id {message.number('message_id')}"
            yield check(message, "notify", "in the first or the last answer", place, holds=first_or_last)


@rule("REDIRECT-ASKED", "RFC 5685 3", "only a UE that announced it is redirected")
def redirect_announced(session: Session) -> Iterator[Check]:
    """A UE that does not know the notification would just fail."""
    announced = any(
        {"REDIRECT_SUPPORTED", "REDIRECTED_FROM"} & set(one.items("notify")) for one in session.of("ike_sa_init")
    )
    for message in _redirects(session):
        if any(session.of("ike_sa_init")):
            found = "announced" if announced else "neither notification was sent"
            expected = "after REDIRECT_SUPPORTED or REDIRECTED_FROM"
            yield check(message, "notify", expected, found, holds=announced)


@rule("REDIRECT-EMPTY", "TS 23.402 6.10, RFC 5685 6", "who redirects the UE assigns it nothing", sees="ike")
def redirect_assigns_nothing(session: Session) -> Iterator[Check]:
    """The home prefix comes from the home agent that takes over; a child SA with this one would lead nowhere."""
    for message in _redirects(session):
        if message.kind == "ike_auth":
            extra = [one for one in message.items("payloads") if one in ("CP", "SA", "TSi", "TSr")]
            yield check(message, "payloads", "without CP, SA, TSi, TSr", tuple(extra) or "none", holds=not extra)


@rule("REDIRECT-FROM", "RFC 5685 3, 9.3", "the new home agent learns who sent the UE")
def redirected_from(session: Session) -> Iterator[Check]:
    """REDIRECTED_FROM carries the address of the home agent before; it lets the new one notice circles."""
    told: Message | None = None
    for message in session.messages:
        if message.is_ike and "REDIRECT" in message.items("notify"):
            told = message
        elif told and message.kind == "ike_sa_init" and message.flag("from_initiator"):
            old = told.source
            if message.destination != old:
                given = message.text("redirected_from")
                yield check(message, "redirected_from", old, given or "missing", holds=given == old)


@rule("REDIRECT-LOOP", "RFC 5685 7", "a UE is not sent round in circles", severity="warning")
def redirect_loop(session: Session) -> Iterator[Check]:
    """More than five redirections in five minutes are a loop, and the UE gives up."""
    times: list[float] = []
    for message in _redirects(session):
        times = [time for time in times if message.time - time < REDIRECT_LOOP_DETECT_PERIOD] + [message.time]
        fine = len(times) <= MAX_REDIRECTS
        yield check(message, "notify", f"at most {MAX_REDIRECTS} in 300 s", f"{len(times)}", holds=fine)


@rule("REDIRECT-SUPPORT", "TS 24.303 5.1.2.2, RFC 5685 9.1", "the UE can be reallocated", severity="note")
def announces_redirect(session: Session) -> Iterator[Check]:
    """Without REDIRECT_SUPPORTED in IKE_SA_INIT the network cannot move the UE to a better home agent."""
    for message in session.of("ike_sa_init"):
        if message.flag("from_initiator"):
            sent = {"REDIRECT_SUPPORTED", "REDIRECTED_FROM"} & set(message.items("notify"))
            yield check(message, "notify", "with REDIRECT_SUPPORTED", message.items("notify"), holds=bool(sent))
