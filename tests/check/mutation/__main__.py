# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge every mutant of the shipped cases: `python -m tests.check.mutation [--survivors] [CASE ...]`."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.check.mutation.campaign import Campaign, Outcome
from tests.check.mutation.survivors import hole, reason
from tests.check.test_cases import CAPTURES, JUDGED

WIDTH = 20


def main(arguments: list[str]) -> None:
    """A table of shares by case; with `--survivors` every mutant that nobody explains."""
    cases = [one for one in arguments if not one.startswith("-")] or JUDGED
    print(f"{'case':{WIDTH}} mutants  killed noticed equivalent  holes unexplained  share  seconds")
    open_ones: list[Outcome] = []
    holes: list[Outcome] = []
    total: Counter[str] = Counter()
    for case in cases:
        start = time.monotonic()
        outcomes = list(Campaign(CAPTURES / case).run())
        count = Counter(_class(one) for one in outcomes)
        total += count
        holes += [one for one in outcomes if _class(one) == "hole"]
        open_ones += [one for one in outcomes if _class(one) == "unexplained"]
        print(_line(case, count, time.monotonic() - start))
    print(_line("all", total, 0))
    if "--survivors" in arguments:
        print("\nholes, by what is not looked at")
        for what, number in Counter(hole(one) for one in holes).most_common():
            print(f"{number:5} {what}")
        names = Counter((one.kind, one.name) for one in open_ones)
        for (kind, name), number in sorted(names.items()):
            where = ", ".join(f"{one.case}:{one.frame}" for one in open_ones if (one.kind, one.name) == (kind, name))
            print(f"{number:5} {kind} {name}   {where[:120]}")


def _class(outcome: Outcome) -> str:
    if outcome.result != "survived":
        return outcome.result
    return "equivalent" if reason(outcome) else "hole" if hole(outcome) else "unexplained"


def _line(case: str, count: Counter[str], seconds: float) -> str:
    number = sum(count.values())
    broken = number - count["equivalent"]
    share = (count["killed"] + count["noticed"]) / broken if broken else 0
    columns = (
        f"{count['killed']:7} {count['noticed']:7} {count['equivalent']:10} {count['hole']:6} {count['unexplained']:11}"
    )
    return f"{case:{WIDTH}} {number:7} {columns}  {share:5.1%}  {seconds:7.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
