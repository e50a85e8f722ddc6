# SPDX-License-Identifier: GPL-2.0-or-later
"""`matches` means what Python's regular expressions mean, and takes no longer for those that Python's would hang in."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mn_dsmip.check.flow.language import FlowError, load
from mn_dsmip.check.flow.pattern import MOST_STATES, Pattern, PatternError

ATOMS = (
    "a",
    "b",
    "é",
    " ",
    "-",
    ".",
    r"\.",
    r"\d",
    r"\W",
    r"\\",
    r"\n",
    r"\x61",
    "[ab]",
    "[^a]",
    "[]a]",
    r"[\]\d-]",
    "{}",
    "{",
    "]",
)
REPEATED = ("", "*", "+", "?", "{2}", "{1,2}", "{,2}", "{2,}", "{0}", "*?", "+?", "{1,2}?")
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(st.sampled_from(("(", "(?:")), inner, st.just(")"), st.sampled_from(REPEATED)).map("".join),
        st.sampled_from(("()", "(a|)*", "(a*)*", "(|b)+")),
    ),
    max_leaves=6,
)
VALUES = st.text("ab1.]-\\ \né{}", max_size=7)


@settings(max_examples=1500, deadline=None)
@given(EXPRESSIONS, st.lists(VALUES, max_size=6))
def test_as_in_python(text: str, values: list[str]) -> None:
    try:
        expected = re.compile(text)
    except re.error:
        with pytest.raises(re.error):
            Pattern(text)
        return
    found = Pattern(text)
    for value in ("", "a", "ab", "aab", *values):
        assert found.fullmatch(value) is (expected.fullmatch(value) is not None), (text, value)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("^abc$", "abc", True),
        ("^abc$", "abc\n", False),
        ("a|^", "a", None),
        ("(a$)b", "ab", None),
        (r"[a-z0-9.-]+\.ha-apn\.mnc[0-9]{3}\.org\.?", "internet.ha-apn.mnc001.org", True),
        (r"[a-z]{1,63}", "a" * 64, False),
    ],
)
def test_whole_values(text: str, value: str, holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(PatternError, match="leave out "):
            Pattern(text)
    else:
        assert Pattern(text).fullmatch(value) is holds


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+b",
        "(.*a){20}b",
        "(a?){40}a{40}b",
        "a*a*a*a*a*a*a*a*b",
        "((a*)*)*b",
        "([ab]*a[ab]{12})*c",
    ],
)
def test_no_expression_hangs(text: str) -> None:
    """Each takes Python's own matching longer than anybody waits."""
    begin = time.process_time()
    assert not Pattern(text).fullmatch("a" * 5000)
    took = time.process_time() - begin
    assert took < 2, took


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(a)\\1", "'\\1' is not offered: no back references"),
        ("a(?=b)", "no look-around, names or flags"),
        ("(?i)a", "no look-around, names or flags"),
        ("a\\b", "'\\b' is not offered: no back references, no boundaries"),
        ("((a{50}){50}){50}", f"more than {MOST_STATES} repetitions"),
        ("((){9999}){9999}", f"more than {MOST_STATES} repetitions"),
        ("$n", "the variable $n is no regular expression; compare it with is or one_of"),
        ("a(", "is no regular expression"),
    ],
)
def test_what_is_refused_is_said_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(
        "version: 1\nname: one\nroles: {ue: one}\nsteps:\n"
        "  - step: asked\n    message: dns\n    from: ue\n    bind: {n: name}\n"
        f"  - step: named\n    message: dns\n    where:\n      name: {{matches: '{text}'}}\n"
    )
    with pytest.raises(FlowError) as raised:
        load(flow)
    assert "flow.yaml:12" in str(raised.value) and "matches: " in str(raised.value)
    assert says in str(raised.value)


@pytest.mark.parametrize("text", ["a++", "a*+", "(?>a)"])
def test_possessive_repetition_is_not_offered(text: str) -> None:
    """Python knows it since 3.11, and before that calls it an error."""
    with pytest.raises((PatternError, re.error)):
        Pattern(text)
