# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP-AKA peer and server against each other, and a server that tests write by hand."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim, make_vector
from mn_dsmip.crypto.kdf import AkaKeys
from mn_dsmip.engine.base import Event
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour, derive, seal
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.eap_method import (
    EapFailure,
    EapPacket,
    EapResult,
    EapSuccess,
    network_access_identifier,
)
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Attribute, Code, Method, Packet, SkippableAttribute, Subtype

VECTORS = Path(__file__).parents[1] / "vectors"
IMSI = "001010123456789"
K, OPC, OTHER_K = bytes(range(16)), bytes(range(16, 32)), bytes(range(1, 17))
WLAN = b"WLAN"


def permanent(flavour: Flavour) -> str:
    return network_access_identifier(IMSI, "001", "01", flavour.leading)


def vectors(name: str, key: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((VECTORS / name).read_text())[key]
    return found


def described(packet: bytes) -> str:
    """``REQUEST CHALLENGE Rand Autn Mac``: what a chart shows of a packet."""
    parsed = Packet.parse(packet)
    code = Code(parsed.code).name
    if parsed.method not in (Method.AKA, Method.AKA_PRIME):
        return code if parsed.method is None else f"{code} {Method(parsed.method).name}"
    aka = AkaPacket.parse(parsed)
    return " ".join((code, Subtype(aka.subtype).name, *(type(each).__name__ for each in aka.attributes)))


@dataclass
class Pair:
    """Both sides; ``run`` carries packets until neither has anything to say and notes them in ``chart``."""

    peer: AkaPeer
    server: AkaServer
    usim: Usim
    centre: AuthenticationCentre
    chart: list[str] = field(default_factory=list)
    peer_end: EapSuccess | EapFailure | None = None
    server_end: EapSuccess | EapFailure | None = None
    peer_events: list[Event] = field(default_factory=list)
    server_events: list[Event] = field(default_factory=list)

    def start(self) -> bytes:
        """The server's first request."""
        self.server.start()
        return self._from_server()

    def run(self) -> None:
        """From the first request to the end; bounded by the number of rounds that IKE allows."""
        request = self.start()
        for _ in range(16):
            self.chart.append(described(request))
            response = self.to_peer(request)
            if response is None:
                return
            self.chart.append(described(response))
            request = self.to_server(response)
        raise AssertionError(f"no end: {self.chart}")

    def to_peer(self, request: bytes) -> bytes | None:
        """The peer's response, ``None`` when it has ended or says nothing."""
        self.peer.receive(request)
        self.peer_events += self.peer.events()
        result = self.peer.take()
        assert self.peer.take() is None
        if isinstance(result, EapPacket):
            return result.packet
        self.peer_end = result or self.peer_end
        return None

    def to_server(self, response: bytes) -> bytes:
        """The server's next packet; Success and Failure are packets too."""
        self.server.receive(response)
        return self._from_server()

    def _from_server(self) -> bytes:
        result = self.server.take()
        assert result is not None
        assert self.server.take() is None
        self.server_events += self.server.events()
        if not isinstance(result, EapPacket):
            self.server_end = result
        return result.packet


def make_pair(
    flavour: Flavour = AKA,
    *,
    claimed: str | None = None,
    own: str | None = None,
    card_sqn: int = 0,
    network_sqn: int = 0,
    card_key: bytes = K,
    ask_identity: bool = False,
    names: tuple[bytes, bytes] = (WLAN, WLAN),
    amf: bytes = b"\x80\0",
    known: bool = True,
) -> Pair:
    """``claimed`` is what IDi says, ``own`` what the peer answers when asked; ``names`` the peer's and the server's."""
    source = random.Random(7)
    subscribers = {IMSI: Subscriber(IMSI, K, OPC, amf)} if known else {}
    centre = AuthenticationCentre(source.randbytes, {IMSI: network_sqn})
    usim = Usim(card_key, OPC, card_sqn)
    identity = permanent(flavour)
    peer = AkaPeer(flavour, own or identity, IMSI, usim, names[0])
    claim = claimed or own or identity
    server = AkaServer(flavour, claim, subscribers.get, centre, source.randbytes, names[1], ask_identity)
    return Pair(peer, server, usim, centre)


@dataclass
class HandWritten:
    """A server that knows the subscriber's key and sends whatever a test likes to a real peer."""

    flavour: Flavour = AKA
    card_sqn: int = 0
    network_name: bytes = WLAN
    prefers_aka_prime: bool = False
    sqn: int = 0
    identifier: int = 0

    def __post_init__(self) -> None:
        self.usim = Usim(K, OPC, self.card_sqn)
        identity = permanent(self.flavour)
        self.peer = AkaPeer(self.flavour, identity, IMSI, self.usim, self.network_name, self.prefers_aka_prime)
        self.subscriber = Subscriber(IMSI, K, OPC)
        self.sqn = self.sqn or self.card_sqn
        self.keys: AkaKeys | None = None
        self.rounds: list[bytes] = []

    def challenge(self, *more: Attribute, amf: bytes = b"\x80\0", key: bytes = K, sent: bytes | None = None) -> bytes:
        """A fresh challenge that the peer accepts unless something in it is changed."""
        self.sqn += 1
        vector = make_vector(replace(self.subscriber, k=key, amf=amf), bytes((self.sqn % 256,)) * 16, self.sqn)
        name = next((each.network_name for each in more if isinstance(each, eap.KdfInput)), b"")
        self.keys = derive(self.flavour, permanent(self.flavour), vector.ck, vector.ik, vector.autn, name)
        return self.request(Subtype.CHALLENGE, eap.Rand(vector.rand), eap.Autn(sent or vector.autn), *more, eap.Mac())

    def prime(self, *more: Attribute, kdfs: tuple[int, ...] = (1,), name: bytes | None = WLAN, **changes) -> bytes:
        """A challenge of EAP-AKA'."""
        named = () if name is None else (eap.KdfInput(name),)
        return self.challenge(*(eap.Kdf(kdf) for kdf in kdfs), *named, *more, **changes)

    def good(self, *more: Attribute) -> bytes:
        """A challenge of the method."""
        return self.prime(*more) if self.flavour is AKA_PRIME else self.challenge(*more)

    def request(self, subtype: int, *attributes: Attribute) -> bytes:
        self.identifier += 1
        packet = AkaPacket(Code.REQUEST, self.identifier, self.flavour.method, subtype, attributes)
        has_mac = any(isinstance(each, eap.Mac) for each in attributes)
        return seal(self.flavour, packet, self.keys) if has_mac and self.keys else packet.build()

    def ask(self, packet: bytes) -> str:
        """How the peer answers, as in a chart; empty when it says nothing."""
        result = self.send(packet)
        return described(result.packet) if isinstance(result, EapPacket) else type(result).__name__ if result else ""

    def send(self, packet: bytes) -> EapResult | None:
        self.peer.receive(packet)
        result = self.peer.take()
        assert self.peer.take() is None
        return result

    def end(self, code: Code = Code.SUCCESS) -> EapResult | None:
        return self.send(Packet(code, self.identifier).build())


IDENTITY_ANSWER = "RESPONSE IDENTITY Identity"
CLIENT_ERROR = "RESPONSE CLIENT_ERROR ClientErrorCode"
REJECT = "RESPONSE AUTHENTICATION_REJECT"
ANSWER = "RESPONSE CHALLENGE Res Mac"
FLAVOURS = {"AKA": AKA, "AKA'": AKA_PRIME}
SKIPPABLE = SkippableAttribute(200, b"\x12\x34")
