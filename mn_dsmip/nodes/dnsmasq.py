# SPDX-License-Identifier: GPL-2.0-or-later
"""dnsmasq as a node's child: it serves DNS on one node and sends Router Advertisements on another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .child import Child
from .host import ActiveHost
from .machine import find_tool

if TYPE_CHECKING:
    from .network import Network

READY = "started, version"
ALONE = (  # nothing of the machine's own configuration, nothing outside of the run's folder
    "no-resolv",
    "no-hosts",
    "no-poll",
    "no-ping",
    "user=root",
    "pid-file=",
    "bind-interfaces",
    "except-interface=lo",
    "log-facility=-",
)


def launch(node: ActiveHost, net: Network, settings: Sequence[str]) -> Child:
    """Start dnsmasq in `node` with these lines and nothing else as its configuration."""
    path = net.folder.config(f"{node.name}.conf")
    path.write_text("\n".join([*ALONE, *settings]) + "\n")
    # Not --keep-in-foreground: there it changes its credentials, and with them forgets that it must not outlive us.
    command = [find_tool("dnsmasq") or "dnsmasq", "--no-daemon", f"--conf-file={path}"]
    return Child(node, command, net.folder.log(node.name), announced_by=READY)
