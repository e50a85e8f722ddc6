# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder in which a run leaves everything: traces, keys, journals, configuration, state."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mininet.net import VERSION as MININET_VERSION

from .. import __version__

FORMAT_VERSION = 1
PARTS = ("config", "control", "journal", "state", "wireshark")
PRIVATE = 0o600
NAMES_TRIED = 100
WIRESHARK_FILES = {  # the key tables are the gateway's; a table in preferences format needs no quoting
    "preferences": "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n",
    "decode_as_entries": "decode_as_entry: udp.port,4191,(none),IPv4\n",  # DS-MIPv6 over IPv4: RFC 5555 4.2
}


class RunFolder:
    """`runs/<date-time>-<topology>/`, made new; `runs/latest` leads to it."""

    def __init__(self, runs: Path, topology: str) -> None:
        self.topology = topology
        self.path = _new_folder(runs, topology)
        for part in PARTS:
            (self.path / part).mkdir()
        for name, text in WIRESHARK_FILES.items():
            (self.wireshark / name).write_text(text)
        _point(runs / "latest", self.path.name)
        give_back(runs)
        self.give_back()

    @property
    def trace(self) -> Path:
        """Where the main trace is: what the access link of the UEs saw."""
        return self.path / "trace.pcapng"

    @property
    def wireshark(self) -> Path:
        """A ready WIRESHARK_CONFIG_DIR."""
        return self.path / "wireshark"

    def config(self, name: str) -> Path:
        return self.path / "config" / name

    def control(self, node: str) -> Path:
        return self.path / "control" / f"{node}.sock"

    def journal(self, node: str) -> Path:
        return self.path / "journal" / f"{node}.jsonl"

    def log(self, child: str) -> Path:
        """Where a child process writes what it has to say to a person."""
        return self.path / "journal" / f"{child}.log"

    def state(self, node: str) -> Path:
        folder = self.path / "state" / node
        folder.mkdir(exist_ok=True)
        return folder

    def write_private(self, name: str, settings: Mapping[str, Any] | list[Any]) -> Path:
        """Write `config/<name>`, readable by its owner only: JSON, which is YAML too."""
        path = self.config(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
            json.dump(settings, file, indent=2)
            file.write("\n")
        return path

    def describe(self, parameters: Mapping[str, Any], nodes: Mapping[str, Any], links: list[Any]) -> None:
        """Write `run.json`: what ran, with what, where."""
        description = {
            "version": FORMAT_VERSION,
            "topology": self.topology,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": {
                "mn_dsmip": __version__,
                "mininet": MININET_VERSION,
                "python": platform.python_version(),
                "kernel": platform.release(),
            },
            "parameters": dict(parameters),
            "nodes": dict(nodes),
            "links": links,
        }
        (self.path / "run.json").write_text(json.dumps(description, indent=2) + "\n")

    def give_back(self) -> None:
        """Let everything in here belong to the user who called sudo."""
        for folder, _, files in os.walk(self.path):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                give_back(path)


def give_back(path: Path | str) -> None:
    """Let one file belong to the user who called sudo; without sudo nothing changes."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ and "SUDO_GID" in os.environ:
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]), follow_symlinks=False)


def _new_folder(runs: Path, topology: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    base = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', topology)}"
    for name in (base, *(f"{base}-{number}" for number in range(2, NAMES_TRIED))):
        try:
            (runs / name).mkdir()
        except FileExistsError:
            continue
        return runs / name
    raise FileExistsError(f"{runs} already holds {NAMES_TRIED} runs that began this second")


def _point(link: Path, target: str) -> None:
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.symlink_to(target)
    beside.replace(link)
    give_back(link)
