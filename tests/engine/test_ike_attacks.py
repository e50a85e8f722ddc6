# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that are old, foreign, cut, damaged or in clear: refused and counted, and the session goes on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import (
    IkeSaClosed,
)
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import (
    Delete,
    Notify,
    Payload,
)
from tests.engine.ike_pair import (
    GATEWAY,
    UE,
    Pair,
    to_gateway,
    to_ue,
)
from tests.engine.ike_trouble import ELSEWHERE, alive, deliver, from_gateway, request

# Old, foreign and cut messages


def test_every_message_replayed() -> None:
    pair = Pair().established()
    assert alive(pair)
    old = [datagram for _, datagram in pair.wire]
    events = {side: len(happened) for side, happened in pair.happened.items()}
    for datagram in old:
        pair.inject(datagram)
        pair.inject(datagram._replace(source=ELSEWHERE))
        pair.quiet()
    # The last request brings its stored answer, wherever it came from; nothing else is answered.
    assert [datagram.payload for _, datagram in pair.wire[len(old) :]] == [old[-1].payload] * 2
    assert {side: len(happened) for side, happened in pair.happened.items()} == events
    assert pair.responder.counters == {"ike-message-id": 8, "ike-repeated-request": 2}
    assert pair.initiator.counters == {"ike-unexpected-response": 5 + 2, "ike-unknown-spi": 5}
    [session] = pair.responder.sessions.values()
    assert session.path.remote == UE  # a replay moves nobody (RFC 7296 2.23)
    assert alive(pair)


def test_messages_of_an_earlier_session() -> None:
    earlier, pair = Pair(seed="earlier").established(), Pair().established()
    for _, datagram in earlier.wire[2:]:
        pair.inject(datagram)
    pair.quiet()
    assert pair.responder.counters == {"ike-unknown-spi": 3} and pair.initiator.counters == {"ike-unknown-spi": 3}
    assert len(pair.wire) == 8


def test_our_own_messages_reflected() -> None:
    pair = Pair().established()
    for _, datagram in pair.wire[2:]:
        pair.inject(to_ue(datagram.payload) if datagram.destination == GATEWAY else to_gateway(datagram.payload))
    pair.quiet()
    assert pair.initiator.counters == {"ike-reflected": 3} and pair.responder.counters == {"ike-unknown-spi": 3}
    header = Message.parse(pair.wire[3][1].payload)
    pair.inject(to_gateway(replace(header, initiator_spi=header.responder_spi).build()))
    pair.quiet()
    assert pair.responder.counters["ike-unknown-spi"] == 4
    assert alive(pair)


@pytest.mark.parametrize("ahead", [-5, -2, 1, 2, 1000, 2**31])
def test_message_ids_outside_the_window(ahead: int) -> None:
    """Genuine in every other respect (RFC 7296 2.3)."""
    pair = Pair().established()
    pair.initiator.current.next_id = 4
    for number in range(4, 8):
        assert deliver(pair, request(pair, ahead=number - 4)) == []  # empty answers
    pair.initiator.current.next_id = 8
    before = len(pair.wire)
    assert deliver(pair, request(pair, ahead=ahead)) == [] and len(pair.wire) == before
    assert pair.responder.counters == {"ike-message-id": 1}
    assert alive(pair)


@pytest.mark.parametrize("end", ["ue", "gateway"])
def test_forged_integrity(end: str) -> None:
    pair = Pair().established()
    genuine = request(pair, Delete(Protocol.IKE)) if end == "gateway" else from_gateway(pair, Delete(Protocol.IKE))
    for position in (28, 32, 40, -1):  # generic header, IV, ciphertext, ICV
        octets = bytearray(genuine.payload)
        octets[position] ^= 1
        pair.inject(genuine._replace(payload=bytes(octets)))
    pair.quiet()
    counters = pair.initiator.counters if end == "ue" else pair.responder.counters
    assert counters["ike-integrity"] + counters["ike-malformed"] + counters["ike-unprotected"] == 4
    assert counters["ike-integrity"] >= 3
    assert alive(pair)


