# SPDX-License-Identifier: GPL-2.0-or-later
"""Run `mn` as a user would, in namespaces that end with it, and read what it left."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGY = ROOT / "topos" / "s2c.py"
ELSEWHERE = Path(__file__).with_name("elsewhere.py")
ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
BRIDGE = ["--switch", "lxbr", "--controller", "none"]
SECONDS = 100


def command(topo: str, *options: str, switch: list[str] | None = None) -> list[str]:
    """`mn` with our topology and its runs elsewhere."""
    custom = ["--custom", f"{TOPOLOGY},{ELSEWHERE}"]
    return ["mn", *custom, "--topo", topo, *(BRIDGE if switch is None else switch), *options]


def isolated(words: list[str]) -> list[str]:
    return [*ISOLATED, "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *words]


def environment(runs: Path, standin: bool, **more: str) -> dict[str, str]:
    own = {"TEST_RUNS": str(runs), **({"TEST_STANDIN": "1"} if standin else {}), "HOME": str(runs)}
    return {**{key: value for key, value in os.environ.items() if not key.startswith("SUDO_")}, **own, **more}


@dataclass
class Run:
    """What is left of one run: the words of `mn` and its folder."""

    status: int
    output: str
    folder: Path

    def lines(self, start: str) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith(start)]

    def description(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    def frames(self, display_filter: str, *fields: str, trace: str = "trace.pcapng") -> list[list[str]]:
        """The wanted fields of every frame of a trace that passes the filter, in order, decrypted."""
        return list(_frames(self.folder, self.folder / trace, display_filter, fields))

    def count(self, display_filter: str, trace: str = "trace.pcapng") -> int:
        return len(self.frames(display_filter, "frame.number", trace=trace))

    def traces(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.pcapng"))


def run_mn(
    runs: Path,
    topo: str,
    *options: str,
    standin: bool = False,
    script: str = "",
    switch: list[str] | None = None,
    **variables: str,
) -> Run:
    """Start `mn`, let it end by itself, and return what it said and left; `script` is typed at the prompt."""
    words = command(topo, *options, switch=switch)
    if script:
        commands = runs / "commands"
        commands.write_text(script)
        words += ["--test", "none", "--post", str(commands)]
    done = subprocess.run(
        isolated(words),
        env=environment(runs, standin, **variables),
        cwd=runs,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Run(done.returncode, done.stdout, runs / "latest")


def _frames(folder: Path, trace: Path, display_filter: str, fields: tuple[str, ...]) -> Iterator[list[str]]:
    shown = [word for field in fields for word in ("-e", field)]
    checks = ["-o", "udp.check_checksum:TRUE"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(trace), "-Y", display_filter, *checks, "-T", "fields", "-E", "separator=/t", *shown],
        env={**os.environ, "WIRESHARK_CONFIG_DIR": str(folder / "wireshark")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    for line in done.stdout.splitlines():
        yield line.split("\t")
