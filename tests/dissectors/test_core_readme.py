# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's tables are those of the code, and the code is Lua for both Wiresharks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

DISSECTORS = Path(__file__).resolve().parents[2] / "dissectors"
SCRIPT = Path(__file__).parent / "packets" / "fields.lua"
MODULES = [DISSECTORS / "dsmip.lua", *sorted((DISSECTORS / "dsmip").glob("*.lua"))]


@pytest.mark.parametrize("lua", ["lua5.2", "lua5.4"])
def test_the_tables_are_made_from_the_code(lua: str) -> None:
    made = subprocess.run([lua, SCRIPT, DISSECTORS], capture_output=True, text=True, timeout=20, check=True).stdout
    assert made in (DISSECTORS / "README.md").read_text()
    assert "| `dsmip.session` | uint32 |" in made


@pytest.mark.parametrize("compiler", ["luac5.2", "luac5.4"])
def test_every_module_compiles(compiler: str) -> None:
    for module in MODULES:
        result = subprocess.run([compiler, "-p", module], capture_output=True, text=True, timeout=20, check=False)
        assert result.returncode == 0, result.stderr


def test_no_module_leaks_a_global() -> None:
    result = subprocess.run(["luacheck", "-q", *MODULES], capture_output=True, text=True, timeout=60, check=False,
                            cwd=DISSECTORS.parent)  # fmt: skip
    assert result.returncode == 0, result.stdout
