# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about the home link and about the end of a PDN connection (TS 24.303 5.2.2.4, 5.4, TS 23.402 6.5, 8.4)."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session, within

KEEP_AT_HOME = 10.0  # seconds after the return in which nobody should close the SAs
TIME_TO_DELETE = 5.0  # seconds that a capture must go on for the lack of a DELETE to mean anything


def _at_home(message: Message) -> bool:
    return message.source == message.text("home_address")


@rule("HOME-NO-BU", "TS 23.402 4.1, 4.2.2", "at home nothing is registered", sees="ike mobility")
def nothing_registered_at_home(session: Session) -> Iterator[Check]:
    """On its home link the UE is reached without the home agent; the only Binding Update there ends a binding."""
    for update in session.of("binding_update"):
        home = any(within(update.source, prefix) for prefix in session.home_prefixes)
        if home or _at_home(update):
            lifetime = update.number("lifetime")
            yield check(update, "lifetime", "0: the UE is at home", lifetime, holds=lifetime == 0)


@rule("HOME-KEEP-SA", "TS 23.402 8.4.1, RFC 4877 4.2", "at home SAs are kept", severity="warning", sees="ike mobility")
def keeps_associations(session: Session) -> Iterator[Check]:
    """The UE may leave again soon: the SAs expire by themselves."""
    returned: Message | None = None
    for message in session.messages:
        if message.kind == "binding_update":
            returned = message if message.number("lifetime") == 0 and _at_home(message) else None
        elif returned is not None and message.get("delete") is not None and not message.flag("response"):
            passed = message.time - returned.time
            text = f"not within {KEEP_AT_HOME:g} s of frame {returned.frame}"
            yield check(message, "delete", text, f"after {passed:.1f} s", holds=passed > KEEP_AT_HOME)


@rule("DETACH-DELETE", "TS 23.402 6.5.2 step 6", "the UE ends with its IKE SA", severity="warning", sees="ike mobility")
def detach_deletes(session: Session) -> Iterator[Check]:
    """After the de-registration away from home the UE closes the IKE SA of that PDN connection."""
    if not any(one.is_ike for one in session.messages):
        return
    for update, answer in session.exchanges:
        ends = answer is not None and answer.number("status") < FIRST_REJECTING_STATUS and not update.number("lifetime")
        if answer is None or not ends or _at_home(update):
            continue
        later = [one for one in session.messages if one.frame > answer.frame]
        deleted = next((one for one in later if one.get("delete") == "IKE"), None)
        bound_again = any(one.kind == "binding_update" and one.number("lifetime") for one in later)
        if deleted is not None or (later and not bound_again and later[-1].time > answer.time + TIME_TO_DELETE):
            found = f"frame {deleted.frame}" if deleted else "no DELETE"
            yield check(answer, "delete", "DELETE of the IKE SA", found, holds=deleted is not None)


@rule("DELETE-ANSWERED", "RFC 7296 1.4.1, 2.4", "a DELETE is answered", severity="note", sees="ike", whole=True)
def delete_answered(session: Session) -> Iterator[Check]:
    """The peer confirms it with an empty message; without that the sender asks again and gives up in the end."""
    answers = {(one.text("spi_i"), one.number("message_id"), one.flag("from_initiator"))
               for one in session.of("informational") if one.flag("response")}  # fmt: skip
    for message in session.of("informational"):
        if message.get("delete") is not None and not message.flag("response"):
            key = (message.text("spi_i"), message.number("message_id"), not message.flag("from_initiator"))
            found = "answered" if key in answers else "no answer in the capture"
            yield check(message, "message_id", "an answer", found, holds=key in answers)
