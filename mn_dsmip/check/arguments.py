# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines of which a mistake is told in one line, and what the subcommands of the checker have in common."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

UNUSABLE = 2
READERS = ("auto", "pyshark", "tshark")


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and ends with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{self.prog}: {message} ({self.prog} --help tells more)\n")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Options that say how a capture is read."""
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="a folder with Wireshark's key tables (default: wireshark/ beside the capture, if there is one)",
    )
    parser.add_argument(
        "--reader",
        choices=READERS,
        default="auto",
        help="pyshark is the documented way in, tshark's own output is faster; both find the same (default: auto)",
    )


def add_flow(parser: argparse.ArgumentParser) -> None:
    """The option that names the expected flow."""
    parser.add_argument(
        "--flow",
        metavar="NAME|FILE",
        help="the expected flow: one that is shipped (--flows lists them), or a file "
        "(default: flow.yaml in the folder, else initial-attach)",
    )
