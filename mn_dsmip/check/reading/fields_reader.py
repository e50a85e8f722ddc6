# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a capture from `tshark -T fields`: one line per packet, as fast as tshark writes.

A column ends at a tab and a packet at a line feed; tshark writes both as escape sequences where a value holds them.
Within a column, values are apart by the octet 0xff, which tshark's texts, being UTF-8, never have. So no name or
identity in a packet shifts a column or a value. Nothing is kept but the line at hand and the end of tshark's
standard error.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import termios
import threading
from array import array
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO

from mn_dsmip.check.model import JOINT, Packet
from mn_dsmip.check.reading.columns import COLUMNS, DECODE_AS, DISABLED, FILTER, PREFERENCES, PRESENT
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.reading.tshark import ISOLATED, PATIENCE, TraceError, find_tshark, isolated_folder, reason_of

STANDARD_INPUT = Path("-")
_OWN = ("frame.number", "frame.time_epoch", "frame.protocols")  # the first columns, which become attributes
_BUFFER = 1 << 18
_LAST_LINES = 20  # of tshark's standard error
_present = tuple(PRESENT)


def arguments(program: str, source: str, columns: tuple[str, ...] = COLUMNS) -> list[str]:
    """tshark's command line, without a shell's quotes."""
    line = [program, "-n", "-r", source, "-Y", FILTER]
    for name in DISABLED:
        line += ["--disable-protocol", name]
    for name, value in PREFERENCES.items():
        line += ["-o", f"{name}:{value}"]
    for selector, protocol in DECODE_AS.items():
        line += ["-d", f"{selector},{protocol}"]
    line += ["-T", "fields", "-E", "separator=/t", "-E", f"aggregator={JOINT}", "-E", "occurrence=a", "-E", "quote=n"]
    return line + [part for name in columns for part in ("-e", name)]


def read(source: Path, keys: Keys) -> Iterator[Packet]:
    """The packets of a capture, or of standard input ("-"), decrypted as far as the keys go.

    TraceError when it cannot be read to its end. tshark ends with the iteration, also when that is given up.
    """
    program, _ = find_tshark()
    if source == STANDARD_INPUT and _ended(0):
        raise TraceError(f"{source}: there is nothing on standard input")
    with isolated_folder(keys) as folder:
        environment = {**os.environ, **dict.fromkeys(ISOLATED, folder)}
        process = subprocess.Popen(
            arguments(program, str(source)),
            stdin=None if source == STANDARD_INPUT else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            bufsize=_BUFFER,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        last: deque[bytes] = deque(maxlen=_LAST_LINES)
        drain = threading.Thread(target=last.extend, args=(process.stderr,), daemon=True)
        drain.start()
        try:
            yield from _packets(process.stdout)
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise TraceError(f"{source}: tshark does not end") from error
        finally:
            process.kill()  # nothing, when it has ended
            process.wait()
            drain.join()
            process.stdout.close()
            process.stderr.close()
    if status:
        complaint = b"".join(last).decode("utf-8", "replace")
        raise TraceError(f"{source}: tshark: {reason_of(complaint, str(source))}")


def _ended(descriptor: int) -> bool:
    """Wait until there is something to read; whether that is the end already, which tshark takes for a capture."""
    waiting = array("i", [0])
    try:
        select.select([descriptor], [], [])
        fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
    except OSError:  # closed, or a device like /dev/null
        return True
    return waiting[0] == 0


def _packets(lines: IO[bytes]) -> Iterator[Packet]:
    for line in lines:
        yield packet_of(line.decode("utf-8", "surrogateescape"))


def packet_of(line: str) -> Packet:
    """One line of tshark's output; TraceError when it has not the columns that were asked for."""
    values = line.rstrip("\n").split("\t")
    if len(values) != len(COLUMNS):
        raise TraceError(f"tshark: {len(values)} columns where {len(COLUMNS)} were asked for: {line[:80]!r}")
    cells = {name: value for name, value in zip(COLUMNS, values, strict=True) if value}
    try:
        frame, time = int(cells.pop("frame.number")), _seconds(cells.pop("frame.time_epoch"))
    except (KeyError, ValueError) as error:
        raise TraceError(f"tshark: a packet without number and time: {line[:80]!r}") from error
    for name in _present:
        if name in cells:
            cells[name] = "1"
    return Packet(frame, time, _protocols(cells.pop("frame.protocols", "")), cells)


def _seconds(text: str) -> float:
    """Seconds since 1970: a number, or a date and time in UTC as newer tsharks write it."""
    try:
        return float(text)
    except ValueError:
        whole, _, fraction = text.rstrip("Z").partition(".")
        return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


@lru_cache(maxsize=4096)
def _protocols(text: str) -> tuple[str, ...]:
    return tuple(text.split(":"))
