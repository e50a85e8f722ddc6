# SPDX-License-Identifier: GPL-2.0-or-later
"""A flow made ready for matching, once: its conditions as functions, its steps with what they are looked up by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mn_dsmip.check.flow.compare import Test, Truth, compare, test_of
from mn_dsmip.check.flow.elements import (
    Condition,
    Flow,
    Group,
    Item,
    Prohibition,
    Selection,
    Step,
    every_group,
    every_step,
)
from mn_dsmip.check.model import Message, Value, flatten

ENDS = ("source", "destination")  # fields that every message has beside the others
HIDDEN = "hidden esp"  # the kind under which packets are indexed that may be any mobility signalling
Variables = Mapping[str, Value]


def resolve(wanted: Value, variables: Variables) -> Value | None:
    """A value with variables filled in; None when one is not known."""
    if isinstance(wanted, str) and wanted.startswith("$"):
        return variables.get(wanted[1:])
    if isinstance(wanted, tuple):
        found = [resolve(one, variables) for one in wanted]
        return None if None in found else tuple(one for one in found if one is not None)
    return wanted


class Ready:
    """One condition: what holds of every message by constant values, and what depends on variables."""

    __slots__ = ("condition", "constant", "field", "is_end", "variable")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.field = condition.field
        self.is_end = condition.field in ENDS
        self.constant: tuple[Test, ...] = tuple(test_of(*one) for one in condition.tests if not has_variable(one[1]))
        self.variable = tuple(one for one in condition.tests if has_variable(one[1]))

    def value(self, message: Message) -> Value | None:
        return getattr(message, self.field) if self.is_end else message.fields.get(self.field)

    def is_known(self, variables: Variables) -> bool:
        """Whether all its variables are."""
        return all(resolve(wanted, variables) is not None for _, wanted in self.variable)

    def holds(self, message: Message, variables: Variables) -> Truth:
        """UNKNOWN when the message does not show the field; a variable that is not known is no obstacle."""
        actual = self.value(message)
        if actual is None and message.hidden:
            return Truth.UNKNOWN
        for test in self.constant:
            if not test(actual):
                return Truth.NO
        for operator, wanted in self.variable:
            value = resolve(wanted, variables)
            if value is not None and compare(operator, actual, value) is Truth.NO:
                return Truth.NO
        return Truth.YES


def has_variable(wanted: Value) -> bool:
    return any(isinstance(one, str) and one.startswith("$") for one in flatten(wanted))


class Wanted:
    """What a step, a prohibition or a role looks for: kind, ends, conditions, and the field to look it up by."""

    __slots__ = ("item", "key", "kind", "may_hide", "receiver", "sender", "where")

    def __init__(self, item: Step | Prohibition | Selection) -> None:
        self.item = item
        self.kind, self.sender, self.receiver = item.message, item.sender, item.receiver
        self.where = tuple(Ready(one) for one in item.where)
        self.key = _key(item.where)
        # an ESP packet that does not open may be any mobility signalling
        self.may_hide = isinstance(item, Step) and item.message.startswith("binding_")


def _key(where: tuple[Condition, ...]) -> tuple[str, Value] | None:
    """A field that has to be one certain value; a variable's is the best: it tells messages of one kind apart."""
    found = [
        (one.field, wanted)
        for one in where
        for operator, wanted in one.tests
        if operator == "is" and not isinstance(wanted, tuple) and one.field not in ENDS
    ]
    found.sort(key=lambda one: not has_variable(one[1]))
    return found[0] if found else None


class PlanStep(Wanted):
    """A step with all its conditions ready."""

    __slots__ = ("bind", "expect", "is_tied", "optional", "step", "time")

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.step = step
        self.expect = tuple(Ready(one) for one in step.expect)
        self.is_tied = any(one.variable for one in self.where)
        self.optional, self.bind, self.time = step.optional, step.bind, step.time


class PlanGroup:
    """A group with its members ready."""

    __slots__ = ("group", "kind", "members", "optional", "steps")

    def __init__(self, group: Group) -> None:
        self.group, self.kind, self.optional = group, group.kind, group.optional
        self.members: tuple[PlanItem, ...] = tuple(_ready(one) for one in group.members)
        self.steps: tuple[Step, ...] = tuple(one for member in self.members for one in steps_of(member))


PlanItem = PlanStep | PlanGroup
Found = Callable[[Message], str]


@dataclass(frozen=True)
class Plan:
    """A flow made ready."""

    flow: Flow
    items: tuple[PlanItem, ...]
    forbidden: tuple[Wanted, ...]
    declared: dict[str, Value]  # roles that the flow says how to find: an address, or "" where a message shows it
    found: dict[str, tuple[Wanted, Found]]  # that message, and which end of it the role is
    names: dict[str, frozenset[str]]  # the steps of each step and group


def steps_of(item: PlanItem) -> tuple[Step, ...]:
    return (item.step,) if isinstance(item, PlanStep) else item.steps


def _ready(item: Item) -> PlanItem:
    return PlanStep(item) if isinstance(item, Step) else PlanGroup(item)


@lru_cache(maxsize=16)
def plan_of(flow: Flow) -> Plan:
    """The plan of a flow, made when it is first asked for."""
    found: dict[str, tuple[Wanted, Found]] = {}
    for name, role in flow.roles.items():
        if role.sends:
            found[name] = Wanted(role.sends), lambda message: message.source
        elif role.receives:
            found[name] = Wanted(role.receives), lambda message: message.destination
    roles = flow.roles.values()
    declared: dict[str, Value] = {one.name: one.address or "" for one in roles if one.address or one.name in found}
    names = {one.name: frozenset([one.name]) for one in every_step(flow.steps)}
    names |= {one.name: frozenset(step.name for step in every_step((one,))) for one in every_group(flow.steps)}
    items, forbidden = tuple(map(_ready, flow.steps)), tuple(map(Wanted, flow.forbidden))
    return Plan(flow, items, forbidden, declared, found, names)
