# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules. A new one is one decorated function in one of these modules."""

from __future__ import annotations

from mn_dsmip.check import rules_binding, rules_data, rules_format, rules_ike
from mn_dsmip.check.rule import Rule, rules_of

RULES: tuple[Rule, ...] = rules_of(rules_binding, rules_format, rules_ike, rules_data)
