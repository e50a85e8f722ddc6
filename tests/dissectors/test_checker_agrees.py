# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector and the checker, which share no code, say the same of the same captures: sessions and what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mn_dsmip.check import cli
from tests.check.mutation.campaign import damaged

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
CASES = sorted(each.parent.name for each in CAPTURES.glob("*/trace.pcapng"))
SCRIPT = CAPTURES.parent / "dissectors" / "dsmip.lua"

MORE_SESSIONS = {"untrusted-access": 1}
"""The IKE SA with an ePDG is a session of its own to the dissector; the checker knows that S2c runs inside it."""
UNTOLD = {"home-link"}
"""On its home link a UE registers nothing, so that no message names its home address to the dissector."""


def dissected(capture: Path, keys: Path, *names: str) -> list[list[list[str]]]:
    """For each frame the values of each field."""
    fields = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-2", "-n", "-r", str(capture), "-X", f"lua_script:{SCRIPT}", "-T", "fields"]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(keys)}
    done = subprocess.run(
        [*command, "-E", "aggregator=|", *fields],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=True,
    )
    return [[[one for one in cell.split("|") if one] for cell in line.split("\t")] for line in done.stdout.splitlines()]


def judged(capsys: pytest.CaptureFixture[str], capture: Path, keys: Path, flow: str) -> dict[str, Any]:
    """The checker's verdict."""
    cli.main([str(capture), "--keys", str(keys), "--flow", flow, "--format", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("case", CASES)
def test_sessions(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same frames belong together, and to the same home address."""
    folder = CAPTURES / case
    flow = folder / "flow.yaml"
    told = judged(capsys, folder / "trace.pcapng", folder / "wireshark", str(flow))["sessions"]
    frames = dissected(folder / "trace.pcapng", folder / "wireshark", "dsmip.session", "dsmip.step", "dsmip.hoa")
    homes: dict[str, set[IPv6Address]] = defaultdict(set)
    for sessions, _, addresses in frames:
        for session in sessions[:1]:
            homes[session] |= {IPv6Address(each) for each in addresses}
    pairs = set()
    for number, session in enumerate(told):
        for step in session["steps"]:
            numbers, steps, _ = frames[step["frame"] - 1] if step["frame"] else ([], [], [])
            pairs |= {(number, each) for each in numbers[:1] if steps}
    assert {one for one, _ in pairs} == set(range(len(told))), "each session has frames that both know"
    assert len({other for _, other in pairs}) == len(pairs), "one session of the dissector is one of the checker"
    assert len(pairs) == len(told) + MORE_SESSIONS.get(case, 0)
    for number in range(len(told)):
        addresses = set[IPv6Address]().union(*(homes[other] for one, other in pairs if one == number))
        if case not in UNTOLD:
            assert addresses == {IPv6Address(each) for each in told[number]["home_addresses"]}


class Agreed(NamedTuple):
    """A damaged copy of a case: what the checker calls it (a rule or a step), and what the dissector does, where."""

    case: str
    frame: int
    mutant: str
    rule: str
    expert: str
    at: int


AGREED = (
    Agreed("attach", 16, "mh[3].payload_protocol", "MH-PROTO", "mh.malformed", 16),
    Agreed("attach", 16, "mh[3].checksum", "MH-CHECKSUM", "mh.checksum.bad", 16),
    Agreed("attach", 16, "mh[3].option_3.missing", "I9", "option.missing", 16),
    Agreed("attach", 16, "mh[3].type", "I2", "ba.unsolicited", 17),
    Agreed("attach", 16, "mh[3].lifetime=1", "I4", "ba.lifetime", 17),
    Agreed("attach", 16, "mh[3].option_29.missing", "I7", "option.extra", 17),
    Agreed("attach", 16, "mh[3].lifetime=0", "I13", "after_detach", 18),
    Agreed("attach", 17, "mh[3].sequence=30583", "I2", "ba.sequence", 17),
    Agreed("attach", 17, "mh[3].status=132", "registration-acknowledged", "ba.refused", 17),
    Agreed("attach", 17, "mh[3].lifetime=65535", "I4", "ba.lifetime", 17),
    Agreed("attach", 17, "mh[3].option_30.missing", "BA-IPV4", "option.missing", 17),
    Agreed("attach", 17, "mh[3].checksum", "MH-CHECKSUM", "mh.checksum.bad", 17),
    Agreed("refresh", 22, "mh[3].sequence=0", "I3", "bu.sequence", 22),
    Agreed("refresh", 28, "mh[3].lifetime=0", "I13", "after_detach", 30),
    Agreed("detach", 23, "mh[3].lifetime=1", "I4", "ba.lifetime", 23),
    Agreed("ipv4-access-nat", 11, "mh[4].option_32.missing", "I10", "option.missing", 11),
    Agreed("ipv4-access-nat", 11, "mh.option_3.again", "I10", "option.extra", 11),
    Agreed("ipv4-access-nat", 12, "mh[4].sequence=0", "I2", "ba.sequence", 12),
)


@pytest.mark.parametrize("agreed", AGREED, ids=lambda one: f"{one.rule}-{one.expert}-{one.case}")
def test_what_is_wrong(agreed: Agreed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = CAPTURES / agreed.case
    capture = damaged(folder, agreed.frame, agreed.mutant, tmp_path / "damaged.pcapng")
    verdict = judged(capsys, capture, folder / "wireshark", agreed.case)
    found = [each.get("rule") or each["step"] for session in verdict["sessions"] for each in session["findings"]]
    assert agreed.rule in found
    frames = dissected(capture, folder / "wireshark", f"dsmip.expert.{agreed.expert}", "dsmip.expert")
    assert [number for number, (here, _) in enumerate(frames, 1) if here][:1] == [agreed.at]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_wrong_with_the_reference_captures(case: str) -> None:
    """The checker passes them (see its own tests); the dissector remarks upon nothing but repetitions."""
    folder = CAPTURES / case
    frames = dissected(folder / "trace.pcapng", folder / "wireshark", "dsmip.expert")
    assert [one for [remarks] in frames for one in remarks if not one.startswith("Repeats frame")] == []
