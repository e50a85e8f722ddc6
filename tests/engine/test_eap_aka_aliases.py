# SPDX-License-Identifier: GPL-2.0-or-later
"""Pseudonyms and fast re-authentication: peer and server with a memory, published keys, refusals, hostile packets."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim
from mn_dsmip.crypto.fips186 import fips186_prf
from mn_dsmip.crypto.kdf import AkaKeys, aka_prime_reauth_keys, aka_reauth_keys, prf_prime
from mn_dsmip.engine.effects import PseudonymChanged
from mn_dsmip.engine.ike.aka_aliases import (
    MOST_REAUTHENTICATIONS,
    PeerAliases,
    ReauthContext,
    ServerAliases,
    flavour_of,
)
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour, decrypt, encrypt, seal
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.eap import AkaPacket, Attribute, Code, Method, Packet, Subtype
from tests.engine.eap_pair import IMSI, OPC, WLAN, K, described, permanent

FLAVOURS = pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])
REFUSALS = ("RESPONSE CLIENT_ERROR", "RESPONSE NAK", "RESPONSE AUTHENTICATION_REJECT")
FAST = ["REQUEST REAUTHENTICATION Iv EncrData Mac", "RESPONSE REAUTHENTICATION Iv EncrData Mac"]
REALM = "nai.epc.mnc001.mcc001.3gppnetwork.org"


def octets(seed: object) -> Callable[[int], bytes]:
    return random.Random(str(seed)).randbytes


class Memory:
    """A subscriber and a network that remember; each ``authenticate`` is a new EAP conversation."""

    def __init__(self, flavour: Flavour, **aliases: bool) -> None:
        self.flavour = flavour
        self.usim = Usim(K, OPC)
        self.peer_aliases = PeerAliases(octets("peer"))
        self.server_aliases = ServerAliases(octets("server"), b"a secret", **aliases)
        self.centre = AuthenticationCentre(octets("centre"), {})
        self.subscribers = {IMSI: Subscriber(IMSI, K, OPC)}
        self.seen: list[str] = []
        self.tamper: Callable[[bytes], bytes] = lambda packet: packet
        """Changes what the server sends."""

    def peer(self) -> AkaPeer:
        return AkaPeer(self.flavour, permanent(self.flavour), IMSI, self.usim, WLAN, aliases=self.peer_aliases)

    def server(self, identity: str, ask: bool = False) -> AkaServer:
        return AkaServer(
            self.flavour, identity, self.subscribers.get, self.centre, octets(identity), WLAN, ask,
            self.server_aliases,
        )  # fmt: skip

    def authenticate(self, ask: bool = False) -> tuple[EapSuccess | EapFailure, EapSuccess | EapFailure | None]:
        """What server and peer come to."""
        self.claimed = self.peer_aliases.first(permanent(self.flavour))
        peer, server = self.peer(), self.server(self.claimed, ask)
        self.seen = []
        server.start()
        for _ in range(12):
            result = server.take()
            assert result is not None
            packet = self.tamper(result.packet)
            self.seen.append(described(packet))
            peer.receive(packet)
            answer = peer.take()
            self.events = peer.events()
            if not isinstance(result, EapPacket):
                assert answer is None or not isinstance(answer, EapPacket)
                return result, answer
            assert isinstance(answer, EapPacket)
            self.seen.append(described(answer.packet))
            server.receive(answer.packet)
        raise AssertionError("no end")


def both_succeed(memory: Memory, ask: bool = False) -> None:
    server, peer = memory.authenticate(ask)
    assert isinstance(server, EapSuccess), (server, memory.seen)
    assert isinstance(peer, EapSuccess), memory.seen
    assert server.msk == peer.msk
    assert (server.identity, peer.identity) == (IMSI, permanent(memory.flavour))


# Keys


def test_published_keys_of_a_fast_reauthentication() -> None:
    """The worked example of the digest: XKEY' and MSK."""
    master = bytes.fromhex("1014e944adbd4a1f26f8834ebd0f4c9db4459b79")
    full = AkaKeys(bytes(16), bytes(16), bytes(64), master, bytes)
    found = aka_reauth_keys(b"4abcdef@" + REALM.encode(), 1, bytes(range(16)), full)
    assert found.msk.hex() == (
        "69add42f457b768a7aadf5a7a1c4d935d08655d2eb07c2c350501cec25c45c1d"
        "5563c33d0225de9c62d79c0e9ca13e838ba5eb321f475131152de7b8073ff091"
    )
    xkey = bytes.fromhex("4a9ab3faae1d4fa11c468b2799f6bcc0ca166298")
    assert found.emsk == fips186_prf(xkey, 128)[64:]
    assert (found.encr, found.aut, found.master) == (full.encr, full.aut, master)


