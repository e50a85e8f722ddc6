# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a capture with pyshark, the documented way in for ordinary captures.

pyshark's XML mode is used although it is the slowest: its other modes ask tshark for a mapping first, name fields
anew, and break with newer Wiresharks. What tshark sees does not depend on the user, see `tshark.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyshark
from pyshark.capture.capture import TSharkCrashException

from mn_dsmip.check.model import JOINT, Packet
from mn_dsmip.check.reading.columns import COLUMNS, DECODE_AS, DISABLED, FILTER, OCTETS, PREFERENCES, PRESENT, TEXTS
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.reading.tshark import ISOLATED, PATIENCE, TraceError, isolated_folder

_WANTED = frozenset(COLUMNS)
_ESCAPES = {"\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


class _Capture(pyshark.FileCapture):  # type: ignore[misc]  # pyshark carries no types
    """pyshark's reader, except that it waits for tshark's end instead of killing it.

    Otherwise tshark's exit status, and with it the news that the file is cut short, is lost to a race; and what pyshark
    raises about it would come out of its destructor.
    """

    exit_status: int | None = None

    async def _cleanup_subprocess(self, process: Any) -> None:  # Any: asyncio's process, pyshark's signature
        transport = process._transport  # closed here, else its destructor does it without a loop, and complains
        if not self._eof_reached:
            transport.close()  # kills; a pipe that nobody reads any more would keep `wait` waiting
        try:
            self.exit_status = await asyncio.wait_for(process.wait(), PATIENCE)
        except asyncio.TimeoutError:
            process.kill()
        transport.close()
        await asyncio.sleep(0)  # what closing has put off

    @property
    def complaint(self) -> str:
        """tshark's last line on its standard error."""
        return str(self._last_error_line or "no reason given").removeprefix("tshark: ")


def read(capture: Path, keys: Keys) -> Iterator[Packet]:
    """The packets of a capture, decrypted as far as the keys go; TraceError when it cannot be read to its end."""
    with isolated_folder(keys) as folder:
        yield from _read(capture, folder)


def _read(capture: Path, folder: str) -> Iterator[Packet]:
    loop = asyncio.new_event_loop()  # pyshark's own choice of a loop uses calls that newer Pythons have dropped
    parameters = [one for name in DISABLED for one in ("--disable-protocol", name)]
    reader = _Capture(
        str(capture),
        keep_packets=False,
        display_filter=FILTER,
        override_prefs=PREFERENCES,
        decode_as=DECODE_AS,
        custom_parameters=parameters,
        eventloop=loop,
    )
    found = iter(reader)
    try:
        with _isolated(folder):
            packet = next(found, None)
        while packet is not None:
            yield _convert(packet)
            packet = next(found, None)
        ended = True
    except (OSError, TSharkCrashException) as error:
        raise TraceError(f"{capture}: tshark cannot read it: {error}") from error
    except GeneratorExit:
        ended = False
        raise
    finally:
        found.close()
        reader.close()
        reader._running_processes.clear()  # nothing left for the destructor to do
        loop.close()
    if ended and reader.exit_status != 0:
        reason = reader.complaint.replace(f'The file "{capture}" ', "")
        raise TraceError(f"{capture}: tshark: {reason}")


@contextmanager
def _isolated(folder: str) -> Iterator[None]:
    """Let tshark, which starts in here, find nothing of the user's."""
    before = {name: os.environ.get(name) for name in ISOLATED}
    os.environ.update(dict.fromkeys(ISOLATED, folder))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _convert(packet: Any) -> Packet:  # Any: pyshark carries no types
    values: dict[str, list[str]] = {}
    for layer in (packet.frame_info, *packet.layers):
        if layer.layer_name in PRESENT:
            values[layer.layer_name] = ["1"]
        for name, container in layer._all_fields.items():
            if name in _WANTED:
                values.setdefault(name, []).extend([_value(name, found) for found in container.all_fields])
    cells = {name: JOINT.join(found) for name, found in values.items()}
    protocols = tuple(cells.pop("frame.protocols", "").split(":"))
    del cells["frame.number"], cells["frame.time_epoch"]
    return Packet(int(packet.number), float(packet.sniff_timestamp), protocols, cells)


def _value(name: str, found: Any) -> str:  # Any: as above
    if name in PRESENT:
        return "1"
    if name in TEXTS:
        return _escaped(found.unmaskedvalue or found.raw_value or "")
    show = str(found.show or "")
    return show.replace(":", "") if name in OCTETS else show


def _escaped(octets: str) -> str:
    """A text as `tshark -T fields` shows it; what XML makes of line ends and control characters is another thing."""
    text = bytes.fromhex(octets).split(b"\0", 1)[0].decode("ascii", "surrogateescape")
    return "".join([_ESCAPES.get(letter, letter) if letter < "\udc80" else "\ufffd" for letter in text])
