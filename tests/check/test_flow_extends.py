# SPDX-License-Identifier: GPL-2.0-or-later
"""Flows that extend others: what becomes of the steps, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip import resources
from mn_dsmip.check.flow.language import Flow, FlowError, Step, every_step, load, parse
from mn_dsmip.check.flow.nodes import MAX_SIZE

BASE = """\
version: 1
name: base
title: the base
roles: {ue: it, dns: the server}
steps:
  - step: query
    message: dns
    to: dns
    where: {response: false, type: AAAA}
    expect: {rcode: 0, name: {present: true}}
    bind: {name: name}
  - any_order: discovery
    steps:
      - step: answer
        message: dns
        where: {response: true}
        expect: {name: $name}
  - alternatives: ways
    branches:
      - branch: one
        steps: [{step: first, message: binding_update}]
      - [{step: second, message: binding_error}]
forbidden:
  - {never: error, message: binding_error, after: query}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "flow.yaml").write_text(BASE)
    (tmp_path / "new").mkdir()
    return tmp_path


def extended(folder: Path, text: str, extends: str = "../base/flow.yaml") -> Flow:
    file = folder / "new" / "flow.yaml"
    file.write_text(f"version: 1\nname: new\nextends: {extends}\n{text}")
    return load(file)


def names(flow: Flow) -> list[str]:
    return [one.name for one in every_step(flow.steps)]


def test_nothing_changed_is_the_same(folder: Path) -> None:
    flow = extended(folder, "")
    assert (flow.name, flow.title, names(flow)) == ("new", "the base", ["query", "answer", "first", "second"])
    assert [one.name for one in flow.forbidden] == ["error"]
    assert flow.file == folder / "new" / "flow.yaml"
    step = next(every_step(flow.steps))
    assert step.file.resolve() == folder / "base" / "flow.yaml"
    assert step.line == 6


def test_insert_change_and_remove(folder: Path) -> None:
    flow = extended(
        folder,
        """\
title: other
roles: {ha: the agent}
insert:
  - after: answer
    steps: [{step: more, message: dns, expect: {name: $name}}]
  - before: query
    steps: [{step: start, message: router_advertisement}]
  - after: start
    steps: [{step: then, message: router_advertisement}]
  - {after: first, steps: [{step: third, message: binding_update, from: ha}]}
change:
  query: {expect: {rcode: 3, name: ~}, optional: true, where: {type: A}, bind: {number: id}}
  error: {clause: RFC 0}
remove: [answer, second]
forbidden:
  - {never: other, message: home_test, between: [more, third]}
""",
    )
    # the branch that `second` stood in goes with it
    assert names(flow) == ["start", "then", "query", "more", "first", "third"]


def test_change_is_by_field(folder: Path) -> None:
    flow = extended(
        folder,
        """\
change:
  query: {expect: {rcode: 3, name: ~}, optional: true, where: {type: A}, bind: {number: id}}
  error: {clause: RFC 0, after: answer}
  discovery: {optional: true}
""",
    )
    step = flow.steps[0]
    assert isinstance(step, Step)
    assert [(one.field, one.tests, one.line) for one in step.expect] == [("rcode", (("is", 3),), 5)]
    assert [(one.field, one.tests) for one in step.where] == [("response", (("is", False),)), ("type", (("is", "A"),))]
    assert step.bind == (("name", "name"), ("number", "id"))
    assert step.optional
    assert flow.steps[1].optional
    assert (flow.forbidden[0].clause, flow.forbidden[0].after) == ("RFC 0", "answer")


def test_extending_what_extends(folder: Path) -> None:
    extended(folder, "change: {ways: {branches: [[{step: only, message: binding_update}]]}}\n")
    (folder / "last.yaml").write_text("version: 1\nname: last\nextends: new/flow.yaml\nremove: [answer, discovery]\n")
    flow = load(folder / "last.yaml")
    assert names(flow) == ["query", "only"]


