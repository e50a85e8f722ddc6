# SPDX-License-Identifier: GPL-2.0-or-later
"""Rekeying a child SA, from both sides, and what happens when both begin at once (RFC 7296 1.3.3, 2.8, 2.25)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...crypto.groups import Group
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import NotifyType, Protocol
from ...wire.ikev2_payloads import Nonce, Notify, Payload
from .child import NONCE_LENGTH, ChildTask, accept_child, announce, check_nonce
from .events import ChildSa, ChildSaClosed, Refusal, RekeyFailed, Selectors
from .informational import DeleteChildTask, DeleteIkeTask
from .rekey_ike import RekeyIkeTask
from .rules import find, need
from .sa import Sa

if TYPE_CHECKING:
    from .session import Session


class RekeyChildTask(ChildTask):
    """Replace a child SA by a new one with the same selectors, then close it."""

    def __init__(self, session: Session, old: ChildSa, group: Group | None = None) -> None:
        super().__init__(session, Selectors(old.local, old.remote, old.transport), group or old.group)
        self.old = old
        self.rival: tuple[ChildSa, bytes] | None = None
        """The child SA that the peer made of its own request meanwhile, and the lower nonce of that exchange."""

    def build(self, now: float) -> list[Payload]:
        """The request names the old SA by the SPI that we receive with."""
        rekey = Notify(NotifyType.REKEY_SA, protocol=Protocol.ESP, spi=self.old.inbound_spi)
        return [rekey, *super().build(now)]

    def _made(self, child: ChildSa, payloads: tuple[Payload, ...], now: float) -> None:
        session = self._session
        announce(session, child, first=False, replaces=self.old.inbound_spi)
        lowest = min(self._nonce, need(payloads, Nonce).data)
        redundant = self.rival is not None and lowest < self.rival[1]  # RFC 7296 2.8.1
        session.queue(DeleteChildTask(session, (child if redundant else self.old).inbound_spi), now)

    def _failed(self, sentence: str, clause: str, kind: int | None, now: float) -> None:
        session = self._session
        if self.rival is not None:
            return
        if kind == NotifyType.TEMPORARY_FAILURE:
            session.try_again(now, lambda then: session.rekey_child(self.old.inbound_spi, then))
        elif kind == NotifyType.NO_PROPOSAL_CHOSEN and not self._share and session.chosen and session.chosen.group:
            session.queue(RekeyChildTask(session, self.old, session.chosen.group), now)  # it insists on a group
        elif kind == NotifyType.CHILD_SA_NOT_FOUND:  # the peer has closed it already: a new one (RFC 7296 2.25.1)
            session.emit(ChildSaClosed(session.name, self.old.inbound_spi))
            session.queue(ChildTask(session, self._selectors), now)
        else:
            session.emit(RekeyFailed(session.name, f"a child SA cannot be rekeyed: {sentence}", clause))


def answer_rekey_child(
    session: Session,
    sa: Sa,
    request: Message,
    payloads: tuple[Payload, ...],
    rekey: Notify,
    allow: Callable[[Selectors], Selectors | Refusal],
) -> None:
    """Answer a peer that wants a new child SA in place of the one it receives with ``rekey.spi``."""
    old = session.child_of_peer(rekey.spi)
    if old is None:
        missing = Notify(NotifyType.CHILD_SA_NOT_FOUND, protocol=Protocol.ESP, spi=rekey.spi)
        sa.respond(request, [missing])
        return
    if sa is not session.current or _going(sa, old):
        sa.respond(request, [Notify(NotifyType.TEMPORARY_FAILURE)])
        return
    their_nonce, nonce = check_nonce(need(payloads, Nonce)), session.random(NONCE_LENGTH)
    answer, made = accept_child(session, payloads, their_nonce, nonce, allow)
    sa.respond(request, answer)
    if not isinstance(made, ChildSa):
        if made is not None:
            session.emit(made)
        return
    announce(session, made, first=False, replaces=old.inbound_spi, standby=True)
    running = sa.running
    if isinstance(running, RekeyChildTask) and running.old is old:
        running.rival = (made, min(their_nonce, nonce))


def _going(sa: Sa, old: ChildSa) -> bool:
    """Whether we are closing that child SA, or replacing or closing its IKE SA (RFC 7296 2.25.1)."""
    if isinstance(sa.running, (DeleteIkeTask, RekeyIkeTask)):
        return True
    return any(isinstance(task, DeleteChildTask) and task.spi == old.inbound_spi for task in sa.tasks)


def rekeyed(payloads: tuple[Payload, ...]) -> Notify | None:
    """The notify that names the child SA to be replaced."""
    found = [each for each in payloads if isinstance(each, Notify) and each.notify_type == NotifyType.REKEY_SA]
    return found[0] if found and find(payloads, Nonce) else None
