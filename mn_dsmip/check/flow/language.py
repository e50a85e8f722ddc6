# SPDX-License-Identifier: GPL-2.0-or-later
"""Expected flows: a YAML file becomes steps that know their file and line.

version: 1
name: example
title: What the flow shows
roles: {ue: the mobile node, ha: its home agent}
steps:
  - step: binding-update                # a name, unique in the file
    message: binding_update             # a kind out of vocabulary.FIELDS
    from: ue
    to: ha
    where: {lifetime: {gt: 0}}          # which message is meant
    expect:                             # what it must be like
      acknowledge: true
      home_address: {in_prefix: $hnp, clause: "TS 24.303 5.1.2.2"}
    bind: {seq: sequence}               # remember a field as $seq
    clause: "TS 24.303 5.1.2.4"
  - any_order: traffic                  # also: sequence; repeat, of whole rounds (with min, max)
    steps: [...]
forbidden:
  - never: no-route-optimisation
    message: home_test_init             # with where, after and before (names of steps) as needed
    clause: "TS 24.303 4.1"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mn_dsmip.check.flow.vocabulary import FIELDS, OPERATORS, SEVERITIES
from mn_dsmip.check.model import Value

VERSION = 1
MAX_SIZE = 1 << 20  # octets; a flow is written by people
MAX_DEPTH = 24
GROUPS = ("any_order", "sequence", "repeat")


class FlowError(Exception):
    """A flow file is wrong; the message starts with file and line."""

    def __init__(self, file: Path, line: int, text: str) -> None:
        super().__init__(f"{file}:{line}: {text}")


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


@dataclass(frozen=True)
class Group:
    """Steps that belong together: in order, in any order, or repeated."""

    name: str
    kind: str
    members: tuple[Item, ...]
    line: int
    optional: bool = False
    least: int = 1
    most: int = 1


Item = Step | Group


@dataclass(frozen=True)
class Prohibition:
    """A message that must not be seen: never, or after and before certain steps."""

    name: str
    message: str
    line: int
    sender: str = ""
    receiver: str = ""
    where: tuple[Condition, ...] = ()
    after: str = ""
    before: str = ""
    clause: str = ""


@dataclass(frozen=True)
class Flow:
    """A whole expected flow."""

    file: Path
    name: str
    title: str
    roles: dict[str, str]
    steps: tuple[Item, ...]
    forbidden: tuple[Prohibition, ...] = field(default_factory=tuple)


def every_step(items: tuple[Item, ...]) -> Iterator[Step]:
    """All steps in the order of the file, those in groups too."""
    for item in items:
        if isinstance(item, Step):
            yield item
        else:
            yield from every_step(item.members)


def show(value: Value | None) -> str:
    """A value as the report writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(show(item) for item in value) or "nothing"
    return str(value)


def load(file: Path) -> Flow:
    """Read a flow; FlowError names file, line, key and the nearest valid word."""
    try:
        if file.stat().st_size > MAX_SIZE:
            raise FlowError(file, 1, f"is larger than {MAX_SIZE} octets: no flow")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FlowError(file, 1, f"cannot be read: {error}") from error
    return parse(text, file)


