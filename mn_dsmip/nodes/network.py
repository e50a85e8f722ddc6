# SPDX-License-Identifier: GPL-2.0-or-later
"""A Mininet that runs agents: it keeps a run's folder, captures, and starts and stops its nodes in the right order."""

from __future__ import annotations

import atexit
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from mininet.log import info, warn
from mininet.net import Mininet

from . import machine
from .capture import Capture, taps
from .errors import NodeError
from .gateways import PdnGw
from .home_operator import Operator
from .host import ActiveHost, Ipv6Host, Stage
from .run_folder import RunFolder
from .services import DnsServer
from .switches import Guard, seclude
from .ue import UE

CERTIFICATE_SECONDS = 30.0
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Network(Mininet):  # type: ignore[misc]  # Mininet has no types
    """Mininet with agents: `start` returns when every node is ready, `stop` ends UEs first and captures last.

    However the program ends - end of the prompt, exception, Ctrl-C, SIGTERM - `stop` runs once, before links go.
    """

    folder: RunFolder
    operator: Operator
    agent_command: Sequence[str]

    def __init__(
        self,
        topo: Any = None,
        *,
        agent_command: Sequence[str] | None = None,
        runs: Path | None = None,
        **params: Any,
    ) -> None:  # Any: Mininet's own
        self.operator = Operator()
        self._given = agent_command, runs
        self._captures: list[Capture] = []
        self._guard: Guard | None = None
        self._stopped = False
        super().__init__(topo=topo, **params)

    def build(self) -> None:
        atexit.register(self.stop)
        for number in ENDING_SIGNALS:
            if _in_main_thread() and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _leave)
        super().build()

    def start(self) -> None:
        """Start switches as Mininet does, then captures, services, gateways and UEs; NodeError when one fails."""
        command, runs = self._given
        self.agent_command = command or machine.agent_command()
        self._guard = Guard(str(switch) for switch in self.switches)
        super().start()
        self._seclude_switches()
        self.folder = RunFolder(runs or machine.runs_folder(), _title(self.topo))
        self._gather()
        self._certify()
        self._describe()
        self._start_captures()
        for stage in Stage:
            nodes = self._active(stage)
            info(f"*** Starting {', '.join(map(str, nodes)) or 'no'} ({stage.name.lower()})\n")
            for node in nodes:
                node.start(self)
            for node in nodes:
                node.await_ready()
        info(f"*** Run: {self.folder.path}\n")

    def stop(self) -> None:
        """Stop in the order of `start` turned round, then as Mininet does; a second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        with _undisturbed():
            self._stop_agents()
            super().stop()
            if self._guard is not None:
                self._guard.dismiss()

    def ues(self) -> list[UE]:
        return [host for host in self.hosts if isinstance(host, UE)]

    def gateways(self) -> list[PdnGw]:
        return [host for host in self.hosts if isinstance(host, PdnGw)]

    def _active(self, stage: Stage) -> list[ActiveHost]:
        return [host for host in self.hosts if isinstance(host, ActiveHost) and host.stage is stage]

    def _stop_agents(self) -> None:
        for stage in reversed(Stage):
            nodes = self._active(stage)
            for node in nodes:
                node.halt()
            for node in nodes:
                _complain(node.await_halted())
        for capture in self._captures:
            _complain(capture.stop())
        if hasattr(self, "folder"):
            self.folder.give_back()

    def _seclude_switches(self) -> None:
        """Keep the namespace of `mn` out of the networks it switches: nothing that is advertised there is for it."""
        for switch in self.switches:
            if not switch.inNamespace:
                seclude(str(switch), [str(switch), *switch.intfNames()])

    def _gather(self) -> None:
        for ue in self.ues():
            ue.subscriber = self.operator.subscribe(ue.subscriber, ue.apn)
        for gateway in self.gateways():
            self.operator.publish(gateway.home_agent_addresses, gateway.serves)
        servers = (host.ipv6() for host in self.hosts if isinstance(host, DnsServer))
        self.operator.dns_servers = [address for address in servers if address]

    def _certify(self) -> None:
        """Have a demonstration authority and a certificate made for each gateway that is configured by us."""
        for gateway in self.gateways():
            if gateway.config_file is not None:
                continue
            names = [name for name, addresses in self.operator.home_agents.items() if gateway.address in addresses]
            command = [*self.agent_command, "certificate", str(self.folder.config("")), "--out", gateway.name]
            command += [word for name in names for word in ("--name", name)]
            command += [word for address in gateway.home_agent_addresses for word in ("--address", address)]
            made = subprocess.run(
                command, capture_output=True, text=True, cwd="/", timeout=CERTIFICATE_SECONDS, check=False
            )
            if made.returncode:
                raise NodeError(f"{gateway}: no certificate could be made: {(made.stderr or made.stdout).strip()}")

    def _describe(self) -> None:
        nodes = {str(host): host.describe() for host in self.hosts if isinstance(host, Ipv6Host)}
        links = [[str(link.intf1), str(link.intf2)] for link in self.links]
        self.folder.describe(getattr(self.topo, "parameters", {}), nodes, links)

    def _start_captures(self) -> None:
        for file, (node, interface) in taps(self.hosts, self.links).items():
            log = self.folder.log(Path(file).stem)
            self._captures.append(Capture(node, interface, self.folder.path / file, log))
        for capture in self._captures:
            capture.await_ready()


def _title(topo: Any) -> str:
    return str(getattr(topo, "title", "") or type(topo).__name__.lower())


def _complain(sentence: str) -> None:
    if sentence:
        warn(f"*** {sentence}\n")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let an orderly stop, which is bounded, come to its end whatever keys are pressed."""
    if not _in_main_thread():
        yield
        return
    numbers = (signal.SIGINT, *ENDING_SIGNALS)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
