# SPDX-License-Identifier: GPL-2.0-or-later
"""The UE's side of EAP-AKA and EAP-AKA': full authentication with a USIM, and fast ones after it (RFC 4187, 9048)."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from ...crypto.aka import SEPARATION_BIT, AkaResult, AuthenticationRejected, SynchronizationFailed, Usim
from ...crypto.kdf import AkaKeys
from ...wire import eap
from ...wire.codec import WireError
from ...wire.eap import AkaPacket, Attribute, Code, Method, NotificationCode, Packet, Subtype
from ..base import Event
from ..effects import PseudonymChanged, SqnAdvanced
from .aka_aliases import MOST_TAKEN, PeerAliases, ReauthContext
from .aka_common import (
    AKA_PRIME,
    KDF_CK_IK_PRIME,
    LONGEST_NAME,
    Flavour,
    Transcript,
    check_mac,
    decrypt,
    derive,
    encrypt,
    exactly_one,
    only,
    rederive,
    seal,
)
from .eap_method import EapFailure, EapPacket, EapResult, EapSuccess

IDENTITY_REQUESTS: tuple[type[Attribute], ...] = (eap.AnyIdReq, eap.FullauthIdReq, eap.PermanentIdReq)
"""In the only order in which a server may ask (RFC 4187 4.1.5): each at most once, never backwards."""
IN_CHALLENGE = (eap.Rand, eap.Autn, eap.Mac, eap.Iv, eap.EncrData, eap.Checkcode, eap.ResultInd)
"""What both methods have in a challenge (RFC 4187 10.1); what is encrypted there is for fast re-authentication."""
PREFERS_AKA_PRIME = 0x8000
"""D bit of AT_BIDDING (RFC 9048 4)."""


@dataclass(frozen=True)
class _Next:
    """Names for later, with their realm."""

    pseudonym: str | None = None
    reauth: str | None = None


class _Rejected(Exception):
    """The challenge is not acceptable: Authentication-Reject."""


class AkaPeer:
    """One authentication of ``identity`` with ``usim``; raises nothing whatever it receives.

    ``network_name`` is the access network's name that AT_KDF_INPUT must carry (EAP-AKA' only). ``prefers_aka_prime``
    refuses EAP-AKA with a server that prefers EAP-AKA' too (RFC 9048 4); where EAP-AKA is prescribed it stays off.
    ``identity`` is the permanent one; with ``aliases`` the UE calls itself by what those say, and learns new ones.
    """

    def __init__(
        self,
        flavour: Flavour,
        identity: str,
        imsi: str,
        usim: Usim,
        network_name: bytes = b"",
        prefers_aka_prime: bool = False,
        aliases: PeerAliases | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._flavour = flavour
        self._permanent = identity
        self._identity = aliases.first(identity) if aliases else identity  # what EAP saw last
        self._aliases = aliases
        self._context = aliases.take() if aliases else None
        self._counter: int | None = None  # of the fast re-authentication that succeeded
        self._next = _Next()
        self._imsi = imsi
        self._usim = usim
        self._network_name = network_name
        self._prefers_aka_prime = prefers_aka_prime
        self._kdfs: list[int] | None = None  # the AT_KDF values that the next challenge must have
        self._transcript = Transcript(flavour)
        self._identity_asked = -1  # index in IDENTITY_REQUESTS of the last one answered
        self._keys: AkaKeys | None = None
        self._begun = self._ended = False
        self._failed = ""
        self._result_indicated = False
        self._success_notified = False
        self._last: tuple[bytes, bytes] | None = None
        self._results: deque[EapResult] = deque()
        self._events: list[Event] = []

    @property
    def identity(self) -> str:
        """What EAP saw last: before anything was received that is what belongs into IDi (TS 33.402 8.2.2)."""
        return self._identity

    def start(self) -> None:
        """A peer waits for the server."""

    def events(self) -> list[Event]:
        """The USIM's sequence number, to be made durable."""
        events, self._events = self._events, []
        return events

    def take(self) -> EapResult | None:
        """The next result, if there is one."""
        return self._results.popleft() if self._results else None

    def receive(self, packet: bytes) -> None:
        """Answer a request, or end with the server's verdict."""
        if self._ended:
            self.counters["eap-unexpected"] += 1
            return
        if self._last and packet == self._last[0]:  # RFC 3748 4.1: a repeated request brings the same response
            self._results.append(EapPacket(self._last[1]))
            return
        try:
            parsed = Packet.parse(packet)
        except WireError:
            self.counters["eap-malformed"] += 1
            return
        if parsed.code == Code.SUCCESS:
            self._success()
        elif parsed.code == Code.FAILURE:
            reason = self._failed or "the network refused the authentication without saying why"
            self._ended = True
            if self._aliases and self._keys is None:
                self._aliases.refused(self._identity)
            self._results.append(EapFailure(reason, "RFC 4187 6.3.3"))
        elif parsed.code == Code.REQUEST:
            self._answer(parsed, packet)
        else:
            self.counters["eap-unexpected"] += 1

    def _success(self) -> None:
        """EAP-Success counts only once the challenge was met (RFC 4187 6.2)."""
        if self._keys is None or self._failed or (self._result_indicated and not self._success_notified):
            self.counters["eap-early-success"] += 1
            return
        self._ended = True
        self._learn()
        self._results.append(EapSuccess(self._keys.msk, self._permanent))

    def _learn(self) -> None:
        """Only now are the names that the server gave us good (RFC 4187 4.1.7)."""
        if self._aliases is None or self._keys is None:
            return
        if self._next.pseudonym:
            self._aliases.pseudonym = self._next.pseudonym
            self._events.append(PseudonymChanged(self._imsi, self._next.pseudonym))
        if self._next.reauth and (self._counter or 0) < MOST_TAKEN:
            self._aliases.reauth = ReauthContext(self._next.reauth, self._counter or 0, self._keys, self._imsi)

    def _answer(self, parsed: Packet, packet: bytes) -> None:
        if self._begun and parsed.method not in (self._flavour.method, Method.NOTIFICATION):
            self.counters["eap-other-method"] += 1  # RFC 3748 2.1: one method a conversation, others are discarded
            return
        response = self._respond(parsed, packet)
        self._last = (packet, response)
        self._results.append(EapPacket(response))

    def _respond(self, parsed: Packet, packet: bytes) -> bytes:
        if parsed.method == Method.IDENTITY:
            return Packet(Code.RESPONSE, parsed.identifier, Method.IDENTITY, self._identity.encode()).build()
        if parsed.method == Method.NOTIFICATION:
            return Packet(Code.RESPONSE, parsed.identifier, Method.NOTIFICATION).build()
        if parsed.method != self._flavour.method:
            self.counters["eap-other-method"] += 1
            return Packet(Code.RESPONSE, parsed.identifier, Method.NAK, bytes((self._flavour.method,))).build()
        self._begun = True
        try:
            return self._respond_aka(AkaPacket.parse(parsed), packet)
        except WireError as error:
            self.counters["eap-client-error"] += 1
            self._failed = self._failed or f"we refused the network's EAP-AKA message: {error}"
            return self._aka(parsed.identifier, Subtype.CLIENT_ERROR, eap.ClientErrorCode())
        except (AuthenticationRejected, _Rejected) as error:
            self.counters["eap-authentication-reject"] += 1
            self._failed = f"the network did not prove that it knows our subscription: {error}"
            return self._aka(parsed.identifier, Subtype.AUTHENTICATION_REJECT)

    def _respond_aka(self, request: AkaPacket, packet: bytes) -> bytes:
        if self._failed:
            raise WireError("no further request is expected after a failure")
        if request.subtype == Subtype.IDENTITY:
            return self._answer_identity(request, packet)
        if request.subtype == Subtype.CHALLENGE:
            return self._answer_challenge(request, packet)
        if request.subtype == Subtype.REAUTHENTICATION:
            return self._answer_reauthentication(request, packet)
        if request.subtype == Subtype.NOTIFICATION:
            return self._answer_notification(request, packet)
        raise WireError(f"subtype {request.subtype} is not expected")

    def _answer_identity(self, request: AkaPacket, packet: bytes) -> bytes:
        only(request, *IDENTITY_REQUESTS)
        asked = [index for index, kind in enumerate(IDENTITY_REQUESTS) if request.get(kind)]
        if len(asked) != 1 or asked[0] <= self._identity_asked or self._keys:
            raise WireError("an identity request that is not allowed now (RFC 4187 4.1.5)")
        self._identity_asked = asked[0]
        self._identity = self._name_for(IDENTITY_REQUESTS[asked[0]])
        response = self._aka(request.identifier, Subtype.IDENTITY, eap.Identity(self._identity.encode()))
        self._transcript.add(packet, response)
        return response

    def _name_for(self, kind: type[Attribute]) -> str:
        """As little as the server wants to know (RFC 4187 4.1.6)."""
        if self._aliases is None:
            return self._permanent
        if kind is eap.PermanentIdReq:
            if self._aliases.conservative and self._aliases.pseudonym:
                raise WireError("it asks for our IMSI although it should know our pseudonym (RFC 4187 4.1.6)")
            return self._permanent
        if kind is eap.AnyIdReq and self._context:
            return self._context.identity
        return self._aliases.pseudonym or self._permanent

    def _answer_challenge(self, request: AkaPacket, packet: bytes) -> bytes:
        if self._keys:
            raise WireError("a second challenge")
        only(request, *IN_CHALLENGE, *((eap.Kdf, eap.KdfInput) if self._flavour is AKA_PRIME else (eap.Bidding,)))
        exactly_one(request, eap.Rand, eap.Autn, eap.Mac)
        if self._flavour is AKA_PRIME and not self._agree_on_kdf(request.all(eap.Kdf)):
            return self._aka(request.identifier, Subtype.CHALLENGE, eap.Kdf(KDF_CK_IK_PRIME))
        rand, autn = request.get(eap.Rand), request.get(eap.Autn)
        assert rand and autn
        if self._flavour is AKA_PRIME:
            self._check_prime(request.all(eap.KdfInput), autn.value)
        try:
            result = self._usim.authenticate(rand.value, autn.value)
        except SynchronizationFailed as failure:
            self.counters["eap-synchronization-failure"] += 1
            return self._aka(
                request.identifier, Subtype.SYNCHRONIZATION_FAILURE, eap.Auts(failure.auts), *request.all(eap.Kdf)
            )
        self._events.append(SqnAdvanced(self._imsi, self._usim.sqn))
        keys = self._derive(request, result, autn.value)
        check_mac(self._flavour, packet, keys)
        bidding, checkcode = request.get(eap.Bidding), request.get(eap.Checkcode)
        if bidding and bidding.flags & PREFERS_AKA_PRIME and self._prefers_aka_prime:
            raise _Rejected("it prefers EAP-AKA' as we do, and yet EAP-AKA came about (RFC 9048 4)")
        if checkcode and not self._transcript.matches(checkcode.value):
            raise WireError("AT_CHECKCODE does not match our identity round")
        if self._aliases is not None:
            self._next = self._read_next(decrypt(keys, request), eap.NextPseudonym, eap.NextReauthId)
        self._keys = keys
        self._result_indicated = request.get(eap.ResultInd) is not None
        answers: list[Attribute] = [eap.Res(result.res)]
        if checkcode:
            answers.append(eap.Checkcode(self._transcript.checkcode()))
        if self._result_indicated:
            answers.append(eap.ResultInd())
        return self._aka(request.identifier, Subtype.CHALLENGE, *answers, eap.Mac())

    def _read_next(self, inner: AkaPacket, *allowed: type[Attribute]) -> _Next:
        """The names that the server gives us for later; ``WireError`` when they are no names."""
        only(inner, *allowed)
        realm = self._permanent.partition("@")[2]
        pseudonym, reauth = inner.get(eap.NextPseudonym), inner.get(eap.NextReauthId)
        if pseudonym and b"@" in pseudonym.value:
            raise WireError("a pseudonym with a realm (RFC 4187 10.10)")
        return _Next(
            f"{_name(pseudonym.value)}@{realm}" if pseudonym else None,
            _name(reauth.value) + ("" if b"@" in reauth.value else f"@{realm}") if reauth else None,
        )

    def _answer_reauthentication(self, request: AkaPacket, packet: bytes) -> bytes:
        context = self._context
        if context is None or self._keys or self._identity != context.identity or self._aliases is None:
            raise WireError("a fast re-authentication that we did not ask for (RFC 4187 5.1)")
        only(request, eap.Mac, eap.Iv, eap.EncrData, eap.Checkcode, eap.ResultInd)
        exactly_one(request, eap.Mac, eap.Iv, eap.EncrData)
        check_mac(self._flavour, packet, context.keys)
        inner = decrypt(context.keys, request)
        exactly_one(inner, eap.ReauthCounter, eap.NonceS)
        found = self._read_next(inner, eap.ReauthCounter, eap.NonceS, eap.NextReauthId)
        counter, nonce, checkcode = inner.get(eap.ReauthCounter), inner.get(eap.NonceS), request.get(eap.Checkcode)
        assert counter and nonce
        if checkcode and not self._transcript.matches(checkcode.value):
            raise WireError("AT_CHECKCODE does not match our identity round")
        inside: list[Attribute] = [counter]
        outside: list[Attribute] = [eap.Checkcode(self._transcript.checkcode())] if checkcode else []
        self._context = None
        if counter.counter <= context.counter:
            self.counters["eap-counter-too-small"] += 1
            inside.append(eap.CounterTooSmall())  # a full authentication follows
        else:
            self._counter, self._next = counter.counter, found
            self._keys = rederive(self._flavour, self._identity, counter.counter, nonce.value, context.keys)
            self._result_indicated = request.get(eap.ResultInd) is not None
            outside += [eap.ResultInd()] if self._result_indicated else []
        sealed = encrypt(context.keys, self._aliases.random, *inside)
        response = self._packet(request.identifier, Subtype.REAUTHENTICATION, *sealed, *outside, eap.Mac())
        return seal(self._flavour, response, context.keys, nonce.value)

    def _derive(self, request: AkaPacket, result: AkaResult, autn: bytes) -> AkaKeys:
        name = request.get(eap.KdfInput)
        return derive(self._flavour, self._identity, result.ck, result.ik, autn, name.network_name if name else b"")

    def _agree_on_kdf(self, attributes: list[eap.Kdf]) -> bool:
        """Whether the server's first key derivation function is ours; if not, ours is asked for (RFC 9048 3.2)."""
        offered = [each.kdf for each in attributes]
        if self._kdfs is not None:
            if offered != self._kdfs:
                raise WireError("the AT_KDF attributes are not the ones that we agreed on (RFC 9048 3.2)")
            return True
        if KDF_CK_IK_PRIME not in offered:
            raise _Rejected("it offers no key derivation function that we know")
        if len(set(offered)) != len(offered):
            raise _Rejected("it offers a key derivation function twice (RFC 9048 3.2)")
        first = offered[0] == KDF_CK_IK_PRIME
        self._kdfs = offered if first else [KDF_CK_IK_PRIME, *offered]
        return first

    def _check_prime(self, names: list[eap.KdfInput], autn: bytes) -> None:
        """The demands of RFC 9048 3.1 and 3.3 on a challenge; what fails counts as a wrong AUTN."""
        if len(names) != 1 or not names[0].network_name:
            raise _Rejected("it does not name the access network")
        if not autn[6] & SEPARATION_BIT:
            raise _Rejected("the AMF separation bit is 0 (RFC 9048 3.1)")
        if not _same_network(names[0].network_name, self._network_name):
            raise _Rejected("it names another access network than ours")

    def _answer_notification(self, request: AkaPacket, packet: bytes) -> bytes:
        only(request, eap.Notification, *((eap.Mac, eap.Iv, eap.EncrData) if self._keys else ()))
        exactly_one(request, eap.Notification)
        notification = request.get(eap.Notification)
        assert notification
        before, success = bool(notification.code & 0x4000), bool(notification.code & 0x8000)
        expected = self._result_indicated and not self._success_notified
        if before == bool(self._keys) or (success and not expected):
            raise WireError(f"notification {notification.code} at the wrong moment (RFC 4187 6.1)")
        if self._keys:
            check_mac(self._flavour, packet, self._keys)
        own = self._count_notification(request)
        if success:
            self._success_notified = True
        else:
            self._failed = _notification_text(notification.code)
        return self._aka(request.identifier, Subtype.NOTIFICATION, *own, *([eap.Mac()] if self._keys else []))

    def _count_notification(self, request: AkaPacket) -> tuple[Attribute, ...]:
        """After a fast re-authentication notifications carry its counter, both ways (RFC 4187 9.10, 9.11)."""
        if self._counter is None:
            return ()
        assert self._keys and self._aliases
        inner = decrypt(self._keys, request)
        only(inner, eap.ReauthCounter)
        exactly_one(inner, eap.ReauthCounter)
        if inner.get(eap.ReauthCounter) != eap.ReauthCounter(self._counter):
            raise WireError("the notification's counter is not that of this re-authentication")
        return encrypt(self._keys, self._aliases.random, eap.ReauthCounter(self._counter))

    def _packet(self, identifier: int, subtype: Subtype, *attributes: Attribute) -> AkaPacket:
        return AkaPacket(Code.RESPONSE, identifier, self._flavour.method, subtype, attributes)

    def _aka(self, identifier: int, subtype: Subtype, *attributes: Attribute) -> bytes:
        response = self._packet(identifier, subtype, *attributes)
        if any(isinstance(each, eap.Mac) for each in attributes) and self._keys:
            return seal(self._flavour, response, self._keys)
        return response.build()


def _name(value: bytes) -> str:
    """A name that the server gives us; ``WireError`` unless it is text that may stand in an identity."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(value) > LONGEST_NAME or not text.isprintable():
        raise WireError("a new identity that is no name")
    return text


def _same_network(offered: bytes, own: bytes) -> bool:
    """Compare the fields that both names have, separated by colons (RFC 9048 3.1)."""
    return all(left == right for left, right in zip(offered.split(b":"), own.split(b":"), strict=False))


def _notification_text(code: int) -> str:
    texts = {
        NotificationCode.TEMPORARILY_DENIED: "the network denies this subscriber access for now",
        NotificationCode.NOT_SUBSCRIBED: "the subscriber has not subscribed to the requested service",
        NotificationCode.GENERAL_FAILURE: "the network could not authenticate us",
        NotificationCode.GENERAL_FAILURE_AFTER_AUTHENTICATION: "the network refused us after authentication",
    }
    return (
        f"{texts.get(NotificationCode(code), 'failure') if code in texts else 'the network refused us'} (code {code})"
    )
