# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 messages: published vectors, round trips, damage."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mn_dsmip.engine.ike.path import nat_hash
from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.ikev2 import Message, build_payloads, parse_payloads
from mn_dsmip.wire.ikev2_numbers import CfgAttribute, Exchange, NotifyType, PayloadType, Protocol
from mn_dsmip.wire.ikev2_payloads import (
    PAYLOADS,
    Attribute,
    Configuration,
    Delete,
    Encrypted,
    EncryptedFragment,
    HomeAgentAddress,
    HomePrefix,
    KeyExchange,
    Nonce,
    Notify,
    Payload,
    SecurityAssociation,
    TrafficSelector,
    TrafficSelectorsInitiator,
    UnknownPayload,
)
from mn_dsmip.wire.ikev2_proposals import Proposal, Transform
from tests.wire.ikev2_samples import (
    HOME,
    HOME_AGENT,
    MESSAGES,
    PAYLOAD_STRATEGIES,
    PUBLISHED,
    SEALED_STRATEGIES,
    VECTORS,
    any_messages,
    any_payload,
    content,
    opened,
)

SINGLE = VECTORS["single"]


@pytest.mark.parametrize("name", MESSAGES)
def test_published_messages_read_and_build(name: str) -> None:
    message, first, octets = opened(name)
    assert message.build() == MESSAGES[name]
    assert parse_payloads(first, octets) == tuple(PUBLISHED[name])
    assert build_payloads(PUBLISHED[name]) == (first, octets)


def test_published_headers() -> None:
    headers = [Message.parse(octets) for octets in MESSAGES.values()]
    exchanges = [Exchange.IKE_SA_INIT] * 2 + [Exchange.IKE_AUTH] * 6
    exchanges += [Exchange.CREATE_CHILD_SA] * 2 + [Exchange.INFORMATIONAL] * 2
    assert [each.exchange for each in headers] == exchanges
    assert [each.message_id for each in headers] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [each.from_original_initiator for each in headers] == [True, False] * 6
    assert [each.is_response for each in headers] == [False, True] * 6
    assert {each.initiator_spi.hex() for each in headers} == {"1122334455667788"}
    assert [each.responder_spi.hex() for each in headers] == [16 * "0"] + ["99aabbccddeeff00"] * 11


def test_published_single_values() -> None:
    for name in ("nat_detection_ipv4", "nat_detection_ipv6"):
        vector = SINGLE[name]
        spis = bytes.fromhex(vector["initiator_spi"]), bytes.fromhex(vector["responder_spi"])
        assert nat_hash(*spis, ip_address(vector["address"]), vector["port"]).hex() == vector["hash"]
    update = TrafficSelector(135, 0x0500, 0x0500, HOME, HOME)  # MH type 5 stands in the upper octet
    answer = TrafficSelector(135, 0x0600, 0x0600, HOME_AGENT, HOME_AGENT)
    assert update.build().hex() == SINGLE["selector_binding_update"]
    assert answer.build().hex() == SINGLE["selector_binding_acknowledgement"]
    prefix = HomePrefix(86400, IPv6Address("2001:db8:1:1::"), 64)
    agent = HomeAgentAddress(HOME_AGENT, IPv4Address("192.0.2.1"))
    for value, name in (
        (Attribute(CfgAttribute.MIP6_HOME_PREFIX), "home_prefix_request"),
        (Attribute(CfgAttribute.MIP6_HOME_PREFIX, prefix.build()), "home_prefix_reply"),
        (Attribute(CfgAttribute.HOME_AGENT_ADDRESS, agent.build()), "home_agent_address_reply"),
    ):
        assert Configuration(1, (value,)).build()[4:].hex() == SINGLE[name]
    for payload, name in (
        (Notify(NotifyType.REDIRECT_SUPPORTED), "redirect_supported"),
        (Notify(NotifyType.REDIRECT, b"\x02\x10" + IPv6Address("2001:db8:aaaa::2").packed), "redirect"),
        (Notify(NotifyType.REDIRECTED_FROM, b"\x02\x10" + HOME_AGENT.packed), "redirected_from"),
        (Delete(Protocol.IKE), "delete_ike"),
        (Delete(Protocol.ESP, (bytes.fromhex("c0000002"),)), "delete_esp"),
    ):
        assert payload.build().hex() == SINGLE[name]
        assert type(payload).parse(bytes.fromhex(SINGLE[name])) == payload


