# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip aaa` and hostap's eapol_test: its RADIUS client and its EAP-AKA peer agree with our servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.files import Samples
from tests.interop.peers import eapol
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Agent
from tests.interop.rows import rows

pytestmark = pytest.mark.root
SECRET = "a secret of the lab"
IMSI, REALM = "001010000000001", "nai.epc.mnc001.mcc001.3gppnetwork.org"
K, OPC = "465b5ce8b199b49faa5f0a2ee238a6bc", "cd63cb71954a9f4e48a5994e37a02baf"
CONFIGURATION = f"""\
version: 1
role: aaa
name: aaa
journal: aaa.jsonl
listen: ["127.0.0.1"]
clients: [{{network: 127.0.0.1/32, secret: "{SECRET}"}}]
subscribers: store.yaml
apns: [internet, ims]
"""
STORE = f"""\
subscribers:
  - {{imsi: "{IMSI}", mcc: "001", mnc: "01", k: {K}, opc: {OPC}, apns: [internet]}}
  - {{imsi: "001010000000002", mcc: "001", mnc: "01", k: {K}, opc: {OPC}, barred: true}}
"""


row = rows("AAA server", "2.2", "eapol_test 2.10")


@pytest.fixture
def server(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    for name, content in (("store.yaml", STORE), ("aaa.yaml", CONFIGURATION)):
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(content)
    agent = Agent(meeting.ha, "aaa", tmp_path / "aaa.yaml")
    yield agent
    agent.close()


def card(k: str = K, sqn: int = 0) -> Card:
    return Card(IMSI, bytes.fromhex(k), bytes.fromhex(OPC), sqn=sqn)


def peer(field: Field, folder: Path, usim: Card, leading: str = "0", imsi: str = IMSI, **more: Any) -> eapol.Outcome:
    method = "AKA" if leading in "024" else "AKA'"
    more.setdefault("secret", SECRET)
    return eapol.run(field.ha, folder / "eapol", usim, f"{leading}{imsi}@{REALM}", method, **more)


@pytest.mark.parametrize(
    "leading",
    [
        pytest.param("0", marks=row("EAP-AKA, full authentication"), id="aka"),
        pytest.param("6", marks=row("EAP-AKA', full authentication"), id="aka-prime"),
    ],
)
def test_authentication(meeting: Field, tmp_path: Path, server: Agent, leading: str) -> None:
    outcome = peer(meeting, tmp_path, card(), leading)
    assert outcome.success, outcome.output[-3000:]
    assert "PMK from EAPOL" in outcome.output
    assert "Local MSK mismatch" not in outcome.output
    assert "MPPE keys OK: 1  mismatch: 0" in outcome.output
    assert server.await_entry("aaa_accepted")["subscriber"] == IMSI


@pytest.mark.parametrize(
    "leading",
    [
        pytest.param("0", marks=row("EAP-AKA: pseudonym and fast re-authentication given and used", "2.3"), id="aka"),
        pytest.param(
            "6", marks=row("EAP-AKA': pseudonym and fast re-authentication given and used", "2.3"), id="prime"
        ),
    ],
)
def test_fast_reauthentication(meeting: Field, tmp_path: Path, server: Agent, leading: str) -> None:
    outcome = peer(meeting, tmp_path, card(), leading, reauthentications=2)
    assert outcome.success, outcome.output[-3000:]
    assert outcome.rounds == 1, "the USIM was asked once for three authentications"
    assert "mismatch: 0" in outcome.output
    server.await_entry("aaa_accepted", count=3)


@pytest.mark.parametrize(
    "leading",
    [
        pytest.param("0", marks=row("EAP-AKA: protected success (AT_RESULT_IND), full and fast", "2.3"), id="aka"),
        pytest.param("6", marks=row("EAP-AKA': protected success (AT_RESULT_IND), full and fast", "2.3"), id="prime"),
    ],
)
def test_protected_success(meeting: Field, tmp_path: Path, server: Agent, leading: str) -> None:
    assert server.end()[0] == 0
    server.config.write_text(server.config.read_text() + "protect_result: true\n")
    again = Agent(meeting.ha, "aaa", server.config)
    try:
        outcome = peer(meeting, tmp_path, card(), leading, reauthentications=1, phase1="result_ind=1")
        assert outcome.success, outcome.output[-3000:]
        assert outcome.rounds == 1
        assert outcome.output.count("AT_RESULT_IND") >= 2, outcome.output[-3000:]
        again.await_entry("aaa_accepted", count=2)
    finally:
        again.close()


@row("EAP-AKA resynchronisation (AUTS)")
def test_resynchronisation(meeting: Field, tmp_path: Path, server: Agent) -> None:
    usim = card(sqn=1 << 20)
    outcome = peer(meeting, tmp_path, usim)
    assert outcome.success, outcome.output[-3000:]
    assert outcome.rounds == 2
    assert usim.sqn > 1 << 20


@row("sequence numbers survive a restart of the server")
def test_restart(meeting: Field, tmp_path: Path, server: Agent) -> None:
    usim = card()
    assert peer(meeting, tmp_path, usim).success
    assert server.end()[0] == 0
    again = Agent(meeting.ha, "aaa", server.config)
    try:
        outcome = peer(meeting, tmp_path, usim)
        assert outcome.success
        assert outcome.rounds == 1, "no resynchronisation was needed"
    finally:
        again.close()


@row("wrong key")
def test_wrong_key(meeting: Field, tmp_path: Path, server: Agent) -> None:
    outcome = peer(meeting, tmp_path, card(k="00" * 16))
    assert not outcome.success
    rejected = server.await_entry("aaa_rejected")
    assert rejected["identity"] == f"0{IMSI}@{REALM}"
    assert rejected["reason"] == "the UE says that AUTN is wrong: K or OP differ"


@row("unknown subscriber")
def test_unknown_subscriber(meeting: Field, tmp_path: Path, server: Agent) -> None:
    outcome = peer(meeting, tmp_path, card(), imsi="001010000000009")
    assert not outcome.success
    assert outcome.rounds == 0
    assert server.await_entry("aaa_rejected")["reason"] == "no subscriber has the identity that the UE gave"


@row("subscriber barred")
def test_barred(meeting: Field, tmp_path: Path, server: Agent) -> None:
    assert not peer(meeting, tmp_path, card(), imsi="001010000000002").success
    assert server.await_entry("aaa_rejected")["reason"] == "subscriber 001010000000002 is barred"


@row("an APN that the subscriber may not use (Called-Station-Id)")
def test_apn(meeting: Field, tmp_path: Path, server: Agent) -> None:
    assert not peer(meeting, tmp_path, card(), called="ims").success
    assert server.await_entry("aaa_rejected")["reason"] == f"subscriber {IMSI} may not use APN ims"


@row("another shared secret: no answer, and the journal says so")
def test_wrong_secret(meeting: Field, tmp_path: Path, server: Agent) -> None:
    assert not peer(meeting, tmp_path, card(), secret="another secret").success
    entry = server.await_entry("aaa_client_refused")
    assert entry["client"] == "127.0.0.1"
    assert entry["reason"] == "its Message-Authenticator is wrong: is the shared secret the same?"
    assert server.ask("status")["counters"]["aaa-authenticator"] >= 1


def test_the_sample_is_fine(tmp_path: Path) -> None:
    from mn_dsmip.agent.aaa_config import load_aaa

    settings = load_aaa(Samples(tmp_path / "bench").folder / "aaa.yaml")
    assert [str(address) for address, _ in settings.listen] == ["127.0.0.1"]
