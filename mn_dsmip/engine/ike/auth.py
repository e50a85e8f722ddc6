# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_AUTH from the initiator's side: the gateway by certificate, ourselves by EAP (RFC 7296 2.16), or both by PSK."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...crypto.certs import authority_hash, check_name, public_key, verify_chain
from ...crypto.kdf import shared_key_auth, signed_octets
from ...crypto.signatures import verify
from ...crypto.suites import CryptoError
from ...wire.codec import WireError
from ...wire.eap import Code
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import (
    AuthMethod,
    CertEncoding,
    CfgAttribute,
    CfgType,
    Exchange,
    IdType,
    NotifyType,
    Protocol,
)
from ...wire.ikev2_payloads import (
    Attribute,
    Authentication,
    Certificate,
    CertificateRequest,
    Configuration,
    Delete,
    Eap,
    IdInitiator,
    IdResponder,
    Notify,
    Payload,
    SecurityAssociation,
)
from .child import announce, child_payloads, new_esp_spi, read_child_answer
from .eap_method import EapFailure, EapPacket, EapSuccess
from .events import ChildSa, IkeSaEstablished
from .redirect import Redirect
from .rules import error, find, need, notify
from .sa import Progress
from .sentences import refusal

if TYPE_CHECKING:
    from .initiator import IkeInitiator

MAXIMUM_ROUNDS = 20
"""EAP round trips; RFC 7296 needs a handful, an endless loop is an attack or a fault."""


HOME_PREFIX_LENGTH = 64
"""Of every home network prefix (TS 23.402 4.7.4)."""


class _Untrusted(Exception):
    """The gateway failed to authenticate itself: sentence and clause."""

    def __init__(self, sentence: str, clause: str) -> None:
        super().__init__(sentence)
        self.clause = clause


