# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway's side of RADIUS: one conversation for each peer that authenticates, several servers (RFC 3579 2.2).

A conversation begins with the first server that is believed to live and stays with it, because ``State`` is that
server's own. A server that does not answer is left alone for ``dead_time``; a conversation that had not come to a
challenge yet goes on with the next one. Requests are repeated octet by octet (RFC 5080 2.2.1).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from pyrad.packet import AuthPacket

from ...wire import eap
from ...wire.codec import WireError
from ...wire.eap import AkaPacket, Identity, Method, Packet, Subtype
from ..base import Backoff, Event, IPAddress, Random
from ..ike.eap_method import EapFailure, EapPacket, EapResult, EapSuccess, permanent_imsi
from .packets import EAP_PIECE, Answer, Caller, Code, RadiusError, access_request, read_answer

IDENTIFIERS = 256
"""Requests that may wait for answers at one source port (RFC 2865 3)."""
CHANNELS = 16
"""Source ports for each server."""
EAP_HEADER, MOST_EAP = 4, 2500
"""Octets of a peer's EAP packet: a request with all its other attributes fits 4096 then (RFC 3579 2.4)."""


@dataclass(frozen=True)
class RadiusServer:
    """Where it is, and what we share with it."""

    address: IPAddress
    port: int
    secret: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class RadiusConfig:
    """``servers`` in order of preference; ``nas_address`` and ``nas_identifier`` are what they know us by."""

    servers: tuple[RadiusServer, ...]
    nas_identifier: str
    nas_address: IPAddress
    retransmission: Backoff = Backoff(first=1.0, factor=2.0, limit=4.0, tries=3)  # noqa: RUF009 - frozen
    dead_time: float = 60.0
    """Seconds that a silent server is left alone."""


class AaaDatagram(NamedTuple):
    """RADIUS octets from or for a server (its place in the list); a channel is a source port of ours."""

    server: int
    channel: int
    octets: bytes


class _Request:
    """What waits for an answer."""

    __slots__ = ("attempt", "channel", "deadline", "octets", "owner", "packet", "server")

    def __init__(self, owner: RadiusEap, server: int, channel: int, packet: AuthPacket, deadline: float) -> None:
        self.owner, self.server, self.channel, self.packet, self.deadline = owner, server, channel, packet, deadline
        self.octets: bytes = packet.RequestPacket()
        self.attempt = 0


class RadiusClient:
    """All conversations of a gateway; five verbs with ``AaaDatagram``, and ``answered`` in place of events."""

    def __init__(self, config: RadiusConfig, random: Random) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self._random = random
        self._waiting: dict[tuple[int, int, int], _Request] = {}
        self._queue: deque[RadiusEap] = deque()
        self._dead_until = [float("-inf")] * len(config.servers)
        self._identifiers: Counter[tuple[int, int]] = Counter()
        self._out: list[AaaDatagram] = []
        self._answered: list[bytes] = []

    # --- the verbs

    def datagrams_to_send(self) -> list[AaaDatagram]:
        """What is to leave now."""
        out, self._out = self._out, []
        return out

    def answered(self) -> list[bytes]:
        """The sessions whose methods know more than before."""
        answered, self._answered = self._answered, []
        return answered

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        return min((each.deadline for each in self._waiting.values()), default=None)

    def receive_datagram(self, datagram: AaaDatagram, now: float) -> None:
        """Take a server's answer; what does not prove itself is counted and dropped."""
        key = (datagram.server, datagram.channel, datagram.octets[1] if len(datagram.octets) > 1 else -1)
        request = self._waiting.get(key)
        if request is None:
            self.counters["radius-unexpected"] += 1
            return
        try:
            answer = read_answer(request.packet, datagram.octets)
        except RadiusError as problem:
            self.counters[problem.reason] += 1
            request.owner.complaint = str(problem)
            return
        del self._waiting[key]
        self._dead_until[datagram.server] = float("-inf")
        self._finish(request.owner, answer, datagram.server)
        self.begin(now)

    def handle_timer(self, now: float) -> None:
        """Repeat requests, and give up on servers that do not answer."""
        for key, request in list(self._waiting.items()):
            if request.deadline > now:
                continue
            request.attempt += 1
            if request.attempt < self.config.retransmission.tries:
                request.deadline = now + self.config.retransmission.delay(request.attempt)
                self._out.append(AaaDatagram(request.server, request.channel, request.octets))
            else:
                del self._waiting[key]
                self._give_up(request, now)
        self.begin(now)

    # --- conversations

    def queue(self, owner: RadiusEap) -> None:
        """Send what ``owner`` has to say as soon as ``begin`` is called."""
        self._queue.append(owner)

    def begin(self, now: float) -> None:
        """Send what is queued, as far as identifiers are free."""
        full: set[int] = set()
        for _ in range(len(self._queue)):
            owner = self._queue.popleft()
            server = owner.server if owner.server is not None else self._choose(now, owner.tried)
            place = self._place(server) if server not in full else None
            if place is None:
                full.add(server)
                self._queue.append(owner)
                self.counters["radius-queued"] += 1
                continue
            channel, identifier = place
            secret = self.config.servers[server].secret
            packet = access_request(secret, identifier, owner.caller, owner.outgoing, owner.state, self._random)
            deadline = now + self.config.retransmission.delay(0)
            request = self._waiting[server, channel, identifier] = _Request(owner, server, channel, packet, deadline)
            self._out.append(AaaDatagram(server, channel, request.octets))

    def _choose(self, now: float, tried: set[int]) -> int:
        """The first living server that was not tried; of dead ones the one that is dead for longest."""
        left = [each for each in range(len(self.config.servers)) if each not in tried]
        return min(left, key=lambda each: (max(self._dead_until[each], now), each))

    def _place(self, server: int) -> tuple[int, int] | None:
        """A channel and an identifier that wait for nothing, the longest unused first."""
        for channel in range(CHANNELS):
            for _ in range(IDENTIFIERS):
                place = (server, channel)
                identifier = self._identifiers[place] = (self._identifiers[place] + 1) % IDENTIFIERS
                if (*place, identifier) not in self._waiting:
                    return channel, identifier
        return None

    def _give_up(self, request: _Request, now: float) -> None:
        self.counters["radius-silent"] += 1
        self._dead_until[request.server] = now + self.config.dead_time
        owner = request.owner
        owner.tried.add(request.server)
        if owner.state is None and len(owner.tried) < len(self.config.servers):
            self._queue.append(owner)
            return
        silent = " and ".join(str(self.config.servers[each]) for each in sorted(owner.tried))
        hint = owner.complaint or "a server drops requests of clients and secrets that it does not know"
        owner.fail(f"the RADIUS server {silent} does not answer: {hint}", "RFC 3579 2.6.2")
        self._answered.append(owner.session)

    def _finish(self, owner: RadiusEap, answer: Answer, server: int) -> None:
        owner.server = server
        owner.take_answer(answer, str(self.config.servers[server]))
        self._answered.append(owner.session)


