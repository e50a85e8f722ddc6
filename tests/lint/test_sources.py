# SPDX-License-Identifier: GPL-2.0-or-later
"""What every file of the project promises: its licence, its size, and nothing of the machine it was written on."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60
LICENCE = "SPDX-License-Identifier: GPL-2.0-or-later"
COMMENTED = {".py", ".lua", ".toml", ".yaml", ".yml", ".md", ".sh", ""}
# (Key tables in wireshark/ folders are Wireshark's formats, which have no place for it.)
WITHOUT_LICENCE_LINE = {"LICENSE", ".gitignore"}
# Homes, one machine's work folders and package indexes: nobody else has them. (Spelled so as not to match this line.)
FOREIGN = re.compile(r"/wo[r]k/|/tmp/te[a]m|/hom[e]/\w|/roo[t]/\w|/opt/pyp[i]|pypi\.or[g]|debian\.or[g]/debian")


def tracked() -> list[Path]:
    """Every file of the project: what git knows or would add, or, without git, all but what `make clean` removes."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    return sorted(path for path in set(paths) if path.is_file())


def text_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py"]
named = {"ids": lambda path: str(path.relative_to(ROOT))}


@pytest.mark.parametrize("path", PYTHON, **named)
def test_no_file_and_no_function_is_too_long(path: Path) -> None:
    text = path.read_text()
    functions = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    lines = len(text.splitlines())
    assert functions == []
    assert lines <= FILE_LINES


def test_every_source_names_its_licence() -> None:
    commented = [path for path in FILES if path.suffix in COMMENTED and path.name not in WITHOUT_LICENCE_LINE]
    sources = [path for path in commented if path.parent.name != "wireshark"]  # Wireshark writes those tables itself
    lacking = [
        str(path.relative_to(ROOT))
        for path in sources
        if not any(LICENCE in line for line in (text_of(path) or LICENCE).splitlines()[:3])
    ]
    assert lacking == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in FILES
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if (match := FOREIGN.search(line))
    ]
    assert found == []


def test_nothing_is_called_utils() -> None:
    assert [path for path in FILES if path.stem in ("utils", "util", "helpers")] == []


def test_the_listing_sees_the_project() -> None:
    assert ROOT / "pyproject.toml" in FILES
    assert len(PYTHON) > len(list(ROOT.glob("mn_dsmip/*.py")))
