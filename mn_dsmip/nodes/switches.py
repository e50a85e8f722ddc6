# SPDX-License-Identifier: GPL-2.0-or-later
"""Switches stand in the namespace of `mn`, not in one of their own: they must not touch it, nor outlive `mn` there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

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
    """A process that outlives `mn` for one purpose: to remove its switches when it was killed."""

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


def seclude(switch: str, devices: Iterable[str]) -> None:
    """Take a switch's devices out of the IPv6 of our namespace: they would follow Router Advertisements.

    A Linux bridge would also report a multicast group of its own on the link; it is taken down and up to leave it.
    """
    for device in devices:
        setting = Path("/proc/sys/net/ipv6/conf", device, "disable_ipv6")
        if setting.exists():
            setting.write_text("1\n")
    if _link(switch, "type", "bridge", "mcast_snooping", "0"):  # no to a switch of another kind
        _link(switch, "down")
        _link(switch, "up")


def _link(device: str, *change: str) -> bool:
    return (
        subprocess.run(["ip", "link", "set", "dev", device, *change], capture_output=True, check=False).returncode == 0
    )
