# SPDX-License-Identifier: GPL-2.0-or-later
"""A RADIUS server before an EAP server: other gateways authenticate the subscribers of this one (RFC 3579).

A client must be known by its address, and every request must prove the shared secret by Message-Authenticator, or it
is dropped without an answer. ``State`` names a conversation; a repeated request gets the same answer, octet by octet
(RFC 5080 2.2.2).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TypeVar

from ...wire import eap
from ...wire.codec import WireError
from ...wire.eap import Method, Packet
from ..base import Event, IPAddress, Random, UdpDatagram, earliest
from ..ike.eap_method import EapFailure, EapMethod, EapPacket, EapSuccess
from .packets import Code, RadiusError, Reply, Request, build_reply, read_request

STATE = 16
"""Octets that name a conversation; nobody guesses them."""
LIFETIME = 60.0
"""Seconds that a conversation, or an answer that may have to be repeated, is kept after its last packet."""
MOST = 4096
"""Conversations, and answers kept; beyond that the oldest goes."""


@dataclass(frozen=True)
class FrontClient:
    """Who may ask: a gateway's address or network, and the secret shared with it."""

    network: IPv4Network | IPv6Network
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """What a subscriber gets beside its keys; ``user_name`` is its permanent identity."""

    user_name: str
    prefix: IPv6Network | None = None
    ipv4: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class AaaAccepted(Event):
    """A subscriber was authenticated for a gateway."""

    client: IPAddress
    subscriber: str
    called_station: str


@dataclass(frozen=True, slots=True)
class AaaRejected(Event):
    """Somebody was not; ``reason`` is a sentence for a person."""

    client: IPAddress
    identity: str
    reason: str
    clause: str


@dataclass(frozen=True, slots=True)
class AaaClientRefused(Event):
    """A packet of a host that is no client of ours, or of one with another secret; told once for each."""

    client: IPAddress
    reason: str


@dataclass
class _Conversation:
    client: IPAddress
    identity: str
    method: EapMethod
    expires: float


Key = TypeVar("Key")
Value = TypeVar("Value")
Authorise = Callable[[str, str, str], "Grant | str"]
"""From subscriber, claimed identity and Called-Station-Id to what there is for it, or to why there is nothing."""


