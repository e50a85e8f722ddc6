# SPDX-License-Identifier: GPL-2.0-or-later
"""Our UE's IKE with strongSwan as home agent: set-up, child SAs, rekeying, liveness, deletion, redirect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    IkeRedirected,
    IkeSaClosed,
    IkeSaEstablished,
    IkeSaRekeyed,
)
from mn_dsmip.wire.ikev2_numbers import CfgAttribute
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import (
    FOR_HOME,
    HOME_AGENT,
    HOME_PREFIX,
    attached,
    home_agent,
    one_left,
    same_keys,
)
from tests.interop.rows import rows

pytestmark = pytest.mark.root


row = rows("UE", "1.1")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True)
    home_agent(peer, dpd_delay=1)
    yield peer
    peer.close()


@pytest.fixture
def ours(meeting: Field, charon: Charon) -> Iterator[Initiator]:
    end = attached(meeting)
    yield end
    end.close()


@row("PSK authentication; same keys on both ends")
def test_psk(ours: Initiator, charon: Charon) -> None:
    same_keys(ours, charon, 1, 1)
    assert ours.of(IkeSaEstablished)[0].identity == "ha.example.net"


@row("MIP6_HOME_PREFIX and HOME_AGENT_ADDRESS, octet by octet")
def test_configuration(ours: Initiator) -> None:
    configuration = ours.of(IkeSaEstablished)[0].configuration
    assert configuration
    assert configuration.all(CfgAttribute.MIP6_HOME_PREFIX) == [HOME_PREFIX]
    assert configuration.all(CfgAttribute.HOME_AGENT_ADDRESS) == [HOME_AGENT]


@row("CREATE_CHILD_SA for the Mobility Header (transport_proxy)")
def test_second_child(ours: Initiator, charon: Charon) -> None:
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    child = ours.of(ChildSaEstablished)[1].child
    assert (child.local, child.remote, child.transport) == (FOR_HOME.local, FOR_HOME.remote, True)
    same_keys(ours, charon, 1, 2)


@row("child SA rekeyed by us")
def test_we_rekey_the_child(ours: Initiator, charon: Charon) -> None:
    old = ours.of(ChildSaEstablished)[0].child
    ours.engine.rekey_child(old.inbound_spi, time.monotonic())
    ours.run(lambda: ours.of(ChildSaClosed))
    assert ours.of(ChildSaEstablished)[1].replaces == old.inbound_spi
    assert ours.of(ChildSaClosed)[0].inbound_spi == old.inbound_spi
    same_keys(ours, charon, 1, 2)
    (sa,) = charon.sas()
    assert len([each for each in sa["child-sas"].values() if each["state"] == "INSTALLED"]) == 1


@row("child SA rekeyed by strongSwan")
def test_strongswan_rekeys_the_child(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.rekey(child="mh"))
    ours.run(lambda: ours.of(ChildSaClosed))
    assert ours.of(ChildSaEstablished)[1].replaces == ours.of(ChildSaClosed)[0].inbound_spi
    same_keys(ours, charon, 1, 2)


@row("IKE SA rekeyed by us, then a child SA in the new one")
def test_we_rekey_the_ike_sa(ours: Initiator, charon: Charon) -> None:
    ours.engine.rekey(time.monotonic())
    ours.run(lambda: ours.of(IkeSaRekeyed) and not ours.engine.tasks)
    same_keys(ours, charon, 2, 1)
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    same_keys(ours, charon, 2, 2)
    ours.run(lambda: len(charon.sas()) == 1, 5)


@row("IKE SA rekeyed by strongSwan, then a child SA in the new one")
def test_strongswan_rekeys_the_ike_sa(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.rekey(ike="s2c"))
    ours.run(lambda: ours.of(IkeSaRekeyed))
    same_keys(ours, charon, 2, 1)
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    same_keys(ours, charon, 2, 2)
    ours.run(lambda: len(charon.sas()) == 1, 5)


@row("both ends rekey the child SA at the same time")
def test_both_rekey_the_child(ours: Initiator, charon: Charon) -> None:
    old = ours.of(ChildSaEstablished)[0].child
    ours.drop = lambda datagram: True  # strongSwan's request arrives after ours has left
    told = charon.rekey(child="mh")
    told.result(5)
    charon.await_log(r"generating CREATE_CHILD_SA request")
    ours.engine.rekey_child(old.inbound_spi, time.monotonic())
    ours.settle()
    ours.drop = lambda datagram: False
    ours.run(
        lambda: len(ours.engine.children) == 1 and old.inbound_spi not in ours.engine.children and not ours.engine.tasks
    )
    one_left(ours, charon)
    assert {keys.spis: keys for keys in ours.child_keys()}.items() >= {
        keys.spis: keys for keys in charon.child_keys()
    }.items()


@row("liveness check (DPD) by us")
def test_we_check_liveness(ours: Initiator, charon: Charon) -> None:
    before = charon.log().count("parsed INFORMATIONAL request")
    ours.engine.check_liveness(time.monotonic())
    ours.run(lambda: not ours.engine.tasks)
    assert charon.log().count("parsed INFORMATIONAL request") > before
    assert not ours.of(IkeSaClosed)


@row("liveness check (DPD) by strongSwan")
def test_strongswan_checks_liveness(ours: Initiator, charon: Charon) -> None:
    ours.run(lambda: charon.said("sending DPD request") and charon.said(r"parsed INFORMATIONAL response"), 10)
    assert not ours.of(IkeSaClosed)


@row("DELETE of a child SA by us")
def test_we_delete_the_child(ours: Initiator, charon: Charon) -> None:
    ours.engine.delete_child(ours.of(ChildSaEstablished)[0].child.inbound_spi, time.monotonic())
    ours.run(lambda: ours.of(ChildSaClosed) and not ours.engine.tasks)
    ours.run(lambda: [each["child-sas"] for each in charon.sas()] == [{}], 5)


@row("DELETE of a child SA by strongSwan")
def test_strongswan_deletes_the_child(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.terminate(child="mh"))
    assert ours.of(ChildSaClosed)[0].inbound_spi == ours.of(ChildSaEstablished)[0].child.inbound_spi
    assert not ours.of(IkeSaClosed)


@row("DELETE of the IKE SA by us")
def test_we_delete_the_ike_sa(ours: Initiator, charon: Charon) -> None:
    ours.engine.delete(time.monotonic())
    ours.run(lambda: ours.of(IkeSaClosed))
    assert not ours.of(IkeSaClosed)[0].by_peer
    ours.run(lambda: not charon.sas(), 5)


@row("DELETE of the IKE SA by strongSwan")
def test_strongswan_deletes_the_ike_sa(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.terminate(ike="s2c"))
    assert ours.of(IkeSaClosed)[0].by_peer
    assert charon.sas() == []


@row("REDIRECT of an established IKE SA")
def test_redirect(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.redirect("s2c", "2001:db8:1::9"))
    ours.run(lambda: ours.of(IkeRedirected))
    told = ours.of(IkeRedirected)[0]
    assert (told.gateway, told.established) == (IPv6Address("2001:db8:1::9"), True)
