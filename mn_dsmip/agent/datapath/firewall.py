# SPDX-License-Identifier: GPL-2.0-or-later
"""Drops the kernel's copy of packets that are the agent's, so that the kernel never answers them with ICMPv6 errors.

A packet socket has its copy before netfilter's `raw` table sees the packet. Both back ends drop the same: what the BPF
program lets through, without ICMPv6 errors and without fragments that may be somebody else's. Of a fragmented packet of
ours the first fragment is dropped at least, and without that the kernel reports no reassembly timeout (RFC 8200 4.5).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from ipaddress import IPv6Address
from typing import Protocol

from ...engine.discovery.dns import DNS_PORT, PORTS
from ..errors import EnvironmentProblem
from .bpf import IKE_PORTS, TUNNEL_HEADERS

TOOL_TIMEOUT = 30.0
"""Seconds that a tool may take; the slowest kernel that we know needs less than one."""
_PORTS = f"{PORTS.start}-{PORTS.stop - 1}"


class Firewall(Protocol):
    """Drops at most one care-of address's packets; ``close`` removes everything."""

    def protect(self, care_of: IPv6Address) -> None: ...

    def close(self) -> None: ...


def open_firewall(interface: str, node_name: str) -> Firewall:
    """nftables, or the older ip6tables where the kernel lacks those; ``EnvironmentProblem`` when there is neither."""
    reasons = []
    for kind in BACK_ENDS:
        try:
            return kind(interface, _owner(node_name))
        except _Unusable as reason:
            reasons.append(str(reason))
    raise EnvironmentProblem(
        "no firewall keeps the kernel from answering packets of ours: "
        f"{'; '.join(reasons)}; install nftables (or iptables)"
    )


class _Unusable(Exception):
    """A back end that this machine does not have."""


class Nftables:
    """A table of our own (nft(8))."""

    def __init__(self, interface: str, owner: str) -> None:
        self._interface, self._table = interface, owner
        try:
            self._apply("")
        except EnvironmentProblem as reason:
            raise _Unusable(str(reason)) from None

    def protect(self, care_of: IPv6Address) -> None:
        """Drop the kernel's copies of packets for this address, and of no other."""
        self._apply(f"""
            chain ours {{
                meta l4proto {{ {", ".join(map(str, TUNNEL_HEADERS))} }} drop
                exthdr dst exists drop
                exthdr rt exists drop
                udp dport {{ {", ".join(map(str, IKE_PORTS))} }} drop
                udp sport {DNS_PORT} udp dport {_PORTS} drop
            }}
            chain prerouting {{
                type filter hook prerouting priority raw
                iifname "{self._interface}" ip6 daddr {care_of} jump ours
            }}""")

    def _apply(self, chains: str) -> None:
        """Replace the table in one transaction; the first line lets the second one succeed."""
        table = f"table ip6 {self._table}"
        _run(["nft", "-f", "-"], f"{table}\ndelete {table}\n{table} {{{chains}\n}}\n")

    def close(self) -> None:
        """Remove the table."""
        table = f"table ip6 {self._table}"
        _run(["nft", "-f", "-"], f"{table}\ndelete {table}\n")


class Ip6tables:
    """A chain of our own in the `raw` table (ip6tables(8))."""

    def __init__(self, interface: str, owner: str) -> None:
        self._chain = owner
        self._jump = ["PREROUTING", "-i", interface, "-j", owner]
        tool = next(filter(shutil.which, ("ip6tables-legacy", "ip6tables")), None)
        if tool is None:
            raise _Unusable("ip6tables-legacy is not installed")
        self._tool = tool
        try:
            self._restore([])
            if not self._has_jump():
                self._table("-I", *self._jump)
        except EnvironmentProblem as reason:
            raise _Unusable(str(reason)) from None

    def protect(self, care_of: IPv6Address) -> None:
        """Drop the kernel's copies of packets for this address, and of no other."""
        matches = [f"-p {number}" for number in TUNNEL_HEADERS]
        matches += [f"-m ipv6header --soft --header {name}" for name in ("dst", "route")]
        matches += [f"-p udp --dport {port}" for port in IKE_PORTS]
        matches.append(f"-p udp --sport {DNS_PORT} --dport {_PORTS.replace('-', ':')}")
        self._restore([f"-A {self._chain} -d {care_of} {match} -j DROP" for match in matches])

    def _restore(self, rules: list[str]) -> None:
        """Make the chain, or empty it, and fill it in one transaction."""
        lines = ["*raw", f":{self._chain} - [0:0]", *rules, "COMMIT", ""]
        _run([f"{self._tool}-restore", "-w", "--noflush"], "\n".join(lines))

    def _has_jump(self) -> bool:
        try:
            self._table("-C", *self._jump)
        except EnvironmentProblem:
            return False
        return True

    def _table(self, *arguments: str) -> None:
        _run([self._tool, "-w", "-t", "raw", *arguments])

    def close(self) -> None:
        """Remove the chain and the jump to it."""
        self._table("-D", *self._jump)
        self._table("-F", self._chain)
        self._table("-X", self._chain)


BACK_ENDS: tuple[type[Nftables | Ip6tables], ...] = (Nftables, Ip6tables)
"""In order of preference."""


def _owner(node_name: str) -> str:
    """A name for a node's table or chain: at most 28 characters that every tool takes (ip6tables' limit)."""
    readable = re.sub(r"\W", "_", node_name, flags=re.ASCII)[:10]
    return f"mn_dsmip_{readable}_{zlib.crc32(node_name.encode()):08x}"


def _run(command: list[str], text: str = "") -> None:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TOOL_TIMEOUT, check=False)
    except FileNotFoundError:
        raise EnvironmentProblem(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"{command[0]} did not end within {TOOL_TIMEOUT:.0f} s") from None
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[0]
        raise EnvironmentProblem(f"{command[0]} refused: {reason}")
