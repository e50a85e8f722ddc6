# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker's other subcommands: `report`, `draft` and `diff`.

Exit status 0: done, 2: the input cannot be used, or the result not be written; 1 only of `diff`: they are different.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mn_dsmip.check.arguments import Parser, add_flow, add_reading
from mn_dsmip.check.cli import guarded, show
from mn_dsmip.check.inputs import STANDARD_INPUT, Input, InputError, find_flow, find_input
from mn_dsmip.check.judging import judge_capture, sessions
from mn_dsmip.check.report.source import Source, printable
from mn_dsmip.check.report.text import WORDS
from mn_dsmip.check.session import Session
from mn_dsmip.check.verdict import Verdict

DONE, PARTED = 0, 1
SHOWN_UES = 20


def report(argv: list[str]) -> int:
    """`mn-dsmip report`: one page, or one drawing, of a capture."""
    options = Parser(
        prog="mn-dsmip report",
        description="Write a page about a capture: what is wrong, a ladder diagram of each UE, time line, bindings, "
        "coverage by clause. It is one file that needs nothing else.",
    )
    options.add_argument("capture", type=Path, metavar="RUN_OR_CAPTURE", help="a capture, or a run's folder")
    options.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: report.html, or ladder.svg; - prints"
    )
    options.add_argument("--svg", action="store_true", help="only the ladder of one UE, as a drawing")
    options.add_argument("--ue", type=_positive, metavar="N", help="with --svg: which UE (default: the worst one)")
    options.add_argument(
        "--ues",
        type=_positive,
        default=SHOWN_UES,
        metavar="N",
        help=f"how many UEs of each verdict are shown in full (default: {SHOWN_UES})",
    )
    add_reading(options)
    add_flow(options)
    return guarded(options, argv, _report)


def draft(argv: list[str]) -> int:
    """`mn-dsmip draft`: a first flow, written from a good capture."""
    options = Parser(
        prog="mn-dsmip draft",
        description="Write a first flow from a good capture. It passes on that capture; then it is yours to edit.",
    )
    options.add_argument("capture", type=Path, metavar="RUN_OR_CAPTURE", help="a capture, or a run's folder")
    options.add_argument("-o", "--output", type=Path, metavar="FILE", default=STANDARD_INPUT, help="default: print it")
    options.add_argument("--ue", type=_positive, metavar="N", default=1, help="which UE of the capture (default: 1)")
    add_reading(options)
    return guarded(options, argv, _draft)


def diff(argv: list[str]) -> int:
    """`mn-dsmip diff`: in which step two traces part."""
    options = Parser(
        prog="mn-dsmip diff",
        description="Say in which step two traces part. Addresses, SPIs and numbers may be others in each.",
        epilog="Exit status: 0 they are alike; 1 they part; 2 one of them cannot be used.",
    )
    for name in ("first", "second"):
        options.add_argument(name, type=Path, metavar=name.upper(), help="a capture, or a run's folder")
    options.add_argument("--ue", type=_positive, metavar="N", default=1, help="which UE of each (default: 1)")
    add_reading(options)
    options.add_argument(
        "--second-keys", type=Path, metavar="DIR", help="the keys of SECOND (default: beside it, else those of FIRST)"
    )
    return guarded(options, argv, _diff)


def _positive(given: str) -> int:
    if not given.isdigit() or not int(given):
        raise argparse.ArgumentTypeError(f"expected a number from 1, found {given!r}")
    return int(given)


def _report(_: Parser, arguments: argparse.Namespace) -> int:
    from mn_dsmip.check.report.page import page

    given = find_input(arguments.capture, arguments.keys)
    flow = find_flow(arguments.flow, given.folder)
    keep = max(arguments.ues, arguments.ue or 0) if arguments.svg else arguments.ues
    verdict, source = judge_capture(given, flow, reader=arguments.reader, keep=keep)
    made = _drawing(verdict, source, arguments.ue) if arguments.svg else page(verdict, source, verdict.covered)
    output = arguments.output or Path("ladder.svg" if arguments.svg else "report.html")
    if output == STANDARD_INPUT:
        show(made)
        return DONE
    output.write_text(made, encoding="utf-8", errors="backslashreplace")
    count = f"{len(verdict.records)} UE{'s' * (len(verdict.records) != 1)}"
    show(f"{output}: {WORDS[verdict.verdict]}, {count}\n")
    return DONE


def _drawing(verdict: Verdict, source: Source, number: int | None) -> str:
    from mn_dsmip.check.report.ladder import ladder
    from mn_dsmip.check.report.svg import svg

    kept = [one for one in verdict.records if one.judgement is not None]
    if number is not None:
        kept = [one for one in kept if one.number == number]
    if not kept:
        raise InputError(f"there is no UE {number} in the capture" if number else "there is no UE in the capture")
    worst = min(kept, key=lambda one: ("fail", "inconclusive", "pass").index(one.verdict))
    return svg(ladder(worst, verdict.flow, source))


def _draft(_: Parser, arguments: argparse.Namespace) -> int:
    from mn_dsmip.check.flow.draft import draft as written

    given = find_input(arguments.capture, arguments.keys)
    made = written(_session(given, arguments.reader, arguments.ue))
    if arguments.output == STANDARD_INPUT:
        show(made)
    else:
        arguments.output.write_text(made, encoding="utf-8")
        show(f"{arguments.output}: a first flow; mn-dsmip check {given.capture} --flow {arguments.output}\n")
    return DONE


def _diff(_: Parser, arguments: argparse.Namespace) -> int:
    from mn_dsmip.check.flow.diff import diff as compared

    given = find_input(arguments.first, arguments.keys)
    other = find_input(arguments.second, arguments.second_keys)
    if other.keys.folder is None:
        other = find_input(arguments.second, given.keys.folder)
    first, second = (_session(one, arguments.reader, arguments.ue) for one in (given, other))
    parting = compared(first, second)
    show("".join(f"{printable(line)}\n" for line in parting.text.splitlines()))
    return PARTED if parting.parts else DONE


def _session(given: Input, reader: str, number: int) -> Session:
    for session in sessions(given, reader):
        if session.number == number:
            return session
    raise InputError(f"{given.capture}: there is no UE {number} in the capture")
