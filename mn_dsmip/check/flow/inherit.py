# SPDX-License-Identifier: GPL-2.0-or-later
"""Flows that say only what differs from another one: its nodes, with steps inserted, changed and removed.

First `insert`, in the order of the list, then `change`, then `remove`. Every node keeps its own file and line. In
`change`, `expect`, `where` and `bind` are changed field by field, everything else is replaced; `~` takes a key away.
A group of which nothing is left goes, too.
"""

from __future__ import annotations

from pathlib import Path

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mn_dsmip import resources
from mn_dsmip.check.flow.elements import FlowError
from mn_dsmip.check.flow.grammar import EXTENSION, GROUPS, HEAD, INSERTION
from mn_dsmip.check.flow.nodes import Values, compose, is_null, read

MAX_CHAIN = 8  # flows that extend each other
MAX_EDITS = 200  # insertions, changes and removals; a flow with more had better be written out
NAMING = ("step", "never", "branch", *GROUPS)  # keys that hold a name
FIELDWISE = ("where", "expect", "bind", "roles", "without_rules")


def whole(node: Node, file: Path) -> Node:
    """A flow's nodes with everything that it extends; FlowError when that cannot be had."""
    return _whole(node, file, file, (file.resolve(),))


def _whole(node: Node, file: Path, asked: Path, chain: tuple[Path, ...]) -> Node:
    if not isinstance(node, MappingNode) or not any(key.value == "extends" for key, _ in node.value):
        return node
    values = Values(asked)
    keys = values.keys(node, "a flow that extends another", EXTENSION)
    base = _base(values, keys["extends"], file)
    if base.resolve() in chain:
        way = " -> ".join(one.parent.name + "/" + one.name for one in (*chain, base.resolve()))
        raise values.fail(keys["extends"], f"extends: the flows extend each other: {way}")
    if len(chain) >= MAX_CHAIN:
        raise values.fail(keys["extends"], f"extends: more than {MAX_CHAIN} flows in a row")
    try:
        text = read(base)
    except FlowError as error:
        raise values.fail(keys["extends"], f"extends: {error}") from error
    inherited = _whole(compose(text, base), base, asked, (*chain, base.resolve()))
    return _Editor(values, inherited).edited(node, keys)


def _base(values: Values, node: Node, file: Path) -> Path:
    """A shipped flow's name, or a path from the file."""
    named = values.word(node, "extends")
    shipped = resources.flows()
    if named in shipped:
        return resources.flow(named)
    path = file.parent / named
    try:
        if path.is_file():
            return _tidy(path)
    except (OSError, ValueError):
        pass  # no name of a file at all
    if "/" in named or named.endswith((".yaml", ".yml")):
        raise values.fail(node, f"extends: there is no file {path}")
    values.known(node, named, shipped, "extends: there is no file and no shipped flow")
    raise AssertionError(named)


def _tidy(path: Path) -> Path:
    """Without the way down and up again, when it stays below where the user stands."""
    resolved = path.resolve()
    try:
        return resolved.relative_to(Path.cwd())
    except ValueError:
        return resolved


