# SPDX-License-Identifier: GPL-2.0-or-later
"""The UE's end of an IKE SA: one attempt with one home agent, and the SA that comes of it."""

from __future__ import annotations

from ...crypto.kdf import signed_octets
from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import Exchange, NotifyType
from ...wire.ikev2_payloads import Notify, Payload
from ..base import Event, IPAddress, Random, UdpDatagram
from .auth import AuthTask
from .child import ChildTask
from .events import ChildSaClosed, ChildSaEstablished, IkeFailed, InitiatorConfig, Selectors
from .informational import DeleteChildTask, DeleteIkeTask, LivenessTask, answer_informational
from .init import InitTask
from .session import IKE_PORT, NAT_T_PORT, NON_ESP_MARKER, Path, Session


class IkeInitiator(Session):
    """Sets up an IKE SA from ``local`` to ``remote``: ``start``, then the five verbs with ``UdpDatagram``.

    The end is an ``IkeSaEstablished`` or an ``IkeFailed`` event; after it ``create_child``, ``check_liveness`` and
    ``delete`` may be called. What a hostile peer sends is counted in ``counters``.
    """

    def __init__(
        self, config: InitiatorConfig, local: IPAddress, remote: IPAddress, random: Random, now: float
    ) -> None:
        super().__init__(True, Path(local, IKE_PORT, remote, IKE_PORT), config.timers, random, now)
        self.config = config
        self._children: dict[bytes, bytes] = {}  # the peer's inbound SPI -> ours

    def start(self, now: float) -> None:
        """Send IKE_SA_INIT; IKE_AUTH follows by itself."""
        self.queue(InitTask(self), now)
        self.queue(AuthTask(self), now)

    def create_child(self, selectors: Selectors, now: float) -> None:
        """Ask for a child SA; ``ChildSaEstablished`` or ``ChildSaFailed`` follows."""
        self.queue(ChildTask(self, self.config.profile, selectors, self.delete_child), now)

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
            self.emit(IkeFailed(self.local_spi, self.path.remote, reason, clause, authentication, notify))
            super().close(reason, by_peer=False)

    def peer_signed(self, identity: bytes) -> bytes:
        """What the peer's AUTH covers, given the body of its ID payload."""
        assert self.chosen and self.chosen.prf and self.keys
        return signed_octets(self.chosen.prf, self.peer_first, self.own_nonce, self.keys.pr, identity)

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take a datagram that came to our IKE port."""
        payload = datagram.payload
        if NAT_T_PORT in (datagram.source_port, datagram.destination_port) and payload.startswith(NON_ESP_MARKER):
            payload = payload[4:]
        try:
            message = Message.parse(payload)
        except WireError:
            self.counters["ike-malformed"] += 1
            return
        known = self.spi_r in (message.responder_spi, bytes(8))
        if message.initiator_spi != self.spi_i or not known or datagram.source != self.path.remote:
            self.counters["ike-unknown-spi"] += 1
            return
        path = Path(datagram.destination, datagram.destination_port, datagram.source, datagram.source_port)
        self.receive(message, payload, path, now)

    def emit(self, event: Event) -> None:
        """Keep track of child SAs on the way to the user."""
        if isinstance(event, ChildSaEstablished):
            self._children[event.child.outbound_spi] = event.child.inbound_spi
        elif isinstance(event, ChildSaClosed):
            self._children = {out: own for out, own in self._children.items() if own != event.inbound_spi}
        super().emit(event)

    def handle_request(self, message: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """Answer the gateway's own requests; it may not open child SAs towards a UE."""
        if message.exchange == Exchange.INFORMATIONAL:
            answer_informational(self, message, payloads, self._children.get)
        elif message.exchange == Exchange.CREATE_CHILD_SA:
            self.respond(message, [Notify(NotifyType.NO_ADDITIONAL_SAS)])
        else:
            self.counters["ike-unexpected-request"] += 1
            self.respond(message, [Notify(NotifyType.INVALID_SYNTAX)])
