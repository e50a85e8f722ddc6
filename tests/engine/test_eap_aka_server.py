# SPDX-License-Identifier: GPL-2.0-or-later
"""The EAP-AKA server against a peer that does everything wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.aka import Milenage
from mn_dsmip.crypto.kdf import AkaKeys
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour, check_mac, derive, seal
from mn_dsmip.engine.ike.eap_method import EapFailure, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.eap import AkaPacket, Attribute, Code, Method, Packet, Subtype
from tests.engine.eap_pair import FLAVOURS, IMSI, OPC, SKIPPABLE, WLAN, K, Pair, described, make_pair, permanent

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
NOTIFICATION = "REQUEST NOTIFICATION Notification"


class HandWritten:
    """A peer that knows the subscriber's key and answers whatever a test likes."""

    def __init__(self, flavour: Flavour, **options) -> None:
        self.flavour = flavour
        self.pair: Pair = make_pair(flavour, **options)
        self.request = self.pair.start()

    def keys(self) -> tuple[AkaKeys, bytes]:
        """The keys of the pending challenge and its RES."""
        challenge = AkaPacket.parse(Packet.parse(self.request))
        rand, autn = challenge.get(eap.Rand), challenge.get(eap.Autn)
        assert rand and autn
        res, ck, ik, _ = Milenage(K, OPC).f2345(rand.value)
        return derive(self.flavour, permanent(self.flavour), ck, ik, autn.value, WLAN), res

    def packet(self, subtype: int, *attributes: Attribute, **changes: int) -> bytes:
        """A response to the pending request, with a right AT_MAC when it has one."""
        made = AkaPacket(
            changes.get("code", Code.RESPONSE),
            changes.get("identifier", self.request[1]),
            changes.get("method", self.flavour.method),
            subtype,
            attributes,
        )
        if any(isinstance(each, eap.Mac) for each in attributes):
            return seal(self.flavour, made, self.keys()[0])
        return made.build()

    def answer(self, *more: Attribute, res: bytes | None = None) -> bytes:
        return self.packet(Subtype.CHALLENGE, eap.Res(res or self.keys()[1]), *more, eap.Mac())

    def say(self, packet: bytes) -> str:
        """The server's next packet, as a chart shows it."""
        self.request = self.pair.to_server(packet)
        return described(self.request)

    def ignored(self, packet: bytes) -> bool:
        self.pair.server.receive(packet)
        return self.pair.server.take() is None


def refused(peer: HandWritten, packet: bytes, why: str) -> None:
    """A notification round with code 16384, then EAP-Failure, whatever the peer answers (RFC 4187 6.3.2)."""
    assert peer.say(packet) == NOTIFICATION
    assert AkaPacket.parse(Packet.parse(peer.request)).get(eap.Notification) == eap.Notification(16384)
    assert peer.say(peer.packet(Subtype.NOTIFICATION)) == "FAILURE"
    end = peer.pair.server_end
    assert isinstance(end, EapFailure)
    assert why in end.reason
    assert peer.pair.server.counters["eap-refused"] == 1
    assert peer.pair.server.counters["eap-failed"] == 1


@each_flavour
def test_a_good_answer(flavour):
    peer = HandWritten(flavour)
    assert peer.say(peer.answer(SKIPPABLE)) == "SUCCESS"
    assert peer.pair.server_end == EapSuccess(peer.pair.server_end.msk, IMSI, peer.request)
    assert peer.pair.server.counters == {}


@each_flavour
@pytest.mark.parametrize("wrong", [bytes(8), b"\xff" * 16, bytes(4)])
def test_a_wrong_res(flavour, wrong):
    """With a right AT_MAC: the keys are the same, the answer is not."""
    peer = HandWritten(flavour)
    refused(peer, peer.answer(res=wrong), "RES is wrong")


@each_flavour
def test_a_res_that_is_cut_or_longer(flavour):
    for change in (lambda res: res[:-1], lambda res: res + b"\0", lambda res: res[:4]):
        peer = HandWritten(flavour)
        refused(peer, peer.answer(res=change(peer.keys()[1])), "RES is wrong")


