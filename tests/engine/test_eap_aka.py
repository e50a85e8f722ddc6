# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP-AKA and EAP-AKA', peer and server: the worked exchange octet by octet, then each exchange as a chart."""

from __future__ import annotations

import json

import pytest

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim
from mn_dsmip.engine.effects import SqnAdvanced
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapSuccess, imsi_of, network_access_identifier
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Packet
from tests.engine.eap_pair import (
    FLAVOURS,
    IMSI,
    OTHER_K,
    VECTORS,
    Pair,
    make_pair,
    permanent,
    vectors,
)

EXCHANGE = vectors("eap_aka.json", "exchange")
SETS = {each["set"]: each for each in json.loads((VECTORS / "milenage.json").read_text())["sets"]}
SET_1 = {name: bytes.fromhex(value) for name, value in SETS[1].items() if name != "set"}
SQN = int.from_bytes(SET_1["sqn"], "big")
each_flavour = pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)


def octets(name: str) -> bytes:
    return bytes.fromhex(EXCHANGE[name])


class TestWorkedExchange:
    """Milenage set 1, identifier 1: every packet is the published one."""

    def peer(self, sqn: int = SQN - 1) -> AkaPeer:
        return AkaPeer(AKA, EXCHANGE["identity"], IMSI, Usim(SET_1["k"], SET_1["opc"], sqn))

    def server(self) -> AkaServer:
        subscriber = Subscriber(IMSI, SET_1["k"], SET_1["opc"], SET_1["amf"])
        centre = AuthenticationCentre(lambda _: SET_1["rand"], {IMSI: SQN - 1})
        server = AkaServer(AKA, EXCHANGE["identity"], {IMSI: subscriber}.get, centre, bytes)
        server.start()
        return server

    def test_peer(self):
        peer = self.peer()
        peer.receive(octets("challenge_request"))
        assert peer.events() == [SqnAdvanced(IMSI, SQN)]
        assert peer.take() == EapPacket(octets("challenge_response"))
        peer.receive(bytes.fromhex("03010004"))
        assert peer.take() == EapSuccess(octets("msk"), EXCHANGE["identity"])

    def test_server(self):
        server = self.server()
        assert server.events() == [SqnAdvanced(IMSI, SQN)]
        assert server.take() == EapPacket(octets("challenge_request"))
        server.receive(octets("challenge_response"))
        assert server.take() == EapSuccess(octets("msk"), IMSI, bytes.fromhex("03010004"))

    def test_synchronization_failure(self):
        peer = self.peer(SQN)
        peer.receive(octets("challenge_request"))
        assert peer.take() == EapPacket(octets("synchronization_failure"))
        assert peer.events() == []
        assert peer.counters == {"eap-synchronization-failure": 1}

    def test_authentication_reject(self):
        peer, request = self.peer(), octets("challenge_request")
        peer.receive(request.replace(SET_1["autn"], bytes(16)))
        assert peer.take() == EapPacket(octets("authentication_reject"))

    def test_client_error(self):
        peer, request = self.peer(), octets("challenge_request")
        peer.receive(request[:-1] + b"\0")
        assert peer.take() == EapPacket(octets("client_error"))

    def test_notification(self):
        server, response = self.server(), octets("challenge_response")
        server.take()
        server.receive(response[:-1] + b"\0")
        assert server.take() == EapPacket(octets("notification"))


def succeeded(pair: Pair) -> None:
    assert isinstance(pair.peer_end, EapSuccess)
    assert isinstance(pair.server_end, EapSuccess)
    assert pair.peer_end.msk == pair.server_end.msk
    assert len(pair.peer_end.msk) == 64
    assert pair.server_end.identity == IMSI
    assert pair.usim.sqn == pair.centre.sequence[IMSI]
    assert pair.peer.counters.keys() <= {"eap-synchronization-failure"}
    assert pair.server.counters.keys() <= {"eap-resynchronization"}


def failed(pair: Pair, server_reason: str, peer_reason: str) -> None:
    assert isinstance(pair.peer_end, EapFailure)
    assert isinstance(pair.server_end, EapFailure)
    assert pair.server_end.reason == server_reason
    assert pair.peer_end.reason == peer_reason
    assert pair.server_end.clause.startswith("RFC ")


@each_flavour
def test_full_authentication(flavour):
    pair = make_pair(flavour)
    pair.run()
    kdf = " Kdf KdfInput" if flavour is AKA_PRIME else ""
    assert pair.chart == [f"REQUEST CHALLENGE Rand Autn{kdf} Mac", "RESPONSE CHALLENGE Res Mac", "SUCCESS"]
    succeeded(pair)


