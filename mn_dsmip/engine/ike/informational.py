# SPDX-License-Identifier: GPL-2.0-or-later
"""INFORMATIONAL exchanges that either side starts: signs of life and deletions (RFC 7296 1.4, 2.4)."""

from __future__ import annotations

from collections.abc import Callable

from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import Exchange, NotifyType, Protocol
from ...wire.ikev2_payloads import Delete, Notify, Payload
from .events import ChildSaClosed
from .session import Progress, Session


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
        self._spi = spi

    def build(self, now: float) -> list[Payload]:
        """The request."""
        return [Delete(Protocol.ESP, (self._spi,))]

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """The peer closed its half."""
        self._session.emit(ChildSaClosed(self._session.local_spi, self._spi))
        return Progress.DONE


def answer_informational(
    session: Session, request: Message, payloads: tuple[Payload, ...], our_half: Callable[[bytes], bytes | None]
) -> None:
    """Answer a peer's INFORMATIONAL; ``our_half`` gives the inbound SPI that belongs to one of its own."""
    answer: list[Payload] = []
    for delete in (each for each in payloads if isinstance(each, Delete)):
        if delete.protocol == Protocol.IKE:
            session.respond(request, [])
            session.close("the peer closed the IKE SA", by_peer=True)
            return
        ours = [spi for each in delete.spis if (spi := our_half(each)) is not None]
        if ours:
            answer.append(Delete(Protocol.ESP, tuple(ours)))
        for spi in ours:
            session.emit(ChildSaClosed(session.local_spi, spi))
    fatal = next((each for each in payloads if isinstance(each, Notify) and each.notify_type in _FATAL), None)
    session.respond(request, answer)
    if fatal is not None:
        session.close(f"the peer reports {NotifyType(fatal.notify_type).name}", by_peer=True)


_FATAL = (NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX)
"""Authenticated errors that end the IKE SA without a DELETE (RFC 7296 2.21.2, 2.21.3)."""
