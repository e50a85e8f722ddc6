# SPDX-License-Identifier: GPL-2.0-or-later
"""What the dissector tells of the cases' captures: the main flow row by row, one pass and two compared for all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.dissectors.packets.tshark import SCRIPT

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
CASES = sorted(path.parent.name for path in CAPTURES.glob("*/trace.pcapng"))
LOOKS_BACK = ("session", "phase", "step", "request_in", "time_since_request", "time_since_start", "retransmission_of")
LOOKS_AHEAD = ("ue", "apn", "hoa", "coa", "response_in")

# frame, session, phase, step, request_in, response_in, retransmission_of
INITIAL_ATTACH = """
10 1 discovery    1 -  13 -
13 1 discovery    1 10 -  -
14 1 discovery    1 -  15 -
15 1 discovery    1 14 -  -
16 1 security     2 -  17 -
17 1 security     2 16 -  -
18 1 security     3 -  19 -
19 1 security     3 18 -  -
20 1 security     3 -  21 -
21 1 security     3 20 -  -
22 1 security     4 -  23 -
23 1 security     4 22 -  -
24 1 security     5 -  25 -
25 1 security     5 24 -  -
26 1 registration 6 -  27 -
27 1 registration 6 26 -  -
36 1 bound        7 -  37 -
37 1 bound        7 36 -  -
38 1 detach       9 -  39 -
39 1 detach       9 38 -  -
40 1 detach       9 -  41 -
41 1 detach       9 40 -  -
"""


def tshark(case: str, *options: str, keys: bool = True) -> str:
    """tshark over a case's capture, with its keys or without; a Lua error fails."""
    folder = CAPTURES / case
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(folder / ("wireshark" if keys else "none")), "TZ": "UTC"}
    words = ["tshark", "-n", "-r", str(folder / "trace.pcapng"), "-X", f"lua_script:{SCRIPT}", *options]
    result = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert "Lua Error" not in result.stdout + result.stderr
    return result.stdout


def rows(case: str, names: tuple[str, ...], *options: str, keys: bool = True) -> list[list[str]]:
    fields = [word for name in ("frame.number", *(f"dsmip.{name}" for name in names)) for word in ("-e", name)]
    return [line.split("\t") for line in tshark(case, "-T", "fields", *fields, *options, keys=keys).splitlines()]


def test_the_main_flow_row_by_row() -> None:
    names = ("session", "phase", "step", "request_in", "response_in", "retransmission_of")
    found = rows("initial-attach", names, "-2", "-Y", "dsmip.phase")
    assert [[cell or "-" for cell in row] for row in found] == [
        line.split() for line in INITIAL_ATTACH.split("\n")[1:-1]
    ]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_what_looks_back_is_the_same_in_one_pass_and_in_two(case: str, keys: bool) -> None:
    one, two = (rows(case, LOOKS_BACK, *passes, keys=keys) for passes in ((), ("-2",)))
    assert one == two
    assert any(row[1] for row in one)


@pytest.mark.parametrize("case", CASES)
def test_what_looks_ahead_may_be_absent_in_one_pass_but_never_different(case: str) -> None:
    one, two = (rows(case, LOOKS_AHEAD, *passes) for passes in ((), ("-2",)))
    for early, late in zip(one, two, strict=True):
        assert all(cell in ("", other) for cell, other in zip(early, late, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_wrong_in_the_captures_of_the_cases(case: str) -> None:
    ladder = tshark(case, "-q", "-X", "lua_script1:ladder")
    assert " ! " not in ladder and "Session 1" in ladder


def test_the_sentence_in_the_info_column() -> None:
    lines = tshark("initial-attach").splitlines()
    assert lines[25].endswith(
        "| S2c step 6/9: BU → 2001:db8:100:aa::1 HoA 2001:db8:100:8000:758c:a367:f0d4:30da, "
        "CoA 2001:db8:a:0:4486:64ff:feb9:39f6, lifetime 3600 s, asks IPv4"
    )
    assert lines[26].endswith("| S2c step 6/9: BA: accepted, lifetime 3600 s, IPv4 198.51.100.1")
    assert "S2c" not in tshark("initial-attach", "-o", "dsmip.info:FALSE")


def test_ladder_and_sessions_from_the_command_line() -> None:
    text = tshark("detach", "-q", "-X", "lua_script1:sessions", "-X", "lua_script1:ladder")
    table, ladder = text.split("Session 1:")
    assert table.splitlines()[1].split()[:4] == [
        "1",
        "0001010123456789@nai.epc.mnc001.mcc001.3gppnetwork.org",
        "internet",
        "2001:db8:1:1::100",
    ]
    assert "9/9  UE ──▶ BU → 2001:db8:aaaa::1 HoA 2001:db8:1:1::100, deregisters" in ladder


def test_given_twice_it_is_silent(tmp_path: Path) -> None:
    """Installed as a plugin, with all its modules loaded by Wireshark itself, and given by -X as well."""
    plugins = tmp_path / ".local" / "lib" / "wireshark" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "dsmip.lua").symlink_to(SCRIPT)
    (plugins / "dsmip").symlink_to(SCRIPT.parent / "dsmip")
    environment = os.environ | {"HOME": str(tmp_path), "WIRESHARK_CONFIG_DIR": str(tmp_path)}
    words = ["tshark", "-n", "-r", str(CAPTURES / "detach" / "trace.pcapng"), "-Y", "dsmip.session", "-T", "fields"]
    for more in ([], ["-X", f"lua_script:{SCRIPT}"]):
        result = subprocess.run(
            [*words, "-e", "dsmip.session", *more],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "Lua" not in result.stderr, result.stderr
        assert set(result.stdout.split()) == {"1"}
