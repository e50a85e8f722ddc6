# SPDX-License-Identifier: GPL-2.0-or-later
"""The captures of a run: the access link in the main trace, every further link in a file of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .child import READY_FD, Child
from .host import Ipv6Host
from .run_folder import give_back

PROGRAM = Path(__file__).with_name("pcapng.py")


class Capture:
    """A running capture on one interface of a node."""

    def __init__(self, node: Any, interface: str, file: Path, log: Path) -> None:  # Any: Mininet has no types
        self.interface = interface
        self.file = file
        command = [sys.executable, "-IS", str(PROGRAM), interface, str(file), READY_FD]
        self.child = Child(node, command, log, orphaned="TERM")  # its file is closed even when `mn` is killed

    def await_ready(self) -> None:
        self.child.await_ready()
        give_back(self.file)

    def stop(self) -> str:
        """End with everything seen written; the answer is empty or says what went wrong."""
        self.child.signal()
        return self.child.await_end()


def taps(hosts: list[Any], links: list[Any]) -> dict[str, tuple[Any, str]]:
    """File name -> node and interface to capture at; Any: Mininet has no types.

    The main trace is taken at an access router's access interface. Other links between two hosts get a file each; a
    switch and its links are one link, which the main trace shows.
    """
    routers = [(host, host.access_interface) for host in hosts if hasattr(host, "access_interface")]
    found: dict[str, tuple[Any, str]] = {}
    for number, (host, interface) in enumerate(routers):
        found["trace.pcapng" if number == 0 else f"trace-{host}.pcapng"] = (host, interface)
    tapped = {interface for _, interface in found.values()}
    for link in links:
        ends = [end for end in (link.intf1, link.intf2) if isinstance(end.node, Ipv6Host)]
        if len(ends) == 2 and not tapped & {str(end) for end in ends}:
            name = "-".join(str(end.node) for end in ends)
            found[_free(name, found)] = (ends[0].node, str(ends[0]))
    return found


def _free(name: str, taken: dict[str, Any]) -> str:
    number = 1
    while (file := f"{name}{'' if number == 1 else f'-{number}'}.pcapng") in taken:
        number += 1
    return file
