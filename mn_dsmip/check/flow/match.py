# SPDX-License-Identifier: GPL-2.0-or-later
"""Match the messages of one session against a flow: which step each one is, and what differs.

Steps are searched for in their order. A step's message is the first one that its `where` selects; the search for it
ends where the next mandatory step's message is found, so that a missing answer is not taken for a later one. Messages
that no step asks for are passed over (a flow forbids what must not be there), repetitions are recognised and skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from mn_dsmip.check.flow.elements import Flow, Prohibition, Step, show
from mn_dsmip.check.flow.explain import Absent, differences, nearest, time_difference
from mn_dsmip.check.flow.look import Look
from mn_dsmip.check.flow.plan import PlanGroup, PlanItem, PlanStep, Wanted, plan_of, steps_of
from mn_dsmip.check.flow.results import Difference, Match, Outcome, StepResult
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session

__all__ = ["Difference", "Match", "Outcome", "StepResult", "fold", "match"]

MAX_ATTEMPTS = 64  # places at which one sequence is tried
MAX_ATTEMPTS_IN_ALL = 2000  # in one session
MAX_AHEAD = 8  # mandatory items that are looked for to know where an optional one before them ends


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
    repeated = session.repeated
    for message in session.messages:
        first = seen.setdefault((message.source, message.content), message) if message.content else message
        counts = repeated.get(message.frame, first)
        if counts is message:
            kept.append(message)
        else:
            repeats.append((message, counts))
    return kept, repeats


class _State(NamedTuple):
    results: int
    trail: int
    variables: dict[str, Value]
    roles: dict[str, str]


class _Way(NamedTuple):
    """What one branch of alternatives came to, to be taken later."""

    rank: tuple[int, int, int, int, int]
    after: int
    results: list[StepResult]
    trail: list[int]
    variables: dict[str, Value]
    roles: dict[str, str]


class _Matcher:
    def __init__(self, session: Session, flow: Flow) -> None:
        self.match = Match()
        messages, self.match.repeats = fold(session)
        if not flow.every_attempt:
            lost = {one.frame for one in session.abandoned}
            messages = [one for one in messages if one.frame not in lost] if lost else messages
        self.messages = messages
        self.plan = plan_of(flow)
        self.look = Look(session, self.plan, messages)
        self.attempts_left = MAX_ATTEMPTS_IN_ALL
        self.given_up: Step | None = None

    def run(self) -> Match:
        results = self.match.results
        self._items(self.plan.items, 0, len(self.messages))
        self._tell_absent()
        if self.given_up is not None:
            self._tell_given_up(self.given_up)
        for prohibition in self.plan.forbidden:
            self._forbid(prohibition)
        frames = {result.message.frame for result in results if result.message}
        self.match.unasked = [
            one
            for one in self.messages
            if (one.is_ike or one.is_mobility or one.kind == "dns") and one.frame not in frames
        ]
        known = {role: self.look.address_of(role) for role in self.plan.flow.roles}
        self.match.roles = {role: show(address) for role, address in known.items() if address is not None}
        return self.match

    # -- walking through the flow; every method returns the position after what it used

    def _items(self, items: Sequence[PlanItem], start: int, end: int) -> int:
        for index, item in enumerate(items):
            start = self._item(item, start, self._bound(items[index + 1 :], item, start, end))
        return start

    def _bound(self, following: Sequence[PlanItem], item: PlanItem, start: int, end: int) -> int:
        """Where the next mandatory step begins: the search for `item` ends there."""
        if not following or (isinstance(item, PlanGroup) and item.kind == "repeat" and item.optional):
            return end  # rounds of the latter count only when they are whole
        own, ahead = self._begin(item, start, end), MAX_AHEAD if item.optional else 1
        for other in following:
            if not other.optional:
                found = self._begin(other, start, end, certain=True)
                if found is not None and found == own:  # both ask for the same message: this one comes first
                    found = self._begin(other, found + 1, end, certain=True)
                ahead -= 1
                if found is not None or not ahead:
                    return end if found is None else found
        return end

    def _begin(self, item: PlanItem, start: int, end: int, certain: bool = False) -> int | None:
        """Where an item would begin; what is optional begins only with a message that is certainly meant."""
        certain = certain or item.optional
        if isinstance(item, PlanStep):
            return self._find(item, start, end, certain)
        members = item.members if item.kind in ("any_order", "alternatives") else item.members[:1]
        places = [self._begin(member, start, end, certain) for member in members]
        return min((place for place in places if place is not None), default=None)

    def _item(self, item: PlanItem, start: int, end: int) -> int:
        if isinstance(item, PlanStep):
            return self._step(item, start, end)
        ways = {"any_order": self._any_order, "repeat": self._repeat, "alternatives": self._alternatives}
        return ways.get(item.kind, self._sequence)(item, start, end)

    def _sequence(self, group: PlanGroup, start: int, end: int) -> int:
        """Its first place where all of it is found: a lost ping is followed by another. If there is none, its first."""
        place = self._begin(group, start, end)
        if group.optional and place is None:
            return self._skip(group, start)
        for _ in range(MAX_ATTEMPTS):
            if place is None or self.attempts_left <= 0:
                break
            self.attempts_left -= 1
            before = self._state()
            after = self._items(group.members, place, end)
            if self._whole_since(before):
                self.attempts_left += 1  # only what leads to nothing is limited
                return after
            self._restore(before)
            place = self._begin(group, place + 1, end)
        return self._items(group.members, start, end)

    def _any_order(self, group: PlanGroup, start: int, end: int) -> int:
        if group.optional and self._begin(group, start, end) is None:
            return self._skip(group, start)
        return max([self._item(member, start, end) for member in group.members], default=start)

    def _repeat(self, group: PlanGroup, start: int, end: int) -> int:
        """Rounds, one after the other; those beyond the least number only when they are whole."""
        least = 0 if group.optional else group.group.least
        for done in range(group.group.most):
            before = self._state()
            after = self._items(group.members, start, end) if self._goes_on(group, done, start, end) else start
            found = len(self.look.trail) > before.trail
            if done >= least and not (found and self._whole_since(before)):
                self._restore(before)
                return start if done else self._skip(group, start)
            start = after
            if not found:
                return start  # what is missing is said once, however many rounds there should be
        return start

    def _goes_on(self, group: PlanGroup, done: int, start: int, end: int) -> bool:
        must = done < group.group.least and not group.optional
        return must or self._begin(group, start, end, certain=True) is not None

    def _alternatives(self, group: PlanGroup, start: int, end: int) -> int:
        """The branch that fits best: whole rather than not, without differences, with the most messages."""
        if group.optional and self._begin(group, start, end) is None:
            return self._skip(group, start)
        ways = [self._try(branch, number, start, end) for number, branch in enumerate(group.members)]
        best = min(ways, key=lambda way: way.rank)
        for branch in (one for number, one in enumerate(group.members) if number != best.rank[-1]):
            self._skip(branch, start)
        self.match.results += best.results
        self.look.take_again(best.trail)
        self.look.variables, self.look.roles = best.variables, best.roles
        return best.after

    def _try(self, branch: PlanItem, number: int, start: int, end: int) -> _Way:
        before = self._state()
        after = self._item(branch, start, end)
        results, trail = self.match.results[before.results :], self.look.trail[before.trail :]
        outcomes = [one.outcome for one in results]
        missing, found = outcomes.count(Outcome.MISSING), len(trail)
        rank = (
            bool(missing) + (not found),
            -found if missing else 0,
            outcomes.count(Outcome.DIFFERENT) + outcomes.count(Outcome.UNSEEN),
            -found,
            number,
        )
        way = _Way(rank, after, results, trail, self.look.variables, self.look.roles)
        self._restore(before)
        return way

    # -- going back

    def _state(self) -> _State:
        look = self.look
        return _State(len(self.match.results), len(look.trail), dict(look.variables), dict(look.roles))

    def _restore(self, state: _State) -> None:
        del self.match.results[state.results :]
        self.look.give_back(state.trail)
        self.look.variables, self.look.roles = dict(state.variables), dict(state.roles)

    def _whole_since(self, state: _State) -> bool:
        return all(one.outcome is not Outcome.MISSING for one in self.match.results[state.results :])

    def _skip(self, item: PlanItem, start: int) -> int:
        self.match.results += [StepResult(step, Outcome.SKIPPED) for step in steps_of(item)]
        return start

    # -- one step

    def _find(self, step: PlanStep, start: int, end: int, certain: bool) -> int | None:
        place = self.look.find(step, start, end, certain)
        if place is None and self.look.work_left < 0 and self.given_up is None:
            self.given_up = step.step
        return place

    def _step(self, step: PlanStep, start: int, end: int) -> int:
        place, found = self._take(step, start, end)
        if place is None:
            if step.optional:
                self.match.results.append(StepResult(step.step, Outcome.SKIPPED))
            else:
                variables = dict(self.look.variables)
                absent = Absent(step.step, Outcome.MISSING, wanted=step, place=start, variables=variables)
                self.match.results.append(absent)
            return start
        message = self.messages[place]
        outcome = Outcome.MATCHED
        if any(map(_fails, found)):
            outcome = Outcome.DIFFERENT
        elif any(one.unseen and one.severity == "violation" for one in found) or self._may_be_another(step, message):
            outcome = Outcome.UNSEEN
        self.match.results.append(StepResult(step.step, outcome, message, found, reason=message.hidden))
        return place + 1

    def _take(self, step: PlanStep, start: int, end: int) -> tuple[int | None, tuple[Difference, ...]]:
        """Use the step's message; where a variable that chooses it was not seen, only one that is as expected."""
        for _ in range(MAX_ATTEMPTS):
            place = self._find(step, start, end, step.optional)
            if place is None:
                break
            variables = self.look.variables
            unsure = step.is_tied and not all(one.is_known(variables) for one in step.where)
            before = self._state() if unsure else None
            self.look.use(step, place)
            found = tuple(self._differences(step, self.messages[place]))
            if before is None or not any(map(_fails, found)):
                return place, found
            self._restore(before)
            start = place + 1
        return None, ()

    def _may_be_another(self, step: PlanStep, message: Message) -> bool:
        return bool(message.hidden) and (
            message.kind != step.kind or any(one.value(message) is None for one in step.where)
        )

    def _differences(self, step: PlanStep, message: Message) -> Iterable[Difference]:
        variables = self.look.variables
        yield from differences(step.expect, message, variables, step.step.clause)
        if step.time is not None:
            named = [one for one in reversed(self.match.results) if one.step.name == step.time.after]
            before = next((one.message for one in named if one.message), None)
            missing = any(one.outcome in (Outcome.MISSING, Outcome.UNSEEN) for one in named)
            late = time_difference(step, message, before, missing, variables)
            if late is not None:
                yield late

    # -- what is missing, early or forbidden

    def _tell_absent(self) -> None:
        """Name the nearest candidates; what a capture that starts in the middle cannot show is unseen."""
        results = self.match.results
        taken = {one.message.frame: one.step.name for one in results if one.message}
        first = next((index for index, one in enumerate(results) if one.message is not None), 0)
        for index, result in enumerate(results):
            if not isinstance(result, Absent):
                continue
            candidate, why = nearest(result, self.look, taken)
            wrong_ends = any(one.condition.field in ("from", "to") for one in why)
            if index < first and (candidate is None or candidate.frame in taken or wrong_ends):
                reason = f"the capture starts later, with frame {self.messages[0].frame}"
                results[index] = StepResult(result.step, Outcome.UNSEEN, reason=reason)
            else:
                results[index] = _plain(replace(result, nearest=candidate, nearest_differences=why))

    def _tell_given_up(self, step: Step) -> None:
        """Nothing is said to be missing that was not searched for to the end."""
        results, reason = self.match.results, "the search was given up: the flow does not suit so many messages"
        missing = [index for index, one in enumerate(results) if one.outcome is Outcome.MISSING]
        for index in missing:
            results[index] = StepResult(results[index].step, Outcome.UNSEEN, reason=reason)
        if not missing:
            results.append(StepResult(step, Outcome.UNSEEN, reason=reason))

    def _forbid(self, wanted: Wanted) -> None:
        prohibition = wanted.item
        assert isinstance(prohibition, Prohibition)
        first, last = 0.0, float("inf")
        if prohibition.after:
            first = max(self._frames(prohibition.after), default=last)
        if prohibition.before:
            last = min(self._frames(prohibition.before), default=0)
        for message in self.look.every(wanted) if first < last else ():
            if first < message.frame < last:
                self.match.results.append(StepResult(prohibition, Outcome.FORBIDDEN, message))

    def _frames(self, name: str) -> list[int]:
        """The frames of a step, or of all steps of a group."""
        names = self.plan.names[name]
        return [one.message.frame for one in self.match.results if one.message and one.step.name in names]


def _fails(one: Difference) -> bool:
    return not one.unseen and one.severity == "violation"


def _plain(result: StepResult) -> StepResult:
    return StepResult(**{one.name: getattr(result, one.name) for one in fields(StepResult)})
