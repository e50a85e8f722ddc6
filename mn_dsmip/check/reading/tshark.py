# SPDX-License-Identifier: GPL-2.0-or-later
"""What both readers share: errors, the version of tshark, and a configuration that nothing of the user's gets into."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from mn_dsmip.check.reading.keys import Keys

# Personal plugins load even with the first alone.
ISOLATED = ("WIRESHARK_CONFIG_DIR", "HOME", "XDG_CONFIG_HOME")
# The tests run on 4.0.17, and 4.4.5 has every field that is asked for. Older ones were not to be had.
OLDEST = (4, 0)
PATIENCE = 20.0  # seconds that tshark may take to tell its version, or to end after its last packet


class TraceError(Exception):
    """The capture cannot be used: missing, damaged, of an unknown type, or there is no tshark to read it."""


@contextmanager
def isolated_folder(keys: Keys) -> Iterator[str]:
    """An empty folder with nothing but copies of the key tables."""
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-check-") as folder:
        keys.copy_to(Path(folder))
        yield folder


def find_tshark() -> tuple[str, tuple[int, int]]:
    """Where tshark is, and its version; TraceError when there is none that can be used."""
    program = shutil.which("tshark")
    if program is None:
        raise TraceError("tshark is missing: install it (Debian, Ubuntu: apt install tshark)")
    version = _version(program)
    if version < OLDEST:
        raise TraceError(
            f"{program}: tshark {version[0]}.{version[1]} is too old: {OLDEST[0]}.{OLDEST[1]} is the oldest that this "
            "was tested with"
        )
    return program, version


@lru_cache(maxsize=8)
def _version(program: str) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-check-") as folder:
        environment = {**os.environ, **dict.fromkeys(ISOLATED, folder)}
        try:
            told = subprocess.run(
                [program, "--version"], env=environment, capture_output=True, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TraceError(f"{program}: does not tell its version: {error}") from error
    found = re.search(rb"TShark[^\n]*?(\d+)\.(\d+)", told.stdout)
    if found is None:
        raise TraceError(f"{program}: does not tell its version: --version says nothing like TShark 4.0")
    return int(found[1]), int(found[2])


def reason_of(complaint: str, capture: str) -> str:
    """The last line of what tshark said, without what the error says anyway."""
    lines = [line for line in complaint.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason given"
    return last.removeprefix("tshark: ").replace(f'The file "{capture}" ', "").replace("The standard input ", "")
