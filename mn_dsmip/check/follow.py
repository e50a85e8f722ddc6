# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge a run while it goes on: `mn-dsmip check --follow RUN`.

tshark reads the key tables only when it starts, and agents write keys as they derive them. So the capture is read from
its start again whenever it or a key table has grown, at most a quarter of the time. What is told as soon as it shows
is what later packets cannot mend: a verdict when a session has ended, before that what is wrong in it (not what is
missing: it may come). The run has ended when its capture is finished, see `growing.py`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mn_dsmip.check.context import Context
from mn_dsmip.check.flow.language import Flow
from mn_dsmip.check.flow.match import Outcome
from mn_dsmip.check.growing import Growing, GrowingError
from mn_dsmip.check.inputs import Input, InputError
from mn_dsmip.check.judging import judge_capture
from mn_dsmip.check.model import Message
from mn_dsmip.check.pipeline import Totals, messages_of
from mn_dsmip.check.reading import TraceError, read
from mn_dsmip.check.reading.duplicates import Duplicates
from mn_dsmip.check.reading.keys import Keys, KeysError, has_tables
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.separate import Separator
from mn_dsmip.check.session import Session
from mn_dsmip.check.verdict import EVERY, Judgement, Problem, Verdict, judge_session

PAUSE = 0.2  # seconds between two looks at files that grow
SHARE = 3  # after reading for a second, wait at least so many
TABLES = ("ikev2_decryption_table", "esp_sa")

Say = Callable[[str], None]


def follow(
    given: Input, flow: Flow, say: Say, *, reader: str = "auto", detail: int = EVERY, keep: int = 0
) -> tuple[Verdict, Source]:
    """Tell what shows until the run has ended or Ctrl-C, then judge the whole; InputError when it cannot be read."""
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-follow-") as folder:
        growing = Growing(given.capture, Path(folder) / given.capture.name)
        try:
            _watch(given, flow, say, reader, growing)
        except KeyboardInterrupt:
            say("stopped: the verdict on what the capture holds so far")
        except (GrowingError, TraceError) as error:
            raise InputError(f"{given.capture}: {error}") from error
        _refresh(growing)
        whole = replace(given, capture=growing.copy, keys=_keys(given))
        verdict, source = judge_capture(whole, flow, reader=reader, detail=detail, keep=keep)
        return verdict, replace(source, capture=given.capture)


def _refresh(growing: Growing) -> None:
    """The last look: after Ctrl-C there may be more than was judged."""
    try:
        growing.update()
    except GrowingError as error:
        raise InputError(f"{growing.source}: {error}") from error
    if not growing.copy.exists() or not growing.copy.stat().st_size:
        raise InputError(f"{growing.source}: nothing was captured")


def _watch(given: Input, flow: Flow, say: Say, reader: str, growing: Growing) -> None:
    """Judge again and again, until the capture is finished."""
    told: set[tuple[object, ...]] = set()
    sizes: list[int] = []
    while True:
        grown = growing.update()
        now = _sizes(given)
        taken = 0.0
        if (grown or now != sizes) and growing.copy.exists() and growing.copy.stat().st_size:
            sizes, begun = now, time.monotonic()
            _look(growing.copy, _keys(given), flow, reader, told, say)
            taken = time.monotonic() - begun
        if growing.ended and not growing.update():
            return
        _pause(max(PAUSE, SHARE * taken))


def _pause(seconds: float) -> None:
    time.sleep(seconds)


def _keys(given: Input) -> Keys:
    """The keys as they are now; a line that is being written is read the next time."""
    folder = given.keys.folder or given.capture.parent / "wireshark"
    try:
        return Keys.load(folder) if has_tables(folder) else Keys()
    except KeysError:
        return given.keys


def _sizes(given: Input) -> list[int]:
    folder = given.keys.folder or given.capture.parent / "wireshark"
    return [file.stat().st_size for name in TABLES if (file := folder / name).is_file()]


def _look(capture: Path, keys: Keys, flow: Flow, reader: str, told: set[tuple[object, ...]], say: Say) -> None:
    """Read all there is, and tell what was not told before."""
    separator, context = Separator(), Context(keys.mobility)
    for session in _ended(separator, Duplicates()(messages_of(read(capture, keys, reader), Totals()))):
        session.context = context
        _tell_verdict(judge_session(session, flow, RULES), told, say)
    for session, over in separator.so_far():
        session.context = context
        judgement = judge_session(session, flow, RULES)
        if over:
            _tell_verdict(judgement, told, say)
        else:
            for problem in judgement.problems:
                _tell_problem(judgement, problem, told, say)


def _ended(separator: Separator, messages: Iterator[Message]) -> Iterator[Session]:
    for message in messages:
        yield from separator.add(message)


def _tell_verdict(judgement: Judgement, told: set[tuple[object, ...]], say: Say) -> None:
    for problem in judgement.problems:
        _tell_problem(judgement, problem, told, say, over=True)
    key = (judgement.session.number, judgement.verdict)
    if key not in told:
        told.add(key)
        say(f"UE {judgement.session.number}: {judgement.verdict.upper()}  {judgement.session.title}")


def _tell_problem(
    judgement: Judgement, problem: Problem, told: set[tuple[object, ...]], say: Say, *, over: bool = False
) -> None:
    step, rule = problem.step, problem.rule
    if problem.severity != "violation" or (step is not None and step.outcome is Outcome.MISSING and not over):
        return
    name = step.step.name if step is not None else rule.ident if rule is not None else ""
    key = (judgement.session.number, name, problem.frame)
    if key in told:
        return
    told.add(key)
    what = f"step {name}: {step.outcome.value}" if step is not None else f"rule {name} ({rule.title if rule else ''})"
    where = f"after frame {problem.frame}" if problem.message is None else f"frame {problem.frame}"
    say(f"UE {judgement.session.number}: {what}, {where}")