def parse(text: str, file: Path) -> Flow:
    """Read a flow out of a text; `file` is for messages."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FlowError(file, mark.line + 1 if mark else 1, f"is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FlowError(file, 1, f"is not YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise FlowError(file, 1, "is empty")
    return _Parser(file).flow(node)


class _Parser:
    """Turns nodes into steps; every error knows its line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.roles: dict[str, str] = {}
        self.names: dict[str, int] = {}
        self.variables: set[str] = set()

    def fail(self, node: Node, text: str) -> FlowError:
        return FlowError(self.file, node.start_mark.line + 1, text)

    def flow(self, node: Node) -> Flow:
        keys = self.mapping(node, "a flow", ("version", "name", "title", "roles", "steps", "forbidden"))
        for key in ("version", "name", "steps"):
            if key not in keys:
                raise self.fail(node, f"a flow needs the key {key!r}")
        version = self.scalar(keys["version"], "version")
        if version != VERSION:
            raise self.fail(keys["version"], f"version: expected {VERSION}, found {show(version)}")
        if "roles" in keys:
            roles = self.mapping(keys["roles"], "roles")
            self.roles = {name: self.word(value, name) for name, value in roles.items()}
        steps = self.items(keys["steps"], "steps", 0)
        if not steps:
            raise self.fail(keys["steps"], "steps: expected at least one step")
        forbidden = [self.prohibition(one) for one in self.sequence(keys.get("forbidden"), "forbidden")]
        title = self.word(keys["title"], "title") if "title" in keys else ""
        return Flow(self.file, self.word(keys["name"], "name"), title, self.roles, steps, tuple(forbidden))

    def items(self, node: Node, key: str, depth: int) -> tuple[Item, ...]:
        if depth > MAX_DEPTH:
            raise self.fail(node, f"{key}: groups are nested more than {MAX_DEPTH} deep")
        return tuple(self.item(one, depth) for one in self.sequence(node, key))

    def item(self, node: Node, depth: int) -> Item:
        kinds = [name for name in GROUPS if name in self.mapping(node, "a step")]
        return self.group(node, kinds[0], depth) if kinds else self.step(node)

    def group(self, node: Node, kind: str, depth: int) -> Group:
        allowed = (kind, "steps", "optional", "min", "max") if kind == "repeat" else (kind, "steps", "optional")
        keys = self.mapping(node, f"a group of the kind {kind}", allowed)
        if "steps" not in keys:
            raise self.fail(node, f"{kind}: a group needs the key 'steps'")
        name = self.name(keys[kind], kind)
        members = self.items(keys["steps"], "steps", depth + 1)
        if not members:
            raise self.fail(keys["steps"], f"{kind} {name!r}: expected at least one step")
        least = self.count(keys["min"], "min") if "min" in keys else 1
        most = self.count(keys["max"], "max") if "max" in keys else max(1000, least)
        if least > most:
            raise self.fail(keys["min"], f"min: {least} is more than max, {most}")
        optional = self.flag(keys, "optional") or least == 0
        return Group(name, kind, members, node.start_mark.line + 1, optional, max(least, 1), most)

    def step(self, node: Node) -> Step:
        allowed = ("step", "message", "from", "to", "where", "expect", "bind", "optional", "clause")
        keys = self.mapping(node, "a step", (*allowed, *GROUPS))
        if "step" not in keys:
            raise self.fail(node, "expected the key 'step' (or, for a group, " + ", ".join(map(repr, GROUPS)) + ")")
        name = self.name(keys["step"], "step")
        message, where = self.selection(node, keys, name)
        expect = self.conditions(keys.get("expect"), "expect", message)
        return Step(
            name,
            message,
            node.start_mark.line + 1,
            self.role(keys, "from"),
            self.role(keys, "to"),
            where,
            expect,
            self.bindings(keys.get("bind"), message),
            self.flag(keys, "optional"),
            self.word(keys["clause"], "clause") if "clause" in keys else "",
        )

    def prohibition(self, node: Node) -> Prohibition:
        keys = self.mapping(
            node, "a prohibition", ("never", "message", "from", "to", "where", "after", "before", "clause")
        )
        if "never" not in keys:
            raise self.fail(node, "expected the key 'never' with a name")
        name = self.name(keys["never"], "never")
        message, where = self.selection(node, keys, name)
        return Prohibition(
            name,
            message,
            node.start_mark.line + 1,
            self.role(keys, "from"),
            self.role(keys, "to"),
            where,
            self.step_name(keys, "after"),
            self.step_name(keys, "before"),
            self.word(keys["clause"], "clause") if "clause" in keys else "",
        )

    def step_name(self, keys: dict[str, Node], key: str) -> str:
        if key not in keys:
            return ""
        name = self.word(keys[key], key)
        self.known(keys[key], name, self.names, f"{key}: there is no step")
        return name

    def selection(self, node: Node, keys: dict[str, Node], name: str) -> tuple[str, tuple[Condition, ...]]:
        if "message" not in keys:
            raise self.fail(node, f"{name!r} needs the key 'message'")
        message = self.word(keys["message"], "message")
        self.known(keys["message"], message, FIELDS, "message: there is no kind")
        return message, self.conditions(keys.get("where"), "where", message)

    def conditions(self, node: Node | None, key: str, message: str) -> tuple[Condition, ...]:
        found = []
        for name, value in self.mapping(node, key).items() if node is not None else ():
            self.known(value, name, FIELDS[message], f"{key}: {message} has no field")
            found.append(self.condition(name, value))
        return tuple(found)

    def condition(self, name: str, node: Node) -> Condition:
        line = node.start_mark.line + 1
        if not isinstance(node, MappingNode):
            return Condition(name, (("is", self.value(node, name)),), line)
        keys = self.mapping(node, name, (*OPERATORS, "clause", "severity"))
        tests = tuple((key, self.value(value, key)) for key, value in keys.items() if key in OPERATORS)
        if "matches" in keys:
            self.pattern(keys["matches"])
        if not tests:
            raise self.fail(node, f"{name}: expected a comparison: {', '.join(OPERATORS)}")
        clause = self.word(keys["clause"], "clause") if "clause" in keys else ""
        severity = self.word(keys["severity"], "severity") if "severity" in keys else "violation"
        self.known(node, severity, SEVERITIES, "severity: expected violation, warning or note, found")
        return Condition(name, tests, line, clause, severity)

    def pattern(self, node: Node) -> None:
        try:
            re.compile(self.word(node, "matches"))
        except (re.error, RecursionError, OverflowError) as error:
            raise self.fail(node, f"matches: is no regular expression: {error}") from error

    def bindings(self, node: Node | None, message: str) -> tuple[tuple[str, str], ...]:
        found = []
        for variable, value in self.mapping(node, "bind").items() if node is not None else ():
            name = self.word(value, variable)
            self.known(value, name, FIELDS[message], f"bind: {message} has no field")
            self.variables.add(variable)
            found.append((variable, name))
        return tuple(found)

    def role(self, keys: dict[str, Node], key: str) -> str:
        if key not in keys:
            return ""
        role = self.word(keys[key], key)
        self.known(keys[key], role, self.roles, f"{key}: there is no role")
        return role

    def name(self, node: Node, key: str) -> str:
        name = self.word(node, key)
        if name in self.names:
            raise self.fail(node, f"{key}: the name {name!r} is taken already, in line {self.names[name]}")
        self.names[name] = node.start_mark.line + 1
        return name

    def value(self, node: Node, key: str) -> Value:
        if isinstance(node, SequenceNode):
            return tuple(self.scalar(one, key) for one in node.value)
        return self.scalar(node, key)

    def scalar(self, node: Node, key: str) -> Value:
        """A truth value, a number (also 0x…) or a word; `$name` must have been bound by an earlier step."""
        if not isinstance(node, ScalarNode):
            raise self.fail(node, f"{key}: expected one value")
        text = str(node.value)
        if node.tag == "tag:yaml.org,2002:bool":
            return text.lower() in ("true", "yes", "on")
        if node.tag == "tag:yaml.org,2002:int":
            try:
                return int(text.replace("_", ""), 0)
            except ValueError:
                raise self.fail(node, f"{key}: expected a number, found {text!r}") from None
        if text.startswith("$"):
            self.known(node, text[1:], self.variables, f"{key}: no earlier step binds the variable")
        return text

    def word(self, node: Node, key: str) -> str:
        if not isinstance(node, ScalarNode) or not str(node.value).strip():
            raise self.fail(node, f"{key}: expected a text")
        return str(node.value)

    def count(self, node: Node, key: str) -> int:
        value = self.scalar(node, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fail(node, f"{key}: expected a number, found {show(value)!r}")
        return value

    def flag(self, keys: dict[str, Node], key: str) -> bool:
        value = self.scalar(keys[key], key) if key in keys else False
        if not isinstance(value, bool):
            raise self.fail(keys[key], f"{key}: expected true or false, found {show(value)!r}")
        return value

    def known(self, node: Node, word: str, words: Iterable[str], text: str) -> None:
        valid = list(words)
        if word not in valid:
            near = get_close_matches(word, valid, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there is: {', '.join(sorted(valid)) or 'none'}"
            raise self.fail(node, f"{text} {word!r}{hint}")

    def sequence(self, node: Node | None, key: str) -> list[Node]:
        if node is None:
            return []
        if not isinstance(node, SequenceNode):
            raise self.fail(node, f"{key}: expected a list")
        return list(node.value)

    def mapping(self, node: Node | None, what: str, allowed: tuple[str, ...] = ()) -> dict[str, Node]:
        if not isinstance(node, MappingNode):
            raise self.fail(node, f"{what}: expected keys with values") if node else AssertionError(what)
        keys: dict[str, Node] = {}
        for key, value in node.value:
            name = self.word(key, what)
            if name in keys:
                raise self.fail(key, f"{what}: the key {name!r} stands twice")
            if allowed:
                self.known(key, name, allowed, f"{what} has no key")
            keys[name] = value
        return keys
