# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command line names: a run or a capture, its keys, the flow that is expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mn_dsmip import resources
from mn_dsmip.check.flow.language import Flow, FlowError, load
from mn_dsmip.check.reading.keys import Keys, has_tables

TRACE, KEYS, FLOW, DEFAULT_FLOW = "trace.pcapng", "wireshark", "flow.yaml", "attach"
STANDARD_INPUT = Path("-")


class InputError(Exception):
    """What the user named is not there or not usable; the message is one line."""


@dataclass(frozen=True)
class Input:
    """A capture with its keys; `folder` is the run or case that it was found in."""

    capture: Path
    keys: Keys
    folder: Path | None = None

    @property
    def is_run(self) -> bool:
        """A run's folder gets its verdict; that of a case, which brings its own flow, stays as it is."""
        return self.folder is not None and not (self.folder / FLOW).exists()


def find_input(named: Path, keys: Path | None) -> Input:
    """The capture of a run or case, or the file itself; KeysError when the keys cannot be used."""
    folder = named if named.is_dir() else None
    capture = folder / TRACE if folder else named
    if folder and not capture.is_file():
        raise InputError(f"{folder}: the folder has no {TRACE}")
    beside = capture.parent / KEYS
    if keys is None and named != STANDARD_INPUT and has_tables(beside):
        keys = beside
    return Input(capture, Keys.load(keys) if keys else Keys(), folder)


def find_flow(named: str | None, folder: Path | None) -> Flow:
    """A file, a shipped flow, or the one that a folder brings along; FlowError when it is wrong."""
    if named is None:
        own = folder / FLOW if folder else None
        if own and own.is_file():
            return load(own)
        named = DEFAULT_FLOW
    shipped = resources.flows()
    if named in shipped:
        return load(_short(resources.flow(named)))
    if not Path(named).is_file():
        raise InputError(f"--flow {named}: no such file, and no flow of that name; there is: {', '.join(shipped)}")
    return load(Path(named))


def shipped_flows() -> str:
    """The flows that come with mn-dsmip, a line each."""
    lines = []
    for name in resources.flows():
        try:
            title = load(resources.flow(name)).title
        except FlowError as error:
            title = str(error)
        lines.append((name, title))
    wide = max((len(name) for name, _ in lines), default=0)
    return "".join(f"{name:<{wide}}  {title}\n" for name, title in lines)


def _short(path: Path) -> Path:
    """Relative to where the user stands, when it lies below."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
