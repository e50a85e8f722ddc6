# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip attach` when strongSwan refuses: what a person reads in the terminal, in `status` and in the journal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.interop.certified import identity
from tests.interop.peers.charon import Charon
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import HA, Field
from tests.interop.peers.ours import Agent
from tests.interop.responding import home_agent, mobility
from tests.interop.rows import STRONGSWAN, rows
from tests.interop.test_responder_agent import APN, SHARED, agent
from tests.interop.test_responder_eap import IMSI, OPC, K, servers

pytestmark = pytest.mark.root
MANUAL = "}\nattach: manual\nbinding: {lifetime: 60"
"""Ends the `ike` section that it is put into."""


row = rows("UE", "4", about="`mn-dsmip attach`: ")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with closing(Charon(meeting.ha, tmp_path, shim=True)) as peer:
        home_agent(peer, local={"id": APN, "auth": "psk"}, children=mobility(str(HA)))
        yield peer


def attach(ue: Agent) -> str:
    """What the command prints before it fails; status and journal say the same."""
    command = [sys.executable, "-m", "mn_dsmip", "attach", "--socket", ue.ready["control"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    assert not done.stdout
    reason: str = ue.await_entry("attach_failed")["reason"]
    assert reason in done.stderr
    assert ue.ask("status")["problem"] == reason
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return reason


@row("wrong PSK")
def test_wrong_psk(meeting: Field, charon: Charon, tmp_path: Path) -> None:
    with agent(meeting, tmp_path, f"psk: another secret{MANUAL}") as ue:
        assert attach(ue) == (
            "the gateway refused: it does not accept our authentication or identity (AUTHENTICATION_FAILED), "
            f"or it does not serve APN {APN}"
        )


@row("no common suite")
def test_no_common_suite(meeting: Field, charon: Charon, tmp_path: Path) -> None:
    home_agent(charon, local={"id": APN, "auth": "psk"}, proposals=["aes128-sha256-modp3072"])
    with agent(meeting, tmp_path, f"{SHARED}{MANUAL}") as ue:
        assert attach(ue) == (
            "the gateway refused our IKE proposal (NO_PROPOSAL_CHOSEN): we offered "
            "AES-GCM-16-256/PRF-HMAC-SHA2-256/CURVE25519"
        )


@row("no common ESP suite")
def test_no_common_esp_suite(meeting: Field, charon: Charon, tmp_path: Path) -> None:
    home_agent(charon, local={"id": APN, "auth": "psk"}, esp_proposals=["aes128-sha256"])
    with agent(meeting, tmp_path, f"{SHARED}{MANUAL}") as ue:
        assert attach(ue) == ("the gateway refused our ESP proposal (NO_PROPOSAL_CHOSEN): we offered AES-GCM-16-256")


@row("certificate of another name, wrong subscriber key", peer=f"{STRONGSWAN} and hostapd 2.10")
@pytest.mark.parametrize("problem", ["name", "key"])
def test_eap(meeting: Field, tmp_path: Path, problem: str) -> None:
    own = identity(APN) if problem == "name" else identity(APN, str(HA))
    card = Card(IMSI, bytes(16) if problem == "key" else K, OPC)
    local = {"auth": "pubkey", "id": APN, "certs": [own.encoded[0]]}
    with servers(meeting, tmp_path, own, card, local=local), agent(meeting, tmp_path, f"ca: ca.pem{MANUAL}") as ue:
        found = attach(ue)
    assert (
        found
        == {
            "name": f"the gateway is not trusted: the certificate of {APN} is for {APN}, not for {HA}",
            "key": "the network did not prove that it knows our subscription: MAC-A in AUTN is wrong",
        }[problem]
    )
