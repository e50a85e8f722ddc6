# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of captures/README.md are flows, and it leaves out no word of the language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mn_dsmip import resources
from mn_dsmip.check.flow import grammar
from mn_dsmip.check.flow.language import parse
from mn_dsmip.check.flow.vocabulary import OPERATORS, UNITS

README = resources.root() / "captures" / "README.md"
TEXT = README.read_text() if README.is_file() else ""
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_is_a_flow(number: int) -> None:
    text = EXAMPLES[number]
    if text.startswith("roles:"):
        step = "{step: a, message: ike_auth, bind: {target: redirect_to}}"
        text = f"version: 1\nname: x\n{text}steps: [{step}]\n"
    assert parse(text, Path("example.yaml")).steps


def test_examples_are_there() -> None:
    assert len(EXAMPLES) == 3


def test_every_word_is_explained() -> None:
    tables = [
        grammar.HEAD,
        grammar.FLOW,
        grammar.EXTENSION,
        grammar.STEP,
        grammar.PROHIBITION,
        grammar.TIME,
        grammar.ROLE,
    ]
    words = {key for table in [*tables, *grammar.GROUPS.values()] for key in table} | OPERATORS.keys() | UNITS.keys()
    assert {word for word in words if not re.search(rf"\b{word}\b", TEXT)} == set()
