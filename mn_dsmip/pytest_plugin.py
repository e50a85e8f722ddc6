# SPDX-License-Identifier: GPL-2.0-or-later
"""For pytest: the fixture `dsmip_trace` judges a run or a capture in a test.

    def test_bootstrap(dsmip_trace):
        dsmip_trace("runs/latest").must_match("initial-attach")

The checker is imported when the fixture is used: pytest loads this file in every session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mn_dsmip.check.report.source import Source
    from mn_dsmip.check.verdict import Verdict


@dataclass(frozen=True)
class Trace:
    """A run's folder or a capture; relative paths start at pytest's root folder."""

    capture: Path
    keys: Path | None
    reader: str
    root: Path

    def judge(self, flow: str | None = None) -> tuple[Verdict, Source]:
        """The verdict against a flow, by name or file, and what was judged; the test fails when that is not usable."""
        from mn_dsmip.check.flow.language import FlowError
        from mn_dsmip.check.inputs import InputError, find_flow, find_input
        from mn_dsmip.check.judging import judge_capture
        from mn_dsmip.check.reading.keys import KeysError

        try:
            given = find_input(self.capture, self.keys)
            own = str(self.root / flow) if flow and (self.root / flow).is_file() else flow
            return judge_capture(given, find_flow(own, given.folder), reader=self.reader)
        except (InputError, FlowError, KeysError) as error:
            problem = str(error)
        pytest.fail(f"dsmip_trace: {problem}", pytrace=False)

    def must_match(self, flow: str | None = None, *, allow_unseen: bool = False) -> None:
        """Fail the test with the checker's report unless the verdict is pass.

        Without a name the flow is the one in the folder, else initial-attach. `allow_unseen` accepts a trace of which
        something mandatory could not be judged.
        """
        from mn_dsmip.check.report.text import text
        from mn_dsmip.check.rules.coverage import summary
        from mn_dsmip.check.verdict import INCONCLUSIVE, PASS

        verdict, source = self.judge(flow)
        if verdict.verdict != PASS and not (allow_unseen and verdict.verdict == INCONCLUSIVE):
            covered = summary(verdict.covered)
            pytest.fail(text(verdict, source, covered=covered), pytrace=False)


@pytest.fixture
def dsmip_trace(request: pytest.FixtureRequest) -> Callable[..., Trace]:
    """A function of a run's folder or a capture; with `keys`, a folder, and `reader` as the command has them."""
    root = request.config.rootpath

    def trace(capture: str | Path, keys: str | Path | None = None, reader: str = "auto") -> Trace:
        return Trace(root / capture, root / keys if keys else None, reader, root)

    return trace
