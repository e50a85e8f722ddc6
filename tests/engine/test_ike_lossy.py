# SPDX-License-Identifier: GPL-2.0-or-later
"""The bootstrap with each message lost, repeated, late or damaged, and over paths that lose at random."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeFailed, IkeSaClosed, IkeSaEstablished, Timers
from tests.engine.ike_pair import FOR_HOME, GATEWAY, PSK, Pair, Policy, initiator_config, responder_config

METHODS = ("EAP-AKA", "PSK")
MESSAGES = {"EAP-AKA": 12, "PSK": 8}
LONG = Timers(liveness=0)

Disturb = Callable[[int, UdpDatagram], Iterable[tuple[float, UdpDatagram]]]


def make(method: str, disturb: Disturb | None = None, seed: int = 0) -> Pair:
    changes = {"timers": LONG} | ({"psk": PSK} if method == "PSK" else {})
    policy = Policy(psk=PSK if method == "PSK" else None, seed=seed)
    pair = Pair(initiator_config(**changes), responder_config(timers=LONG), policy, seed)
    pair.disturb = disturb
    return pair


def whole_life(pair: Pair) -> None:
    """Attach, a child SA for the home address, detach."""
    pair.start()
    pair.run(until=lambda: bool(pair.ue(ChildSaEstablished) or pair.ue(IkeFailed)))
    if pair.ue(IkeFailed):
        pair.run()
        return
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.initiator.delete(pair.now, "detach")
    pair.settle()
    pair.run()


def all_went_well(pair: Pair) -> None:
    assert len(pair.ue(IkeSaEstablished)) == len(pair.gateway(IkeSaEstablished)) == 1
    for ue, gateway in zip(pair.ue(ChildSaEstablished), pair.gateway(ChildSaEstablished), strict=True):
        assert ue.child.inbound_keys == gateway.child.outbound_keys
        assert ue.child.outbound_keys == gateway.child.inbound_keys
    assert len(pair.ue(ChildSaEstablished)) == 2
    assert [each.by_peer for each in pair.ue(IkeSaClosed)] == [False]
    assert [each.by_peer for each in pair.gateway(IkeSaClosed)] == [True]
    assert not pair.responder.sessions


@pytest.mark.parametrize("method", METHODS)
def test_undisturbed(method: str) -> None:
    pair = make(method)
    whole_life(pair)
    all_went_well(pair)
    assert len(pair.wire) == MESSAGES[method]


@pytest.mark.parametrize("method", METHODS)
def test_each_message_lost_once(method: str) -> None:
    """The request is repeated bit for bit, the response is the stored one (RFC 7296 2.1)."""
    for lost in range(MESSAGES[method]):
        pair = make(method, lambda number, datagram, lost=lost: [(0.01, datagram)] if number != lost else [])
        whole_life(pair)
        all_went_well(pair)
        request = lost - lost % 2
        sent = [datagram.payload for _, datagram in pair.wire]
        if lost == request:  # the request: sent again, answered once
            assert sent[request] == sent[request + 1]
            assert len(sent) == MESSAGES[method] + 1
        else:
            assert sent[request : request + 2] == sent[request + 2 : request + 4]
            assert len(sent) == MESSAGES[method] + 2
            assert pair.responder.counters == {"ike-repeated-request": 1}
        assert pair.wire[request + 2][0] - pair.wire[request][0] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_each_message_arrives_twice(method: str) -> None:
    for doubled in range(MESSAGES[method]):
        pair = make(method, lambda number, datagram, d=doubled: [(0.01, datagram)] * (2 if number == d else 1))
        whole_life(pair)
        all_went_well(pair)
        # A repeated request is answered again, a repeated response is counted.
        counted = pair.initiator.counters + pair.responder.counters
        assert set(counted) <= {"ike-repeated-request", "ike-unexpected-response"}
        assert sum(counted.values()) == (2 if doubled % 2 == 0 else 1), (doubled, counted)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("delay", [0.5, 1.5, 3.5, 10.0, 40.0])
def test_each_message_is_late(method: str, delay: float) -> None:
    """Later than the repetition that did its work: old messages neither hurt nor help."""
    for late in range(MESSAGES[method]):
        pair = make(method, lambda number, datagram, late=late: [(delay if number == late else 0.01, datagram)])
        whole_life(pair)
        all_went_well(pair)


@pytest.mark.parametrize("method", METHODS)
def test_each_message_is_damaged_once(method: str) -> None:
    """One bit of the last octet: the message is as good as lost."""
    for damaged in range(2, MESSAGES[method]):
        pair = make(method, damage(damaged, -1))
        whole_life(pair)
        all_went_well(pair)
        assert (pair.initiator.counters + pair.responder.counters)["ike-integrity"] == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("octet", [100, -1])
@pytest.mark.parametrize("damaged", [0, 1])
def test_damage_to_ike_sa_init_is_noticed(method: str, octet: int, damaged: int) -> None:
    """In the KE payload the keys differ; in the last notify only AUTH can tell, and the UE says that it failed."""
    pair = make(method, damage(damaged, octet))
    whole_life(pair)
    assert not pair.ue(IkeSaEstablished)
    assert len(pair.ue(IkeFailed)) == 1
    assert not pair.responder.sessions
    told = octet == -1 and (damaged == 1)
    assert pair.chart()[-2:] == ["--> INFORMATIONAL 2 N(AUTHENTICATION_FAILED)", "<-- INFORMATIONAL 2"] or not told


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_answer_to_ike_sa_init_does_not_end_the_attempt(method: str) -> None:
    """Algorithms that were not offered, from whoever: the wait goes on for a better answer (RFC 7296 2.21.1)."""
    pair = make(method, damage(1, 47))
    whole_life(pair)
    all_went_well(pair)
    assert pair.initiator.counters == {"ike-init-error": 1}


def damage(damaged: int, octet: int) -> Disturb:
    def disturb(number: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        if number == damaged:
            octets = bytearray(datagram.payload)
            octets[octet] ^= 1
            datagram = datagram._replace(payload=bytes(octets))
        return [(0.01, datagram)]

    return disturb


@pytest.mark.parametrize("dead", range(0, 12, 2))
def test_a_gateway_that_falls_silent(dead: int) -> None:
    """From request ``dead`` on nothing is answered: an end comes in bounded time, and says what is the matter."""
    pair = make("EAP-AKA", lambda number, datagram: [(0.01, datagram)] if number < dead else [])
    whole_life(pair)
    reasons = [each.reason for each in (*pair.ue(IkeFailed), *pair.ue(IkeSaClosed))]
    assert not any(each.by_peer for each in pair.ue(IkeSaClosed))
    expected = {
        0: "the gateway does not answer IKE_SA_INIT",
        2: "the gateway does not answer IKE_AUTH any more",
        4: "the gateway does not answer IKE_AUTH any more",
        6: "the gateway does not answer IKE_AUTH any more",
        8: "the gateway does not answer any more",
        10: "detach; the peer did not confirm",
    }
    assert reasons == [expected[dead]]
    gaps = [round(pair.wire[n + 1][0] - pair.wire[n][0], 6) for n in range(dead, dead + 7)]
    assert gaps == [1, 2, 4, 8, 16, 16, 16]
    assert len(pair.wire) == dead + 8
    assert pair.initiator.next_timer() is None
    if dead < 8:
        assert not pair.responder.sessions  # half-open ones are forgotten
        assert pair.responder.counters["ike-half-open-expired"] == (1 if dead else 0)


LOSSES = (0.0, 0.1, 0.2, 0.3, 0.4)
SEEDS = range(60)


def path(loss: float, seed: int) -> Disturb:
    """Loses, repeats, delays and so reorders."""
    source = random.Random(seed)

    def disturb(number: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        copies = 2 if source.random() < loss / 2 else 1
        return [(source.uniform(0.01, 0.4), datagram) for _ in range(copies) if source.random() >= loss]

    return disturb


def test_random_paths() -> None:
    outcomes: Counter[tuple[float, bool]] = Counter()
    for loss in LOSSES:
        for seed in SEEDS:
            pair = make("EAP-AKA", path(loss, seed), seed)
            whole_life(pair)
            good = bool(pair.ue(IkeSaEstablished))
            outcomes[loss, good] += 1
            if good:
                assert len(pair.gateway(IkeSaEstablished)) == 1
                assert len(pair.ue(IkeSaClosed)) == 1 and len(pair.ue(ChildSaEstablished)) in (1, 2)
            else:
                assert [each.authentication for each in pair.ue(IkeFailed)] == [False]
                assert "does not answer" in pair.ue(IkeFailed)[0].reason
            assert not pair.responder.sessions or pair.responder.next_timer() is None
            assert set(pair.responder.counters + pair.initiator.counters) <= {
                "ike-repeated-request", "ike-unexpected-response", "ike-message-id", "ike-half-open-expired",
                "ike-unknown-spi",
            }  # fmt: skip
    for loss in LOSSES[:3]:
        assert outcomes[loss, True] >= 0.99 * len(SEEDS), outcomes
    assert outcomes[0.4, True] >= 0.8 * len(SEEDS), outcomes


def test_the_same_seed_gives_the_same_octets_over_a_bad_path() -> None:
    def octets() -> list[tuple[float, bytes]]:
        pair = make("EAP-AKA", path(0.3, 5), 5)
        whole_life(pair)
        return [(time, datagram.payload) for time, datagram in pair.wire]

    assert octets() == octets()


def test_a_moved_ue_gets_the_repeated_answer_at_its_new_address() -> None:
    """RFC 7296 2.11: a response goes to where the request came from, repeated or not."""
    pair = make("EAP-AKA").established()
    old = pair.initiator.path
    pair.disturb = lambda number, datagram: [(0.01, datagram)] if datagram.destination == GATEWAY else []
    pair.initiator.check_liveness(pair.now)
    pair.settle()
    pair.quiet()
    moved = old._replace(local_port=4711)
    pair.initiator.path = moved
    pair.disturb = None
    pair.run(until=lambda: not pair.initiator.tasks)
    [session] = pair.responder.sessions.values()
    assert pair.wire[-1][1].destination_port == 4711
    assert session.path.remote_port == old.local_port  # a repetition does not move the session (2.23)
    pair.initiator.check_liveness(pair.now)
    pair.settle()
    pair.quiet()
    assert session.path.remote_port == 4711
