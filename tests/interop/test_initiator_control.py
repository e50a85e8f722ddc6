# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator tells `mn-dsmip gateway` about strongSwan: new keys, and another gateway (RFC 5685 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Agent
from tests.interop.rows import rows
from tests.interop.serving import CORRESPONDENT, HOME_AGENT, PEER, connect, ping, serve

pytestmark = pytest.mark.root
OTHER = "2001:db8:bbbb::1"


@pytest.fixture
def gateway(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    agent = serve(meeting, tmp_path)
    yield agent
    agent.close()


@pytest.fixture
def other(meeting: Field, tmp_path: Path, gateway: Agent) -> Iterator[Agent]:
    """Another gateway of the same operator, with prefixes and addresses of its own."""
    config = tmp_path / "other" / "gateway.yaml"
    config.parent.mkdir()
    config.touch(mode=0o600)
    text = gateway.config.read_text().replace(HOME_AGENT, OTHER).replace("2001:db8:200::", "2001:db8:300::")
    config.write_text(text.replace("10.45.0.0", "10.46.0.0") + "tunnel: {device: other0}\n")
    agent = Agent(meeting.ha, "gateway", config)
    yield agent
    agent.close()


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ue, tmp_path, libipsec=True)
    connect(peer)
    yield peer
    peer.close()


row = rows("PDN GW", "1.2")


@row("REDIRECT of an established SA, sent by us: strongSwan turns to our other gateway")
def test_redirect(meeting: Field, gateway: Agent, other: Agent, charon: Charon) -> None:
    charon.initiate("user").result()
    (session,) = gateway.ask("redirect", gateway=OTHER, subscriber=PEER)["sessions"]
    told = gateway.await_entry("ue_redirected")
    assert (told["session"], told["gateway"]) == (session, OTHER)
    arrived = other.await_entry("ike_sa_established")
    assert arrived["identity"] == PEER
    gateway.await_entry("ike_sa_closed", by_peer=True)
    charon.await_log(r"CHILD_SA user\{2\} established")
    (sa,) = (each for each in charon.sas() if each["state"] == "ESTABLISHED")
    assert sa["remote-host"] == OTHER
    ping(meeting, CORRESPONDENT, max(sa["local-vips"], key=len))
    assert gateway.ask("status")["sessions"] == 0


@row("`mn-dsmip rekey`: all keys of a session replaced, user traffic goes on")
def test_rekey(meeting: Field, gateway: Agent, charon: Charon) -> None:
    charon.initiate("user").result()
    (sa,) = charon.sas()
    charon.rekey(child="user").result()
    gateway.await_entry("child_sa_closed")  # now it is certain that strongSwan has our answer
    gateway.ask("rekey")
    gateway.await_entry("ike_sa_rekeyed")
    charon.await_log(r"CHILD_SA user\{3\} established")
    assert len(charon.ike_keys()) == 2
    ping(meeting, CORRESPONDENT, max(sa["local-vips"], key=len))
