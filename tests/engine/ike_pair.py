# SPDX-License-Identifier: GPL-2.0-or-later
"""An IKE initiator and a responder with a clock and a network between them that a test may disturb."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from ipaddress import IPv6Address, IPv6Network
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ed25519

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim
from mn_dsmip.crypto.certs import Identity, create_authority, issue
from mn_dsmip.crypto.suites import Opener, Sealer
from mn_dsmip.engine.base import Event, Random, UdpDatagram
from mn_dsmip.engine.ike.aka_common import AKA, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.child import mobility_selector, narrow
from mn_dsmip.engine.ike.eap_method import EapMethod, network_access_identifier
from mn_dsmip.engine.ike.events import (
    IkeKeysDerived,
    InitiatorConfig,
    Refusal,
    ResponderConfig,
    Selectors,
)
from mn_dsmip.engine.ike.initiator import IkeInitiator
from mn_dsmip.engine.ike.policy import Peer
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.ike.responder import IkeResponder
from mn_dsmip.wire.ikev2 import Message, build_payloads, parse_payloads
from mn_dsmip.wire.ikev2_numbers import CfgAttribute, CfgType, NotifyType
from mn_dsmip.wire.ikev2_payloads import Attribute, Configuration, Encrypted, HomePrefix, Payload

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
UE, GATEWAY = IPv6Address("2001:db8:f:1::10"), IPv6Address("2001:db8:aaaa::1")
PREFIX = IPv6Network("2001:db8:1:1::/64")
HOME = PREFIX[0x100]
DNS = IPv6Address("2001:db8:aaaa::53")
APN, FQDN, OWN_NAME = "internet", "internet.apn.example.net", "pgw.example.net"
IMSI, MCC, MNC = "001010000000001", "001", "01"
K, OPC = bytes(range(16)), bytes(range(16, 32))
PSK = b"a pre-shared key of these tests"
IKE_PORT = 500

ANYWHERE = Selectors(
    (mobility_selector(IPv6Address(0), IPv6Address(2**128 - 1)),), (mobility_selector(GATEWAY),), transport=True
)
FOR_HOME = Selectors((mobility_selector(HOME),), (mobility_selector(GATEWAY),), transport=True)

Wanted = TypeVar("Wanted", bound=Event)


def seeded(seed: int | str) -> Random:
    """A random source: the same seed gives the same octets."""
    return random.Random(seed).randbytes


@cache
def authority(name: str = "Test CA") -> Identity:
    """An authority; Ed25519, whose signatures are the same every time."""
    return create_authority(name, NOW, ed25519.Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"a")))


@cache
def gateway_identity(*names: str) -> Identity:
    """The gateway's key and certificate for ``names``, by default the looked-up one."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"g" * 32)
    return issue(authority(), names or (FQDN, str(GATEWAY)), NOW, key)


class Policy:
    """A gateway's decisions; attributes are replaced by tests that want others."""

    def __init__(self, flavour: Flavour = AKA, psk: bytes | None = None, seed: int | str = 0) -> None:
        self.psk = psk
        self.flavour = flavour
        self.subscriber = Subscriber(IMSI, K, OPC)
        self.random = seeded(f"policy {seed}")
        self.centre = AuthenticationCentre(self.random, {})
        self.method: Callable[[Peer], EapMethod | bytes | Refusal] = self.usual_method
        self.authorisation: Refusal | None = None
        self.default_apn = ""
        self.reply: Callable[[Configuration | None], Configuration | Refusal | None] = usual_reply
        self.peers: list[Peer] = []
        self.forgotten: list[bytes] = []

    def usual_method(self, peer: Peer) -> EapMethod | bytes | Refusal:
        if self.psk is not None:
            return self.psk
        subscribers = {IMSI: self.subscriber}
        identity = peer.claimed.data.decode(errors="replace")
        return AkaServer(self.flavour, identity, subscribers.get, self.centre, self.random, b"WLAN")

    def authenticator(self, peer: Peer) -> EapMethod | bytes | Refusal:
        self.peers.append(peer)
        peer.apn = peer.apn or self.default_apn or None
        return self.method(peer)

    def forget(self, session: bytes) -> None:
        self.forgotten.append(session)

    def authorise(self, peer: Peer) -> Refusal | None:
        return self.authorisation

    def assign(self, peer: Peer, request: Configuration | None) -> Configuration | Refusal | None:
        return self.reply(request)

    def narrow(self, peer: Peer, asked: Selectors) -> Selectors | Refusal:
        remote = narrow(asked.remote, (mobility_selector(PREFIX[0], PREFIX[-1]),))
        local = narrow(asked.local, (mobility_selector(GATEWAY),))
        if not remote or not local:
            return Refusal(NotifyType.TS_UNACCEPTABLE, f"the selectors are outside {PREFIX}")
        return Selectors(local, remote, asked.transport)


