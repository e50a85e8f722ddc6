# SPDX-License-Identifier: GPL-2.0-or-later
"""Conditions on fields, as they stand in flow files: values, comparisons, variables, durations."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

from yaml.nodes import MappingNode, Node, SequenceNode

from mn_dsmip.check.flow.elements import Condition, Duration, show
from mn_dsmip.check.flow.grammar import CONDITION
from mn_dsmip.check.flow.nodes import Values, brief, line_of
from mn_dsmip.check.flow.pattern import PatternError, pattern
from mn_dsmip.check.flow.vocabulary import FIELDS, OPERATORS, SEVERITIES, UNITS
from mn_dsmip.check.model import Value, flatten

NUMBERS = ("lt", "le", "gt", "ge", "count")
DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>[a-z]*)|\$(?P<variable>\S+)\s+(?P<of>[a-z]+)")


class Conditions(Values):
    """Reads conditions; knows the variables that steps have bound so far."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.variables: set[str] = set()

    def selection(self, keys: dict[str, Node]) -> tuple[str, tuple[Condition, ...]]:
        """The kind of message and the conditions that choose it."""
        message = self.word(keys["message"], "message")
        self.known(keys["message"], message, FIELDS, "message: there is no kind")
        return message, self.conditions(keys.get("where"), "where", message)

    def conditions(self, node: Node | None, key: str, message: str) -> tuple[Condition, ...]:
        if node is None:
            return ()
        found = []
        for name, value in self.mapping(node, key).items():
            self.known(value, name, FIELDS[message], f"{key}: {message} has no field")
            found.append(self.condition(name, value))
        return tuple(found)

    def condition(self, name: str, node: Node) -> Condition:
        """A value alone means that the field is that value."""
        line = line_of(node)
        if not isinstance(node, MappingNode):
            return Condition(name, (("is", self.value(node, name)),), line)
        keys = self.mapping(node, name, (*OPERATORS, *CONDITION))
        tests = tuple((key, self.wanted(value, key)) for key, value in keys.items() if key in OPERATORS)
        if not tests:
            raise self.fail(node, f"{name}: expected a comparison: {', '.join(OPERATORS)}")
        severity = self.text(keys, "severity") or SEVERITIES[0]
        if severity not in SEVERITIES:
            says = "severity: expected violation, warning or note, found"
            self.known(keys["severity"], severity, SEVERITIES, says)
        return Condition(name, tests, line, self.text(keys, "clause"), severity)

    def wanted(self, node: Node, operator: str) -> Value:
        """What a field is compared with: of the type that the comparison works on."""
        value = self.value(node, operator)
        if is_variable(value) and operator == "matches":
            raise self.fail(
                node, f"matches: the variable {value} is no regular expression; compare it with is or one_of"
            )
        if is_variable(value):
            return value
        if operator in NUMBERS and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.fail(node, f"{operator}: expected a number, found {brief(show(value))}")
        if operator == "present" and not isinstance(value, bool):
            raise self.fail(node, f"present: expected true or false, found {brief(show(value))}")
        if operator == "matches":
            self.pattern(node)
        if operator == "in_prefix":
            self.networks(node, operator, value)
        return value

    def pattern(self, node: Node) -> None:
        try:
            pattern(self.word(node, "matches"))
        except (re.error, RecursionError, OverflowError) as error:
            raise self.fail(node, f"matches: is no regular expression: {error}") from error
        except PatternError as error:
            raise self.fail(node, f"matches: {error}") from error

    def networks(self, node: Node, key: str, value: Value) -> None:
        for one in flatten(value):
            if not is_variable(one) and not is_network(str(one)):
                raise self.fail(node, f"{key}: expected an address or a prefix, found {brief(show(one))}")

    def addresses(self, node: Node, key: str) -> Value:
        """Addresses and prefixes, or a variable, which may be bound later."""
        if isinstance(node, SequenceNode):
            value: Value = tuple(self.word(one, key) for one in node.value)
        else:
            value = self.word(node, key)
        self.networks(node, key, value)
        return value

    def value(self, node: Node, key: str) -> Value:
        """One value or a list; `$name` must have been bound by an earlier step."""
        if not isinstance(node, SequenceNode):
            return self.bound(node, key)
        return tuple(self.bound(one, key) for one in node.value)

    def bound(self, node: Node, key: str) -> Value:
        value = self.scalar(node, key)
        if is_variable(value):
            self.variable(node, str(value)[1:], key)
        return value

    def variable(self, node: Node, name: str, key: str) -> None:
        self.known(node, name, self.variables, f"{key}: no earlier step binds the variable")

    def duration(self, node: Node, key: str) -> Duration:
        """`2 s`, `500 ms`, `1.5` (seconds), or a variable with a unit: `$granted units` of a lifetime."""
        text = self.word(node, key)
        found = DURATION.fullmatch(text.strip())
        if found is None:
            raise self.fail(node, f"{key}: expected a time such as '2 s' or '$granted units', found {brief(text)}")
        unit = found["unit"] or found["of"] or "s"
        self.known(node, unit, UNITS, f"{key}: there is no unit of time")
        if found["variable"]:
            self.variable(node, found["variable"], key)
            return Duration(text, UNITS[unit], found["variable"])
        written = text if found["unit"] else f"{text} s"
        return Duration(written, float(found["number"]) * UNITS[unit])


def is_variable(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("$")


def is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