@each_flavour
def test_every_changed_bit_of_an_answer_is_noticed(flavour):
    length = len(HandWritten(flavour).answer())
    for bit in range(8 * length):
        peer = HandWritten(flavour)
        changed = (int.from_bytes(peer.answer(), "big") ^ 1 << bit).to_bytes(length, "big")
        peer.pair.server.receive(changed)
        assert not isinstance(peer.pair.server.take(), EapSuccess)


@each_flavour
def test_every_truncated_answer_is_noticed(flavour):
    length = len(HandWritten(flavour).answer())
    for end in range(length):
        peer = HandWritten(flavour)
        cut = peer.answer()[:end]
        assert peer.ignored(cut)
        assert peer.pair.server.counters == {"eap-malformed": 1}
        if end > 8:
            refused(peer, cut[:2] + end.to_bytes(2, "big") + cut[4:], "")


Make = Callable[[HandWritten], bytes]
WRONG_ANSWERS: dict[str, tuple[Make, str]] = {
    "no RES": (lambda peer: peer.packet(Subtype.CHALLENGE, eap.Mac()), "0 attributes Res"),
    "no MAC": (lambda peer: peer.packet(Subtype.CHALLENGE, eap.Res(peer.keys()[1])), "0 attributes Mac"),
    "nothing": (lambda peer: peer.packet(Subtype.CHALLENGE), "0 attributes Res"),
    "two RES": (lambda peer: peer.answer(eap.Res(peer.keys()[1])), "Res is repeated"),
    "two MAC": (lambda peer: peer.answer(eap.Mac()), "Mac is repeated"),
    "RAND": (lambda peer: peer.answer(eap.Rand(bytes(16))), "Rand does not belong"),
    "identity": (lambda peer: peer.answer(eap.Identity(b"x")), "Identity does not belong"),
    "result indication that we did not ask for": (lambda peer: peer.answer(eap.ResultInd()), "ResultInd does not"),
    "IV alone": (lambda peer: peer.answer(eap.Iv(bytes(16))), "one is missing"),
    "wrong MAC": (lambda peer: peer.answer()[:-1] + bytes((peer.answer()[-1] ^ 1,)), "AT_MAC is wrong"),
    "wrong checkcode": (lambda peer: peer.answer(eap.Checkcode(bytes(20))), "AT_CHECKCODE does not match"),
    "unknown": (lambda peer: peer.answer(SKIPPABLE).replace(b"\xc8\x01", b"\x64\x01"), "attribute 100 is unknown"),
    "malformed": (lambda peer: peer.answer().replace(b"\x03\x03\0\x40", b"\x03\x03\0\x41"), "RES of 65 bits"),
    "identity round": (lambda peer: peer.packet(Subtype.IDENTITY, eap.Identity(b"x")), "subtype 5 is not expected"),
    "reauthentication": (lambda peer: peer.packet(Subtype.REAUTHENTICATION, eap.Mac()), "subtype 13 is not expected"),
    "notification": (lambda peer: peer.packet(Subtype.NOTIFICATION), "subtype 12 is not expected"),
    "unknown subtype": (lambda peer: peer.packet(99), "subtype 99 is not expected"),
}


@each_flavour
@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_wrong_answers(flavour, name):
    make, why = WRONG_ANSWERS[name]
    peer = HandWritten(flavour)
    refused(peer, make(peer), why)


@each_flavour
def test_an_empty_checkcode_is_right_without_identity_round(flavour):
    peer = HandWritten(flavour)
    assert peer.say(peer.answer(eap.Checkcode())) == "SUCCESS"


@each_flavour
def test_a_checkcode_may_be_left_out(flavour):
    """It is optional for the peer (RFC 4187 10.13)."""
    peer = HandWritten(flavour, ask_identity=True)
    peer.say(peer.packet(Subtype.IDENTITY, eap.Identity(permanent(flavour).encode())))
    assert peer.say(peer.answer()) == "SUCCESS"