def usual_reply(request: Configuration | None) -> Configuration | None:
    """A home network prefix and a DNS server for whoever asks."""
    if request is None:
        return None
    asked = {each.type for each in request.attributes}
    prefix = HomePrefix(86400, PREFIX.network_address, 64).build()
    given = {CfgAttribute.MIP6_HOME_PREFIX: prefix, CfgAttribute.INTERNAL_IP6_DNS: DNS.packed}
    attributes = tuple(Attribute(kind, value) for kind, value in given.items() if kind in asked)
    return Configuration(CfgType.REPLY, attributes)


def usim(sqn: int = 0) -> Usim:
    """The subscriber's."""
    return Usim(K, OPC, sqn)


def initiator_config(flavour: Flavour = AKA, **changes: Any) -> InitiatorConfig:
    """A UE that uses EAP-AKA; with ``psk`` it uses that instead."""
    identity = network_access_identifier(IMSI, MCC, MNC, flavour.leading)
    config = InitiatorConfig(
        identity=identity,
        apn=APN,
        expected_name=FQDN,
        profile=PROFILES["modern"],
        first_child=ANYWHERE,
        anchors=authority().chain,
        clock=lambda: NOW,
        eap=lambda: AkaPeer(flavour, identity, IMSI, usim(), b"WLAN"),
    )
    if "psk" in changes:
        changes = {"eap": None, "anchors": (), "clock": None} | changes
    return replace(config, **changes)


def responder_config(**changes: Any) -> ResponderConfig:
    """A gateway with the usual certificate."""
    return replace(ResponderConfig(OWN_NAME, PROFILES["modern"], gateway_identity()), **changes)


