# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for our agents, so that nodes are tested alone: it speaks to nodes as an agent does, and does no protocol.

`standin.py ue|gateway CONFIG --ready-fd N` or `standin.py certificate FOLDER --out NAME ...`. At its orderly end a UE
that is attached sends one datagram, `goodbye`, on its access link: a trace must end with it. The UE that the variable
TEST_NEVER_READY names never becomes ready; the one in TEST_REFUSES refuses to attach.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from ipaddress import IPv6Address
from pathlib import Path

TENTATIVE = 0x40  # <linux/if_addr.h>
GLOBAL = "00"  # scope
ACCESS_SECONDS = 30.0
GOODBYE_PORT = 9  # discard


class Standin:
    def __init__(self, config: Path) -> None:
        self.settings = json.loads(config.read_text())
        self.role = self.settings["role"]
        self.home = config.parent / self.settings["control"]
        self.name = self.settings["name"]
        self.attached = self.settings.get("attach") == "auto"
        self.left = 100.0

    def answer(self, command: str) -> dict[str, object]:
        if command == "attach" and self.name == os.environ.get("TEST_REFUSES"):
            return {"version": 1, "ok": False, "error": "the gateway refused us: no subscription"}
        if command in ("attach", "detach"):
            self.attached = command == "attach"
        if command == "refresh":
            self.left += 100
        return {"version": 1, "ok": True, "result": self.status()}

    def status(self) -> dict[str, object]:
        return {
            "name": self.name,
            "role": self.role,
            "state": "attached" if self.attached else "idle",
            "home_address": "2001:db8:100:8000::1" if self.attached and self.role == "ue" else None,
            "ipv4_home_address": "198.51.100.1" if self.attached and self.role == "ue" else None,
            "lifetime_left": self.left if self.attached else 0,
            "care_of_address": care_of_address(self.settings["access"]["interface"]) if self.role == "ue" else None,
            "packets": {"up": 0, "down": 0},
        }

    def serve(self, ready: int) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(self.home.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/{self.home.name}")
        listener.listen()
        if self.name == os.environ.get("TEST_NEVER_READY"):
            sys.exit("stand-in: no subscription for me")
        if self.attached and self.role == "ue":
            await_care_of_address(self.settings["access"]["interface"])
        os.write(ready, json.dumps({"version": 1, "event": "ready", "control": str(self.home)}).encode() + b"\n")
        os.close(ready)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as lines:
                lines.write(json.dumps(self.answer(json.loads(lines.readline())["command"])).encode() + b"\n")

    def leave(self, *_: object) -> None:
        if self.role == "ue" and self.attached:
            link = socket.if_nametoindex(self.settings["access"]["interface"])
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as farewell:
                farewell.sendto(b"goodbye", ("ff02::1", GOODBYE_PORT, 0, link))
        sys.exit(0)


def await_care_of_address(interface: str) -> None:
    deadline = time.monotonic() + ACCESS_SECONDS
    while care_of_address(interface) is None:
        if time.monotonic() > deadline:
            sys.exit(f"stand-in: no care-of address on {interface}")
        time.sleep(0.02)


def care_of_address(interface: str) -> str | None:
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, _, _, scope, flags, name = line.split()
        if name == interface and scope == GLOBAL and not int(flags, 16) & TENTATIVE:
            return str(IPv6Address(bytes.fromhex(digits)))
    return None


def certify(folder: Path, name: str) -> None:
    for file in ("ca.pem", f"{name}.pem", f"{name}.key"):
        (folder / file).write_text("not a certificate\n")


def main(words: list[str]) -> None:
    if words[0] == "certificate":
        certify(Path(words[1]), words[words.index("--out") + 1])
        return
    agent = Standin(Path(words[1]))
    signal.signal(signal.SIGTERM, agent.leave)
    agent.serve(int(words[words.index("--ready-fd") + 1]))


if __name__ == "__main__":
    main(sys.argv[1:])
