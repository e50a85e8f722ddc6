# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture to messages: the only part of the checker that talks to tshark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from mn_dsmip.check.model import Packet
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.reading.tshark import TraceError

__all__ = ["TraceError", "dissect", "read"]


def read(source: Path, keys: Keys, reader: str = "auto") -> Iterator[Packet]:
    """The packets of a capture, decrypted as far as the keys go; TraceError when it cannot be read to its end."""
    if not source.is_file():
        raise TraceError(f"{source}: there is no such file")
    if source.stat().st_size == 0:
        raise TraceError(f"{source}: the file is empty")
    if not shutil.which("tshark"):
        raise TraceError("tshark is missing: install it (Debian, Ubuntu: apt install tshark)")
    from mn_dsmip.check.reading import pyshark_reader

    yield from pyshark_reader.read(source, keys)
