# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway's end of one IKE SA: IKE_AUTH, child SAs, deletions (RFC 7296 1.2 to 1.4, 2.16)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Container

from ...crypto.kdf import shared_key_auth, signed_octets
from ...crypto.signatures import sign
from ...crypto.suites import CryptoError, Random
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import AuthMethod, CertEncoding, Exchange, IdType, NotifyType
from ...wire.ikev2_payloads import (
    Authentication,
    Certificate,
    CertificateRequest,
    Configuration,
    Eap,
    IdInitiator,
    IdResponder,
    Nonce,
    Notify,
    Payload,
)
from ..base import IPAddress, earliest
from .child import NONCE_LENGTH, accept_child, announce, check_nonce
from .eap_method import EapFailure, EapMethod, EapPacket, EapSuccess
from .events import (
    ChildSa,
    ChildSaFailed,
    IkeFailed,
    IkeSaEstablished,
    Refusal,
    ResponderConfig,
    Selectors,
)
from .informational import DeleteChildTask, DeleteIkeTask, LivenessTask, answer_informational
from .path import Path
from .policy import Peer, ResponderPolicy
from .redirect import RedirectTask
from .rekey_child import answer_rekey_child, rekeyed
from .rekey_ike import RekeyIkeTask, answer_rekey_ike, is_ike_rekey
from .rules import CHILD, check, find, need, notify
from .sa import Sa
from .session import Session

MAXIMUM_CHILDREN = 16
"""Child SAs that one peer may hold; S2c needs two, and one more while rekeying."""


