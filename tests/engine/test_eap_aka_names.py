# SPDX-License-Identifier: GPL-2.0-or-later
"""What a UE lets itself be called, and what hostile names do: long ones, of the other method, asked for too much."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.crypto.aka import Subscriber, Usim, make_vector
from mn_dsmip.crypto.suites import cbc_encrypt
from mn_dsmip.engine.effects import PseudonymChanged
from mn_dsmip.engine.ike.aka_aliases import MOST_TAKEN, PeerAliases, ReauthContext, flavour_of
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, LONGEST_NAME, Flavour, derive, encrypt, seal
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Attribute, Code, Packet, Subtype
from tests.engine.eap_pair import CLIENT_ERROR, IMSI, OPC, WLAN, HandWritten, K, described, permanent
from tests.engine.test_eap_aka_aliases import FLAVOURS, REALM, Memory, both_succeed, forged, octets


def said(side: AkaServer | AkaPeer) -> str:
    """What it says, as in a chart."""
    result = side.take()
    assert isinstance(result, EapPacket)
    return described(result.packet)


# Hostile names at the server


@FLAVOURS
@pytest.mark.parametrize("length", [LONGEST_NAME - 17, LONGEST_NAME - 16, 700, 960, 3000, 70000])
def test_a_realm_of_any_length_is_survived(flavour: Flavour, length: int) -> None:
    """A name for later repeats the realm; with 960 octets it does not fit into an attribute any more."""
    memory = Memory(flavour)
    server = memory.server(f"{flavour.leading}{IMSI}@{'a' * length}")
    server.start()
    known = length == LONGEST_NAME - 17
    assert said(server).startswith("REQUEST CHALLENGE" if known else "REQUEST IDENTITY")
    assert server.take() is None


@FLAVOURS
def test_a_long_name_in_an_identity_round_is_nobodys(flavour: Flavour) -> None:
    memory = Memory(flavour)
    server = memory.server("somebody")
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    name = f"{flavour.leading}{IMSI}@{'a' * 950}".encode()
    answer = AkaPacket(Code.RESPONSE, request.packet[1], flavour.method, Subtype.IDENTITY, (eap.Identity(name),))
    server.receive(answer.build())
    assert said(server) in ("REQUEST NOTIFICATION Notification", "REQUEST IDENTITY FullauthIdReq")
    assert memory.centre.sequence == {}, "no vector is spent on it"


def test_a_name_that_would_be_too_long_is_not_given() -> None:
    aliases = Memory(AKA).server_aliases
    assert aliases.fresh(AKA, "a" * (LONGEST_NAME - 26), 1)
    assert aliases.fresh(AKA, "a" * (LONGEST_NAME - 25), 1) is None


def test_a_fast_identity_of_the_other_method_is_not_redeemed() -> None:
    """EAP-AKA's keys in EAP-AKA' would be the wrong kind (RFC 9048 3.3); the IMSI is known, so it is a full one."""
    memory = Memory(AKA)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    server = AkaServer(
        AKA_PRIME, context.identity, memory.subscribers.get, memory.centre, octets("x"), WLAN,
        aliases=memory.server_aliases,
    )  # fmt: skip
    server.start()
    assert said(server).startswith("REQUEST CHALLENGE")
    assert memory.server_aliases.holds(context.identity), "its owner may use it still"


@FLAVOURS
def test_somebody_who_only_heard_a_fast_identity_gets_nothing_out_of_it(flavour: Flavour) -> None:
    """The identity is used up, no new one is remembered, and its owner goes on with a full authentication."""
    memory = Memory(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    server = memory.server(context.identity)
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    guess = ReauthContext(context.identity, 0, derive(flavour, "x", bytes(16), bytes(16), bytes(16), WLAN))
    sealed = encrypt(guess.keys, octets("guess"), eap.ReauthCounter(1))
    packet = AkaPacket(Code.RESPONSE, request.packet[1], flavour.method, Subtype.REAUTHENTICATION, (*sealed, eap.Mac()))
    server.receive(seal(flavour, packet, guess.keys, bytes(16)))
    assert said(server) == "REQUEST NOTIFICATION Notification"
    assert not memory.server_aliases.holds(context.identity)
    both_succeed(memory)
    assert any(each.startswith("REQUEST CHALLENGE") for each in memory.seen)


def answers(memory: Memory, *inside: Attribute) -> AkaServer:
    """The server after a fast response with that in AT_ENCR_DATA, with the right AT_MAC."""
    context = memory.peer_aliases.reauth
    assert context
    server = memory.server(context.identity)
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    sealed = encrypt(context.keys, octets("answer"), *inside)
    packet = AkaPacket(
        Code.RESPONSE, request.packet[1], memory.flavour.method, Subtype.REAUTHENTICATION, (*sealed, eap.Mac())
    )
    server.receive(seal(memory.flavour, packet, context.keys, server._nonce))
    return server


@FLAVOURS
@pytest.mark.parametrize(
    "inside",
    [
        (),
        (eap.ReauthCounter(2),),
        (eap.ReauthCounter(0),),
        (eap.CounterTooSmall(),),
        (eap.ReauthCounter(1), eap.ReauthCounter(1)),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16))),
        (eap.ReauthCounter(2), eap.CounterTooSmall()),
    ],
)
def test_what_a_fast_response_may_not_hold(flavour: Flavour, inside: tuple[Attribute, ...]) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    server = answers(memory, *inside)
    assert said(server) == "REQUEST NOTIFICATION Notification"
    assert server.counters == {"eap-refused": 1}


@FLAVOURS
def test_a_right_fast_response_from_the_same_forge_is_taken(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    assert isinstance(answers(memory, eap.ReauthCounter(1)).take(), EapSuccess)


# What the UE gives away


@FLAVOURS
@pytest.mark.parametrize("conservative", [False, True])
def test_a_conservative_ue_with_a_pseudonym_keeps_its_imsi(flavour: Flavour, conservative: bool) -> None:
    memory = Memory(flavour)
    memory.peer_aliases.conservative = conservative
    both_succeed(memory)  # without a pseudonym it has no choice
    pseudonym = memory.peer_aliases.pseudonym
    peer = memory.peer()
    for number, request in enumerate((eap.FullauthIdReq(), eap.PermanentIdReq()), start=1):
        packet = AkaPacket(Code.REQUEST, number, flavour.method, Subtype.IDENTITY, (request,))
        peer.receive(packet.build())
        answer = peer.take()
        assert isinstance(answer, EapPacket)
    if conservative:
        assert described(answer.packet) == CLIENT_ERROR
        assert IMSI.encode() not in answer.packet
        peer.receive(Packet(Code.FAILURE, 2).build())
        failure = peer.take()
        assert isinstance(failure, EapFailure)
        assert failure.reason == (
            "we refused the network's EAP-AKA message: "
            "it asks for our IMSI although it should know our pseudonym (RFC 4187 4.1.6)"
        )
        assert memory.peer_aliases.pseudonym == pseudonym
    else:
        assert described(answer.packet) == "RESPONSE IDENTITY Identity"
        assert permanent(flavour).encode() in answer.packet


@FLAVOURS
@pytest.mark.parametrize("conservative", [False, True])
def test_a_network_that_knows_no_pseudonyms_does_not_keep_a_liberal_ue_out(
    flavour: Flavour, conservative: bool
) -> None:
    aliases = PeerAliases(octets("peer"), f"{flavour.pseudonym}old@{REALM}", conservative)
    peer = AkaPeer(flavour, permanent(flavour), IMSI, HandWritten(flavour).usim, WLAN, aliases=aliases)
    assert peer.identity == f"{flavour.pseudonym}old@{REALM}"
    peer.receive(Packet(Code.FAILURE, 1).build())
    assert isinstance(peer.take(), EapFailure)
    assert (aliases.first(permanent(flavour)) == permanent(flavour)) is not conservative


@FLAVOURS
def test_two_attempts_at_once_do_not_share_a_fast_identity(flavour: Flavour) -> None:
    """A fast identity is one-time (RFC 4187 4.1.1.8): the second connection goes by the pseudonym."""
    memory = Memory(flavour)
    both_succeed(memory)
    first, second = memory.peer(), memory.peer()
    assert first.identity.startswith(flavour.reauth)
    assert second.identity.startswith(flavour.pseudonym)


# What the UE is called by others


@FLAVOURS
@pytest.mark.parametrize("value", [b"", b"2a@b", b"\xff", b"2a\0b", b"2" * (LONGEST_NAME + 1)])
def test_pseudonyms_that_are_none(flavour: Flavour, value: bytes) -> None:
    assert named(flavour, b"2alice") == "RESPONSE CHALLENGE Res Mac"
    assert named(flavour, value) == CLIENT_ERROR


def named(flavour: Flavour, pseudonym: bytes) -> str:
    """What the UE says to a genuine challenge that gives it that pseudonym."""
    vector = make_vector(Subscriber(IMSI, K, OPC), bytes(16), 1)
    aliases = PeerAliases(octets("peer"))
    peer = AkaPeer(flavour, permanent(flavour), IMSI, Usim(K, OPC), WLAN, aliases=aliases)
    keys = derive(flavour, peer.identity, vector.ck, vector.ik, vector.autn, WLAN)
    prime = (eap.Kdf(1), eap.KdfInput(WLAN)) if flavour is AKA_PRIME else ()
    sealed = encrypt(keys, octets("server"), eap.NextPseudonym(pseudonym))
    challenge = (eap.Rand(vector.rand), eap.Autn(vector.autn), *prime, *sealed, eap.Mac())
    peer.receive(seal(flavour, AkaPacket(Code.REQUEST, 1, flavour.method, Subtype.CHALLENGE, challenge), keys))
    return said(peer)


@FLAVOURS
def test_nothing_is_learnt_before_the_end(flavour: Flavour) -> None:
    """Who has seen half an exchange keeps the names of the last whole one (RFC 4187 4.1.1.7)."""
    memory = Memory(flavour)
    both_succeed(memory)
    pseudonym = memory.peer_aliases.pseudonym
    memory.peer_aliases.reauth = None
    peer, server = memory.peer(), memory.server(memory.peer_aliases.first(""))
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    peer.receive(request.packet)
    assert said(peer).startswith("RESPONSE CHALLENGE")
    assert not any(isinstance(each, PseudonymChanged) for each in peer.events())
    peer.receive(Packet(Code.FAILURE, 1).build())
    assert memory.peer_aliases.pseudonym == pseudonym
    assert memory.peer_aliases.reauth is None


def test_a_ue_has_a_limit_of_its_own() -> None:
    memory = Memory(AKA)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    for counter, kept in ((MOST_TAKEN - 1, True), (MOST_TAKEN, False)):
        memory.peer_aliases.reauth = ReauthContext(context.identity, 0, context.keys, IMSI)
        peer = memory.peer()
        peer.receive(
            forged(context, eap.ReauthCounter(counter), eap.NonceS(bytes(16)), eap.NextReauthId(b"4next@realm"))
        )
        assert said(peer).startswith("RESPONSE REAUTHENTICATION")
        peer.receive(Packet(Code.SUCCESS, 9).build())
        assert isinstance(peer.take(), EapSuccess)
        assert (memory.peer_aliases.reauth is not None) is kept


def test_names_without_realm_get_ours() -> None:
    memory = Memory(AKA)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    peer = memory.peer()
    peer.receive(forged(context, eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NextReauthId(b"4next")))
    assert said(peer).startswith("RESPONSE REAUTHENTICATION")
    peer.receive(Packet(Code.SUCCESS, 9).build())
    assert memory.peer_aliases.reauth
    assert memory.peer_aliases.reauth.identity == f"4next@{REALM}"
    assert flavour_of(memory.peer_aliases.reauth.identity) is AKA


# Anything at all, by somebody who has the keys

ATTRIBUTE = st.builds(
    lambda kind, units, value: (
        bytes((kind, units)) + value[: max(4 * units - 2, 0)].ljust(max(4 * units - 2, 0), b"\0")
    ),
    st.sampled_from([1, 6, 11, 14, 19, 20, 21, 129, 130, 132, 133, 134, 135, 200, 255, 0]),
    st.integers(0, 6),
    st.binary(max_size=24),
)
CONTENT = st.one_of(st.lists(ATTRIBUTE, max_size=6).map(b"".join), st.binary(max_size=64)).map(
    lambda octets: octets + bytes(-len(octets) % 16)
)
FUZZED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def authentic(flavour: Flavour, content: bytes, context: ReauthContext, *header: int, nonce: bytes = b"") -> bytes:
    """A packet with code and identifier of ``header``, and that in AT_ENCR_DATA."""
    sealed = eap.EncrData(cbc_encrypt(context.keys.encr, bytes(16), content))
    attributes = (eap.Iv(bytes(16)), sealed, eap.Mac())
    packet = AkaPacket(header[0], header[1], flavour.method, Subtype.REAUTHENTICATION, attributes)
    return seal(flavour, packet, context.keys, nonce)


@FLAVOURS
@FUZZED
@given(CONTENT)
def test_nothing_that_is_encrypted_upsets_a_peer(flavour: Flavour, content: bytes) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    peer = memory.peer()
    peer.receive(authentic(flavour, content, context, Code.REQUEST, 7))
    assert said(peer).startswith(("RESPONSE CLIENT_ERROR", "RESPONSE REAUTHENTICATION"))
    peer.receive(Packet(Code.SUCCESS, 7).build())
    peer.take()
    if memory.peer_aliases.reauth:
        assert memory.peer_aliases.first("").isprintable()


@FLAVOURS
@FUZZED
@given(CONTENT)
def test_nothing_that_is_encrypted_upsets_a_server(flavour: Flavour, content: bytes) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    server = memory.server(context.identity)
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    server.receive(authentic(flavour, content, context, Code.RESPONSE, request.packet[1], nonce=server._nonce))
    assert server.take() is not None
