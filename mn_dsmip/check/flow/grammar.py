# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of flow files, as data: the parser takes from here what may stand where, the JSON Schema is made of it.

`kind` says what a key's value looks like; `schema.KINDS` has the same words.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = 1


class Key(NamedTuple):
    """One key: what its value looks like, what it is for, and whether it must be there."""

    kind: str
    help: str
    required: bool = False


Keys = dict[str, Key]

_CLAUSE = Key("text", "the clause that asks for it")
_MESSAGE = Key("message", "the kind of message", required=True)
_FROM = Key("role", "who sends it")
_TO = Key("role", "who receives it")
_WHERE = Key("fields", "which message is meant: fields with a value or comparisons")
_STEPS = Key("steps", "the steps of the group", required=True)
_OPTIONAL = Key("flag", "whether it may be absent")
_SEVERITY = Key("severity", "what a difference amounts to; only a violation fails")

HEAD: Keys = {
    "version": Key("version", f"of the language: {VERSION}", required=True),
    "name": Key("name", "short, without spaces", required=True),
    "title": Key("text", "what the flow shows, in a line"),
    "description": Key("text", "more about it, for people"),
    "clause": _CLAUSE,
    "roles": Key("roles", "who takes part: a text, or how to find the address in the trace"),
    "attempts": Key("attempts", "last: IKE SAs that led to nothing are left out (default); all: they are matched too"),
    "without_rules": Key("reasons", "rules that do not apply to this flow, each with the reason"),
}
FLOW: Keys = HEAD | {
    "steps": Key("steps", "what is to be seen, in this order", required=True),
    "forbidden": Key("prohibitions", "what must not be seen"),
}
EXTENSION: Keys = HEAD | {
    "extends": Key("text", "another flow file, relative to this one, or the name of a shipped flow", required=True),
    "insert": Key("insertions", "steps to add after or before one of the other flow"),
    "change": Key("changes", "keys to replace, by the name of a step, group or prohibition"),
    "remove": Key("names", "steps, groups and prohibitions to leave out"),
    "forbidden": Key("prohibitions", "what must not be seen, beside what the other flow forbids"),
}
STEP: Keys = {
    "step": Key("name", "the step's name, unique in the flow", required=True),
    "title": Key("text", "what it is, for people"),
    "message": _MESSAGE,
    "from": _FROM,
    "to": _TO,
    "where": _WHERE,
    "expect": Key("fields", "what the message must be like"),
    "bind": Key("bindings", "variables, each with the field it takes its value from"),
    "time": Key("time", "how long after another step it has to come"),
    "optional": _OPTIONAL,
    "clause": _CLAUSE,
}
GROUPS: dict[str, Keys] = {
    "sequence": {"sequence": Key("name", "steps in order", required=True), "steps": _STEPS, "optional": _OPTIONAL},
    "any_order": {
        "any_order": Key("name", "steps in any order", required=True),
        "steps": _STEPS,
        "optional": _OPTIONAL,
    },
    "repeat": {
        "repeat": Key("name", "rounds of steps; only whole rounds count", required=True),
        "steps": _STEPS,
        "min": Key("count", "how many rounds there must be (default 1)"),
        "max": Key("count", "how many rounds there may be (default: any number)"),
        "optional": _OPTIONAL,
    },
    "alternatives": {
        "alternatives": Key("name", "one of several branches", required=True),
        "branches": Key("branches", "lists of steps; the one that fits best is taken", required=True),
        "optional": _OPTIONAL,
    },
}
BRANCH: Keys = {"branch": Key("name", "the branch's name", required=True), "steps": _STEPS}
PROHIBITION: Keys = {
    "never": Key("name", "the prohibition's name, unique in the flow", required=True),
    "message": _MESSAGE,
    "from": _FROM,
    "to": _TO,
    "where": _WHERE,
    "after": Key("step_name", "only after this step or group has been seen"),
    "before": Key("step_name", "only before this step or group is seen"),
    "between": Key("pair", "only after the first and before the second step or group"),
    "clause": _CLAUSE,
}
TIME: Keys = {
    "after": Key("step_name", "the step it is counted from", required=True),
    "within": Key("duration", "not later than this"),
    "at_least": Key("duration", "not sooner than this"),
    "clause": _CLAUSE,
    "severity": _SEVERITY,
}
ROLE: Keys = {
    "title": Key("text", "who it is"),
    "address": Key("addresses", "its address, several, a prefix, or a variable that holds them"),
    "sends": Key("selection", "it is the source of the first such message"),
    "receives": Key("selection", "it is the destination of the first such message"),
}
SELECTION: Keys = {"message": _MESSAGE, "from": _FROM, "to": _TO, "where": _WHERE}
INSERTION: Keys = {
    "after": Key("step_name", "the step or group that the new ones follow"),
    "before": Key("step_name", "the step or group that follows the new ones"),
    "steps": _STEPS,
}
CONDITION: Keys = {"clause": _CLAUSE, "severity": _SEVERITY}  # beside the comparisons
