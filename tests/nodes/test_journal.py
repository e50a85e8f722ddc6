# SPDX-License-Identifier: GPL-2.0-or-later
"""Phases out of a journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mn_dsmip.nodes.journal import phases

STATES = [(10.0, "IDLE", "DISCOVERING"), (10.25, "DISCOVERING", "SECURING"), (10.75, "SECURING", "ATTACHED")]


def test_phases_are_the_times_between_states(tmp_path: Path) -> None:
    lines = [{"version": 1, "time": 9.0, "event": "started"}]
    lines += [{"version": 1, "time": time, "event": "state", "old": old, "new": new} for time, old, new in STATES]
    lines += [{"version": 1, "time": 11.0, "event": "state", "old": "ATTACHED", "new": "DETACHING"}]
    journal = tmp_path / "ue1.jsonl"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time": 12, "ev')
    assert [(phase.name, pytest.approx(phase.seconds)) for phase in phases(journal)] == [
        ("care-of address", 1.0),
        ("home agent discovery", 0.25),
        ("IKEv2 and EAP", 0.5),
        ("attach in all", 0.75),
        ("attached", 0.25),
    ]