@each_flavour
def test_an_identity_that_was_changed_under_way(flavour):
    """The checkcodes differ: what one side sent the other has not seen."""
    peer = HandWritten(flavour, ask_identity=True)
    peer.say(peer.packet(Subtype.IDENTITY, eap.Identity(permanent(flavour).encode()), SKIPPABLE))
    refused(peer, peer.answer(eap.Checkcode(bytes(32 if flavour is AKA_PRIME else 20))), "AT_CHECKCODE does not match")


@each_flavour
@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ((), "0 attributes Identity"),
        ((eap.Identity(b"a"), eap.Identity(b"b")), "Identity is repeated"),
        ((eap.Identity(b"a"), eap.Res(bytes(8))), "Res does not belong"),
        ((eap.Identity(b"\xff\xfe"),), "AT_IDENTITY is not UTF-8"),
    ],
)
def test_wrong_identity_answers(flavour, attributes, why):
    peer = HandWritten(flavour, ask_identity=True)
    refused(peer, peer.packet(Subtype.IDENTITY, *attributes), why)


@each_flavour
def test_a_challenge_answer_before_the_challenge(flavour):
    peer = HandWritten(flavour, ask_identity=True)
    refused(peer, peer.packet(Subtype.CHALLENGE, eap.Res(bytes(8))), "subtype 1 is not expected")
    for subtype in (Subtype.AUTHENTICATION_REJECT, Subtype.SYNCHRONIZATION_FAILURE):
        peer = HandWritten(flavour, ask_identity=True)
        refused(peer, peer.packet(subtype), f"subtype {subtype} is not expected")


@each_flavour
def test_identities_that_nobody_has(flavour):
    """Asked three times, then notified; no vector is spent on it."""
    peer = HandWritten(flavour, ask_identity=True)
    for request in ("FullauthIdReq", "PermanentIdReq"):
        said = peer.say(peer.packet(Subtype.IDENTITY, eap.Identity(b"4reauthentication@realm")))
        assert said == f"REQUEST IDENTITY {request}"
    assert peer.say(peer.packet(Subtype.IDENTITY, eap.Identity(b"0999999999999999@realm"))) == NOTIFICATION
    assert peer.say(peer.packet(Subtype.NOTIFICATION)) == "FAILURE"
    assert peer.pair.centre.sequence == {IMSI: 0}


@each_flavour
def test_somebody_elses_identity(flavour):
    """Claiming a subscriber without having the key gets nowhere; the result never names who was only claimed."""
    peer = HandWritten(flavour)
    forged = AkaKeys(bytes(16), bytes(32), bytes(64), bytes(64), bytes(20))
    response = AkaPacket(
        Code.RESPONSE, peer.request[1], flavour.method, Subtype.CHALLENGE, (eap.Res(bytes(8)), eap.Mac())
    )
    refused(peer, seal(flavour, response, forged), "AT_MAC is wrong")


@each_flavour
def test_client_error_and_reject_end_at_once(flavour):
    """EAP-Failure without a notification round (RFC 4187 6.3.3)."""
    for subtype, attributes, counter in (
        (Subtype.CLIENT_ERROR, (eap.ClientErrorCode(),), "eap-client-error"),
        (Subtype.AUTHENTICATION_REJECT, (), "eap-authentication-reject"),
    ):
        peer = HandWritten(flavour)
        assert peer.say(peer.packet(subtype, *attributes)) == "FAILURE"
        assert isinstance(peer.pair.server_end, EapFailure)
        assert peer.pair.server.counters == {counter: 1}
    peer = HandWritten(flavour, ask_identity=True)
    assert peer.say(peer.packet(Subtype.CLIENT_ERROR, eap.ClientErrorCode())) == "FAILURE"


def synchronization(peer: HandWritten, auts: bytes) -> bytes:
    kdf = (eap.Kdf(1),) if peer.flavour is AKA_PRIME else ()
    return peer.packet(Subtype.SYNCHRONIZATION_FAILURE, eap.Auts(auts), *kdf)


@each_flavour
def test_a_forged_resynchronisation(flavour):
    peer = HandWritten(flavour, network_sqn=7)
    refused(peer, synchronization(peer, bytes(14)), "MAC-S in AUTS is wrong")
    assert peer.pair.centre.sequence == {IMSI: 8}


