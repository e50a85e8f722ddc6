# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about when things are sent again, and what a refusal is followed by (RFC 6275 11.8, 9.5.4, 12)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session

INITIAL_BINDACK_TIMEOUT, FIRST_REGISTRATION, MAX_BINDACK_TIMEOUT = 1.0, 1.5, 32.0  # seconds (RFC 6275 12, 13)
CLOCK = 0.9  # of an interval: clocks and captures are not exact
FINAL = {129: "administratively prohibited", 151: "service authorization failed"}
DUPLICATE_ADDRESS = 134


@rule("BU-BACKOFF", "RFC 6275 11.8", "an update is sent again ever more slowly", severity="warning", sees="mobility")
def update_backoff(session: Session) -> Iterator[Check]:
    """After 1 s, or 1.5 s for the first registration, then after twice as long each time, up to 32 s; a UE in a hurry
    floods a home agent that is in trouble already. An answer with status 135 ends the waiting (11.7.1)."""
    bound = False
    renumbered = [one.frame for one in session.renumberings]
    for group in session.sendings:
        wait = INITIAL_BINDACK_TIMEOUT if bound else FIRST_REGISTRATION
        for before, again in pairwise(group):
            if any(before.frame < frame < again.frame for frame in renumbered):
                continue
            passed = again.time - before.time
            text = f"at least {wait:g} s after frame {before.frame}"
            yield check(again, "time", text, f"{passed:.3f} s", holds=passed >= wait * CLOCK)
            wait = min(2 * wait, MAX_BINDACK_TIMEOUT)
        bound = bound or any(session.answers[update.frame] for update in group)


@rule("BA-FINAL", "RFC 6275 11.7.3, RFC 5149 3", "a final refusal is final", severity="warning", sees="mobility")
def final_refusal(session: Session) -> Iterator[Check]:
    """After status 129 or 151 the UE has no business here: the same request would get the same answer."""
    refused = 0
    for message in session.of("binding_update", "binding_acknowledgement"):
        if message.kind == "binding_acknowledgement":
            refused = message.number("status") if message.number("status") in FINAL else 0
        elif message.number("lifetime"):
            expected = f"no more registrations after status {refused} ({FINAL.get(refused, '')})" if refused else "none"
            yield check(message, "lifetime", expected, message.number("lifetime"), holds=not refused)


@rule("BA-DUPLICATE", "RFC 5026 5.3.2, RFC 6275 9.5.1", "a refused home address is not tried again", sees="mobility")
def duplicate_address(session: Session) -> Iterator[Check]:
    """Status 134 says that somebody else uses it; the UE forms another one."""
    refused: set[str] = set()
    for message in session.of("binding_update", "binding_acknowledgement"):
        home_address = message.text("home_address")
        if message.kind == "binding_acknowledgement":
            if message.number("status") == DUPLICATE_ADDRESS:
                refused.add(home_address)
        elif refused:
            fine = home_address not in refused
            yield check(message, "home_address", "another one than before", home_address, holds=fine)


@rule("BE", "RFC 6275 9.3.3, 11.3.6", "no Binding Errors", severity="warning", sees="mobility")
def binding_error(session: Session) -> Iterator[Check]:
    """A Binding Error says that the home agent has no binding for a home address, or does not know a message."""
    for message in session.of("binding_error"):
        yield check(message, "status", "no Binding Error", message.number("status"), holds=False)


@rule("BRR-ANSWERED", "RFC 6275 6.1.2", "a refresh request is followed", severity="warning", sees="mobility")
def refresh_requested(session: Session) -> Iterator[Check]:
    """A Binding Refresh Request asks the UE to send a Binding Update before the binding ends."""
    for request in session.of("binding_refresh_request"):
        update = next((one for one in session.of("binding_update") if one.frame > request.frame), None)
        found = f"frame {update.frame}" if update else "none"
        yield check(request, "frame", "a Binding Update after it", found, holds=update is not None)