class ResponderSession(Session):
    """One UE's IKE SA at the gateway; made by ``IkeResponder`` once IKE_SA_INIT has agreed on keys."""

    def __init__(
        self,
        config: ResponderConfig,
        policy: ResponderPolicy,
        path: Path,
        random: Random,
        now: float,
        taken: Container[bytes] = (),
    ) -> None:
        super().__init__(False, config.profile, path, config.timers, random, now, taken)
        self.config = config
        self.policy = policy
        self.peer: Peer | None = None
        self.redirectable = False
        """Whether the UE has said that it understands REDIRECT (RFC 5685 3)."""
        self.initial_contact = False
        """The peer says that it has forgotten all IKE SAs before this one (RFC 7296 2.4)."""
        self.expires: float | None = now + config.timers.half_open
        """When the session is forgotten unless it is established by then, or after it was closed."""
        self._eap: EapMethod | None = None
        self._secret: bytes | None = None
        self._msk = False
        self._waiting: Message | None = None
        self._refused_with: int | None = None
        self._identity: IdResponder | None = None
        self._first_payloads: tuple[Payload, ...] = ()
        self._take_authentication: Callable[[Message, tuple[Payload, ...], float], None] = self._begin

    # --- calls of the gateway

    def delete(self, now: float, reason: str) -> None:
        """Close the IKE SA towards the UE."""
        if self.established and not self.closed:
            self.queue(DeleteIkeTask(self, reason), now)
        else:
            self._end(reason, now)

    def delete_child(self, spi: bytes, now: float) -> None:
        """Close the child SA with our inbound ``spi``."""
        self.queue(DeleteChildTask(self, spi), now)

    def redirect(self, gateway: IPAddress | str, now: float) -> None:
        """Send the UE to another gateway; ``UeRedirected`` follows."""
        self.queue(RedirectTask(self, gateway), now)

    def check_liveness(self, now: float) -> None:
        """Ask the UE for a sign of life."""
        if not self.tasks:
            self.queue(LivenessTask(self), now)

    def resume(self, now: float) -> None:
        """An EAP server that took its time may have answered."""
        if self._waiting is not None and not self.closed:
            self._continue_eap(self._waiting, now)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due, the end of a session that never came up included."""
        return earliest(super().next_timer(), self.expires)

    # --- requests of the UE

    def respond(self, request: Message, payloads: list[Payload]) -> None:
        """Answer a request of IKE_AUTH."""
        self.current.respond(request, payloads)

    def handle_request(self, sa: Sa, message: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """Answer a request; one that is malformed or out of place ends the session (RFC 7296 2.21)."""
        allowed = _WHEN_ESTABLISHED if self.established else _BEFORE
        try:
            if message.exchange not in allowed:
                raise WireError(f"exchange {message.exchange} at this moment")
            if message.exchange == Exchange.INFORMATIONAL:
                answer_informational(self, sa, message, payloads, now)
            elif message.exchange == Exchange.IKE_AUTH:
                self._take_authentication(message, payloads, now)
            else:
                self._create_child(sa, message, payloads, now)
        except WireError as problem:
            self.counters["ike-malformed"] += 1
            sa.respond(message, [Notify(NotifyType.INVALID_SYNTAX)])
            self._end(f"the UE's request is not acceptable: {problem}", now)

    def _end(self, reason: str, now: float) -> None:
        """Close, but go on repeating the last response for a while."""
        self.close(reason, by_peer=False)
        self.expires = now + self.timers.linger

    def _refuse(self, request: Message, refusal: Refusal, now: float, payloads: tuple[Payload, ...] = ()) -> None:
        """IKE_AUTH ends without an IKE SA."""
        self.counters["ike-authentication"] += 1
        answer = [*payloads] or [Notify(refusal.notify, refusal.data)]
        self.respond(request, answer)
        self._refused_with = refusal.notify
        self._end(refusal.reason, now)

    # --- IKE_AUTH

    def _begin(self, request: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """The first request: who are you, and how is that proven?"""
        claimed, wanted = need(payloads, IdInitiator), find(payloads, IdResponder)
        self._first_payloads = payloads
        self.initial_contact = notify(payloads, NotifyType.INITIAL_CONTACT) is not None
        self.peer = Peer(self.name, self.path.remote, self.path.local, claimed, self._apn(wanted))
        method = self.policy.authenticator(self.peer)
        self._identity = self._own_identity(wanted)
        auth = find(payloads, Authentication)
        if isinstance(method, Refusal):
            self._refuse(request, method, now)
        elif isinstance(method, bytes):
            self._secret = method
            if auth is None:
                refusal = Refusal(
                    NotifyType.AUTHENTICATION_FAILED, "the peer wants EAP, we have a pre-shared key for it"
                )
                self._refuse(request, refusal, now)
            else:
                self._finish(request, auth, now)
        elif auth is not None:
            refusal = Refusal(NotifyType.AUTHENTICATION_FAILED, "the peer does not use EAP as it must")
            self._refuse(request, refusal, now)
        else:
            self._eap = method
            method.start()
            self._take_authentication = self._take_eap
            self._continue_eap(request, now)

    def _apn(self, wanted: IdResponder | None) -> str | None:
        """The APN in IDr; a peer that asks for the gateway's own name names no APN."""
        if wanted is None or wanted.id_type != IdType.FQDN:
            return None
        name = wanted.data.decode(errors="replace")
        return None if name.lower() == self.config.name.lower() else name

    def _own_identity(self, wanted: IdResponder | None) -> IdResponder:
        """IDr: the APN or own name that was asked for, else the default APN (TS 23.402 6.3), else the own name."""
        assert self.peer
        if wanted is not None and wanted.data and (wanted.id_type == IdType.FQDN or wanted.data == self._own_address()):
            return wanted
        return IdResponder(IdType.FQDN, (self.peer.apn or self.config.name).encode())

    def _own_address(self) -> bytes:
        return self.path.local.packed

    def _proof(self) -> list[Payload]:
        """IDr, certificates and signature: the gateway proves itself before EAP begins (RFC 7296 2.16)."""
        assert self._identity
        if self.config.identity is None:
            raise CryptoError("the gateway has no certificate to authenticate itself with")
        method, data = sign(self.config.identity.key, self._own_signed(), self.peer_hashes)
        chain = [Certificate(CertEncoding.X509_SIGNATURE, each) for each in self.config.identity.encoded]
        return [self._identity, *chain, Authentication(method, data)]

    def _proven_by_eap(self) -> bool:
        """Whether the UE does not insist on a certificate (RFC 5998 3); who has one and sends it satisfies all."""
        offered = notify(self._first_payloads, NotifyType.EAP_ONLY_AUTHENTICATION) is not None
        return offered and (self.config.eap_only or self.config.identity is None)

    def _own_signed(self) -> bytes:
        assert self._identity and self.chosen and self.chosen.prf and self.keys
        return signed_octets(self.chosen.prf, self.own_first, self.peer_nonce, self.keys.pr, self._identity.build())

    def _take_eap(self, request: Message, payloads: tuple[Payload, ...], now: float) -> None:
        assert self._eap
        self._eap.receive(need(payloads, Eap).data)
        self._continue_eap(request, now)

    def _continue_eap(self, request: Message, now: float) -> None:
        """Answer with what the EAP server says; when it says nothing yet, the answer waits for ``resume``."""
        assert self._eap and self.peer
        result = self._eap.take()
        for event in self._eap.events():
            self.emit(event)
        self._waiting = request if result is None else None
        if result is None:
            return
        first: list[Payload] = []
        if request.message_id == 1:
            try:
                first = [self._identity] if self._identity and self._proven_by_eap() else self._proof()
            except CryptoError as problem:
                self._refuse(request, Refusal(NotifyType.AUTHENTICATION_FAILED, str(problem)), now)
                return
        if isinstance(result, EapPacket):
            self.respond(request, [*first, Eap(result.packet)])
        elif isinstance(result, EapSuccess):
            self.peer.identity, self._secret, self._msk = result.identity, result.msk, True
            self._take_authentication = self._take_auth
            self.respond(request, [*first, Eap(result.packet)])
        elif isinstance(result, EapFailure):
            refusal = Refusal(NotifyType.AUTHENTICATION_FAILED, result.reason)
            self._refuse(request, refusal, now, (*first, Eap(result.packet)))
        self.counters.update(self._eap.counters)
        self._eap.counters.clear()

    def _take_auth(self, request: Message, payloads: tuple[Payload, ...], now: float) -> None:
        self._finish(request, need(payloads, Authentication), now)

    def _finish(self, request: Message, auth: Authentication, now: float) -> None:
        """The last request: check AUTH, authorise, assign, make the first child SA."""
        assert self.peer and self._identity and self._secret is not None
        assert self.chosen and self.chosen.prf and self.keys
        prf = self.chosen.prf
        signed = signed_octets(prf, self.peer_first, self.own_nonce, self.keys.pi, self.peer.claimed.build())
        expected = shared_key_auth(prf, self._secret, signed)
        if auth.method != AuthMethod.SHARED_KEY or not hmac.compare_digest(expected, auth.data):
            what = "the key that EAP agreed on" if self._msk else "the pre-shared key"
            reason = f"the peer does not prove that it has {what}: its AUTH is wrong"
            self._refuse(request, Refusal(NotifyType.AUTHENTICATION_FAILED, reason), now)
            return
        if not self._msk:
            self.peer.identity = self.peer.claimed.data.decode(errors="replace")
        refused = self.policy.authorise(self.peer)
        if refused is not None:
            self._refuse(request, refused, now)
            return
        own = Authentication(AuthMethod.SHARED_KEY, shared_key_auth(prf, self._secret, self._own_signed()))
        answer: list[Payload] = [own] if self._msk else [self._identity, own]
        if not self._msk and self.config.identity and find(self._first_payloads, CertificateRequest):
            try:
                answer = self._proof()  # each side proves itself in its own way (RFC 7296 2.15)
            except CryptoError as problem:
                self._refuse(request, Refusal(NotifyType.AUTHENTICATION_FAILED, str(problem)), now)
                return
        self.established, self.expires = True, None
        self._assign_and_answer(request, answer, now)

    def _assign_and_answer(self, request: Message, answer: list[Payload], now: float) -> None:
        """CP, SA and selectors, or an error notify in their place: the IKE SA stands either way (RFC 7296 2.21.2)."""
        assert self.peer
        payloads = self._first_payloads
        reply = self.policy.assign(self.peer, find(payloads, Configuration))
        child: list[Payload]
        refused = ""
        made: ChildSa | ChildSaFailed | None = None
        if isinstance(reply, Refusal):
            child, refused, reply = [Notify(reply.notify, reply.data)], reply.reason, None
        elif all(find(payloads, kind) for kind in CHILD):
            child, made = accept_child(self, payloads, self.peer_nonce, None, self._allow)
            refused = made.reason if isinstance(made, ChildSaFailed) else ""
        else:
            child, refused = [], "the peer asked for none"
        self.respond(request, [*answer, *([reply] if reply else []), *child])
        peer = self.peer
        self.emit(
            IkeSaEstablished(self.name, self.path.remote, peer.identity, peer.apn, str(self.chosen), reply, refused)
        )
        if isinstance(made, ChildSa):
            announce(self, made, first=True)
        self.schedule_rekey(now)
        self.own_first = self.peer_first = b""  # thousands of sessions need them no more
        self._first_payloads = ()
        self._eap = None

    # --- child SAs

    def _create_child(self, sa: Sa, request: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """A further child SA, or new keys for one, or for the IKE SA (RFC 7296 1.3)."""
        if is_ike_rekey(payloads):
            answer_rekey_ike(self, sa, request, payloads, now)
            return
        check(Exchange.CREATE_CHILD_SA, payloads)
        if isinstance(sa.running, RekeyIkeTask) or sa is not self.current:
            sa.respond(request, [Notify(NotifyType.TEMPORARY_FAILURE)])  # RFC 7296 2.25.1
            return
        if len(self.children) >= MAXIMUM_CHILDREN:
            sa.respond(request, [Notify(NotifyType.NO_ADDITIONAL_SAS)])
            return
        named = rekeyed(payloads)
        if named is not None:
            answer_rekey_child(self, sa, request, payloads, named, self._allow)
            return
        nonce = self.random(NONCE_LENGTH)
        answer, made = accept_child(self, payloads, check_nonce(need(payloads, Nonce)), nonce, self._allow)
        sa.respond(request, answer)
        if isinstance(made, ChildSa):
            announce(self, made, first=False)
        elif made is not None:
            self.emit(made)

    def _allow(self, asked: Selectors) -> Selectors | Refusal:
        assert self.peer
        return self.policy.narrow(self.peer, asked)

    def close(self, reason: str, by_peer: bool) -> None:
        """Close, but stay a while to repeat the last response; who was not let in before is not any more."""
        self.expires = self.heard + self.timers.linger
        if not self.established and not self.closed:
            authentication = self._refused_with == NotifyType.AUTHENTICATION_FAILED
            self.emit(
                IkeFailed(self.name, self.path.remote, reason, "RFC 7296 2.21.2", authentication, self._refused_with)
            )
        super().close(reason, by_peer)


_BEFORE = frozenset((Exchange.IKE_AUTH, Exchange.INFORMATIONAL))
_WHEN_ESTABLISHED = frozenset((Exchange.CREATE_CHILD_SA, Exchange.INFORMATIONAL))
