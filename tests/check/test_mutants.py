# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged copies of a good trace: each is rejected at the right step or rule, with the right words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.check.report import data
from mn_dsmip.check.report import text as report
from tests.check.conftest import FLOW, Case, Check, judged_file
from tests.check.damage import Damaged
from tests.check.mutants import MUTANTS, Mutant


def violations(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for session in verdict["sessions"] for one in session["findings"] if one["severity"] == "violation"]


def idents(verdict: dict[str, Any]) -> list[str]:
    return [one.get("rule") or one["step"] for one in violations(verdict)]


def spoiled(mutant: Mutant, case: Case, folder: Path) -> Path:
    trace = case.damaged()
    mutant.spoil(trace)
    return trace.save(folder / "spoiled.pcapng")


def test_good_trace_passes(forged: Case, check: Check) -> None:
    status, verdict = check(forged.capture)
    assert (status, verdict["verdict"]) == (0, "pass")
    assert violations(verdict) == []
    assert {one["outcome"] for one in verdict["sessions"][0]["steps"]} == {"matched", "skipped"}


def test_damage_alone_changes_nothing(forged: Case, check: Check, tmp_path: Path) -> None:
    """Opening everything and sealing it again gives the same trace, so that a mutant fails for its own change only."""
    trace = forged.damaged()
    for number in trace.mobility(5) + trace.mobility(6):
        trace.edit_mobility(number)
    for exchange in (35, 36, 37):
        for response in (False, True):
            for number in trace.ike(exchange, response):
                trace.edit_ike(number, lambda payloads: payloads)
    again = Damaged.load(trace.save(tmp_path / "same.pcapng"), forged.keys)
    assert [one.data for one in again.records] == [one.data for one in forged.damaged().records]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_rejected(mutant: Mutant, forged: Case, tmp_path: Path) -> None:
    capture = spoiled(mutant, forged, tmp_path)
    verdict, source = judged_file(capture, forged.keys)
    found = idents(data.as_json(verdict, source))
    assert verdict.verdict == "fail"
    assert found[0] == mutant.ident, found
    if mutant.also:
        assert mutant.also in found
    first = report.text(verdict, source).split("\n  1. ")[1].split("\n  2. ")[0]
    assert mutant.says in first
    assert "clause: " in first


def test_enough_mutants_are_sealed_again() -> None:
    """At least twelve damaged copies, at least four of them changed inside the encryption."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
    assert sum(mutant.sealed for mutant in MUTANTS) >= 4


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_of_shipped_trace(mutant: Mutant, tmp_path: Path) -> None:
    case = Case(FLOW.with_name("trace.pcapng"), FLOW.with_name("wireshark"))
    verdict, source = judged_file(spoiled(mutant, case, tmp_path), case.keys)
    assert verdict.verdict == "fail"
    assert mutant.ident in idents(data.as_json(verdict, source))
