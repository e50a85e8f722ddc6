# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of captures; shares no code with the agents.

reading/ -> separate.py -> flow/, rules/ -> verdict.py -> report/
messages    sessions       steps, rules     pass, fail, inconclusive
"""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """`mn-dsmip check`: exit status 0 pass, 1 fail or inconclusive, 2 unusable input."""
    from mn_dsmip.check import cli

    return cli.main(argv)