class _Editor:
    """Edits the nodes of a flow; they are its own, read for this purpose."""

    def __init__(self, values: Values, base: Node) -> None:
        self.values = values
        if not isinstance(base, MappingNode):
            raise values.fail(base, "a flow: expected keys with values")
        self.base = base

    def edited(self, node: MappingNode, keys: dict[str, Node]) -> Node:
        values = self.values
        edits = [len(keys[key].value) for key in ("insert", "change", "remove") if key in keys]
        if sum(edits) > MAX_EDITS:
            raise values.fail(node, f"more than {MAX_EDITS} changes: write the flow out")
        head = {key: value for key, value in keys.items() if key in HEAD}
        self.replace(self.base, _only(node, head))
        for one in values.sequence(keys["insert"], "insert") if "insert" in keys else ():
            self.insert(one)
        for name, change in (values.mapping(keys["change"], "change") if "change" in keys else {}).items():
            self.change(name, change)
        for one in values.sequence(keys["remove"], "remove") if "remove" in keys else ():
            self.remove(one)
        for key, value in self.base.value:
            if key.value == "steps":
                _prune(value)
        if "forbidden" in keys:
            values.sequence(keys["forbidden"], "forbidden")
            self.forbid(node, keys["forbidden"])
        return self.base

    def insert(self, node: Node) -> None:
        keys = self.values.keys(node, "insert", INSERTION)
        places = [key for key in ("after", "before") if key in keys]
        if len(places) != 1:
            raise self.values.fail(node, "insert: expected either 'after' or 'before', with the name of a step")
        parent, index = self.find(keys[places[0]], self.values.word(keys[places[0]], places[0]), places[0])
        index += places[0] == "after"
        parent.value[index:index] = self.values.sequence(keys["steps"], "steps")

    def change(self, name: str, node: Node) -> None:
        parent, index = self.find(node, name, "change")
        changed = parent.value[index]
        if isinstance(changed, MappingNode):
            self.values.mapping(node, f"change of {name!r}")
            self.replace(changed, node)

    def remove(self, node: Node) -> None:
        parent, index = self.find(node, self.values.word(node, "remove"), "remove")
        del parent.value[index]

    def forbid(self, node: MappingNode, more: Node) -> None:
        for key, value in self.base.value:
            if key.value == "forbidden" and isinstance(value, SequenceNode):
                value.value += more.value
                return
        self.base.value += [(key, value) for key, value in node.value if key.value == "forbidden"]

    def find(self, node: Node, name: str, key: str) -> tuple[SequenceNode, int]:
        """The list that holds the step, group, branch or prohibition of this name, and its place there."""
        names: list[str] = []
        pending: list[Node] = [value for at, value in self.base.value if at.value in ("steps", "forbidden")]
        while pending:
            lists = pending.pop()
            if not isinstance(lists, SequenceNode):
                continue
            for index, one in enumerate(lists.value):
                names += (own := _names(one))
                if name in own:
                    return lists, index
                pending += [one] if isinstance(one, SequenceNode) else _inner(one)
        self.values.known(node, name, names, f"{key}: the flow that is extended has no step")
        raise AssertionError(name)

    def replace(self, old: MappingNode, new: Node) -> None:
        """Put the keys of one mapping into another."""
        for key, value in new.value if isinstance(new, MappingNode) else ():
            own = next((index for index, (at, _) in enumerate(old.value) if at.value == key.value), None)
            if is_null(value):
                self.values.known(key, str(key.value), [str(at.value) for at, _ in old.value], "nothing to take away:")
                old.value = [pair for index, pair in enumerate(old.value) if index != own]
            elif own is None:
                old.value.append((key, value))
            elif key.value in FIELDWISE and isinstance(old.value[own][1], MappingNode):
                self.values.mapping(value, str(key.value))
                self.replace(old.value[own][1], value)
            else:
                old.value[own] = (key, value)


def _names(node: Node) -> list[str]:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return [str(value.value) for key, value in pairs if key.value in NAMING and isinstance(value, ScalarNode)]


def _prune(node: Node) -> None:
    """Groups and branches of which nothing is left go, too."""
    if not isinstance(node, SequenceNode):
        return
    for one in list(node.value):
        inner = [one] if isinstance(one, SequenceNode) else _inner(one)
        for steps in inner:
            _prune(steps)
        if inner and all(isinstance(steps, SequenceNode) and not steps.value for steps in inner):
            node.value.remove(one)


def _inner(node: Node) -> list[Node]:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return [value for key, value in pairs if key.value in ("steps", "branches")]


def _only(node: MappingNode, keys: dict[str, Node]) -> MappingNode:
    kept = [(key, value) for key, value in node.value if key.value in keys]
    return MappingNode(node.tag, kept, node.start_mark, node.end_mark)
