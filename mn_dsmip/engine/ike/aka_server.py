# SPDX-License-Identifier: GPL-2.0-or-later
"""The network's side of EAP-AKA and EAP-AKA' with the embedded authentication centre (RFC 4187, RFC 9048)."""

from __future__ import annotations

import hmac
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum, auto

from ...crypto.aka import AuthenticationCentre, AuthenticationRejected, Subscriber, Vector, separated
from ...crypto.kdf import AkaKeys
from ...crypto.suites import Random
from ...wire import eap
from ...wire.codec import WireError
from ...wire.eap import AkaPacket, Attribute, Code, Method, NotificationCode, Packet, Subtype
from ..base import Event
from ..effects import SqnAdvanced
from .aka_aliases import ReauthContext, ServerAliases
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
from .eap_method import EapFailure, EapPacket, EapResult, EapSuccess, imsi_of

NONCE_S = 16
"""Octets of AT_NONCE_S (RFC 4187 10.18)."""


class _State(Enum):
    IDENTITY = auto()
    CHALLENGE = auto()
    REAUTHENTICATION = auto()
    NOTIFICATION = auto()
    RESULT = auto()
    """The UE is authenticated and has been told so."""
    ENDED = auto()


class AkaServer:
    """One authentication of whoever answers; raises nothing whatever it receives.

    ``identity`` is what IDi says and counts as an EAP-Response/Identity; unless we know whose it is, or with
    ``ask_identity``, the server asks for one first (RFC 4187 4.1.4). ``aliases`` adds pseudonyms and fast
    re-authentication. ``protect_result`` offers to protect the success, for which IKE has no need (RFC 4187 6.2).
    """

    def __init__(
        self,
        flavour: Flavour,
        identity: str,
        subscribers: Callable[[str], Subscriber | None],
        centre: AuthenticationCentre,
        random: Random,
        network_name: bytes = b"",
        ask_identity: bool = False,
        aliases: ServerAliases | None = None,
        protect_result: bool = False,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._flavour = flavour
        self._identity = identity
        self._subscribers = subscribers
        self._centre = centre
        self._network_name = network_name
        self._aliases = aliases
        self._context: ReauthContext | None = None
        self._nonce = b""
        self._offers: tuple[Attribute, ...] = (eap.ResultInd(),) if protect_result else ()
        self._accepted: AkaKeys | None = None
        self._next: str | None = None  # fast re-authentication identity for the next time
        self._requests: deque[type[Attribute]] = deque((eap.PermanentIdReq,))
        if ask_identity or (aliases and identity[:1] not in flavour.names):
            self._requests.extendleft((eap.FullauthIdReq, eap.AnyIdReq))
        elif aliases and identity.startswith(flavour.reauth):
            self._requests.appendleft(eap.FullauthIdReq)
        self._ask_first = ask_identity
        self._identifier = random(1)[0]
        self._state = _State.IDENTITY
        self._transcript = Transcript(flavour)
        self._subscriber: Subscriber | None = None
        self._vector: Vector | None = None
        self._keys: AkaKeys | None = None
        self._resynchronised = False
        self._reason = ("", "")
        self._sent = b""
        self._results: deque[EapResult] = deque()
        self._events: list[Event] = []

    def start(self) -> None:
        """Send the first request."""
        if self._ask_first or not self._begin_if_known():
            self._ask_identity()

    def events(self) -> list[Event]:
        """Sequence numbers used, to be made durable before the next packet leaves."""
        events, self._events = self._events, []
        return events

    def take(self) -> EapResult | None:
        """The next result, if there is one."""
        return self._results.popleft() if self._results else None

    def receive(self, packet: bytes) -> None:
        """Take the peer's response; one that does not fit the last request is counted and ignored."""
        try:
            parsed = Packet.parse(packet)
        except WireError:
            self.counters["eap-malformed"] += 1
            return
        if parsed.code != Code.RESPONSE or parsed.identifier != self._identifier or self._state is _State.ENDED:
            self.counters["eap-unexpected"] += 1
            return
        if parsed.method != self._flavour.method:
            self._end("eap-nak", "the UE does not speak the EAP method that we ask for", "RFC 3748 5.3.1")
            return
        if self._state is _State.RESULT:  # whatever it answers, it has succeeded (RFC 4187 6.2)
            self._succeed()
            return
        try:
            self._process(AkaPacket.parse(parsed), packet)
        except WireError as error:
            self.counters["eap-refused"] += 1
            self._notify_failure(f"the UE's answer is not acceptable: {error}")

    def _process(self, response: AkaPacket, packet: bytes) -> None:
        subtype = response.subtype
        if self._state is _State.NOTIFICATION:  # whatever it answers, the authentication has failed (RFC 4187 6.3.2)
            self._end("eap-failed", *self._reason)
        elif subtype == Subtype.CLIENT_ERROR:
            self._end("eap-client-error", "the UE could not process our EAP-AKA message", "RFC 4187 6.3.1")
        elif subtype == Subtype.AUTHENTICATION_REJECT and self._state is _State.CHALLENGE:
            self._end("eap-authentication-reject", "the UE says that AUTN is wrong: K or OP differ", "RFC 4187 6.3.1")
        elif subtype == Subtype.IDENTITY and self._state is _State.IDENTITY:
            self._take_identity(response, packet)
        elif subtype == Subtype.SYNCHRONIZATION_FAILURE and self._state is _State.CHALLENGE:
            self._resynchronise(response)
        elif subtype == Subtype.CHALLENGE and self._state is _State.CHALLENGE:
            self._take_challenge(response, packet)
        elif subtype == Subtype.REAUTHENTICATION and self._state is _State.REAUTHENTICATION:
            self._take_reauthentication(response, packet)
        else:
            raise WireError(f"subtype {subtype} is not expected")

    def _ask_identity(self) -> None:
        if not self._requests:
            self._notify_failure("no subscriber has the identity that the UE gave")
            return
        self._state = _State.IDENTITY
        self._sent = self._request(Subtype.IDENTITY, self._requests.popleft()())

    def _take_identity(self, response: AkaPacket, packet: bytes) -> None:
        only(response, eap.Identity)
        exactly_one(response, eap.Identity)
        identity = response.get(eap.Identity)
        assert identity
        self._transcript.add(self._sent, packet)
        try:
            self._identity = identity.value.decode()
        except UnicodeDecodeError:
            raise WireError("AT_IDENTITY is not UTF-8") from None
        if not self._begin_if_known():
            if self._identity.startswith(self._flavour.pseudonym):  # asked again it would say the same (4.1.7)
                self._requests = deque(each for each in self._requests if each is eap.PermanentIdReq)
            self._ask_identity()

    def _begin_if_known(self) -> bool:
        """Go on with a challenge, or with the fast way, if the identity tells whose it is."""
        if len(self._identity.encode()) > LONGEST_NAME:
            return False
        aliases = self._aliases
        imsi = aliases.imsi(self._identity) if aliases else imsi_of(self._identity, self._flavour.leading)
        subscriber = self._subscribers(imsi) if imsi else None
        if subscriber is None:
            return False
        self._subscriber = separated(subscriber) if self._flavour is AKA_PRIME else subscriber
        self._context = aliases.redeem(self._flavour, self._identity) if aliases else None
        if self._context:
            self._reauthenticate(self._context)
        else:
            self._challenge()
        return True

    @property
    def _realm(self) -> str:
        return self._identity.partition("@")[2]

    def _reauthenticate(self, context: ReauthContext) -> None:
        """The fast way: no USIM, two messages (RFC 4187 5)."""
        assert self._aliases
        self._state = _State.REAUTHENTICATION
        self._keys = context.keys
        self._nonce = self._aliases.random(NONCE_S)
        self._next = self._aliases.fresh(self._flavour, self._realm, context.counter + 1)
        inside: list[Attribute] = [eap.ReauthCounter(context.counter), eap.NonceS(self._nonce)]
        inside += [eap.NextReauthId(self._next.encode())] if self._next else []
        checkcode = self._transcript.checkcode()
        attributes = [*encrypt(context.keys, self._aliases.random, *inside), *self._offers]
        attributes += [eap.Checkcode(checkcode)] if checkcode else []
        self._request(Subtype.REAUTHENTICATION, *attributes, eap.Mac())

    def _take_reauthentication(self, response: AkaPacket, packet: bytes) -> None:
        assert self._context and self._aliases and self._subscriber
        context = self._context
        only(response, eap.Mac, eap.Iv, eap.EncrData, eap.Checkcode, *map(type, self._offers))
        exactly_one(response, eap.Mac, eap.Iv, eap.EncrData)
        check_mac(self._flavour, packet, context.keys, self._nonce)
        inner = decrypt(context.keys, response)
        only(inner, eap.ReauthCounter, eap.CounterTooSmall)
        exactly_one(inner, eap.ReauthCounter)
        if inner.get(eap.ReauthCounter) != eap.ReauthCounter(context.counter):
            raise WireError("the counter is not the one that we sent")
        checkcode = response.get(eap.Checkcode)
        if checkcode and not self._transcript.matches(checkcode.value):
            raise WireError("AT_CHECKCODE does not match our identity round")
        if inner.get(eap.CounterTooSmall):
            self.counters["eap-counter-too-small"] += 1
            self._context = None
            self._challenge()
            return
        self._accept(rederive(self._flavour, self._identity, context.counter, self._nonce, context.keys), response)

    def _accept(self, keys: AkaKeys, response: AkaPacket) -> None:
        """The UE is who it says; it may want to be told under protection, with this exchange's counter."""
        assert self._subscriber
        self._accepted = keys
        counter = self._context.counter if self._context else 0
        if self._aliases and self._next:
            self._aliases.remember(self._next, self._subscriber.imsi, counter + 1, keys)
        if response.get(eap.ResultInd) is None:
            self._succeed()
            return
        self._state = _State.RESULT
        sealed = encrypt(keys, self._aliases.random, eap.ReauthCounter(counter)) if self._aliases and counter else ()
        self._request(Subtype.NOTIFICATION, eap.Notification(NotificationCode.SUCCESS), *sealed, eap.Mac())

    def _succeed(self) -> None:
        assert self._subscriber and self._accepted
        self._state = _State.ENDED
        success = Packet(Code.SUCCESS, self._identifier).build()
        self._results.append(EapSuccess(self._accepted.msk, self._subscriber.imsi, success))

    def _challenge(self) -> None:
        assert self._subscriber
        self._state = _State.CHALLENGE
        vector = self._vector = self._centre.vector(self._subscriber)
        self._events.append(SqnAdvanced(self._subscriber.imsi, self._centre.sequence[self._subscriber.imsi]))
        self._keys = derive(self._flavour, self._identity, vector.ck, vector.ik, vector.autn, self._network_name)
        attributes: list[Attribute] = [eap.Rand(vector.rand), eap.Autn(vector.autn)]
        if self._flavour is AKA_PRIME:
            attributes += [eap.Kdf(KDF_CK_IK_PRIME), eap.KdfInput(self._network_name)]
        if checkcode := self._transcript.checkcode():
            attributes.append(eap.Checkcode(checkcode))
        self._request(Subtype.CHALLENGE, *attributes, *self._names(self._keys), *self._offers, eap.Mac())

    def _names(self, keys: AkaKeys) -> tuple[Attribute, ...]:
        """What the UE may call itself next time, encrypted (RFC 4187 9.3)."""
        if self._aliases is None or self._subscriber is None:
            return ()
        inside: list[Attribute] = []
        if self._aliases.pseudonyms:
            inside.append(eap.NextPseudonym(self._aliases.seal(self._flavour, self._subscriber.imsi).encode()))
        self._next = self._aliases.fresh(self._flavour, self._realm, 1)
        if self._next:
            inside.append(eap.NextReauthId(self._next.encode()))
        return encrypt(keys, self._aliases.random, *inside) if inside else ()

    def _resynchronise(self, response: AkaPacket) -> None:
        only(response, eap.Auts, *((eap.Kdf,) if self._flavour is AKA_PRIME else ()))
        exactly_one(response, eap.Auts)
        if [each.kdf for each in response.all(eap.Kdf)] != ([KDF_CK_IK_PRIME] if self._flavour is AKA_PRIME else []):
            raise WireError("AT_KDF is not repeated as we sent it (RFC 9048 3.2)")
        auts = response.get(eap.Auts)
        assert auts and self._subscriber and self._vector
        if self._resynchronised:
            raise WireError("a second synchronization failure")
        self._resynchronised = True
        self.counters["eap-resynchronization"] += 1
        try:
            self._centre.resynchronise(self._subscriber, self._vector.rand, auts.value)
        except AuthenticationRejected as error:
            raise WireError(str(error)) from None
        self._challenge()

    def _take_challenge(self, response: AkaPacket, packet: bytes) -> None:
        assert self._keys and self._vector and self._subscriber
        if self._flavour is AKA_PRIME and response.get(eap.Kdf):
            raise WireError("the UE wants a key derivation function that we do not have")
        only(response, eap.Res, eap.Mac, eap.Checkcode, eap.Iv, eap.EncrData, *map(type, self._offers))
        exactly_one(response, eap.Res, eap.Mac)
        check_mac(self._flavour, packet, self._keys)
        res, checkcode = response.get(eap.Res), response.get(eap.Checkcode)
        if checkcode and not self._transcript.matches(checkcode.value):
            raise WireError("AT_CHECKCODE does not match our identity round")
        if not res or not hmac.compare_digest(res.value, self._vector.xres):
            raise WireError("RES is wrong")
        self._accept(self._keys, response)

    def _notify_failure(self, reason: str) -> None:
        """One notification round, then EAP-Failure (RFC 4187 6.3.2); no AT_MAC, the UE is not authenticated."""
        self._reason = (reason, "RFC 4187 6.3.2")
        if self._state is _State.NOTIFICATION:
            self._end("eap-failed", *self._reason)
            return
        self._state = _State.NOTIFICATION
        self._request(Subtype.NOTIFICATION, eap.Notification(NotificationCode.GENERAL_FAILURE))

    def _end(self, counter: str, reason: str, clause: str) -> None:
        self.counters[counter] += 1
        self._state = _State.ENDED
        self._results.append(EapFailure(reason, clause, Packet(Code.FAILURE, self._identifier).build()))

    def _request(self, subtype: Subtype, *attributes: Attribute) -> bytes:
        self._identifier = (self._identifier + 1) % 256
        packet = AkaPacket(Code.REQUEST, self._identifier, Method(self._flavour.method), subtype, attributes)
        sealed = self._keys if any(isinstance(each, eap.Mac) for each in attributes) else None
        octets = seal(self._flavour, packet, sealed) if sealed else packet.build()
        self._results.append(EapPacket(octets))
        return octets
