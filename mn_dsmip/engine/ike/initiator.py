# SPDX-License-Identifier: GPL-2.0-or-later
"""The UE's end of an IKE SA: one attempt with one home agent, and the SA that comes of it."""

from __future__ import annotations

from ...crypto.kdf import signed_octets
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import Exchange, NotifyType
from ...wire.ikev2_payloads import Notify, Payload
from ..base import IPAddress, Random, UdpDatagram
from .auth import AuthTask
from .child import ChildTask, covers
from .events import ChildSa, IkeFailed, IkeRedirected, InitiatorConfig, Refusal, Selectors
from .informational import DeleteChildTask, DeleteIkeTask, LivenessTask, answer_informational
from .init import InitTask
from .path import IKE_PORT, KEEPALIVE, NAT_T_PORT, NON_ESP_MARKER, Path
from .redirect import Redirect
from .rekey_child import answer_rekey_child, rekeyed
from .rekey_ike import answer_rekey_ike, is_ike_rekey
from .rules import check, notify
from .sa import Sa
from .session import Session


class IkeInitiator(Session):
    """Sets up an IKE SA from ``local`` to ``remote``: ``start``, then the five verbs with ``UdpDatagram``.

    The end is an ``IkeSaEstablished`` or an ``IkeFailed`` event; after it ``create_child``, ``check_liveness`` and
    ``delete`` may be called. What a hostile peer sends is counted in ``counters``.
    """

    def __init__(
        self, config: InitiatorConfig, local: IPAddress, remote: IPAddress, random: Random, now: float
    ) -> None:
        super().__init__(True, config.profile, Path(local, IKE_PORT, remote, IKE_PORT), config.timers, random, now)
        self.config = config

    def start(self, now: float) -> None:
        """Send IKE_SA_INIT; IKE_AUTH follows by itself."""
        self.queue(InitTask(self), now)
        self.queue(AuthTask(self), now)

    def create_child(self, selectors: Selectors, now: float) -> None:
        """Ask for a child SA; ``ChildSaEstablished`` or ``ChildSaFailed`` follows."""
        self.queue(ChildTask(self, selectors), now)

    def delete_child(self, spi: bytes, now: float) -> None:
        """Close the child SA with our inbound ``spi``."""
        self.queue(DeleteChildTask(self, spi), now)

    def delete(self, now: float, reason: str = "we closed the IKE SA") -> None:
        """Close the IKE SA; ``IkeSaClosed`` follows. Before it is established nothing needs to be said."""
        if self.established:
            self.queue(DeleteIkeTask(self, reason), now)
        else:
            super().close(reason, by_peer=False)

    def close(self, reason: str, by_peer: bool) -> None:
        """Close; an attempt that has not come to an IKE SA yet has thereby failed."""
        if self.established:
            super().close(reason, by_peer)
        else:
            self.fail(reason, "RFC 7296 2.21", None)

    def check_liveness(self, now: float) -> None:
        """Ask for a sign of life; a dead peer brings ``IkeSaClosed``."""
        if not self.tasks:
            self.queue(LivenessTask(self), now)

    def fail(self, reason: str, clause: str, notify: int | None, authentication: bool = False) -> None:
        """The attempt ends without an IKE SA."""
        if not self.closed:
            self.emit(IkeFailed(self.name, self.path.remote, reason, clause, authentication, notify))
            super().close(reason, by_peer=False)

    def leave_for(self, redirect: Redirect) -> None:
        """The attempt ends, because another gateway is to serve us."""
        if not self.closed:
            self.emit(IkeRedirected(self.name, self.path.remote, redirect.gateway, established=False))
            super().close("redirected", by_peer=True)

    def peer_signed(self, identity: bytes) -> bytes:
        """What the peer's AUTH covers, given the body of its ID payload."""
        assert self.chosen and self.chosen.prf and self.keys
        return signed_octets(self.chosen.prf, self.peer_first, self.own_nonce, self.keys.pr, identity)

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take a datagram that came to our IKE port."""
        payload = datagram.payload
        if NAT_T_PORT in (datagram.source_port, datagram.destination_port):
            if payload == KEEPALIVE:
                return
            if payload.startswith(NON_ESP_MARKER):
                payload = payload[len(NON_ESP_MARKER) :]
        try:
            message = Message.parse(payload)
        except WireError:
            self.counters["ike-malformed"] += 1
            return
        if datagram.source != self.path.remote:
            self.counters["ike-unknown-spi"] += 1
            return
        path = Path(datagram.destination, datagram.destination_port, datagram.source, datagram.source_port)
        self.receive(message, payload, path, now)

    def handle_request(self, sa: Sa, message: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """Answer the gateway's own requests; it may replace child SAs, but not open new ones towards a UE."""
        try:
            if message.exchange == Exchange.INFORMATIONAL:
                answer_informational(self, sa, message, payloads, now)
                self._take_redirect(payloads)
            elif message.exchange == Exchange.CREATE_CHILD_SA and self.established:
                self._create_child(sa, message, payloads, now)
            else:
                self.counters["ike-unexpected-request"] += 1
                sa.respond(message, [Notify(NotifyType.INVALID_SYNTAX)])
        except WireError as problem:
            self.counters["ike-malformed"] += 1
            sa.respond(message, [Notify(NotifyType.INVALID_SYNTAX)])
            self.close(f"the gateway's request is not acceptable: {problem}", by_peer=False)

    def _take_redirect(self, payloads: tuple[Payload, ...]) -> None:
        """The gateway wants to be rid of us: our user decides when (RFC 5685 5)."""
        told = notify(payloads, NotifyType.REDIRECT)
        if told is None or not self.established or self.closed:
            return
        try:
            gateway = Redirect.parse(told).gateway
        except WireError:
            self.counters["ike-malformed"] += 1
        else:
            self.emit(IkeRedirected(self.name, self.path.remote, gateway, established=True))

    def _create_child(self, sa: Sa, message: Message, payloads: tuple[Payload, ...], now: float) -> None:
        if is_ike_rekey(payloads):
            answer_rekey_ike(self, sa, message, payloads, now)
            return
        named = rekeyed(payloads)
        if named is None:
            sa.respond(message, [Notify(NotifyType.NO_ADDITIONAL_SAS)])
            return
        check(Exchange.CREATE_CHILD_SA, payloads)
        old = self.child_of_peer(named.spi)
        answer_rekey_child(self, sa, message, payloads, named, lambda asked: _as_before(old, asked))


def _as_before(old: ChildSa | None, asked: Selectors) -> Selectors | Refusal:
    """The selectors of a child SA that is replaced stay what they are (RFC 7296 2.9.2)."""
    if old and asked.transport == old.transport and covers(asked.local, old.local) and covers(asked.remote, old.remote):
        return Selectors(old.local, old.remote, old.transport)
    return Refusal(NotifyType.TS_UNACCEPTABLE, "the gateway wants other selectors for a child SA that it replaces")
