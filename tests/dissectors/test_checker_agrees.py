# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector and the checker, which share no code, say the same of the same captures: sessions and what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.check import cli
from tests.dissectors.packets.agreed import AGREED, APART, UNJUDGED, UNREMARKED, Agreed, Damage, Unjudged

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
CASES = sorted(each.parent.name for each in CAPTURES.glob("*/trace.pcapng"))
SCRIPT = CAPTURES.parent / "dissectors" / "dsmip.lua"
EXPERT = "dsmip.expert."

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


def findings(verdict: dict[str, Any]) -> list[str]:
    """The rules and steps that something is wrong with."""
    return [each.get("rule") or each["step"] for session in verdict["sessions"] for each in session["findings"]]


def remarks(capture: Path, keys: Path) -> list[tuple[int, str]]:
    """The dissector's remarks, each with its frame."""
    frames = dissected(capture, keys, "dsmip.expert")
    return [(number, words) for number, [cell] in enumerate(frames, 1) for words in cell]


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


@pytest.mark.parametrize("agreed", AGREED, ids=lambda one: f"{one.rule}-{one.expert}-{one.case}")
def test_what_is_wrong(agreed: Agreed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = CAPTURES / agreed.case
    capture = agreed.damage(folder, tmp_path / "damaged.pcapng")
    verdict = judged(capsys, capture, folder / "wireshark", agreed.case)
    assert agreed.rule in findings(verdict)
    frames = dissected(capture, folder / "wireshark", f"dsmip.expert.{agreed.expert}", "dsmip.expert")
    assert [number for number, (here, _) in enumerate(frames, 1) if here][:1] == [agreed.at]


@pytest.mark.parametrize("unjudged", UNJUDGED, ids=lambda one: f"{one.expert}-{one.case}-{one.at}")
def test_what_the_dissector_alone_points_out(
    unjudged: Unjudged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = CAPTURES / unjudged.case
    capture = unjudged.damage(folder, tmp_path / "damaged.pcapng")
    verdict = judged(capsys, capture, folder / "wireshark", unjudged.case)
    assert (verdict["verdict"], findings(verdict)) == ("pass", []), unjudged.why
    frames = dissected(capture, folder / "wireshark", f"dsmip.expert.{unjudged.expert}", "dsmip.expert")
    assert [number for number, (here, _) in enumerate(frames, 1) if here] == [unjudged.at]


@pytest.mark.parametrize(("case", "damage"), UNREMARKED)
def test_what_is_close_but_right(case: str, damage: Damage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = CAPTURES / case
    capture = damage(folder, tmp_path / "damaged.pcapng")
    assert findings(judged(capsys, capture, folder / "wireshark", case)) == []
    assert remarks(capture, folder / "wireshark") == []


def test_keys_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The dissector suspects the keys from the first message they should have opened; the checker judges nothing of
    what it cannot open and says so. Neither blames the peers for the noise that comes of it."""
    folder = CAPTURES / "attach"
    keys = Path(shutil.copytree(folder / "wireshark", tmp_path / "wireshark"))
    table = keys / "ikev2_decryption_table"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    for line in lines[1:]:
        line[2:4] = [f"{each[:-1]}{int(each[-1], 16) ^ 1:x}" for each in line[2:4]]
    table.write_text("".join(f"{','.join(line)}\n" for line in lines))
    verdict = judged(capsys, folder / "trace.pcapng", keys, "attach")
    assert verdict["verdict"] == "inconclusive" and findings(verdict) == []
    assert "key" in json.dumps(verdict["sessions"])
    found = remarks(folder / "trace.pcapng", keys)
    assert {number for number, _ in found} == set(range(8, 16)), "IKE_AUTH and CREATE_CHILD_SA"
    assert all(words.endswith("wrong keys?") for _, words in found), found


def test_every_remark_has_a_row(names: list[str]) -> None:
    """Who adds a remark says what the checker makes of the same: in AGREED, in UNJUDGED, or why not in APART."""
    declared = {name.removeprefix(EXPERT) for name in names if name.startswith(EXPERT)}
    compared = {row.expert for row in (*AGREED, *UNJUDGED)}
    assert sorted(declared - compared - set(APART)) == [], "remarks without a row in packets/agreed.py"
    assert sorted((compared | set(APART)) - declared) == [], "rows of remarks that the dissector does not have"
    assert not compared & set(APART)


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_wrong_with_the_reference_captures(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The twins of all rows: the checker passes them, the dissector remarks upon nothing but repetitions."""
    folder = CAPTURES / case
    assert judged(capsys, folder / "trace.pcapng", folder / "wireshark", str(folder / "flow.yaml"))["verdict"] == "pass"
    found = remarks(folder / "trace.pcapng", folder / "wireshark")
    assert [words for _, words in found if not words.startswith("Repeats frame")] == []
