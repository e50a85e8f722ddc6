# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants of the shipped captures: every rule and every flow notices some, and no survivor goes unexplained."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mn_dsmip.check.rules import RULES
from tests.check.damage import ETHERNET, read_pcapng
from tests.check.mutation.campaign import Campaign, Outcome
from tests.check.mutation.layers import Keys, parse
from tests.check.mutation.survivors import hole, reason
from tests.check.test_cases import CAPTURES, JUDGED

# A few cases that between them have every kind of message; `python -m tests.check.mutation` judges all of them
QUICK = (
    "detach",
    "ipv4-access-nat",
    "network-detach",
    "handover-to-ipv4",
    "return-home",
    "rfc4285",
    "home-link",
    "reallocation",
)
# Rules that no change of one packet of these traces can break; tests of the rules build their messages
BEYOND = {
    "BRR-ANSWERED": "takes a Binding Refresh Request",
    "HA-NEXT": "takes a second home agent and two attempts",
    "DATA-HEADERS": "takes a header that a packet did not have",
    "BU-BACKOFF": "takes several updates without an answer",
    "BA-FINAL": "takes a refusal and an update after it",
    "BA-DUPLICATE": "takes an answer to a home address that is a duplicate, and another update",
    "BE": "takes a Binding Error",
    "HOME-KEEP-SA": "takes a DELETE at home",
    "DETACH-DELETE": "takes a detach that goes on without a DELETE",
    "DHCP-ASKED": "takes a reply with more than was asked for",
    "DHCP-CONTAINED": "takes options that left their container",
    "CONTACT": "takes a second PDN connection",
    "REDIRECT-LOOP": "takes more than five redirections",
    "MNHA-REFUSED": "takes a refusal and an update after it",
    "HNP-UNIQUE": "takes a second UE",
    "HOA-UNIQUE": "takes a second UE",
    "SPI-UNIQUE": "takes a second UE",
}
LEAST_SHARE = 0.70  # of the mutants that break something: noticed


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [one for case in QUICK for one in Campaign(CAPTURES / case).run()]


@pytest.mark.parametrize("name", JUDGED)
def test_taking_apart_and_building_changes_nothing(name: str) -> None:
    """A mutant differs from its capture by what was changed, and by nothing else."""
    keys = Keys.load(CAPTURES / name / "wireshark")
    for _, octets in read_pcapng((CAPTURES / name / "trace.pcapng").read_bytes()):
        assert parse(octets[ETHERNET:], keys).build() == octets[ETHERNET:]


def test_every_rule_has_a_mutant(outcomes: list[Outcome]) -> None:
    told = {ident for one in outcomes for ident in one.idents}
    without = {rule.ident for rule in RULES} - told
    assert without <= set(BEYOND), f"no mutant is reported under {sorted(without - set(BEYOND))}"


def test_every_flow_rejects_mutants_at_its_own_steps(outcomes: list[Outcome]) -> None:
    rules = {rule.ident for rule in RULES}
    for case in QUICK:
        steps = {one.idents[0] for one in outcomes if one.case == case and one.idents and one.idents[0] not in rules}
        assert len([step for step in steps if not step.startswith("unseen")]) >= 3, case


def test_every_survivor_is_explained(outcomes: list[Outcome]) -> None:
    left = [one for one in outcomes if one.result == "survived" and not reason(one) and not hole(one)]
    assert left == []


def test_share_of_mutants_noticed(outcomes: list[Outcome]) -> None:
    count = Counter(one.result for one in outcomes if one.result != "survived" or not reason(one))
    share = (count["killed"] + count["noticed"]) / sum(count.values())
    assert share > LEAST_SHARE, f"only {share:.1%} of {sum(count.values())} mutants are noticed"


def test_all_cases_are_judged_by_one_of_the_lists() -> None:
    assert set(QUICK) <= set(JUDGED)
    assert all(Path(CAPTURES / case / "flow.yaml").is_file() for case in QUICK)
