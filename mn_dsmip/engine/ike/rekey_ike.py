# SPDX-License-Identifier: GPL-2.0-or-later
"""Rekeying an IKE SA, from both sides, and what happens when both begin at once (RFC 7296 1.3.2, 2.8, 2.18, 2.25)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ...crypto.groups import Group, PrivateKey
from ...crypto.kdf import ike_keys, rekey_skeyseed
from ...crypto.suites import CryptoError
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import DhGroup, Exchange, NotifyType, Protocol
from ...wire.ikev2_payloads import Delete, KeyExchange, Nonce, Notify, Payload, SecurityAssociation
from ...wire.ikev2_proposals import Proposal
from .child import NONCE_LENGTH, ChildTask, check_nonce
from .events import IkeKeysDerived, IkeSaRekeyed, RekeyFailed
from .informational import DeleteChildTask, DeleteIkeTask
from .proposals import Chosen, build_proposals, check_answer, choose
from .rules import error, find, need
from .sa import Progress, Sa
from .sentences import refusal

if TYPE_CHECKING:
    from .session import Session

SPI_LENGTH = 8


class DeleteReplacedTask:
    """Close an IKE SA that another one replaces; the session lives on."""

    exchange = Exchange.INFORMATIONAL

    def __init__(self, sa: Sa) -> None:
        self._sa = sa

    def build(self, now: float) -> list[Payload]:
        """The request."""
        return [Delete(Protocol.IKE)]

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Whatever the peer says, this SA is no more."""
        self._sa.close()
        return Progress.DONE

    def timed_out(self, now: float) -> None:
        """The peer has forgotten it."""
        self._sa.close()


class RekeyIkeTask:
    """Replace the current IKE SA by a new one that inherits its child SAs."""

    exchange = Exchange.CREATE_CHILD_SA

    def __init__(self, session: Session) -> None:
        self._session = session
        self._old = session.current
        chosen = session.chosen
        assert chosen and chosen.group
        self._spi = session.new_spi()
        self._nonce = session.random(NONCE_LENGTH)
        self._use(chosen.group)
        self.rival: tuple[Sa, bytes] | None = None
        """The SA that the peer made of its own request meanwhile, and the lower nonce of that exchange."""

    def _use(self, group: Group) -> None:
        self._group = group
        self._key: PrivateKey = group.generate(self._session.random)

    def build(self, now: float) -> list[Payload]:
        """The request (RFC 7296 1.3.2)."""
        proposals = build_proposals(self._session.profile.ike, Protocol.IKE, self._spi)
        return [
            SecurityAssociation(proposals), Nonce(self._nonce), KeyExchange(self._group.transform, self._key.public)
        ]  # fmt: skip

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Take the answer: the new SA, a wish for another group, or a refusal."""
        session = self._session
        refused = error(payloads)
        if refused is not None and refused.notify_type == NotifyType.INVALID_KE_PAYLOAD and self._other_group(refused):
            return Progress.MORE
        if refused is not None:
            self._refused(refused, now)
            return Progress.DONE
        try:
            sa, lowest = self._derive(payloads)
        except (WireError, CryptoError) as problem:
            session.close(f"the peer's answer to a rekeying is not acceptable: {problem}", by_peer=False)
            return Progress.DONE
        if self.rival is not None and lowest < self.rival[1]:  # ours is the redundant one (RFC 7296 2.8.1)
            session.retire(sa, now)
            sa.queue(DeleteReplacedTask(sa), now)
            _replace(session, self.rival[0], now)
            return Progress.DONE
        if self.rival is not None:
            session.retire(self.rival[0], now)  # the peer, who made it, closes it
        _replace(session, sa, now)
        self._old.queue(DeleteReplacedTask(self._old), now)
        return Progress.DONE

    def _other_group(self, wanted: Notify) -> bool:
        number = struct.unpack("!H", wanted.data)[0] if len(wanted.data) == 2 else 0
        offered = [group for offer in self._session.profile.ike for group in offer.groups if group.transform == number]
        if not offered or offered[0] is self._group:
            return False
        self._use(offered[0])
        return True

    def _refused(self, refused: Notify, now: float) -> None:
        session = self._session
        if self.give_way(now):
            return
        if refused.notify_type == NotifyType.TEMPORARY_FAILURE:
            session.try_again(now, session.rekey)
        else:
            offered = " or ".join(str(offer) for offer in session.profile.ike)
            sentence, clause = refusal(refused, "IKE", offered, session.other)
            session.emit(RekeyFailed(session.name, f"the IKE SA cannot be rekeyed: {sentence}", clause))

    def _derive(self, payloads: tuple[Payload, ...]) -> tuple[Sa, bytes]:
        session = self._session
        answer = need(payloads, SecurityAssociation).proposals
        exchange, nonce = need(payloads, KeyExchange), check_nonce(need(payloads, Nonce))
        chosen = check_answer(answer, session.profile.ike, Protocol.IKE)
        if chosen is None or len(answer[0].spi) != SPI_LENGTH or chosen.group is not self._group:
            raise WireError("it chose algorithms that we did not offer")
        if exchange.group != self._group.transform:
            raise WireError("its key exchange does not fit its choice")
        sa = Sa(session, True, self._spi, answer[0].spi)
        _agree(self._old, sa, chosen, self._nonce + nonce, self._key.shared(exchange.data))
        return sa, min(self._nonce, nonce)

    def timed_out(self, now: float) -> None:
        """A peer that does not answer is dead (RFC 7296 2.4), unless its own rekeying made this one needless."""
        if not self.give_way(now):
            self._session.close("the peer does not answer any more", by_peer=False)

    def give_way(self, now: float) -> bool:
        """Take the SA of the peer's own rekeying, if there is one, in place of ours."""
        if self.rival is not None:
            _replace(self._session, self.rival[0], now)
        return self.rival is not None


