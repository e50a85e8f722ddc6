# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark's own command line with the dissector, and nothing of the user's settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.dissectors.packets.case import Case
from tests.dissectors.packets.forge import write

SCRIPT = Path(__file__).resolve().parents[3] / "dissectors" / "dsmip.lua"
VALUES = "\x1f"  # between values of one field, which may hold commas


def run(capture: Path, *options: str, script: Path | None = SCRIPT) -> subprocess.CompletedProcess[str]:
    """tshark over `capture`, in an empty configuration beside it; a Lua error fails."""
    empty = capture.parent / "empty"
    empty.mkdir(exist_ok=True)
    load = ["-X", f"lua_script:{script}"] if script else []
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(empty), "HOME": str(empty), "TZ": "UTC"}
    result = subprocess.run(
        ["tshark", "-n", "-r", str(capture), *load, *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Lua Error" not in result.stdout + result.stderr, result.stdout + result.stderr
    assert "Error during loading" not in result.stderr, result.stderr
    return result


def read(case: Case, folder: Path, *passes: str) -> list[dict[str, list[str]]]:
    """Values of the case's fields for each of its frames; fields that are not there are left out.

    The value of an expert item is its sentence, as in the case's table.
    """
    capture = write(folder / "case.pcap", case.frames, case.snaplen)
    keys = folder / "keys"
    keys.write_text(case.auth_keys)
    options = [*case.options, *passes, "-T", "fields", "-E", "occurrence=a", "-E", f"aggregator={VALUES}"]
    if case.auth_keys:
        options += ["-o", f"dsmip.auth_key_file:{keys}"]
    if case.ike_keys:
        options += ["-o", f"uat:ikev2_decryption_table:{case.ike_keys}"]
    names = [*case.fields, "_ws.expert.message"]
    for name in names:
        options += ["-e", name]
    rows = []
    for line in run(capture, *options).stdout.splitlines():
        cells = zip(names, line.replace(str(keys), "{auth_keys}").split("\t"), strict=True)
        rows.append(_with_sentences({name: cell.split(VALUES) for name, cell in cells if cell}))
    return rows


def _with_sentences(row: dict[str, list[str]]) -> dict[str, list[str]]:
    """The dissector's own sentences stand behind Wireshark's."""
    sentences = row.pop("_ws.expert.message", [])
    return {
        name: sentences[-len(values) :] if name.startswith("dsmip.expert.") else values for name, values in row.items()
    }
