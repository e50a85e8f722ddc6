# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a custom file as `mn --custom` does: compiled under its name, executed without a __file__."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names, names)
    return names
