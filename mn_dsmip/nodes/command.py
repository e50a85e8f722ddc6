# SPDX-License-Identifier: GPL-2.0-or-later
"""What a custom file gives to `mn` beside its topology: refusals in one line, and exits that touch nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from . import machine
from .errors import SetupError

EXIT_FAILURE = 1
EXIT_SETUP = 2
EXIT_INTERRUPTED = 130
NEEDS_CONTROLLER = ("default", "ovs", "ovsk", "user", "ivs")


def validate(options: Any) -> None:
    """Refuse, in one line and with status 2, what cannot work; Any: optparse's values."""
    try:
        machine.check()
        _check_options(options)
    except SetupError as problem:
        _refuse(problem)


def cleanup() -> None:
    """In place of Mininet's clean-up, which kills by name and would hit other people's processes.

    `mn` calls it after an exception or Ctrl-C, and would then exit with status 0. The network stops itself.
    """
    problem = sys.exc_info()[1]
    if problem is None:  # `mn --clean`
        sys.stderr.write("mn-dsmip leaves nothing to clean up; `mn --clean` without --custom cleans up after others\n")
        return
    raise SystemExit(EXIT_INTERRUPTED if isinstance(problem, KeyboardInterrupt) else EXIT_FAILURE)


def topology(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build` for `mn --topo`: parameters that cannot be are refused in one line."""

    def made(*args: Any, **params: Any) -> Any:  # Any: what the command line holds
        try:
            return build(*args, **params)
        except (SetupError, TypeError, ValueError) as problem:
            _refuse(problem)

    return made


def _check_options(options: Any) -> None:  # Any: optparse's values
    switch = str(options.switch).partition(",")[0]
    if "none" in (options.controller or []) and switch in NEEDS_CONTROLLER:
        raise SetupError(
            f"--switch {switch} waits for ever for a controller with --controller none: "
            "add `--switch lxbr`, or leave --controller out"
        )
    for name in ("innamespace", "cluster"):
        if getattr(options, name):
            raise SetupError(f"--{name} does not go together with agents: leave it out")


def _refuse(problem: Exception) -> NoReturn:
    sys.stderr.write(f"mn-dsmip: {problem}\n")
    raise SystemExit(EXIT_SETUP)
