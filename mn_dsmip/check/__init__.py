# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of captures; shares no code with the agents.

reading/ -> separate.py -> flow/, rules/ -> verdict.py -> report/
messages    sessions       steps, rules     pass, fail, inconclusive
"""

from __future__ import annotations

from collections.abc import Callable


def main(argv: list[str]) -> int:
    """`mn-dsmip check`: exit status 0 pass, 1 fail or inconclusive, 2 unusable input."""
    from mn_dsmip.check import cli

    return cli.main(argv)


def command(name: str, argv: list[str]) -> int:
    """`mn-dsmip report` and the like, by name."""
    from mn_dsmip.check import commands

    run: Callable[[list[str]], int] = getattr(commands, name)
    return run(argv)
