# SPDX-License-Identifier: GPL-2.0-or-later
"""Look for messages in a session: by kind and value, from and to roles.

The work is limited: a flow and a capture that do not suit each other are given up, and that is said, rather than
searched for ever.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

from mn_dsmip.check.flow.compare import Truth, compare, normal
from mn_dsmip.check.flow.plan import HIDDEN, Plan, PlanStep, Wanted, resolve
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session

LEAST_WORK = 200_000  # messages looked at in one session, and besides:
WORK_PER_MESSAGE = 100
CERTAIN = (Truth.YES,)
POSSIBLE = (Truth.YES, Truth.UNKNOWN)


class Look:
    """The messages of a session with what is known of them so far: which are used, variables, who plays which role."""

    def __init__(self, session: Session, plan: Plan, messages: Sequence[Message]) -> None:
        self.session, self.plan, self.messages = session, plan, messages
        self.used = bytearray(len(messages))
        self.trail: list[int] = []  # places in the order in which they were used
        self.variables: dict[str, Value] = {}
        self.roles: dict[str, str] = {}  # played by whoever came first
        self.work_left = LEAST_WORK + WORK_PER_MESSAGE * len(messages)
        self.by_kind: dict[str, list[int]] = defaultdict(list)
        for place, message in enumerate(messages):
            self.by_kind[message.kind].append(place)
        self.by_kind[HIDDEN] = [place for place in self.by_kind.get("esp", ()) if messages[place].hidden]
        self.version = 0  # of what is used and known: what was found stays found as long as it is the same
        self._found: dict[Wanted, tuple[int, int, bool, int, int | None]] = {}
        self._by_value: dict[tuple[str, str], dict[object, list[int]]] = {}
        self._ends: dict[tuple[str, str], bool] = {}  # who is the UE, and who the home agent
        self._declared: dict[str, Value | None] = {}

    # -- finding

    def find(self, wanted: Wanted, start: int, end: int, certain: bool = False) -> int | None:
        """The first place from `start` and before `end` with an unused message that is wanted."""
        known = self._found.get(wanted)
        if known is not None and known[:3] == (self.version, start, certain):
            upto, place = known[3:]
            if end <= upto or place is not None:
                return place if place is not None and place < end else None
        place = self._search(wanted, start, end, CERTAIN if certain else POSSIBLE)
        self._found[wanted] = (self.version, start, certain, end, place)
        return place

    def _search(self, wanted: Wanted, start: int, end: int, good: tuple[Truth, ...]) -> int | None:
        best = None
        for places in self._candidates(wanted):
            index = bisect_left(places, start)
            while index < len(places) and places[index] < end:
                place = places[index]
                if not self.used[place]:
                    self.work_left -= 1
                    if self.work_left < 0:
                        return None
                    if self.selects(wanted, self.messages[place]) in good:
                        best, end = place, place
                        break
                index += 1
        return best

    def every(self, wanted: Wanted) -> Iterator[Message]:
        """All messages that are certainly wanted."""
        for places in self._candidates(wanted):
            for place in places:
                if self.selects(wanted, self.messages[place]) is Truth.YES:
                    yield self.messages[place]

    def _candidates(self, wanted: Wanted) -> list[list[int]]:
        """Places that may hold what is wanted, each list in order."""
        found = []
        if wanted.kind in self.by_kind:
            value = resolve(wanted.key[1], self.variables) if wanted.key else None
            if wanted.key is None or value is None:
                found.append(self.by_kind[wanted.kind])
            else:
                values = self._values(wanted.kind, wanted.key[0])
                found += [values[key] for key in (normal(value), HIDDEN) if key in values]
        if wanted.may_hide and self.by_kind[HIDDEN]:
            found.append(self.by_kind[HIDDEN])
        return found

    def _values(self, kind: str, field: str) -> dict[object, list[int]]:
        """The places of a kind by a field's value; those that do not show it apart."""
        found = self._by_value.get((kind, field))
        if found is None:
            found = self._by_value[kind, field] = defaultdict(list)
            for place in self.by_kind[kind]:
                message = self.messages[place]
                value = message.fields.get(field)
                found[HIDDEN if value is None and message.hidden else normal(value)].append(place)
        return found

    # -- one message

    def selects(self, wanted: Wanted, message: Message) -> Truth:
        """Whether this message is wanted."""
        if not (self.plays(wanted.sender, message.source) and self.plays(wanted.receiver, message.destination)):
            return Truth.NO
        if message.kind != wanted.kind:
            hides = wanted.may_hide and message.kind == "esp" and message.hidden
            return Truth.UNKNOWN if hides else Truth.NO
        truth = Truth.YES
        for condition in wanted.where:
            holds = condition.holds(message, self.variables)
            if holds is Truth.NO:
                return Truth.NO
            if holds is Truth.UNKNOWN:
                truth = holds
        return truth

    # -- roles

    def plays(self, role: str, address: str) -> bool:
        """Whether this is, or may be, the address of a role."""
        if not role:
            return True
        if role in self.plan.declared:
            known = self._address(role)
            return known is not None and compare("in_prefix", address, known) is Truth.YES
        if role in ("ue", "ha"):
            found = self._ends.get((role, address))
            if found is None:
                found = self.session.is_ue(address) if role == "ue" else self.session.is_ha(address)
                self._ends[role, address] = found
            return found
        return self.roles.get(role, address) == address

    def _address(self, role: str) -> Value | None:
        """The address of a role that the flow says how to find; None when it is not there (yet)."""
        if role not in self.plan.found:
            return resolve(self.plan.declared[role], self.variables)
        if role not in self._declared:
            self._declared[role] = None  # a role is not looked for by itself
            wanted, end = self.plan.found[role]
            messages = (one for one in self.session.messages if self.selects(wanted, one) is Truth.YES)
            self._declared[role] = next((end(one) for one in messages), None)
        return self._declared[role]

    def address_of(self, role: str) -> Value | None:
        """Who plays a role, for people; None when that is not known or there are several."""
        if role in self.plan.declared:
            return self._address(role)
        own = {"ue": self.session.care_of, "ha": self.session.home_agent}
        return own.get(role) or self.roles.get(role)

    # -- using a message

    def use(self, step: PlanStep, place: int) -> None:
        """Take a message for a step: bind its roles and variables."""
        message = self.messages[place]
        self.version += 1
        self.used[place] = 1
        self.trail.append(place)
        for role, address in ((step.sender, message.source), (step.receiver, message.destination)):
            if role not in ("", "ue", "ha"):
                self.roles.setdefault(role, address)
        for name, field in step.bind:
            value = message.get(field)
            if value is None:
                self.variables.pop(name, None)
            else:
                self.variables[name] = value

    def give_back(self, trail: int) -> None:
        """Take back what was used after the trail had this length."""
        self.version += 1
        for place in self.trail[trail:]:
            self.used[place] = 0
        del self.trail[trail:]

    def take_again(self, places: Sequence[int]) -> None:
        """Use what was given back."""
        self.version += 1
        for place in places:
            self.used[place] = 1
        self.trail += places
