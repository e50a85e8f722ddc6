# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip gateway` as a process, and strongSwan's connection to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Agent

HOME_AGENT, NAME, PEER = "2001:db8:aaaa::1", "pgw.example.net", "ue@example.net"
CORRESPONDENT, CORRESPONDENT_IPV4 = "2001:db8:c::80", "198.51.100.80"
PSK = "a secret of ours and theirs"
GATEWAY = f"""\
version: 1
role: gateway
name: gateway
journal: gateway.jsonl
addresses: {{ipv6: "{HOME_AGENT}", ipv4: null}}
pools:
  ipv6: {{internet: "2001:db8:200::/48"}}
  ipv4: {{internet: 10.45.0.0/24}}
dns: ["2001:db8:c::53"]
ike:
  fqdn: {NAME}
  psk: {PSK}
"""


def serve(field: Field, folder: Path, configuration: str = GATEWAY) -> Agent:
    """The gateway in its namespace, correspondents behind it, and the peer's way to it."""
    field.ue.run(f"ip -6 route replace default via {HA}")
    field.ha.run(f"ip addr replace {CORRESPONDENT}/128 dev lo nodad", f"ip addr replace {CORRESPONDENT_IPV4}/32 dev lo")
    config = folder / "gateway.yaml"
    config.touch(mode=0o600)
    config.write_text(configuration)
    return Agent(field.ha, "gateway", config)


def connect(charon: Charon, name: str = "s2c", **changes: Any) -> None:
    """Load a connection with the gateway: addresses of both versions, all traffic in the child SA `user`."""
    user = {"remote_ts": ["::/0", "0.0.0.0/0"], "esp_proposals": ["aes256gcm16"]}
    connection: dict[str, Any] = {
        "local_addrs": [str(UE)],
        "remote_addrs": [HOME_AGENT],
        "proposals": ["aes256gcm16-prfsha256-curve25519"],
        "vips": ["::", "0.0.0.0"],
        "local": {"auth": "psk", "id": PEER},
        "remote": {"auth": "psk", "id": NAME},
        "children": {"user": user},
    }
    charon.load_conn(name, **(connection | changes))
    charon.load_psk(PSK.encode())


def ping(field: Field, destination: str, source: str) -> None:
    """Two echo requests from the peer's namespace, both answered."""
    said = field.ue.run(f"ping -n -c 2 -i 0.2 -W 5 -I {source} {destination}")
    assert " 0% packet loss" in said, said


def wait(condition: Callable[[], object], seconds: float = 10) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)  # a poll of a condition that has its limit
