# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants that nothing has to notice, each with the reason."""

from __future__ import annotations

import re

from tests.check.mutation.campaign import Outcome

REASONS: tuple[tuple[str, str], ...] = ()


def reason(outcome: Outcome) -> str:
    """Why this mutant breaks no requirement that a trace shows; nothing when it should have been noticed."""
    text = f"{outcome.kind} {outcome.name}"
    return next((why for pattern, why in REASONS if re.search(pattern, text)), "")
