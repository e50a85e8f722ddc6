# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP packets and EAP-AKA attributes: published octets, round trips, every truncation, nonsense."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.wire import eap, eap_mac
from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.eap import AkaPacket, Code, Method, Packet, Subtype, UnknownAttribute
from tests.wire.eap_samples import ATTRIBUTES, CHALLENGE, EXCHANGE, LAYOUTS, PUBLISHED, packets


def packet(*attributes: str, subtype: int = 1) -> Packet:
    """A response whose attributes are given as octets."""
    return Packet(Code.RESPONSE, 7, Method.AKA, bytes((subtype, 0, 0)) + bytes.fromhex("".join(attributes)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name):
    octets = bytes.fromhex(EXCHANGE[name])
    assert AkaPacket.parse(Packet.parse(octets)) == PUBLISHED[name]
    assert PUBLISHED[name].build() == octets


@pytest.mark.parametrize(("octets", "attribute"), LAYOUTS.items(), ids=LAYOUTS)
def test_layout(octets, attribute):
    parsed = AkaPacket.parse(packet(octets))
    assert parsed.attributes == (attribute,)
    assert parsed.get(type(attribute)) == attribute
    assert parsed.build()[8:] == bytes.fromhex(octets)


def test_every_registered_attribute_is_laid_out_here():
    assert {type(each) for each in LAYOUTS.values()} == {*eap.ATTRIBUTES.values(), eap.SkippableAttribute}
    assert set(ATTRIBUTES) == set(eap.ATTRIBUTES)
    assert all(bytes.fromhex(octets)[0] == each.number for octets, each in LAYOUTS.items() if hasattr(each, "number"))


@given(packets)
def test_round_trip(made):
    octets = made.build()
    assert int.from_bytes(octets[2:4], "big") == len(octets)
    assert AkaPacket.parse(Packet.parse(octets)) == made
    assert AkaPacket.parse(Packet.parse(octets)).build() == octets


@given(packets)
def test_every_truncation(made):
    """Without a corrected length nothing parses; with one, only what ends between two attributes."""
    octets = made.build()
    boundaries = {8: 0}
    for count in range(1, len(made.attributes) + 1):
        boundaries[len(AkaPacket(1, 1, 23, 1, made.attributes[:count]).build())] = count
    for length in range(len(octets)):
        with pytest.raises(WireError):
            Packet.parse(octets[:length])
        if length < 5:
            continue
        corrected = Packet.parse(octets[:2] + length.to_bytes(2, "big") + octets[4:length])
        if length in boundaries:
            assert AkaPacket.parse(corrected).attributes == made.attributes[: boundaries[length]]
        else:
            with pytest.raises(WireError):
                AkaPacket.parse(corrected)


@given(st.binary(max_size=120))
def test_noise(noise):
    """Whatever parses as an EAP packet is written back unchanged; nothing but a ``WireError`` comes out."""
    try:
        parsed = Packet.parse(noise)
    except WireError:
        return
    assert parsed.build() == noise


@given(st.binary(max_size=80), st.integers(0, 255))
def test_noise_as_attributes(noise, subtype):
    """What parses is complete: writing it gives the same values again."""
    try:
        parsed = AkaPacket.parse(Packet(Code.REQUEST, 1, Method.AKA, bytes((subtype, 0, 0)) + noise))
    except WireError:
        return
    assert AkaPacket.parse(Packet.parse(parsed.build())) == parsed
    assert len(parsed.build()) == 8 + len(noise)


def test_success_and_failure_have_four_octets():
    assert Packet.parse(bytes.fromhex("03010004")) == Packet(Code.SUCCESS, 1)
    assert Packet(Code.FAILURE, 9).build() == bytes.fromhex("04090004")
    for octets in ("0301000500", "0301000817050000", "0401000500"):
        with pytest.raises(WireError, match="EAP code [34] with"):
            Packet.parse(bytes.fromhex(octets))


def test_other_codes_and_requests_without_type_are_refused():
    for octets in ("00010004", "01010004", "02010004", "0501000517", "ff01000517"):
        with pytest.raises(WireError, match=r"EAP code \d+ with"):
            Packet.parse(bytes.fromhex(octets))


def test_the_length_must_be_that_of_the_packet():
    for length in (0, 4, 67, 69, 0xFFFF):
        with pytest.raises(WireError, match=f"EAP length {length} in 68 octets"):
            Packet.parse(CHALLENGE[:2] + length.to_bytes(2, "big") + CHALLENGE[4:])


def test_packets_of_other_methods_are_kept():
    octets = bytes.fromhex("0105 000a 01 68656c6c6f".replace(" ", ""))
    parsed = Packet.parse(octets)
    assert parsed == Packet(Code.REQUEST, 5, Method.IDENTITY, b"hello")
    assert parsed.build() == octets


def test_reserved_octets_are_written_as_zero_and_ignored():
    """RFC 4187 8.1 and section 10, wherever it says reserved."""
    loud = bytes.fromhex("0101 0018 17 01 ffff 0105 abcd".replace(" ", "")) + bytes(16)
    loud = loud[:2] + len(loud).to_bytes(2, "big") + loud[4:]
    parsed = AkaPacket.parse(Packet.parse(loud))
    assert parsed.attributes == (eap.Rand(bytes(16)),)
    assert parsed.build() == loud[:6] + bytes(2) + loud[8:10] + bytes(18)
    assert AkaPacket.parse(packet("8601ffff")).attributes == (eap.Checkcode(),)


def test_unknown_attributes():
    """0 to 127 must not be skipped, 128 to 255 may be (RFC 4187 8.1)."""
    for number in range(256):
        octets = f"{number:02x}0112340a010000"
        if number in eap.ATTRIBUTES:
            continue
        if number < 128:
            with pytest.raises(UnknownAttribute, match=f"attribute {number} is unknown and must not be skipped"):
                AkaPacket.parse(packet(octets))
        else:
            kept = eap.SkippableAttribute(number, b"\x12\x34")
            assert AkaPacket.parse(packet(octets)).attributes == (kept, eap.PermanentIdReq())


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("01", "reaches beyond"),
        ("0100", "reaches beyond"),
        ("01000000", "reaches beyond"),
        ("0105", "reaches beyond"),
        ("0a02 0000", "reaches beyond"),
        ("0a02 0000 00000000", "PermanentIdReq of 6 octets"),
        ("0104 0000" + 12 * "00", "Rand of 14 octets"),
        ("0106 0000" + 20 * "00", "Rand of 22 octets"),
        ("0403 " + 10 * "00", "Auts of 10 octets"),
        ("0b01 0000", "Mac of 2 octets"),
        ("0302 0018 000000", "reaches beyond"),
        ("0302 0018 00000000", "RES of 24 bits"),
        ("0302 0021 00000000", "RES of 33 bits"),
        ("0306 0088" + 20 * "00", "RES of 136 bits"),
        ("0302 0040 00000000", "8 octets of value in an attribute of 6"),
        ("0304 0040 0000000000000000 00000000", "8 octets of value in an attribute of 14"),
        ("0303 0028 0001020304 000100", "5 octets of value"),
        ("0e02 0005 30303140", "5 octets of value in an attribute of 6"),
        ("0e02 ffff 30303140", "65535 octets of value"),
        ("0e02 0003 30303140", "3 octets of value"),
        ("0e03 0004 30303140 00000000", "4 octets of value in an attribute of 10"),
        ("1702 0005 574c414e", "5 octets of value"),
        ("1802 0001 00000000", "Kdf of 6 octets"),
        ("8104 0000" + 12 * "00", "Iv of 14 octets"),
        ("8802 8000 00000000", "Bidding of 6 octets"),
    ],
)
def test_malformed_attributes(octets, message):
    with pytest.raises(WireError, match=message):
        AkaPacket.parse(packet(octets.replace(" ", "")))


