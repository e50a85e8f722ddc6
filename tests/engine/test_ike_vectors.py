# SPDX-License-Identifier: GPL-2.0-or-later
"""The published bootstrap (tests/vectors/ikev2.json) played by our sessions: the same octets, the same keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim
from mn_dsmip.crypto.certs import Identity
from mn_dsmip.crypto.groups import GROUPS
from mn_dsmip.crypto.kdf import IkeKeys, ike_keys, skeyseed
from mn_dsmip.crypto.signatures import verify
from mn_dsmip.crypto.suites import ENCRYPTION, INTEGRITY, PRF, Protection, Sealer
from mn_dsmip.engine.ike import init
from mn_dsmip.engine.ike import sa as sa_module
from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.auth import AuthTask
from mn_dsmip.engine.ike.events import DEFAULT_TIMERS, ChildSaEstablished, IkeKeysDerived, IkeSaEstablished
from mn_dsmip.engine.ike.initiator import IkeInitiator
from mn_dsmip.engine.ike.proposals import PROFILES, Chosen, Profile, parse_offer
from mn_dsmip.engine.ike.responder import IkeResponder
from mn_dsmip.engine.ike.session import Path, Session
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import CfgAttribute, CfgType, Exchange, IdType, Protocol
from mn_dsmip.wire.ikev2_payloads import (
    Attribute,
    Authentication,
    Configuration,
    Encrypted,
    IdInitiator,
    IdResponder,
    Payload,
)
from tests.engine.ike_pair import (
    FOR_HOME,
    GATEWAY,
    UE,
    Pair,
    Policy,
    initiator_config,
    responder_config,
    to_gateway,
    to_ue,
)
from tests.wire.ikev2_samples import IDENTITY, KEYS, MESSAGES, VECTORS

# The subscriber of the vectors: Milenage test set 1 (TS 35.208).
IMSI = "001010123456789"
K = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc")
OPC = bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
RAND = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")
SQN, AMF = 0xFF9BB4D0B607, bytes.fromhex("b9b9")
PROFILE = Profile(
    (parse_offer("aes128gcm16-prfsha256-curve25519", Protocol.IKE),), (parse_offer("aes128gcm16", Protocol.ESP),)
)


def vector(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


class Feed:
    """Gives out what the vectors' author threw, in the order in which our engines ask."""

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)

    def __call__(self, length: int) -> bytes:
        assert self.values, f"{length} more octets asked for"
        value = self.values.pop(0)
        assert len(value) == length, f"{length} octets asked for, {value.hex()} is next"
        return value


@pytest.fixture
def ivs() -> list[Iterator[int]]:
    """The vectors count the IVs of both directions together; holds what counts, for tests with one of our ends."""
    return [count()]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, ivs: list[Iterator[int]]) -> Pair:
    """Both ends with the vectors' randomness, and a key instead of a certificate."""

    class OneCounter(Sealer):
        def seal(self, plaintext: bytes, associated: bytes) -> bytes:
            self._counter = next(ivs[0])
            return super().seal(plaintext, associated)

    def check_signature(self: AuthTask, auth: Authentication, chain: list[bytes]) -> None:
        assert chain == []
        key = ed25519.Ed25519PublicKey.from_public_bytes(vector("ed25519_public"))
        verify(key, auth.method, auth.data, self._session.peer_signed(self._id_body()))

    monkeypatch.setattr(sa_module, "Sealer", OneCounter)
    monkeypatch.setattr(init, "OFFERED_HASHES", (2, 5))
    monkeypatch.setattr(AuthTask, "_check_signature", check_signature)
    made = Pair(initiator_config(), policy=policy())
    ue = Feed(
        vector("initiator_spi"), vector("initiator_nonce"), vector("initiator_private"), bytes.fromhex("c0000001"),
        bytes.fromhex("c0000002"), bytes(range(0x20, 0x40)),
    )  # fmt: skip
    gateway = Feed(
        vector("responder_spi"), vector("responder_private"), vector("responder_nonce"), bytes.fromhex("d0000001"),
        bytes(range(0xA0, 0xC0)), bytes.fromhex("d0000002"),
    )  # fmt: skip
    config = initiator_config(
        identity=IDENTITY.decode(),
        profile=PROFILE,
        anchors=(),
        fragment_size=0,
        eap=lambda: AkaPeer(AKA, IDENTITY.decode(), IMSI, Usim(K, OPC, SQN - 1)),
    )
    key = ed25519.Ed25519PrivateKey.from_private_bytes(vector("ed25519_private"))
    made.initiator = IkeInitiator(config, UE, GATEWAY, ue, 0.0)
    made.responder = IkeResponder(
        responder_config(profile=PROFILE, identity=Identity(key, ()), fragment_size=0), made.policy, gateway
    )
    return made


def policy() -> Policy:
    made = Policy()
    subscriber = Subscriber(IMSI, K, OPC, AMF)
    centre = AuthenticationCentre(Feed(RAND), {IMSI: SQN - 1})
    made.method = lambda peer: AkaServer(AKA, peer.claimed.data.decode(), {IMSI: subscriber}.get, centre, Feed(b"\0"))
    return made


