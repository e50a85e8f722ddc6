# SPDX-License-Identifier: GPL-2.0-or-later
"""The prompt: Mininet's own, with `dsmip` commands, and with home addresses where a UE is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mininet.cli import CLI
from mininet.log import error, output

from .agent import AgentHost
from .errors import NodeError
from .follow import follow
from .host import Ipv6Host
from .ue import UE

HEADINGS = ("node", "state", "home address", "IPv4 home address", "care-of address", "home agent", "left", "packets")
STATUS_KEYS = ("home_address", "ipv4_home_address", "care_of_address", "home_agent")
USAGE = """usage: dsmip                   what each UE and gateway is doing
       dsmip attach NODE       bootstrap: discovery, IKEv2, registration
       dsmip refresh NODE      extend the binding
       dsmip detach NODE       de-register
       dsmip trace NODE        the trace so far, decrypted, and what follows; Ctrl-C ends it
"""


class DsmipCLI(CLI):  # type: ignore[misc]  # Mininet has no types
    """Mininet's prompt with the command `dsmip`; it appears when the UEs that attach by themselves have done so."""

    def __init__(self, mininet: Any, *args: Any, **kwargs: Any) -> None:  # Any: Mininet has no types
        for host in mininet.hosts:
            if isinstance(host, UE) and host.attach == "auto":
                _await_attach(host)
        super().__init__(mininet, *args, **kwargs)

    def do_dsmip(self, line: str) -> None:
        """Show or steer the agents: dsmip [attach|refresh|detach|trace NODE]"""
        words = line.split()
        try:
            if not words:
                output(table(self._agents()))
            elif len(words) == 2 and words[0] in COMMANDS:
                COMMANDS[words[0]](self, self._agent(words[1]))
            else:
                error(USAGE)
        except NodeError as problem:
            error(f"{problem}\n")

    def complete_dsmip(self, text: str, line: str, _begin: int, _end: int) -> list[str]:
        """Offer commands, then nodes, for the Tab key."""
        second = len(line[: len(line) - len(text)].split()) > 1
        return [word for word in (map(str, self._agents()) if second else COMMANDS) if word.startswith(text)]

    def default(self, line: str) -> None:
        """Run a command in a node, as Mininet does; names of nodes become addresses of the family that is meant."""
        words = line.split(" ")
        wants_ipv6 = "-6" in words or "ping6" in words
        super().default(" ".join([*words[:1], *(self._address(word, wants_ipv6) for word in words[1:])]))

    def attach(self, node: AgentHost) -> None:
        node.ask("attach")
        output(table([node]))

    def refresh(self, node: AgentHost) -> None:
        node.ask("refresh")
        output(table([node]))

    def detach(self, node: AgentHost) -> None:
        node.ask("detach")
        output(table([node]))

    def trace(self, node: AgentHost) -> None:
        """At a terminal until Ctrl-C; in a script only what is there already."""
        follow(self.mn.folder, node, until_interrupted=self.isatty() and not self.inputFile)

    def _agents(self) -> list[AgentHost]:
        return [host for host in self.mn.hosts if isinstance(host, AgentHost)]

    def _agent(self, name: str) -> AgentHost:
        for host in self._agents():
            if host.name == name:
                return host
        raise NodeError(
            f"no UE or gateway is called {name!r}; there is: {', '.join(map(str, self._agents())) or 'none'}"
        )

    def _address(self, word: str, wants_ipv6: bool) -> str:
        node = self.mn[word] if word in self.mn else None  # noqa: SIM401  # a Mininet has no `get` with a default
        if not isinstance(node, Ipv6Host):
            return word
        try:
            return (node.ipv6() if wants_ipv6 else node.ipv4() or node.ipv6()) or word
        except NodeError:
            return word


COMMANDS: dict[str, Callable[[DsmipCLI, AgentHost], None]] = {
    "attach": DsmipCLI.attach,
    "refresh": DsmipCLI.refresh,
    "detach": DsmipCLI.detach,
    "trace": DsmipCLI.trace,
}


def _await_attach(ue: UE) -> None:
    """The prompt comes either way: somebody may want to see why a UE does not attach."""
    try:
        output(f"*** {ue} attached: {ue.ask('attach')['home_address']}\n")
    except NodeError as problem:
        error(f"*** {ue} did not attach: {problem}\n")


def table(nodes: list[AgentHost]) -> str:
    """One line for each node, under headings."""
    rows = [HEADINGS, *(_row(node) for node in nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def _row(node: AgentHost) -> tuple[str, ...]:
    try:
        status = node.status()
    except NodeError as problem:
        return (node.name, str(problem), *("-" for _ in HEADINGS[2:]))
    cells = (_cell(status.get(key)) for key in STATUS_KEYS)
    state = str(status.get("state", "-")).upper()
    left = status.get("lifetime_left")
    packets: dict[str, Any] = status.get("packets") or {}  # Any: JSON
    return (
        node.name,
        state,
        *cells,
        f"{float(left):.0f} s" if left else "-",
        f"{packets.get('up', 0)} up, {packets.get('down', 0)} down",
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
