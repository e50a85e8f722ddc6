# SPDX-License-Identifier: GPL-2.0-or-later
"""Child SAs: traffic selectors, keys, and the task that asks for one (RFC 7296 1.3, 2.9, 2.17; RFC 4877 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from ...crypto.groups import Group
from ...crypto.kdf import child_keys
from ...crypto.suites import Random
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import ANY_PORT, OPAQUE_PORT, Exchange, NotifyType, Protocol
from ...wire.ikev2_payloads import (
    NONCE_LENGTHS,
    KeyExchange,
    Nonce,
    Notify,
    Payload,
    SecurityAssociation,
    TrafficSelector,
    TrafficSelectorsInitiator,
    TrafficSelectorsResponder,
)
from ...wire.ip import MOBILITY_HEADER
from ..base import IPAddress
from .events import ChildSa, ChildSaEstablished, ChildSaFailed, EspKeysDerived, Refusal, Selectors
from .forward_secrecy import KeyShare, first_group, offers_for, offers_with, other_group, wanted_group
from .informational import DeleteChildTask
from .proposals import Chosen, Profile, build_proposals, check_answer, choose, none_acceptable
from .rules import check, error, find, need, notify
from .sa import Progress
from .sentences import refusal

if TYPE_CHECKING:
    from .session import Session

NONCE_LENGTH = 32
"""Octets; at least half the key of every PRF here (RFC 7296 2.10)."""
FIRST_USABLE_SPI = 256
"""RFC 4303 2.1 reserves those below."""


def mobility_selector(low: IPv6Address, high: IPv6Address | None = None) -> TrafficSelector:
    """All Mobility Header types between ``low`` and ``high`` (RFC 4877 7.1); room for revocation (RFC 5846 6.1)."""
    return TrafficSelector(MOBILITY_HEADER, *ANY_PORT, low, high or low)


def address_selector(low: IPAddress, high: IPAddress) -> TrafficSelector:
    """All traffic of the addresses between ``low`` and ``high``."""
    return TrafficSelector(0, *ANY_PORT, low, high)


def narrow(asked: Iterable[TrafficSelector], allowed: Iterable[TrafficSelector]) -> tuple[TrafficSelector, ...]:
    """What of the selectors ``asked`` for lies inside those ``allowed`` (RFC 7296 2.9); empty when nothing does."""
    found = []
    for one in asked:
        for other in allowed:
            both = _intersect(one, other)
            if both is not None and both not in found:
                found.append(both)
    return tuple(found)


def _intersect(one: TrafficSelector, other: TrafficSelector) -> TrafficSelector | None:
    if one.start.version != other.start.version or (one.protocol and other.protocol and one.protocol != other.protocol):
        return None
    low, high = max(one.start, other.start, key=int), min(one.end, other.end, key=int)
    ports = _both_ports((one.start_port, one.end_port), (other.start_port, other.end_port))
    if int(low) > int(high) or ports is None:
        return None
    return TrafficSelector(one.protocol or other.protocol, *ports, low, high)


def _both_ports(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int] | None:
    """ANY includes OPAQUE, other ranges do not (RFC 7296 3.13.1)."""
    if OPAQUE_PORT in (one, other):
        return OPAQUE_PORT if one == other or ANY_PORT in (one, other) else None
    first, last = max(one[0], other[0]), min(one[1], other[1])
    return (first, last) if first <= last else None


def covers(outer: Iterable[TrafficSelector], inner: Iterable[TrafficSelector]) -> bool:
    """Whether every selector of ``inner`` lies inside one of ``outer``."""
    allowed = tuple(outer)
    return all(any(_intersect(one, other) == one for other in allowed) for one in inner)


def new_esp_spi(random: Random) -> bytes:
    """An inbound SPI of our own."""
    while int.from_bytes(spi := random(4), "big") < FIRST_USABLE_SPI:
        pass
    return spi


def make_child(
    session: Session,
    chosen: Chosen,
    spis: tuple[bytes, bytes],
    seed: bytes,
    selectors: Selectors,
    asked_by_us: bool,
) -> ChildSa:
    """The child SA with its keys; ``spis`` are ours and the peer's, ``asked_by_us`` gives the keys' order.

    ``seed`` is Ni | Nr, behind g^ir if there was an exchange for this child SA (RFC 7296 2.17).
    """
    assert session.keys and session.chosen and session.chosen.prf
    to_responder, to_initiator = child_keys(session.chosen.prf, chosen.protection, session.keys.d, seed)
    outbound, inbound = (to_responder, to_initiator) if asked_by_us else (to_initiator, to_responder)
    agreed = (selectors.local, selectors.remote, selectors.transport)
    return ChildSa(spis[0], spis[1], chosen.protection, inbound, outbound, *agreed, chosen.group)


def announce(
    session: Session, child: ChildSa, first: bool, replaces: bytes | None = None, standby: bool = False
) -> None:
    """Tell the user and whoever logs keys."""
    session.emit(EspKeysDerived(child))
    session.emit(ChildSaEstablished(session.name, child, first, replaces, standby))


def check_nonce(nonce: Nonce) -> bytes:
    """The octets of a nonce; ``WireError`` when their number is not allowed (RFC 7296 3.9)."""
    if len(nonce.data) not in NONCE_LENGTHS:
        raise WireError(f"a nonce of {len(nonce.data)} octets")
    return nonce.data


def child_payloads(
    profile: Profile, spi: bytes, selectors: Selectors, nonce: bytes | None, share: KeyShare | None = None
) -> list[Payload]:
    """A request for a child SA, in the order of RFC 7296 1.3.1."""
    payloads: list[Payload] = [Notify(NotifyType.USE_TRANSPORT_MODE)] if selectors.transport else []
    offers = offers_with(profile, share)
    payloads.append(SecurityAssociation(build_proposals(offers, Protocol.ESP, spi)))
    if nonce is not None:
        payloads.append(Nonce(nonce))
    if share is not None:
        payloads.append(share.payload)
    return [*payloads, TrafficSelectorsInitiator(selectors.local), TrafficSelectorsResponder(selectors.remote)]


def read_child_answer(
    session: Session,
    profile: Profile,
    spi: bytes,
    asked: Selectors,
    payloads: tuple[Payload, ...],
    nonces: bytes,
    share: KeyShare | None = None,
) -> ChildSa | tuple[str, str, int | None]:
    """The child SA that a response brings, or why it brings none: sentence, clause, notify."""
    offers = offers_with(profile, share)
    offered = " or ".join(str(offer) for offer in offers)
    refused = error(payloads)
    if refused is not None or find(payloads, SecurityAssociation) is None:
        if refused is None:
            return f"{session.other} answered without a child SA", "RFC 7296 2.21.2", None
        return *refusal(refused, "ESP", offered, session.other), refused.notify_type
    answer = need(payloads, SecurityAssociation).proposals
    chosen = check_answer(answer, offers, Protocol.ESP)
    if chosen is None or len(answer[0].spi) != 4:
        return f"{session.other} chose ESP algorithms that we did not offer", "RFC 7296 2.7", None
    local = need(payloads, TrafficSelectorsInitiator).selectors
    remote = need(payloads, TrafficSelectorsResponder).selectors
    if not local or not remote or not covers(asked.local, local) or not covers(asked.remote, remote):
        return f"{session.other} answered with traffic selectors outside those that we asked for", "RFC 7296 2.9", None
    transport = notify(payloads, NotifyType.USE_TRANSPORT_MODE) is not None
    if transport != asked.transport:
        return f"{session.other} did not agree to transport mode", "RFC 7296 1.3.1", None
    agreed = Selectors(local, remote, transport)
    secret = share.shared(find(payloads, KeyExchange)) if share and chosen.group else b""
    return make_child(session, chosen, (spi, answer[0].spi), secret + nonces, agreed, asked_by_us=True)


def accept_child(
    session: Session,
    payloads: tuple[Payload, ...],
    their_nonce: bytes,
    nonce: bytes | None,
    allow: Callable[[Selectors], Selectors | Refusal],
) -> tuple[list[Payload], ChildSa | ChildSaFailed | None]:
    """The answer to a peer that asks for a child SA, and what came of it; ``allow`` judges selectors from our view.

    ``nonce`` is the one of our answer, or nothing in IKE_AUTH, where those of IKE_SA_INIT count (RFC 7296 2.17).
    Nothing came of it yet when the peer is to ask again with another group. ``WireError`` for a bad public value.
    """
    asked = Selectors(
        need(payloads, TrafficSelectorsResponder).selectors,
        need(payloads, TrafficSelectorsInitiator).selectors,
        notify(payloads, NotifyType.USE_TRANSPORT_MODE) is not None,
    )
    proposals = need(payloads, SecurityAssociation).proposals
    exchange = find(payloads, KeyExchange) if nonce is not None else None
    offers = offers_for(session.profile, exchange)
    found = choose(proposals, offers, Protocol.ESP)
    if found is None or len(found[0].spi) != 4:
        reason = none_acceptable(proposals, offers)
        return _no_child(session, Refusal(NotifyType.NO_PROPOSAL_CHOSEN, reason))
    agreed = allow(asked)
    if isinstance(agreed, Refusal):
        return _no_child(session, agreed)
    proposal, chosen = found
    if exchange and chosen.group and exchange.group != chosen.group.transform:
        return [other_group(chosen.group)], None
    share = KeyShare(chosen.group, session.random) if chosen.group else None
    spi = new_esp_spi(session.random)
    seed = (share.shared(exchange) if share else b"") + their_nonce + (session.own_nonce if nonce is None else nonce)
    child = make_child(session, chosen, (spi, proposal.spi), seed, agreed, asked_by_us=False)
    session.unconfirmed[spi] = session.heard
    answer: list[Payload] = [Notify(NotifyType.USE_TRANSPORT_MODE)] if agreed.transport else []
    answer.append(SecurityAssociation((type(proposal)(proposal.number, Protocol.ESP, spi, proposal.transforms),)))
    if nonce is not None:
        answer.append(Nonce(nonce))
    if share is not None:
        answer.append(share.payload)
    answer += [TrafficSelectorsInitiator(agreed.remote), TrafficSelectorsResponder(agreed.local)]
    return answer, child


def _no_child(session: Session, refusal: Refusal) -> tuple[list[Payload], ChildSaFailed]:
    session.counters["ike-child-refused"] += 1
    failed = ChildSaFailed(session.name, refusal.reason, "RFC 7296 2.21.2", refusal.notify)
    return [Notify(refusal.notify, refusal.data)], failed


class ChildTask:
    """CREATE_CHILD_SA for a new child SA."""

    exchange = Exchange.CREATE_CHILD_SA

    def __init__(self, session: Session, selectors: Selectors, group: Group | None = None) -> None:
        self._session, self._selectors = session, selectors
        self._spi = new_esp_spi(session.random)
        self._nonce = session.random(NONCE_LENGTH)
        group = group or first_group(session.profile)
        self._share = KeyShare(group, session.random) if group else None

    def build(self, now: float) -> list[Payload]:
        """The request."""
        return child_payloads(self._session.profile, self._spi, self._selectors, self._nonce, self._share)

    def _other_group(self, refused: Notify) -> bool:
        """Whether the peer wants another group that we had offered; the next request has it."""
        if self._share is None or refused.notify_type != NotifyType.INVALID_KE_PAYLOAD:
            return False
        session = self._session
        group = wanted_group(refused, offers_with(session.profile, self._share), self._share.group)
        if group is not None:
            self._share = KeyShare(group, session.random)
        return group is not None

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Take the answer."""
        session = self._session
        refused = error(payloads)
        if refused is not None and self._other_group(refused):
            return Progress.MORE
        try:
            if refused is None:
                check(Exchange.CREATE_CHILD_SA, payloads)
            nonce = find(payloads, Nonce)
            nonces = self._nonce + (check_nonce(nonce) if nonce else b"")
            answer = read_child_answer(
                session, session.profile, self._spi, self._selectors, payloads, nonces, self._share
            )
        except WireError as problem:
            answer = (f"{session.other}'s answer is malformed: {problem}", "RFC 7296 1.3.1", None)
        if isinstance(answer, ChildSa):
            self._made(answer, payloads, now)
        else:
            self._failed(*answer, now)
            if refused is None:  # the peer made an SA that we do not take: close it (RFC 7296 1.3.1)
                session.queue(DeleteChildTask(session, self._spi), now)
        return Progress.DONE

    def _made(self, child: ChildSa, payloads: tuple[Payload, ...], now: float) -> None:
        announce(self._session, child, first=False)

    def _failed(self, sentence: str, clause: str, kind: int | None, now: float) -> None:
        self._session.emit(ChildSaFailed(self._session.name, sentence, clause, kind))

    def timed_out(self, now: float) -> None:
        """A peer that does not answer is dead (RFC 7296 2.4)."""
        self._session.close(f"{self._session.other} does not answer any more", by_peer=False)
