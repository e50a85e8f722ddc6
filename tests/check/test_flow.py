# SPDX-License-Identifier: GPL-2.0-or-later
"""Flow files: what is read out of them, and what is said about wrong ones."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mn_dsmip import resources
from mn_dsmip.check.flow.compare import Truth, compare
from mn_dsmip.check.flow.language import Flow, FlowError, Group, Step, every_step, load, parse, show
from mn_dsmip.check.flow.vocabulary import FIELDS, OPERATORS
from mn_dsmip.check.model import Message, Value
from tests.check.conftest import FLOW

FILE = Path("some/flow.yaml")
SMALL = """\
version: 1
name: small
roles: {ue: the mobile node, ha: its home agent}
steps:
  - step: update
    message: binding_update
    from: ue
    where: {lifetime: {gt: 0}}
    expect:
      sequence: {ge: 1, le: 0x10, clause: RFC 6275 6.1.7, severity: warning}
      acknowledge: yes
    bind: {number: sequence}
    clause: TS 24.303 5.1.2.4
  - repeat: answers
    min: 0
    max: 3
    steps:
      - step: answer
        message: binding_acknowledgement
        where: {sequence: $number, status: {one_of: [0, 1]}}
forbidden:
  - never: error
    message: binding_error
    after: update
"""


def small(old: str = "", new: str = "") -> Flow:
    assert old in SMALL
    return parse(SMALL.replace(old, new, 1), FILE)


def test_flow_is_read() -> None:
    flow = small()
    update, answers = flow.steps
    assert isinstance(update, Step)
    assert isinstance(answers, Group)
    assert (update.line, update.sender, update.receiver) == (5, "ue", "")
    assert update.where[0].tests == (("gt", 0),)
    sequence, acknowledge = update.expect
    assert (sequence.tests, sequence.clause, sequence.severity) == (
        (("ge", 1), ("le", 16)),
        "RFC 6275 6.1.7",
        "warning",
    )
    assert (sequence.expected, sequence.line) == ("at least 1 and at most 16", 10)
    assert (acknowledge.tests, acknowledge.expected) == ((("is", True),), "yes")
    assert (answers.kind, answers.optional, answers.most) == ("repeat", True, 3)
    assert [step.name for step in every_step(flow.steps)] == ["update", "answer"]
    assert (flow.forbidden[0].after, flow.forbidden[0].line) == ("update", 22)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("version: 1", "version: 2", 1, "version: expected 1, found 2"),
        ("version: 1", "", 2, "a flow needs the key 'version'"),
        ("name: small", "nam: small", 2, "a flow has no key 'nam'; did you mean 'name'?"),
        ("name: small", "name: small\nname: big", 3, "a flow: the key 'name' stands twice"),
        ("steps:", "step:", 4, "a flow has no key 'step'; did you mean 'steps'?"),
        ("binding_update", "binding_updat", 6, "message: there is no kind 'binding_updat'; did you mean 'binding_up"),
        ("from: ue", "from: eu", 7, "from: there is no role 'eu'; did you mean 'ue'?"),
        ("from: ue", "form: ue", 7, "a step has no key 'form'; did you mean 'from'?"),
        ("{lifetime: {gt", "{lifetim: {gt", 8, "where: binding_update has no field 'lifetim'; did you mean 'lifet"),
        ("{gt: 0}", "{more: 0}", 8, "lifetime has no key 'more'"),
        ("{gt: 0}", "{clause: x}", 8, "lifetime: expected a comparison: is, is_not"),
        ("{gt: 0}", "[{gt: 0}]", 8, "lifetime: expected one value"),
        ("severity: warning", "severity: grave", 10, "severity: expected violation, warning or note, found 'grave'"),
        ("number: sequence", "number: sequenc", 12, "bind: binding_update has no field 'sequenc'; did you mean 'seq"),
        ("{gt: 0}", "{matches: a(}", 8, "matches: is no regular expression: missing ), unterminated subpattern"),
        ("min: 0", "min: 4", 15, "min: 4 is more than max, 3"),
        ("max: 3", "max: many", 16, "max: expected a number, found 'many'"),
        ("step: answer", "step: update", 18, "step: the name 'update' is taken already, in line 5"),
        ("$number", "$numbr", 20, "sequence: no earlier step binds the variable 'numbr'; did you mean 'number'?"),
        ("after: update", "after: updat", 24, "after: there is no step 'updat'; did you mean 'update'?"),
        ("never: error", "never_: error", 22, "a prohibition has no key 'never_'; did you mean 'never'?"),
        ("{gt: 0}}", "{gt: 0}", 9, "is not YAML:"),
        ("{gt: 0}", "{gt: x}", 8, "gt: expected a number, found 'x'"),
        ("{gt: 0}", "{gt: [1]}", 8, "gt: expected a number, found '1'"),
        ("{gt: 0}", "{gt: yes}", 8, "gt: expected a number, found 'yes'"),
        ("{gt: 0}", "{gt: ~}", 8, "gt: expected a value"),
        ("{gt: 0}", "{gt: 1:30}", 8, "gt: expected a number, found '1:30'"),
        ("{gt: 0}", "{gt: 0x" + "f" * 40 + "}", 8, "gt: the number '0x" + "f" * 40 + "' is larger than any field"),
        ("{gt: 0}", "{gt: " + "9" * 9000 + "}", 8, "gt: the number '" + "9" * 60 + "...' is larger than any field"),
        ("{gt: 0}", "{present: 1}", 8, "present: expected true or false, found '1'"),
        ("{gt: 0}", "{in_prefix: here}", 8, "in_prefix: expected an address or a prefix, found 'here'"),
        ("{gt: 0}", "{gt: 0, gt: 1}", 8, "lifetime: the key 'gt' stands twice"),
        ("min: 0", "min: 1001\n    max: 2000", 17, "a step: the key 'max' stands twice"),
        ("    min: 0\n    max: 3", "    min: 1001", 15, "expected a number from 1 to 1000"),
        ("max: 3", "max: 0", 16, "expected a number from 1 to 1000"),
        ("roles: {ue: the mobile node, ha: its home agent}", "roles: ue", 3, "roles: expected keys with values"),
    ],
)  # fmt: skip
def test_error_names_file_line_and_nearest_word(old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(FlowError) as caught:
        small(old, new)
    assert str(caught.value).startswith(f"some/flow.yaml:{line}: {says}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "some/flow.yaml:1: is empty"),
        ("- 1", "some/flow.yaml:1: a flow: expected keys with values"),
        ("version: 1\nname: x\nsteps: []", "some/flow.yaml:3: steps: expected at least one step"),
        ("version: 1\nname: x\nsteps: 3", "some/flow.yaml:3: steps: expected a list"),
        ("version: 1\nname: x\nsteps: [{}]", "some/flow.yaml:3: expected the key 'step' (or, for a group,"),
        ("a: b\n---\nc: d", "some/flow.yaml:2: is not YAML:"),
        ("\x00", "some/flow.yaml:1: is not YAML:"),
        ("[" * 100_000, "some/flow.yaml:1: is not YAML:"),
        ("version: 1\nname: x\nsteps: &a\n- any_order: b\n  steps: *a", "some/flow.yaml:5: is not YAML: aliases"),
    ],
)
def test_what_is_no_flow(text: str, says: str) -> None:
    with pytest.raises(FlowError) as caught:
        parse(text, FILE)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_hostile_files_are_refused_quickly() -> None:
    """A bomb of aliases, nodes in nodes, thousands of steps that name each other, very long words."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{one}: &{one} [*{before}, *{before}]\n" for before, one in pairwise("abcdefghij")
    )
    deep = "version: 1\nname: x\nsteps: " + "[{sequence: s, steps: " * 60
    step = "- {{step: s{0}, message: dns, time: {{after: s{1}, within: 1}}}}\n"
    many = "version: 1\nname: x\nsteps:\n" + "".join(step.format(one, one + 1) for one in range(4000))
    word = "version: 1\nname: x\nsteps:\n- {step: a, message: " + "binding_update" * 10_000 + "}"
    edits = "version: 1\nname: x\nextends: initial-attach\nremove: [" + "x, " * 5000 + "]"
    begin = time.process_time()
    for text in (bomb, deep, many, word, edits, "? " * 5000, "{" * 5000, "- " * 5000, "!!int " + "1" * 5000):
        with pytest.raises(FlowError, match=r"^some/flow.yaml:\d+: ") as caught:
            parse(text, FILE)
        assert len(str(caught.value)) < 1000
    assert time.process_time() - begin < 8


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=r"absent\.yaml:1: cannot be read:"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FlowError, match="cannot be read:"):
        load(tmp_path / "latin")
    (tmp_path / "huge").write_bytes(b"#" * (1 << 21))
    with pytest.raises(FlowError, match="is larger than"):
        load(tmp_path / "huge")


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(sorted(FIELDS))
)
KEYS = "version name steps step message from where expect bind repeat any_order min forbidden never after clause"
WORDS = st.sampled_from([*KEYS.split(), *OPERATORS, "severity", "sequence", "lifetime", "ue", "$x"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5),
    max_leaves=20,
)


