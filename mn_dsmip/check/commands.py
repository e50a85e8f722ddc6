# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker's other subcommands: `report`.

Exit status 0: done. 2: the input cannot be used, or the result not be written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mn_dsmip.check.arguments import Parser, add_flow, add_reading
from mn_dsmip.check.cli import guarded, show
from mn_dsmip.check.inputs import STANDARD_INPUT, InputError, find_flow, find_input
from mn_dsmip.check.judging import judge_capture
from mn_dsmip.check.report.clauses import clauses
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.text import WORDS
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.verdict import Verdict

DONE = 0
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
    made = _drawing(verdict, source, arguments.ue) if arguments.svg else page(verdict, source, clauses(verdict, RULES))
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