@each_flavour
@pytest.mark.parametrize(
    "attributes", [(), (eap.Auts(bytes(14)), eap.Auts(bytes(14))), (eap.Auts(bytes(14)), eap.Mac())]
)
def test_a_malformed_resynchronisation(flavour, attributes):
    peer = HandWritten(flavour)
    refused(peer, peer.packet(Subtype.SYNCHRONIZATION_FAILURE, *attributes), "")


@each_flavour
def test_one_resynchronisation_only(flavour):
    """A card that fails twice in a row would go on for ever."""
    peer = HandWritten(flavour)
    for sqn in (500, 900):
        peer.pair.usim.sqn = sqn
        response = peer.pair.to_peer(peer.request)
        assert response is not None
        if sqn == 500:
            assert peer.say(response).startswith("REQUEST CHALLENGE")
        else:
            refused(peer, response, "a second synchronization failure")


@each_flavour
def test_what_does_not_answer_the_request_is_ignored(flavour):
    peer = HandWritten(flavour)
    good = peer.answer()
    for packet in (
        b"",
        good[:5],
        good + b"\0",
        peer.packet(Subtype.CHALLENGE, eap.Res(bytes(8)), identifier=(peer.request[1] + 1) % 256),
        peer.packet(Subtype.CHALLENGE, code=Code.REQUEST),
        Packet(Code.SUCCESS, peer.request[1]).build(),
        Packet(Code.FAILURE, peer.request[1]).build(),
    ):
        assert peer.ignored(packet)
    assert peer.pair.server.counters == {"eap-malformed": 3, "eap-unexpected": 4}
    assert peer.say(good) == "SUCCESS"


@each_flavour
def test_after_the_end_everything_is_ignored(flavour):
    peer = HandWritten(flavour)
    good = peer.answer()
    assert peer.say(good) == "SUCCESS"
    assert peer.ignored(good)
    assert peer.ignored(peer.packet(Subtype.CLIENT_ERROR, eap.ClientErrorCode()))
    assert peer.pair.server.counters == {"eap-unexpected": 2}


@each_flavour
def test_an_answer_in_another_method(flavour):
    other = AKA_PRIME if flavour is AKA else AKA
    for method in (Method.NAK, Method.IDENTITY, other.method):
        peer = HandWritten(flavour)
        assert peer.say(peer.packet(Subtype.CHALLENGE, method=method)) == "FAILURE"
        assert peer.pair.server.counters == {"eap-nak": 1}


@each_flavour
def test_the_notification_may_be_answered_with_anything(flavour):
    for answer in (b"\x01\0\0", b"", b"\x0c\0\0\x64\x01\0\0", b"\x01\0\0\x0b\x05"):
        peer = HandWritten(flavour)
        assert peer.say(peer.answer(res=bytes(8))) == NOTIFICATION
        assert peer.say(Packet(Code.RESPONSE, peer.request[1], flavour.method, answer).build()) == "FAILURE"


@each_flavour
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=5))
def test_noise_is_survived(flavour, noise):
    peer = HandWritten(flavour, ask_identity=True)
    server = peer.pair.server
    for identifier, content in noise:
        for packet in (
            content,
            Packet(Code.RESPONSE, identifier, flavour.method, content).build(),
            Packet(Code.RESPONSE, peer.request[1], flavour.method, content).build(),
        ):
            server.receive(packet)
            while (result := server.take()) is not None:
                assert not isinstance(result, EapSuccess)
                peer.request = result.packet


def test_the_mac_covers_the_whole_packet():
    """Reserved octets and unknown attributes included (RFC 4187 10.15)."""
    peer = HandWritten(AKA)
    packet, keys = peer.answer(SKIPPABLE), peer.keys()[0]
    check_mac(AKA, packet, keys)
    for place in (6, 7, packet.index(b"\xc8\x01") + 2):
        changed = packet[:place] + b"\x99" + packet[place + 1 :]
        with pytest.raises(WireError, match="AT_MAC is wrong"):
            check_mac(AKA, changed, keys)