class AuthTask:
    """Authenticate both sides, get the configuration and the first child SA."""

    exchange = Exchange.IKE_AUTH

    def __init__(self, session: IkeInitiator) -> None:
        self._session = session
        config = session.config
        self._spi = new_esp_spi(session.random)
        self._eap = config.eap() if config.eap else None
        identity = self._eap.identity if self._eap else config.identity
        self._identity = IdInitiator(IdType.RFC822, identity.encode())
        self._gateway: IdResponder | None = None
        self._rounds = 0
        self._secret = config.psk
        self._build: Callable[[], list[Payload]] = self._first_request
        self._take: Callable[[tuple[Payload, ...], float], Progress]
        self._take = self._take_first if self._eap else self._take_last

    def build(self, now: float) -> list[Payload]:
        """The next request."""
        return self._build()

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Take a response; every failure ends the attempt."""
        session = self._session
        self._rounds += 1
        refused = notify(payloads, NotifyType.AUTHENTICATION_FAILED) or (
            error(payloads) if find(payloads, Authentication) is None else None
        )
        try:
            if refused is not None:
                sentence, clause = refusal(refused)
                authentication = refused.notify_type == NotifyType.AUTHENTICATION_FAILED
                if authentication and self._rounds == 1 and session.config.apn:  # an unknown IDr brings the same notify
                    sentence += f", or it does not serve APN {session.config.apn}"
                session.fail(sentence, clause, refused.notify_type, authentication=authentication)
                return Progress.DONE
            return self._take(payloads, now)
        except _Untrusted as failure:
            session.counters["ike-authentication"] += 1
            session.report(Notify(NotifyType.AUTHENTICATION_FAILED))
            session.fail(str(failure), failure.clause, None, authentication=True)
        except WireError as problem:
            session.fail(f"the gateway's IKE_AUTH answer is malformed: {problem}", "RFC 7296 1.2", None)
        return Progress.DONE

    def timed_out(self, now: float) -> None:
        """Nobody answered."""
        self._session.fail("the gateway does not answer IKE_AUTH any more", "RFC 7296 2.4", None)

    # --- first request and response

    def _first_request(self) -> list[Payload]:
        config = self._session.config
        payloads: list[Payload] = [self._identity]
        if config.anchors:
            authorities = b"".join(authority_hash(anchor) for anchor in config.anchors)
            payloads.append(CertificateRequest(CertEncoding.X509_SIGNATURE, authorities))
        if config.apn:
            payloads.append(IdResponder(IdType.FQDN, config.apn.encode()))
        if self._eap is None:
            payloads.append(self._own_auth())
        wanted = [Attribute(CfgAttribute.MIP6_HOME_PREFIX)] if config.want_home_prefix else []
        if config.home_address is not None:
            value = config.home_address.packed + bytes((HOME_PREFIX_LENGTH,))
            wanted.append(Attribute(CfgAttribute.INTERNAL_IP6_ADDRESS, value))
        elif config.want_home_address:
            wanted.append(Attribute(CfgAttribute.INTERNAL_IP6_ADDRESS))
        wanted += [Attribute(CfgAttribute.INTERNAL_IP6_DNS)] if config.want_dns else []
        if wanted:
            payloads.append(Configuration(CfgType.REQUEST, tuple(wanted)))
        payloads += child_payloads(config.profile, self._spi, config.first_child, None)
        return [*payloads, *([Notify(NotifyType.EAP_ONLY_AUTHENTICATION)] if config.eap_only and self._eap else [])]

    def _take_first(self, payloads: tuple[Payload, ...], now: float) -> Progress:
        """The gateway proves its identity before any EAP answer leaves, unless EAP is to do that (RFC 5998 3)."""
        self._gateway = self._check_identity(payloads)
        if self._session.config.eap_only and find(payloads, Authentication) is None:
            return self._take_eap(payloads, now)
        if _is_eap_failure(payloads) and find(payloads, Authentication) is None:
            # anybody may have said that, and the gateway's servers may be back soon (RFC 7296 2.16)
            self._session.fail("the gateway gave up (EAP-Failure) before it proved who it is", "RFC 7296 2.16", None)
            return Progress.DONE
        auth = need(payloads, Authentication)
        self._check_signature(auth, [each.data for each in payloads if isinstance(each, Certificate)])
        return Progress.DONE if self._redirected(payloads) else self._take_eap(payloads, now)

    def _redirected(self, payloads: tuple[Payload, ...]) -> bool:
        """Another gateway is to serve us; only a gateway that has proved itself may say so (RFC 5685 6)."""
        told = notify(payloads, NotifyType.REDIRECT)
        if told is not None:
            self._session.leave_for(Redirect.parse(told))
        return told is not None

    def _check_identity(self, payloads: tuple[Payload, ...]) -> IdResponder:
        gateway = need(payloads, IdResponder)
        apn = self._session.config.apn
        if apn is not None and (gateway.id_type != IdType.FQDN or gateway.data.lower() != apn.lower().encode()):
            name = gateway.data.decode(errors="replace")
            raise _Untrusted(f"we asked for APN {apn} and the gateway answers for {name!r}", "TS 23.402 6.3")
        return gateway

    def _check_signature(self, auth: Authentication, chain: list[bytes]) -> None:
        config, session = self._session.config, self._session
        if config.clock is None or not config.anchors:
            raise _Untrusted("the gateway authenticates by certificate and no authority is configured", "RFC 7296 2.15")
        try:
            leaf = verify_chain(chain, config.anchors, config.clock())
            check_name(leaf, config.expected_name)
            verify(public_key(leaf), auth.method, auth.data, session.peer_signed(self._id_body()))
        except CryptoError as problem:
            raise _Untrusted(f"the gateway is not trusted: {problem}", "RFC 7296 2.15") from None

    def _id_body(self) -> bytes:
        assert self._gateway
        return self._gateway.build()

    # --- EAP

    def _take_eap(self, payloads: tuple[Payload, ...], now: float) -> Progress:
        assert self._eap
        packet = find(payloads, Eap)
        if packet is None or self._rounds > MAXIMUM_ROUNDS:
            raise WireError("no EAP payload" if packet is None else "EAP rounds without end")
        self._eap.receive(packet.data)
        for event in self._eap.events():
            self._session.emit(event)
        self._session.counters.update(self._eap.counters)
        self._eap.counters.clear()
        result = self._eap.take()
        if isinstance(result, EapPacket):
            self._build = lambda: [Eap(result.packet)]
            self._take = self._take_eap
            return Progress.MORE
        if isinstance(result, EapSuccess):
            self._secret = result.msk
            self._build = lambda: [self._own_auth()]
            self._take = self._take_last
            return Progress.MORE
        if isinstance(result, EapFailure):
            self._session.fail(result.reason, result.clause, None, authentication=True)
            return Progress.DONE
        raise WireError("an EAP packet to which there is no answer")

    def _own_auth(self) -> Authentication:
        session = self._session
        assert self._secret is not None and session.chosen and session.chosen.prf and session.keys
        prf = session.chosen.prf
        signed = signed_octets(prf, session.own_first, session.peer_nonce, session.keys.pi, self._identity.build())
        return Authentication(AuthMethod.SHARED_KEY, shared_key_auth(prf, self._secret, signed))

    # --- last response

    def _take_last(self, payloads: tuple[Payload, ...], now: float) -> Progress:
        session = self._session
        if self._gateway is None:
            self._gateway = self._check_identity(payloads)
        auth = need(payloads, Authentication)
        if self._eap is None and session.config.anchors and auth.method != AuthMethod.SHARED_KEY:
            # we asked for a certificate; each side proves itself in its own way (RFC 7296 2.15)
            self._check_signature(auth, [each.data for each in payloads if isinstance(each, Certificate)])
        else:
            self._check_secret(auth)
        if notify(payloads, NotifyType.REDIRECT) is not None:
            session.report(Delete(Protocol.IKE))
            self._redirected(payloads)
            return Progress.DONE
        config = session.config
        nonces = session.own_nonce + session.peer_nonce
        child = read_child_answer(session, config.profile, self._spi, config.first_child, payloads, nonces)
        session.established = True
        session.schedule_rekey(now)
        reply = find(payloads, Configuration)
        refused, kind = ("", None) if isinstance(child, ChildSa) else (child[0], child[2])
        identity = self._gateway.data.decode(errors="replace")
        assigned = notify(payloads, NotifyType.USE_ASSIGNED_HOA) is not None
        session.emit(
            IkeSaEstablished(
                session.name, session.path.remote, identity, config.apn, str(session.chosen), reply, refused, kind,
                assigned,
            )
        )  # fmt: skip
        if isinstance(child, ChildSa):
            announce(session, child, first=True)
        elif error(payloads) is None and find(payloads, SecurityAssociation):
            session.delete_child(self._spi, now)  # the gateway made an SA that we do not take (RFC 7296 1.3.1)
        return Progress.DONE

    def _check_secret(self, auth: Authentication) -> None:
        session = self._session
        assert self._secret is not None and session.chosen and session.chosen.prf
        expected = shared_key_auth(session.chosen.prf, self._secret, session.peer_signed(self._id_body()))
        if auth.method != AuthMethod.SHARED_KEY or not hmac.compare_digest(auth.data, expected):
            what = "the pre-shared key" if self._eap is None else "the key that EAP agreed on"
            raise _Untrusted(f"the gateway does not prove that it has {what}", "RFC 7296 2.15")


def _is_eap_failure(payloads: tuple[Payload, ...]) -> bool:
    packet = find(payloads, Eap)
    return packet is not None and packet.data[:1] == bytes((Code.FAILURE,))
