# SPDX-License-Identifier: GPL-2.0-or-later
"""How long each phase of a UE took, out of its journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PHASES = {  # state -> what the UE does while in it
    "IDLE": "care-of address",
    "DISCOVERING": "home agent discovery",
    "SECURING": "IKEv2 and EAP",
    "ADDRESSING": "home address and its child SA",
    "REGISTERING": "binding",
    "ATTACHED": "attached",
    "DETACHING": "de-registration",
}
BEFORE_ATTACH, ATTACHED = "IDLE", "ATTACHED"
WHOLE = "attach in all"


class Phase(NamedTuple):
    """A stay in one state, or the whole attach."""

    name: str
    seconds: float


def phases(journal: Path) -> list[Phase]:
    """The phases of a UE in their order; the attach as a whole follows the phases it consists of."""
    found: list[Phase] = []
    entered: float | None = None
    left_idle: float | None = None
    for entry in _entries(journal):
        time = float(entry["time"])
        if entered is None:
            entered = time  # the journal begins with the agent
        if "old" not in entry or "new" not in entry:
            continue
        old, new = str(entry["old"]), str(entry["new"])
        found.append(Phase(PHASES.get(old, old.lower()), time - entered))
        entered = time
        if old == BEFORE_ATTACH:
            left_idle = time
        if new == ATTACHED and left_idle is not None:
            found.append(Phase(WHOLE, time - left_idle))
    return found


def _entries(journal: Path) -> Iterator[dict[str, Any]]:
    for line in journal.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a killed agent may leave half a line
        if isinstance(entry, dict) and "time" in entry:
            yield entry
