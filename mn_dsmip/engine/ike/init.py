# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_SA_INIT from the initiator's side (RFC 7296 1.2): algorithms, Diffie-Hellman, cookies, another group."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ...crypto.groups import GROUPS, Group, PrivateKey
from ...crypto.kdf import ike_keys, skeyseed
from ...crypto.signatures import OFFERED_HASHES
from ...crypto.suites import CryptoError
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import Exchange, NotifyType, Protocol
from ...wire.ikev2_payloads import NONCE_LENGTHS, KeyExchange, Nonce, Notify, Payload, SecurityAssociation
from .child import NONCE_LENGTH
from .events import IkeKeysDerived
from .path import Path, detect_nat, nat_hash
from .proposals import build_proposals, check_answer
from .redirect import Redirect, redirected_from
from .rules import check, error, need, notify
from .sa import Progress
from .sentences import refusal

if TYPE_CHECKING:
    from .initiator import IkeInitiator

COOKIE_ROUNDS = 3
"""More demands for a cookie in one exchange are not followed (RFC 7296 2.6)."""


class InitTask:
    """Agree on algorithms and keys. Errors here are not authenticated, so they only shorten the wait (2.21.1)."""

    exchange = Exchange.IKE_SA_INIT

    def __init__(self, session: IkeInitiator) -> None:
        self._session = session
        self._nonce = session.random(NONCE_LENGTH)
        self._groups = tuple(dict.fromkeys(group for offer in session.config.profile.ike for group in offer.groups))
        self._tried: set[int] = set()
        self._cookie = b""
        self._cookie_rounds = 0
        self._complaint: tuple[str, str, int | None] | None = None
        self._use(self._groups[0])

    def _use(self, group: Group) -> None:
        self._tried.add(group.transform)
        self._group = group
        self._key: PrivateKey = group.generate(self._session.random)

    def build(self, now: float) -> list[Payload]:
        """The request; the cookie, when there is one, stands first (RFC 7296 2.6)."""
        session = self._session
        payloads: list[Payload] = [Notify(NotifyType.COOKIE, self._cookie)] if self._cookie else []
        return [
            *payloads,
            SecurityAssociation(build_proposals(session.config.profile.ike, Protocol.IKE, b"")),
            KeyExchange(self._group.transform, self._key.public),
            Nonce(self._nonce),
            *nat_notifies(session.current.spi_i, bytes(8), session.path),
            Notify(NotifyType.REDIRECT_SUPPORTED),
            *([redirected_from(session.config.redirected_from)] if session.config.redirected_from else []),
            hash_algorithms(),
            *([Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)] if session.config.fragment_size else []),
        ]

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Take the answer: keys, or a demand that leads to another try, or a complaint."""
        cookie = notify(payloads, NotifyType.COOKIE)
        if cookie is not None and message.responder_spi == bytes(8):
            return self._take_cookie(cookie.data, now)
        wanted = notify(payloads, NotifyType.INVALID_KE_PAYLOAD)
        if wanted is not None:
            return self._take_group(wanted, now)
        refused = error(payloads)
        if refused is not None:
            offered = " or ".join(str(offer) for offer in self._session.config.profile.ike)
            return self._complain(now, *refusal(refused, "IKE", offered), refused.notify_type)
        try:
            redirect = notify(payloads, NotifyType.REDIRECT)
            if redirect is not None:
                return self._take_redirect(Redirect.parse(redirect), now)
            check(self.exchange, payloads)
            return self._derive(message, payloads, raw, now)
        except (WireError, CryptoError) as problem:
            return self._complain(now, f"the gateway's answer is not acceptable: {problem}", "RFC 7296 1.2", None)

    def _take_redirect(self, redirect: Redirect, now: float) -> Progress:
        """Our nonce in it shows that who sends us away has at least seen the request (RFC 5685 3)."""
        if redirect.nonce != self._nonce:
            sentence = "somebody redirects us to another gateway without knowing our nonce"
            return self._complain(now, sentence, "RFC 5685 3", NotifyType.REDIRECT)
        self._session.leave_for(redirect)
        return Progress.DONE

    def _take_cookie(self, cookie: bytes, now: float) -> Progress:
        if cookie == self._cookie:  # a copy of the demand that our last request met
            return Progress.WAIT
        self._cookie_rounds += 1
        if self._cookie_rounds > COOKIE_ROUNDS or not 1 <= len(cookie) <= 64:
            self._session.counters["ike-cookie-rounds"] += 1
            return self._complain(now, "the gateway demands cookie after cookie", "RFC 7296 2.6", NotifyType.COOKIE)
        self._cookie = cookie
        return Progress.AGAIN

    def _take_group(self, wanted: Notify, now: float) -> Progress:
        number = struct.unpack("!H", wanted.data)[0] if len(wanted.data) == 2 else 0
        group = GROUPS.get(number)
        if group is self._group:  # a copy of the demand that our last request met
            return Progress.WAIT
        if group not in self._groups or number in self._tried:
            offered = ", ".join(each.name for each in self._groups)
            sentence = f"the gateway wants Diffie-Hellman group {number}; we offered {offered}"
            return self._complain(now, sentence, "RFC 7296 1.3", NotifyType.INVALID_KE_PAYLOAD)
        assert group
        self._use(group)
        return Progress.AGAIN

    def _complain(self, now: float, sentence: str, clause: str, kind: int | None) -> Progress:
        """Note an unauthenticated error, and give a genuine answer some time to arrive."""
        if self._complaint is None:
            self._complaint = (sentence, clause, kind)
        self._session.counters["ike-init-error"] += 1
        self._session.hurry(now + self._session.timers.patience)
        return Progress.WAIT

    def _derive(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        session = self._session
        chosen = check_answer(need(payloads, SecurityAssociation).proposals, session.config.profile.ike, Protocol.IKE)
        exchange, nonce = need(payloads, KeyExchange), need(payloads, Nonce).data
        if chosen is None or chosen.prf is None or message.responder_spi == bytes(8):
            return self._complain(now, "the gateway chose algorithms that we did not offer", "RFC 7296 2.7", None)
        if (
            chosen.group is not self._group
            or exchange.group != self._group.transform
            or len(nonce) not in NONCE_LENGTHS
        ):
            return self._complain(now, "the gateway's key exchange does not fit its choice", "RFC 7296 3.4", None)
        shared = self._key.shared(exchange.data)
        sa = session.current
        sa.spi_r = message.responder_spi
        session.own_nonce, session.peer_nonce = self._nonce, nonce
        session.peer_first = raw
        session.peer_hashes = announced_hashes(payloads)
        if notify(payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None:
            session.fragment_size = session.config.fragment_size
        session.nat = detect_nat(payloads, sa.spi_i, sa.spi_r, session.path)
        nonces = self._nonce + nonce
        seed = skeyseed(chosen.prf, nonces, shared)
        keys = ike_keys(chosen.prf, chosen.protection, seed, nonces, sa.spi_i + sa.spi_r)
        sa.use_keys(chosen, keys)
        session.heard = now
        session.emit(IkeKeysDerived(sa.spi_i, sa.spi_r, chosen, keys))
        session.float_ports()
        return Progress.DONE

    def timed_out(self, now: float) -> None:
        """Nobody answered, or only with an error."""
        silent = ("the gateway does not answer IKE_SA_INIT", "RFC 7296 2.4", None)
        self._session.fail(*(self._complaint or silent))


def nat_notifies(spi_i: bytes, spi_r: bytes, path: Path) -> list[Payload]:
    """NAT_DETECTION_SOURCE_IP and _DESTINATION_IP (RFC 7296 2.23)."""
    return [
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, nat_hash(spi_i, spi_r, path.local, path.local_port)),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, nat_hash(spi_i, spi_r, path.remote, path.remote_port)),
    ]


def hash_algorithms() -> Notify:
    """SIGNATURE_HASH_ALGORITHMS with what we verify (RFC 7427 4)."""
    return Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, struct.pack(f"!{len(OFFERED_HASHES)}H", *OFFERED_HASHES))


def announced_hashes(payloads: tuple[Payload, ...]) -> tuple[int, ...]:
    """The hash algorithms that a peer announces; empty without the notify."""
    found = notify(payloads, NotifyType.SIGNATURE_HASH_ALGORITHMS)
    if found is None or len(found.data) % 2:
        return ()
    return struct.unpack(f"!{len(found.data) // 2}H", found.data)
