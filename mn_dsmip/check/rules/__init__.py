# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules. A new one is one decorated function in one of these modules."""

from __future__ import annotations

from mn_dsmip.check.rules import binding, data, header, ike
from mn_dsmip.check.rules.rule import Rule, rules_of

RULES: tuple[Rule, ...] = rules_of(binding, header, ike, data)
