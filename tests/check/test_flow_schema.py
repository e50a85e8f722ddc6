# SPDX-License-Identifier: GPL-2.0-or-later
"""The schema for editors says what the parser says, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mn_dsmip import resources
from mn_dsmip.check.flow import grammar
from mn_dsmip.check.flow.language import FlowError, parse
from mn_dsmip.check.flow.schema import KINDS, schema, written

FILE = resources.root() / "captures" / "flow.schema.json"
FLOWS = [resources.flow(name) for name in resources.flows()]
HEAD = {"version": 1, "name": "x"}
STEP = {"step": "a", "message": "binding_update"}


def valid(flow: object) -> bool:
    return bool(jsonschema.Draft7Validator(schema()).is_valid(flow))


def flow_of(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "name": "x", "steps": [STEP | step], **more}


def test_file_is_what_the_tables_give() -> None:
    """After a change of the language: python -m mn_dsmip.check.flow.schema > captures/flow.schema.json"""
    assert FILE.read_text() == written()
    assert json.loads(written()) == schema()
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize("file", FLOWS, ids=lambda file: file.parent.name)
def test_shipped_flow_is_valid_and_names_the_schema(file: Path) -> None:
    text = file.read_text()
    jsonschema.validate(yaml.safe_load(text), schema(), jsonschema.Draft7Validator)
    assert "# yaml-language-server: $schema=../flow.schema.json" in text.splitlines()[:3]


def test_every_key_has_a_kind() -> None:
    tables = [value for value in vars(grammar).values() if isinstance(value, dict)]
    keys = [key for table in tables for key in table.values() if isinstance(key, grammar.Key)]
    assert {key.kind for key in keys} <= set(KINDS)
    assert all(key.help for key in keys)


GOOD: list[dict[str, Any]] = [
    flow_of({}),
    flow_of({"where": {"lifetime": {"gt": 0}, "sequence": 1}, "bind": {"s": "sequence"}}),
    flow_of({"expect": {"lifetime": {"le": 3, "clause": "x", "severity": "note"}}}),
    flow_of({"time": {"after": "a", "within": "2 s"}}),
    flow_of({}, roles={"ue": "it", "epdg": {"receives": {"message": "ike_sa_init", "from": "ue"}}}),
    flow_of({}, forbidden=[{"never": "n", "message": "home_test", "between": ["a", "a"]}]),
    flow_of({}) | {"steps": [{"alternatives": "d", "branches": [[STEP], {"branch": "b", "steps": [STEP]}]}]},
    HEAD | {"extends": "initial-attach", "change": {"registration": {"expect": {"protected": None}}}},
]
BAD: list[dict[str, Any]] = [
    flow_of({"nam": "x"}),
    flow_of({"message": "binding_updat"}),
    flow_of({"where": {"lifetim": 1}}),
    flow_of({"where": {"status": 1}}),
    flow_of({"bind": {"s": "sequenc"}}),
    flow_of({"expect": {"lifetime": {"lt": "x"}}}),
    flow_of({"expect": {"lifetime": {"clause": "x"}}}),
    flow_of({"expect": {"lifetime": {"more": 1}}}),
    flow_of({"time": {"after": "a"}}),
    flow_of({"time": {"after": "a", "within": "soon enough"}}),
    flow_of({"optional": "maybe"}),
    flow_of({}, version=2),
    flow_of({}, extends="initial-attach"),
    {"version": 1, "name": "x", "steps": []},
    {"version": 1, "name": "x", "steps": [{"repeat": "r", "min": -1, "steps": [STEP]}]},
    {"version": 1, "name": "x", "steps": [{"sequence": "r", "min": 1, "steps": [STEP]}]},
    {"version": 1, "name": "x"},
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_wrong_is_wrong_for_editor_and_parser(number: int) -> None:
    assert not valid(BAD[number])
    with pytest.raises(FlowError):
        parse(yaml.safe_dump(BAD[number]), Path("x.yaml"))


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_what_is_right_is_right_for_editor_and_parser(number: int) -> None:
    assert valid(GOOD[number])
    if number != 6:  # there a step has the same name in both branches: only the parser knows
        parse(yaml.safe_dump(GOOD[number]), Path("x.yaml"))