def test_home_agent_address_with_and_without_ipv4() -> None:
    for value in (HomeAgentAddress(HOME_AGENT), HomeAgentAddress(HOME_AGENT, IPv4Address("192.0.2.1"))):
        assert HomeAgentAddress.parse(value.build()) == value
    with pytest.raises(WireError, match="HOME_AGENT_ADDRESS of 17 octets, 16 or 20 expected"):
        HomeAgentAddress.parse(bytes(17))


def test_every_known_payload_is_tried() -> None:
    assert set(PAYLOAD_STRATEGIES) == set(PAYLOADS)
    assert set(PAYLOAD_STRATEGIES) | set(SEALED_STRATEGIES) == set(PayloadType) - {PayloadType.NONE}


@given(any_messages)
@settings(max_examples=300)
def test_messages_survive_the_round_trip(message: Message) -> None:
    assert Message.parse(message.build()) == message


@pytest.mark.parametrize("kind", PAYLOAD_STRATEGIES)
@given(data=st.data())
@settings(max_examples=40)
def test_payloads_survive_the_round_trip(kind: int, data: st.DataObject) -> None:
    payload = data.draw(PAYLOAD_STRATEGIES[kind])
    assert payload.number == kind
    first, octets = build_payloads([payload])
    assert first == kind
    assert parse_payloads(first, octets) == (payload,)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_truncation_is_refused(name: str) -> None:
    octets = MESSAGES[name]
    for length in range(len(octets)):
        with pytest.raises(WireError):
            Message.parse(octets[:length])
        with pytest.raises(WireError):  # the same with a length in the header that fits
            Message.parse(octets[:24] + struct.pack("!I", length) + octets[28:length])
    _, first, inner = opened(name)
    for length in range(len(inner)):
        with pytest.raises(WireError):
            parse_payloads(first, inner[:length])


@given(any_payload, st.data())
@settings(max_examples=300)
def test_a_shortened_body_is_refused_or_another_body(payload: Payload, data: st.DataObject) -> None:
    body = payload.build()
    shorter = body[: data.draw(st.integers(0, max(len(body) - 1, 0)))]
    kind = payload.payload_type if isinstance(payload, UnknownPayload) else payload.number
    chain = struct.pack("!BBH", 0, 0, 4 + len(shorter)) + shorter
    try:
        [read] = parse_payloads(kind, chain)
    except WireError:
        return
    assert read.build() == shorter


@given(st.sampled_from(sorted(MESSAGES)), st.data())
@settings(max_examples=400)
def test_damage_is_refused_or_written_back(name: str, data: st.DataObject) -> None:
    """Nothing but ``WireError`` comes out, and what is accepted is understood: building gives an equal message."""
    _, first, inner = opened(name)
    octets = bytearray(inner)
    for _ in range(data.draw(st.integers(1, 4))):
        if octets:
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = parse_payloads(first, bytes(octets))
    except WireError:
        return
    again = parse_payloads(*build_payloads(read))
    assert again == read


@given(st.integers(0, 255), st.binary(max_size=120))
@example(42, bytes.fromhex("000000080300ffff"))
def test_noise_raises_nothing_else(first: int, noise: bytes) -> None:
    try:
        read = parse_payloads(first, noise)
    except WireError:
        return
    assert parse_payloads(*build_payloads(read)) == read


def _refused(first: int, octets: str) -> str:
    with pytest.raises(WireError) as caught:
        parse_payloads(first, bytes.fromhex(octets))
    return str(caught.value)


