# SPDX-License-Identifier: GPL-2.0-or-later
"""Where we are installed, and what this machine must have before a topology can run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from .errors import SetupError

PACKAGE = Path(__file__).resolve().parent.parent
TUN = Path("/dev/net/tun")
TOOLS = {  # command -> the Debian package that brings it
    "ip": "iproute2",
    "ethtool": "ethtool",
    "dnsmasq": "dnsmasq-base",
    "setpriv": "util-linux",
    "ping": "iputils-ping",
    "tshark": "tshark",
}
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def clone() -> Path | None:
    """The folder of the clone that we are part of; None when we were installed from a wheel."""
    folder = PACKAGE.parent
    return folder if (folder / "pyproject.toml").is_file() else None


def agent_command() -> list[str]:
    """The start of the command line of an agent: `ue CONFIG` or `gateway CONFIG` follows.

    `mn` runs under the system's Python, which lacks what agents need: they run under the environment we are part of.
    """
    return [str(interpreter()), "-m", "mn_dsmip"]


def interpreter() -> Path:
    """The Python of the environment that belongs to us; SetupError when a clone has none yet."""
    folder = clone()
    if folder is None:
        return _environment(PACKAGE.parents) or Path(sys.executable)
    python = folder / ".venv" / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise SetupError(f"the agents' Python is missing ({python}): run `sudo make demo` in {folder} once")
    return python


def runs_folder() -> Path:
    """Where runs are kept: beside the code in a clone, else in the current folder."""
    return (clone() or Path.cwd()) / "runs"


def check() -> None:
    """Raise SetupError, with one sentence, for the first thing that a topology needs and this machine lacks."""
    if os.geteuid() != 0:
        raise SetupError("must run as root, because it makes network namespaces: put `sudo` before the command")
    for tool, package in TOOLS.items():
        if find_tool(tool) is None:
            raise SetupError(f"the command {tool!r} is missing: apt-get install {package}")
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as error:
        why = error.strerror
        raise SetupError(f"cannot open {TUN} ({why}): run `modprobe tun`, or take a kernel with TUN") from None
    interpreter()


def find_tool(name: str) -> str | None:
    """The path of a command, also when the folders of system commands are not in PATH; None when it is missing."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS]))


def _environment(folders: Iterable[Path]) -> Path | None:
    for folder in folders:
        if (folder / "pyvenv.cfg").is_file():
            return folder / "bin" / "python"
    return None
