# SPDX-License-Identifier: GPL-2.0-or-later
"""The topology s2c with one UE: `mn` start to attached and its phases, memory of the agents, speed of the user plane.

The speed is that of one TCP connection of iperf3 between UE and correspondent, over the tunnel (home address) and over
the plain path (care-of address) of the same network; offloads are off on its links. As root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mininet.log import setLogLevel
from mininet.nodelib import LinuxBridge

from mn_dsmip import resources
from mn_dsmip.nodes import UE, Ipv6Host, Network
from mn_dsmip.nodes.journal import ATTACHED, phases

ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
WITH_LOOPBACK = ["sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
MN = ["--topo", "s2c", "--switch", "lxbr", "--controller", "none", "--test", "bootstrap"]
RUN_LINE = "*** Run: "
SECONDS = 5
MEBIBYTE = 2**20


def start_to_attached() -> None:
    begun = time.time()
    command = ["mn", "--custom", str(resources.topology("s2c")), *MN]
    done = subprocess.run(
        [*ISOLATED, *WITH_LOOPBACK, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"bench: the topology failed:\n{done.stdout}")
    folder = next(line.removeprefix(RUN_LINE) for line in done.stdout.splitlines() if line.startswith(RUN_LINE))
    journal = Path(folder.strip()) / "journal" / "ue1.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    attached = next(float(entry["time"]) for entry in entries if entry.get("new") == ATTACHED)
    agent = float(entries[0]["time"])
    print(f"topology: mn start to attached {attached - begun:.2f} s, of which")
    print(f"    {agent - begun:>7.3f} s  Mininet, captures, daemons, gateway, start of the UE's agent")
    for phase in phases(journal):
        print(f"    {phase.seconds:>7.3f} s  {phase.name}")


def inside() -> None:
    """What needs the running network; called in namespaces of our own."""
    setLogLevel("error")
    names: dict[str, Any] = {}  # Any: a module's globals
    custom = resources.topology("s2c")
    exec(compile(custom.read_text(), custom, "exec"), names)  # as `mn --custom` does
    with tempfile.TemporaryDirectory() as runs:
        net = Network(topo=names["topos"]["s2c"](), switch=LinuxBridge, controller=None, runs=Path(runs))
        try:
            net.start()
            ue, correspondent = net["ue1"], net["cn"]
            ue.ask("attach")
            status = ue.status()
            for name in ("ue1", "pgw"):
                print(f"memory: the agent of {name} has {resident(net[name]) / MEBIBYTE:.1f} MiB resident")
            plain = throughput(ue, correspondent, status["care_of_address"])
            before = carried(ue)
            tunnel = throughput(ue, correspondent, status["home_address"])
            assert carried(ue) - before >= tunnel * 1e6 / 8 * SECONDS * 0.9, "that traffic did not take the tunnel"
            print(f"user plane: {tunnel:,.0f} Mbit/s through the tunnel, {plain:,.0f} Mbit/s over the plain path")
            for name in ("ue1", "pgw"):
                print(f"memory: after that the agent of {name} has {resident(net[name]) / MEBIBYTE:.1f} MiB resident")
        finally:
            net.stop()


def resident(node: Any) -> int:
    """Octets in memory of an agent; Any: Mininet has no types."""
    pages = Path(f"/proc/{node.child.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def carried(ue: UE) -> int:
    """Octets that applications of the UE have sent into the tunnel so far."""
    text, errors, status = ue.pexec(["ip", "-json", "-statistics", "link", "show", "dev", "dsmip0"])
    if status:
        raise SystemExit(f"bench: the UE has no tunnel device: {errors}")
    return int(json.loads(text)[0]["stats64"]["tx"]["bytes"])


def throughput(ue: UE, correspondent: Ipv6Host, source: str) -> float:
    """Mbit/s that the correspondent received from one of the UE's addresses."""
    server = correspondent.popen(["iperf3", "--server", "--one-off", "--forceflush"], stdout=subprocess.PIPE)
    try:
        for line in server.stdout:
            if b"listening" in line:
                break
        client = ["iperf3", "--client", str(correspondent.ipv6()), "--bind", source, "--time", str(SECONDS), "--json"]
        text, errors, status = ue.pexec(client)
        if status:
            raise SystemExit(f"bench: iperf3 failed: {errors or text}")
        return float(json.loads(text)["end"]["sum_received"]["bits_per_second"]) / 1e6
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    if sys.argv[1:] == ["--inside"]:
        inside()
        return
    if os.geteuid() != 0:
        raise SystemExit("bench: the topology needs root: sudo make bench")
    start_to_attached()
    sys.stdout.flush()
    subprocess.run([*ISOLATED, *WITH_LOOPBACK, sys.executable, __file__, "--inside"], check=True)


if __name__ == "__main__":
    main()