def test_keys_of_aka_prime_follow_from_k_re() -> None:
    full = AkaKeys(b"e" * 16, b"a" * 32, bytes(64), b"r" * 32, bytes)
    found = aka_prime_reauth_keys(b"8id", 0x102, b"n" * 16, full)
    expected = prf_prime(b"r" * 32, b"EAP-AKA' re-auth8id\x01\x02" + b"n" * 16, 128)
    assert found.msk + found.emsk == expected


# Whole conversations


@FLAVOURS
def test_full_then_fast_then_fast(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    assert memory.claimed == permanent(flavour)
    assert memory.seen[0].endswith("Iv EncrData Mac")
    [learned] = [each for each in memory.events if isinstance(each, PseudonymChanged)]
    assert learned.pseudonym.startswith(flavour.pseudonym)
    assert learned.pseudonym.endswith(f"@{REALM}")
    assert IMSI not in learned.pseudonym
    sqn = memory.usim.sqn
    seen = set()
    for _ in range(3):
        both_succeed(memory)
        assert memory.claimed.startswith(flavour.reauth)
        assert memory.seen == [
            "REQUEST REAUTHENTICATION Iv EncrData Mac",
            "RESPONSE REAUTHENTICATION Iv EncrData Mac",
            "SUCCESS",
        ]
        assert memory.claimed not in seen, "an identity is good once"
        seen.add(memory.claimed)
    assert memory.usim.sqn == sqn, "the USIM was not asked"


@FLAVOURS
def test_after_so_many_a_full_one_is_due(flavour: Flavour) -> None:
    memory = Memory(flavour)
    kinds = []
    for _ in range(MOST_REAUTHENTICATIONS + 3):
        both_succeed(memory)
        kinds.append("REAUTH" if "REAUTH" in memory.seen[0] else "FULL")
    assert kinds == ["FULL", *["REAUTH"] * MOST_REAUTHENTICATIONS, "FULL", "REAUTH"]


@FLAVOURS
def test_pseudonyms_alone(flavour: Flavour) -> None:
    memory = Memory(flavour, fast=False)
    both_succeed(memory)
    first = memory.peer_aliases.pseudonym
    both_succeed(memory)
    assert memory.claimed == first
    assert memory.seen[0].startswith("REQUEST CHALLENGE")
    assert memory.peer_aliases.pseudonym not in (None, first)


@FLAVOURS
def test_neither(flavour: Flavour) -> None:
    memory = Memory(flavour, pseudonyms=False, fast=False)
    both_succeed(memory)
    assert memory.seen[0] in ("REQUEST CHALLENGE Rand Autn Mac", "REQUEST CHALLENGE Rand Autn Kdf KdfInput Mac")
    assert memory.peer_aliases.first("permanent") == "permanent"


@FLAVOURS
def test_pseudonyms_survive_a_restart_of_the_server(flavour: Flavour) -> None:
    memory = Memory(flavour, fast=False)
    both_succeed(memory)
    memory.server_aliases = ServerAliases(octets("after"), b"a secret", fast=False)
    both_succeed(memory)
    assert memory.claimed.startswith(flavour.pseudonym)
    assert "IDENTITY" not in " ".join(memory.seen)


@FLAVOURS
def test_a_server_that_forgot_asks_for_less_and_less_privacy(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    memory.server_aliases = ServerAliases(octets("after"), b"another secret")
    both_succeed(memory)
    assert memory.claimed.startswith(flavour.reauth)
    asked = [each for each in memory.seen if each.startswith("REQUEST IDENTITY")]
    assert asked == ["REQUEST IDENTITY FullauthIdReq", "REQUEST IDENTITY PermanentIdReq"]
    assert "Checkcode" in memory.seen[4]


@FLAVOURS
def test_a_server_that_asks_first_goes_the_fast_way_as_well(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    both_succeed(memory, ask=True)
    assert memory.seen == [
        "REQUEST IDENTITY AnyIdReq",
        "RESPONSE IDENTITY Identity",
        "REQUEST REAUTHENTICATION Iv EncrData Checkcode Mac",
        "RESPONSE REAUTHENTICATION Iv EncrData Checkcode Mac",
        "SUCCESS",
    ]


@FLAVOURS
def test_a_counter_that_is_too_small_leads_to_a_full_authentication(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    memory.peer_aliases.reauth = ReauthContext(
        context.identity, 7, context.keys, IMSI
    )  # it has seen more than the server
    both_succeed(memory)
    assert memory.seen[:2] == FAST
    assert memory.seen[2].startswith("REQUEST CHALLENGE")


@FLAVOURS
def test_a_subscriber_that_is_gone_is_not_let_in_the_fast_way(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    memory.subscribers.clear()
    server, _ = memory.authenticate()
    assert isinstance(server, EapFailure)
    assert "REAUTH" not in " ".join(memory.seen)


# Hostile packets


@FLAVOURS
def test_every_changed_octet_of_a_fast_request_is_noticed(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    server = memory.server(context.identity)
    server.start()
    request = server.take()
    assert request
    for at in range(5, len(request.packet)):
        changed = request.packet[:at] + bytes((request.packet[at] ^ 1,)) + request.packet[at + 1 :]
        memory.peer_aliases.reauth = context
        peer = memory.peer()
        peer.receive(changed)
        answer = peer.take()
        if answer is None:
            continue
        assert isinstance(answer, EapPacket)
        assert described(answer.packet).startswith(REFUSALS), at
        peer.receive(Packet(Code.SUCCESS, 1).build())
        assert peer.take() is None


@FLAVOURS
def test_a_failed_attempt_uses_the_identity_up(flavour: Flavour) -> None:
    memory = Memory(flavour)
    both_succeed(memory)
    memory.tamper = lambda packet: packet[:-1] + bytes((packet[-1] ^ 1,)) if len(packet) > 4 else packet
    server, peer = memory.authenticate()
    assert isinstance(server, EapFailure)
    assert isinstance(peer, EapFailure)
    memory.tamper = lambda packet: packet
    both_succeed(memory)
    assert memory.claimed.startswith(flavour.pseudonym)
    assert memory.seen[0].startswith("REQUEST CHALLENGE")


def forged(context: ReauthContext, *inside: Attribute, flavour: Flavour = AKA) -> bytes:
    """A fast request with that in AT_ENCR_DATA, by somebody who has the keys."""
    sealed = encrypt(context.keys, octets("forger"), *inside)
    packet = AkaPacket(Code.REQUEST, 9, flavour.method, Subtype.REAUTHENTICATION, (*sealed, eap.Mac()))
    return seal(flavour, packet, context.keys)


@pytest.mark.parametrize(
    "inside",
    [
        (),
        (eap.ReauthCounter(1),),
        (eap.NonceS(bytes(16)),),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NonceS(bytes(16))),
        (eap.ReauthCounter(1), eap.ReauthCounter(2), eap.NonceS(bytes(16))),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NextPseudonym(b"2x")),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NextReauthId(b"")),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NextReauthId(b"\xff")),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NextReauthId(b"4a\nb")),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.Rand(bytes(16))),
        (eap.ReauthCounter(1), eap.Padding(bytes(2)), eap.NonceS(bytes(16))),
        (eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.Padding(b"\0\1")),
    ],
)
def test_what_a_fast_request_may_not_hold(inside: tuple[Attribute, ...]) -> None:
    memory = Memory(AKA)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    peer = memory.peer()
    peer.receive(forged(context, *inside))
    answer = peer.take()
    assert isinstance(answer, EapPacket)
    assert described(answer.packet) == "RESPONSE CLIENT_ERROR ClientErrorCode"


