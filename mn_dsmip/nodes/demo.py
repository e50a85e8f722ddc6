# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration: bootstrap a UE in Mininet, judge the trace, say how long each phase took.

`python -m mn_dsmip.nodes.demo [TOPOLOGY[,PARAMETER=VALUE...]]`; status 0 only when every check and the verdict passed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from . import machine
from .command import EXIT_FAILURE, EXIT_SETUP
from .errors import SetupError
from .journal import Phase, phases

TOPOLOGY = "s2c"
FLOW = "initial-attach"  # what the demo does: attach, refresh, detach
ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
WITH_LOOPBACK = ["sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
RUN_LINE = "*** Run: "
ATTACHED_LINE = re.compile(r"ok    \S+ attaches: ")
# What Mininet says about settings of the whole machine, which a network namespace of its own neither has nor needs.
WITHOUT_MEANING = ("*** Error setting resource limits", "Warning: Linux bridge may not work with")


def main(arguments: list[str]) -> int:
    topo = arguments[0] if arguments else TOPOLOGY
    try:
        machine.check()
        custom = _custom_file(topo.partition(",")[0])
    except SetupError as problem:
        sys.stderr.write(f"mn-dsmip: {problem}\n")
        return EXIT_SETUP
    status, folder, attached = _bootstrap(custom, topo)
    if folder is None:
        sys.stderr.write("mn-dsmip: the run did not begin; what mn said is above\n")
        return status or EXIT_FAILURE
    sys.stdout.write(f"\n{''.join(_table(folder, attached))}\n")
    sys.stdout.flush()
    judge = [str(machine.interpreter()), "-m", "mn_dsmip.check", str(folder), "--flow", FLOW]
    verdict = subprocess.run(judge, check=False).returncode
    sys.stdout.write(f"\nThe run's folder: {folder}\n")
    sys.stdout.write(f"To look inside: WIRESHARK_CONFIG_DIR={folder}/wireshark wireshark {folder}/trace.pcapng\n")
    return status or verdict


def _custom_file(name: str) -> Path:
    """The topology's file, beside the package in a clone, inside it in a wheel."""
    for folder in (machine.PACKAGE / "data" / "topos", machine.PACKAGE.parent / "topos"):
        if (folder / f"{name}.py").is_file():
            return folder / f"{name}.py"
    raise SetupError(f"no topology is called {name!r}")


def _bootstrap(custom: Path, topo: str) -> tuple[int, Path | None, float | None]:
    """The exit status of `mn`, whose words go to our output, the run's folder, and the seconds until all attached."""
    command = ["mn", "--custom", str(custom), "--topo", topo, "--switch", "lxbr", "--controller", "none"]
    folder = attached = None
    begun = time.monotonic()
    with subprocess.Popen(
        [*ISOLATED, *WITH_LOOPBACK, *command, "--test", "bootstrap"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as mn:
        for line in mn.stdout or ():
            if not line.startswith(WITHOUT_MEANING):
                sys.stdout.write(line)
                sys.stdout.flush()
            if line.startswith(RUN_LINE):
                folder = Path(line.removeprefix(RUN_LINE).strip())
            if ATTACHED_LINE.match(line):
                attached = time.monotonic() - begun
    return mn.returncode, folder, attached


def _table(folder: Path, attached: float | None) -> Iterator[str]:
    if attached is not None:
        yield f"{'mn':<8}{'start, until every UE is attached':<40}{attached * 1000:>10.1f} ms\n"
    for journal in sorted((folder / "journal").glob("ue*.jsonl")):
        found: list[Phase] = phases(journal)
        for phase in found:
            yield f"{journal.stem:<8}{phase.name:<40}{phase.seconds * 1000:>10.1f} ms\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
