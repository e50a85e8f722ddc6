# SPDX-License-Identifier: GPL-2.0-or-later
"""The EAP-AKA peer against a server that does everything wrong: each answer is the one its RFC demands."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Transcript
from mn_dsmip.engine.ike.aka_peer import IDENTITY_REQUESTS
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Code, Method, Packet, Subtype
from tests.engine.eap_pair import (
    ANSWER,
    CLIENT_ERROR,
    FLAVOURS,
    IDENTITY_ANSWER,
    OTHER_K,
    REJECT,
    SKIPPABLE,
    HandWritten,
    make_pair,
    permanent,
)

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)


# --- identity


@each_flavour
@pytest.mark.parametrize("order", [each for n in (1, 2, 3, 4) for each in product(range(3), repeat=n)])
def test_identity_requests_come_in_one_order_only(flavour, order):
    """ANY first, FULLAUTH not after itself, nothing after PERMANENT (RFC 4187 4.1.5)."""
    server, last = HandWritten(flavour), -1
    for asked in order:
        answer = server.ask(server.request(Subtype.IDENTITY, IDENTITY_REQUESTS[asked]()))
        if asked <= last:
            assert answer == CLIENT_ERROR
            assert server.ask(server.good()) == CLIENT_ERROR  # it stays refused
            return
        assert answer == IDENTITY_ANSWER
        last = asked
    assert server.ask(server.good()) == ANSWER


@each_flavour
def test_no_identity_request_after_the_challenge(flavour):
    server = HandWritten(flavour)
    assert server.ask(server.good()) == ANSWER
    assert server.ask(server.request(Subtype.IDENTITY, eap.PermanentIdReq())) == CLIENT_ERROR
    assert server.end() is None


@each_flavour
def test_the_identity_is_sent_as_it_is(flavour):
    server = HandWritten(flavour)
    result = server.send(server.request(Subtype.IDENTITY, eap.PermanentIdReq()))
    assert isinstance(result, EapPacket)
    identity = AkaPacket.parse(Packet.parse(result.packet)).get(eap.Identity)
    assert identity == eap.Identity(permanent(flavour).encode())


@each_flavour
@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (eap.AnyIdReq(), eap.PermanentIdReq()),
        (eap.AnyIdReq(), eap.AnyIdReq()),
        (eap.FullauthIdReq(), eap.Mac()),
        (eap.FullauthIdReq(), eap.Iv(bytes(16)), eap.EncrData(bytes(16))),
        (eap.AnyIdReq(), eap.Identity(b"x")),
        (eap.Identity(b"x"),),
        (SKIPPABLE,),
    ],
    ids=lambda attributes: " ".join(type(each).__name__ for each in attributes) or "nothing",
)
def test_other_identity_requests_are_refused(flavour, attributes):
    server = HandWritten(flavour)
    assert server.ask(server.request(Subtype.IDENTITY, *attributes)) == CLIENT_ERROR
    assert server.peer.counters == {"eap-client-error": 1}


@each_flavour
def test_a_repeated_request_brings_the_same_response_and_counts_once(flavour):
    """RFC 3748 4.1, RFC 4187 10.13."""
    server, transcript = HandWritten(flavour), Transcript(flavour)
    request = server.request(Subtype.IDENTITY, eap.AnyIdReq())
    first, second = server.send(request), server.send(request)
    assert isinstance(first, EapPacket)
    assert first == second
    transcript.add(request, first.packet)
    challenge = server.good(eap.Checkcode(transcript.checkcode()))
    answers = [server.send(challenge) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert server.usim.sqn == 1
    assert isinstance(server.end(), EapSuccess)


@each_flavour
@pytest.mark.parametrize(
    ("rounds", "sent"),
    [(0, b""), (1, None), (2, None), (0, b"one too many"), (1, b""), (1, b"another"), (2, b"the first only")],
)
def test_checkcode(flavour, rounds, sent):
    """AT_CHECKCODE must be what we saw: the hash over all identity rounds, or empty (RFC 4187 10.13)."""
    server, transcript = HandWritten(flavour), Transcript(flavour)
    for kind in IDENTITY_REQUESTS[:rounds]:
        request = server.request(Subtype.IDENTITY, kind(), SKIPPABLE)  # reserved and unknown parts are hashed as sent
        response = server.send(request)
        assert isinstance(response, EapPacket)
        transcript.add(request, response.packet)
        if sent == b"the first only":
            sent = transcript.checkcode()
    length = 20 if flavour is AKA else 32
    value = transcript.checkcode() if sent is None else sent[:length].ljust(length if sent else 0, b"\0")
    answer = server.ask(server.good(eap.Checkcode(value)))
    if value == transcript.checkcode():
        assert answer == ANSWER.replace("Mac", "Checkcode Mac")
        assert isinstance(server.end(), EapSuccess)
    else:
        assert answer == CLIENT_ERROR
        assert server.end() is None


# --- challenge


@each_flavour
def test_a_challenge_is_taken(flavour):
    server = HandWritten(flavour)
    assert server.ask(server.good(SKIPPABLE, eap.Iv(bytes(16)), eap.EncrData(bytes(32)))) == ANSWER
    assert server.keys
    assert server.end() == EapSuccess(server.keys.msk, permanent(flavour))
    assert server.peer.counters == {}


def without(server: HandWritten, kind: type[eap.Attribute]) -> bytes:
    parsed = AkaPacket.parse(Packet.parse(server.good()))
    return server.request(parsed.subtype, *(each for each in parsed.attributes if not isinstance(each, kind)))


@each_flavour
@pytest.mark.parametrize("kind", [eap.Rand, eap.Autn, eap.Mac])
def test_missing_attributes(flavour, kind):
    server = HandWritten(flavour)
    assert server.ask(without(server, kind)) == CLIENT_ERROR
    assert server.usim.sqn == 0


@each_flavour
@pytest.mark.parametrize(
    "attributes",
    [
        (eap.Rand(bytes(16)),),
        (eap.Autn(bytes(16)),),
        (eap.Mac(),),
        (eap.Checkcode(), eap.Checkcode()),
        (eap.ResultInd(), eap.ResultInd()),
        (eap.Iv(bytes(16)),),
        (eap.EncrData(bytes(16)),),
        (eap.Res(bytes(8)),),
        (eap.Auts(bytes(14)),),
        (eap.Identity(b"x"),),
        (eap.AnyIdReq(),),
        (eap.Notification(32768),),
        (eap.ClientErrorCode(),),
    ],
    ids=lambda attributes: " ".join(type(each).__name__ for each in attributes),
)
def test_attributes_that_do_not_belong(flavour, attributes):
    """Wrong types and duplicates, also of skippable ones that we know (RFC 4187 6.3.1, 10.1)."""
    server = HandWritten(flavour)
    assert server.ask(server.good(*attributes)) == CLIENT_ERROR
    assert server.usim.sqn == 0
    assert server.end() is None


def test_attributes_of_the_other_method():
    for attributes in ((eap.Kdf(1),), (eap.KdfInput(b"WLAN"),)):
        server = HandWritten(AKA)
        assert server.ask(server.challenge(*attributes)) == CLIENT_ERROR
    server = HandWritten(AKA_PRIME)
    assert server.ask(server.prime(eap.Bidding(0))) == CLIENT_ERROR


@each_flavour
def test_unknown_attributes_that_must_not_be_skipped(flavour):
    server = HandWritten(flavour)
    octets = bytearray(server.good(SKIPPABLE))
    octets[octets.index(b"\xc8\x01\x12\x34")] = 100
    assert server.ask(bytes(octets)) == CLIENT_ERROR


@each_flavour
def test_every_changed_bit_of_a_challenge_is_noticed(flavour):
    """Whatever is answered, the peer is not authenticated and takes no success afterwards."""
    length = len(HandWritten(flavour).good())
    answers = set()
    for bit in range(8 * length):
        server = HandWritten(flavour)
        genuine = server.good()
        changed = (int.from_bytes(genuine, "big") ^ 1 << bit).to_bytes(length, "big")
        answer = server.ask(changed)
        answers.add(answer.split(" ")[1] if " " in answer else answer)
        assert "Res" not in answer
        assert server.end() is None
    assert answers >= {"CLIENT_ERROR", "AUTHENTICATION_REJECT", ""}
    assert answers <= {"CLIENT_ERROR", "AUTHENTICATION_REJECT", "", "NAK", "EapFailure"}


@each_flavour
def test_every_truncated_challenge_is_noticed(flavour):
    length = len(HandWritten(flavour).good())
    for end in range(length):
        server = HandWritten(flavour)
        cut = server.good()[:end]
        assert server.ask(cut) == ""
        assert server.peer.counters == {"eap-malformed": 1}
        if end > 8:
            corrected = cut[:2] + end.to_bytes(2, "big") + cut[4:]
            assert server.ask(corrected) in (CLIENT_ERROR, REJECT)


@each_flavour
def test_a_second_challenge_is_refused(flavour):
    server = HandWritten(flavour)
    assert server.ask(server.good()) == ANSWER
    assert server.ask(server.good()) == CLIENT_ERROR
    assert server.end() is None


@each_flavour
def test_autn_of_somebody_else(flavour):
    server = HandWritten(flavour)
    made = server.prime(key=OTHER_K) if flavour is AKA_PRIME else server.challenge(key=OTHER_K)
    assert server.ask(made) == REJECT
    assert server.ask(server.good()) == CLIENT_ERROR  # nothing repairs it
    result = server.end(Code.FAILURE)
    assert isinstance(result, EapFailure)
    assert result.reason.startswith("the network did not prove that it knows our subscription: MAC-A")


@each_flavour
def test_autn_is_judged_before_the_mac(flavour):
    """A wrong AUTN is a reject even when AT_MAC is wrong too (RFC 4187 3, 6.3.1)."""
    server = HandWritten(flavour)
    made = server.prime(sent=b"\xff" * 16) if flavour is AKA_PRIME else server.challenge(sent=b"\xff" * 16)
    assert server.ask(made[:-1] + bytes((made[-1] ^ 1,))) == REJECT


@each_flavour
def test_an_old_sequence_number(flavour):
    """The card's AUTS, and then a good challenge is still welcome."""
    server = HandWritten(flavour, card_sqn=50)
    server.sqn = 10
    answer = server.ask(server.good())
    assert answer == "RESPONSE SYNCHRONIZATION_FAILURE Auts" + (" Kdf" if flavour is AKA_PRIME else "")
    server.sqn = 50
    assert server.ask(server.good()) == ANSWER
    assert isinstance(server.end(), EapSuccess)