class RadiusFront:
    """The server: ``methods`` makes an EAP server for a claimed identity, ``authorise`` judges who has passed it."""

    def __init__(
        self,
        clients: tuple[FrontClient, ...],
        methods: Callable[[str], EapMethod],
        authorise: Authorise,
        random: Random,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._clients = sorted(clients, key=lambda each: -each.network.prefixlen)
        self._methods = methods
        self._authorise = authorise
        self._random = random
        self._conversations: OrderedDict[bytes, _Conversation] = OrderedDict()  # the longest silent first
        self._answers: OrderedDict[tuple[IPAddress, int, bytes], tuple[float, bytes]] = OrderedDict()
        self._told: set[tuple[IPAddress, str]] = set()
        self._ending = False
        self._events: list[Event] = []
        self._datagrams: list[UdpDatagram] = []

    # --- calls of the user

    def shutdown(self, now: float) -> None:
        """Nothing is to be said: clients repeat their requests elsewhere."""
        self._ending = True

    @property
    def finished(self) -> bool:
        """Whether the end may come."""
        return self._ending

    def status(self, now: float) -> dict[str, object]:
        """What a person wants to know."""
        return {
            "state": "ending" if self._ending else "serving",
            "conversations": len(self._conversations),
            "counters": dict(sorted(self.counters.items())),
        }

    # --- the verbs

    def events(self) -> list[Event]:
        """What happened since the last call, sequence numbers to be made durable included."""
        events, self._events = self._events, []
        return events

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """What is to leave now."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        conversation = next(iter(self._conversations.values()), None)
        answer = next(iter(self._answers.values()), None)
        return earliest(conversation.expires if conversation else None, answer[0] if answer else None)

    def handle_timer(self, now: float) -> None:
        """Forget what is old."""
        while self._conversations and next(iter(self._conversations.values())).expires <= now:
            self._conversations.popitem(last=False)
            self.counters["aaa-conversation-expired"] += 1
        while self._answers and next(iter(self._answers.values()))[0] <= now:
            self._answers.popitem(last=False)

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take a request; whatever it holds, nothing is raised."""
        client = self._client(datagram.source)
        if client is None:
            self._refuse(datagram.source, "aaa-unknown-client", "it is no client of ours")
            return
        try:
            request = read_request(client.secret, datagram.payload)
        except RadiusError as problem:
            self._refuse(datagram.source, problem.reason, str(problem))
            return
        key = (datagram.source, datagram.source_port, request.authenticator)
        if key in self._answers:
            self.counters["aaa-repeated"] += 1
            octets = self._answers[key][1]
        else:
            octets = build_reply(request, self._answer(datagram.source, request, now))
            _keep(self._answers, key, (now + LIFETIME, octets))
        self._datagrams.append(
            UdpDatagram(datagram.destination, datagram.destination_port, datagram.source, datagram.source_port, octets)
        )

    # --- conversations

    def _client(self, address: IPAddress) -> FrontClient | None:
        same = (each for each in self._clients if each.network.version == address.version)
        return next((each for each in same if address in each.network), None)

    def _refuse(self, address: IPAddress, word: str, reason: str) -> None:
        self.counters[word] += 1
        if (address, word) not in self._told and len(self._told) < MOST:
            self._told.add((address, word))
            self._events.append(AaaClientRefused(address, reason))

    def _answer(self, source: IPAddress, request: Request, now: float) -> Reply:
        if request.state is not None:
            conversation = self._conversations.get(request.state)
            if conversation is None or conversation.client != source:
                self.counters["aaa-unknown-state"] += 1
                return self._reject(source, request, "its State names no conversation of ours", "RFC 3579 2.6.1")
            conversation.method.receive(request.eap)
            return self._go_on(request.state, conversation, request, now)
        if not request.eap:  # EAP-Start (RFC 3579 2.1)
            return Reply(Code.ACCESS_CHALLENGE, Packet(eap.Code.REQUEST, 0, Method.IDENTITY).build())
        identity = _identity(request.eap)
        if identity is None:
            return self._reject(source, request, "it begins without an EAP identity", "RFC 3579 2.1")
        method = self._methods(identity)
        method.start()
        state = self._random(STATE)
        conversation = _Conversation(source, identity, method, now + LIFETIME)
        _keep(self._conversations, state, conversation)
        return self._go_on(state, conversation, request, now)

    def _go_on(self, state: bytes, conversation: _Conversation, request: Request, now: float) -> Reply:
        method = conversation.method
        result = method.take()
        self._events += method.events()
        self.counters.update(method.counters)
        method.counters.clear()
        conversation.expires = now + LIFETIME
        self._conversations.move_to_end(state)
        if isinstance(result, EapPacket):
            return Reply(Code.ACCESS_CHALLENGE, result.packet, state)
        del self._conversations[state]
        if isinstance(result, EapSuccess):
            return self._accept(conversation, request, result)
        reason = result.reason if isinstance(result, EapFailure) else "the EAP server has nothing to say"
        clause = result.clause if isinstance(result, EapFailure) else "RFC 3748 4.2"
        packet = result.packet if isinstance(result, EapFailure) else b""
        return self._reject(conversation.client, request, reason, clause, conversation.identity, packet)

    def _accept(self, conversation: _Conversation, request: Request, result: EapSuccess) -> Reply:
        grant = self._authorise(result.identity, conversation.identity, request.called_station)
        if isinstance(grant, str):
            return self._reject(conversation.client, request, grant, "RFC 2865 4.3", conversation.identity)
        self._events.append(AaaAccepted(conversation.client, result.identity, request.called_station))
        return Reply(Code.ACCESS_ACCEPT, result.packet, None, grant.user_name, result.msk, grant.prefix, grant.ipv4)

    def _reject(
        self, client: IPAddress, request: Request, reason: str, clause: str, identity: str = "", packet: bytes = b""
    ) -> Reply:
        self._events.append(AaaRejected(client, identity or request.user_name, reason, clause))
        identifier = request.eap[1] if len(request.eap) > 1 else 0
        return Reply(Code.ACCESS_REJECT, packet or Packet(eap.Code.FAILURE, identifier).build())


def _identity(packet: bytes) -> str | None:
    """The name in an EAP-Response/Identity."""
    try:
        parsed = Packet.parse(packet)
    except WireError:
        return None
    if (parsed.code, parsed.method) != (eap.Code.RESPONSE, Method.IDENTITY):
        return None
    return parsed.data.decode(errors="replace")


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    """Remember, and let the oldest go when there are too many."""
    kept[key] = value
    if len(kept) > MOST:
        kept.popitem(last=False)
