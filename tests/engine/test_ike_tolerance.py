# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole sessions with a strange but lawful peer (RFC 7296 2.5).

Payloads in any order, unknown payloads, notifies and attributes, reserved bits set, another minor version: every
protected message of either side is rewritten.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count

import pytest

from mn_dsmip.crypto.suites import Opener, Sealer
from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import ChildSaClosed, ChildSaEstablished, IkeKeysDerived, IkeSaClosed, IkeSaRekeyed
from mn_dsmip.engine.ike.fragmentation import padded
from mn_dsmip.wire.ikev2 import Message, build_payloads, parse_payloads
from mn_dsmip.wire.ikev2_numbers import Exchange
from mn_dsmip.wire.ikev2_payloads import Attribute, Configuration, Encrypted, Notify, Payload, UnknownPayload
from tests.engine.ike_pair import FOR_HOME, Pair, initiator_config, responder_config, seeded
from tests.engine.test_ike_rekey import agree, rekey_child, rekey_ike

VENDOR_ID, PRIVATE_PAYLOAD, PRIVATE_STATUS, PRIVATE_ATTRIBUTE = 43, 200, 41000, 20000
RESERVED_FLAGS, MINOR_VERSION = 0xC7, 0x07
FLAGS, VERSION, RESERVED_BITS = 19, 17, 0x7F
Change = Callable[[list[Payload], random.Random], list[Payload]]


def reordered(payloads: list[Payload], chance: random.Random) -> list[Payload]:
    """Any order that keeps certificates in theirs: the first one holds the key (RFC 7296 3.6)."""
    kinds = sorted({type(each).__name__ for each in payloads}, key=lambda _: chance.random())
    return sorted(payloads, key=lambda each: kinds.index(type(each).__name__))


def with_strangers(payloads: list[Payload], chance: random.Random) -> list[Payload]:
    """Payloads, notifies and attributes that nobody has defined yet."""
    before: list[Payload] = [UnknownPayload(VENDOR_ID, False, b"us"), UnknownPayload(PRIVATE_PAYLOAD, False, b"new")]
    after: list[Payload] = [Notify(PRIVATE_STATUS, b"well"), Notify(PRIVATE_STATUS + 1)]
    return [*before, *map(_with_a_strange_attribute, payloads), *after]


def _with_a_strange_attribute(payload: Payload) -> Payload:
    if not isinstance(payload, Configuration):
        return payload
    return replace(payload, attributes=(Attribute(PRIVATE_ATTRIBUTE, b"?"), *payload.attributes))


def unchanged(payloads: list[Payload], chance: random.Random) -> list[Payload]:
    return payloads


class Stranger:
    """Sits between both ends of a pair with their keys, and rewrites what is protected."""

    def __init__(self, pair: Pair, change: Change, reserved: bool) -> None:
        self._pair, self._change, self._reserved = pair, change, reserved
        self._chance, self._numbers = random.Random(1), count(1 << 40)
        self.rewritten: set[tuple[int, bool]] = set()
        pair.disturb = self.disturb

    def disturb(self, number: int, datagram: UdpDatagram) -> Iterable[tuple[float, UdpDatagram]]:
        return [(Pair.DELAY, replace_payload(datagram, self._rewrite(datagram.payload)))]

    def _rewrite(self, octets: bytes) -> bytes:
        message = Message.parse(octets)
        sealed = message.payloads[-1] if message.payloads else None
        if not isinstance(sealed, Encrypted):
            return octets
        derived = next(
            each for each in (*self._pair.ue(IkeKeysDerived), *self._pair.gateway(IkeKeysDerived))
            if (each.initiator_spi, each.responder_spi) == (message.initiator_spi, message.responder_spi)
        )  # fmt: skip
        keys = derived.keys
        own = (keys.ei, keys.ai) if message.from_original_initiator else (keys.er, keys.ar)
        plaintext = Opener(derived.chosen.protection, *own).open(sealed.body, octets[: len(octets) - len(sealed.body)])
        payloads = list(parse_payloads(sealed.first_inner, plaintext[: -1 - plaintext[-1]]))
        first, inner = build_payloads(self._change(payloads, self._chance))
        sealer = Sealer(derived.chosen.protection, *own, seeded("stranger"))
        sealer._counter = next(self._numbers)  # no IV twice
        content = padded(with_reserved_bits(first, inner) if self._reserved else inner, sealer)
        associated = bytearray(message.associated_data(first, sealer.overhead() + len(content)))
        if self._reserved:
            associated[FLAGS] |= RESERVED_FLAGS
            associated[VERSION] |= MINOR_VERSION
            associated[-3] |= RESERVED_BITS
        self.rewritten.add((message.exchange, message.is_response))
        return bytes(associated) + sealer.seal(content, bytes(associated))


def replace_payload(datagram: UdpDatagram, octets: bytes) -> UdpDatagram:
    return UdpDatagram(
        datagram.source, datagram.source_port, datagram.destination, datagram.destination_port, octets
    )  # fmt: skip


def with_reserved_bits(first: int, octets: bytes) -> bytes:
    """Set the seven reserved bits of each payload's generic header (RFC 7296 3.2)."""
    changed, position = bytearray(octets), 0
    while position < len(changed):
        changed[position + 1] |= RESERVED_BITS
        position += int.from_bytes(changed[position + 2 : position + 4], "big")
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "reserved"),
    [(reordered, False), (with_strangers, False), (unchanged, True)],
    ids=["any order", "unknown payloads, notifies, attributes", "reserved bits, minor version"],
)
def test_a_whole_session(change: Change, reserved: bool) -> None:
    pair = Pair(initiator_config(), responder_config())
    stranger = Stranger(pair, change, reserved)
    pair.established()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    pair.initiator.check_liveness(pair.now)
    pair.settle()
    pair.quiet()
    for side in ("ue", "gateway"):
        rekey_child(pair, side)
        pair.run(1)
        rekey_ike(pair, side)
        pair.run(1)
        pair.initiator.check_liveness(pair.now)
        pair.settle()
        pair.quiet()
    assert len(pair.ue(ChildSaEstablished)) == len(pair.gateway(ChildSaEstablished)) == 4
    assert len(pair.ue(ChildSaClosed)) == len(pair.gateway(ChildSaClosed)) == 2
    assert len(pair.ue(IkeSaRekeyed)) == len(pair.gateway(IkeSaRekeyed)) == 2
    assert agree(pair)
    pair.initiator.delete(pair.now)
    pair.settle()
    pair.quiet()
    assert pair.ue(IkeSaClosed) and pair.gateway(IkeSaClosed)
    assert not pair.initiator.counters and not pair.responder.counters
    exchanges = (Exchange.IKE_AUTH, Exchange.CREATE_CHILD_SA, Exchange.INFORMATIONAL)
    assert stranger.rewritten == {(exchange, answer) for exchange in exchanges for answer in (False, True)}
