# SPDX-License-Identifier: GPL-2.0-or-later
"""hostapd as RADIUS server for EAP-AKA and EAP-AKA', with a home subscriber server of our own behind it."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from tests.agent.datapath_network import Namespace

from .milenage import Card

DAEMON = "/usr/sbin/hostapd"
ADDRESS, PORT = IPv4Address("127.0.0.1"), 1812
PATIENCE = 20.0
USERS = """\
"0"* AKA
"2"* AKA
"4"* AKA
"6"* AKA'
"7"* AKA'
"8"* AKA'
"""
"""The first character tells permanent, pseudonym and fast re-authentication identities (TS 23.003 19.3)."""


class Hlr:
    """Answers hostapd's `eap_sim_db` datagrams: AKA-REQ-AUTH and AKA-AUTS."""

    def __init__(self, path: Path, cards: Iterable[Card]) -> None:
        self.cards = {card.imsi: card for card in cards}
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._run, name="hlr", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                octets, peer = self._socket.recvfrom(2048)
            except OSError:
                return
            if not octets:  # what `close` sends
                return
            words = octets.decode().split()
            self.said.append(" ".join(words))
            answer = self._answer(words)
            if answer:
                self._socket.sendto(answer.encode(), peer)

    def _answer(self, words: list[str]) -> str:
        card = self.cards.get(words[1])
        if words[0] == "AKA-AUTS":
            done = card is not None and card.resynchronise(bytes.fromhex(words[3]), bytes.fromhex(words[2]))
            self.said.append(f"resynchronised {words[1]}" if done else f"no resynchronisation of {words[1]}")
            return ""
        if card is None:
            return f"AKA-RESP-AUTH {words[1]} FAILURE"
        rand, autn, found = card.vector()
        octets = (rand, autn, found.ik, found.ck, found.res)
        return " ".join(["AKA-RESP-AUTH", words[1], *(each.hex() for each in octets)])

    def close(self) -> None:
        """End the thread and the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()


class Hostapd:
    """A RADIUS server at 127.0.0.1 port 1812 of a namespace; ``settings`` are added to its configuration."""

    def __init__(
        self,
        namespace: Namespace,
        folder: Path,
        cards: Iterable[Card],
        secret: str = "radius-secret",
        users: str = USERS,
        clients: str = "0.0.0.0/0",
        port: int = PORT,
        name: str = "hostapd",
        **settings: object,
    ) -> None:
        folder = folder / name
        folder.mkdir(parents=True)
        self._log = folder / "log"
        self.hlr = Hlr(folder / "hlr", cards)
        (folder / "users").write_text(users)
        (folder / "clients").write_text(f"{clients} {secret}\n")
        usual = {
            "driver": "none", "interface": "lo", "logger_stdout": -1, "logger_stdout_level": 0, "eap_server": 1,
            "eap_user_file": folder / "users", "eap_sim_db": f"unix:{folder / 'hlr'}", "eap_sim_aka_result_ind": 0,
            "eap_sim_id": 3, "radius_server_clients": folder / "clients", "radius_server_auth_port": port,
        }  # fmt: skip
        lines = [f"{key}={value}\n" for key, value in {**usual, **settings}.items()]
        (folder / "conf").write_text("".join(lines))
        with namespace, self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [DAEMON, "-dd", "-K", folder / "conf"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.await_log("Setup of interface done|RADIUS SRV: .*started|AP-ENABLED")

    def log(self) -> str:
        """All so far, keys included."""
        return self._log.read_text(errors="replace")

    def await_log(self, pattern: str, count: int = 1, seconds: float = PATIENCE) -> re.Match[str]:
        """Its line number ``count`` that holds ``pattern``, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while len(found := list(re.finditer(pattern, self.log()))) < count:
            ended = self.process.poll() is not None
            assert not ended and time.monotonic() < deadline, f"hostapd did not say {pattern!r}:\n{self.log()[-3000:]}"
            time.sleep(0.01)  # a poll of a condition that has its limit
        return found[count - 1]

    def close(self) -> None:
        """End it and its HLR."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.hlr.close()
