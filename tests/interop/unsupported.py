# SPDX-License-Identifier: GPL-2.0-or-later
"""What a peer cannot do, with its own words for it: rows of the table that no test can fill."""

from __future__ import annotations

from .matrix import Unsupported
from .rows import STRONGSWAN

UNSUPPORTED = (
    Unsupported(
        "REDIRECT in IKE_SA_INIT or IKE_AUTH", STRONGSWAN, "UE", "1.1",
        "needs a plugin that registers a redirect provider; none is packaged (strongSwan documentation, "
        "`swanctl --redirect` works on established IKE_SAs only)",
    ),
    Unsupported(
        "EAP-AKA and EAP-AKA' with strongSwan as initiator", STRONGSWAN, "PDN GW", "1.2",
        "its log: \"tried 0 SIM cards, but none has quintuplets for '0001010000000001@...'\"; no plugin with a "
        "card, and none for EAP-AKA', is packaged",
    ),
    Unsupported(
        "MIP6_HOME_PREFIX asked for by strongSwan", STRONGSWAN, "PDN GW", "1.2",
        "it asks for its own attributes only, its log: \"IKE_AUTH request 1 [ ... CPRQ(ADDR6 ADDR) ... ]\", and as "
        "initiator says of this one: \"handling MIP6_HOME_PREFIX attribute failed\"",
    ),
)  # fmt: skip
"""In the order of the bullets."""
