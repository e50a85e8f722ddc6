# SPDX-License-Identifier: GPL-2.0-or-later
"""New keys for IKE SAs and child SAs, by either side or by both at once (RFC 7296 1.3.2, 1.3.3, 2.8, 2.25)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.effects import RefreshSucceeded
from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    IkeKeysDerived,
    IkeSaClosed,
    IkeSaRekeyed,
    RekeyFailed,
    Timers,
)
from mn_dsmip.engine.ike.informational import DeleteChildTask
from mn_dsmip.engine.ike.path import Path
from mn_dsmip.engine.ike.responder_session import ResponderSession
from mn_dsmip.engine.ike.session import Session
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import Delete, Nonce, Notify, SecurityAssociation
from mn_dsmip.wire.ikev2_proposals import Proposal
from tests.engine.ike_pair import FOR_HOME, Pair, initiator_config, responder_config
from tests.engine.ike_trouble import alive, deliver, from_gateway, request
from tests.engine.operator_network import Operator


def session_of(pair: Pair) -> ResponderSession:
    """The gateway's only session."""
    [session] = pair.responder.sessions.values()
    return session


def established(timers: Timers | None = None, seed: int = 0) -> Pair:
    """An IKE SA with the child SA of IKE_AUTH and one for the home address."""
    timers = timers or Timers()
    pair = Pair(initiator_config(timers=timers), responder_config(timers=timers), seed=seed).established()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    pair.initiator.check_liveness(pair.now)  # any further request says that the UE has the gateway's answer
    pair.settle()
    return pair.quiet()


def begin(pair: Pair, side: str, what: Callable[[Session], None]) -> None:
    """Have one side ask for something."""
    session = pair.initiator if side == "ue" else session_of(pair)
    what(session)
    if isinstance(session, ResponderSession):
        pair.responder.settle(session)
    pair.settle()


def rekey_ike(pair: Pair, side: str) -> None:
    begin(pair, side, lambda session: session.rekey(pair.now))


def rekey_child(pair: Pair, side: str) -> None:
    begin(pair, side, lambda session: session.rekey_child(list(session.children)[-1], pair.now))


def agree(pair: Pair) -> bool:
    """Both ends hold the same IKE SA, the same child SAs and the same keys, and nothing of the past."""
    ue, gateway = pair.initiator, session_of(pair)
    same_ike = (ue.current.spi_i, ue.current.spi_r, ue.keys) == (
        gateway.current.spi_i, gateway.current.spi_r, gateway.keys
    )  # fmt: skip
    theirs = {child.outbound_spi: child for child in gateway.children.values()}
    same_children = theirs.keys() == ue.children.keys() and all(
        child.outbound_spi == theirs[spi].inbound_spi
        and child.inbound_keys == theirs[spi].outbound_keys
        and child.outbound_keys == theirs[spi].inbound_keys
        and child.local == theirs[spi].remote
        for spi, child in ue.children.items()
    )
    return same_ike and same_children and all(sa.closed for session in (ue, gateway) for sa in session.others)


@pytest.mark.parametrize("side", ["ue", "gateway"])
def test_rekey_a_child_sa(side: str) -> None:
    pair = established()
    [first, old] = pair.ue(ChildSaEstablished)
    before = len(pair.wire)
    rekey_child(pair, side)
    pair.quiet()
    # asker: CREATE_CHILD_SA with REKEY_SA -->  <-- answer; INFORMATIONAL with Delete of the old one -->  <-- Delete
    exchanges = [pair.look(each)[0].exchange for _, each in pair.wire[before:]]
    assert exchanges == [Exchange.CREATE_CHILD_SA] * 2 + [Exchange.INFORMATIONAL] * 2
    new = pair.ue(ChildSaEstablished)[-1]
    assert new.replaces == old.child.inbound_spi and new.standby == (side == "gateway")
    assert (new.child.local, new.child.remote) == (old.child.local, old.child.remote)
    assert new.child.inbound_keys != old.child.inbound_keys
    assert pair.gateway(ChildSaEstablished)[-1].standby == (side == "ue")
    assert [each.inbound_spi for each in pair.ue(ChildSaClosed)] == [old.child.inbound_spi]
    assert pair.initiator.children.keys() == {first.child.inbound_spi, new.child.inbound_spi} and agree(pair)
    assert alive(pair)