def test_unprotected_messages_change_nothing() -> None:
    """RFC 7296 2.21.4, 1.5: notifies and deletions in clear are hints at most."""
    pair = Pair().established()
    spis = pair.initiator.current.spi_i, pair.initiator.current.spi_r
    content: list[tuple[Payload, ...]] = [
        (Delete(Protocol.IKE),),
        (Notify(NotifyType.INVALID_IKE_SPI),),
        (Notify(NotifyType.AUTHENTICATION_FAILED),),
        (Notify(NotifyType.INVALID_SPI, bytes(4)),),
        (),
    ]
    for payloads in content:
        for is_response in (False, True):
            for number in (0, 3, 4):
                message = Message(*spis, Exchange.INFORMATIONAL, number, payloads, False, is_response)
                pair.inject(to_ue(message.build()))
                pair.inject(to_gateway(replace(message, from_original_initiator=True).build()))
    pair.quiet()
    assert len(pair.wire) == 8
    assert sum(pair.initiator.counters.values()) == sum(pair.responder.counters.values()) == 30
    assert alive(pair)


def test_something_in_clear_beside_the_sealed_payload() -> None:
    pair = Pair().established()
    genuine = Message.parse(request(pair).payload)
    message = replace(genuine, payloads=(Notify(NotifyType.INITIAL_CONTACT), *genuine.payloads))
    before = len(pair.wire)
    pair.inject(to_gateway(message.build()))
    pair.quiet()
    assert len(pair.wire) == before and pair.responder.counters == {"ike-unprotected": 1}


def test_every_message_cut_everywhere() -> None:
    """At every length, with and without a header that agrees; then the genuine one, which still works."""
    pair = Pair()

    def disturb(number: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        octets = datagram.payload
        cut = [octets[:length] for length in range(0, len(octets), 7)]
        cut += [part[:24] + len(part).to_bytes(4, "big") + part[28:] for part in cut if len(part) >= 28]
        return [*((0.001, datagram._replace(payload=part)) for part in cut), (0.01, datagram)]

    pair.disturb = disturb
    pair.established()
    assert len(pair.wire) == 8
    assert pair.responder.counters["ike-malformed"] > 100 and pair.initiator.counters["ike-malformed"] > 100
    assert set(pair.responder.counters) <= {"ike-malformed", "ike-integrity", "ike-unknown-spi", "ike-unprotected"}
    assert alive(pair)


@given(st.binary(max_size=200), st.integers(0, 65535), st.booleans())
@settings(max_examples=200, deadline=None)
def test_noise(noise: bytes, port: int, shaped: bool) -> None:
    pair = NOISY
    if shaped:  # good enough to reach further code
        spis = pair.initiator.current.spi_i + pair.initiator.current.spi_r
        noise = spis + noise[:8].ljust(8, b"\x22") + (28 + len(noise[8:])).to_bytes(4, "big") + noise[8:]
    pair.responder.receive_datagram(UdpDatagram(UE, port, GATEWAY, 4500 if port % 2 else 500, noise), pair.now)
    pair.initiator.receive_datagram(UdpDatagram(GATEWAY, port, UE, 500, noise), pair.now)
    pair.responder.datagrams_to_send()
    assert pair.initiator.datagrams_to_send() == [] and not pair.initiator.closed


NOISY = Pair(seed="noise").established()


def test_damage_at_random_does_not_end_a_session() -> None:
    pair = Pair().established()
    source = random.Random(1)
    genuine = [request(pair, Delete(Protocol.IKE)), from_gateway(pair, Delete(Protocol.IKE))]
    for _ in range(500):
        datagram = source.choice(genuine)
        octets = bytearray(datagram.payload)
        octets[source.randrange(len(octets))] ^= source.randrange(1, 256)
        pair.inject(datagram._replace(payload=bytes(octets)))
    pair.quiet()
    assert not pair.ue(IkeSaClosed) and not pair.gateway(IkeSaClosed) and alive(pair)
