# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture to messages: the only part of the checker that talks to tshark.

`read` yields packets in columns, `dissect` makes a message of each. There are two readers, which find the same:
pyshark, the documented way in, and tshark's own output in lines, more than ten times as fast. What is asked of tshark
is in `columns.py`: of user data only pings and the begin and end of TCP connections come out, the bulk of it stays
inside. Captures may be pcap or pcapng, gzipped, with nanoseconds, of Ethernet with or without VLAN, Linux cooked or
raw IP: tshark knows them by their first octets.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from mn_dsmip.check.model import Packet
from mn_dsmip.check.reading import fields_reader
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.fields_reader import STANDARD_INPUT
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.reading.tshark import TraceError, find_tshark

__all__ = ["LARGE", "READERS", "TraceError", "choose", "dissect", "read"]

READERS = ("auto", "pyshark", "tshark")
LARGE = 64 * 1024  # octets; a capture with more takes pyshark longer than about a second
_NO_PYSHARK_PYTHON = (3, 14)  # pyshark 0.6 uses calls of asyncio that this one has not
_NO_PYSHARK_TSHARK = (4, 6)  # pyshark 0.6 cannot read this one's times


def read(source: Path, keys: Keys, reader: str = "auto") -> Iterator[Packet]:
    """The packets of a capture, or of standard input ("-"), decrypted as far as the keys go.

    TraceError when it cannot be read to its end, or not with the reader wanted.
    """
    if source != STANDARD_INPUT:
        if not source.is_file():
            raise TraceError(f"{source}: there is no such file")
        if source.stat().st_size == 0:
            raise TraceError(f"{source}: the file is empty")
    if choose(source, reader) == "tshark":
        yield from fields_reader.read(source, keys)
        return
    from mn_dsmip.check.reading import pyshark_reader

    yield from pyshark_reader.read(source, keys)


def choose(source: Path, reader: str = "auto") -> str:
    """Which reader to take: "auto" takes pyshark for captures up to `LARGE` where it works, and tshark for the rest.

    TraceError when there is no tshark, or pyshark is wanted and does not work here.
    """
    _, version = find_tshark()
    if reader == "tshark":
        return reader
    obstacle = _obstacle(source, version)
    if reader == "pyshark":
        if obstacle:
            raise TraceError(f"pyshark {obstacle}: use --reader tshark")
        return reader
    return "tshark" if obstacle or source.stat().st_size > LARGE else "pyshark"


def _obstacle(source: Path, version: tuple[int, int]) -> str:
    """Why pyshark cannot be used; nothing when it can."""
    if source == STANDARD_INPUT:
        return "does not read standard input"
    if sys.version_info >= _NO_PYSHARK_PYTHON:
        return f"does not work with Python {sys.version_info[0]}.{sys.version_info[1]}"
    if version >= _NO_PYSHARK_TSHARK:
        return f"does not work with tshark {version[0]}.{version[1]}"
    try:
        from mn_dsmip.check.reading import pyshark_reader  # noqa: F401  # only whether it loads
    except ImportError as error:
        return f"cannot be loaded ({error})"
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ""
    return "does not work inside a running event loop"
