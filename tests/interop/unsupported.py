# SPDX-License-Identifier: GPL-2.0-or-later
"""What a peer cannot do, with its own words for it: rows of the table that no test can fill."""

from __future__ import annotations

from .matrix import Unsupported

STRONGSWAN = "strongSwan 5.9.8"

UNSUPPORTED = (
    Unsupported(
        "REDIRECT in IKE_SA_INIT or IKE_AUTH", STRONGSWAN, "UE", "1.1",
        "needs a plugin that registers a redirect provider; none is packaged (strongSwan documentation, "
        "`swanctl --redirect` works on established IKE_SAs only)",
    ),
)  # fmt: skip
"""In the order of the bullets."""
