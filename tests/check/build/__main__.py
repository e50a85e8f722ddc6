# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the captures of captures/ that come from octets: `python -m tests.check.build [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.check.build.cases import CASES
from tests.check.build.files import write_case

CAPTURES = Path(__file__).parents[3] / "captures"

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CAPTURES
    for name in CASES:
        print(write_case(folder / name, CASES[name]()))