def test_shipped_flow_is_extended_by_its_name(tmp_path: Path) -> None:
    flow = parse("version: 1\nname: mine\nextends: initial-attach\nremove: [ping-ipv4]\n", tmp_path / "x.yaml")
    assert flow.name == "mine"
    whole = names(load(resources.flow("initial-attach")))
    assert [name for name in whole if name not in names(flow)] == [
        "ipv4-echo-request-in-tunnel", "ipv4-echo-reply-in-tunnel",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("remove: [answr]", 4, "remove: the flow that is extended has no step 'answr'; did you mean 'answer'?"),
        ("change: {quer: {}}", 4, "change: the flow that is extended has no step 'quer'; did you mean 'query'?"),
        ("change: {query: 3}", 4, "change of 'query': expected keys with values"),
        ("change: {query: {expect: {rcod: ~}}}", 4, "nothing to take away: 'rcod'; did you mean 'rcode'?"),
        ("change: {query: {expect: {rcod: 1}}}", 4, "expect: dns has no field 'rcod'; did you mean 'rcode'?"),
        (
            "insert: [{after: zzz, steps: []}]",
            4,
            "after: the flow that is extended has no step 'zzz'; there is: answer, disc",
        ),
        ("insert: [{steps: []}]", 4, "insert: expected either 'after' or 'before'"),
        ("insert: [{after: query}]", 4, "insert needs the key 'steps'"),
        ("insert: {after: query}", 4, "insert: expected a list"),
        ("steps: []", 4, "a flow that extends another has no key 'steps'"),
        ("removed: [x]", 4, "a flow that extends another has no key 'removed'; did you mean 'remove'?"),
        ("insert: [{after: query, steps: [{step: answer, message: dns}]}]", 4, "step: the name 'answer' is taken"),
    ],
)
def test_wrong_change_is_told(folder: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(FlowError) as caught:
        extended(folder, text)
    told = str(caught.value)
    if "is taken" in says:  # the other one stands later, in the base
        assert "step: the name 'answer' is taken already" in told
    else:
        assert told.startswith(f"{folder}/new/flow.yaml:{line}: {says}")


def test_error_in_the_base_names_both_files(folder: Path) -> None:
    """The variable is bound by the step that is removed."""
    with pytest.raises(FlowError) as caught:
        extended(folder, "remove: [query]")
    told = str(caught.value)
    assert "base/flow.yaml:17: name: no earlier step binds the variable 'name'" in told
    assert f"(read for {folder}/new/flow.yaml, which extends it)" in told


@pytest.mark.parametrize(
    ("extends", "says"),
    [
        ("absent.yaml", "extends: there is no file"),
        ("../absent/flow.yaml", "extends: there is no file"),
        ("initial-atach", "extends: there is no file and no shipped flow 'initial-atach'; did you mean 'initial-att"),
        ("flow.yaml", "extends: the flows extend each other: new/flow.yaml -> new/flow.yaml"),
        ("../base", "extends: there is no file"),
        ("'\\0'", "extends: there is no file"),
        ("[a]", "extends: expected a text"),
        ("''", "extends: expected a text"),
    ],
)  # fmt: skip
def test_flow_that_cannot_be_extended(folder: Path, extends: str, says: str) -> None:
    with pytest.raises(FlowError) as caught:
        extended(folder, "", extends)
    assert str(caught.value).startswith(f"{folder}/new/flow.yaml:3: {says}")


def test_flows_that_extend_each_other(folder: Path) -> None:
    (folder / "base" / "flow.yaml").write_text("version: 1\nname: a\nextends: ../new/flow.yaml\n")
    with pytest.raises(FlowError, match="extends: the flows extend each other: new/flow.yaml -> base/flow.yaml"):
        extended(folder, "")


def test_a_long_row_of_flows(folder: Path) -> None:
    (folder / "0.yaml").write_text(BASE)
    for number in range(1, 20):
        (folder / f"{number}.yaml").write_text(f"version: 1\nname: x\nextends: {number - 1}.yaml\n")
    assert names(load(folder / "7.yaml"))
    with pytest.raises(FlowError, match="more than 8 flows in a row"):
        load(folder / "19.yaml")


def test_base_that_is_no_flow(folder: Path) -> None:
    (folder / "base" / "flow.yaml").write_text("- 1")
    with pytest.raises(FlowError, match="a flow: expected keys with values"):
        extended(folder, "remove: [x]")
    (folder / "base" / "flow.yaml").write_text("#" * (MAX_SIZE + 1))
    with pytest.raises(FlowError, match="is larger than"):
        extended(folder, "")


LEAVES = st.sampled_from(["query", "answer", "discovery", "one", "error", "x", 1, True, None, "../base/flow.yaml"])
WORDS = ["insert", "change", "remove", "forbidden", "after", "before", "steps", "expect", "where", "step", "message"]
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*WORDS, "query", "answer", "rcode", "error"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(change=st.dictionaries(st.sampled_from(WORDS[:4]), TREES, max_size=3))
def test_any_change_is_a_flow_or_a_flow_error(folder: Path, change: dict[str, object]) -> None:
    import yaml

    said = ""
    try:
        extended(folder, yaml.safe_dump(change) if change else "")
    except FlowError as error:
        said = str(error)
    assert said == "" or said.startswith(str(folder))
    assert "\n" not in said
