# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare two sessions message by message: in which step do they part?

Addresses, SPIs, names and numbers are compared by the part they play: the second address that was ever shown in one
session is the same as the second one of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mn_dsmip.check.flow.compare import normal
from mn_dsmip.check.flow.elements import show
from mn_dsmip.check.flow.traits import GROUP_OF, IGNORED, LISTS, NUMBERS, name_of, role_of, telling, values
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session

MAX_AHEAD = 64  # messages of the other session among which one is looked for
ALIKE = "the same steps, {number} messages in each"


@dataclass(frozen=True)
class FieldPair:
    """One field that is different, as it stands in both messages; None: there is none."""

    field: str
    first: Value | None
    second: Value | None


@dataclass(frozen=True)
class Parting:
    """Where two sessions part: after `agreed` messages that are alike, with these two; None: it ends there."""

    agreed: int
    last: tuple[Message, Message] | None = None
    first: Message | None = None
    second: Message | None = None
    fields: tuple[FieldPair, ...] = ()
    also: str = ""  # where the other session goes on

    @property
    def parts(self) -> bool:
        """Whether there is any difference."""
        return self.first is not None or self.second is not None

    @property
    def step(self) -> str:
        """The name of the step in which they part."""
        message = self.first or self.second
        return name_of(message) if message else ""

    @property
    def text(self) -> str:
        """For people, in a few lines."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        if not self.parts:
            yield ALIKE.format(number=self.agreed)
            return
        yield f"the sessions part in step {self.agreed + 1}, {self.step}"
        if self.last:
            yield f"  last step alike:  {' | '.join(_told(one) for one in self.last)}"
        yield f"  first session:    {_told(self.first)}"
        yield f"  second session:   {_told(self.second)}"
        for pair in self.fields:
            yield f"  {pair.field}: {_shown(pair.first)} in the first, {_shown(pair.second)} in the second"
        if self.also:
            yield f"  {self.also}"


def diff(first: Session, second: Session) -> Parting:
    """Where the second session parts from the first."""
    one, other = _Traced(first), _Traced(second)
    last: tuple[Message, Message] | None = None
    for number, (mine, its) in enumerate(zip(one.messages, other.messages, strict=False)):
        if one.token(mine) != other.token(its):
            return Parting(number, last, mine, its, also=_goes_on(one, other, number))
        fields = tuple(_different(one.traits(mine), other.traits(its), mine, its))
        if fields:
            return Parting(number, last, mine, its, fields)
        last = mine, its
    number = min(len(one.messages), len(other.messages))
    return Parting(number, last, one.at(number), other.at(number))


class _Traced:
    """A session with the values of its own told by when they first came up."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.messages = telling(session)
        self.known: dict[str, dict[object, int]] = {}
        self.last_sequence: dict[str, int] = {}

    def at(self, number: int) -> Message | None:
        return self.messages[number] if number < len(self.messages) else None

    def token(self, message: Message) -> tuple[str, str, str]:
        """What the message is, and between whom."""
        return name_of(message), role_of(self.session, message.source), role_of(self.session, message.destination)

    def traits(self, message: Message) -> dict[str, object]:
        """Each field in a form that is equal in both sessions when it means the same."""
        found: dict[str, object] = {"hidden": bool(message.hidden)}
        for field, value in message.fields.items():
            if field in IGNORED:
                continue
            if field in NUMBERS:
                found[field] = self._number(message, field)
            elif field in GROUP_OF:
                found[field] = tuple(self._own(GROUP_OF[field], one) for one in values(value))
            elif field in LISTS and isinstance(value, tuple):
                found[field] = frozenset(value)
            else:
                found[field] = value
        return found

    def _own(self, group: str, value: Value) -> int:
        seen = self.known.setdefault(group, {})
        return seen.setdefault(normal(value), len(seen))

    def _number(self, message: Message, field: str) -> object:
        """IKE counts from 0 in every session; of other numbers only how they follow each other is the same."""
        value = message.number(field)
        if message.is_ike:
            return value
        if field == "sequence":
            before = self.last_sequence.setdefault(message.kind, value)
            self.last_sequence[message.kind] = value
            return value - before if value >= before else "lower"
        return self._own(f"{message.kind} {field}", value)


def _different(first: dict[str, object], second: dict[str, object], mine: Message, its: Message) -> Iterator[FieldPair]:
    for field in dict.fromkeys([*first, *second]):
        if first.get(field) != second.get(field):
            hidden = field == "hidden"
            yield FieldPair(field, *((one.hidden if hidden else one.get(field)) for one in (mine, its)))


def _goes_on(one: _Traced, other: _Traced, number: int) -> str:
    """Whether one session has messages more, and where it goes on like the other."""
    for traced, ahead, which in ((one, other, "second"), (other, one, "first")):
        wanted = traced.token(traced.messages[number])
        for more in range(1, MAX_AHEAD):
            following = ahead.messages[number + more : number + more + 1]
            if following and ahead.token(following[0]) == wanted:
                return f"the {which} session has {more} more here: it goes on alike in frame {following[0].frame}"
    return ""


def _told(message: Message | None) -> str:
    return f"{name_of(message)} in frame {message.frame}" if message else "ends"


def _shown(value: Value | None) -> str:
    """For a terminal: names on the wire may hold anything."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in show(value)) or "nothing"
