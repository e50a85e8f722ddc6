# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip check`: read a run or a capture, judge it, tell the verdict.

Exit status 0: pass. 1: fail or inconclusive. 2: the input cannot be used. Nothing else, and never a traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

from mn_dsmip.check.flow.language import Flow, FlowError, load
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.keys import Keys, KeysError, has_tables
from mn_dsmip.check.report import data
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.text import Style, text
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.verdict import INCONCLUSIVE, PASS, Verdict, judge_all

PASSED, FAILED, UNUSABLE = 0, 1, 2
TRACE, KEYS, FLOW, DEFAULT_FLOW = "trace.pcapng", "wireshark", "flow.yaml", "initial-attach"
PACKAGE = Path(__file__).resolve().parent.parent


class InputError(Exception):
    """What the user named is not there or not usable; the message is one line."""


def parser() -> argparse.ArgumentParser:
    """The command line of `mn-dsmip check`."""
    made = argparse.ArgumentParser(
        prog="mn-dsmip check",
        description="Judge a capture: is it a correct DS-MIPv6 exchange, and if not, where exactly, by which clause?",
        epilog="Exit status: 0 pass; 1 fail or inconclusive; 2 the capture, its keys or the flow cannot be used.",
    )
    made.add_argument("capture", type=Path, metavar="RUN_OR_CAPTURE", help=f"a capture, or a folder with {TRACE}")
    made.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help=f"Wireshark's key tables (default: the folder {KEYS}/ beside the capture, if there is one)",
    )
    made.add_argument(
        "--flow",
        metavar="NAME|FILE",
        help=f"the expected flow: {', '.join(shipped_flows()) or 'none shipped'}, or a file "
        f"(default: {FLOW} in the folder, else {DEFAULT_FLOW})",
    )
    made.add_argument("--allow-unseen", action="store_true", help="accept an inconclusive verdict: exit status 0")
    made.add_argument("--format", choices=("text", "json"), default="text", help="what to print (default: text)")
    return made


def main(argv: list[str]) -> int:
    """Run `mn-dsmip check` with these arguments; the exit status."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # argparse has told what is wrong; library code does not end the process
        return int(end.code or 0)
    try:
        return check(arguments)
    except (InputError, FlowError, KeysError) as error:
        sys.stderr.write(f"mn-dsmip check: {error}\n")
        return UNUSABLE
    except KeyboardInterrupt:
        sys.stderr.write("mn-dsmip check: stopped before there was a verdict\n")
        return UNUSABLE
    except BrokenPipeError:  # somebody looked at the first lines only
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def check(arguments: argparse.Namespace) -> int:
    """Judge one capture, print the report, and leave it in the folder of a run."""
    folder = arguments.capture if arguments.capture.is_dir() else None
    capture = folder / TRACE if folder else arguments.capture
    if folder and not capture.is_file():
        raise InputError(f"{folder}: the folder has no {TRACE}")
    flow = load(_flow_file(arguments.flow, folder))
    beside = capture.parent / KEYS
    keys = Keys.load(arguments.keys) if arguments.keys else Keys.load(beside) if has_tables(beside) else Keys()
    verdict, source = _judge(capture, keys, flow)
    written = data.written(verdict, source)
    if folder and not (folder / FLOW).exists():  # a run; a case's folder stays as it is
        _leave(folder / "verdict.txt", text(verdict, source))
        _leave(folder / "verdict.json", written)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name on the wire may hold what the terminal cannot show
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    sys.stdout.write(written if arguments.format == "json" else text(verdict, source, Style(colour)))
    sys.stdout.flush()
    accepted = (PASS, INCONCLUSIVE) if arguments.allow_unseen else (PASS,)
    return PASSED if verdict.verdict in accepted else FAILED


def _judge(capture: Path, keys: Keys, flow: Flow) -> tuple[Verdict, Source]:
    try:
        from mn_dsmip.check import reading as trace
    except ImportError as error:
        raise InputError(f"{error.name or 'pyshark'} is missing: pip install pyshark") from error
    packets, start, messages = 0, 0.0, []
    try:
        for packet in trace.read(capture, keys):
            packets += 1
            start = start or packet.time
            message = dissect(packet)
            if message is not None:
                messages.append(message)
    except trace.TraceError as error:
        raise InputError(str(error)) from error
    return judge_all(messages, flow, RULES), Source(capture, keys.folder, packets, start)


def shipped_flows() -> dict[str, Path]:
    """The flows that come with mn-dsmip: beside the package in a clone, in its folder `data` in a wheel."""
    root = PACKAGE / "data" if (PACKAGE / "data").is_dir() else PACKAGE.parent
    return {file.parent.name: file for file in sorted(root.glob(f"captures/*/{FLOW}"))}


def _flow_file(named: str | None, folder: Path | None) -> Path:
    """A file, a shipped name, or the flow that a folder brings along."""
    if named is None:
        own = folder / FLOW if folder else None
        if own and own.is_file():
            return own
        named = DEFAULT_FLOW
    shipped = shipped_flows()
    if named in shipped:
        return _short(shipped[named])
    if not Path(named).is_file():
        raise InputError(f"--flow {named}: no such file, and no flow of that name; there is: {', '.join(shipped)}")
    return Path(named)


def _short(path: Path) -> Path:
    """Relative to where the user stands, when it lies below."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _leave(file: Path, content: str) -> None:
    """Write a verdict into a run's folder; it belongs to whom the folder belongs to, also under sudo."""
    try:
        file.write_text(content, encoding="utf-8")
        if os.geteuid() == 0:
            owner = file.parent.stat()
            os.chown(file, owner.st_uid, owner.st_gid)
    except OSError as error:
        sys.stderr.write(f"mn-dsmip check: the verdict could not be left in {file}: {error.strerror}\n")
