# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE through a NAT: port 4500, keepalives, a mapping that changes, two UEs behind one address (RFC 7296 2.23)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import Timers
from mn_dsmip.engine.ike.path import KEEPALIVE, NON_ESP_MARKER, Nat
from tests.engine.ike_pair import GATEWAY, UE, Pair, initiator_config, responder_config
from tests.engine.ike_trouble import alive

OUTSIDE = IPv6Address("2001:db8:bad:cafe::1")


class NatBox:
    """Gives the UE's ports others, and takes no datagram that nobody inside asked for."""

    def __init__(self, pair: Pair, first: int = 30000) -> None:
        self.outside: dict[int, int] = {}
        self.seen: list[UdpDatagram] = []
        self._next = first
        pair.disturb = self.forward

    def rebind(self) -> None:
        """Forget all mappings, as after a restart."""
        self.outside.clear()

    def forward(self, number: int, datagram: UdpDatagram) -> Iterable[tuple[float, UdpDatagram]]:
        self.seen.append(datagram)
        if datagram.destination == GATEWAY:
            if datagram.source_port not in self.outside:
                self.outside[datagram.source_port] = self._next
                self._next += 1
            port = self.outside[datagram.source_port]
            return [(0.01, datagram._replace(source=OUTSIDE, source_port=port))]
        inside = {new: old for old, new in self.outside.items()}
        if datagram.destination != OUTSIDE or datagram.destination_port not in inside:
            return []
        return [(0.01, datagram._replace(destination=UE, destination_port=inside[datagram.destination_port]))]


def behind_nat(**timers: float) -> tuple[Pair, NatBox]:
    chosen = Timers(**timers)
    pair = Pair(initiator_config(timers=chosen), responder_config(timers=chosen))
    box = NatBox(pair)
    return pair.established(), box


def test_both_sides_find_the_nat_and_move_to_port_4500() -> None:
    pair, box = behind_nat()
    assert pair.initiator.nat == Nat(peer=False, ourselves=True)
    session = next(iter(pair.responder.sessions.values()))
    assert session.nat == Nat(peer=True, ourselves=False)
    ports = [each.source_port for each in box.seen if each.source == UE]
    assert ports[0] == 500 and set(ports[1:]) == {4500}
    assert all(each.payload.startswith(NON_ESP_MARKER) for each in box.seen[2:])
    assert (session.path.remote, session.path.remote_port) == (OUTSIDE, box.outside[4500])
    assert alive(pair)


def test_without_a_nat_nothing_moves() -> None:
    pair = Pair().established()
    assert {each.source_port for _, each in pair.wire} == {500} and pair.initiator.nat == Nat(False, False)


def test_who_is_behind_a_nat_keeps_its_path_open() -> None:
    pair, box = behind_nat(liveness=0.0, ike_lifetime=0.0, child_lifetime=0.0)
    before, start = len(box.seen), pair.now
    pair.run(100.0)
    sent = box.seen[before:]
    assert [each.payload for each in sent] == [KEEPALIVE] * len(sent)
    assert {each.source for each in sent} == {UE}  # only who is behind the NAT (RFC 3948 4)
    assert len(sent) == (pair.now - start) // 20
    assert not pair.responder.counters and not pair.initiator.counters
    assert alive(pair)


@pytest.mark.parametrize("liveness", [0.0, 5.0])
def test_no_keepalives_beside_other_traffic_or_when_off(liveness: float) -> None:
    pair, box = behind_nat(liveness=liveness, nat_keepalive=20.0 if liveness else 0.0)
    before = len(box.seen)
    pair.run(100.0)
    assert KEEPALIVE not in [each.payload for each in box.seen[before:]]


def test_a_mapping_that_changes() -> None:
    """The gateway answers to where the UE's latest request came from, and goes on from there (RFC 7296 2.11, 2.23)."""
    pair, box = behind_nat()
    session = next(iter(pair.responder.sessions.values()))
    old = session.path
    box.rebind()
    assert alive(pair)
    assert session.path.remote_port == box.outside[4500] != old.remote_port
    pair.responder.rekey(session.name, pair.now)
    pair.settle()
    pair.quiet()
    assert session.current.initiator and alive(pair)


def test_a_copy_from_elsewhere_moves_nothing() -> None:
    """Only a genuine new request does: an old one that somebody sends again does not (RFC 7296 2.23)."""
    pair, box = behind_nat()
    session = next(iter(pair.responder.sessions.values()))
    path = session.path
    last = [each for each in box.seen if each.source == UE][-1]
    pair.inject(last._replace(source=IPv6Address("2001:db8:bad::666"), source_port=666))
    pair.quiet()
    assert session.path == path and alive(pair)