class RadiusEap:
    """One peer's authentication by a RADIUS server: an ``EapMethod`` that only passes packets on."""

    def __init__(self, client: RadiusClient, session: bytes, caller: Caller) -> None:
        self.counters: Counter[str] = Counter()
        self.session = session
        self.caller = caller
        self.state: bytes | None = None
        self.server: int | None = None
        self.tried: set[int] = set()
        self.outgoing = b""
        self.complaint = ""
        self.accepted: Answer | None = None
        """The Access-Accept, for what it grants."""
        self._client = client
        self._identifier = 0
        self._name = caller.user_name  # what EAP saw last
        self._aka = False
        self._result: EapResult | None = None

    def start(self) -> None:
        """The identity is known from IKE, so the conversation begins with it (RFC 3579 2.1)."""
        name = self.caller.user_name.encode()
        if len(name) > EAP_PIECE:
            self.fail(f"the peer's identity has {len(name)} octets, RADIUS carries {EAP_PIECE}", "RFC 2865 5.1")
            return
        self.receive(Packet(eap.Code.RESPONSE, 0, Method.IDENTITY, name).build())

    def receive(self, packet: bytes) -> None:
        """Take the peer's packet."""
        self._identifier = packet[1] if len(packet) > 1 else 0
        if not EAP_HEADER <= len(packet) <= MOST_EAP:
            self.fail(f"the peer's EAP packet has {len(packet)} octets, which RADIUS does not carry", "RFC 3579 2.4")
            return
        self.outgoing = packet
        self._note_name(packet)
        self._client.queue(self)

    def _note_name(self, packet: bytes) -> None:
        """EAP-AKA may ask for a name in place of the one in IDi, and proves only the last (RFC 4187 7)."""
        self._aka = len(packet) > 5 and packet[4] in (Method.AKA, Method.AKA_PRIME)
        if not self._aka or packet[5] != Subtype.IDENTITY:
            return
        try:
            identity = AkaPacket.parse(Packet.parse(packet)).get(Identity)
        except WireError:
            return
        if identity is not None:
            self._name = identity.value.decode(errors="replace")

    def _authenticated(self, told: str | None) -> str:
        """Who the peer is: what the server says, else what EAP proves, which is no IMSI with methods that know none."""
        name = told or self._name
        return (permanent_imsi(name) if told or self._aka else None) or name

    def take(self) -> EapResult | None:
        """What comes next; ``None`` while the server has not answered."""
        result, self._result = self._result, None
        return result

    def events(self) -> list[Event]:
        """None: the server keeps its own state."""
        return []

    def fail(self, reason: str, clause: str, packet: bytes = b"") -> None:
        """The end; the peer gets an EAP-Failure in any case."""
        failure = Packet(eap.Code.FAILURE, self._identifier).build()
        self._result = EapFailure(reason, clause, packet or failure)

    def take_answer(self, answer: Answer, server: str) -> None:
        """What the server said."""
        self.state = answer.state
        if answer.code == Code.ACCESS_CHALLENGE and answer.eap:
            self._result = EapPacket(answer.eap)
        elif answer.code == Code.ACCESS_ACCEPT and answer.msk and answer.eap:
            self.accepted = answer
            self._result = EapSuccess(answer.msk, self._authenticated(answer.user_name), answer.eap)
        elif answer.code == Code.ACCESS_REJECT:
            words = f": {answer.message}" if answer.message else ""
            self.fail(f"the RADIUS server {server} rejects {self.caller.user_name}{words}", "RFC 2865 4.3", answer.eap)
        else:
            lacks = "EAP-Message" if not answer.eap else "the keys MS-MPPE-Recv-Key and MS-MPPE-Send-Key"
            self.fail(f"the RADIUS server {server} answers {answer.code.name} without {lacks}", "RFC 3579 3.1")
