# SPDX-License-Identifier: GPL-2.0-or-later
"""Session keys in one form, whoever derived them, so that both ends of an SA can be compared."""

from __future__ import annotations

from typing import NamedTuple

from mn_dsmip.engine.base import Event
from mn_dsmip.engine.ike.events import EspKeysDerived, IkeKeysDerived


class SaKeys(NamedTuple):
    """SK_* of an IKE SA (RFC 7296 2.14); a suite without integrity of its own has empty ``ai`` and ``ar``."""

    d: bytes
    ai: bytes
    ar: bytes
    ei: bytes
    er: bytes
    pi: bytes
    pr: bytes


class EspKeys(NamedTuple):
    """Both directions of a child SA: (encryption, integrity) keys, salt included, of the exchange's two ends."""

    spis: frozenset[bytes]
    keys: frozenset[tuple[bytes, bytes]]


def our_ike_keys(events: list[Event]) -> list[SaKeys]:
    """Of all IKE SAs, in the order of their making."""
    found = [each.keys for each in events if isinstance(each, IkeKeysDerived)]
    return [SaKeys(keys.d, keys.ai, keys.ar, keys.ei, keys.er, keys.pi, keys.pr) for keys in found]


def our_child_keys(events: list[Event]) -> list[EspKeys]:
    """Of all child SAs, in the order of their making."""
    return [
        EspKeys(
            frozenset((child.inbound_spi, child.outbound_spi)),
            frozenset((keys.encryption, keys.integrity) for keys in (child.inbound_keys, child.outbound_keys)),
        )
        for child in (each.child for each in events if isinstance(each, EspKeysDerived))
    ]
