# SPDX-License-Identifier: GPL-2.0-or-later
"""What both readers share: errors, and a configuration of tshark's own that nothing of the user's gets into."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mn_dsmip.check.reading.keys import Keys

# Personal plugins load even with the first alone.
ISOLATED = ("WIRESHARK_CONFIG_DIR", "HOME", "XDG_CONFIG_HOME")


class TraceError(Exception):
    """The capture cannot be used: missing, damaged, of an unknown type, or there is no tshark to read it."""


@contextmanager
def isolated_folder(keys: Keys) -> Iterator[str]:
    """An empty folder with nothing but copies of the key tables."""
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-check-") as folder:
        keys.copy_to(Path(folder))
        yield folder