@pytest.mark.parametrize("side", ["ue", "gateway"])
def test_rekey_the_ike_sa(side: str) -> None:
    pair = established()
    old = pair.initiator.current
    name, children = pair.initiator.name, dict(pair.initiator.children)
    rekey_ike(pair, side)
    pair.quiet()
    new = pair.initiator.current
    assert new is not old and old.closed and new.keys != old.keys and new.initiator == (side == "ue")
    assert pair.initiator.name == name and pair.initiator.children == children  # inherited (RFC 7296 2.8)
    [told] = pair.ue(IkeSaRekeyed)
    assert (told.session, told.initiator_spi, told.responder_spi) == (name, new.spi_i, new.spi_r)
    assert len(pair.gateway(IkeSaRekeyed)) == 1 and len(pair.ue(IkeKeysDerived)) == 2
    assert agree(pair) and alive(pair)
    assert (new.next_id, new.expected_id) == (1, 0)  # numbers begin anew (2.2); `alive` used one
    assert not pair.ue(IkeSaClosed) and not pair.gateway(IkeSaClosed)


def test_rekey_again_and_again_from_both_sides() -> None:
    pair = established()
    for number in range(12):
        side = ("ue", "gateway")[number % 2]
        (rekey_ike if number % 3 else rekey_child)(pair, side)
        pair.quiet()
        assert agree(pair)
    assert alive(pair)
    pair.run(200)
    assert not pair.initiator.others and not session_of(pair).others
    assert len(pair.responder._by_spi) == 1


@pytest.mark.parametrize("seed", range(8))
def test_both_rekey_the_ike_sa_at_once(seed: int) -> None:
    """RFC 7296 2.8.1: the SA with the lowest nonce goes; which side's that is differs with the seed."""
    pair = established(seed=seed)
    rekey_ike(pair, "ue")
    rekey_ike(pair, "gateway")
    pair.quiet()
    assert agree(pair), pair.chart()
    assert len(pair.ue(IkeSaRekeyed)) == len(pair.gateway(IkeSaRekeyed)) == 1
    assert len(pair.ue(IkeKeysDerived)) == 3
    assert alive(pair)


def test_either_side_may_win_a_collision() -> None:
    winners = set()
    for seed in range(8):
        pair = established(seed=seed)
        rekey_ike(pair, "ue")
        rekey_ike(pair, "gateway")
        pair.quiet()
        winners.add(pair.initiator.current.initiator)
    assert winners == {True, False}


@pytest.mark.parametrize("seed", range(8))
def test_both_rekey_a_child_sa_at_once(seed: int) -> None:
    pair = established(seed=seed)
    rekey_child(pair, "ue")
    rekey_child(pair, "gateway")
    pair.quiet()
    assert len(pair.initiator.children) == 2 and agree(pair)
    assert alive(pair)


def test_one_rekeys_the_ike_sa_while_the_other_rekeys_a_child() -> None:
    """RFC 7296 2.25.1 and 2.25.2: both refuse for now; the one and the other come to it later."""
    pair = established()
    rekey_ike(pair, "ue")
    rekey_child(pair, "gateway")
    pair.quiet()
    assert not pair.ue(IkeSaRekeyed) and len(pair.ue(ChildSaEstablished)) == 2
    pair.run(60)
    assert pair.ue(IkeSaRekeyed) and len(pair.ue(ChildSaEstablished)) == 3
    assert agree(pair) and alive(pair)


def test_a_child_sa_that_the_peer_does_not_know() -> None:
    """RFC 7296 2.25.1: CHILD_SA_NOT_FOUND; the asker makes a new one instead."""
    pair = established()
    session, [_, old] = session_of(pair), list(pair.initiator.children)
    lost = session.child_of_peer(old)
    assert lost
    del session.children[lost.inbound_spi]
    rekey_child(pair, "ue")
    pair.quiet()
    assert [each.inbound_spi for each in pair.ue(ChildSaClosed)] == [old]
    assert len(pair.initiator.children) == 2 and agree(pair)