class Pair:
    """Both ends. Datagrams take ``DELAY`` seconds unless ``disturb`` says when, how often and what arrives."""

    DELAY = 0.01

    def __init__(
        self,
        config: InitiatorConfig | None = None,
        responder: ResponderConfig | None = None,
        policy: Policy | None = None,
        seed: int | str = 0,
    ) -> None:
        self.now = 0.0
        self.policy = policy or Policy(seed=seed)
        self.initiator = IkeInitiator(config or initiator_config(), UE, GATEWAY, seeded(f"ue {seed}"), self.now)
        self.responder = IkeResponder(responder or responder_config(), self.policy, seeded(f"gateway {seed}"))
        self.wire: list[tuple[float, UdpDatagram]] = []
        """All that was sent, lost ones too."""
        self.happened: dict[str, list[Event]] = {"ue": [], "gateway": []}
        self.disturb: Callable[[int, UdpDatagram], Iterable[tuple[float, UdpDatagram]]] | None = None
        """Called with the running number of a datagram; gives what arrives and after how many seconds."""
        self._queue: list[tuple[float, int, UdpDatagram]] = []
        self._order = 0

    # --- running

    def start(self) -> Pair:
        """Let the UE begin."""
        self.initiator.start(self.now)
        self.settle()
        return self

    def settle(self) -> None:
        """What a driver does after each call."""
        self.happened["ue"] += self.initiator.events()
        self.happened["gateway"] += self.responder.events()
        for datagram in self.initiator.datagrams_to_send() + self.responder.datagrams_to_send():
            number = len(self.wire)
            self.wire.append((self.now, datagram))
            arriving = [(self.DELAY, datagram)] if self.disturb is None else self.disturb(number, datagram)
            for delay, copy in arriving:
                self.inject(copy, delay)

    def inject(self, datagram: UdpDatagram, delay: float = 0.0) -> None:
        """Have ``datagram`` arrive ``delay`` seconds from now."""
        self._order += 1
        heapq.heappush(self._queue, (self.now + delay, self._order, datagram))

    def step(self, limit: float = float("inf")) -> bool:
        """Let the next thing happen, a datagram or a timer; ``False`` when nothing is left before ``limit``."""
        due = self.pending()
        if due > limit or due == float("inf"):
            return False
        self.now = max(self.now, due)
        if self._queue and self._queue[0][0] <= due:
            datagram = heapq.heappop(self._queue)[2]
            end = self.responder if datagram.destination == GATEWAY else self.initiator
            end.receive_datagram(datagram, self.now)
        else:
            for end in (self.initiator, self.responder):
                if (wanted := end.next_timer()) is not None and wanted <= self.now:
                    end.handle_timer(self.now)
        self.settle()
        return True

    def pending(self) -> float:
        """When the next thing happens; infinity when nothing will."""
        times = [self.initiator.next_timer(), self.responder.next_timer(), self._queue[0][0] if self._queue else None]
        return min((time for time in times if time is not None), default=float("inf"))

    def run(self, seconds: float = 300.0, until: Callable[[], bool] = lambda: False) -> bool:
        """Let ``seconds`` pass, or time until the condition holds or nothing is left to happen."""
        limit = self.now + seconds
        for _ in range(20_000):
            if until():
                return True
            if not self.step(limit):
                self.now = limit if self.pending() < float("inf") else self.now
                return False
        raise AssertionError("time does not get on")

    def quiet(self) -> Pair:
        """Until no datagram is under way any more."""
        self.run(until=lambda: not self._queue)
        return self

    def established(self) -> Pair:
        """The usual beginning: the IKE SA and its first child SA are there."""
        self.start()
        assert self.run(60, lambda: self.initiator.established and not self._queue), self.happened
        return self

    # --- looking

    def ue(self, kind: type[Wanted]) -> list[Wanted]:
        """Events of that kind at the UE."""
        return [each for each in self.happened["ue"] if isinstance(each, kind)]

    def gateway(self, kind: type[Wanted]) -> list[Wanted]:
        """Events of that kind at the gateway."""
        return [each for each in self.happened["gateway"] if isinstance(each, kind)]

    def keys(self) -> IkeKeysDerived:
        """Of the IKE SA."""
        return self.ue(IkeKeysDerived)[-1]

    def look(self, datagram: UdpDatagram) -> tuple[Message, list[Payload]]:
        """A message and its payloads, opened with the UE's keys."""
        message = Message.parse(datagram.payload)
        sealed = message.payloads[-1] if message.payloads else None
        if not isinstance(sealed, Encrypted):
            return message, list(message.payloads)
        derived = self.keys()
        keys = (derived.keys.ei, derived.keys.ai) if message.from_original_initiator else (
            derived.keys.er, derived.keys.ar)  # fmt: skip
        opener = Opener(derived.chosen.protection, *keys)
        plaintext = opener.open(sealed.body, datagram.payload[: len(datagram.payload) - len(sealed.body)])
        return message, list(parse_payloads(sealed.first_inner, plaintext[: -1 - plaintext[-1]]))

    def chart(self) -> list[str]:
        """Every message sent: arrow, exchange, id, payloads."""
        lines = []
        for _, datagram in self.wire:
            message, payloads = self.look(datagram)
            arrow = "-->" if datagram.destination == GATEWAY else "<--"
            lines.append(
                f"{arrow} {message.exchange.name} {message.message_id} {' '.join(map(short, payloads))}".strip()
            )
        return lines

    def forge(self, template: Message, payloads: list[Payload], counter: int = 1 << 40) -> UdpDatagram:
        """A genuine message with other content: header as in ``template``, sealed with the sender's keys."""
        derived = self.keys()
        from_ue = template.from_original_initiator
        pair = (derived.keys.ei, derived.keys.ai) if from_ue else (derived.keys.er, derived.keys.ar)
        sealer = Sealer(derived.chosen.protection, *pair, seeded("forger"))
        sealer._counter = counter  # no IV twice
        first, inner = build_payloads(payloads)
        return self.seal_raw(template, first, inner, sealer)

    def seal_raw(self, template: Message, first: int, inner: bytes, sealer: Sealer | None = None) -> UdpDatagram:
        """The same for octets that need not be payloads."""
        if sealer is None:
            derived = self.keys()
            from_ue = template.from_original_initiator
            pair = (derived.keys.ei, derived.keys.ai) if from_ue else (derived.keys.er, derived.keys.ar)
            sealer = Sealer(derived.chosen.protection, *pair, seeded("forger"))
            sealer._counter = 1 << 41
        padding = -(len(inner) + 1) % sealer.protection.encryption.block
        plaintext = inner + bytes(padding) + bytes((padding,))
        associated = template.associated_data(first, sealer.overhead() + len(plaintext))
        octets = associated + sealer.seal(plaintext, associated)
        return to_gateway(octets) if template.from_original_initiator else to_ue(octets)


def to_gateway(octets: bytes, source: IPv6Address = UE, port: int = IKE_PORT) -> UdpDatagram:
    """A datagram for the gateway's IKE port."""
    return UdpDatagram(source, port, GATEWAY, IKE_PORT, octets)


def to_ue(octets: bytes, source: IPv6Address = GATEWAY) -> UdpDatagram:
    """A datagram for the UE's IKE port."""
    return UdpDatagram(source, IKE_PORT, UE, IKE_PORT, octets)


_SHORT = {
    "SecurityAssociation": "SA",
    "KeyExchange": "KE",
    "Nonce": "N",
    "IdInitiator": "IDi",
    "IdResponder": "IDr",
    "Certificate": "CERT",
    "CertificateRequest": "CERTREQ",
    "Authentication": "AUTH",
    "Configuration": "CP",
    "TrafficSelectorsInitiator": "TSi",
    "TrafficSelectorsResponder": "TSr",
    "Delete": "D",
    "Eap": "EAP",
}


def short(payload: Payload) -> str:
    """The RFC's abbreviation; notifies by name."""
    kind = getattr(payload, "notify_type", None)
    if kind is not None:
        return f"N({getattr(kind, 'name', kind)})"
    return _SHORT.get(type(payload).__name__, type(payload).__name__)
