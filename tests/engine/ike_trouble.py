# SPDX-License-Identifier: GPL-2.0-or-later
"""Trouble for an IKE initiator and responder: gateways that say what the test wants, attempts that must fail."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from mn_dsmip.crypto.certs import Identity
from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeFailed, IkeSaEstablished, InitiatorConfig
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange
from mn_dsmip.wire.ikev2_payloads import Payload
from tests.engine.ike_pair import FOR_HOME, GATEWAY, Pair, Policy, initiator_config, responder_config, to_ue

ELSEWHERE = IPv6Address("2001:db8:bad::1")


def init_request(pair: Pair) -> Message:
    """The UE's first message."""
    return Message.parse(pair.wire[0][1].payload)


def answered(pair: Pair, *payloads: Payload, spi: bytes = bytes(8), source: IPv6Address = GATEWAY) -> UdpDatagram:
    """Something that claims to answer the UE's IKE_SA_INIT."""
    ispi = init_request(pair).initiator_spi
    return to_ue(Message(ispi, spi, Exchange.IKE_SA_INIT, 0, payloads, False, True).build(), source)


def silent() -> Pair:
    """A UE that has begun, and a gateway whose answers the test writes."""
    pair = Pair()
    pair.disturb = lambda number, datagram: []
    return pair.start()


def fresh_request(number: int) -> bytes:
    """An IKE_SA_INIT that nobody goes on with."""
    other = Pair(seed=f"stranger {number}")
    other.disturb = lambda *_: []
    return other.start().wire[0][1].payload


def nobody_in(pair: Pair) -> IkeFailed:
    """The attempt has ended without an IKE SA at either end; the UE's event."""
    assert not pair.ue(IkeSaEstablished) and pair.initiator.closed
    pair.run()
    assert not pair.responder.sessions
    [failed] = pair.ue(IkeFailed)
    return failed


def attempt(
    config: InitiatorConfig | None = None, identity: Identity | None = None, policy: Policy | None = None
) -> Pair:
    responder = responder_config(**({"identity": identity} if identity else {}))
    return Pair(config or initiator_config(), responder, policy).start().quiet()


def change_answer(number: int, change: Callable[[list[Payload]], list[Payload]], pair: Pair) -> None:
    """Replace the payloads of message ``number``, as a gateway with the right keys but the wrong content would."""

    def disturb(sent: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        if sent == number:
            message, payloads = pair.look(datagram)
            datagram = pair.forge(message, change(payloads))
        return [(0.01, datagram)]

    pair.disturb = disturb


def replaced(kind: type[Payload], *new: Payload) -> Callable[[list[Payload]], list[Payload]]:
    def change(payloads: list[Payload]) -> list[Payload]:
        position = next(index for index, each in enumerate(payloads) if isinstance(each, kind))
        return [*payloads[:position], *new, *payloads[position + 1 :]]

    return change


def alive(pair: Pair) -> bool:
    """Both ends still have their SA, and it works."""
    before = len(pair.ue(ChildSaEstablished))
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.run(30, lambda: not pair.initiator.tasks)
    return len(pair.ue(ChildSaEstablished)) == len(pair.gateway(ChildSaEstablished)) == before + 1


def request(pair: Pair, *payloads: Payload, exchange: int = Exchange.INFORMATIONAL, ahead: int = 0) -> UdpDatagram:
    """The UE's next request with any content."""
    number = pair.initiator.current.next_id + ahead
    header = Message(pair.initiator.current.spi_i, pair.initiator.current.spi_r, exchange, number, (), True, False)
    return pair.forge(header, list(payloads))


def from_gateway(
    pair: Pair, *payloads: Payload, exchange: int = Exchange.INFORMATIONAL, number: int = 0
) -> UdpDatagram:
    """A request of the gateway with any content."""
    header = Message(pair.initiator.current.spi_i, pair.initiator.current.spi_r, exchange, number, (), False, False)
    return pair.forge(header, list(payloads))


def deliver(pair: Pair, datagram: UdpDatagram) -> list[Payload]:
    """What is answered, opened."""
    before = len(pair.wire)
    pair.inject(datagram)
    pair.quiet()
    new = [each for _, each in pair.wire[before:]]
    assert len(new) <= 1
    return pair.look(new[0])[1] if new else []
