# SPDX-License-Identifier: GPL-2.0-or-later
"""eapol_test: hostap's RADIUS client and EAP-AKA peer, with a USIM of our own beside it (Debian's build has none)."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.agent.datapath_network import Namespace

from .milenage import Card

TOOL = "eapol_test"
PATIENCE = 20.0
_ASKED = re.compile(rb"CTRL-REQ-SIM-(\d+):UMTS-AUTH:([0-9a-f]{32}):([0-9a-f]{32})")


@dataclass(frozen=True)
class Outcome:
    """``rounds`` is how often the USIM was asked."""

    success: bool
    output: str
    rounds: int


def run(
    namespace: Namespace, folder: Path, card: Card, identity: str, method: str, secret: str, server: str = "127.0.0.1",
    port: int = 1812, reauthentications: int = 0, called: str | None = None, phase1: str = "",
) -> Outcome:  # fmt: skip
    """One run to its end: full authentication and that many more after it."""
    folder.mkdir(parents=True, exist_ok=True)
    control = folder / "control"
    shutil.rmtree(control, ignore_errors=True)
    (folder / "conf").write_text(
        f"ctrl_interface={control}\nexternal_sim=1\n"
        f'network={{\n key_mgmt=WPA-EAP\n eap={method}\n identity="{identity}"\n phase1="{phase1}"\n}}\n'
    )
    command = [TOOL, "-W", "-c", str(folder / "conf"), "-a", server, "-p", str(port), "-s", secret, "-t", "8",
               "-r", str(reauthentications), *(["-N", f"30:s:{called}"] if called else [])]  # fmt: skip
    with namespace, (folder / "out").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        rounds = _serve(process, control / "test", card)
    finally:
        process.kill()
        process.wait()
    return Outcome(process.returncode == 0, (folder / "out").read_text(errors="replace"), rounds)


def _serve(process: subprocess.Popen[bytes], control: Path, card: Card) -> int:
    """Be the USIM until the process ends."""
    deadline = time.monotonic() + PATIENCE
    while not control.exists():
        assert process.poll() is None and time.monotonic() < deadline, f"{TOOL} gives no control socket"
        time.sleep(0.01)  # a poll of a condition that has its limit
    rounds = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        own = control.parent.parent / f"usim.{os.getpid()}"
        own.unlink(missing_ok=True)
        channel.bind(str(own))
        channel.connect(str(control))
        channel.settimeout(0.1)
        channel.send(b"ATTACH")
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{TOOL} does not end"
            try:
                asked = _ASKED.search(channel.recv(4096))
            except (TimeoutError, ConnectionError):
                continue
            if asked:
                rounds += 1
                channel.send(f"CTRL-RSP-SIM-{asked[1].decode()}:{_answer(card, asked[2], asked[3])}".encode())
    return rounds


def _answer(card: Card, rand: bytes, autn: bytes) -> str:
    found = card.answer(bytes.fromhex(rand.decode()), bytes.fromhex(autn.decode()))
    if found is None:
        return "UMTS-FAIL"
    if isinstance(found, bytes):
        return f"UMTS-AUTS:{found.hex()}"
    return f"UMTS-AUTH:{found.ik.hex()}:{found.ck.hex()}:{found.res.hex()}"
