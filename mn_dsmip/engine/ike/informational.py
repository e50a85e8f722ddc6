# SPDX-License-Identifier: GPL-2.0-or-later
"""INFORMATIONAL exchanges that either side starts: signs of life and deletions (RFC 7296 1.4, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import Exchange, NotifyType, Protocol
from ...wire.ikev2_payloads import Delete, Notify, Payload
from .events import ChildSaClosed
from .sa import Progress, Sa
from .sentences import complaint

if TYPE_CHECKING:
    from .session import Session


class LivenessTask:
    """An empty request: is the peer alive?"""

    exchange = Exchange.INFORMATIONAL

    def __init__(self, session: Session) -> None:
        self._session = session

    def build(self, now: float) -> list[Payload]:
        """No payload at all."""
        return []

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Any answer will do."""
        return Progress.DONE

    def timed_out(self, now: float) -> None:
        """The peer is dead, and all its SAs with it."""
        self._session.close("the peer does not answer any more", by_peer=False)


class DeleteIkeTask(LivenessTask):
    """Close the IKE SA; whatever the peer says, it is closed afterwards."""

    def __init__(self, session: Session, reason: str) -> None:
        super().__init__(session)
        self._reason = reason

    def build(self, now: float) -> list[Payload]:
        """The request."""
        return [Delete(Protocol.IKE)]

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """The peer confirmed."""
        self._session.close(self._reason, by_peer=False)
        return Progress.DONE

    def timed_out(self, now: float) -> None:
        """Nobody is left who could object."""
        self._session.close(f"{self._reason}; the peer did not confirm", by_peer=False)


class DeleteChildTask(LivenessTask):
    """Close a child SA, named by our inbound SPI."""

    def __init__(self, session: Session, spi: bytes) -> None:
        super().__init__(session)
        self.spi = spi

    def build(self, now: float) -> list[Payload]:
        """The request."""
        return [Delete(Protocol.ESP, (self.spi,))]

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """The peer closed its half."""
        self._session.emit(ChildSaClosed(self._session.name, self.spi))
        return Progress.DONE


def answer_informational(session: Session, sa: Sa, request: Message, payloads: tuple[Payload, ...], now: float) -> None:
    """Answer a peer's INFORMATIONAL."""
    answer: list[Payload] = []
    for delete in (each for each in payloads if isinstance(each, Delete)):
        if delete.protocol == Protocol.IKE:
            _close_sa(session, sa, request, now)
            return
        if delete.protocol != Protocol.ESP:
            continue
        closing = sa.running.spi if isinstance(sa.running, DeleteChildTask) else None  # both at once: RFC 7296 2.25.1
        named = [
            child.inbound_spi for spi in dict.fromkeys(delete.spis) if (child := session.child_of_peer(spi)) is not None
        ]
        ours = [spi for spi in named if spi != closing]
        if ours:
            answer.append(Delete(Protocol.ESP, tuple(ours)))
        for spi in ours:
            session.emit(ChildSaClosed(session.name, spi))
    fatal = next((each for each in payloads if isinstance(each, Notify) and each.notify_type in _FATAL), None)
    sa.respond(request, answer)
    if fatal is not None:
        session.close(complaint(fatal), by_peer=True)


def _close_sa(session: Session, sa: Sa, request: Message, now: float) -> None:
    """The peer closes an IKE SA: one that is replaced goes alone, the current one ends the session."""
    sa.respond(request, [])
    if sa is session.current:
        session.succeed(sa, now)
    if sa is session.current:
        session.close("the peer closed the IKE SA", by_peer=True)
    else:
        sa.close()
        session.retire(sa, now)


_FATAL = (NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX)
"""Authenticated errors that end the IKE SA without a DELETE (RFC 7296 2.21.2, 2.21.3)."""
