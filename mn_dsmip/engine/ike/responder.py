# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway's IKE: finds the session of each message, answers IKE_SA_INIT, and keeps floods out.

Nothing is remembered of an initiator before it has shown, when there are many, that it receives at its address
(cookies, RFC 7296 2.6). Sessions are found by our SPI only, never by address: several UEs share one behind a NAT.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections import Counter

from ...crypto.kdf import ike_keys, skeyseed
from ...crypto.suites import CryptoError
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import DhGroup, Exchange, NotifyType, Protocol
from ...wire.ikev2_payloads import (
    NONCE_LENGTHS,
    KeyExchange,
    Nonce,
    Notify,
    Payload,
    SecurityAssociation,
)
from ...wire.ikev2_proposals import Proposal
from ..base import Event, IPAddress, Random, UdpDatagram
from ..deadlines import Deadlines
from .child import NONCE_LENGTH
from .events import IkeFailed, IkeKeysDerived, ResponderConfig
from .init import announced_hashes, hash_algorithms, nat_notifies
from .path import KEEPALIVE, NAT_T_PORT, NON_ESP_MARKER, Path, detect_nat
from .policy import ResponderPolicy
from .proposals import Chosen, choose, none_acceptable
from .responder_session import ResponderSession
from .rules import check, need, notify
from .sa import refuse_critical
from .session import MAJOR_VERSION

COOKIE_LENGTH = 1 + 32
COMPLAINT_INTERVAL = 1.0
"""Seconds between events about strangers, who need no cookie to cause them."""


