# SPDX-License-Identifier: GPL-2.0-or-later
"""Long IKE messages in several datagrams (RFC 7383): only when both want it, each piece sealed, none trusted unseen."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from mn_dsmip.crypto.certs import Identity
from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import IkeFailed
from mn_dsmip.engine.ike.fragmentation import MAXIMUM_FRAGMENTS, OUTER_HEADERS, Reassembly
from mn_dsmip.engine.ike.proposals import PROFILES, Profile, parse_offer
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, PayloadType, Protocol
from mn_dsmip.wire.ikev2_payloads import Encrypted, EncryptedFragment, Notify
from tests.engine.ike_pair import GATEWAY, Pair, authority, gateway_identity, initiator_config, responder_config
from tests.engine.ike_trouble import alive

SUITES = ("aes256gcm16-prfsha256-curve25519", "aes128-sha256-prfsha256-curve25519")


def long_chain() -> Identity:
    """The usual certificate, followed by many others that nobody needs."""
    usual = gateway_identity()
    others = [authority(f"One more authority {number}").chain[0] for number in range(12)]
    return replace(usual, chain=(*usual.chain, *others))


def pair(size: int = 1280, ours: int | None = None, suite: str = SUITES[0], seed: int = 0) -> Pair:
    """Ends that take datagrams of ``size`` octets; the UE's own limit may differ."""
    profile = Profile((parse_offer(suite, Protocol.IKE),), PROFILES["modern"].esp)
    ue = initiator_config(profile=profile, fragment_size=size if ours is None else ours)
    return Pair(ue, responder_config(profile=profile, fragment_size=size, identity=long_chain()), seed=seed)


def pieces(sent: Pair, from_gateway: bool = True) -> list[EncryptedFragment]:
    found = []
    for _, datagram in sent.wire:
        sealed = Message.parse(datagram.payload).payloads[-1]
        if isinstance(sealed, EncryptedFragment) and (datagram.source == GATEWAY) == from_gateway:
            found.append(sealed)
    return found


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("size", [296, 576, 1280])
def test_a_long_message_goes_in_pieces(suite: str, size: int) -> None:
    one = pair(size, suite=suite).established()
    assert alive(one)
    of_chain = pieces(one)
    of_chain = of_chain[: of_chain[0].total]  # with the smallest size other messages are split as well
    assert len(of_chain) > 4000 // size
    assert [each.fragment for each in of_chain] == list(range(1, len(of_chain) + 1))
    assert of_chain[0].first_inner == PayloadType.ID_R and not any(each.first_inner for each in of_chain[1:])
    assert max(len(each.payload) for _, each in one.wire[2:]) + OUTER_HEADERS <= size


@pytest.mark.parametrize(("size", "ours"), [(0, 1280), (1280, 0)])
def test_both_must_want_it(size: int, ours: int) -> None:
    one = pair(size, ours).established()
    assert not pieces(one) and max(len(each.payload) for _, each in one.wire) > 4000
    told = [
        notify.notify_type
        for _, datagram in one.wire[:2]
        for notify in Message.parse(datagram.payload).payloads
        if isinstance(notify, Notify)
    ]
    assert told.count(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) == bool(
        ours
    )  # a gateway only answers it (RFC 7383 2.3)


def test_a_short_message_stays_whole() -> None:
    one = pair().established()
    of_ue = [Message.parse(each.payload).payloads[-1] for _, each in one.wire[2:] if each.destination == GATEWAY]
    assert of_ue and all(isinstance(each, Encrypted) for each in of_ue)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_that_are_lost_late_or_repeated(seed: int) -> None:
    one = pair(576, seed=seed)
    dice = random.Random(seed)

    def disturb(number: int, datagram: UdpDatagram) -> Iterable[tuple[float, UdpDatagram]]:
        copies = dice.choices((0, 1, 2), (10, 80, 10))[0]
        return [(dice.uniform(0.01, 1.5), datagram) for _ in range(copies)]

    one.disturb = disturb
    one.start()
    assert one.run(300, lambda: one.initiator.established), one.ue(IkeFailed)
    one.disturb = None
    assert alive(one)


def test_a_request_in_pieces_is_answered_again_once() -> None:
    """RFC 7383 2.6.1: every piece of the repetition arrives, the first alone counts as one."""
    one = pair(296).established()
    request = [each for _, each in one.wire if each.destination == GATEWAY and _is_piece(each)]
    last = Message.parse(request[-1].payload).message_id
    again = [each for each in request if Message.parse(each.payload).message_id == last]
    assert len(again) > 1
    session = next(iter(one.responder.sessions.values()))
    session.current.expected_id = last + 1  # as if nothing had followed
    before = len(one.wire)
    one.responder.counters.clear()
    for each in again:
        one.inject(each)
    one.quiet()
    assert one.responder.counters == {"ike-repeated-request": 1}
    assert len(one.wire) - before == len(session.current._response)


def _is_piece(datagram: UdpDatagram) -> bool:
    return isinstance(Message.parse(datagram.payload).payloads[-1], EncryptedFragment)


def test_a_forged_piece_counts_for_nothing() -> None:
    one = pair(576)

    def disturb(number: int, datagram: UdpDatagram) -> Iterable[tuple[float, UdpDatagram]]:
        if datagram.source == GATEWAY and number > 1 and _is_piece(datagram):
            forged = bytearray(datagram.payload)
            forged[-20] ^= 1
            return [(0.001, datagram._replace(payload=bytes(forged))), (0.01, datagram)]
        return [(0.01, datagram)]

    one.disturb = disturb
    one.established()
    assert one.initiator.counters["ike-integrity"] == len(pieces(one))


def test_pieces_without_leave() -> None:
    """Genuine, but never agreed on: dropped."""
    one = pair().established()
    for end in (one.initiator, next(iter(one.responder.sessions.values()))):
        end.fragment_size = 0
    one.responder.counters.clear()
    session = one.initiator.current
    session.session.fragment_size = 296
    octets = session.build(Exchange.INFORMATIONAL, session.next_id, [Notify(40000, bytes(900))], is_response=False)
    assert len(octets) > 1
    for each in octets:
        one.inject(one.initiator.path.datagram(each))
    one.quiet()
    assert one.responder.counters == {"ike-fragment-unasked": len(octets)}


def test_reassembly() -> None:
    def piece(number: int, total: int, first: int = 0) -> EncryptedFragment:
        return EncryptedFragment(first, number, total, b"")

    one = Reassembly(7)
    assert one.add(piece(2, 3), b"b") is None
    assert one.add(piece(2, 3), b"x") is None  # a copy
    assert one.add(piece(1, 3, 41), b"a") is None and one.first == 41
    for bad in (piece(0, 3), piece(4, 3), piece(1, 2), piece(1, MAXIMUM_FRAGMENTS + 1), piece(0, 0)):
        assert one.add(bad, b"z") is None
    assert one.add(piece(3, 3), b"c") == b"abc"
    other = Reassembly(7)
    assert other.add(piece(1, 2, 41), b"old") is None
    assert other.add(piece(3, 3), b"c") is None  # the peer found the path narrower: anew (RFC 7383 2.5.2)
    assert other.add(piece(2, 2), b"old") is None
    assert other.add(piece(2, 3), b"b") is None
    assert other.add(piece(1, 3, 36), b"a") == b"abc" and other.first == 36
