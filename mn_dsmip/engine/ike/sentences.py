# SPDX-License-Identifier: GPL-2.0-or-later
"""Error notifies as sentences for a person, with the clause that defines them."""

from __future__ import annotations

from ...wire.ikev2_numbers import NotifyType
from ...wire.ikev2_payloads import Notify

_MEANINGS: dict[int, tuple[str, str]] = {
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD: ("it does not know a payload of ours that is marked critical", "2.5"),
    NotifyType.INVALID_IKE_SPI: ("it does not know our IKE SA", "2.21"),
    NotifyType.INVALID_MAJOR_VERSION: ("it speaks another major version of IKE", "2.5"),
    NotifyType.INVALID_SYNTAX: ("it finds our message malformed", "2.21"),
    NotifyType.INVALID_MESSAGE_ID: ("our message id is outside its window", "2.3"),
    NotifyType.INVALID_SPI: ("it does not know an SPI that we used", "1.5"),
    NotifyType.NO_PROPOSAL_CHOSEN: ("it accepts none of our algorithms", "2.7"),
    NotifyType.INVALID_KE_PAYLOAD: ("it wants another Diffie-Hellman group", "1.3"),
    NotifyType.AUTHENTICATION_FAILED: ("it does not accept our authentication or identity", "2.21.2"),
    NotifyType.SINGLE_PAIR_REQUIRED: ("it accepts a single pair of addresses only", "2.9"),
    NotifyType.NO_ADDITIONAL_SAS: ("it accepts no further child SA", "1.3"),
    NotifyType.INTERNAL_ADDRESS_FAILURE: ("it has no address or prefix to give", "3.15.4"),
    NotifyType.FAILED_CP_REQUIRED: ("it insists on a configuration request that we did not send", "3.15.4"),
    NotifyType.TS_UNACCEPTABLE: ("it does not protect the traffic that we asked for", "2.9"),
    NotifyType.TEMPORARY_FAILURE: ("it cannot do that just now", "2.25"),
    NotifyType.CHILD_SA_NOT_FOUND: ("it does not know that child SA", "2.25"),
}


def complaint(notify: Notify) -> str:
    """A sentence for an error that the peer reports of its own accord."""
    meaning, _ = _MEANINGS.get(notify.notify_type, ("an error of another kind", ""))
    return f"the peer reports {NotifyType(notify.notify_type).name}: {meaning}"


def refusal(notify: Notify, protocol: str = "", offered: str = "", who: str = "the gateway") -> tuple[str, str]:
    """Sentence and clause for an error notify; ``offered`` is what we had offered ``who`` for ``protocol``."""
    meaning, clause = _MEANINGS.get(notify.notify_type, (f"it reports error {notify.notify_type}", "3.10.1"))
    name = NotifyType(notify.notify_type).name if notify.notify_type in _MEANINGS else str(notify.notify_type)
    if offered and notify.notify_type == NotifyType.NO_PROPOSAL_CHOSEN:
        return f"{who} refused our {protocol} proposal ({name}): we offered {offered}", f"RFC 7296 {clause}"
    return f"{who} refused: {meaning} ({name})", f"RFC 7296 {clause}"
