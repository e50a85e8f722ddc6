# SPDX-License-Identifier: GPL-2.0-or-later
"""A node whose work is done by one of our agents, a child process that is spoken to over its control socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import control
from .child import READY_FD, Child
from .errors import NodeError
from .host import ActiveHost

if TYPE_CHECKING:
    from .network import Network


class AgentHost(ActiveHost):
    """Writes the agent's configuration, or takes the file that `config` names, and runs the agent with it."""

    role = ""

    def __init__(self, name: str, *, config: str | Path | None = None, **params: Any) -> None:
        self.config_file = None if config is None else Path(config).resolve()
        self.control: Path | None = None
        super().__init__(name, **params)

    def settings(self, net: Network) -> dict[str, Any]:
        """The configuration that this node's parameters mean."""
        raise NotImplementedError

    def launch(self, net: Network) -> Child:
        path = self.config_file
        if path is None:
            path = net.folder.write_private(f"{self.name}.yaml", {**self._common(net), **self.settings(net)})
        command = [*net.agent_command, self.role, str(path), "--ready-fd", READY_FD]
        self.control = net.folder.control(self.name)
        return Child(self, command, net.folder.log(self.name))

    def await_ready(self) -> None:
        super().await_ready()
        if self.child is not None and self.config_file is not None:  # only the agent knows what that file says
            self.control = self._announced_control(self.child.announcement)

    def ask(self, command: str, timeout: float = control.ANSWER_SECONDS) -> Any:
        """The agent's answer to `status`, `attach`, `refresh` or `detach`; NodeError with its sentence on refusal."""
        if self.child is None or self.control is None:
            raise NodeError(f"{self.name}: its agent is not running")
        if not self.child.running:
            status = self.child.process.returncode
            raise NodeError(f"{self.name}: its agent ended with status {status}; see {self.child.log}")
        return control.ask(self.control, command, timeout)

    def status(self) -> dict[str, Any]:
        """The agent's state as its control socket gives it."""
        return dict(self.ask("status"))

    def _common(self, net: Network) -> dict[str, Any]:
        net.folder.state(self.name)
        return {
            "version": control.FORMAT_VERSION,
            "role": self.role,
            "name": self.name,
            "state_dir": f"../state/{self.name}",
            "control": f"../control/{self.name}.sock",
            "journal": f"../journal/{self.name}.jsonl",
        }

    def _announced_control(self, line: str) -> Path:
        try:
            return Path(json.loads(line)["control"])
        except (ValueError, TypeError, KeyError):
            raise NodeError(f"{self.name}: {self.config_file} names no control socket: add `control: PATH`") from None