def test_a_replayed_fast_request_does_not_count() -> None:
    memory = Memory(AKA)
    both_succeed(memory)
    first = memory.peer_aliases.reauth
    assert first
    old = forged(first, eap.ReauthCounter(1), eap.NonceS(bytes(16)), eap.NextReauthId(first.identity.encode()))
    peer = memory.peer()
    peer.receive(old)
    peer.take()
    peer.receive(Packet(Code.SUCCESS, 9).build())
    assert isinstance(peer.take(), EapSuccess)
    again = memory.peer_aliases.reauth
    assert again
    assert again.counter == 1
    peer = memory.peer()
    peer.receive(old)
    answer = peer.take()
    assert isinstance(answer, EapPacket)
    inner = decrypt(first.keys, AkaPacket.parse(Packet.parse(answer.packet)))
    assert inner.attributes == (eap.ReauthCounter(1), eap.CounterTooSmall())
    peer.receive(Packet(Code.SUCCESS, 10).build())
    assert peer.take() is None


@pytest.mark.parametrize("size", [0, 8, 15, 17])
def test_encrypted_data_of_other_sizes(size: int) -> None:
    keys = AkaKeys(bytes(16), bytes(16), bytes(64), bytes(20), bytes)
    packet = AkaPacket(Code.REQUEST, 1, Method.AKA, 13, (eap.Iv(bytes(16)), eap.EncrData(bytes(size))))
    with pytest.raises(WireError):
        decrypt(keys, packet)