def test_bidding():
    """Two that both prefer EAP-AKA' must not end up with EAP-AKA (RFC 9048 4); a UE told to use EAP-AKA does not."""
    for prefers, flags, answer in (
        (False, 0x8000, ANSWER), (True, 0x0000, ANSWER), (True, 0x7FFF, ANSWER), (True, 0x8000, REJECT)
    ):  # fmt: skip
        server = HandWritten(AKA, prefers_aka_prime=prefers)
        assert server.ask(server.challenge(eap.Bidding(flags))) == answer
        assert isinstance(server.end(), EapSuccess) == (answer == ANSWER)


def test_bidding_that_somebody_changed_is_a_wrong_mac():
    server = HandWritten(AKA, prefers_aka_prime=True)
    made = bytearray(server.challenge(eap.Bidding(0x8000)))
    made[made.index(b"\x88\x01\x80\x00") + 2] = 0
    assert server.ask(bytes(made)) == CLIENT_ERROR


# --- EAP itself


@each_flavour
def test_identity_and_notification_of_eap(flavour):
    """RFC 3748 5.1 and 5.2: answered, and they count for nothing."""
    server = HandWritten(flavour)
    result = server.send(Packet(Code.REQUEST, 9, Method.IDENTITY, b"who?").build())
    assert result == EapPacket(Packet(Code.RESPONSE, 9, Method.IDENTITY, permanent(flavour).encode()).build())
    hello = Packet(Code.REQUEST, 10, Method.NOTIFICATION, b"hello").build()
    assert server.send(hello) == EapPacket(Packet(Code.RESPONSE, 10, Method.NOTIFICATION).build())
    assert server.ask(server.good()) == ANSWER