def test_a_child_sa_that_is_being_closed() -> None:
    pair = established()
    spi = list(pair.initiator.children)[-1]
    child = pair.initiator.children[spi]
    pair.initiator.delete_child(spi, pair.now)
    pair.disturb = lambda number, datagram: []
    pair.settle()
    asked = Notify(NotifyType.REKEY_SA, b"", Protocol.ESP, child.outbound_spi)
    content = pair.look(pair.wire[-1][1])[1]
    assert content  # the Delete is under way
    answer = deliver(pair, from_gateway(pair, asked, *_child_request(pair), exchange=Exchange.CREATE_CHILD_SA))
    assert answer == [Notify(NotifyType.TEMPORARY_FAILURE)]


def test_both_close_a_child_sa_at_once() -> None:
    """RFC 7296 2.25.1: neither answer names the child SA, and it is gone once, not twice."""
    pair = established()
    child = list(pair.initiator.children.values())[-1]
    since = len(pair.wire)
    begin(pair, "ue", lambda each: each.queue(DeleteChildTask(each, child.inbound_spi), pair.now))
    begin(pair, "gateway", lambda each: each.queue(DeleteChildTask(each, child.outbound_spi), pair.now))
    pair.quiet()
    assert [each.inbound_spi for each in pair.ue(ChildSaClosed)] == [child.inbound_spi]
    assert [each.inbound_spi for each in pair.gateway(ChildSaClosed)] == [child.outbound_spi]
    told = [[type(each) for each in pair.look(datagram)[1]] for _, datagram in pair.wire[since:]]
    assert told == [[Delete], [Delete], [], []]
    assert alive(pair)


def _child_request(pair: Pair) -> list:
    number = next(n for n, (_, each) in enumerate(pair.wire) if pair.look(each)[0].exchange == Exchange.CREATE_CHILD_SA)
    return [each for each in pair.look(pair.wire[number][1])[1] if not isinstance(each, Notify)]


def test_a_gateway_may_not_widen_what_it_rekeys() -> None:
    pair = established()
    first = next(iter(pair.initiator.children.values()))
    asked = Notify(NotifyType.REKEY_SA, b"", Protocol.ESP, first.outbound_spi)
    answer = deliver(pair, from_gateway(pair, asked, *_child_request(pair), exchange=Exchange.CREATE_CHILD_SA))
    assert answer == [Notify(NotifyType.TS_UNACCEPTABLE)]
    assert alive(pair)


@pytest.mark.parametrize("side", ["ue", "gateway"])
def test_a_peer_that_does_not_rekey(side: str) -> None:
    """Its refusal is told, and the old keys go on."""
    pair = established()
    session = pair.initiator if side == "gateway" else session_of(pair)

    def refuse(sa, message, payloads, now):
        sa.respond(message, [Notify(NotifyType.NO_ADDITIONAL_SAS)])

    session.handle_request = refuse  # type: ignore[method-assign]
    rekey_ike(pair, side)
    rekey_child(pair, side)
    pair.quiet()
    failed = (pair.ue if side == "ue" else pair.gateway)(RekeyFailed)
    assert ["IKE SA" in each.reason for each in failed] == [True, False]
    assert all("NO_ADDITIONAL_SAS" in each.reason for each in failed) and agree(pair)


def test_an_offer_that_nobody_takes() -> None:
    pair = established()
    offer = SecurityAssociation((Proposal(1, Protocol.IKE, bytes(7) + b"\1", ()),))
    content = (offer, Nonce(bytes(32)))
    answer = deliver(pair, request(pair, *content, exchange=Exchange.CREATE_CHILD_SA))
    assert answer == [Notify(NotifyType.INVALID_SYNTAX)]  # no key exchange in it (RFC 7296 1.3.2)


def test_keys_do_not_grow_old() -> None:
    """Both sides have lifetimes; the UE's comes first, so that they seldom begin at once."""
    pair = established(Timers(ike_lifetime=1000, child_lifetime=300, liveness=0))
    pair.run(10_000)
    assert 10 <= len(pair.ue(IkeSaRekeyed)) <= 13
    assert 2 * 33 <= len(pair.ue(ChildSaEstablished)) <= 2 * 43
    assert agree(pair) and alive(pair)


