# SPDX-License-Identifier: GPL-2.0-or-later
"""Our PDN GW's IKE with strongSwan as the peer: set-up, child SAs, rekeying, liveness, deletion."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    IkeSaClosed,
    IkeSaEstablished,
    IkeSaRekeyed,
)
from mn_dsmip.wire.ikev2_numbers import CfgAttribute
from tests.interop.certified import authority, identity
from tests.interop.initiating import (
    HOME,
    NAME,
    PEER,
    PSK,
    gateway,
    initiator,
    remote_access,
    row,
    same_keys,
    served,
)
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Responder

pytestmark = pytest.mark.root


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with initiator(meeting, tmp_path, dpd_delay=1) as peer:
        yield peer


@pytest.fixture
def ours(meeting: Field, charon: Charon) -> Iterator[Responder]:
    end = gateway(meeting)
    try:
        served(end, charon)
        yield end
    finally:
        end.close()


def session(ours: Responder) -> bytes:
    """The name of the only session."""
    (name,) = ours.engine.sessions
    return name


@row("PSK authentication; same keys on both ends")
def test_psk(ours: Responder, charon: Charon) -> None:
    same_keys(ours, charon, 1, 1)
    assert ours.of(IkeSaEstablished)[0].identity == PEER


@row("certificate of the gateway, asked for and verified by strongSwan")
def test_certificate(meeting: Field, charon: Charon) -> None:
    charon.load_certificate(authority().encoded[0], authority=True)
    remote_access(charon, remote={"auth": "pubkey", "id": NAME})
    end = gateway(meeting, identity=identity(NAME))
    try:
        served(end, charon)
        assert charon.said(f"authentication of '{NAME}' with ECDSA.* successful")
        same_keys(end, charon, 1, 1)
    finally:
        end.close()


@row("virtual IPv6 and IPv4 addresses (CFG_REQUEST), although we prefer MIP6_HOME_PREFIX")
def test_addresses(ours: Responder, charon: Charon) -> None:
    (sa,) = charon.sas()
    assert sorted(sa["local-vips"]) == ["10.45.0.1", "2001:db8:200::1"]
    configuration = ours.of(IkeSaEstablished)[0].configuration
    assert configuration
    assert configuration.all(CfgAttribute.INTERNAL_IP6_ADDRESS) == [IPv6Address("2001:db8:200::1").packed + b"\x40"]


@row("child SA for the Mobility Header (transport_proxy), beside that of user traffic")
def test_mobility_child(ours: Responder, charon: Charon) -> None:
    ours.finish(charon.initiate("s2c-mh"))
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    child = ours.of(ChildSaEstablished)[1].child
    assert child.transport
    assert [(each.protocol, each.start, each.end) for each in child.remote] == [(135, HOME, HOME)]
    assert [(each.protocol, each.start, each.end) for each in child.local] == [(135, HA, HA)]
    same_keys(ours, charon, 1, 2)


@row("child SA rekeyed by strongSwan")
def test_strongswan_rekeys_the_child(ours: Responder, charon: Charon) -> None:
    ours.finish(charon.rekey(child="s2c-user"))
    ours.run(lambda: ours.of(ChildSaClosed))
    assert ours.of(ChildSaEstablished)[1].replaces == ours.of(ChildSaClosed)[0].inbound_spi
    same_keys(ours, charon, 1, 2)


@row("child SA rekeyed by us")
def test_we_rekey_the_child(ours: Responder, charon: Charon) -> None:
    ours.run(lambda: charon.said("parsed INFORMATIONAL response"), 10)  # DPD: it knows that we know
    entry = ours.engine.sessions[session(ours)]
    entry.rekey_child(next(iter(entry.children)), time.monotonic())
    ours.engine.settle(entry)
    ours.run(lambda: ours.of(ChildSaClosed))
    same_keys(ours, charon, 1, 2)


@row("IKE SA rekeyed by strongSwan, then a child SA in the new one")
def test_strongswan_rekeys_the_ike_sa(ours: Responder, charon: Charon) -> None:
    ours.finish(charon.rekey(ike="s2c"))
    ours.run(lambda: ours.of(IkeSaRekeyed))
    ours.run(lambda: len(charon.sas()) == 1, 5)
    ours.finish(charon.initiate("s2c-mh"))
    same_keys(ours, charon, 2, 2)


@row("IKE SA rekeyed by us, then a child SA in the new one")
def test_we_rekey_the_ike_sa(ours: Responder, charon: Charon) -> None:
    entry = ours.engine.sessions[session(ours)]
    entry.rekey(time.monotonic())
    ours.engine.settle(entry)
    ours.run(lambda: ours.of(IkeSaRekeyed) and not entry.tasks)
    ours.run(lambda: len(charon.sas()) == 1, 5)
    ours.finish(charon.initiate("s2c-mh"))
    same_keys(ours, charon, 2, 2)


@row("both ends rekey the IKE SA at the same time")
def test_both_rekey_the_ike_sa(ours: Responder, charon: Charon) -> None:
    entry = ours.engine.sessions[session(ours)]
    charon.rekey(ike="s2c").result(5)
    charon.await_log("generating CREATE_CHILD_SA request")  # it waits in our socket while ours leaves
    entry.rekey(time.monotonic())
    ours.engine.settle(entry)
    ours.settle()
    ours.run(lambda: ours.of(IkeSaRekeyed) and not entry.tasks, 10)

    def agreed() -> bool:
        """strongSwan has one IKE SA left, and it is our current one."""
        kept = [{sa["initiator-spi"], sa["responder-spi"]} for sa in charon.sas()]
        return kept == [{entry.current.spi_i.hex(), entry.current.spi_r.hex()}]

    ours.run(agreed, 10)
    assert set(charon.ike_keys()) <= set(ours.ike_keys())
    ours.finish(charon.initiate("s2c-mh"))
    assert set(ours.child_keys()) == set(charon.child_keys())


@row("liveness check (DPD) by strongSwan")
def test_strongswan_checks_liveness(ours: Responder, charon: Charon) -> None:
    ours.run(lambda: charon.said("sending DPD request") and charon.said("parsed INFORMATIONAL response"), 10)
    assert not ours.of(IkeSaClosed)


@row("liveness check (DPD) by us")
def test_we_check_liveness(ours: Responder, charon: Charon) -> None:
    entry = ours.engine.sessions[session(ours)]
    entry.check_liveness(time.monotonic())
    ours.engine.settle(entry)
    ours.run(lambda: not entry.tasks)
    assert charon.said("parsed INFORMATIONAL request")


@row("DELETE of a child SA by strongSwan")
def test_strongswan_deletes_the_child(ours: Responder, charon: Charon) -> None:
    ours.finish(charon.initiate("s2c-mh"))
    ours.finish(charon.terminate(child="s2c-mh"))
    assert ours.of(ChildSaClosed)[0].inbound_spi == ours.of(ChildSaEstablished)[1].child.inbound_spi
    assert not ours.of(IkeSaClosed)


@row("DELETE of a child SA by us")
def test_we_delete_the_child(ours: Responder, charon: Charon) -> None:
    entry = ours.engine.sessions[session(ours)]
    entry.delete_child(next(iter(entry.children)), time.monotonic())
    ours.engine.settle(entry)
    ours.run(lambda: ours.of(ChildSaClosed))
    ours.run(lambda: [each["child-sas"] for each in charon.sas()] == [{}], 5)


@row("DELETE of the IKE SA by strongSwan")
def test_strongswan_deletes_the_ike_sa(ours: Responder, charon: Charon) -> None:
    ours.finish(charon.terminate(ike="s2c"))
    assert ours.of(IkeSaClosed)[0].by_peer


@row("DELETE of the IKE SA by us")
def test_we_delete_the_ike_sa(ours: Responder, charon: Charon) -> None:
    ours.engine.delete(session(ours), time.monotonic(), "the test wants it")
    ours.run(lambda: ours.of(IkeSaClosed))
    ours.run(lambda: not charon.sas(), 5)


@row("MOBIKE asked for and declined: not a word of it in our answer, addresses stay")
def test_mobike_is_declined(ours: Responder, charon: Charon) -> None:
    assert charon.said(r"generating IKE_AUTH request 1 .*N\(MOBIKE_SUP\)")
    assert not charon.said(r"parsed IKE_AUTH response 1 .*MOBIKE")
    assert not charon.said("peer supports MOBIKE")
    assert ours.engine.sessions[session(ours)].path.remote == UE


@row("several initiators at once")
def test_several_initiators(meeting: Field, tmp_path: Path, charon: Charon) -> None:
    second = Charon(meeting.ue, tmp_path, "second", shim=True, settings={"port": 1500, "port_nat_t": 1501})
    end = gateway(meeting)
    try:
        second.load_psk(PSK)
        begun = []
        for number in range(6):
            peer = (charon, second)[number % 2]
            remote_access(peer, f"s{number}", f"ue{number}@example.net")
            begun.append(peer.initiate(f"s{number}-user"))
        for each in begun:
            end.finish(each)
        assert len(end.of(IkeSaEstablished)) == 6
        assert {each.identity for each in end.of(IkeSaEstablished)} == {
            f"ue{number}@example.net" for number in range(6)
        }
        assert set(end.ike_keys()) == {*charon.ike_keys(), *second.ike_keys()}
        assert set(end.child_keys()) == {*charon.child_keys(), *second.child_keys()}
        prefixes = {vip for peer in (charon, second) for sa in peer.sas() for vip in sa["local-vips"]}
        assert len(prefixes) == 12, "an address of each version for each, and none twice"
    finally:
        end.close()
        second.close()
