# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose fault it is: our user's files, or the machine that lacks something."""

from __future__ import annotations

from pathlib import Path


class ConfigError(Exception):
    """A configuration file that does not fit: where, what, and what was expected."""

    def __init__(self, path: Path, line: int | None, message: str) -> None:
        super().__init__(f"{path}{f':{line}' if line else ''}: {message}")


class EnvironmentProblem(Exception):
    """Something that the machine lacks; the text says what and how to get it."""