def answer_rekey_ike(session: Session, sa: Sa, request: Message, payloads: tuple[Payload, ...], now: float) -> None:
    """Answer a peer that wants a new IKE SA in place of ``sa``."""
    running = sa.running
    if sa is not session.current or isinstance(running, (ChildTask, DeleteChildTask, DeleteIkeTask)):
        sa.respond(request, [Notify(NotifyType.TEMPORARY_FAILURE)])  # RFC 7296 2.25.1, 2.25.2
        return
    proposals, exchange = need(payloads, SecurityAssociation).proposals, need(payloads, KeyExchange)
    their_nonce = check_nonce(need(payloads, Nonce))
    found = choose(proposals, session.profile.ike, Protocol.IKE)
    if found is None or len(found[0].spi) != SPI_LENGTH or not any(found[0].spi):
        sa.respond(request, [Notify(NotifyType.NO_PROPOSAL_CHOSEN)])
        return
    proposal, chosen = found
    assert chosen.group
    if exchange.group != chosen.group.transform:
        wanted = struct.pack("!H", DhGroup(chosen.group.transform))
        sa.respond(request, [Notify(NotifyType.INVALID_KE_PAYLOAD, wanted)])
        return
    key = chosen.group.generate(session.random)
    try:
        shared = key.shared(exchange.data)
    except CryptoError as problem:
        raise WireError(f"public value: {problem}") from None
    new = Sa(session, False, proposal.spi, session.new_spi())
    nonce = session.random(NONCE_LENGTH)
    _agree(sa, new, chosen, their_nonce + nonce, shared)
    answer = Proposal(proposal.number, Protocol.IKE, new.spi_r, proposal.transforms)
    sa.respond(request, [SecurityAssociation((answer,)), Nonce(nonce), KeyExchange(chosen.group.transform, key.public)])
    if isinstance(running, RekeyIkeTask):  # both began at once: our answer decides (RFC 7296 2.8.1)
        running.rival = (new, min(their_nonce, nonce))
        session.others.append(new)
    else:
        _replace(session, new, now)


def _agree(old: Sa, new: Sa, chosen: Chosen, nonces: bytes, shared: bytes) -> None:
    """Keys of the new SA: the old one's PRF makes the seed, its own the rest (RFC 7296 2.18)."""
    assert old.chosen and old.chosen.prf and old.keys and chosen.prf
    seed = rekey_skeyseed(old.chosen.prf, old.keys.d, nonces, shared)
    keys = ike_keys(chosen.prf, chosen.protection, seed, nonces, new.spi_i + new.spi_r)
    new.use_keys(chosen, keys)
    new.session.emit(IkeKeysDerived(new.spi_i, new.spi_r, chosen, keys))


def _replace(session: Session, sa: Sa, now: float) -> None:
    session.adopt(sa, now)
    session.emit(IkeSaRekeyed(session.name, sa.spi_i, sa.spi_r, str(sa.chosen)))
    session.schedule_rekey(now)


def is_ike_rekey(payloads: tuple[Payload, ...]) -> bool:
    """Whether a CREATE_CHILD_SA request is for an IKE SA."""
    offer = find(payloads, SecurityAssociation)
    return offer is not None and any(each.protocol == Protocol.IKE for each in offer.proposals)
