# SPDX-License-Identifier: GPL-2.0-or-later
"""Our UE behind a NAT, on IPv4: NAT detection, port 4500, keepalives, rekeying through the NAT."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.engine.ike.child import address_selector
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeSaEstablished, IkeSaRekeyed, Selectors, Timers
from mn_dsmip.engine.ike.path import KEEPALIVE
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA_IPV4, PRIVATE_UE, UE_IPV4, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import home_agent, our_config, same_keys
from tests.interop.rows import rows

pytestmark = pytest.mark.root
EVERYTHING = address_selector(IPv6Address(0), IPv6Address(2**128 - 1))
USER = Selectors((EVERYTHING,), (EVERYTHING,), transport=False)


row = rows("UE", "1.1")


@pytest.fixture
def charon(nat_meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(nat_meeting.ha, tmp_path, shim=True)
    user = {"local_ts": ["::/0"], "esp_proposals": ["aes256gcm16"], "policies": "no"}
    home_agent(peer, local_addrs=[str(HA_IPV4)], children={"user": user})
    yield peer
    peer.close()


@pytest.fixture
def ours(nat_meeting: Field, charon: Charon) -> Iterator[Initiator]:
    config = our_config(first_child=USER, timers=Timers(nat_keepalive=0.5))
    end = Initiator(nat_meeting.ue, config, PRIVATE_UE, HA_IPV4)
    try:
        end.run(lambda: end.of(IkeSaEstablished) and end.of(ChildSaEstablished))
        yield end
    finally:
        end.close()


@row("NAT found on the way; IKE goes on at port 4500")
def test_nat_is_found(ours: Initiator, charon: Charon) -> None:
    assert ours.engine.nat
    assert ours.engine.nat.ourselves
    (sa,) = charon.sas()
    assert sa["nat-remote"] == "yes"
    assert sa["remote-host"] == str(UE_IPV4)
    assert sa["local-port"] == "4500"
    assert sa["remote-port"] not in ("500", "4500"), "the NAT gave us a port of its own choice"
    assert {each.source_port for each in ours.sent[1:]} == {4500}
    same_keys(ours, charon, 1, 1)


@row("NAT keepalives reach strongSwan and disturb nothing")
def test_keepalives(ours: Initiator, charon: Charon) -> None:
    ours.run(lambda: len([each for each in ours.sent if each.payload == KEEPALIVE]) >= 2, 5)
    ours.engine.check_liveness(time.monotonic())
    ours.run(lambda: not ours.engine.tasks)
    assert not charon.said("received invalid|malformed|non-ESP marker")


@row("child and IKE SA rekeyed through the NAT, by both sides")
def test_rekeying(ours: Initiator, charon: Charon) -> None:
    ours.engine.rekey(time.monotonic())
    ours.run(lambda: ours.of(IkeSaRekeyed) and not ours.engine.tasks)
    ours.finish(charon.rekey(child="user"))
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    same_keys(ours, charon, 2, 2)
    ours.run(lambda: len(charon.sas()) == 1, 5)
    ours.finish(charon.terminate(ike="s2c"))


@row("IPv4 without a NAT: port 4500 all the same (RFC 5555 5), ESP without UDP")
def test_no_nat(meeting: Field, tmp_path: Path) -> None:
    with closing(Charon(meeting.ha, tmp_path, shim=True)) as charon:
        user = {"local_ts": ["::/0"], "esp_proposals": ["aes256gcm16"], "policies": "no"}
        home_agent(charon, children={"user": user})
        with closing(Initiator(meeting.ue, our_config(first_child=USER), UE_IPV4, HA_IPV4)) as ours:
            ours.run(lambda: ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished))
            (sa,) = charon.sas()
            assert (sa["local-port"], sa["remote-port"]) == ("4500", "4500")
            assert "nat-any" not in sa
            assert ours.engine.nat == (False, False)
            assert not ours.engine.esp_in_udp
            assert "encap" not in next(iter(sa["child-sas"].values()))
            same_keys(ours, charon, 1, 1)
            ours.finish(charon.rekey(ike="s2c"))
            ours.run(lambda: ours.of(IkeSaRekeyed))
            ours.run(lambda: len(charon.sas()) == 1, 10)
            ours.finish(charon.terminate(ike="s2c"))