def whole_life(pair: Pair) -> None:
    pair.established()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.initiator.delete(pair.now)
    pair.settle()
    pair.quiet()


@pytest.mark.parametrize("name", MESSAGES)
def test_our_engines_send_the_published_octets(pair: Pair, name: str) -> None:
    whole_life(pair)
    sent = [datagram.payload.hex() for _, datagram in pair.wire]
    assert len(sent) == len(MESSAGES)
    assert sent[list(MESSAGES).index(name)] == MESSAGES[name].hex()


def test_the_keys_are_the_published_ones(pair: Pair) -> None:
    whole_life(pair)
    expected = IkeKeys(KEYS["d"], b"", b"", KEYS["ei"], KEYS["er"], KEYS["pi"], KEYS["pr"])
    assert pair.ue(IkeKeysDerived)[0].keys == pair.gateway(IkeKeysDerived)[0].keys == expected
    child = pair.ue(ChildSaEstablished)[1].child
    assert child.outbound_keys.encryption + child.inbound_keys.encryption == vector("child_keymat")
    assert pair.gateway(IkeSaEstablished)[0].identity == IMSI
    assert pair.initiator.counters == pair.responder.counters == {}


def play(name: str) -> Callable[[Pair], None]:
    octets = MESSAGES[name]
    from_ue = Message.parse(octets).from_original_initiator
    return lambda pair: pair.inject(to_gateway(octets) if from_ue else to_ue(octets))


def test_our_ue_accepts_the_published_gateway(pair: Pair, ivs: list[Iterator[int]]) -> None:
    """Only the published answers arrive, none of ours."""
    ivs[0] = count(0, 2)
    pair.disturb = lambda number, datagram: []
    pair.start()
    for name in ("I-2", "I-4", "I-6", "I-8"):
        play(name)(pair)
        pair.quiet()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.initiator.delete(pair.now)
    for name in ("I-10", "I-12"):
        play(name)(pair)
        pair.quiet()
    assert pair.initiator.closed and len(pair.ue(ChildSaEstablished)) == 2
    assert [datagram.payload for _, datagram in pair.wire] == [MESSAGES[name] for name in list(MESSAGES)[::2]]


def test_our_gateway_accepts_the_published_ue(pair: Pair, ivs: list[Iterator[int]]) -> None:
    ivs[0] = count(1, 2)
    for name in ("I-1", "I-3", "I-5", "I-7", "I-9", "I-11"):
        play(name)(pair)
        pair.disturb = lambda number, datagram: []
        pair.quiet()
    assert [datagram.payload for _, datagram in pair.wire] == [MESSAGES[name] for name in list(MESSAGES)[1::2]]


def test_key_agreement_step_by_step() -> None:
    group = GROUPS[31]
    ue, gateway = group.generate(Feed(vector("initiator_private"))), group.generate(Feed(vector("responder_private")))
    assert (ue.public, gateway.public) == (vector("initiator_public"), vector("responder_public"))
    assert ue.shared(gateway.public) == gateway.shared(ue.public) == vector("shared")
    nonces = vector("initiator_nonce") + vector("responder_nonce")
    assert skeyseed(PRF[5], nonces, vector("shared")) == vector("skeyseed")


def test_the_published_cbc_message() -> None:
    """AES-CBC-128 with HMAC-SHA2-256-128: keys, padding, IV and integrity check value as published."""
    cbc = VECTORS["cbc"]
    protection = Protection(ENCRYPTION[12, 128], INTEGRITY[12])
    spis = vector("initiator_spi") + vector("responder_spi")
    nonces = vector("initiator_nonce") + vector("responder_nonce")
    keys = ike_keys(PRF[5], protection, vector("skeyseed"), nonces, spis)
    for name in ("ai", "ar", "ei", "er", "pi", "pr"):
        assert getattr(keys, name).hex() == cbc[f"SK_{name}"]
    content: list[Payload] = [
        IdInitiator(IdType.RFC822, IDENTITY),
        IdResponder(IdType.FQDN, b"internet"),
        Configuration(CfgType.REQUEST, (Attribute(CfgAttribute.MIP6_HOME_PREFIX),)),
    ]
    random = Feed(vector("initiator_spi"), bytes(range(0xE0, 0xF0)))
    ue = Session(True, PROFILES["modern"], Path(UE, 500, GATEWAY, 500), DEFAULT_TIMERS, random, 0.0)
    ue.current.spi_r = vector("responder_spi")
    ue.current.use_keys(Chosen(protection, PRF[5], GROUPS[31]), keys)
    [octets] = ue.current.build(Exchange.IKE_AUTH, 1, content, is_response=False)
    assert octets.hex() == cbc["octets"]
    feed = Feed(vector("responder_spi"))
    gateway = Session(False, PROFILES["modern"], Path(GATEWAY, 500, UE, 500), DEFAULT_TIMERS, feed, 0.0)
    gateway.current.use_keys(Chosen(protection, PRF[5], GROUPS[31]), keys)
    message = Message.parse(octets)
    assert isinstance(message.payloads[0], Encrypted)
    assert gateway.current._open(message, octets) == tuple(content)