def assert_flow_or_flow_error(text: str) -> None:
    said = ""
    try:
        parse(text, FILE)
    except FlowError as error:
        said = str(error)
    assert said == "" or said.startswith("some/flow.yaml:")
    assert "\n" not in said


@given(TREES)
def test_any_tree_is_a_flow_or_a_flow_error(tree: object) -> None:
    wrapped = tree if isinstance(tree, dict) else {"version": 1, "name": "x", "steps": tree}
    assert_flow_or_flow_error(yaml.safe_dump(wrapped))


@given(st.text(max_size=200))
def test_any_text_is_a_flow_or_a_flow_error(text: str) -> None:
    assert_flow_or_flow_error(text)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_shipped_flow_with_a_line_changed(data: st.DataObject) -> None:
    lines = FLOW.read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(st.sampled_from(["", "  ", "x", "- ", "{", "$"]))
    lines[number] = data.draw(st.sampled_from([change + lines[number], lines[number] + change, change]))
    assert_flow_or_flow_error("\n".join(lines))


@pytest.mark.parametrize("name", resources.flows())
def test_shipped_flow_cites_a_clause_everywhere(name: str) -> None:
    flow = load(resources.flow(name))
    for step in every_step(flow.steps):
        assert step.clause or (step.expect and all(one.clause for one in step.expect)), step.name
        assert step.time is None or step.time.clause or step.clause, step.name
    assert all(one.clause for one in flow.forbidden)
    assert flow.title


