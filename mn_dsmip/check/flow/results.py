# SPDX-License-Identifier: GPL-2.0-or-later
"""What the matching of a session against a flow comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from mn_dsmip.check.flow.elements import Condition, Prohibition, Step
from mn_dsmip.check.model import Message


class Outcome(Enum):
    """What became of a step."""

    MATCHED = "matched"
    DIFFERENT = "different"
    MISSING = "missing"
    UNSEEN = "unseen"
    SKIPPED = "skipped"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True)
class Difference:
    """One field that is not as a step wants it; `unseen` gives the reason when it could not be judged.

    Besides fields of messages these are `time`, and, of a nearest candidate, `from`, `to` and `step`.
    """

    condition: Condition
    expected: str
    actual: str
    clause: str
    severity: str
    unseen: str = ""


@dataclass(frozen=True)
class StepResult:
    """What became of one step, or of one round of a repeated one."""

    step: Step | Prohibition
    outcome: Outcome
    message: Message | None = None
    differences: tuple[Difference, ...] = ()
    nearest: Message | None = None
    nearest_differences: tuple[Difference, ...] = ()
    reason: str = ""


@dataclass
class Match:
    """All results of one session, and what was left over."""

    results: list[StepResult] = field(default_factory=list)
    repeats: list[tuple[Message, Message]] = field(default_factory=list)
    unasked: list[Message] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)  # the addresses of the flow's roles, as far as they are known
