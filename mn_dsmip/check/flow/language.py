# SPDX-License-Identifier: GPL-2.0-or-later
"""Expected flows: a YAML file becomes steps that know their file and line. captures/README.md explains the language.

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
    time: {after: child-sa, within: 2 s}
    clause: "TS 24.303 5.1.2.4"
  - any_order: traffic                  # also: sequence; repeat, of whole rounds; alternatives, with branches
    steps: [...]
forbidden:
  - never: no-route-optimisation
    message: home_test_init             # with where, after, before, between (names of steps) as needed
    clause: "TS 24.303 4.1"

A flow that `extends` another has insert, change and remove instead of steps.
"""

from __future__ import annotations

from pathlib import Path

from mn_dsmip.check.flow.elements import (
    Condition,
    Duration,
    Flow,
    FlowError,
    Group,
    Item,
    Prohibition,
    Role,
    Selection,
    Step,
    TimeBound,
    every_group,
    every_step,
    show,
)
from mn_dsmip.check.flow.grammar import VERSION
from mn_dsmip.check.flow.inherit import whole
from mn_dsmip.check.flow.nodes import compose, read
from mn_dsmip.check.flow.parser import Parser

__all__ = [
    "VERSION",
    "Condition",
    "Duration",
    "Flow",
    "FlowError",
    "Group",
    "Item",
    "Prohibition",
    "Role",
    "Selection",
    "Step",
    "TimeBound",
    "every_group",
    "every_step",
    "load",
    "parse",
    "show",
]


def load(file: Path) -> Flow:
    """Read a flow; FlowError names file, line, key and the nearest valid word."""
    return parse(read(file), file)


def parse(text: str, file: Path) -> Flow:
    """Read a flow out of a text; `file` is for messages, and where the flows that it extends are looked for."""
    return Parser(file).flow(whole(compose(text, file), file))
