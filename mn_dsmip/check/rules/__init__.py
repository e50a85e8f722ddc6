# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules. A new one is one decorated function in one of these modules."""

from __future__ import annotations

from mn_dsmip.check.rules import (
    authentication,
    binding,
    data,
    discovery,
    header,
    home,
    ike,
    mn_ha,
    nat,
    redirect,
    revocation,
    timers,
    whole,
)
from mn_dsmip.check.rules.rule import Rule, rules_of

RULES: tuple[Rule, ...] = rules_of(
    binding, timers, header, nat, revocation, home, discovery, ike, authentication, redirect, mn_ha, data, whole
)
