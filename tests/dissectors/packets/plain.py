# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector's parsers, run by a plain Lua interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

DISSECTORS = Path(__file__).resolve().parents[3] / "dissectors"
DRIVER = Path(__file__).with_name("driver.lua")


def call(interpreter: str, *lines: tuple[Any, ...]) -> list[Any]:
    """Results of the calls (module, function, arguments); octets come and go as `bytes`, a Lua error fails."""
    words = ("\n".join(" ".join(_word(item) for item in line) for line in lines) + "\n").encode()
    run = subprocess.run(
        [interpreter, str(DRIVER)],
        input=words,
        capture_output=True,
        env={**os.environ, "LUA_PATH": f"{DISSECTORS}/?.lua"},
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in run.stdout.decode().splitlines()]
    assert len(answers) == len(lines), run.stderr.decode()
    for line, answer in zip(lines, answers, strict=True):
        assert not isinstance(answer, dict), f"{line}: {answer['error']}"
    return [_octets(answer) for answer in answers]


def first(interpreter: str, *line: Any) -> Any:
    """The first result of one call, None when there is none."""
    results = call(interpreter, line)[0]
    return results[0] if results else None


def _word(item: Any) -> str:
    return f"hex:{item.hex()}" if isinstance(item, bytes) else str(item)


def _octets(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("hex:"):
        return bytes.fromhex(value[4:])
    if isinstance(value, list):
        return [_octets(item) for item in value]
    if isinstance(value, dict):
        return {key: _octets(item) for key, item in value.items()}
    return value
