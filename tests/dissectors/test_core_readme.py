# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's tables are those of the code, and the code is Lua for both Wiresharks."""

from __future__ import annotations

import os
import re
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


SHOWN = re.compile(r"<!-- a test runs this -->\n```sh\n(.*?)```\n\n<!-- its output -->\n```\n(.*?)```\n", re.S)


def test_what_the_readme_runs_prints_what_it_shows(tmp_path: Path) -> None:
    """`...` stands for any lines."""
    for name in ("captures", "dissectors"):
        (tmp_path / name).symlink_to(DISSECTORS.parent / name)
    found = SHOWN.findall((DISSECTORS / "README.md").read_text())
    assert len(found) == 1
    for commands, output in found:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        made = subprocess.run(["bash", "-euc", commands], capture_output=True, text=True, timeout=60, check=True,
                              cwd=tmp_path, env=environment).stdout  # fmt: skip
        shown = ".*\n".join(re.escape(part) for part in output.split("...\n"))
        assert re.fullmatch(shown, made, re.S), made


FOLDED = """
package.path = arg[1] .. "/?.lua"
local session = { number = 1, ue = "ue@" .. ("x"):rep(50), hoa = "2001:db8::1", coa = "192.0.2.7",
  story = { apn = "internet", phase = "bound", first = 10, last = 9999, start = 0, repeats = 1 } }
local state = { facts = { count = 0, first = {}, times = {} },
  analysis = { advance = function() end, run = { list = { session, { number = 2, story = { phase = "security",
    first = 3, last = 3, start = 0, repeats = 0 } } } } } }
io.write(require("dsmip.statistics").text(state, 72))
print(require("dsmip.folding").fold("  12  ──▶ " .. ("word "):rep(20) .. "end", 4, 30))
print(require("dsmip.folding").fold(("y"):rep(40) .. " " .. ("z"):rep(40), 2, 30))
"""


@pytest.mark.parametrize("lua", ["lua5.2", "lua5.4"])
def test_text_windows_get_lines_that_they_need_not_break(lua: str) -> None:
    made = subprocess.run(
        [lua, "-", DISSECTORS], input=FOLDED, capture_output=True, text=True, timeout=20, check=True
    ).stdout.splitlines()
    assert made == [
        "session  phase                 frames          s  again  problems",
        "",
        "      1  bound             10 to 9999      0.000      1         0",
        "         UE ue@" + 50 * "x",
        "         HoA 2001:db8::1, APN internet",
        "         CoA 192.0.2.7",
        "",
        "      2  security              3 to 3      0.000      0         0",
        "  12  ──▶ word word word word",
        *3 * ["    word word word word word"],
        "    word end",
        40 * "y",
        "  " + 40 * "z",
    ]
