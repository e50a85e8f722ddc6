# SPDX-License-Identifier: GPL-2.0-or-later
"""The shipped cases: built captures are reproducible and clean, each passes its own flow and no other one's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mn_dsmip.check.flow.elements import every_step
from mn_dsmip.check.flow.language import load
from mn_dsmip.check.reading.keys import Keys
from tests.check.build.cases import CASES
from tests.check.build.files import write_case
from tests.check.conftest import Check

CAPTURES = Path(__file__).parents[2] / "captures"
JUDGED = sorted(file.parent.name for file in CAPTURES.glob("*/flow.yaml"))
# What tshark may not find in a built capture: damage of any kind, and anything that stays closed with the keys
UNCLEAN = (
    "_ws.malformed || _ws.expert.severity >= 0x600000 || esp.icv_bad == 1 || udp.checksum.status == 0 "
    "|| ip.checksum.status == 0 || icmpv6.checksum.status == 0 || icmp.checksum.status == 0 "
    "|| (isakmp.exchangetype > 34 && !isakmp.enc.decrypted) || (esp && !esp.decrypted_data)"
)


@pytest.mark.parametrize("name", sorted(CASES))
def test_building_again_gives_the_same_octets(name: str, tmp_path: Path) -> None:
    built = write_case(tmp_path / name, CASES[name]())
    files = sorted(file.relative_to(built) for file in built.rglob("*") if file.is_file())
    assert len(files) >= 5
    for file in files:
        assert (built / file).read_bytes() == (CAPTURES / name / file).read_bytes(), file


@pytest.mark.parametrize("name", sorted(CASES))
def test_built_capture_is_clean(name: str, tmp_path: Path) -> None:
    """tshark opens everything with the case's own key folder and finds no wrong checksum, ICV or length."""
    case = CAPTURES / name
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(case / "wireshark"), "HOME": str(tmp_path)}
    command = [
        "tshark",
        "-r",
        str(case / "trace.pcapng"),
        "-o",
        "udp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
    ]
    found = subprocess.run([*command, "-Y", UNCLEAN], capture_output=True, text=True, env=environment, timeout=60)
    assert (found.returncode, found.stdout) == (0, "")
    everything = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert len(everything.stdout.splitlines()) == len(CASES[name]().frames)


@pytest.mark.parametrize("name", JUDGED)
def test_case_passes_its_flow(name: str, check: Check) -> None:
    status, told = check(CAPTURES / name)
    problems = [one for session in told["sessions"] for one in session["findings"] if one["severity"] == "violation"]
    assert (status, told["verdict"], problems) == (0, "pass", [])
    assert len(told["sessions"]) == 1


@pytest.mark.parametrize("name", JUDGED)
def test_every_step_cites_a_clause(name: str) -> None:
    flow = load(CAPTURES / name / "flow.yaml")
    for step in every_step(flow.steps):
        assert step.clause, step.name


def test_key_folders_have_the_form_that_wireshark_reads() -> None:
    for name in CASES:
        Keys.load(CAPTURES / name / "wireshark")
