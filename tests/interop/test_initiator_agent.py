# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip gateway` as a process, strongSwan as a remote peer that has never heard of Mobile IPv6."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Agent
from tests.interop.rows import STRONGSWAN
from tests.interop.serving import CORRESPONDENT, CORRESPONDENT_IPV4, connect, ping, serve

pytestmark = pytest.mark.root


@pytest.fixture
def gateway(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    agent = serve(meeting, tmp_path)
    yield agent
    agent.close()


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ue, tmp_path, libipsec=True)
    connect(peer)
    yield peer
    peer.close()


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


@pytest.mark.feature(
    "no packet is lost while strongSwan rekeys the child SA and the IKE SA",
    peer=STRONGSWAN,
    role="PDN GW",
    bullet="1.2",
)
def test_rekeying_loses_nothing(meeting: Field, gateway: Agent, charon: Charon) -> None:
    charon.initiate("user").result()
    (sa,) = charon.sas()
    home = max(sa["local-vips"], key=len)
    with meeting.ue:
        echoes = subprocess.Popen(
            ["ping", "-n", "-c", "100", "-i", "0.02", "-W", "5", "-I", home, CORRESPONDENT],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    try:
        for number in (2, 3, 4):
            charon.rekey(child="user").result()
            charon.await_log(rf"CHILD_SA user\{{{number}\}} established")
            gateway.await_entry("child_sa_closed", number - 1)
        charon.rekey(ike="s2c").result()
        gateway.await_entry("ike_sa_rekeyed")
        assert echoes.poll() is None, "the echoes went on all the time"
        said, _ = echoes.communicate(timeout=20)
    finally:
        echoes.kill()
        echoes.wait()
    assert "100 packets transmitted, 100 received" in said, said