def test_errors_say_where() -> None:
    assert _refused(40, "000000") == "payload 40 at octet 0 has no generic header"
    assert _refused(40, "00000003") == "payload 40 at octet 0 has length 3, 4 octets left"
    assert _refused(40, "2900000401000000") == "payload 41 at octet 4 has length 0, 4 octets left"
    assert _refused(0, "00") == "1 octets left over behind the last payload"
    assert _refused(46, "00000004aa") == "an encrypted payload is not the last one"
    assert _refused(53, "00000006aabb") == "encrypted fragment of 2 octets"
    assert _refused(33, "00000004") == "SA payload without a proposal"
    assert "not marked last or more" in _refused(33, "0000000c" + "0200000801010000")
    assert "1 transforms where 2 are announced" in _refused(33, "00000014" + "0000001001010002" + "0000000801000014")
    assert "traffic selector of type 8 with 16 octets" in _refused(
        44, "00000018" + "01000000" + "08870010" + "0000ffff" + 16 * "0"
    )
    with pytest.raises(WireError, match="IKE length 28 in a datagram of 29 octets"):
        Message.parse(Message(bytes(8), bytes(8), 34, 0, (), True, False).build() + b"\0")


def test_unknown_payloads_keep_their_critical_bit() -> None:
    chain = (Nonce(bytes(16)), UnknownPayload(200, True, b"future"), UnknownPayload(201, False, b""))
    first, octets = build_payloads(chain)
    assert octets[20:24] == bytes((201, 0x80, 0, 10))
    assert parse_payloads(first, octets) == chain


def test_the_critical_bit_and_reserved_bits_of_known_payloads_are_ignored() -> None:
    assert parse_payloads(40, b"\x00\xff\x00\x14" + bytes(16)) == (Nonce(bytes(16)),)
    assert parse_payloads(34, bytes.fromhex("0000000a001fffff0102")) == (KeyExchange(31, b"\1\2"),)
    octets = bytearray(MESSAGES["I-12"])
    octets[19] |= 0xC7
    assert Message.parse(bytes(octets)) == Message.parse(MESSAGES["I-12"])


def test_a_transform_with_unknown_attributes_is_kept() -> None:
    odd = Transform(1, 20, attributes=bytes.fromhex("800e00808001beef0007000161"))
    chain = (SecurityAssociation((Proposal(1, 1, b"", (odd, Transform(1, 20, 128))),)),)
    assert parse_payloads(*build_payloads(chain)) == chain
    assert "attributes" in _refused(33, "00000016" + "0000001201010001" + "0000000a01000014" + "800e")


def test_selectors_of_unknown_types_match_nothing_and_are_left_out() -> None:
    fibre_channel = bytes.fromhex("09000018") + bytes(20)
    known = TrafficSelector(135, 0, 65535, HOME, HOME)
    body = b"\x02\0\0\0" + fibre_channel + known.build()
    assert TrafficSelectorsInitiator.parse(body).selectors == (known,)


def test_a_delete_of_nothing_costs_nothing() -> None:
    assert parse_payloads(42, bytes.fromhex("000000080100ffff")) == (Delete(Protocol.IKE),)


def test_sealed_payloads_name_what_is_inside() -> None:
    for sealed in (Encrypted(35, b"sealed"), EncryptedFragment(35, 1, 3, b"part"), EncryptedFragment(0, 2, 3, b"part")):
        message = Message(bytes(8), bytes(8), 35, 1, (Nonce(bytes(16)), sealed), True, False)
        assert Message.parse(message.build()) == message


def test_what_gcm_authenticates_is_what_is_sent() -> None:
    """Header and SK generic header (RFC 5282 5.1)."""
    for name, octets in MESSAGES.items():
        message, _, _ = opened(name)
        sealed = message.payloads[-1]
        if isinstance(sealed, Encrypted):
            assert message.associated_data(sealed.first_inner, len(sealed.body)) == octets[:32]


def test_content_names_enums() -> None:
    assert [type(each).__name__ for each in content("I-8")] == [
        "Authentication",
        "Configuration",
        "Notify",
        "SecurityAssociation",
        "TrafficSelectorsInitiator",
        "TrafficSelectorsResponder",
    ]
    first = content("I-2")[1]
    assert isinstance(first, KeyExchange) and repr(first.group) == "<DhGroup.CURVE25519: 31>"
