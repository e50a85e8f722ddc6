# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schema of flow files, for editors: made of the tables that the parser reads by.

    python -m mn_dsmip.check.flow.schema > captures/flow.schema.json

What spans several places (names that are unique, variables that an earlier step binds, flows that extend others) only
the parser can tell.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mn_dsmip.check.flow import grammar
from mn_dsmip.check.flow.grammar import Key, Keys
from mn_dsmip.check.flow.vocabulary import FIELDS, OPERATORS, SEVERITIES

Schema = dict[str, Any]  # Any: JSON

DRAFT = "http://json-schema.org/draft-07/schema#"
TEXT: Schema = {"type": ["string", "number"], "pattern": r"\S"}
SCALAR: Schema = {"type": ["string", "number", "boolean"]}
VALUE: Schema = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}
VARIABLE: Schema = {"type": "string", "pattern": r"^\$\S"}
NUMBER: Schema = {"anyOf": [{"type": "integer"}, VARIABLE]}
DURATION = r"^\s*(\d+(\.\d+)?\s*[a-z]*|\$\S+\s+[a-z]+)\s*$"
TYPES: dict[str, Schema] = {  # of the value that a comparison wants; any other takes every value
    **dict.fromkeys(("lt", "le", "gt", "ge", "count"), NUMBER),
    "present": {"type": "boolean"},
    "matches": {"type": ["string", "number"], "format": "regex"},
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _list(of: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": of} | ({"minItems": least} if least else {})


def _named(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


# What a key's value looks like, by the word of `grammar`.
KINDS: dict[str, Schema] = {
    "text": TEXT,
    "name": TEXT,
    "role": TEXT,
    "step_name": TEXT,
    "version": {"const": grammar.VERSION},
    "flag": {"type": "boolean"},
    "count": {"type": "integer", "minimum": 0},
    "severity": {"enum": list(SEVERITIES)},
    "attempts": {"enum": ["last", "all"]},
    "message": {"enum": sorted(FIELDS)},
    "fields": _named(_ref("condition")),
    "bindings": _named(TEXT),
    "reasons": _named(TEXT),
    "names": _list(TEXT),
    "pair": _list(TEXT, 2) | {"maxItems": 2},
    "addresses": {"anyOf": [TEXT, _list(TEXT, 1)]},
    "duration": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION}]},
    "time": _ref("time"),
    "steps": _list(_ref("item"), 1),
    "branches": _list({"anyOf": [_ref("branch"), _list(_ref("item"), 1)]}, 1),
    "roles": _named({"anyOf": [TEXT, _ref("role")]}),
    "selection": _ref("selection"),
    "prohibitions": _list(_ref("prohibition")),
    "insertions": _list(_ref("insertion")),
    "changes": _named({"type": "object"}),
}  # fmt: skip


def schema() -> Schema:
    """The whole schema."""
    branch = [_ref(name) for name in ("step", *grammar.GROUPS)]
    definitions = {
        "condition": {"anyOf": [_condition(), VALUE]},
        "step": _object(grammar.STEP) | _ref_all("words"),
        **{name: _object(keys) for name, keys in grammar.GROUPS.items()},
        "item": _one_of_these(dict(zip(("step", *grammar.GROUPS), branch, strict=True))),
        "branch": _object(grammar.BRANCH),
        "time": _object(grammar.TIME) | {"anyOf": [{"required": ["within"]}, {"required": ["at_least"]}]},
        "role": _object(grammar.ROLE),
        "selection": _object(grammar.SELECTION) | _ref_all("words"),
        "prohibition": _object(grammar.PROHIBITION) | _ref_all("words"),
        "insertion": _object(grammar.INSERTION),
        "words": {"allOf": [_fields_of(kinds, words) for words, kinds in _by_words().items()]},
    }
    return {
        "$schema": DRAFT,
        "title": "Expected flow of mn-dsmip",
        "description": "captures/README.md explains the language.",
        "if": {"required": ["extends"]},
        "then": _object(grammar.EXTENSION),
        "else": _object(grammar.FLOW),
        "definitions": definitions,
    }


def _object(keys: Keys) -> Schema:
    """A mapping with these keys."""
    return {
        "type": "object",
        "properties": {name: _property(key) for name, key in keys.items()},
        "required": [name for name, key in keys.items() if key.required],
        "additionalProperties": False,
    }


def _property(key: Key) -> Schema:
    kind = KINDS[key.kind]
    return {"description": key.help} | ({"allOf": [kind]} if "$ref" in kind else kind)


def _ref_all(name: str) -> Schema:
    return {"allOf": [_ref(name)]}


def _by_words() -> dict[frozenset[str], list[str]]:
    """Kinds of messages with the same fields."""
    found: dict[frozenset[str], list[str]] = {}
    for kind in sorted(FIELDS):
        found.setdefault(FIELDS[kind], []).append(kind)
    return found


def _fields_of(kinds: list[str], words: frozenset[str]) -> Schema:
    """Messages of these kinds have these fields and no others."""
    names = {"enum": sorted(words)}
    told = {"where": {"propertyNames": names}, "expect": {"propertyNames": names}}
    bind = {"additionalProperties": names}
    return {
        "if": {"properties": {"message": {"enum": kinds}}, "required": ["message"]},
        "then": {"properties": told | {"bind": bind}},
    }


def _one_of_these(kinds: dict[str, Schema]) -> Schema:
    """Which one it is, its first key says: an editor can then tell what is wrong with it."""
    made: Schema = {"type": "object", "required": ["step"]}
    for name, of in reversed(kinds.items()):
        made = {"if": {"type": "object", "required": [name]}, "then": of, "else": made}
    return made


def _condition() -> Schema:
    comparisons = {name: TYPES.get(name, VALUE) for name in OPERATORS}
    beside = {name: _property(key) for name, key in grammar.CONDITION.items()}
    return {
        "type": "object",
        "properties": comparisons | beside,
        "additionalProperties": False,
        "anyOf": [{"required": [name]} for name in OPERATORS],
    }


def written() -> str:
    """The schema as the file has it: a line for each definition, so that a change shows."""
    whole = schema()
    lines = [f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in whole["definitions"].items()]
    head = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in whole.items() if name != "definitions"]
    return "{\n" + ",\n".join([*head, '"definitions": {\n' + ",\n".join(lines) + "\n}"]) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(written())
