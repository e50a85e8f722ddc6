# SPDX-License-Identifier: GPL-2.0-or-later
"""Every case of the dissector's values."""

from __future__ import annotations

from tests.dissectors.packets.carried_cases import CONFIGURED, DECODED_AS, DISCOVERY, EAP_AKA, ENCAPSULATED, MOVED
from tests.dissectors.packets.mobility_cases import (
    ACKNOWLEDGEMENTS,
    AUTHENTICATED,
    BROKEN_KEYS,
    CHECKSUMS,
    CUT,
    IPV4_ACKNOWLEDGEMENTS,
    NO_KEYS,
    OTHERS,
    OVERWRITE,
    REVOCATIONS,
    UNSEEN_UPDATE,
    WRONG_KEY,
)

CASES = [
    CHECKSUMS,
    CUT,
    ACKNOWLEDGEMENTS,
    IPV4_ACKNOWLEDGEMENTS,
    REVOCATIONS,
    OVERWRITE,
    AUTHENTICATED,
    UNSEEN_UPDATE,
    WRONG_KEY,
    BROKEN_KEYS,
    NO_KEYS,
    OTHERS,
    ENCAPSULATED,
    MOVED,
    DECODED_AS,
    DISCOVERY,
    CONFIGURED,
    EAP_AKA,
]
