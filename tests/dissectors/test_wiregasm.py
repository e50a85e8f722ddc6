# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark 4.4 (Lua 5.4, two passes) shows the values that tshark 4.0 (Lua 5.2) shows, for every frame.

The newer Wireshark is the npm package wiregasm: Wireshark compiled to WebAssembly, run by node.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from tests.dissectors.packets.tshark import SCRIPT, VALUES, run

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = sorted((ROOT / "captures").glob("*/trace.pcapng"))
RUNNER = Path(__file__).with_name("wiregasm") / "fields.cjs"
OCTETS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2})*")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d) ([\d:.]+)Z")

Row = dict[str, list[str]]


@pytest.fixture(scope="session")
def wiregasm() -> Path:
    """The package's folder."""
    folder = ROOT / ".venv" / "wiregasm" / "node_modules" / "@goodtools" / "wiregasm"
    if not folder.is_dir():
        pytest.skip("needs the npm package @goodtools/wiregasm: sudo make setup")
    return folder


def newer(package: Path, capture: Path, configuration: Path) -> list[Row]:
    """What Wireshark 4.4 shows: the values of the dissector's items by field, for each frame."""
    words = ["node", *map(str, (RUNNER, package, SCRIPT.parent, capture, configuration))]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert "Lua Error" not in result.stdout + result.stderr, result.stderr
    return [_row(frame) for frame in json.loads(result.stdout)["frames"]]


def _row(items: list[tuple[str, str]]) -> Row:
    row: Row = {}
    for condition, _ in items:
        name, _, value = condition.partition(" == ")
        if name.startswith("dsmip."):
            row.setdefault(name, []).append("" if name.startswith("dsmip.expert.") else _plain(value))
    return row


def _plain(value: str) -> str:
    """A value in a display filter as `-T fields` writes it."""
    if moment := MOMENT.fullmatch(value.strip('"')):
        return f"{datetime.strptime(moment[1], '%Y-%m-%d'):%b %e, %Y} {moment[2]} UTC"
    if value.startswith('"'):
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value.replace(":", "") if OCTETS.fullmatch(value) else value


def older(capture: Path, names: list[str]) -> list[Row]:
    """What tshark 4.0 shows of the same fields."""
    listed = [word for name in names for word in ("-e", name)]
    shown = run(capture, "-2", "-T", "fields", "-E", "occurrence=a", "-E", f"aggregator={VALUES}", *listed).stdout
    rows = []
    for line in shown.splitlines():
        cells = {name: cell.split(VALUES) for name, cell in zip(names, line.split("\t"), strict=True) if cell}
        rows.append(
            {name: [""] * len(found) if name.startswith("dsmip.expert.") else found for name, found in cells.items()}
        )
    return rows


@pytest.mark.parametrize("trace", CAPTURES, ids=lambda path: path.parent.name)
def test_every_frame_alike(trace: Path, wiregasm: Path, names: list[str], tmp_path: Path) -> None:
    capture = Path(shutil.copy(trace, tmp_path))
    configuration = Path(shutil.copytree(trace.parent / "wireshark", tmp_path / "empty"))
    expected, found = older(capture, names), newer(wiregasm, capture, configuration)
    assert any("dsmip.session" in row for row in found)
    assert len(expected) == len(found)
    for number, (old, new) in enumerate(zip(expected, found, strict=True), 1):
        assert new == old, f"frame {number}"
