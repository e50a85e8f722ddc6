# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip gateway` as a process, strongSwan as a remote peer that has never heard of Mobile IPv6."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Agent

pytestmark = pytest.mark.root
STRONGSWAN = "strongSwan 5.9.8"
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


@pytest.fixture
def gateway(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    meeting.ue.run(f"ip -6 route add default via {HA}")
    meeting.ha.run(f"ip addr add {CORRESPONDENT}/128 dev lo nodad", f"ip addr add {CORRESPONDENT_IPV4}/32 dev lo")
    config = tmp_path / "gateway.yaml"
    config.touch(mode=0o600)
    config.write_text(GATEWAY)
    agent = Agent(meeting.ha, "gateway", config)
    yield agent
    agent.close()


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ue, tmp_path, libipsec=True)
    peer.load_conn(
        "s2c",
        local_addrs=[str(UE)],
        remote_addrs=[HOME_AGENT],
        proposals=["aes256gcm16-prfsha256-curve25519"],
        vips=["::", "0.0.0.0"],
        local={"auth": "psk", "id": PEER},
        remote={"auth": "psk", "id": NAME},
        children={"user": {"remote_ts": ["::/0", "0.0.0.0/0"], "esp_proposals": ["aes256gcm16"]}},
    )
    peer.load_psk(PSK.encode())
    yield peer
    peer.close()


def ping(field: Field, destination: str, source: str) -> None:
    """Two echo requests from the peer's namespace, both answered."""
    said = field.ue.run(f"ping -n -c 2 -i 0.2 -W 5 -I {source} {destination}")
    assert " 0% packet loss" in said, said


@pytest.mark.feature(
    "user-plane child SA in tunnel mode carries ping, IPv6 and IPv4 in ESP in UDP",
    peer=STRONGSWAN,
    role="PDN GW",
    bullet="1.2",
)
def test_user_traffic(meeting: Field, gateway: Agent, charon: Charon) -> None:
    charon.initiate("user").result()
    (sa,) = charon.sas()
    ipv6, ipv4 = sorted(sa["local-vips"], key=len, reverse=True)
    ping(meeting, CORRESPONDENT, ipv6)
    ping(meeting, CORRESPONDENT_IPV4, ipv4)
    charon.rekey(child="user").result()
    charon.await_log(r"CHILD_SA user\{2\} established")
    ping(meeting, CORRESPONDENT, ipv6)
    status = gateway.ask("status")
    assert (status["sessions"], status["protected_user_planes"]) == (1, 1)
    assert status["packets"] == {"up": 6, "down": 6}
    charon.terminate(ike="s2c").result()
    gateway.await_entry("ike_sa_closed")
    assert gateway.ask("status")["protected_user_planes"] == 0
