# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP: published packets, padding, the replay window against a plain model, and everything that must be refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.esp import LAST_SEQUENCE, REPLAY_WINDOW, EspError, InboundSa, OutboundSa
from mn_dsmip.crypto.kdf import ChildKeys
from mn_dsmip.crypto.suites import ENCRYPTION, INTEGRITY, Protection, Sealer
from tests.crypto.published import PROTECTIONS, constant, load, unhex

PACKETS = load("esp.json")["packets"]
SPI = unhex("c0000002")
each_protection = pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
GCM = PROTECTIONS["GCM-128"]


def keys(protection: Protection) -> ChildKeys:
    source = random.Random(3)
    return ChildKeys(
        source.randbytes(protection.encryption.key_length), source.randbytes(protection.integrity_key_length)
    )


def outbound(protection: Protection = GCM, sequence: int = 0) -> OutboundSa:
    sa = OutboundSa(SPI, protection, keys(protection), random.Random(4).randbytes)
    sa.sequence = sequence
    return sa


def inbound(protection: Protection = GCM) -> InboundSa:
    return InboundSa(SPI, protection, keys(protection))


def refused(sa: InboundSa, packet: bytes) -> str:
    """The word for which ``sa`` refuses ``packet``."""
    with pytest.raises(EspError) as error:
        sa.open(packet)
    return error.value.reason


@pytest.mark.parametrize("vector", PACKETS, ids=lambda vector: vector["name"])
def test_published_packet(vector):
    encryption = ENCRYPTION[vector["encryption"][0], vector["encryption"][1]]
    protection = Protection(encryption, INTEGRITY[vector["integrity"]] if vector["integrity"] else None)
    material = ChildKeys(unhex(vector["key"]), unhex(vector["integrity_key"]))
    spi, packet = unhex(vector["spi"]), unhex(vector["packet"])
    opened = InboundSa(spi, protection, material).open(packet)
    assert opened == (vector["next_header"], unhex(vector["payload"]))
    sa = OutboundSa(spi, protection, material, constant(unhex(vector.get("iv", ""))))
    for _ in range(vector["sequence"]):
        sealed = sa.seal(unhex(vector["payload"]), vector["next_header"])
    assert sealed == packet


@each_protection
def test_any_payload_arrives(protection):
    sender, receiver = outbound(protection), inbound(protection)
    for length in (*range(70), 1400, 65000):
        payload = random.Random(length).randbytes(length)
        packet = sender.seal(payload, 135)
        assert packet[:4] == SPI
        assert int.from_bytes(packet[4:8], "big") == sender.sequence
        assert len(packet) % 4 == 0  # RFC 4303 2.4: the ICV begins on a 4-octet boundary, and ours have whole words
        assert length < len(packet) <= length + sender.overhead()
        assert receiver.open(packet) == (135, payload)
    assert receiver.highest == sender.sequence == 72


@each_protection
def test_every_changed_octet_is_refused(protection):
    packet = outbound(protection).seal(b"payload", 135)
    for place in range(4, len(packet)):  # the SPI chose the SA; it is authenticated too, see below
        changed = packet[:place] + bytes((packet[place] ^ 0x10,)) + packet[place + 1 :]
        assert refused(inbound(protection), changed) == "esp-integrity"
    assert refused(inbound(protection), b"\xff" + packet[1:]) == "esp-integrity"


@each_protection
def test_every_truncation_is_refused(protection):
    packet = outbound(protection).seal(b"payload", 135)
    for length in range(len(packet)):
        assert refused(inbound(protection), packet[:length]) == ("esp-short" if length < 8 else "esp-integrity")


@each_protection
@given(st.binary(max_size=100))
def test_noise_is_refused(protection, noise):
    with pytest.raises(EspError):
        inbound(protection).open(noise)


def forged(plaintext: bytes, sequence: int = 1) -> bytes:
    """A genuine packet whose trailer the sender got wrong."""
    header = SPI + sequence.to_bytes(4, "big")
    return header + Sealer(GCM, keys(GCM).encryption, b"", random.Random(4).randbytes).seal(plaintext, header)


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\0",
        b"\x01\x87",  # one octet of padding that is not there
        b"abcd\x05\x87",  # five, four there
        b"abc\x02\x01\x87",  # not 1
        b"abc\x01\x03\x02\x87",  # not 1, 2
        b"abc\0\x01\x87",
        bytes(range(1, 255)) + b"\xff\x87",
    ],
)
def test_wrong_padding_is_refused(plaintext):
    sa = inbound()
    assert refused(sa, forged(plaintext)) == "esp-padding"
    assert sa.highest == 0


