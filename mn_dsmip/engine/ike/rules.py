# SPDX-License-Identifier: GPL-2.0-or-later
"""Which payloads a message must carry (RFC 7296 1.2 to 1.4, 2.16); notifies and unknown ones may always be there."""

from __future__ import annotations

from typing import TypeVar

from ...wire.codec import WireError
from ...wire.ikev2_numbers import Exchange, NotifyType
from ...wire.ikev2_payloads import (
    KeyExchange,
    Nonce,
    Notify,
    Payload,
    SecurityAssociation,
    TrafficSelectorsInitiator,
    TrafficSelectorsResponder,
)

Kind = TypeVar("Kind", bound=Payload)

CHILD = (SecurityAssociation, TrafficSelectorsInitiator, TrafficSelectorsResponder)
"""What makes a child SA, besides nonces in CREATE_CHILD_SA."""

REQUIRED: dict[Exchange, tuple[type[Payload], ...]] = {
    Exchange.IKE_SA_INIT: (SecurityAssociation, KeyExchange, Nonce),
    Exchange.IKE_AUTH: (),
    Exchange.CREATE_CHILD_SA: (*CHILD, Nonce),
    Exchange.INFORMATIONAL: (),
}


def find(payloads: tuple[Payload, ...], kind: type[Kind]) -> Kind | None:
    """The first payload of that class."""
    return next((each for each in payloads if isinstance(each, kind)), None)


def need(payloads: tuple[Payload, ...], kind: type[Kind]) -> Kind:
    """The one payload of that class; ``WireError`` when it is missing or repeated."""
    found = [each for each in payloads if isinstance(each, kind)]
    if len(found) != 1:
        raise WireError(f"{len(found)} {kind.__name__} payloads where one belongs")
    return found[0]


def check(exchange: Exchange, payloads: tuple[Payload, ...]) -> None:
    """``WireError`` unless each payload that the exchange requires is there once."""
    for kind in REQUIRED[exchange]:
        need(payloads, kind)


def notify(payloads: tuple[Payload, ...], kind: int) -> Notify | None:
    """The first notify of that type."""
    return next((each for each in payloads if isinstance(each, Notify) and each.notify_type == kind), None)


def error(payloads: tuple[Payload, ...]) -> Notify | None:
    """The first error notify; USE_ASSIGNED_HoA is in their range, but refuses nothing (RFC 5026 5.3.2)."""
    errors = (each for each in payloads if isinstance(each, Notify) and each.is_error)
    return next((each for each in errors if each.notify_type != NotifyType.USE_ASSIGNED_HOA), None)
