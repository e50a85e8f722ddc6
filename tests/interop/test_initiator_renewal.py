# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan begins anew with `mn-dsmip gateway`: reauthentication, a restart, a second device, a second APN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.interop.initiating import row
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Agent
from tests.interop.serving import CORRESPONDENT, CORRESPONDENT_IPV4, GATEWAY, connect, ping, serve, wait

pytestmark = pytest.mark.root
REPLACED = "a newer IKE SA of the same subscriber and APN replaces it"
TWO_APNS = GATEWAY.replace('"2001:db8:200::/48"}', '"2001:db8:200::/48", ims: "2001:db8:300::/48"}')
OTHER_PORTS = {"port": 1500, "port_nat_t": 4501}
"""For a second daemon in the same namespace."""


@pytest.fixture
def gateway(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    agent = serve(meeting, tmp_path, TWO_APNS)
    yield agent
    agent.close()


def renewed(charon: Charon) -> dict[str, Any] | None:
    """The IKE SA that took the first one's place, once it is alone and has its child SA."""
    sas = charon.sas()
    if len(sas) == 1 and sas[0]["uniqueid"] != "1" and sas[0]["state"] == "ESTABLISHED" and sas[0]["child-sas"]:
        return sas[0]
    return None


def reauthenticate(field: Field, gateway: Agent, charon: Charon) -> None:
    """Have strongSwan do so; addresses stay, and traffic goes on."""
    connect(charon)
    charon.initiate("user").result()
    (before,) = charon.sas()
    charon.begin("rekey", ike="s2c", reauth="yes").result()
    wait(lambda: renewed(charon))
    after = renewed(charon)
    assert after
    assert sorted(after["local-vips"]) == sorted(before["local-vips"])
    ipv6, ipv4 = sorted(after["local-vips"], key=len, reverse=True)
    ping(field, CORRESPONDENT, ipv6)
    ping(field, CORRESPONDENT_IPV4, ipv4)
    status = gateway.ask("status")
    assert (status["sessions"], status["protected_user_planes"]) == (1, 1)


@row("reauthentication by strongSwan: the old IKE SA is closed, the new one gets the same addresses, traffic goes on")
def test_reauthentication(meeting: Field, tmp_path: Path, gateway: Agent) -> None:
    with closing(Charon(meeting.ue, tmp_path, libipsec=True, settings={"make_before_break": "no"})) as charon:
        reauthenticate(meeting, gateway, charon)
        gateway.await_entry("ike_sa_closed", by_peer=True)


@row("reauthentication make-before-break: the new IKE SA replaces the old one, same addresses, traffic goes on")
def test_make_before_break(meeting: Field, tmp_path: Path, gateway: Agent) -> None:
    with closing(Charon(meeting.ue, tmp_path, libipsec=True, settings={"make_before_break": "yes"})) as charon:
        reauthenticate(meeting, gateway, charon)
        gateway.await_entry("ike_sa_closed")  # by either side: both close it at once
        told = [each["event"] for each in gateway.journal() if each["event"] in ("ike_sa_established", "ike_sa_closed")]
        assert told == ["ike_sa_established", "ike_sa_established", "ike_sa_closed"]


@row("strongSwan dies and starts again (INITIAL_CONTACT): the dead IKE SA is replaced, same addresses")
def test_restart(meeting: Field, tmp_path: Path, gateway: Agent) -> None:
    with closing(Charon(meeting.ue, tmp_path, "before", shim=True)) as charon:
        connect(charon)
        charon.initiate("user").result()
        (before,) = charon.sas()
        charon.process.kill()
        charon.process.wait()
    with closing(Charon(meeting.ue, tmp_path, "after", shim=True)) as charon:
        connect(charon)
        charon.initiate("user").result()
        assert charon.said(r"IKE_AUTH request 1 .*N\(INIT_CONTACT\)")
        (after,) = charon.sas()
        assert sorted(after["local-vips"]) == sorted(before["local-vips"])
        status = gateway.ask("status")
        assert (status["sessions"], status["protected_user_planes"]) == (1, 1)
        closed = gateway.await_entry("ike_sa_closed")
        assert closed["reason"] == "the peer has begun anew and knows nothing of it (INITIAL_CONTACT)"
        charon.rekey(child="user").result()
        charon.await_log("INFORMATIONAL response")
        assert not charon.said("INFORMATIONAL request .* INVALID|parsed INFORMATIONAL request"), "nothing is said of it"


@row("a second device with the same identity and APN: the first one's IKE SA is closed towards it")
def test_second_device(meeting: Field, tmp_path: Path, gateway: Agent) -> None:
    with (
        closing(Charon(meeting.ue, tmp_path, "first", shim=True)) as first,
        closing(Charon(meeting.ue, tmp_path, "second", shim=True, settings=OTHER_PORTS)) as second,
    ):
        for charon in (first, second):
            connect(charon, unique="never")  # it does not say INITIAL_CONTACT
            charon.initiate("user").result()
        assert not second.said("INIT_CONTACT")
        gateway.await_entry("ike_sa_closed", reason=REPLACED)
        first.await_log("received DELETE for IKE_SA")
        wait(lambda: not first.sas())
        assert len(second.sas()) == 1
        assert gateway.ask("status")["sessions"] == 1


@row("INITIAL_CONTACT with another APN closes nothing (RFC 7296 2.4, TS 24.303 4.3: several PDN connections)")
def test_second_apn(meeting: Field, tmp_path: Path, gateway: Agent) -> None:
    with (
        closing(Charon(meeting.ue, tmp_path, "first", shim=True)) as first,
        closing(Charon(meeting.ue, tmp_path, "second", shim=True, settings=OTHER_PORTS)) as second,
    ):
        for charon, apn in ((first, "internet"), (second, "ims")):
            connect(charon, remote={"auth": "psk", "id": apn})
            charon.initiate("user").result()
            assert charon.said(r"IKE_AUTH request 1 .*N\(INIT_CONTACT\)")
        assert gateway.ask("status")["sessions"] == 2
        first.begin("rekey", child="user").result()
        first.await_log(r"CHILD_SA user\{2\} established")  # the first connection is alive
        homes = {vip for charon in (first, second) for sa in charon.sas() for vip in sa["local-vips"] if ":" in vip}
        assert homes == {"2001:db8:200::1", "2001:db8:300::1"}
