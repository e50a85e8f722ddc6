# SPDX-License-Identifier: GPL-2.0-or-later
"""`own_configuration.py SAMPLES RUNS`: a topology whose UE and gateway take files that `mn-dsmip init` wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mininet.nodelib import LinuxBridge

from mn_dsmip.nodes import UE, AccessRouter, DnsServer, Ipv6Topo, Network, PdnGw

SAMPLES, RUNS = map(Path, sys.argv[1:])


class Mine(Ipv6Topo):
    """ue1 - s1 - ar - pgw, and dns beside ar."""

    def build(self, **_: Any) -> None:
        self.addSwitch("s1", prefix="2001:db8:a::/64")
        self.addHost("ar", cls=AccessRouter)
        self.addHost("dns", cls=DnsServer)
        self.addHost("pgw", cls=PdnGw, config=SAMPLES / "gateway.yaml", address="2001:db8:aaaa::1")
        self.addHost("ue1", cls=UE, config=SAMPLES / "ue.yaml")
        self.addLink("ar", "s1")
        self.addLink("ue1", "s1")
        self.addLink("ar", "dns", prefix="2001:db8:d::/64")
        self.addLink("ar", "pgw", prefix="2001:db8:c::/64")


net = Network(topo=Mine(), switch=LinuxBridge, controller=None, runs=RUNS)
net.start()
net["ue1"].ask("attach")
print("HOME", net["ue1"].ipv6())
net.stop()
