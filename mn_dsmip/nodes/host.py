# SPDX-License-Identifier: GPL-2.0-or-later
"""A host or router with the IPv6 addressing that Mininet lacks, and the life of what runs in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import TYPE_CHECKING, Any

from mininet.log import debug
from mininet.node import Node

from .child import Child
from .errors import NodeError

if TYPE_CHECKING:
    from .network import Network

OFFLOADS = ("rx", "tx", "sg", "tso", "gso", "gro")  # off, or captures show packets and checksums that no wire saw
NEW_INTERFACES = {  # before Mininet moves the first interface in: every interface begins with these
    "net.ipv6.conf.all.disable_ipv6": 0,
    "net.ipv6.conf.default.disable_ipv6": 0,
    "net.ipv6.conf.default.use_tempaddr": 0,  # one care-of address, the same for the whole run
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}
STATIC_INTERFACES = {  # routers and servers: nobody else has their addresses, and nothing is learned from neighbours
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.accept_ra": 0,
}
FORWARDING = {"net.ipv6.conf.all.forwarding": 1, "net.ipv4.ip_forward": 1}

Addresses = Mapping[str, Sequence[str]]
Routes = Iterable[tuple[str, str]]


class Stage(IntEnum):
    """When a node's processes start; they stop the other way round."""

    SERVICE = 1
    GATEWAY = 2
    UE = 3


class Ipv6Host(Node):  # type: ignore[misc]  # Mininet has no types
    """A node with static addresses of both families: `addresses` maps interface names to `address/length`,
    `routes` holds pairs of prefix and next hop. Mininet's own IPv4 default is not used.
    """

    forwards = False
    static = True

    def __init__(
        self, name: str, *, addresses: Addresses | None = None, routes: Routes = (), **params: Any
    ) -> None:  # Any: Mininet's own parameters
        self.addresses: dict[str, list[str]] = {key: list(values) for key, values in (addresses or {}).items()}
        self.routes = list(routes)
        super().__init__(name, **params)
        settings = {
            **NEW_INTERFACES,
            **(STATIC_INTERFACES if self.static else {}),
            **(FORWARDING if self.forwards else {}),
        }
        self.script(_sysctl(settings))

    def config(self, **params: Any) -> Any:  # Any: Mininet's own signature
        """Mininet's configuration, then addresses, routes and offloads; NodeError with the words of what refused."""
        result = super().config(**{**params, "ip": None})
        lines = [
            f"ethtool -K {name} {' '.join(f'{feature} off' for feature in OFFLOADS)} || :" for name in self.intfNames()
        ]
        for name, addresses in self.addresses.items():
            lines += [f"ip address replace {each} dev {name}{_no_dad(each)}" for each in addresses]
        lines += [f"ip {_family(prefix)} route replace {prefix} via {hop}" for prefix, hop in self.routes]
        self.script(lines)
        return result

    def script(self, lines: Sequence[str]) -> str:
        """Run shell commands in the node, all of them or up to the first that fails: NodeError."""
        process = self.popen(["sh", "-e"], stdin=subprocess.PIPE)
        output, errors = process.communicate("\n".join(lines).encode())
        debug(f"*** {self.name}: {lines}\n{errors.decode(errors='replace')}")
        if process.returncode:
            raise NodeError(f"{self.name} refused its configuration: {errors.decode(errors='replace').strip()}")
        return str(output.decode(errors="replace"))

    def ipv6(self) -> str | None:
        """A global IPv6 address under which others reach this node."""
        return self._address(IPv6Interface)

    def ipv4(self) -> str | None:
        """An IPv4 address under which others reach this node."""
        return self._address(IPv4Interface)

    def describe(self) -> dict[str, Any]:
        """What `run.json` says about this node."""
        interfaces = {
            str(each): {"mac": each.MAC(), "addresses": self.addresses.get(str(each), [])} for each in self.intfList()
        }
        return {"role": type(self).__name__, "interfaces": interfaces}

    def _address(self, family: type[IPv4Interface] | type[IPv6Interface]) -> str | None:
        for text in (each for addresses in self.addresses.values() for each in addresses):
            interface = ip_interface(text)
            if isinstance(interface, family):
                return str(interface.ip)
        return None


class Router(Ipv6Host):
    """A host that forwards."""

    forwards = True


class ActiveHost(Ipv6Host):
    """A host in which one child process does the work: a daemon or an agent."""

    stage = Stage.SERVICE
    child: Child | None = None

    def launch(self, net: Network) -> Child:
        """The child process, just started; everything it reads has been written before."""
        raise NotImplementedError

    def start(self, net: Network) -> None:
        """Launch the child without waiting for it."""
        self.child = self.launch(net)

    def await_ready(self) -> None:
        """Return when the child is ready; NodeError, with its last words, when it is not."""
        if self.child is not None:
            self.child.await_ready()

    def halt(self) -> None:
        """Ask the child to end, without waiting for it."""
        if self.child is not None:
            self.child.signal()

    def await_halted(self) -> str:
        """Wait for that end; the answer is empty or says what was not orderly about it."""
        child, self.child = self.child, None
        return "" if child is None else child.await_end()


def _sysctl(settings: Mapping[str, int]) -> list[str]:
    return [f"echo {value} >/proc/sys/{name.replace('.', '/')}" for name, value in settings.items()]


def _family(prefix: str) -> str:
    return "-6" if ":" in prefix else "-4"


def _no_dad(address: str) -> str:
    return " nodad" if ":" in address else ""