@each_flavour
def test_sequence_numbers_are_effects_before_the_packet_that_uses_them(flavour):
    """Both must be durable first: the driver drains events before datagrams."""
    pair = make_pair(flavour, card_sqn=40, network_sqn=41)
    pair.server.start()
    assert pair.server.events() == [SqnAdvanced(IMSI, 42)]
    request = pair.server.take()
    assert isinstance(request, EapPacket)
    pair.peer.receive(request.packet)
    assert pair.peer.events() == [SqnAdvanced(IMSI, 42)]
    assert pair.peer.events() == pair.server.events() == []


@each_flavour
def test_the_server_may_ask_first(flavour):
    """RFC 4187 4.1.4; then both say what they exchanged in AT_CHECKCODE (10.13)."""
    pair = make_pair(flavour, ask_identity=True)
    pair.run()
    kdf = " Kdf KdfInput" if flavour is AKA_PRIME else ""
    assert pair.chart == [
        "REQUEST IDENTITY AnyIdReq",
        "RESPONSE IDENTITY Identity",
        f"REQUEST CHALLENGE Rand Autn{kdf} Checkcode Mac",
        "RESPONSE CHALLENGE Res Checkcode Mac",
        "SUCCESS",
    ]
    succeeded(pair)


@each_flavour
@pytest.mark.parametrize(
    "claimed", ["2pseudonym@realm", "somebody", "", "@", f"{IMSI}@no.leading.digit", "0@x", "0abc@x"]
)
def test_a_claim_that_is_no_permanent_identity_is_asked_about(flavour, claimed):
    pair = make_pair(flavour, claimed=claimed or "?")
    pair.run()
    assert pair.chart[:2] == ["REQUEST IDENTITY PermanentIdReq", "RESPONSE IDENTITY Identity"]
    succeeded(pair)


@each_flavour
def test_keys_cover_the_identity_that_was_sent_last(flavour):
    """IDi names somebody else; the keys are those of AT_IDENTITY (RFC 4187 7), and so is the result."""
    other = make_pair(flavour, claimed=permanent(flavour).replace("nai.epc", "other.realm"))
    other.run()
    assert isinstance(other.server_end, EapFailure)  # the realm is part of the identity in the key derivation
    asked = make_pair(flavour, claimed="somebody@else", ask_identity=True)
    asked.run()
    succeeded(asked)


@each_flavour
def test_an_unknown_subscriber_is_asked_three_times_and_refused(flavour):
    """ANY, FULLAUTH, PERMANENT, and then a notification round before EAP-Failure (RFC 4187 4.1.4, 6.3.2)."""
    pair = make_pair(flavour, ask_identity=True, known=False)
    pair.run()
    assert pair.chart == [
        "REQUEST IDENTITY AnyIdReq",
        "RESPONSE IDENTITY Identity",
        "REQUEST IDENTITY FullauthIdReq",
        "RESPONSE IDENTITY Identity",
        "REQUEST IDENTITY PermanentIdReq",
        "RESPONSE IDENTITY Identity",
        "REQUEST NOTIFICATION Notification",
        "RESPONSE NOTIFICATION",
        "FAILURE",
    ]
    failed(
        pair,
        "no subscriber has the identity that the UE gave",
        "the network could not authenticate us (code 16384)",
    )
    assert pair.peer_events == pair.server_events == []


@each_flavour
@pytest.mark.parametrize(("card_sqn", "network_sqn"), [(100, 7), (7, 2**28 + 100), (2**48 - 2, 0), (5, 4)])
def test_resynchronisation(flavour, card_sqn, network_sqn):
    """The network takes the card's number out of AUTS and challenges again (RFC 4187 6.3.1)."""
    pair = make_pair(flavour, card_sqn=card_sqn, network_sqn=network_sqn)
    pair.run()
    kdf, repeated = (" Kdf KdfInput", " Kdf") if flavour is AKA_PRIME else ("", "")
    assert pair.chart == [
        f"REQUEST CHALLENGE Rand Autn{kdf} Mac",
        f"RESPONSE SYNCHRONIZATION_FAILURE Auts{repeated}",
        f"REQUEST CHALLENGE Rand Autn{kdf} Mac",
        "RESPONSE CHALLENGE Res Mac",
        "SUCCESS",
    ]
    succeeded(pair)
    assert pair.usim.sqn == card_sqn + 1
    assert pair.server_events == [SqnAdvanced(IMSI, network_sqn + 1), SqnAdvanced(IMSI, card_sqn + 1)]
    assert pair.peer_events == [SqnAdvanced(IMSI, card_sqn + 1)]
    assert pair.server.counters == {"eap-resynchronization": 1}


