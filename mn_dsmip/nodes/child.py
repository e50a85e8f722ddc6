# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes inside a node's namespaces: they tell when they are ready, and they never outlive `mn`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import NodeError
from .run_folder import give_back

READY_SECONDS = 30.0  # also for the slowest kernel we run on
STOP_SECONDS = 10.0  # an orderly end of an agent is bounded to 5 s of its own
LOOK_SECONDS = 0.01  # between two looks at a log that announces readiness
READY_FD = "{ready_fd}"  # in a command line: the descriptor on which the child says that it is ready
LINE_LIMIT = 65536


class Child:
    """A process started in `node`; its words go to `log`.

    Two ways to be ready: `announced_by` names the words with which a daemon says so in its log; without it the child
    writes one line to the descriptor that stands in its command line as `{ready_fd}`.
    """

    def __init__(
        self,
        node: Any,  # Mininet has no types
        command: Sequence[str],
        log: Path,
        *,
        announced_by: str = "",
        orphaned: str = "KILL",
    ) -> None:
        self.name = str(node) if log.stem == str(node) else f"{node}: {log.stem}"
        self.log = log
        self.announcement = ""
        self._announced_by = announced_by
        self._told = False  # that it did not start: its end is then no news
        self._ready, writer = os.pipe()
        argv = [word.replace(READY_FD, str(writer)) for word in command]
        with log.open("ab") as words:
            give_back(log)
            self.process: subprocess.Popen[bytes] = node.popen(
                ["setpriv", "--pdeathsig", orphaned, *argv],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                pass_fds=(writer,),
                cwd="/",  # `python -m` looks for modules in the current folder first
            )
        os.close(writer)

    def await_ready(self, timeout: float = READY_SECONDS) -> None:
        """Return when the child is ready; NodeError, with its last words, when it ends before or takes too long."""
        deadline = time.monotonic() + timeout
        ready = self._logged if self._announced_by else self._announced
        if not ready(deadline):
            self._told = True
            raise NodeError(f"{self.name} was not ready: {self._why_not(timeout)}{self._last_words()}")

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal, if the child still runs."""
        self.process.send_signal(number)

    def await_end(self, timeout: float = STOP_SECONDS) -> str:
        """Wait for the end after `signal`; the answer is empty, or a sentence about an end that was not orderly."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"{self.name} did not end within {timeout:.0f} s and was killed{self._last_words()}"
        finally:
            self._close()
        if self._told or status == 0:
            return ""
        return f"{self.name} ended with status {status}{self._last_words()}"

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def _announced(self, deadline: float) -> bool:
        line = b""
        while not line.endswith(b"\n") and len(line) < LINE_LIMIT:
            readable, _, _ = select.select([self._ready], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._ready, LINE_LIMIT) if readable else b""
            if not data:
                return False
            line += data
        self.announcement = line.decode(errors="replace")
        return True

    def _logged(self, deadline: float) -> bool:
        while self._announced_by not in self.log.read_text(errors="replace"):
            if time.monotonic() > deadline or not self.running:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _why_not(self, timeout: float) -> str:
        try:  # the descriptor closes a moment before the process can be waited for
            return f"it ended with status {self.process.wait(1.0)}"
        except subprocess.TimeoutExpired:
            return f"nothing was heard for {timeout:.0f} s"

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return f"; its last words: {lines[-1]}" if lines else f"; it said nothing in {self.log}"

    def _close(self) -> None:
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1