@pytest.mark.parametrize("seed", range(120))
def test_rekeying_over_a_lossy_path(seed: int) -> None:
    """A quarter of all messages lost, others late or twice, both sides rekeying as they like: they end up agreeing."""
    pair = established(seed=seed)
    dice = random.Random(seed)

    def disturb(number: int, datagram: UdpDatagram) -> Iterable[tuple[float, UdpDatagram]]:
        fate = dice.random()
        if fate < 0.25:
            return []
        copies = 2 if fate > 0.9 else 1
        return [(dice.uniform(0.01, 3.0), datagram) for _ in range(copies)]

    pair.disturb = disturb
    for _ in range(6):
        dice.choice([rekey_ike, rekey_child])(pair, dice.choice(["ue", "gateway"]))
        pair.run(dice.uniform(0, 8))
        if pair.initiator.closed or session_of(pair).closed:
            break
    pair.disturb = None
    pair.run(400)
    if pair.initiator.closed:
        raise AssertionError(pair.ue(IkeSaClosed))
    assert agree(pair), (pair.initiator.children, session_of(pair).children)
    assert alive(pair)


def test_a_child_sa_that_the_peer_may_not_know_yet() -> None:
    """The answer that made it may be lost, so the side that answered does not replace it at once."""
    pair = Pair().established()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    asked = len(pair.wire)
    rekey_child(pair, "gateway")
    assert len(pair.wire) == asked
    assert pair.run(60, lambda: len(pair.ue(ChildSaEstablished)) == 3) is False  # no request, no news
    assert alive(pair)
    pair.run(60)
    assert pair.ue(ChildSaEstablished)[-1].standby and agree(pair)


def test_a_child_sa_of_a_peer_that_says_nothing_more() -> None:
    """A peer without our answer would have asked again by now; what it never says does not keep old keys in use."""
    pair = Pair(initiator_config(timers=Timers(liveness=0))).established()
    pair.quiet()
    rekey_child(pair, "gateway")
    assert pair.run(2 * Timers().linger, lambda: any(each.replaces for each in pair.ue(ChildSaEstablished)))
    pair.run(10)
    assert agree(pair)


def test_the_binding_outlives_new_keys() -> None:
    """Refreshes go on with the new SAs, whoever asked for them, and the old ones are gone at both ends."""
    operator = Operator().start()
    ue = operator.add_ue()
    sim, node, gateway = operator.simulation, operator.nodes[0], operator.gateway
    assert sim.run(lambda: ue.state is UeState.ATTACHED, 60)
    connection = ue.connection
    assert connection
    for number in range(4):
        before, refreshes = set(connection._ike.children), number + 1
        if number % 2:
            sim.do(operator.gateway_node, lambda now: gateway.ike.rekey(next(iter(gateway.ike.sessions)), now))
        else:
            sim.do(node, connection.rekey)
        assert sim.run(lambda old=before: not old & set(connection._ike.children), 60)
        assert sim.run(lambda: not connection._ike.tasks, 60)
        sim.do(node, ue.refresh)
        assert sim.run(lambda wanted=refreshes: len(node.seen(RefreshSucceeded)) == wanted, 60)
    assert len(node.seen(IkeSaRekeyed)) == 4
    assert len(connection._network.database) == len(gateway.network.database) == 2
    assert len(gateway._authorizations) == 2


def test_requests_on_the_old_ike_sa() -> None:
    """After it was replaced it only repeats its last answer; new requests on it get none."""
    pair = established()
    rekey_ike(pair, "ue")
    pair.quiet()
    repeated = [each for _, each in pair.wire if each.destination == pair.initiator.path.remote][-1]
    answers = len(pair.wire)
    pair.inject(repeated)
    pair.quiet()
    assert pair.wire[answers][1].payload == pair.wire[answers - 1][1].payload
    assert session_of(pair).path == Path(repeated.destination, 500, repeated.source, 500)