class IkeResponder:
    """All IKE SAs of a gateway: the five verbs with ``UdpDatagram``; events name sessions by our SPI."""

    def __init__(self, config: ResponderConfig, policy: ResponderPolicy, random: Random) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self.sessions: dict[bytes, ResponderSession] = {}
        self._policy = policy
        self._random = random
        self._by_spi: dict[bytes, ResponderSession] = {}  # all SPIs of ours, those of replaced IKE SAs included
        self._known: dict[bytes, tuple[bytes, ...]] = {}
        self._by_request: dict[bytes, ResponderSession] = {}
        self._requests: dict[bytes, bytes] = {}
        self._half_open: set[bytes] = set()
        self._failed: dict[bytes, None] = {}  # closed before they came up, the longest closed first
        self._deadlines: Deadlines[bytes] = Deadlines()
        self._secrets: list[bytes] = []
        self._secret_number = 0
        self._secret_since = self._next_complaint = float("-inf")
        self._events: list[Event] = []
        self._datagrams: list[UdpDatagram] = []

    # --- the verbs

    def events(self) -> list[Event]:
        """What happened since the last call, in all sessions."""
        events, self._events = self._events, []
        return events

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """What is to leave now, from all sessions."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def next_timer(self) -> float | None:
        """The earliest timer of any session."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Let every session whose time has come act."""
        for spi in self._deadlines.due(now):
            session = self.sessions[spi]
            if session.expires is not None and session.expires <= now:
                self._forget(session)
            else:
                session.handle_timer(now)
                self.settle(session)

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take a datagram that came to our IKE ports; whatever it holds, nothing is raised."""
        payload = datagram.payload
        if NAT_T_PORT in (datagram.source_port, datagram.destination_port):
            if payload == KEEPALIVE:
                return
            if not payload.startswith(NON_ESP_MARKER):
                self.counters["ike-no-marker"] += 1
                return
            payload = payload[len(NON_ESP_MARKER) :]
        path = Path(datagram.destination, datagram.destination_port, datagram.source, datagram.source_port)
        try:
            message = Message.parse(payload)
        except WireError:
            self.counters["ike-malformed"] += 1
            return
        if message.exchange == Exchange.IKE_SA_INIT and message.from_original_initiator and not message.is_response:
            self._receive_init(message, payload, path, now)
            return
        spi = message.responder_spi if message.from_original_initiator else message.initiator_spi
        session = self._by_spi.get(spi)
        if session is None:
            self.counters["ike-unknown-spi"] += 1
            return
        session.receive(message, payload, path, now)
        self.settle(session)

    # --- calls of the gateway

    def settle(self, session: ResponderSession) -> None:
        """Collect what a session has to say and arm its timer; after every call into a session."""
        spi = session.name
        if session.others or len(self._known[spi]) > 1:
            self._index(session, tuple(sa.local_spi for sa in session.sas))
        if session.established or session.closed:
            self._half_open.discard(spi)
        if session.closed and not session.established:
            self._failed[spi] = None
        self._events += session.events()
        self._datagrams += session.datagrams_to_send()
        self.counters.update(session.counters)
        session.counters.clear()
        timer = session.next_timer()
        if timer is None:
            self._deadlines.discard(spi)
        else:
            self._deadlines.set(spi, timer)
        if len(self._failed) > self.config.maximum_half_open:  # no more than may try may have failed
            self._forget(self.sessions[next(iter(self._failed))])

    def _index(self, session: ResponderSession, spis: tuple[bytes, ...]) -> None:
        """Find a session by all SPIs that it has now."""
        for spi in set(self._known.get(session.name, ())) - set(spis):
            self._by_spi.pop(spi, None)
        self._known[session.name] = spis
        self._by_spi.update(dict.fromkeys(spis, session))

    def rekey(self, spi: bytes, now: float) -> None:
        """New keys for a session and its child SAs."""
        session = self.sessions.get(spi)
        if session is not None:
            for child in list(session.children):
                session.rekey_child(child, now)
            session.rekey(now)
            self.settle(session)

    def redirect(self, spi: bytes, gateway: IPAddress | str, now: float) -> bool:
        """Send a session's UE to another gateway (RFC 5685 5); false if it cannot be sent."""
        session = self.sessions.get(spi)
        if session is None or not (session.redirectable and session.established and not session.closed):
            return False
        session.redirect(gateway, now)
        self.settle(session)
        return True

    def delete(self, spi: bytes, now: float, reason: str) -> None:
        """Close a session towards its UE."""
        session = self.sessions.get(spi)
        if session is not None:
            session.delete(now, reason)
            self.settle(session)

    def forget(self, spi: bytes, reason: str) -> None:
        """Close a session of which the UE knows nothing any more: nothing is said to it."""
        session = self.sessions.get(spi)
        if session is not None:
            session.close(reason, by_peer=False)
            self.settle(session)

    def resume(self, spi: bytes, now: float) -> None:
        """The session's EAP server has answered."""
        session = self.sessions.get(spi)
        if session is not None:
            session.resume(now)
            self.settle(session)

    def alive(self, spi: bytes, now: float) -> None:
        """Protected traffic from the session's UE arrived: a sign of life (RFC 7296 2.4)."""
        session = self.sessions.get(spi)
        if session is not None:
            session.heard = now

    def _forget(self, session: ResponderSession) -> None:
        spi = session.name
        if not session.established and not session.closed:
            self.counters["ike-half-open-expired"] += 1
        self._half_open.discard(spi)
        self._failed.pop(spi, None)
        self._policy.forget(spi)
        self.sessions.pop(spi, None)
        self._index(session, ())
        del self._known[spi]
        self._by_request.pop(self._requests.pop(spi, b""), None)
        self._deadlines.discard(spi)

    # --- IKE_SA_INIT

    def _receive_init(self, message: Message, raw: bytes, path: Path, now: float) -> None:
        if message.version >> 4 != MAJOR_VERSION:
            self.counters["ike-version"] += 1
            if message.version >> 4 > MAJOR_VERSION:
                self._reply(message, path, [Notify(NotifyType.INVALID_MAJOR_VERSION)])
            return
        digest = hashlib.sha256(raw).digest()
        known = self._by_request.get(digest)
        if known is not None:  # RFC 7296 2.1: the same octets get the same answer, as long as IKE_AUTH has not begun
            if known.peer is None:
                known.current.repeat_response(path)
                self.settle(known)
            else:
                self.counters["ike-message-id"] += 1
            return
        try:
            check(Exchange.IKE_SA_INIT, message.payloads)
            nonce = need(message.payloads, Nonce).data
            if message.message_id or message.responder_spi != bytes(8) or len(nonce) not in NONCE_LENGTHS:
                raise WireError("message id, responder SPI or nonce length")
        except WireError:
            self.counters["ike-malformed"] += 1
            return
        if self._keep_out(message, nonce, path, now):
            return
        critical = refuse_critical(message.payloads)
        if critical is not None:
            self.counters["ike-critical-payload"] += 1
            self._reply(message, path, [critical])
            return
        self._answer_init(message, raw, path, digest, now)

    def _keep_out(self, message: Message, nonce: bytes, path: Path, now: float) -> bool:
        """Whether a flood protection took care of the request."""
        if len(self._half_open) >= self.config.maximum_half_open:
            self.counters["ike-half-open-full"] += 1
            return True
        if len(self._half_open) < self.config.cookie_threshold:
            return False
        given = notify(message.payloads, NotifyType.COOKIE)
        if given is not None and self._cookie_is_good(given.data, message, nonce, path, now):
            return False
        self.counters["ike-cookie-demanded"] += 1
        self._renew_secret(now)
        cookie = self._cookie(self._secret_number, message, nonce, path)
        self._reply(message, path, [Notify(NotifyType.COOKIE, cookie)])
        return True

    def _renew_secret(self, now: float) -> None:
        if now - self._secret_since >= self.config.timers.cookie_secret:
            recent = now - self._secret_since < 2 * self.config.timers.cookie_secret
            self._secrets = [*(self._secrets[-1:] if recent else ()), self._random(32)]
            self._secret_number = (self._secret_number + 1) % 256
            self._secret_since = now

    def _cookie(self, number: int, message: Message, nonce: bytes, path: Path) -> bytes:
        """Version of the secret, then a MAC over nonce, address and SPI (RFC 7296 2.6)."""
        secret = self._secrets[-1 if number == self._secret_number else 0]
        content = nonce + path.remote.packed + message.initiator_spi
        return bytes((number,)) + hmac.digest(secret, content, "sha256")

    def _cookie_is_good(self, cookie: bytes, message: Message, nonce: bytes, path: Path, now: float) -> bool:
        self._renew_secret(now)
        recent = (
            {self._secret_number, (self._secret_number - 1) % 256} if len(self._secrets) > 1 else {self._secret_number}
        )
        if len(cookie) != COOKIE_LENGTH or cookie[0] not in recent:
            return False
        return hmac.compare_digest(cookie, self._cookie(cookie[0], message, nonce, path))

    def _answer_init(self, message: Message, raw: bytes, path: Path, digest: bytes, now: float) -> None:
        proposals = need(message.payloads, SecurityAssociation).proposals
        found = choose(proposals, self.config.profile.ike, Protocol.IKE)
        if found is None:
            self.counters["ike-no-proposal"] += 1
            self._reply(message, path, [Notify(NotifyType.NO_PROPOSAL_CHOSEN)])
            self._complain(path, proposals, now)
            return
        proposal, chosen = found
        exchange = need(message.payloads, KeyExchange)
        assert chosen.group
        if exchange.group != chosen.group.transform:
            self.counters["ike-other-group"] += 1
            wanted = struct.pack("!H", DhGroup(chosen.group.transform))
            self._reply(message, path, [Notify(NotifyType.INVALID_KE_PAYLOAD, wanted)])
            return
        session = ResponderSession(self.config, self._policy, path, self._random, now, self._by_spi)
        session.current.spi_i = message.initiator_spi
        key = chosen.group.generate(self._random)
        try:
            shared = key.shared(exchange.data)
        except CryptoError:
            self.counters["ike-public-value"] += 1
            return
        nonce = self._random(NONCE_LENGTH)
        answer: list[Payload] = [
            SecurityAssociation((proposal,)),
            KeyExchange(chosen.group.transform, key.public),
            Nonce(nonce),
            *nat_notifies(session.current.spi_i, session.current.spi_r, path),
            *([hash_algorithms()] if announced_hashes(message.payloads) else []),
        ]
        if self.config.fragment_size and notify(message.payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED):
            session.fragment_size = self.config.fragment_size
            answer.append(Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED))
        self._open_session(session, message, raw, digest, chosen, nonce, shared, answer)

    def _open_session(
        self,
        session: ResponderSession,
        message: Message,
        raw: bytes,
        digest: bytes,
        chosen: Chosen,
        nonce: bytes,
        shared: bytes,
        answer: list[Payload],
    ) -> None:
        assert chosen.prf
        sa = session.current
        session.own_nonce, session.peer_nonce = nonce, need(message.payloads, Nonce).data
        session.peer_first = raw
        session.peer_hashes = announced_hashes(message.payloads)
        session.nat = detect_nat(message.payloads, sa.spi_i, bytes(8), session.path)
        session.redirectable = any(notify(message.payloads, each) for each in _REDIRECTABLE)
        [session.own_first] = messages = sa.build(Exchange.IKE_SA_INIT, 0, answer, is_response=True)
        sa.send_response(messages)
        nonces = session.peer_nonce + nonce
        seed = skeyseed(chosen.prf, nonces, shared)
        keys = ike_keys(chosen.prf, chosen.protection, seed, nonces, sa.spi_i + sa.spi_r)
        sa.use_keys(chosen, keys)
        session.emit(IkeKeysDerived(sa.spi_i, sa.spi_r, chosen, keys))
        spi = session.name
        self.sessions[spi] = session
        self._index(session, (sa.local_spi,))
        self._half_open.add(spi)
        self._by_request[digest], self._requests[spi] = session, digest
        self.settle(session)

    def _complain(self, path: Path, proposals: tuple[Proposal, ...], now: float) -> None:
        """Tell why a stranger gets no IKE SA; not more often than a journal can bear."""
        if now >= self._next_complaint:
            self._next_complaint = now + COMPLAINT_INTERVAL
            reason = none_acceptable(proposals, self.config.profile.ike)
            kind = NotifyType.NO_PROPOSAL_CHOSEN
            self._events.append(IkeFailed(b"", path.remote, reason, "RFC 7296 2.7", False, kind))

    def _reply(self, request: Message, path: Path, payloads: list[Payload]) -> None:
        """A stateless answer to IKE_SA_INIT."""
        answer = Message(request.initiator_spi, bytes(8), Exchange.IKE_SA_INIT, 0, tuple(payloads), False, True)
        self._datagrams.append(path.datagram(answer.build()))


_REDIRECTABLE = (NotifyType.REDIRECT_SUPPORTED, NotifyType.REDIRECTED_FROM)
"""Who sends one of these understands REDIRECT (RFC 5685 3, 9.3)."""