def test_padding_is_there_only_when_needed() -> None:
    keys = AkaKeys(b"k" * 16, bytes(16), bytes(64), bytes(20), bytes)
    for attributes in (
        (eap.ReauthCounter(1),),
        (eap.NonceS(bytes(16)),),
        (eap.NextReauthId(b"4" * 9), eap.ReauthCounter(3)),
    ):
        sealed = encrypt(keys, octets("iv"), *attributes)
        assert len(sealed[1].value) % 16 == 0
        assert decrypt(keys, AkaPacket(1, 1, 23, 13, sealed)).attributes == attributes


# Names


def test_a_pseudonym_tells_nothing_and_changes_each_time() -> None:
    aliases = ServerAliases(octets("names"), b"secret")
    made = {aliases.seal(AKA, IMSI) for _ in range(100)}
    assert len(made) == 100
    assert all(aliases.imsi(f"{each}@{REALM}") == IMSI for each in made)
    assert all(ServerAliases(octets("x"), b"other").imsi(each) != IMSI for each in made)


@pytest.mark.parametrize(
    "identity", ["", "2", "2abc", "2" + "a" * 26, "2" + "1" * 26, "4unknown@realm", "x" * 300, "0123"]
)
def test_names_that_are_not_ours(identity: str) -> None:
    assert ServerAliases(octets("names"), b"secret").imsi(identity) in (None, "")


def test_flavours_by_the_first_character() -> None:
    assert [flavour_of(each) for each in "024"] == [AKA] * 3
    assert [flavour_of(each) for each in "678"] == [AKA_PRIME] * 3
    assert flavour_of("") is AKA


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mn_dsmip.engine.ike.aka_aliases.MOST_CONTEXTS", 3)
    aliases = ServerAliases(octets("names"), b"secret")
    keys = AkaKeys(bytes(16), bytes(16), bytes(64), bytes(20), bytes)
    names = [aliases.fresh(AKA, REALM, 1) for _ in range(5)]
    for name in names:
        assert name
        aliases.remember(name, IMSI, 1, keys)
    assert [bool(name and aliases.holds(name)) for name in names] == [False, False, True, True, True]
