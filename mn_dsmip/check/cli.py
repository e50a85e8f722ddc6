# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip check`: read a run or a capture, judge it, tell the verdict.

Exit status 0: pass. 1: fail or inconclusive. 2: the input cannot be used. Nothing else, and never a traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from mn_dsmip.check.arguments import UNUSABLE, Parser, add_flow, add_reading
from mn_dsmip.check.flow.language import FlowError
from mn_dsmip.check.follow import follow
from mn_dsmip.check.inputs import STANDARD_INPUT, Input, InputError, find_flow, find_input, shipped_flows
from mn_dsmip.check.judging import judge_capture
from mn_dsmip.check.reading.keys import KeysError
from mn_dsmip.check.report import data, github, junit, markdown, sarif
from mn_dsmip.check.report.source import Source, printable
from mn_dsmip.check.report.text import Style, text
from mn_dsmip.check.rules.coverage import summary, table
from mn_dsmip.check.verdict import EVERY, INCONCLUSIVE, PASS, Verdict

PASSED, FAILED = 0, 1
DETAILED = 25  # UEs that pass and of which steps and rules are kept for the text
FORMATS = ("text", "json", "junit", "sarif", "markdown")


def parser() -> Parser:
    """The command line of `mn-dsmip check`."""
    made = Parser(
        prog="mn-dsmip check",
        description="Judge a capture: is it a correct DS-MIPv6 exchange, and if not, where exactly, by which clause?",
        epilog="Exit status: 0 pass; 1 fail or inconclusive; 2 the capture, its keys or the flow cannot be used.",
    )
    made.add_argument(
        "capture",
        type=Path,
        nargs="?",
        metavar="RUN_OR_CAPTURE",
        help="a capture, a run's folder, or - (standard input)",
    )
    add_reading(made)
    add_flow(made)
    made.add_argument(
        "--follow", action="store_true", help="judge a run in progress: tell what shows at once, the verdict at its end"
    )
    made.add_argument("--allow-unseen", action="store_true", help="accept an inconclusive verdict: exit status 0")
    made.add_argument(
        "--format",
        type=_format,
        action="append",
        default=[],
        metavar="FORMAT[=PATH]",
        help=f"print as {', '.join(FORMATS[:-1])} or {FORMATS[-1]} (default: text), or write it to a file; repeat",
    )
    made.add_argument("--flows", action="store_true", help="list the flows that come with mn-dsmip, and end")
    made.add_argument("--coverage", action="store_true", help="list what is asked for and what checks it, and end")
    return made


def _format(given: str) -> tuple[str, Path | None]:
    name, equals, path = given.partition("=")
    if name not in FORMATS or (equals and not path):
        raise argparse.ArgumentTypeError(f"expected {', '.join(FORMATS)}, or one of them with =PATH, found {given!r}")
    return name, Path(path) if path else None


def main(argv: list[str]) -> int:
    """Run `mn-dsmip check` with these arguments; the exit status."""
    return guarded(parser(), argv, check)


def guarded(options: Parser, argv: list[str], command: Callable[[Parser, argparse.Namespace], int]) -> int:
    """Run a command of the checker: whatever goes wrong is one line and status 2."""
    try:
        return command(options, options.parse_args(argv))
    except SystemExit as end:  # argparse has told what is wrong; library code does not end the process
        return int(end.code or 0)
    except (InputError, FlowError, KeysError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        problem = "stopped before there was a verdict"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except Exception as fault:
        if os.environ.get("MN_DSMIP_DEBUG"):
            raise
        problem = f"a fault in mn-dsmip itself: {type(fault).__name__}: {fault} (MN_DSMIP_DEBUG=1 shows where)"
    sys.stderr.write(f"{options.prog}: {' '.join(problem.split())}\n")
    return UNUSABLE


def check(options: Parser, arguments: argparse.Namespace) -> int:
    """Judge one capture, print the report, and leave it in the folder of a run."""
    if arguments.flows:
        show(shipped_flows())
        return PASSED
    if arguments.coverage:
        show(table())
        return PASSED
    if arguments.capture is None:
        options.error("a run or a capture is missing")
    if arguments.follow and arguments.capture == STANDARD_INPUT:
        options.error("--follow needs a run or a capture, not standard input")
    printed = [name for name, path in arguments.format if path is None]
    if printed[1:]:
        options.error(f"only one format can be printed, not {' and '.join(printed)}: write the others with FORMAT=PATH")
    given = find_input(arguments.capture, arguments.keys)
    flow = find_flow(arguments.flow, given.folder)
    lists_all = given.is_run or any(name != "text" for name, _ in arguments.format)
    detail = EVERY if lists_all else DETAILED
    if arguments.follow:
        printed_text = (printed or ["text"]) == ["text"]
        verdict, source = follow(given, flow, say if printed_text else complain, reader=arguments.reader, detail=detail)
    else:
        verdict, source = judge_capture(given, flow, reader=arguments.reader, detail=detail)
    tell = Teller(verdict, source, arguments.allow_unseen)
    for name, path in arguments.format:
        if path is not None:
            path.write_text(tell.written(name), encoding="utf-8", errors="backslashreplace")
    if given.is_run:
        leave(given, tell)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        sys.stderr.write(github.commands(verdict, source, allow_unseen=arguments.allow_unseen))
    show(tell.written((printed or ["text"])[0], terminal_style()))
    accepted = (PASS, INCONCLUSIVE) if arguments.allow_unseen else (PASS,)
    return PASSED if verdict.verdict in accepted else FAILED


class Teller:
    """A verdict that can be told in every format."""

    def __init__(self, verdict: Verdict, source: Source, allow_unseen: bool) -> None:
        self.verdict, self.source, self.allow_unseen = verdict, source, allow_unseen
        self.covered = verdict.covered

    def written(self, name: str, style: Style | None = None) -> str:
        """The report in one format; `style` is for text that goes to a terminal."""
        verdict, source = self.verdict, self.source
        if name == "json":
            return data.written(verdict, source, self.covered)
        if name == "junit":
            return junit.junit(verdict, source, allow_unseen=self.allow_unseen)
        if name == "sarif":
            return sarif.sarif(verdict, source, allow_unseen=self.allow_unseen)
        if name == "markdown":
            return markdown.markdown(verdict, source, summary(self.covered))
        return text(verdict, source, style, summary(self.covered))


def terminal_style() -> Style:
    """Colours and the width of the window, when standard output is a terminal; NO_COLOR leaves out the colours."""
    if not sys.stdout.isatty():
        return Style()
    return Style(not os.environ.get("NO_COLOR"), shutil.get_terminal_size().columns)


def show(told: str) -> None:
    """Print; that somebody looks at the first lines only is fine."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name on the wire may hold what the terminal cannot show
    try:
        sys.stdout.write(told)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(line: str) -> None:
    """One line that shows while a run goes on."""
    show(f"{printable(line)}\n")


def complain(line: str) -> None:
    """The same, where standard output is for a program to read."""
    sys.stderr.write(f"{printable(line)}\n")


def leave(given: Input, tell: Teller) -> None:
    """Write the verdict into a run's folder; it belongs to whom the folder belongs to, also under sudo."""
    assert given.folder is not None
    for name, made in (("verdict.txt", "text"), ("verdict.json", "json")):
        file = given.folder / name
        try:
            file.write_text(tell.written(made), encoding="utf-8", errors="backslashreplace")
            if os.geteuid() == 0:
                owner = given.folder.stat()
                os.chown(file, owner.st_uid, owner.st_gid)
        except OSError as error:
            sys.stderr.write(f"mn-dsmip check: the verdict could not be left in {file}: {error.strerror}\n")
