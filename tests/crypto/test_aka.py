# SPDX-License-Identifier: GPL-2.0-or-later
"""Milenage against TS 35.207 and 35.208; the USIM and the authentication centre against each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.aka import (
    SQN_DELTA,
    SQN_LIMIT,
    AuthenticationCentre,
    AuthenticationRejected,
    Milenage,
    Subscriber,
    SynchronizationFailed,
    Usim,
    make_vector,
    opc_from_op,
)
from mn_dsmip.crypto.suites import CryptoError
from tests.crypto.published import load, unhex

SETS = load("milenage.json")["sets"]
each_set = pytest.mark.parametrize("vectors", SETS, ids=lambda vectors: f"set {vectors['set']}")
IMSI = "001010123456789"


def subscriber(vectors: dict[str, str] = SETS[0]) -> Subscriber:
    return Subscriber(IMSI, unhex(vectors["k"]), unhex(vectors["opc"]), unhex(vectors["amf"]))


def usim(sqn: int = 0, vectors: dict[str, str] = SETS[0]) -> Usim:
    return Usim(unhex(vectors["k"]), unhex(vectors["opc"]), sqn)


def centre(sqn: int = 0) -> AuthenticationCentre:
    return AuthenticationCentre(random.Random(1).randbytes, {IMSI: sqn})


@each_set
def test_opc(vectors):
    assert opc_from_op(unhex(vectors["k"]), unhex(vectors["op"])) == unhex(vectors["opc"])


@each_set
def test_functions(vectors):
    milenage = Milenage(unhex(vectors["k"]), unhex(vectors["opc"]))
    rand = unhex(vectors["rand"])
    assert milenage.f1(rand, unhex(vectors["sqn"]), unhex(vectors["amf"])) == (
        unhex(vectors["f1"]),
        unhex(vectors["f1_star"]),
    )
    assert milenage.f2345(rand) == tuple(unhex(vectors[name]) for name in ("f2", "f3", "f4", "f5"))
    assert milenage.f5_star(rand) == unhex(vectors["f5_star"])


@each_set
def test_vector(vectors):
    made = make_vector(subscriber(vectors), unhex(vectors["rand"]), int(vectors["sqn"], 16))
    assert (made.autn, made.xres) == (unhex(vectors["autn"]), unhex(vectors["f2"]))
    assert (made.ck, made.ik) == (unhex(vectors["f3"]), unhex(vectors["f4"]))


@each_set
def test_usim(vectors):
    """Accepts the set's challenge once; the second time its AUTS is the set's."""
    sqn = int(vectors["sqn"], 16)
    card = usim(sqn - 1, vectors)
    result = card.authenticate(unhex(vectors["rand"]), unhex(vectors["autn"]))
    assert (result.res, result.ck, result.ik) == tuple(unhex(vectors[name]) for name in ("f2", "f3", "f4"))
    assert card.sqn == sqn
    with pytest.raises(SynchronizationFailed) as failure:
        card.authenticate(unhex(vectors["rand"]), unhex(vectors["autn"]))
    assert failure.value.auts == unhex(vectors["auts"])


def test_keys_of_another_length_are_refused():
    for k, opc in ((bytes(15), bytes(16)), (bytes(16), bytes(17))):
        with pytest.raises(CryptoError, match="16 octets each"):
            Milenage(k, opc)


def test_one_milenage_serves_many_challenges():
    """Its block cipher keeps nothing between blocks: the same answers in any order."""
    milenage = Milenage(unhex(SETS[0]["k"]), unhex(SETS[0]["opc"]))
    rands = [unhex(vectors["rand"]) for vectors in SETS]
    fresh = [Milenage(unhex(SETS[0]["k"]), unhex(SETS[0]["opc"])).f2345(rand) for rand in rands]
    assert [milenage.f2345(rand) for rand in rands] == fresh
    assert [milenage.f2345(rand) for rand in reversed(rands)] == fresh[::-1]


@each_set
def test_every_changed_bit_of_autn_is_rejected(vectors):
    """The sequence number is concealed, the AMF is open, MAC-A covers both."""
    autn = unhex(vectors["autn"])
    for bit in range(8 * len(autn)):
        changed = (int.from_bytes(autn, "big") ^ 1 << bit).to_bytes(16, "big")
        card = usim(int(vectors["sqn"], 16) - 1, vectors)
        with pytest.raises(AuthenticationRejected):
            card.authenticate(unhex(vectors["rand"]), changed)
        assert card.sqn == int(vectors["sqn"], 16) - 1


def test_each_vector_has_a_new_sequence_number_and_rand():
    network, card = centre(), usim()
    made = [network.vector(subscriber()) for _ in range(50)]
    assert len({each.rand for each in made}) == 50
    for number, each in enumerate(made, 1):
        card.authenticate(each.rand, each.autn)
        assert card.sqn == number
    assert network.sequence == {IMSI: 50}


def test_an_unknown_subscriber_starts_at_one():
    network = AuthenticationCentre(random.Random(1).randbytes, {})
    network.vector(subscriber())
    assert network.sequence == {IMSI: 1}


@pytest.mark.parametrize(
    ("card_at", "offered", "accepted"),
    [
        (100, 101, True),
        (100, 100, False),
        (100, 99, False),
        (100, 0, False),
        (100, 100 + SQN_DELTA, True),
        (100, 101 + SQN_DELTA, False),
        (0, 1, True),
        (SQN_LIMIT - 2, SQN_LIMIT - 1, True),
        (SQN_LIMIT - 1, 0, False),
    ],
)
def test_which_sequence_numbers_are_accepted(card_at, offered, accepted):
    card, vector = usim(card_at), make_vector(subscriber(), bytes(16), offered)
    if accepted:
        card.authenticate(vector.rand, vector.autn)
        assert card.sqn == offered
        return
    with pytest.raises(SynchronizationFailed):
        card.authenticate(vector.rand, vector.autn)
    assert card.sqn == card_at


@given(st.integers(0, SQN_LIMIT - 2), st.integers(0, SQN_LIMIT - 2))
def test_one_resynchronisation_always_suffices(card_at, network_at):
    """Whatever either side remembers: after AUTS the next vector is accepted."""
    card, network = usim(card_at), centre(network_at)
    vector = network.vector(subscriber())
    try:
        card.authenticate(vector.rand, vector.autn)
    except SynchronizationFailed as failure:
        network.resynchronise(subscriber(), vector.rand, failure.auts)
        assert network.sequence[IMSI] == card_at
        vector = network.vector(subscriber())
        card.authenticate(vector.rand, vector.autn)
    assert card.sqn == network.sequence[IMSI]


def test_a_forged_resynchronisation_changes_nothing():
    card, network = usim(500), centre(7)
    vector = network.vector(subscriber())
    with pytest.raises(SynchronizationFailed) as failure:
        card.authenticate(vector.rand, vector.autn)
    auts = failure.value.auts
    for bit in range(8 * len(auts)):
        forged = (int.from_bytes(auts, "big") ^ 1 << bit).to_bytes(14, "big")
        with pytest.raises(AuthenticationRejected, match="MAC-S"):
            network.resynchronise(subscriber(), vector.rand, forged)
    other = network.vector(subscriber())  # AUTS belongs to the RAND it answers
    with pytest.raises(AuthenticationRejected):
        network.resynchronise(subscriber(), other.rand, auts)
    assert network.sequence == {IMSI: 9}


def test_secrets_are_not_shown():
    vector = make_vector(subscriber(), bytes(16), 1)
    shown = repr(subscriber()) + repr(vector) + repr(usim().authenticate(vector.rand, vector.autn))
    for secret in (subscriber().k, subscriber().opc, vector.xres, vector.ck, vector.ik):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