def test_long_padding_is_taken():
    """Up to 255 octets, to hide the length (RFC 4303 2.4)."""
    assert inbound().open(forged(b"abc" + bytes(range(1, 256)) + b"\xff\x87")) == (0x87, b"abc")
    assert inbound().open(forged(b"\0\x3b")) == (59, b"")


def test_padding_counts_from_one():
    """Seen in the clear through ENCR_NULL."""
    packet = outbound(PROTECTIONS["NULL SHA2-256"]).seal(b"12345", 135)
    assert packet[8:-16] == b"12345\x01\x01\x87"
    packet = outbound(PROTECTIONS["NULL SHA2-256"]).seal(b"123", 135)
    assert packet[8:-16] == b"123\x01\x02\x03\x03\x87"


def test_a_repeated_packet_is_refused():
    packet, sa = outbound().seal(b"once", 135), inbound()
    assert sa.open(packet) == (135, b"once")
    assert refused(sa, packet) == "esp-replay"


def test_a_forged_packet_does_not_move_the_window():
    """The window moves after authentication only (RFC 4303 3.4.3): a forger cannot shut out genuine packets."""
    sa, sender = inbound(), outbound()
    genuine = sender.seal(b"genuine", 135)
    far = SPI + (2**31).to_bytes(4, "big") + genuine[8:]
    assert refused(sa, far) == "esp-integrity"
    assert sa.highest == 0
    assert refused(sa, genuine[:-1] + bytes((genuine[-1] ^ 1,))) == "esp-integrity"
    assert sa.open(genuine) == (135, b"genuine")


def test_sequence_zero_is_refused():
    assert refused(inbound(), SPI + bytes(4) + bytes(40)) == "esp-sequence-zero"
    assert outbound().seal(b"", 59)[4:8] == b"\0\0\0\1"


def test_sequence_numbers_never_wrap():
    sender, receiver = outbound(sequence=LAST_SEQUENCE - 1), inbound()
    assert receiver.open(sender.seal(b"last", 135)) == (135, b"last")
    for _ in range(2):
        with pytest.raises(EspError, match="all its sequence numbers") as error:
            sender.seal(b"too many", 135)
        assert error.value.reason == "esp-sequence-overflow"
    assert sender.sequence == receiver.highest == LAST_SEQUENCE


@pytest.mark.parametrize("behind", [0, 1, 62, 63, 64, REPLAY_WINDOW - 2, REPLAY_WINDOW - 1, REPLAY_WINDOW])
def test_the_edge_of_the_window(behind):
    """A late packet is taken once within the window, not beyond."""
    sa, top = inbound(), 5000
    sa.open(outbound(sequence=top - 1).seal(b"top", 135))
    late = outbound(sequence=top - behind - 1).seal(b"late", 135)
    if 0 < behind < REPLAY_WINDOW:
        assert sa.open(late) == (135, b"late")
    assert refused(sa, late) == "esp-replay"
    assert sa.highest == top


@given(st.lists(st.integers(1, 3 * REPLAY_WINDOW), max_size=120), st.randoms(use_true_random=False))
def test_the_window_is_the_plain_rule(sequences, order):
    """Against the rule itself: new if never seen and less than a window behind the highest."""
    arriving = sequences + sequences
    order.shuffle(arriving)
    sa, seen, highest = inbound(PROTECTIONS["NULL SHA2-256"]), set(), 0
    for sequence in arriving:
        packet = outbound(PROTECTIONS["NULL SHA2-256"], sequence - 1).seal(b"", 59)
        if sequence in seen or sequence <= highest - REPLAY_WINDOW:
            assert refused(sa, packet) == "esp-replay"
        else:
            assert sa.open(packet) == (59, b"")
            seen.add(sequence)
            highest = max(highest, sequence)
        assert sa.highest == highest


def test_a_window_is_large_enough():
    assert REPLAY_WINDOW >= 64  # RFC 4303 3.4.3