@each_flavour
def test_resynchronisation_after_an_identity_round(flavour):
    pair = make_pair(flavour, ask_identity=True, card_sqn=100)
    pair.run()
    assert [line.split()[1] for line in pair.chart[:-1]] == [
        "IDENTITY", "IDENTITY", "CHALLENGE", "SYNCHRONIZATION_FAILURE", "CHALLENGE", "CHALLENGE"
    ]  # fmt: skip
    assert "Checkcode" in pair.chart[4]
    assert "Checkcode" in pair.chart[5]
    succeeded(pair)


@each_flavour
def test_another_key_in_the_card(flavour):
    pair = make_pair(flavour, card_key=OTHER_K)
    pair.run()
    assert pair.chart[1:] == ["RESPONSE AUTHENTICATION_REJECT", "FAILURE"]
    failed(
        pair,
        "the UE says that AUTN is wrong: K or OP differ",
        "the network did not prove that it knows our subscription: MAC-A in AUTN is wrong",
    )
    assert pair.usim.sqn == 0
    assert pair.peer.counters == {"eap-authentication-reject": 1}
    assert pair.server.counters == {"eap-authentication-reject": 1}


def test_methods_that_do_not_meet():
    """The server asks in EAP-AKA', the peer wants EAP-AKA: a Nak with the wanted type (RFC 3748 5.3.1)."""
    pair = make_pair(AKA_PRIME)
    pair.peer = AkaPeer(AKA, permanent(AKA), IMSI, pair.usim)
    request = pair.start()
    response = pair.to_peer(request)
    assert response == bytes((2, request[1], 0, 6, 3, 23))
    assert pair.to_server(response) == bytes((4, request[1], 0, 4))
    assert isinstance(pair.server_end, EapFailure)
    assert pair.server_end.reason == "the UE does not speak the EAP method that we ask for"


@each_flavour
def test_success_and_failure_repeat_the_identifier(flavour):
    """RFC 3748 4.2."""
    for changes in ({}, {"card_key": OTHER_K}, {"known": False}):
        pair = make_pair(flavour, **changes)
        request = pair.start()
        while True:
            response = pair.to_peer(request)
            assert response is not None
            assert response[1] == request[1]
            request = pair.to_server(response)
            if len(request) == 4:
                break
        assert request[1] == response[1]


@each_flavour
def test_requests_have_rising_identifiers(flavour):
    pair = make_pair(flavour, ask_identity=True, card_sqn=10)
    seen, request = [], pair.start()
    while len(request) > 4:
        seen.append(request[1])
        response = pair.to_peer(request)
        assert response is not None
        request = pair.to_server(response)
    assert seen == [(seen[0] + number) % 256 for number in range(len(seen))]


def test_aka_prime_sets_the_separation_bit_whatever_the_subscriber_has():
    """RFC 9048 3.3: the network MUST; EAP-AKA leaves the AMF as it is."""
    for flavour, amf in ((AKA_PRIME, b"\x81\x23"), (AKA, b"\x01\x23")):
        pair = make_pair(flavour, amf=b"\x01\x23")
        autn = AkaPacket.parse(Packet.parse(pair.start())).get(eap.Autn)
        assert autn is not None
        assert autn.value[6:8] == amf
    made = make_pair(AKA_PRIME, amf=b"\0\0")
    made.run()
    succeeded(made)


def test_network_access_identifiers():
    """TS 23.003 19.3.2: the MNC is padded in the realm only."""
    assert network_access_identifier("001010123456789", "001", "01", "0") == EXCHANGE["identity"]
    three = network_access_identifier("310260123456789", "310", "260", "6")
    assert three == "6310260123456789@nai.epc.mnc260.mcc310.3gppnetwork.org"
    assert imsi_of(three, "6") == "310260123456789"
    for identity, leading in (
        ("", "0"),
        ("0", "0"),
        ("012345", "0"),
        ("0" + "1" * 16, "0"),
        (three, "0"),
        ("0１23456", "0"),
    ):
        assert imsi_of(identity, leading) is None
    assert imsi_of("0123456", "0") == "123456"
