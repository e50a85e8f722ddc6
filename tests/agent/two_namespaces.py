# SPDX-License-Identifier: GPL-2.0-or-later
"""Our two agents against each other: a UE's namespace, and one for gateway, access router, DNS and correspondent.

ue ns                          pgw ns
UE agent --- ue-eth0 ======= pgw-eth0 --- dnsmasq: Router Advertisements with RDNSS, DNS
dsmip0: home addresses         dsmip0: home agent 2001:db8:aaaa::1, home prefixes
                               lo: correspondent 2001:db8:c::80 and 198.51.100.80
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mn_dsmip.agent.control import ask
from mn_dsmip.engine.discovery import ha_apn_fqdn
from tests.agent.datapath_network import ETH_P_ALL, Namespace, link, namespaces
from tests.agent.files import Samples

HOME_AGENT = "2001:db8:aaaa::1"
CORRESPONDENT, CORRESPONDENT_IPV4 = "2001:db8:c::80", "198.51.100.80"
ACCESS, ROUTER = "2001:db8:f:1::", "2001:db8:f:1::1"
PATIENCE = 30.0

DNSMASQ = f"""\
no-resolv
no-hosts
no-poll
user=root
pid-file=
bind-interfaces
interface=pgw-eth0
except-interface=lo
log-facility=-
enable-ra
ra-param=pgw-eth0,60,1800
dhcp-range={ACCESS},ra-only,64,86400
dhcp-option=option6:dns-server,[{ROUTER}]
host-record={ha_apn_fqdn("internet", "001", "01")},{HOME_AGENT}
"""


class Process:
    """A child in a namespace, its words kept; ended by its own process id and by nothing else."""

    def __init__(self, namespace: Namespace, command: list[str], ready: bool = False) -> None:
        receiver, sender = os.pipe()
        words = [*command, "--ready-fd", str(sender)] if ready else command
        self.begun = time.monotonic()
        with namespace:
            self.child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[sender]
            )
        os.close(sender)
        self._ready = receiver

    def await_ready(self) -> dict[str, Any]:
        """The line that an agent writes when it is ready."""
        assert select.select([self._ready], [], [], PATIENCE)[0], "not ready in time"
        line = os.read(self._ready, 4096)
        assert line, self.end()
        self.took = time.monotonic() - self.begun
        found: dict[str, Any] = json.loads(line)
        return found

    def resident(self) -> float:
        """Mebibytes of memory in use."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit status and all that was said."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            output, _ = self.child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            output, _ = self.child.communicate()
            raise AssertionError(f"did not end within {PATIENCE} s: {output.decode()}") from None
        return self.child.returncode, output.decode()

    def close(self) -> None:
        os.close(self._ready)
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


class Tap:
    """Every IPv6 packet on the access link, both ways, in order."""

    def __init__(self, namespace: Namespace, name: str) -> None:
        with namespace:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self._socket.bind((name, ETH_P_ALL))
        self._socket.setblocking(False)
        self._packets: list[bytes] = []

    def packets(self) -> list[bytes]:
        """All so far."""
        while True:
            try:
                packet = self._socket.recv(70000)
            except BlockingIOError:
                return self._packets
            if packet[0] >> 4 == 6:
                self._packets.append(packet)

    def close(self) -> None:
        self._socket.close()


class Field:
    """Both namespaces with everything but the agents running."""

    def __init__(self, ue: Namespace, pgw: Namespace, folder: Path, stack: ExitStack) -> None:
        self.ue_namespace, self.pgw_namespace, self._stack = ue, pgw, stack
        self.samples = Samples(folder)
        self.samples.edit("ue.yaml", "interface: eth0", "interface: ue-eth0")
        for name in ("ue", "gateway"):
            self.samples.add(f"{name}.yaml", f"\njournal: {name}.jsonl\nkeylog: wireshark\n")
        pgw.run("echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad")  # a router that has been there for long
        link(ue, "ue-eth0", pgw, "pgw-eth0")
        pgw.run(
            f"ip addr add {ROUTER}/64 dev pgw-eth0 nodad",
            f"ip addr add {CORRESPONDENT}/128 dev lo",
            f"ip addr add {CORRESPONDENT_IPV4}/32 dev lo",
        )
        self.tap = Tap(pgw, "pgw-eth0")
        stack.callback(self.tap.close)
        configuration = folder / "dnsmasq.conf"
        configuration.write_text(DNSMASQ)
        self.dnsmasq = self.start(pgw, ["dnsmasq", "--no-daemon", f"--conf-file={configuration}"])

    def start(self, namespace: Namespace, command: list[str], ready: bool = False) -> Process:
        """Start something that ends with the test."""
        process = Process(namespace, command, ready)
        self._stack.callback(process.close)
        return process

    def agent(self, role: str) -> Process:
        """Start one of our agents and wait until it is ready."""
        namespace = self.ue_namespace if role == "ue" else self.pgw_namespace
        config = str(self.samples.folder / f"{role}.yaml")
        process = self.start(namespace, [sys.executable, "-m", "mn_dsmip", role, config], ready=True)
        ready = process.await_ready()
        assert (ready["version"], ready["event"], ready["name"]) == (1, "ready", role)
        assert ready["control"] == str(self.samples.folder / f"state/{role}/control.sock")
        return process

    def ask(self, role: str, command: str) -> dict[str, Any]:
        """Have an agent carry out a command."""
        return ask(self.samples.folder / f"state/{role}/control.sock", command, PATIENCE, lambda line: None)

    def journal(self, role: str) -> list[dict[str, Any]]:
        """What an agent has journalled."""
        return [json.loads(line) for line in (self.samples.folder / f"{role}.jsonl").read_text().splitlines()]

    def await_entry(self, role: str, event: str, count: int = 1) -> dict[str, Any]:
        """The journal's entry number ``count`` of that name, as soon as it is there."""
        path = self.samples.folder / f"{role}.jsonl"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = [entry for entry in self.journal(role) if entry["event"] == event] if path.exists() else []
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)  # a poll of a condition that has its limit
        raise AssertionError(f"no {event} from the {role}: {[entry['event'] for entry in self.journal(role)]}")


@contextmanager
def field(folder: Path) -> Iterator[Field]:
    """Build it, and leave nothing behind."""
    with ExitStack() as stack:
        ue, pgw = stack.enter_context(namespaces(2))
        yield Field(ue, pgw, folder, stack)