def test_packets_without_subtype_are_refused():
    for data in (b"", b"\x01", b"\x01\0"):
        with pytest.raises(WireError, match="octets of data"):
            AkaPacket.parse(Packet(Code.REQUEST, 1, Method.AKA, data))


def test_what_does_not_fit_is_not_written():
    for wrong in (eap.Rand(bytes(15)), eap.Auts(bytes(16)), eap.EncrData(b"abc"), eap.Identity(bytes(1020)),
                  eap.SkippableAttribute(200, bytes(4)), eap.Kdf(65536)):  # fmt: skip
        with pytest.raises(ValueError, match=r"octets|belong|format"):
            AkaPacket(Code.REQUEST, 1, Method.AKA, 1, (wrong,)).build()


def test_repeated_attributes_are_seen():
    parsed = AkaPacket.parse(packet("18010001", "18010002", "18010001"))
    assert parsed.all(eap.Kdf) == [eap.Kdf(1), eap.Kdf(2), eap.Kdf(1)]
    assert parsed.get(eap.Kdf) == eap.Kdf(1)
    assert parsed.get(eap.Mac) is None


def test_known_numbers_have_names():
    parsed = AkaPacket.parse(packet("0c018000"))
    notification = parsed.get(eap.Notification)
    assert notification is not None
    assert notification.code is eap.NotificationCode.SUCCESS
    assert [int(each) for each in Subtype] == [1, 2, 4, 5, 12, 13, 14]


def hmac_sha1(octets: bytes) -> bytes:
    return hmac.digest(bytes.fromhex(EXCHANGE["k_aut"]), octets, hashlib.sha1)


@pytest.mark.parametrize("name", ["challenge_request", "challenge_response"])
def test_mac_of_the_worked_exchange(name):
    octets = bytes.fromhex(EXCHANGE[name])
    cleared, mac = eap_mac.without_mac(octets)
    assert (len(cleared), cleared[-16:], mac) == (len(octets), bytes(16), octets[-16:])
    assert eap_mac.with_mac(cleared, hmac_sha1) == octets


def test_mac_is_found_among_other_attributes():
    made = AkaPacket(
        Code.REQUEST,
        1,
        Method.AKA,
        Subtype.CHALLENGE,
        (eap.Identity(b"\x0b\x05\0\0" * 6), eap.Mac(), eap.SkippableAttribute(200, b"\x0b\x05" * 5)),
    )
    octets = made.build()
    place = eap_mac.mac_offset(octets)
    assert place == 8 + 28 + 4
    sealed = eap_mac.with_mac(octets, lambda _: b"M" * 20)
    assert sealed == octets[:place] + b"M" * 16 + octets[place + 16 :]
    assert eap_mac.without_mac(sealed) == (octets, b"M" * 16)


def test_without_mac_attribute_there_is_no_mac():
    octets = PUBLISHED["synchronization_failure"].build()
    with pytest.raises(WireError, match="AT_MAC is missing"):
        eap_mac.without_mac(octets)
    with pytest.raises(ValueError, match="no AT_MAC"):
        eap_mac.with_mac(octets, hmac_sha1)
