# SPDX-License-Identifier: GPL-2.0-or-later
"""Match the messages of one session against a flow: which step each one is, and what differs.

Steps are searched for in their order. A step's message is the first one that its `where` selects; the search for it
ends where the next mandatory step's message is found, so that a missing answer is not taken for a later one. Messages
that no step asks for are passed over (a flow forbids what must not be there), repetitions are recognised and skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mn_dsmip.check.flow.compare import Truth, compare
from mn_dsmip.check.flow.language import Condition, Flow, Group, Item, Prohibition, Step, every_step, show
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session

MAX_ATTEMPTS = 64  # places at which a sequence is tried


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
    """One field that is not as a step wants it; `unseen` gives the reason when it could not be judged."""

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


def match(session: Session, flow: Flow) -> Match:
    """Match one session against a flow."""
    return _Matcher(session, flow).run()


def fold(session: Session) -> tuple[list[Message], list[tuple[Message, Message]]]:
    """The session's messages without repetitions, and each repetition with what it repeats.

    IKE, DNS and ESP repeat octet by octet (RFC 7296 2.1). A Binding Update is sent again with a higher sequence number
    (RFC 6275 11.8): of those the one that counts is kept, together with its acknowledgement.
    """
    kept: list[Message] = []
    repeats: list[tuple[Message, Message]] = []
    seen: dict[tuple[str, str], Message] = {}
    for message in session.messages:
        key = (message.source, message.content)
        first = seen.setdefault(key, message) if message.content else message
        counts = session.repeated.get(message.frame, first)
        if counts is message:
            kept.append(message)
        else:
            repeats.append((message, counts))
    return kept, repeats


class _Matcher:
    def __init__(self, session: Session, flow: Flow) -> None:
        self.session = session
        self.flow = flow
        self.match = Match()
        messages, self.match.repeats = fold(session)
        lost = {one.frame for one in session.abandoned}
        self.messages = [one for one in messages if one.frame not in lost]
        self.used: set[int] = set()
        self.variables: dict[str, Value] = {}
        self.roles: dict[str, str] = {}

    def run(self) -> Match:
        self._items(self.flow.steps, 0, len(self.messages))
        self._begins_late()
        for prohibition in self.flow.forbidden:
            self._forbid(prohibition)
        signalling = (one for one in self.messages if one.is_ike or one.is_mobility or one.kind == "dns")
        frames = {result.message.frame for result in self.match.results if result.message}
        self.match.unasked = [one for one in signalling if one.frame not in frames]
        return self.match

    # -- walking through the flow; every method returns the position after what it used

    def _items(self, items: Sequence[Item], start: int, end: int) -> int:
        for index, item in enumerate(items):
            start = self._item(item, start, self._bound(items[index + 1 :], item, start, end))
        return start

    def _bound(self, following: Iterable[Item], item: Item, start: int, end: int) -> int:
        """Where the next mandatory step begins: the search for `item` ends there."""
        if isinstance(item, Group) and item.kind == "repeat" and item.optional:
            return end  # its rounds count only when they are whole
        own = self._begin(item, start, end)
        for other in following:
            if not other.optional:
                found = self._begin(other, start, end, certain=True)
                if found is not None and found == own:  # both ask for the same message: this one comes first
                    found = self._begin(other, found + 1, end, certain=True)
                return end if found is None else found
        return end

    def _begin(self, item: Item, start: int, end: int, certain: bool = False) -> int | None:
        """Where an item would begin; what is optional begins only with a message that is certainly meant."""
        certain = certain or item.optional
        if isinstance(item, Step):
            return self._find(item, start, end, certain)
        members = item.members if item.kind == "any_order" else item.members[:1]
        places = [self._begin(member, start, end, certain) for member in members]
        return min((place for place in places if place is not None), default=None)

    def _item(self, item: Item, start: int, end: int) -> int:
        if isinstance(item, Step):
            return self._step(item, start, end)
        if item.kind == "any_order":
            return self._any_order(item, start, end)
        if item.kind == "repeat":
            return self._repeat(item, start, end)
        return self._sequence(item, start, end)

    def _sequence(self, group: Group, start: int, end: int) -> int:
        """Its first place where all of it is found: a lost ping is followed by another. If there is none, its first."""
        place = self._begin(group, start, end)
        if group.optional and place is None:
            return self._skip(group, start)
        for _ in range(MAX_ATTEMPTS):
            if place is None:
                break
            before = self._state()
            after = self._items(group.members, place, end)
            if self._whole_since(before):
                return after
            self._restore(before)
            place = self._begin(group, place + 1, end)
        return self._items(group.members, start, end)

    def _state(self) -> tuple[int, set[int], dict[str, Value], dict[str, str]]:
        return len(self.match.results), set(self.used), dict(self.variables), dict(self.roles)

    def _restore(self, state: tuple[int, set[int], dict[str, Value], dict[str, str]]) -> None:
        results, self.used, self.variables, self.roles = state
        del self.match.results[results:]

    def _whole_since(self, state: tuple[int, set[int], dict[str, Value], dict[str, str]]) -> bool:
        return all(one.outcome is not Outcome.MISSING for one in self.match.results[state[0] :])

    def _any_order(self, group: Group, start: int, end: int) -> int:
        if group.optional and self._begin(group, start, end) is None:
            return self._skip(group, start)
        return max([self._item(member, start, end) for member in group.members], default=start)

    def _repeat(self, group: Group, start: int, end: int) -> int:
        """Rounds, one after the other; those beyond the least number only when they are whole."""
        least = 0 if group.optional else group.least
        for done in range(group.most):
            before = self._state()
            after = self._items(group.members, start, end) if self._goes_on(group, done, start, end) else start
            if done >= least and (after == start or not self._whole_since(before)):
                self._restore(before)
                return start if done else self._skip(group, start)
            start = after
        return start

    def _goes_on(self, group: Group, done: int, start: int, end: int) -> bool:
        return (done < group.least and not group.optional) or self._begin(group, start, end, certain=True) is not None

    def _skip(self, item: Item, start: int) -> int:
        self.match.results += [StepResult(step, Outcome.SKIPPED) for step in every_step((item,))]
        return start

    def _step(self, step: Step, start: int, end: int) -> int:
        place = self._find(step, start, end, step.optional)
        if place is None:
            self._absent(step)
            return start
        message = self.messages[place]
        self.used.add(place)
        self._bind_roles(step, message)
        self.variables |= {name: value for name, key in step.bind if (value := message.get(key)) is not None}
        for name, key in step.bind:
            if message.get(key) is None:
                self.variables.pop(name, None)
        differences = tuple(self._differences(step.expect, message, step.clause))
        if any(not one.unseen and one.severity == "violation" for one in differences):
            outcome = Outcome.DIFFERENT
        elif self._is_unseen(step, message, differences):
            outcome = Outcome.UNSEEN
        else:
            outcome = Outcome.MATCHED
        self.match.results.append(StepResult(step, outcome, message, differences, reason=message.hidden))
        return place + 1

    def _is_unseen(self, step: Step, message: Message, differences: tuple[Difference, ...]) -> bool:
        if any(one.unseen and one.severity == "violation" for one in differences):
            return True
        return self._selects(step, message) is Truth.UNKNOWN

    def _absent(self, step: Step) -> None:
        if step.optional:
            self.match.results.append(StepResult(step, Outcome.SKIPPED))
            return
        nearest, differences = self._nearest(step)
        self.match.results.append(
            StepResult(step, Outcome.MISSING, nearest=nearest, nearest_differences=tuple(differences))
        )

    # -- one message

    def _find(self, step: Step, start: int, end: int, certain: bool = False) -> int | None:
        wanted = (Truth.YES,) if certain else (Truth.YES, Truth.UNKNOWN)
        for place in range(start, end):
            if place not in self.used and self._selects(step, self.messages[place]) in wanted:
                return place
        return None

    def _selects(self, step: Step | Prohibition, message: Message) -> Truth:
        if not self._from_and_to(step, message):
            return Truth.NO
        if message.kind != step.message:
            return self._may_hide(step, message)
        truths = [self._holds(condition, message) for condition in step.where]
        if Truth.NO in truths:
            return Truth.NO
        return Truth.UNKNOWN if Truth.UNKNOWN in truths else Truth.YES

    def _may_hide(self, step: Step | Prohibition, message: Message) -> Truth:
        """An ESP packet that does not open may be any signalling; only mobility signalling is looked for in ESP."""
        hides = message.kind == "esp" and message.hidden and step.message.startswith("binding_")
        return Truth.UNKNOWN if hides and isinstance(step, Step) else Truth.NO

    def _holds(self, condition: Condition, message: Message) -> Truth:
        actual = message.get(condition.field)
        if actual is None and message.hidden:
            return Truth.UNKNOWN
        truths = []
        for operator, wanted in condition.tests:
            value = self._resolve(wanted)
            truths.append(Truth.YES if value is None else compare(operator, actual, value))
        return Truth.NO if Truth.NO in truths else Truth.YES

    def _differences(self, conditions: Iterable[Condition], message: Message, clause: str) -> Iterable[Difference]:
        for condition in conditions:
            actual = message.get(condition.field)
            expected, unseen, wrong = condition.expected, "", False
            if actual is None and message.hidden:
                unseen = message.hidden
            for operator, wanted in condition.tests:
                value = self._resolve(wanted)
                if value is None:
                    unseen = unseen or f"{show(wanted)} was not seen"
                    continue
                if value != wanted:
                    expected = expected.replace(show(wanted), f"{show(value)} ({show(wanted)})", 1)
                wrong |= not unseen and compare(operator, actual, value) is Truth.NO
            if unseen or wrong:
                because = condition.clause or clause
                yield Difference(condition, expected, show(actual), because, condition.severity, unseen)

    def _resolve(self, wanted: Value) -> Value | None:
        """A value with variables filled in; None when one is not known."""
        if isinstance(wanted, str) and wanted.startswith("$"):
            return self.variables.get(wanted[1:])
        if isinstance(wanted, tuple):
            found = [self._resolve(one) for one in wanted]
            return None if None in found else tuple(one for one in found if one is not None)
        return wanted

    # -- roles

    def _from_and_to(self, step: Step | Prohibition, message: Message) -> bool:
        return self._plays(step.sender, message.source) and self._plays(step.receiver, message.destination)

    def _plays(self, role: str, address: str) -> bool:
        if role == "ue":
            return self.session.is_ue(address)
        if role == "ha":
            return address == self.session.home_agent
        return not role or self.roles.get(role, address) == address

    def _bind_roles(self, step: Step, message: Message) -> None:
        for role, address in ((step.sender, message.source), (step.receiver, message.destination)):
            if role not in ("", "ue", "ha"):
                self.roles.setdefault(role, address)

    # -- what is missing, early or forbidden

    def _nearest(self, step: Step) -> tuple[Message | None, list[Difference]]:
        """The message of the step's kind that differs from it least."""
        best: tuple[int, Message, list[Difference]] | None = None
        for place, message in enumerate(self.messages):
            if message.kind != step.message or place in self.used:
                continue
            differences = [one for one in self._differences(step.where, message, step.clause) if not one.unseen]
            score = len(differences) + 2 * (not self._from_and_to(step, message))
            if best is None or score < best[0]:
                best = (score, message, differences)
        return (best[1], best[2]) if best else (None, [])

    def _begins_late(self) -> None:
        """Steps before the first message of a capture that starts in the middle were not to be seen."""
        results = self.match.results
        first = next((index for index, one in enumerate(results) if one.message is not None), None)
        if first is None:
            return
        for index, result in enumerate(results[:first]):
            if result.outcome is Outcome.MISSING and result.nearest is None:
                reason = f"the capture starts later, with frame {self.messages[0].frame}"
                results[index] = StepResult(result.step, Outcome.UNSEEN, reason=reason)

    def _forbid(self, prohibition: Prohibition) -> None:
        found = {result.step.name: result.message for result in self.match.results if result.message}
        if any(name and name not in found for name in (prohibition.after, prohibition.before)):
            return
        first = found[prohibition.after].frame if prohibition.after else 0
        last = found[prohibition.before].frame if prohibition.before else float("inf")
        for message in self.messages:
            if first < message.frame < last and self._selects(prohibition, message) is Truth.YES:
                self.match.results.append(StepResult(prohibition, Outcome.FORBIDDEN, message))
