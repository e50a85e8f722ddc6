# SPDX-License-Identifier: GPL-2.0-or-later
"""What a flow file is made of, once it is read: steps, groups of them, prohibitions, roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mn_dsmip.check.flow.vocabulary import OPERATORS
from mn_dsmip.check.model import Value

NOWHERE = Path()
UNLIMITED = 1 << 30  # rounds of a repeated group


class FlowError(Exception):
    """A flow file is wrong; the message is one line that starts with file and line."""

    def __init__(self, file: Path, line: int, text: str) -> None:
        super().__init__(" ".join(f"{file}:{line}: {text}".split()))
        self.file, self.line = file, line


@dataclass(frozen=True)
class Condition:
    """What one field has to be like: comparisons that must all hold."""

    field: str
    tests: tuple[tuple[str, Value], ...]
    line: int
    clause: str = ""
    severity: str = "violation"

    @property
    def expected(self) -> str:
        return " and ".join(f"{OPERATORS[name]}{show(value)}" for name, value in self.tests)


@dataclass(frozen=True)
class Duration:
    """A length of time: seconds, or as many times `seconds` as a variable says."""

    text: str
    seconds: float
    variable: str = ""


@dataclass(frozen=True)
class TimeBound:
    """How long after another step a message has to come: not sooner than `at_least`, not later than `within`."""

    after: str
    line: int
    within: Duration | None = None
    at_least: Duration | None = None
    clause: str = ""
    severity: str = "violation"

    @property
    def expected(self) -> str:
        least = f"at least {self.at_least.text}" if self.at_least else ""
        most = f"at most {self.within.text}" if self.within else ""
        return " and ".join(text for text in (least, most) if text) + f" after {self.after}"


@dataclass(frozen=True)
class Step:
    """One message that is to be seen."""

    name: str
    message: str
    line: int
    sender: str = ""
    receiver: str = ""
    where: tuple[Condition, ...] = ()
    expect: tuple[Condition, ...] = ()
    bind: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    clause: str = ""
    time: TimeBound | None = None
    title: str = ""
    file: Path = NOWHERE


@dataclass(frozen=True)
class Group:
    """Steps that belong together: in order (sequence), any_order, repeat, or alternatives (one of the members)."""

    name: str
    kind: str
    members: tuple[Item, ...]
    line: int
    optional: bool = False
    least: int = 1
    most: int = 1
    file: Path = NOWHERE


Item = Step | Group


@dataclass(frozen=True)
class Prohibition:
    """A message that must not be seen: never, or after and before certain steps or groups."""

    name: str
    message: str
    line: int
    sender: str = ""
    receiver: str = ""
    where: tuple[Condition, ...] = ()
    after: str = ""
    before: str = ""
    clause: str = ""
    file: Path = NOWHERE


@dataclass(frozen=True)
class Selection:
    """Messages of one kind, chosen by conditions."""

    message: str
    where: tuple[Condition, ...] = ()
    sender: str = ""
    receiver: str = ""


@dataclass(frozen=True)
class Role:
    """Who takes part: an address, a variable that holds one, or whoever sends or receives a certain message first.

    With none of these it is `ue` and `ha` of the session, or, for any other name, whoever plays it first.
    """

    name: str
    title: str = ""
    address: Value | None = None
    sends: Selection | None = None
    receives: Selection | None = None


@dataclass(frozen=True, eq=False)
class Flow:
    """A whole expected flow; one is equal to itself only."""

    file: Path
    name: str
    title: str
    roles: dict[str, Role]
    steps: tuple[Item, ...]
    forbidden: tuple[Prohibition, ...] = field(default_factory=tuple)
    description: str = ""
    clause: str = ""
    every_attempt: bool = False  # also IKE SAs that led to nothing are matched
    without_rules: dict[str, str] = field(default_factory=dict)  # rules that do not apply, each with its reason


def every_step(items: tuple[Item, ...]) -> Iterator[Step]:
    """All steps in the order of the file, those in groups too."""
    for item in items:
        if isinstance(item, Step):
            yield item
        else:
            yield from every_step(item.members)


def every_group(items: tuple[Item, ...]) -> Iterator[Group]:
    """All groups, an outer one before those in it."""
    for item in items:
        if isinstance(item, Group):
            yield item
            yield from every_group(item.members)


def show(value: Value | None) -> str:
    """A value as the report writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(show(item) for item in value) or "nothing"
    return str(value)