def test_vocabulary_knows_every_field(good: list[Message]) -> None:
    for message in good:
        assert set(message.fields) <= FIELDS[message.kind]


@pytest.mark.parametrize(
    ("operator", "actual", "wanted", "holds"),
    [
        ("is", 1, 1, True),
        ("is", True, 1, False),
        ("is", "2001:DB8::1", "2001:db8:0::1", True),
        ("is", ("a",), "a", True),
        ("is", None, 0, False),
        ("is_not", 1, 2, True),
        ("lt", 1, 2, True),
        ("lt", None, 2, False),
        ("le", 2, 2, True),
        ("gt", 2, 2, False),
        ("ge", 2, 2, True),
        ("one_of", 3, (1, 2), False),
        ("one_of", (1, 2), (1, 2, 3), True),
        ("one_of", None, (1,), False),
        ("contains", ("a", "b"), ("a", "b"), True),
        ("contains", ("a",), ("a", "b"), False),
        ("contains", None, "a", False),
        ("contains_any", ("a",), ("a", "b"), True),
        ("contains_any", None, ("a",), False),
        ("lacks", ("a",), "b", True),
        ("lacks", ("a", "b"), ("b", "c"), False),
        ("in_prefix", "2001:db8::5", "2001:db8::/64", True),
        ("in_prefix", ("2001:db8::5", "2001:db9::5"), ("2001:db8::/64",), False),
        ("in_prefix", (), "2001:db8::/64", False),
        ("in_prefix", "no address", "2001:db8::/64", False),
        ("in_prefix", "10.0.0.1", "2001:db8::/64", False),
        ("matches", "abc", "a.c", True),
        ("matches", "abcd", "a.c", False),
        ("matches", None, "None", False),
        ("count", ("a", "b"), 2, True),
        ("count", None, 0, True),
        ("present", None, False, True),
        ("present", 0, True, True),
    ],
)
def test_comparison(operator: str, actual: Value | None, wanted: Value, holds: bool) -> None:
    assert compare(operator, actual, wanted) is (Truth.YES if holds else Truth.NO)


def test_values_are_shown_for_people() -> None:
    assert [show(one) for one in (None, True, 7, "x", ("a", 1), ())] == ["nothing", "yes", "7", "x", "a, 1", "nothing"]