@each_flavour
def test_another_method_first_and_later(flavour):
    """A Nak with what we want, before EAP-AKA has begun; later requests of other methods are dropped (RFC 3748 2.1)."""
    server = HandWritten(flavour)
    other = AKA_PRIME if flavour is AKA else AKA
    for method in (4, 13, other.method):
        nak = Packet(Code.RESPONSE, method, Method.NAK, bytes((flavour.method,))).build()
        assert server.send(Packet(Code.REQUEST, method, method, b"\x01\0\0").build()) == EapPacket(nak)
    assert server.ask(server.good()) == ANSWER
    genuine = server.good()
    for method in (Method.IDENTITY, 4, other.method):
        disguised = genuine[:4] + bytes((method,)) + genuine[5:]
        assert server.send(disguised) is None
    assert server.peer.counters == {"eap-other-method": 6}
    assert isinstance(server.end(), EapSuccess)


@each_flavour
def test_what_is_not_a_request_is_dropped(flavour):
    server = HandWritten(flavour)
    genuine = server.good()
    for packet in (b"", b"\x01", b"\x02" + genuine[1:], b"\x07" + genuine[1:], genuine + b"\0"):
        assert server.send(packet) is None
    assert server.peer.counters == {"eap-malformed": 4, "eap-unexpected": 1}
    assert server.ask(genuine) == ANSWER


@each_flavour
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_survived(flavour, noise):
    server = HandWritten(flavour)
    for packet in noise:
        result = server.send(packet)
        assert not isinstance(result, EapSuccess)


@each_flavour
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=6))
def test_noise_in_the_method_is_survived(flavour, noise):
    """Well-formed packets of the method with any subtype and attributes: never a success without a challenge."""
    server = HandWritten(flavour)
    for identifier, content in noise:
        server.send(Packet(Code.REQUEST, identifier, flavour.method, content).build())
    assert not isinstance(server.end(), EapSuccess)


@each_flavour
def test_the_server_engine_and_the_hand_written_one_agree(flavour):
    """So that these tests test what the real server sends."""
    real, written = make_pair(flavour), HandWritten(flavour)
    parsed = AkaPacket.parse(Packet.parse(real.start()))
    other = AkaPacket.parse(Packet.parse(written.good()))
    assert [type(each) for each in parsed.attributes] == [type(each) for each in other.attributes]
