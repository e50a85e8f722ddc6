# SPDX-License-Identifier: GPL-2.0-or-later
"""A second file for `mn --custom topos/s2c.py,...`: runs go where a test wants them, perhaps with stand-in agents."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from mn_dsmip import nodes

HERE = Path((lambda: None).__code__.co_filename).resolve().parent
STANDIN = [sys.executable, str(HERE.parent / "nodes" / "standin.py")]

Mininet = partial(
    nodes.Network,
    runs=Path(os.environ["TEST_RUNS"]),
    agent_command=STANDIN if os.environ.get("TEST_STANDIN") else None,
)
