# SPDX-License-Identifier: GPL-2.0-or-later
"""The YAML of flow files: a text becomes nodes that know their file and line, and values are taken from them.

Aliases are refused: a flow is written out, and a file of a few lines cannot grow to millions of nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mn_dsmip.check.flow.elements import FlowError, show
from mn_dsmip.check.flow.grammar import Keys
from mn_dsmip.check.model import Value

MAX_SIZE = 1 << 18  # octets; a flow is written by people
MAX_DEPTH = 64  # of nodes: 24 groups in each other and what is in them
LARGEST = 1 << 128  # no field is larger
MANY = 500  # words that are compared with a wrong one
LONGEST = 60  # characters of a wrong word that an error repeats


class _Loader(yaml.SafeLoader):
    """Composes nodes of a limited depth, without aliases."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # not in the stubs
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read", problem_mark=self.mark(event))
        self.depth += 1
        if self.depth > MAX_DEPTH:
            problem = f"nested more than {MAX_DEPTH} deep"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.mark(event))
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    @staticmethod
    def mark(event: yaml.Event) -> yaml.Mark | None:
        return event.start_mark if isinstance(event.start_mark, yaml.Mark) else None


def read(file: Path) -> str:
    """The text of a flow file; FlowError when there is none."""
    try:
        if file.is_file() and file.stat().st_size > MAX_SIZE:
            raise FlowError(file, 1, f"is larger than {MAX_SIZE} octets: no flow")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FlowError(file, 1, f"cannot be read: {error}") from error


def compose(text: str, file: Path) -> Node:
    """The nodes of a text; FlowError names file and line."""
    if len(text) > MAX_SIZE:
        raise FlowError(file, 1, f"is larger than {MAX_SIZE} octets: no flow")
    try:
        loader = _Loader(text)
        loader.name = str(file)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FlowError(file, mark.line + 1 if mark else 1, f"is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FlowError(file, 1, f"is not YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise FlowError(file, 1, "is empty")
    return node


def line_of(node: Node) -> int:
    """The line in its file, from 1."""
    return int(node.start_mark.line) + 1


def file_of(node: Node) -> Path:
    return Path(node.start_mark.name)


def is_null(node: Node) -> bool:
    """`~`, `null`, or nothing at all."""
    return isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class Values:
    """Takes values from nodes; every error knows its file and line. `file` is the one the user asked for."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def fail(self, node: Node, text: str) -> FlowError:
        where = file_of(node)
        because = "" if where == self.file else f" (read for {self.file}, which extends it)"
        return FlowError(where, line_of(node), text + because)

    def keys(self, node: Node, what: str, allowed: Keys) -> dict[str, Node]:
        """A mapping with these keys and no others, and with those that must be there."""
        found = self.mapping(node, what, tuple(allowed))
        for name, key in allowed.items():
            if key.required and name not in found:
                raise self.fail(node, f"{what} needs the key {name!r}")
        return found

    def mapping(self, node: Node, what: str, allowed: Iterable[str] = ()) -> dict[str, Node]:
        if not isinstance(node, MappingNode):
            raise self.fail(node, f"{what}: expected keys with values")
        valid, keys = tuple(allowed), dict[str, Node]()
        for key, value in node.value:
            name = self.word(key, what)
            if name in keys:
                raise self.fail(key, f"{what}: the key {brief(name)} stands twice")
            if valid:
                self.known(key, name, valid, f"{what} has no key")
            keys[name] = value
        return keys

    def sequence(self, node: Node, key: str) -> list[Node]:
        if not isinstance(node, SequenceNode):
            raise self.fail(node, f"{key}: expected a list")
        return list(node.value)

    def word(self, node: Node, key: str) -> str:
        if not isinstance(node, ScalarNode) or not str(node.value).strip():
            raise self.fail(node, f"{key}: expected a text")
        return str(node.value)

    def scalar(self, node: Node, key: str) -> Value:
        """A truth value, a number (also 0x…) or a word."""
        if not isinstance(node, ScalarNode):
            raise self.fail(node, f"{key}: expected one value")
        text = str(node.value)
        if is_null(node):
            raise self.fail(node, f"{key}: expected a value")
        if node.tag == "tag:yaml.org,2002:bool":
            return text.lower() in ("true", "yes", "on")
        if node.tag == "tag:yaml.org,2002:int":
            return self.integer(node, text, key)
        return text

    def integer(self, node: Node, text: str, key: str) -> int:
        try:
            number = int(text.replace("_", ""), 0) if len(text) < LONGEST else LARGEST
        except ValueError:
            raise self.fail(node, f"{key}: expected a number, found {brief(text)}") from None
        if abs(number) >= LARGEST:
            raise self.fail(node, f"{key}: the number {brief(text)} is larger than any field")
        return number

    def count(self, node: Node, key: str) -> int:
        value = self.scalar(node, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fail(node, f"{key}: expected a number, found {brief(show(value))}")
        return value

    def flag(self, keys: dict[str, Node], key: str) -> bool:
        value = self.scalar(keys[key], key) if key in keys else False
        if not isinstance(value, bool):
            raise self.fail(keys[key], f"{key}: expected true or false, found {brief(show(value))}")
        return value

    def text(self, keys: dict[str, Node], key: str) -> str:
        return self.word(keys[key], key) if key in keys else ""

    def known(self, node: Node, word: str, words: Collection[str], text: str) -> None:
        """FlowError with the nearest valid word unless this is one."""
        if word not in words:
            valid = sorted(words)[:MANY]
            near = get_close_matches(word[:LONGEST], valid, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there is: {', '.join(valid) or 'none'}"
            raise self.fail(node, f"{text} {brief(word)}{hint}")


def brief(text: str) -> str:
    """A wrong word in quotes, and not too long."""
    return repr(text if len(text) <= LONGEST else text[:LONGEST] + "...")
