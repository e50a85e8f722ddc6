# SPDX-License-Identifier: GPL-2.0-or-later
"""From nodes to a flow. What may stand where is in `grammar`; what it means together is checked here."""

from __future__ import annotations

from pathlib import Path

from yaml.nodes import MappingNode, Node, SequenceNode

from mn_dsmip.check.flow.conditions import Conditions
from mn_dsmip.check.flow.elements import (
    UNLIMITED,
    Flow,
    Group,
    Item,
    Prohibition,
    Role,
    Selection,
    Step,
    TimeBound,
    show,
)
from mn_dsmip.check.flow.grammar import BRANCH, FLOW, GROUPS, PROHIBITION, ROLE, SELECTION, STEP, TIME, VERSION
from mn_dsmip.check.flow.nodes import brief, file_of, line_of
from mn_dsmip.check.flow.vocabulary import FIELDS, SEVERITIES

MAX_GROUPS = 24  # in each other
MAX_NAMES = 2000  # steps, groups, prohibitions
MAX_ROUNDS = 1000  # that a flow may demand
FOUND = ("ue", "ha")  # roles that the session knows


class Parser(Conditions):
    """Turns the nodes of one flow, whatever it extends put in already, into a `Flow`."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.roles: dict[str, Role] = {}
        self.names: dict[str, Node] = {}
        self.later: list[tuple[Node, str, str]] = []  # names of steps that are used: node, name, what is said

    def flow(self, node: Node) -> Flow:
        keys = self.keys(node, "a flow", FLOW)
        version = self.scalar(keys["version"], "version")
        if version != VERSION:
            raise self.fail(keys["version"], f"version: expected {VERSION}, found {brief(show(version))[1:-1]}")
        if "roles" in keys:
            self.roles = {name: self.role(name, one) for name, one in self.mapping(keys["roles"], "roles").items()}
        steps = self.items(keys["steps"], "steps", 0)
        if not steps:
            raise self.fail(keys["steps"], "steps: expected at least one step")
        never = self.sequence(keys["forbidden"], "forbidden") if "forbidden" in keys else []
        forbidden = tuple(self.prohibition(one) for one in never)
        self.check_references(keys)
        return Flow(
            self.file,
            self.word(keys["name"], "name"),
            self.text(keys, "title"),
            self.roles,
            steps,
            forbidden,
            description=self.text(keys, "description"),
            clause=self.text(keys, "clause"),
            every_attempt=self.choice(keys, "attempts", ("last", "all")) == "all",
            without_rules=self.reasons(keys),
        )

    def check_references(self, keys: dict[str, Node]) -> None:
        """What names a step or a variable that comes later in the file."""
        for node, name, says in self.later:
            self.known(node, name, self.names, says)
        for name, role in self.roles.items():
            if isinstance(role.address, str) and role.address.startswith("$"):
                node = self.mapping(keys["roles"], "roles")[name]
                self.known(node, role.address[1:], self.variables, "address: no step binds the variable")

    def reasons(self, keys: dict[str, Node]) -> dict[str, str]:
        if "without_rules" not in keys:
            return {}
        return {
            name: self.word(one, name) for name, one in self.mapping(keys["without_rules"], "without_rules").items()
        }

    def choice(self, keys: dict[str, Node], key: str, words: tuple[str, ...]) -> str:
        """One of these words; the first when the key is not there."""
        found = self.text(keys, key) or words[0]
        if found not in words:
            self.known(keys[key], found, words, f"{key}: expected {', '.join(words[:-1])} or {words[-1]}, found")
        return found

    # -- roles

    def role(self, name: str, node: Node) -> Role:
        """A text, or how to find the address."""
        if not isinstance(node, MappingNode):
            return Role(name, self.word(node, name))
        keys = self.keys(node, f"the role {brief(name)}", ROLE)
        ways = [key for key in ("address", "sends", "receives") if key in keys]
        if len(ways) > 1:
            raise self.fail(node, f"the role {brief(name)} is found by only one of {' and '.join(map(repr, ways))}")
        return Role(
            name,
            self.text(keys, "title"),
            self.addresses(keys["address"], "address") if "address" in keys else None,
            self.selected(keys["sends"], "sends") if "sends" in keys else None,
            self.selected(keys["receives"], "receives") if "receives" in keys else None,
        )

    def selected(self, node: Node, key: str) -> Selection:
        keys = self.keys(node, key, SELECTION)
        message, where = self.selection(keys)
        ends = tuple(self.text(keys, end) for end in ("from", "to"))
        for end, role in zip(("from", "to"), ends, strict=True):
            if role:
                self.known(keys[end], role, FOUND, f"{end}: only these are known before the others:")
        return Selection(message, where, *ends)

    def end(self, keys: dict[str, Node], key: str) -> str:
        """The role at one end of a message."""
        if key not in keys:
            return ""
        role = self.word(keys[key], key)
        self.known(keys[key], role, [*self.roles, *FOUND], f"{key}: there is no role")
        return role

    # -- steps and groups

    def items(self, node: Node, key: str, depth: int) -> tuple[Item, ...]:
        if depth > MAX_GROUPS:
            raise self.fail(node, f"{key}: groups are nested more than {MAX_GROUPS} deep")
        return tuple(self.item(one, depth) for one in self.sequence(node, key))

    def item(self, node: Node, depth: int) -> Item:
        kinds = [name for name in GROUPS if name in self.mapping(node, "a step")]
        if not kinds:
            return self.step(node)
        return self.group(node, kinds[0], depth)

    def group(self, node: Node, kind: str, depth: int) -> Group:
        keys = self.keys(node, f"a group of the kind {kind}", GROUPS[kind])
        name = self.name(keys[kind], kind)
        if kind == "alternatives":
            members = self.branches(keys["branches"], name, depth + 1)
        else:
            members = self.items(keys["steps"], "steps", depth + 1)
        if not members:
            raise self.fail(node, f"{kind} {brief(name)}: expected at least one step")
        least = self.count(keys["min"], "min") if "min" in keys else 1
        most = self.count(keys["max"], "max") if "max" in keys else UNLIMITED
        if least > most:
            raise self.fail(keys["min"], f"min: {least} is more than max, {most}")
        if least > MAX_ROUNDS or most == 0:
            raise self.fail(keys["min" if least > MAX_ROUNDS else "max"], f"expected a number from 1 to {MAX_ROUNDS}")
        optional = self.flag(keys, "optional") or least == 0
        return Group(name, kind, members, line_of(node), optional, max(least, 1), most, file_of(node))

    def branches(self, node: Node, name: str, depth: int) -> tuple[Item, ...]:
        """Each branch is a sequence of its own."""
        return tuple(
            self.branch(one, f"{name} ({number})", depth)
            for number, one in enumerate(self.sequence(node, "branches"), 1)
        )

    def branch(self, node: Node, name: str, depth: int) -> Group:
        steps = node
        if isinstance(node, MappingNode):
            keys = self.keys(node, "a branch", BRANCH)
            name, steps = self.name(keys["branch"], "branch"), keys["steps"]
        elif not isinstance(node, SequenceNode):
            raise self.fail(node, "branches: expected a list of steps, or the keys 'branch' and 'steps'")
        members = self.items(steps, "branches", depth + 1)
        if not members:
            raise self.fail(node, "branches: expected at least one step in each")
        return Group(name, "sequence", members, line_of(node), file=file_of(node))

    def step(self, node: Node) -> Step:
        if "step" not in self.mapping(node, "a step", (*STEP, *GROUPS)):
            raise self.fail(node, "expected the key 'step' (or, for a group, " + ", ".join(map(repr, GROUPS)) + ")")
        keys = self.keys(node, "a step", STEP)
        name = self.name(keys["step"], "step")
        message, where = self.selection(keys)
        time = self.time(keys["time"]) if "time" in keys else None
        return Step(
            name,
            message,
            line_of(node),
            self.end(keys, "from"),
            self.end(keys, "to"),
            where,
            self.conditions(keys.get("expect"), "expect", message),
            self.bindings(keys["bind"], message) if "bind" in keys else (),
            self.flag(keys, "optional"),
            self.text(keys, "clause"),
            time,
            self.text(keys, "title"),
            file_of(node),
        )

    def time(self, node: Node) -> TimeBound:
        keys = self.keys(node, "time", TIME)
        if "within" not in keys and "at_least" not in keys:
            raise self.fail(node, "time: expected 'within' or 'at_least'")
        within, least = (self.duration(keys[key], key) if key in keys else None for key in ("within", "at_least"))
        severity = self.choice(keys, "severity", SEVERITIES)
        return TimeBound(
            self.step_name(keys, "after"), line_of(node), within, least, self.text(keys, "clause"), severity
        )

    def bindings(self, node: Node, message: str) -> tuple[tuple[str, str], ...]:
        found = []
        for variable, value in self.mapping(node, "bind").items():
            name = self.word(value, variable)
            self.known(value, name, FIELDS[message], f"bind: {message} has no field")
            self.variables.add(variable)
            found.append((variable, name))
        return tuple(found)

    def name(self, node: Node, key: str) -> str:
        name = self.word(node, key)
        if len(self.names) >= MAX_NAMES:
            raise self.fail(node, f"{key}: a flow has at most {MAX_NAMES} steps, groups and prohibitions")
        if name in self.names:
            first = self.names[name]
            where = "" if file_of(first) == file_of(node) else f" of {file_of(first)}"
            raise self.fail(node, f"{key}: the name {brief(name)} is taken already, in line {line_of(first)}{where}")
        self.names[name] = node
        return name

    # -- prohibitions

    def prohibition(self, node: Node) -> Prohibition:
        keys = self.keys(node, "a prohibition", PROHIBITION)
        name = self.name(keys["never"], "never")
        message, where = self.selection(keys)
        after, before = self.step_name(keys, "after"), self.step_name(keys, "before")
        if "between" in keys:
            if after or before:
                raise self.fail(keys["between"], "between: cannot stand beside 'after' or 'before'")
            after, before = self.pair(keys["between"])
        return Prohibition(
            name,
            message,
            line_of(node),
            self.end(keys, "from"),
            self.end(keys, "to"),
            where,
            after,
            before,
            self.text(keys, "clause"),
            file_of(node),
        )

    def pair(self, node: Node) -> tuple[str, str]:
        names = [self.word(one, "between") for one in self.sequence(node, "between")]
        if len(names) != 2:
            raise self.fail(node, "between: expected the names of two steps")
        self.later += [(node, name, "between: there is no step") for name in names]
        return names[0], names[1]

    def step_name(self, keys: dict[str, Node], key: str) -> str:
        name = self.text(keys, key)
        if name:
            self.later.append((keys[key], name, f"{key}: there is no step"))
        return name
