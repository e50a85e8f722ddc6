# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps a UE's kernel from answering packets that the agent has read already at its packet socket.

The kernel has no home address, no ESP and no open port for them, so its own copy would end in an ICMPv6 error. A packet
socket gets its copy before netfilter's ``raw`` priority, where a table of our own drops the kernel's. Both tools look
behind extension headers, so type 2 routing header and fragment header do not hide ESP. Fragments of other protocols
stay with the kernel: without the first one, which is dropped here when it is ours, it never answers the rest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import NamedTuple

from ...engine.discovery.dns import DNS_PORT, PORTS
from ...engine.ike.session import IKE_PORT, NAT_T_PORT
from ...wire.ip import ESP, IPIP, IPV6_IN, MOBILITY_HEADER
from ..errors import EnvironmentProblem

_PROTOCOLS = (IPIP, IPV6_IN, ESP, MOBILITY_HEADER)
_TIMEOUT = 20.0
"""Seconds for a tool that normally needs a hundredth of one."""
_LONGEST_CHAIN = 28


class Tool(NamedTuple):
    """A command that reads rules from its input."""

    command: tuple[str, ...]
    install: str
    remove: str


class Firewall:
    """Rules for one node's care-of address on one interface; nothing else on the machine is touched."""

    def __init__(self, node_name: str, interface: str) -> None:
        self._name = "dsmip_" + re.sub(r"[^A-Za-z0-9]", "_", node_name)
        self._interface = interface
        self._tool: str | None = None

    def open(self) -> None:
        """Find a tool that works on this kernel; ``EnvironmentProblem`` when there is none."""
        problems = []
        for name, (rules, _) in _TOOLS.items():
            words = self._run(name, rules(self._name, self._interface, None))
            if words is None:
                self._tool = name
                return
            problems.append(words)
        raise EnvironmentProblem(
            f"the kernel's own answers cannot be held back: {'; '.join(problems)} (apt-get install nftables iptables)"
        )

    def guard(self, care_of: IPv6Address | None) -> None:
        """Drop the kernel's copy of the agent's packets at this care-of address, and at no other."""
        assert self._tool
        rules, _ = _TOOLS[self._tool]
        words = self._run(self._tool, rules(self._name, self._interface, care_of))
        if words is not None:
            raise EnvironmentProblem(f"the kernel's own answers cannot be held back: {words}")

    def close(self) -> None:
        """Remove our rules; when that fails they harm nobody, and the next agent of this name replaces them."""
        if self._tool is not None:
            _, removal = _TOOLS[self._tool]
            self._run(self._tool, removal(self._name))
            self._tool = None

    def _run(self, name: str, script: str) -> str | None:
        """Feed a tool; what it says against it, ``None`` when all went well."""
        ...
