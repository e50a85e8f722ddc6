# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip ue` as a process, strongSwan as the gateway: its journal, its key log, its sentences.

strongSwan is no home agent, so nobody answers the Binding Update: the UE comes as far as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mn_dsmip.crypto.certs import to_pem
from tests.interop.certified import authority, identity
from tests.interop.peers.charon import Charon
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import HA, Field
from tests.interop.peers.ours import Agent
from tests.interop.responding import HOME_PREFIX, PREFIX, PSK, home_agent, mobility
from tests.interop.rows import STRONGSWAN, rows
from tests.interop.test_responder_eap import IMSI, MCC, MNC, OPC, K, servers

pytestmark = pytest.mark.root
APN = "internet"
OTHER_HA = "2001:db8:1::9"
CONFIGURATION = f"""\
version: 1
role: ue
name: ue
journal: ue.jsonl
keylog: keys
subscriber: {{imsi: "{IMSI}", mcc: "{MCC}", mnc: "{MNC}", k: "{K.hex()}", opc: "{OPC.hex()}"}}
apn: {APN}
access: {{interface: ue0}}
discovery: {{home_agents: ["{HA}"]}}
ike: {{suites: {{ike: [aes256gcm16-prfsha256-curve25519], esp: [aes256gcm16]}}, OURS}}
"""
SHARED = f'psk: "{PSK.decode()}"'
AS_GATEWAY = {"id": APN, "auth": "psk"}


row = rows("UE", "1.1")


@contextmanager
def agent(field: Field, folder: Path, ours: str = SHARED) -> Iterator[Agent]:
    """`mn-dsmip ue` with those lines in its `ike` section."""
    for name, content in (
        ("ca.pem", to_pem(authority())[1]),
        ("ue.yaml", CONFIGURATION.replace("OURS", ours).encode()),
    ):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    found = Agent(field.ue, "ue", folder / "ue.yaml")
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True)
    meeting.ha.run(f"ip addr add {OTHER_HA}/64 dev ha0 nodad")
    home_agent(peer, local=AS_GATEWAY, local_addrs=[str(HA), OTHER_HA], children=mobility(str(HA), OTHER_HA))
    yield peer
    peer.close()


def logged(folder: Path) -> tuple[set[str], set[str]]:
    """SK_e* and ESP encryption keys of our key log, as it writes them."""
    ikes = [line.split(",") for line in (folder / "keys" / "ikev2_decryption_table").read_text().splitlines()]
    children = [line.split(",") for line in (folder / "keys" / "esp_sa").read_text().splitlines()]
    return (
        {key for line in ikes for key in line[2:4]},
        {line[5].strip('"').removeprefix("0x") for line in children},
    )


def theirs(charon: Charon) -> tuple[set[str], set[str]]:
    """The same from strongSwan's log."""
    return (
        {key.hex() for each in charon.ike_keys() for key in (each.ei, each.er)},
        {encryption.hex() for each in charon.child_keys() for encryption, _ in each.keys},
    )


@row("`mn-dsmip ue`: FAILED_CP_REQUIRED makes it ask for an address as well; child SA for its home address; same keys")
def test_bootstrap(meeting: Field, charon: Charon, tmp_path: Path) -> None:
    with agent(meeting, tmp_path) as ours:
        refused = ours.await_entry("ike_sa_established")
        assert "FAILED_CP_REQUIRED" in refused["child_refused"]
        accepted = ours.await_entry("ike_sa_established", 2)
        assert (accepted["identity"], accepted["apn"], accepted["child_refused"]) == (APN, APN, "")
        assert HOME_PREFIX.hex() in str(accepted["configuration"])
        first, second = (ours.await_entry("child_sa_established", count)["child"] for count in (1, 2))
        assert (first["transport"], second["transport"]) == (True, True)
        assert second["local"][0]["start"].startswith(PREFIX.removesuffix(":"))
        ours.await_entry("state_changed", new="REGISTERING")
        charon.await_log(r"CHILD_SA mh\{2\} established")
        assert logged(tmp_path) == theirs(charon)
        assert charon.said(r"received DELETE for IKE_SA s2c\[1\]")
        assert len(charon.sas()) == 1
        charon.terminate(ike="s2c").result()
        failed = ours.await_entry("attach_failed")
        assert failed["reason"] == "the gateway ended the PDN connection"


@row("`mn-dsmip ue` follows REDIRECT to another address and tells it who sent it (REDIRECTED_FROM)")
def test_redirect(meeting: Field, charon: Charon, tmp_path: Path) -> None:
    with agent(meeting, tmp_path) as ours:
        ours.await_entry("child_sa_established", 2)
        charon.await_log(r"CHILD_SA mh\{2\} established")
        charon.redirect("s2c", OTHER_HA).result()
        told = ours.await_entry("redirected")
        assert (told["old_home_agent"], told["new_home_agent"]) == (str(HA), OTHER_HA)
        ours.await_entry("child_sa_established", 4)
        charon.await_log(r"parsed IKE_SA_INIT request 0 \[.*N\(REDIR_FROM\).*\]")
        assert [each["local-host"] for each in charon.sas()] == [OTHER_HA]


@pytest.mark.parametrize("prime", [False, True], ids=["aka", "aka-prime"])
@row("`mn-dsmip ue` with EAP-AKA and EAP-AKA'; same keys", peer=f"{STRONGSWAN} and hostapd 2.10")
def test_eap(meeting: Field, tmp_path: Path, prime: bool) -> None:
    known = identity(APN, str(HA))
    changes = {"local": {"auth": "pubkey", "id": APN, "certs": [known.encoded[0]]}}
    with servers(meeting, tmp_path, known, Card(IMSI, K, OPC), **changes) as (charon, _):
        with agent(meeting, tmp_path, f"ca: ca.pem, method: {'aka-prime' if prime else 'aka'}") as ours:
            ours.await_entry("child_sa_established", 2)
            ours.await_entry("state_changed", new="REGISTERING")
            charon.await_log(r"CHILD_SA mh\{2\} established")
            assert logged(tmp_path) == theirs(charon)
