# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that outlives `mn` for one purpose: to remove its switches when it was killed.

Nodes vanish by themselves, because their namespaces end with their last process; a bridge stands where `mn` ran.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

# `read` fails when the other end of the pipe closes without a word: then `mn` is dead.
SCRIPT = """
read -r word && exit
for switch do
  if command -v ovs-vsctl && ovs-vsctl --timeout=2 br-exists "$switch"; then ovs-vsctl --timeout=2 del-br "$switch"
  else ip link delete "$switch"
  fi
done
"""
END_SECONDS = 5.0


class Guard:
    """Watches over switches that stand in our own namespace."""

    def __init__(self, switches: Iterable[str]) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "mn-dsmip-guard", *switches],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )

    def dismiss(self) -> None:
        """The switches were removed in good order."""
        try:
            self.process.communicate(b"done\n", END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
